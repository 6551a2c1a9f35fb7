//! Wait queues among real threads, which sleep and are woken and change their minds.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::{Context, Poll, Waker};
use std::thread;

use aqueduct::park::block_on;
use aqueduct_core::wait::{Closed, Growable, Slots, Storage, WaitQueue};
use aqueduct_tests::share;

fn rounds() -> usize {
    share(20_000)
}

/// Items that are only counted, and a queue to wait for them: the channel's way of using `notify`.
struct Counter<W: Storage> {
    items: AtomicUsize,
    arrived: WaitQueue<W>,
}

impl<W: Storage> Counter<W> {
    fn put(&self) {
        self.items.fetch_add(1, SeqCst);
        self.arrived.notify(1);
    }

    fn try_take(&self) -> bool {
        self.items.fetch_update(SeqCst, SeqCst, |items| items.checked_sub(1)).is_ok()
    }

    /// Takes an item; false when it is closed and empty.
    async fn take(&self) -> bool {
        let mut wait = self.arrived.wait();
        poll_fn(|cx| {
            loop {
                if self.try_take() {
                    return Poll::Ready(true);
                }
                match Pin::new(&mut wait).poll(cx) {
                    Poll::Ready(Ok(())) => wait = self.arrived.wait(),
                    Poll::Ready(Err(Closed)) => return Poll::Ready(self.try_take()),
                    Poll::Pending if self.try_take() => return Poll::Ready(true),
                    Poll::Pending => return Poll::Pending,
                }
            }
        })
        .await
    }
}

fn producers_and_consumers<W: Storage>(storage: W) {
    let counter = Counter { items: AtomicUsize::new(0), arrived: WaitQueue::with_storage(storage) };
    let taken: usize = thread::scope(|scope| {
        let consumers: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    block_on(async {
                        let mut taken = 0;
                        while counter.take().await {
                            taken += 1;
                        }
                        taken
                    })
                })
            })
            .collect();
        thread::scope(|producers| {
            for _ in 0..2 {
                producers.spawn(|| (0..rounds()).for_each(|_| counter.put()));
            }
        });
        counter.arrived.close();
        consumers.into_iter().map(|consumer| consumer.join().unwrap()).sum()
    });
    assert_eq!(taken, 2 * rounds());
    assert!(!counter.arrived.has_waiters());
}

#[test]
fn every_item_wakes_somebody() {
    producers_and_consumers(Slots::<3>::new());
}

#[test]
fn every_item_wakes_somebody_with_slots_on_the_heap() {
    producers_and_consumers(Growable::new());
}

/// One slot for three consumers: two of them poll themselves.
#[test]
fn every_item_is_taken_with_too_few_slots() {
    producers_and_consumers(Slots::<1>::new());
}

/// A baton goes from hand to hand: at each hand-over one sleeps.
#[test]
fn two_threads_pass_a_baton() {
    let (ping, pong) = (WaitQueue::new(), WaitQueue::new());
    thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..rounds() {
                block_on(ping.wait()).unwrap();
                pong.notify_one();
            }
        });
        for _ in 0..rounds() {
            ping.notify_one();
            block_on(pong.wait()).unwrap();
        }
    });
}

/// Waits that are polled once and dropped, among waiters who mean it: each `notify_one` reaches one of them.
#[test]
fn those_who_change_their_minds_take_nothing_with_them() {
    let queue = WaitQueue::new();
    let served = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while block_on(queue.wait()).is_ok() {
                    served.fetch_add(1, SeqCst);
                }
            });
        }
        scope.spawn(|| {
            while !queue.is_closed() {
                let wait = pin!(queue.wait());
                let polled = wait.poll(&mut Context::from_waker(Waker::noop()));
                if polled == Poll::Ready(Ok(())) {
                    served.fetch_add(1, SeqCst);
                }
            }
        });
        // One at a time, because two that nobody waits for become one.
        for round in 0..rounds() {
            queue.notify_one();
            while served.load(SeqCst) == round {
                thread::yield_now();
            }
        }
        queue.close();
    });
    assert_eq!(served.load(SeqCst), rounds());
    assert!(!queue.has_waiters());
}

/// Everybody waits for the next generation, and all of them see each one.
#[test]
fn notify_all_misses_nobody() {
    let (queue, generation) = (WaitQueue::new(), AtomicUsize::new(0));
    let arrived = AtomicUsize::new(0);
    const PARTIES: usize = 4;
    let generations = share(2_000);
    thread::scope(|scope| {
        for _ in 0..PARTIES {
            scope.spawn(|| {
                for next in 1..=generations {
                    let wait = queue.wait();
                    if arrived.fetch_add(1, SeqCst) + 1 == PARTIES * next {
                        generation.store(next, SeqCst);
                        queue.notify_all();
                    }
                    block_on(wait).unwrap();
                    assert!(generation.load(SeqCst) >= next, "woken before its time");
                }
            });
        }
    });
}
