//! What reaches everybody, `notify_all` and `close`, and what races with it; and storage that grows.

use super::*;
use loom::sync::atomic::Ordering::Relaxed;

#[test]
fn notify_all_against_a_registration() {
    model::<Slots<1>>("notify all against a registration", &["at once", "slept"], |queue, seen| {
        let letter = Letter::new();
        let mut wait = queue.wait();
        let waiter = thread::spawn({
            let (seen, letter) = (seen.clone(), letter.clone());
            move || {
                assert_eq!(block_on(&mut wait, &seen), Ok(()));
                letter.read();
            }
        });
        let notifier = thread::spawn(move || {
            letter.write();
            queue.notify_all();
        });
        waiter.join().unwrap();
        notifier.join().unwrap();
        assert_at_rest(queue);
    });
}

/// Somebody younger than the `notify_all` may stand in front of one whom it is meant for. Three parties; it takes
/// one preemption, of the older one before it pushes.
#[test]
fn notify_all_with_a_younger_one_in_front() {
    let seen = ["at once", "rung", "the younger is reached", "the younger is too late"];
    model::<Slots<2>>("notify all with a younger one in front", &seen, |queue, seen| {
        let mut older = queue.wait();
        let bell = Arc::new(Bell::default());
        let waiter = thread::spawn({
            let waker = bell.clone().into();
            move || (poll(&mut older, &waker) == OK, older)
        });
        // The younger one's wait may be made, and stand in line, before the notifier's second step.
        let younger = thread::spawn(|| {
            let mut younger = queue.wait();
            (look(&mut younger) == OK, younger)
        });
        let notifier = thread::spawn(|| queue.notify_all());
        let (at_once, mut older) = waiter.join().unwrap();
        notifier.join().unwrap();
        let (_, mut younger) = younger.join().unwrap();
        note(seen, if at_once { "at once" } else { "rung" });
        assert!(at_once || bell.rung_by().is_some(), "nobody told the older one");
        assert_eq!(look(&mut older), OK);
        let reached = look(&mut younger) == OK;
        note(seen, if reached { "the younger is reached" } else { "the younger is too late" });
    });
}

/// A `notify_all`, and then a `notify_one`, which is for those who come later.
#[test]
fn notify_all_then_one_against_a_drain() {
    model::<Slots<2>>(
        "notify all then one against a drain",
        &["taken by the other", "remembered"],
        |queue, seen| {
            let (mut earlier, bell) = in_line(queue);
            let notifier = thread::spawn(|| {
                queue.notify_all();
                queue.notify_one();
            });
            // Registers, drains and leaves, in the middle of the above; or takes the token, if it comes late.
            let other = thread::spawn(|| look(&mut queue.wait()) == OK);
            notifier.join().unwrap();
            let other = other.join().unwrap();
            assert!(bell.rung_by().is_some());
            assert_eq!(look(&mut earlier), OK);
            let remembered = look(&mut queue.wait()) == OK;
            note(seen, if remembered { "remembered" } else { "taken by the other" });
            assert!(remembered || other, "the earlier one took what was not his");
            assert_at_rest(queue);
        },
    );
}

#[test]
fn close_against_a_registration() {
    model::<Slots<1>>("close against a registration", &["at once", "slept"], |queue, seen| {
        let letter = Letter::new();
        let waiter = thread::spawn({
            let (seen, letter) = (seen.clone(), letter.clone());
            move || {
                assert_eq!(block_on(&mut queue.wait(), &seen), Err(Closed));
                letter.read();
            }
        });
        let closer = thread::spawn(move || {
            letter.write();
            queue.close();
        });
        waiter.join().unwrap();
        closer.join().unwrap();
        assert_eq!(look(&mut queue.wait()), CLOSED);
        assert_at_rest(queue);
    });
}

#[test]
fn close_against_notify_one() {
    model::<Slots<2>>(
        "close against notify one",
        &["closed first", "notified first"],
        |queue, seen| {
            let (mut a, _) = in_line(queue);
            let (mut b, _) = in_line(queue);
            let parties = [thread::spawn(|| queue.notify_one()), thread::spawn(|| queue.close())];
            for party in parties {
                party.join().unwrap();
            }
            let first = look(&mut a);
            note(seen, if first == OK { "notified first" } else { "closed first" });
            assert_eq!(look(&mut b), CLOSED);
            assert_at_rest(queue);
        },
    );
}

/// Two find no chunk, and both add one: here chunks begin with a single slot.
#[test]
fn growing_at_both_ends() {
    model::<Growable>("growing at both ends", &["in line"], |queue, seen| {
        let waiters = [0, 1].map(|_| {
            thread::spawn(|| {
                let (wait, bell) = in_line(queue);
                (wait, bell)
            })
        });
        let waiters = waiters.map(|waiter| waiter.join().unwrap());
        queue.notify_all();
        for (mut wait, bell) in waiters {
            assert!(bell.rung_by().is_some());
            assert_eq!(look(&mut wait), OK);
        }
        note(seen, "in line");
        assert_at_rest(queue);
    });
}

/// wait:epoch: a wait is made, and then its maker looks: he sees what came before the `notify_all` that does not reach it.
#[test]
fn made_and_then_looked() {
    let expected = ["reached", "too late"];
    model::<Slots<1>>("made and then looked", &expected, |queue, seen| {
        let sign = Arc::new(AtomicUsize::new(0));
        let notifier = thread::spawn({
            let sign = sign.clone();
            move || {
                sign.store(1, Relaxed);
                queue.notify_all();
            }
        });
        let mut wait = queue.wait();
        let is_there = sign.load(Relaxed) == 1;
        notifier.join().unwrap();
        let reached = look(&mut wait) == OK;
        note(seen, if reached { "reached" } else { "too late" });
        assert!(is_there || reached, "neither seen nor notified");
    });
}

/// take:take against kick:post of a `notify_one` that changes nothing, for a token is there.
#[test]
fn a_token_stands_for_all_that_came_before_it() {
    let expected = ["one token", "two"];
    model::<Slots<1>>("a token that was left twice", &expected, |queue, seen| {
        queue.notify_one();
        let sign = Arc::new(AtomicUsize::new(0));
        let notifier = thread::spawn({
            let sign = sign.clone();
            move || {
                sign.store(1, Relaxed);
                queue.notify_one();
            }
        });
        assert_eq!(look(&mut queue.wait()), OK);
        let is_there = sign.load(Relaxed) == 1;
        notifier.join().unwrap();
        let again = look(&mut queue.wait()) == OK;
        note(seen, if again { "two" } else { "one token" });
        assert!(is_there || again, "woken without what came before, and not once more");
    });
}

/// As above, where the taker was made before a `notify_all`, and must leave the `notify_one` after that to others.
#[test]
fn a_token_that_is_not_for_the_elder_is_left() {
    let expected = ["left"];
    model::<Slots<1>>("a token for the younger", &expected, |queue, seen| {
        queue.notify_one();
        let mut elder = queue.wait();
        let notifier = thread::spawn(|| {
            queue.notify_all();
            queue.notify_one();
        });
        assert_eq!(look(&mut elder), OK);
        notifier.join().unwrap();
        assert_eq!(look(&mut queue.wait()), OK, "the elder has eaten it");
        note(seen, "left");
    });
}
