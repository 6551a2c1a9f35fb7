//! The crew: a job is queued while the last one that searches goes to rest, or finds something else.

use aqueduct_core::crew::Crew;
use aqueduct_core::queue::StaticQueue;
use loom::thread;

use crate::Outcomes;
use crate::support::model;

struct Pool {
    crew: Crew,
    jobs: StaticQueue<u32, 2>,
}

/// One worker that searches; others could be added.
fn searching() -> Pool {
    let pool = Pool { crew: Crew::new(), jobs: StaticQueue::new() };
    pool.crew.search();
    pool
}

fn note(seen: &Outcomes, what: &str) {
    seen.record(what.to_owned());
}

/// `ask:sleep` against `search:end` and the look after it.
#[test]
fn a_worker_rests_while_a_job_is_queued() {
    let expected = ["found by searching", "found by the last look", "called"];
    model("crew: rest against a job", &expected, searching, |pool, seen| {
        let worker = thread::spawn({
            let seen = seen.clone();
            move || {
                if pool.jobs.pop().is_some() {
                    let _ = pool.crew.found();
                    note(&seen, "found by searching");
                    return true;
                }
                pool.crew.set_resting(true);
                pool.crew.rest();
                let found = !pool.jobs.is_empty();
                if found {
                    note(&seen, "found by the last look");
                }
                found
            }
        });
        let called = thread::spawn(move || {
            pool.jobs.push(7).unwrap();
            pool.crew.is_short_handed()
        });
        let (found, called) = (worker.join().unwrap(), called.join().unwrap());
        assert!(found || called, "a job lies beside a worker that rests");
        if called {
            note(seen, "called");
        }
    });
}

/// The same, of a worker that finds a job and searches no more.
#[test]
fn a_worker_finds_a_job_while_the_next_is_queued() {
    let expected = ["the worker calls", "the submitter calls"];
    let one_queued = || {
        let pool = searching();
        pool.crew.set_resting(true);
        pool.jobs.push(1).unwrap();
        pool
    };
    model("crew: found against a job", &expected, one_queued, |pool, seen| {
        let worker = thread::spawn(move || {
            assert!(pool.jobs.pop().is_some());
            pool.crew.found() && !pool.jobs.is_empty()
        });
        let submitter = thread::spawn(move || {
            pool.jobs.push(2).unwrap();
            pool.crew.is_short_handed()
        });
        let (worker, submitter) = (worker.join().unwrap(), submitter.join().unwrap());
        assert!(worker || submitter, "nobody calls the worker that rests");
        if worker {
            note(seen, "the worker calls");
        }
        if submitter {
            note(seen, "the submitter calls");
        }
    });
}
