//! At most so many at once: twenty downloads, three connections, and patience that ends.
//!
//! Go: `golang.org/x/sync/semaphore`, or a buffered channel of tokens.

use aqueduct::context::Context;
use aqueduct::sync::{AcquireCtxError, Mutex, Semaphore};
use aqueduct::thread;
use std::error::Error;
use std::time::Duration;

const CONNECTIONS: usize = 3;
const DOWNLOADS: usize = 20;

/// How many are inside now, and were at most.
#[derive(Default)]
struct Gauge {
    now: usize,
    most: usize,
    total: usize,
}

fn main() -> Result<(), Box<dyn Error>> {
    let connections = Semaphore::new(CONNECTIONS);
    let gauge = Mutex::new(Gauge::default());
    let request = Context::background().with_timeout(Duration::from_secs(30));

    let download = |_file: usize| -> Result<(), AcquireCtxError> {
        // Sleeps until a connection is free, or the request has been given up.
        let _permit = connections.acquire_ctx(&request, 1)?;
        {
            let mut gauge = gauge.lock_blocking();
            gauge.now += 1;
            gauge.total += 1;
            gauge.most = gauge.most.max(gauge.now);
        }
        std::thread::yield_now(); // the transfer
        gauge.lock_blocking().now -= 1;
        Ok(()) // the permit goes back, whichever way we leave
    };

    thread::scope(|scope| -> Result<(), Box<dyn Error>> {
        let downloads = (0..DOWNLOADS).map(|file| scope.spawn(move || download(file)));
        for download in downloads.collect::<Result<Vec<_>, _>>()? {
            download.join()??;
        }
        Ok(())
    })??;

    let gauge = gauge.into_inner();
    println!("{} downloads, {} at once at most", gauge.total, gauge.most);
    assert_eq!((gauge.total, gauge.now), (DOWNLOADS, 0));
    assert!((1..=CONNECTIONS).contains(&gauge.most));
    assert_eq!(connections.available_permits(), CONNECTIONS);

    // All connections at once, for maintenance: a large request is not starved by small ones.
    let all = connections.acquire_many_blocking(CONNECTIONS)?;
    request.cancel_with("closing for today");
    let refused = connections.acquire_ctx(&request, 1).unwrap_err();
    println!("one more: {refused}, since {}", request.cause().expect("it was told"));
    assert!(refused.context_error().is_some());
    drop(all);
    Ok(())
}
