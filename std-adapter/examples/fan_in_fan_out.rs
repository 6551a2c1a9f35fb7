//! One source, several workers, one result: numbers are shared among workers, and what they find is merged.
//!
//! Go: several goroutines that range over one channel, a channel for each of them, and "merge" from the article on pipelines.

use aqueduct::iter::ParallelIterator;
use aqueduct::{channel, fan, thread};
use std::error::Error;

const WORKERS: usize = 4;

/// How often the Collatz sequence of `n` steps until it comes to 1.
fn steps(n: u64) -> u32 {
    let next = |&n: &u64| (n != 1).then(|| if n % 2 == 0 { n / 2 } else { 3 * n + 1 });
    std::iter::successors(Some(n), next).count() as u32 - 1
}

fn main() -> Result<(), Box<dyn Error>> {
    let (numbers, to_do) = channel::bounded(8);
    let source =
        thread::spawn(move || (1..=1_000_000).take_while(|&n| numbers.send(n).is_ok()).count())?;

    // Fan out: each number goes to one of the workers, whichever is free.
    let (mut workers, mut outputs) = (Vec::new(), Vec::new());
    for (nth, to_do) in fan::share(to_do, WORKERS).into_iter().enumerate() {
        let (results, output) = channel::bounded(2);
        outputs.push(output);
        workers.push(thread::Builder::new().name(format!("worker-{nth}")).spawn(move || {
            // Ends when the source has, or when nobody wants results any more.
            to_do.iter().take_while(|&n| results.send((n, steps(n))).is_ok()).count()
        })?);
    }

    // Fan in: from all workers in turn. A thousand are enough; then the merge is dropped, which stops the workers, and they the source.
    let first: Vec<(u64, u32)> = fan::merge(outputs).take(1_000).collect();

    let produced = source.join()?;
    let mut worked = 0;
    for worker in workers {
        worked += worker.join()?;
    }
    let &(number, length) = first.iter().max_by_key(|(_, steps)| *steps).expect("a thousand");
    println!("of a thousand the longest is {number}: {length} steps");
    println!("{produced} were sent, {worked} were worked on by {WORKERS} workers");
    assert_eq!(first.len(), 1_000);
    assert!(first.iter().all(|&(n, length)| length == steps(n)));
    assert!((1_000..1_000_000).contains(&produced), "it was stopped early");
    assert!((1_000..=produced).contains(&worked));

    // The same in one line, and in order.
    let lengths = (1..=1_000_000).par_map_ordered(WORKERS, steps).take(1_000);
    assert!(lengths.eq((1..=1_000).map(steps)));
    Ok(())
}
