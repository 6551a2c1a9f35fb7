//! What holds a run up, and what does not: items and room that somebody keeps, lists without an end, and ends that meet others at work.

use super::assert_adds_up;
use crate::support::eventually;
use aqueduct::channel;
use aqueduct::pipeline::Pipeline;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

/// Workers that are busy keep no room of the buffer for hands that are empty: the third of three goes on alone, also when the other two
/// are sent away.
///
/// R01, R35
#[test]
fn workers_that_are_busy_keep_no_room() {
    for sends_away in [false, true] {
        let made = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&made);
        let (begin, begun) = channel::bounded::<()>(3);
        let (comes, has_come) = channel::bounded(3);
        let (go, gate) = channel::bounded::<()>(1);
        let held = AtomicU64::new(0);
        let running = Pipeline::from_iter((0..4000_u64).inspect(move |n| {
            if *n == 3 {
                (0..3).for_each(|_| has_come.recv().unwrap());
            }
            count.fetch_add(1, SeqCst);
        }))
        .map("work", move |n| {
            if n < 3 {
                comes.send(()).unwrap();
                begun.recv().unwrap();
            } else if held.fetch_add(1, SeqCst) < 2 {
                gate.recv().unwrap_err();
            }
            n
        })
        .concurrency(3)
        .spawn()
        .unwrap();
        // The first item for each: all three are at work. Then the buffer is full, and the source waits with one more.
        eventually("everything is full", || made.load(SeqCst) == 3 + 64 + 1);
        // They fill their hands now; two of them are held up at the first item, and the others take what is in their hands.
        (0..3).for_each(|_| begin.send(()).unwrap());
        let alone = running.output().iter().take(3 + 1000).count();
        assert_eq!(alone, 1003);
        if sends_away {
            running.controller().resize("work", 1..=1).unwrap();
        }
        drop(go);
        assert_eq!(alone + running.output().iter().count(), 4000);
        assert_adds_up(&running.wait().unwrap());
    }
}

/// All places of a buffer are used, the shelf of the one worker in front of it among them.
///
/// R35
#[test]
fn all_places_of_a_buffer_are_used() {
    for workers in [1, 3] {
        let made = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&made);
        let (go, gate) = channel::bounded::<()>(1);
        // Nothing else is made before the first is taken: a maker that has waited for room may leave a place free.
        let (open, is_open) = channel::bounded::<()>(1);
        let open = Mutex::new(Some(open));
        let running = Pipeline::from_iter(0..1000_u64)
            .map("make", move |n| {
                if n > 0 {
                    let _ = is_open.recv();
                }
                count.fetch_add(1, SeqCst);
                n
            })
            .concurrency(workers)
            .map("still", move |n| {
                drop(open.lock().unwrap().take());
                let _ = gate.recv();
                n
            })
            .buffer(60)
            .spawn()
            .unwrap();
        // One is worked on, and the makers have one each in their hands.
        let all = 1 + 60 + workers as u64;
        eventually("every place is taken", || made.load(SeqCst) == all);
        drop(go);
        assert_eq!(running.output().iter().count(), 1000);
        assert_adds_up(&running.wait().unwrap());
    }
}
