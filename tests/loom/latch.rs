//! The latch: two decide at once, and a third asks.

use aqueduct_core::latch::Latch;
use loom::sync::atomic::{AtomicBool, Ordering::Relaxed};
use loom::thread;
use std::num::NonZeroUsize;

use crate::support::model;

struct Case {
    latch: Latch,
    /// What each decision rests on, written before it.
    grounds: [AtomicBool; 2],
}

impl Case {
    fn decide(&self, which: usize) -> usize {
        self.grounds[which].store(true, Relaxed);
        let decision = NonZeroUsize::new(which + 1).expect("it is more than 0");
        let decided = self.latch.set(decision).err().unwrap_or(decision);
        self.check(decided)
    }

    /// Whoever knows of a decision sees what it rests on.
    fn check(&self, decision: NonZeroUsize) -> usize {
        let which = decision.get() - 1;
        assert!(self.grounds[which].load(Relaxed), "the decision came before its grounds");
        which
    }
}

/// `latch:set` against `latch:set` and `latch:get`.
#[test]
fn two_decide_while_a_third_asks() {
    let expected = ["still open", "the first", "the second"];
    let case =
        || Case { latch: Latch::new(), grounds: [AtomicBool::new(false), AtomicBool::new(false)] };
    model("latch: set against set and get", &expected, case, |case, seen| {
        let deciders = [0, 1].map(|which| thread::spawn(move || case.decide(which)));
        let asker = thread::spawn({
            let seen = seen.clone();
            move || {
                let asked = case.latch.get().map(|decision| case.check(decision));
                seen.record(match asked {
                    None => "still open".to_owned(),
                    Some(0) => "the first".to_owned(),
                    Some(_) => "the second".to_owned(),
                });
                asked
            }
        });
        let decided = deciders.map(|decider| decider.join().unwrap());
        assert_eq!(decided[0], decided[1], "they do not agree");
        let asked = asker.join().unwrap();
        assert!(asked.is_none_or(|asked| asked == decided[0]), "a decision was changed");
    });
}
