//! Generate, square, keep the even ones: steps that run beside each other, in order, in bounded memory.
//!
//! Go: "Go Concurrency Patterns: Pipelines and cancellation", one goroutine and one channel for each step.

use aqueduct::context::Context;
use aqueduct::pipeline::{Pipeline, PipelineError};
use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    // Each step has its threads, and a buffer before it that is a real bound.
    let mut squares = Vec::new();
    let report = Pipeline::from_iter(1..=1_000_u64)
        .map("square", |n| n * n)
        .concurrency(3)
        .buffer(8)
        .ordered(16) // as the source had them, though three threads work on them
        .run(|square| squares.extend((square % 2 == 0).then_some(square)))?;
    println!("{} went through, {} are even", report.delivered(), squares.len());
    let expected: Vec<u64> = (1..=1_000).map(|n| n * n).filter(|square| square % 2 == 0).collect();
    assert_eq!(squares, expected);

    // Whoever takes the output stops early; what is above stops with it, however endless the source is.
    let enough = Context::background();
    let (mut sum, mut taken) = (0, 0);
    let stopped =
        Pipeline::from_iter(1_u64..).map("square", |n| n * n).ordered(16).context(&enough).run(
            |square| {
                if taken < 10 {
                    taken += 1;
                    sum += square;
                }
                if taken == 10 {
                    enough.cancel_with("ten are enough");
                }
            },
        );
    assert!(stopped.is_err(), "it did not come to its end by itself");
    println!("the first ten add up to {sum}");
    assert_eq!(sum, (1..=10).map(|n| n * n).sum::<u64>());

    // A step that fails says where, on what, and why.
    let failed = Pipeline::from_iter(["1", "2", "three"])
        .stage("parse", |text: &str| text.parse::<u64>())
        .run(drop)
        .unwrap_err();
    let PipelineError::Stopped { error, .. } = failed else { return Err(failed.into()) };
    println!("{error}");
    assert_eq!((error.stage(), error.item()), ("parse", 2));
    Ok(())
}
