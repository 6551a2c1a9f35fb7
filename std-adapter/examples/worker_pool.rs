//! A pool of workers by hand: a queue of jobs, a queue of results, exactly one result for each job, panics included.
//!
//! Go: "worker pools", with a jobs channel, a results channel and a `sync.WaitGroup`.

use aqueduct::channel::{self, Receiver, Sender};
use aqueduct::context::Context;
use aqueduct::sync::WaitGroup;
use aqueduct::thread::{self, Panicked};
use std::collections::BTreeMap;
use std::error::Error;
use std::time::Duration;

const WORKERS: usize = 3;
const JOBS: u32 = 50;

struct Job {
    id: u32,
}

struct Done {
    id: u32,
    worker: usize,
    result: Result<u32, Panicked>,
}

/// Takes jobs until there are none, or until the context is done; a job that panics is a result like any other.
fn work(worker: usize, context: &Context, jobs: &Receiver<Job>, results: &Sender<Done>) {
    while let Ok(Job { id }) = jobs.recv_ctx(context) {
        let result = thread::catch(|| {
            assert!(id % 10 != 9, "job {id} does not like its number");
            id * id
        });
        if results.send(Done { id, worker, result }).is_err() {
            return;
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    // What the jobs say when they panic is in the results; of any other panic whoever runs this is to hear.
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if std::thread::current().name().is_none_or(|name| !name.starts_with("worker-")) {
            hook(panic);
        }
    }));
    let context = Context::background().with_timeout(Duration::from_secs(60));
    let (jobs, queue) = channel::bounded(4);
    let (results, done) = channel::bounded(4);
    let at_work = WaitGroup::new();

    let mut workers = Vec::new();
    for worker in 0..WORKERS {
        let (context, queue, results) = (context.clone(), queue.clone(), results.clone());
        let token = at_work.add();
        workers.push(thread::Builder::new().name(format!("worker-{worker}")).spawn(move || {
            let _token = token; // goes however the thread ends
            work(worker, &context, &queue, &results);
        })?);
    }
    drop((queue, results));

    let submitter = thread::spawn({
        let context = context.clone();
        move || (0..JOBS).all(|id| jobs.send_ctx(&context, Job { id }).is_ok())
    })?;

    // Ends by itself: when the submitter goes there are no more jobs, and when the last worker goes no more results.
    let mut by_job = BTreeMap::new();
    for Done { id, worker, result } in done {
        assert!(by_job.insert(id, (worker, result)).is_none(), "two results for job {id}");
    }

    assert!(submitter.join()?, "all jobs were accepted");
    at_work.wait_ctx(&context)?;
    for worker in workers {
        worker.join()?;
    }

    let mut panics = 0;
    for (id, (worker, result)) in &by_job {
        match result {
            Ok(square) => assert_eq!(*square, id * id),
            Err(panicked) => {
                println!("on worker {worker}: {}", panicked.message());
                assert_eq!(id % 10, 9);
                panics += 1;
            }
        }
    }
    println!("{} results, {panics} of them panics", by_job.len());
    assert_eq!((by_job.len(), panics), (JOBS as usize, 5));
    Ok(())
}
