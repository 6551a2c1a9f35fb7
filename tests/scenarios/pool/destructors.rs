//! Destructors that panic: of what a job holds, of its errors, of what it returns, and of what a panic threw.

use super::Gate;
use aqueduct::pool::{Job, JobError, Pool, Priority};
use aqueduct::thread::catch;
use std::error::Error;
use std::fmt;
use std::panic::panic_any;
use std::time::Duration;

/// It panics when it is dropped.
#[derive(Debug)]
pub(super) struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("on purpose, in a destructor");
    }
}

impl fmt::Display for Bomb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a bomb")
    }
}

impl Error for Bomb {}

fn one_worker() -> Pool {
    let long = Duration::from_secs(3600);
    Pool::builder().max_workers(1).keep_alive(long).check_interval(long).build().unwrap()
}

/// No worker was lost, and everything was counted.
fn all_is_well(pool: &Pool, panicked: u64, completed: u64) {
    pool.submit(|| ()).unwrap().join().unwrap();
    pool.wait_idle();
    let books = pool.metrics();
    assert_eq!((books.panicked, books.completed, books.in_flight), (panicked, completed + 1, 0));
    assert!(books.workers <= 1 && books.scalings == 1, "{:?}", books.scale_events);
}

/// R17: What a job holds panics when it is dropped: that is its outcome, however it was made, and the worker goes on.
#[test]
fn a_destructor_of_what_a_job_holds_is_its_panic() {
    let pool = one_worker();
    let bomb = Bomb;
    let plain = pool.submit(move || drop(bomb)).unwrap();
    assert!(matches!(plain.join(), Err(JobError::Panicked(_))));
    let bomb = Bomb;
    let fallible = Job::fallible(move |_| {
        let _ = &bomb;
        Ok::<_, String>(7)
    });
    let outcome = pool.submit_job(fallible).unwrap().join();
    assert!(matches!(outcome, Err(JobError::Panicked(_))), "{outcome:?}");
    let bomb = Bomb;
    let panics = Job::fallible(move |_| -> Result<(), String> {
        let _ = &bomb;
        panic!("first")
    });
    match pool.submit_job(panics).unwrap().join() {
        Err(JobError::Panicked(panic)) => assert_eq!(panic.message(), "first"),
        other => panic!("{other:?}"),
    }
    let bomb = Bomb;
    let future = Job::future(async move { drop(bomb) });
    assert!(matches!(pool.submit_job(future).unwrap().join(), Err(JobError::Panicked(_))));
    all_is_well(&pool, 4, 0);
}

/// R17: An attempt's error panics when it is dropped before the next one.
#[test]
fn a_destructor_of_an_error_is_the_jobs_panic() {
    let pool = one_worker();
    let job = Job::fallible(|_| Err::<(), _>(Bomb)).attempts(2);
    assert!(matches!(pool.submit_job(job).unwrap().join(), Err(JobError::Panicked(_))));
    all_is_well(&pool, 1, 0);
}

/// R16, R17: What a job returns, late or for nobody, panics when it is dropped; the next of its key comes all the same.
#[test]
fn a_destructor_of_what_nobody_wants_is_nobodys_concern() {
    let pool = one_worker();
    let late = Job::with_context(|job| {
        job.context().wait();
        Bomb
    });
    let late = pool.submit_job(late.timeout(Duration::from_millis(1)).key("k")).unwrap();
    let next = pool.submit_job(Job::new(|| 8).key("k")).unwrap();
    assert!(matches!(late.join(), Err(JobError::TimedOut(_))));
    assert_eq!(next.join().unwrap().value, 8);
    // The handle goes before the value comes; one that holds a value drops it, and its panic is its owner's.
    let gate = Gate::default();
    let bomb = {
        let gate = gate.clone();
        move || {
            gate.pass();
            Bomb
        }
    };
    drop(pool.submit(bomb).unwrap());
    gate.open();
    pool.wait_idle();
    pool.submit(|| ()).unwrap().join().unwrap();
    let books = pool.metrics();
    assert_eq!((books.timed_out, books.completed, books.in_flight), (1, 3, 0));
}

/// R17: A light job throws something whose destructor panics in its turn.
#[test]
fn a_panic_whose_payload_panics_is_one_panic() {
    let pool = one_worker();
    pool.execute(|| panic_any(Bomb)).unwrap();
    let bomb = Bomb;
    pool.execute(move || drop(bomb)).unwrap();
    pool.wait_idle();
    all_is_well(&pool, 2, 0);
    let books = pool.metrics();
    assert_eq!(books.run_time(Priority::Normal).count(), 3);
}

/// What a job of a scope returned is dropped by the last who holds it.
#[test]
fn a_destructor_of_what_a_scoped_job_returned_is_nobodys_concern() {
    let pool = one_worker();
    let gate = Gate::default();
    let value = pool.scope(|scope| {
        for _ in 0..3 {
            let gate = gate.clone();
            // Taken by a thread of the scope, or by this one at the end.
            drop(scope.submit(move || {
                gate.pass();
                Bomb
            }));
        }
        gate.open();
        7
    });
    assert_eq!((value, pool.metrics().completed), (7, 3));
    // And those that nobody has begun, when the scope's function panics.
    let panicked = catch(|| {
        pool.scope(|scope| {
            for _ in 0..3 {
                let bomb = Bomb;
                drop(scope.submit(move || drop(bomb)));
            }
            panic!("on purpose")
        })
    });
    assert_eq!(panicked.unwrap_err().message(), "on purpose");
}
