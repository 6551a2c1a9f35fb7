//! One source, several workers, one result: jobs fan out over a channel and their results fan in over another.
//!
//! Go: several goroutines that range over one channel, and a `sync.WaitGroup` to close the other.

use aqueduct::channel;
use aqueduct::context::Context;
use aqueduct::thread;
use std::error::Error;

const WORKERS: usize = 4;

/// How often the Collatz sequence of `n` steps until it comes to 1.
fn steps(n: u64) -> u32 {
    let next = |&n: &u64| (n != 1).then(|| if n % 2 == 0 { n / 2 } else { 3 * n + 1 });
    std::iter::successors(Some(n), next).count() as u32 - 1
}

fn main() -> Result<(), Box<dyn Error>> {
    let context = Context::background();
    let (numbers, to_do) = channel::bounded(8);
    let (results, done) = channel::bounded(8);

    let source = thread::spawn({
        let context = context.clone();
        move || (1..=1_000_000).take_while(|&n| numbers.send_ctx(&context, n).is_ok()).count()
    })?;

    // Fan out: each number goes to one of the workers, whichever is free.
    let workers = (0..WORKERS).map(|nth| {
        let (to_do, results) = (to_do.clone(), results.clone());
        thread::Builder::new().name(format!("worker-{nth}")).spawn(move || {
            // Ends when the source has, or when nobody wants results any more.
            to_do.iter().take_while(|&n| results.send((n, steps(n))).is_ok()).count()
        })
    });
    let workers = workers.collect::<Result<Vec<_>, _>>()?;
    // Those that are left are the workers': the last that goes closes its channel, and no count has to be kept.
    drop((to_do, results));

    // Fan in: the longest among the first thousand, and then it is enough.
    let first: Vec<(u64, u32)> = done.iter().take(1_000).collect();
    context.cancel();
    drop(done);

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
    Ok(())
}
