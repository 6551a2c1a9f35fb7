//! The crew, preempted anywhere: no job is left in the queue while nobody looks for one, and nobody is counted who does not.

use super::harness::{self, Run, Subject};
use aqueduct_core::crew::Crew;
use aqueduct_core::queue::StaticQueue;
use std::cell::Cell;

/// What a party does, by the protocol of the crew. Whoever is told to call a worker does: that one searches from then on.
#[derive(Clone, Copy, Debug)]
enum Op {
    /// A submitter queues a job.
    Queue,
    /// A worker that searches takes a job, if there is one; if not, it goes to rest.
    Find,
    /// A worker that searches goes to rest, having found nothing before.
    Rest,
    /// The owner notes whether a worker may be added.
    Room(bool),
    /// The owner notes whether one should go.
    Surplus(bool),
}

#[derive(Debug, PartialEq)]
enum Outcome {
    /// A worker was called.
    Called,
    /// None had to be.
    Relied,
    /// The worker has seen a job, and searches again.
    Saw,
    Rests,
    Noted,
}

struct Object {
    crew: Crew,
    jobs: StaticQueue<u32, 8>,
    /// How many should be counted.
    searching: Cell<usize>,
}

impl Object {
    /// What the owner does under its lock. The handler of an interrupt finds the lock free, or would not be let in.
    fn call(&self) -> Outcome {
        self.crew.search();
        self.searching.set(self.searching.get() + 1);
        Outcome::Called
    }

    fn stops_searching(&self) {
        self.searching.set(self.searching.get() - 1);
    }

    fn rest(&self) -> Outcome {
        self.crew.set_resting(true);
        self.stops_searching();
        self.crew.rest();
        if self.jobs.is_empty() {
            return Outcome::Rests;
        }
        self.call();
        Outcome::Saw
    }
}

struct Crews {
    searching: usize,
    queued: u32,
}

impl Subject for Crews {
    type Object = Object;
    type Op = Op;
    type Outcome = Outcome;

    fn name(&self) -> String {
        format!("crew, {} searching, {} queued", self.searching, self.queued)
    }

    fn fresh(&self) -> Object {
        let object =
            Object { crew: Crew::new(), jobs: StaticQueue::new(), searching: Cell::default() };
        object.crew.set_resting(true);
        (0..self.searching).for_each(|_| {
            let _ = object.call();
        });
        (0..self.queued).for_each(|n| object.jobs.push(n).unwrap());
        object
    }

    fn apply(&self, object: &Object, op: &Op) -> Outcome {
        match *op {
            Op::Queue => {
                object.jobs.push(9).expect("there are never as many");
                if object.crew.is_short_handed() { object.call() } else { Outcome::Relied }
            }
            Op::Find if object.jobs.pop().is_some() => {
                object.stops_searching();
                if object.crew.found() && !object.jobs.is_empty() {
                    object.call()
                } else {
                    Outcome::Relied
                }
            }
            Op::Find | Op::Rest => object.rest(),
            Op::Room(is_so) => {
                object.crew.set_room(is_so);
                Outcome::Noted
            }
            Op::Surplus(is_so) => {
                object.crew.set_surplus(is_so);
                Outcome::Noted
            }
        }
    }

    fn check(&self, object: Object, run: &Run<'_, Self>) -> Result<(), String> {
        let searchers = object.crew.searchers();
        if searchers != object.searching.get() {
            return Err(format!("{searchers} are counted, {} search", object.searching.get()));
        }
        if !object.jobs.is_empty() && searchers == 0 {
            return Err("a job lies in the queue, and nobody searches".into());
        }
        let noted = |surplus: bool| {
            run.calls.iter().any(|call| matches!(call.op, Op::Surplus(is_so) if *is_so == surplus))
        };
        if noted(true) != noted(false) && object.crew.has_surplus() != noted(true) {
            return Err("a note is lost".into());
        }
        if object.crew.is_short_handed() != (searchers == 0) {
            return Err("somebody rests, and is not called".into());
        }
        Ok(())
    }
}

/// Each of `a` by each of `bs`, and these by each of `cs`.
fn all(searching: usize, queued: u32, a: &[Op], bs: &[Op], cs: &[Op]) -> u64 {
    let crews = Crews { searching, queued };
    let sequences = |ops: &[Op]| {
        let pairs = ops.iter().flat_map(|&x| ops.iter().map(move |&y| vec![x, y]));
        ops.iter().map(|&op| vec![op]).chain(pairs).collect::<Vec<_>>()
    };
    let singles: Vec<_> = cs.iter().map(|&op| vec![op]).collect();
    let mut combinations = 0;
    for &a in a {
        combinations += harness::preempt(&crews, &[a], &sequences(bs));
        combinations += harness::preempt_nested(&crews, &[a], &sequences(bs), &singles);
        combinations += harness::preempt_twice(&crews, &[a], &singles, &singles);
    }
    combinations
}

#[test]
fn no_job_lies_beside_a_crew_that_rests() {
    use Op::{Find, Queue, Rest, Room, Surplus};
    let notes = [Room(true), Room(false), Surplus(true), Surplus(false)];
    let others = [&[Queue], &notes[..]].concat();
    let mut combinations = 0;
    // The only worker that searches, and submitters.
    combinations += all(1, 0, &[Rest, Find], &others, &[Queue]);
    combinations += all(1, 1, &[Find], &others, &[Queue]);
    // Two workers: one is preempted, the handler has the other.
    for queued in [1, 2] {
        let crews = Crews { searching: 2, queued };
        for a in [Find, Queue] {
            for b in [vec![Find], vec![Find, Queue], vec![Queue, Find]] {
                combinations += harness::preempt(&crews, &[a], std::slice::from_ref(&b));
                combinations += harness::preempt_nested(&crews, &[a], &[b], &[vec![Queue]]);
            }
        }
    }
    // A submitter, preempted by the worker that it relies on.
    for queued in [0, 1] {
        let crews = Crews { searching: 1, queued };
        let workers = [vec![Find], vec![Find, Queue], vec![Queue, Find]];
        combinations += harness::preempt(&crews, &[Queue], &workers);
        combinations += harness::preempt_nested(&crews, &[Queue], &workers, &[vec![Queue]]);
    }
    assert!(combinations > 0);
    println!("interrupt: crew: {combinations} combinations");
}
