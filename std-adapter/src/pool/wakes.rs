//! How many workers a submission wakes: tests with workers that rest, and count instead of getting up.

use super::Pool;
use super::job::WorkerId;
use super::roster::Rest;
use super::shared::Shared;
use super::worker::Slot;
use crate::lock;
use std::sync::{Arc, Barrier, Mutex};
use std::task::{Wake, Waker};
use std::thread;

/// Counts how often anybody is woken.
#[derive(Default)]
struct Wakes(Mutex<usize>);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        *lock(&self.0) += 1;
    }
}

impl Wakes {
    fn take(&self) -> usize {
        std::mem::take(&mut lock(&self.0))
    }
}

/// A pool of so many workers, without a thread behind any of them; all of them rest.
fn at_rest(workers: usize) -> (Pool, Arc<Wakes>) {
    let pool = Pool::builder().max_workers(workers).build().unwrap();
    let wakes = Arc::new(Wakes::default());
    for id in 0..workers {
        let mut roster = lock(&pool.shared().roster);
        roster.live += 1;
        pool.shared().update_notes(&roster);
        drop(roster);
        pool.shared().crew.search();
        lie_down(pool.shared(), id, &wakes);
    }
    (pool, wakes)
}

fn lie_down(shared: &Shared, id: usize, wakes: &Arc<Wakes>) {
    let slot = Slot::new(WorkerId(id));
    let rest = shared.lie_down(&slot, &Waker::from(Arc::clone(wakes)));
    assert!(matches!(rest, Rest::Until(_)));
}

/// The one that was woken takes a job, as a worker does, and whether there is more to do is asked.
fn take_one(shared: &Arc<Shared>) {
    assert!(shared.queues.take(0).is_some());
    if shared.crew.found() && !shared.queues.is_empty() {
        shared.summon();
    }
}

#[test]
fn a_burst_wakes_one_and_that_one_wakes_the_next() {
    let (pool, wakes) = at_rest(3);
    for _ in 0..100 {
        pool.execute(|| ()).unwrap();
        drop(pool.submit(|| ()).unwrap());
    }
    assert_eq!(wakes.take(), 1, "it is on its way");
    for woken in [1, 1, 0, 0] {
        assert_eq!(wakes.take(), 0);
        take_one(pool.shared());
        assert_eq!(wakes.take(), woken, "one at a time, while somebody rests");
        if woken == 0 {
            // All are at work: one of them looks for the next.
            pool.shared().crew.search();
        }
    }
}

/// Who submits at the same time may find at the same time that somebody must be called.
#[test]
fn of_all_who_submit_at_once_one_wakes_one() {
    let (pool, wakes) = at_rest(4);
    for round in 0..500 {
        let both = Barrier::new(2);
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    both.wait();
                    pool.execute(|| ()).unwrap();
                });
            }
        });
        assert_eq!(wakes.take(), 1, "round {round}");
        assert!(pool.shared().queues.take(0).is_some() && pool.shared().queues.take(0).is_some());
        // It rests again, having found nothing more.
        lie_down(pool.shared(), round, &wakes);
    }
}
