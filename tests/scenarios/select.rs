//! Selections: one arm happens, and what was meant for the others is passed on.

mod completion;

use crate::support::{Counter, Drops, Sleepers, poll};
use aqueduct::channel::{
    self, ReadyTimeoutError, RecvError, Select, SelectTimeoutError, SendError, TryReadyError,
    TrySelectError, after, bounded, never,
};
use aqueduct::{Context, select, select_biased, thread};
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Poll;
use std::time::{Duration, Instant};

const CAPACITIES: [usize; 4] = [0, 1, 2, 3];

/// A thread that receives from `receiver`, and stands in line for it.
fn takes<T>(receiver: &channel::Receiver<T>, all: &Sleepers) -> thread::JoinHandle<Option<T>>
where
    T: Send + 'static,
{
    let receiver = receiver.clone();
    thread::spawn(all.call(move || receiver.recv().ok())).unwrap()
}

/// Every kind of arm, in any order, with and without commas and blocks; the selection has the value of the body.
#[test]
fn every_kind_of_arm() {
    let context = Context::background();
    let (sender, receiver) = bounded(1);
    let (full, _full) = bounded(1);
    full.send(0).unwrap();
    let which = |sender: &channel::Sender<i32>, receiver: &channel::Receiver<i32>| {
        select! {
            done(context) -> error => format!("{error}"),
            default => { String::from("nothing") }
            recv(receiver) -> value => match value {
                Ok(value) => format!("received {value}"),
                Err(RecvError) => "closed".into(),
            },
            send(sender, 7) -> sent => {
                sent.unwrap();
                String::from("sent")
            }
        }
    };
    assert_eq!(which(&full, &receiver), "nothing");
    sender.send(3).unwrap();
    assert_eq!(which(&full, &receiver), "received 3");
    assert_eq!(which(&sender, &never()), "sent");
    sender.close();
    assert_eq!(which(&full, &receiver), "received 7");
    assert_eq!(which(&full, &receiver), "closed");
    context.cancel();
    assert_eq!(which(&full, &never()), "context canceled");
    select! { done(&context) => {} }
    let only = select! { default => 5 };
    assert_eq!(only, 5);
    let after_a_while = select! {
        default(Duration::ZERO) => true,
        recv(never::<()>()) -> _ => false,
    };
    assert!(after_a_while);
}

/// As many arms as crossbeam-channel takes.
#[test]
#[rustfmt::skip]
fn thirty_two_arms() {
    let (sender, receiver) = bounded(1);
    let n = never::<u8>();
    sender.send(1).unwrap();
    let arm = select! {
        recv(n) -> _ => 0, recv(n) -> _ => 1, recv(n) -> _ => 2, recv(n) -> _ => 3,
        recv(n) -> _ => 4, recv(n) -> _ => 5, recv(n) -> _ => 6, recv(n) -> _ => 7,
        recv(n) -> _ => 8, recv(n) -> _ => 9, recv(n) -> _ => 10, recv(n) -> _ => 11,
        recv(n) -> _ => 12, recv(n) -> _ => 13, recv(n) -> _ => 14, recv(n) -> _ => 15,
        recv(n) -> _ => 16, recv(n) -> _ => 17, recv(n) -> _ => 18, recv(n) -> _ => 19,
        recv(n) -> _ => 20, recv(n) -> _ => 21, recv(n) -> _ => 22, recv(n) -> _ => 23,
        recv(n) -> _ => 24, recv(n) -> _ => 25, recv(n) -> _ => 26, recv(n) -> _ => 27,
        recv(n) -> _ => 28, recv(n) -> _ => 29, recv(n) -> _ => 30, recv(receiver) -> _ => 31,
    };
    assert_eq!(arm, 31);
}

/// The value is made when its arm has been chosen; receivers and timeouts once, before anything else.
#[test]
fn what_is_evaluated_when() {
    let (sender, receiver) = bounded(1);
    let made = Cell::new(0);
    let make = || made.replace(made.get() + 1);
    sender.send(9).unwrap();
    select_biased! {
        send(sender, make()) -> _ => unreachable!("there is no room"),
        recv(receiver) -> value => assert_eq!(value, Ok(9)),
    }
    assert_eq!(made.get(), 0);
    select_biased! {
        recv({ make(); &receiver }) -> _ => unreachable!("it is empty"),
        send(sender, make()) -> sent => sent.unwrap(),
    }
    assert_eq!((made.get(), receiver.recv()), (2, Ok(1)));
    select! {
        recv({ make(); &receiver }) -> _ => unreachable!("it is empty"),
        default({ make(); Duration::from_millis(1) }) => {}
    }
    assert_eq!(made.get(), 4);
}

/// A body is where it was written: it may leave the loop and the function, and change what the arms borrowed.
#[test]
fn bodies_leave_and_change_what_the_arms_borrowed() {
    fn sum(mut receivers: [channel::Receiver<u32>; 2]) -> Result<u32, SendError<u32>> {
        let [first, second] = &mut receivers;
        let mut sum = 0;
        let mut open = 2;
        loop {
            select! {
                recv(first) -> value => match value {
                    Ok(0) => continue,
                    Ok(value) if value > 100 => return Err(SendError(value)),
                    Ok(value) => sum += value,
                    Err(_) => { *first = never(); open -= 1 }
                },
                recv(*second) -> value => {
                    let Ok(value) = value else {
                        *second = never();
                        open -= 1;
                        if open == 0 { break }
                        continue;
                    };
                    sum += value;
                }
            }
            if open == 0 {
                break;
            }
        }
        let (sender, receiver) = bounded(1);
        select! { send(sender, sum) -> sent => sent?, }
        Ok(receiver.recv().unwrap())
    }
    let run = |extra: &[u32]| {
        let (channels, receivers): (Vec<_>, Vec<_>) = (0..2).map(|_| bounded(8)).unzip();
        for value in [1, 0, 2].iter().chain(extra) {
            channels[0].send(*value).unwrap();
        }
        channels[1].send(39).unwrap();
        drop(channels);
        sum(receivers.try_into().unwrap())
    };
    assert_eq!(run(&[]), Ok(42));
    assert_eq!(run(&[500]), Err(SendError(500)));
}

/// C31, C32: A selection that was woken for one arm, and chose another, passes the wake-up on, and the value stays.
#[test]
fn the_wake_up_of_an_arm_that_lost_goes_to_the_next_receiver() {
    for (capacity, round) in [1, 3].into_iter().flat_map(|of| (0..20).map(move |n| (of, n))) {
        let (sender, receiver) = bounded(capacity);
        let (other, other_receiver) = bounded(capacity);
        let sleepers = Sleepers::default();
        let (first, second) = (other_receiver.clone(), receiver.clone());
        let selects = thread::spawn(sleepers.call(move || {
            select_biased! {
                recv(first) -> value => (value.ok(), None),
                recv(second) -> value => (None, value.ok()),
            }
        }))
        .unwrap();
        // A selection in line, and two receivers behind it; two values, and one for the other arm.
        sleepers.until_asleep(1);
        let waiting = [(); 2].map(|()| takes(&receiver, &sleepers));
        sleepers.until_asleep(3);
        if round % 2 == 0 {
            other.send('b').unwrap();
            sender.send(1).unwrap();
        } else {
            sender.send(1).unwrap();
            other.send('b').unwrap();
        }
        sender.send(2).unwrap();
        let chosen = selects.join().unwrap();
        if chosen == (None, Some(1)) || chosen == (None, Some(2)) {
            // It had been too late for the other arm; make good what it took.
            sender.send(3).unwrap();
            assert_eq!(other_receiver.recv(), Ok('b'));
        } else {
            assert_eq!(chosen, (Some('b'), None));
        }
        assert!(waiting.map(|waiting| waiting.join().unwrap()).iter().all(Option::is_some));
    }
}

/// C31: A selection that ended without a value has left the line: the next to come is the first, and is woken.
#[test]
fn a_selection_that_is_over_stands_in_no_line() {
    for capacity in [1, 3] {
        let (sender, receiver) = bounded(capacity);
        let (counter, waker) = Counter::new();
        let timed_out = select! {
            recv(receiver) -> _ => false,
            default(Duration::from_millis(1)) => true,
        };
        assert!(timed_out);
        let mut next = receiver.recv_async();
        assert!(poll(&mut next, &waker).is_pending());
        sender.send(1).unwrap();
        assert_eq!(counter.wakes(), 1, "the first in line");
        assert_eq!(poll(&mut next, &waker), Poll::Ready(Ok(1)));
    }
}

/// Everybody sleeps in a selection at the same empty channel: a value wakes one, who takes it, and the others sleep on; nobody
/// wakes the others in turn.
#[test]
fn sleeping_selections_do_not_wake_each_other() {
    for capacity in [1, 3] {
        let (sender, receiver) = bounded(capacity);
        let (stop, stopped) = bounded::<()>(capacity);
        thread::scope(|scope| {
            let sleepers: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        let mut got = 0;
                        loop {
                            select! {
                                recv(receiver) -> value => got += value.unwrap_or(0),
                                recv(stopped) -> _ => return got,
                            }
                        }
                    })
                })
                .collect();
            for _ in 0..500 {
                sender.send(1).unwrap();
            }
            // All that was sent is taken though nobody else comes.
            while !sender.is_empty() {
                std::thread::yield_now();
            }
            stop.close();
            let got: usize = sleepers.into_iter().map(|it| it.unwrap().join().unwrap()).sum();
            assert_eq!(got, 500);
        })
        .unwrap();
    }
}

/// If several arms can go on, each has the same chance.
#[test]
fn ready_arms_are_chosen_evenly() {
    let channels: Vec<_> = (0..3).map(|_| bounded(1)).collect();
    let mut counts = [0_u32; 3];
    for _ in 0..30_000 {
        for (sender, _) in &channels {
            let _ = sender.try_send(());
        }
        let chosen = select! {
            recv(channels[0].1) -> _ => 0,
            recv(channels[1].1) -> _ => 1,
            recv(channels[2].1) -> _ => 2,
        };
        counts[chosen] += 1;
    }
    // 10,000 each, with a standard deviation of 82.
    assert!(counts.iter().all(|count| (9_500..10_500).contains(count)), "{counts:?}");
}

/// The first that can go on, in a biased selection.
#[test]
fn a_biased_selection_chooses_the_first() {
    let (sender, receiver) = bounded(4);
    let (other, other_receiver) = bounded(4);
    for round in 0..100 {
        other.send(round).unwrap();
        sender.send(round).unwrap();
        select_biased! {
            recv(receiver) -> value => assert_eq!(value, Ok(round)),
            recv(other_receiver) -> _ => panic!("the second"),
        }
        let mut select = Select::new_biased();
        assert_eq!((select.recv(&receiver), select.recv(&other_receiver)), (0, 1));
        let chosen = select.select();
        assert_eq!(chosen.index(), 1);
        assert_eq!(chosen.recv(&other_receiver), Ok(round));
    }
}

/// C12: Selected with one handle, completed with a clone of it; with a handle of another channel it panics, and nothing is
/// harmed.
#[test]
fn a_selection_is_completed_with_any_handle_of_the_channel() {
    for capacity in CAPACITIES {
        let (sender, receiver) = bounded(capacity);
        let (other_sender, other_receiver) = bounded::<u8>(1);
        let (sender_clone, receiver_clone) = (sender.clone(), receiver.clone());

        let taking = takes(&receiver, &Sleepers::default());
        let mut select = Select::new();
        select.send(&sender);
        assert_eq!(select.select().send(&sender_clone, 1), Ok(()));
        assert_eq!(taking.join().unwrap(), Some(1));

        let sending = thread::spawn(move || sender_clone.send(2)).unwrap();
        let mut select = Select::new();
        select.recv(&receiver);
        let chosen = select.select();
        assert_eq!(format!("{chosen:?}"), "SelectedOperation { index: 0, .. }");
        assert_eq!(chosen.recv(&receiver_clone), Ok(2));
        sending.join().unwrap().unwrap();

        // Of another channel, though of the same type.
        let mut select = Select::new();
        select.send(&other_sender);
        let chosen = select.select();
        let wrong = catch_unwind(AssertUnwindSafe(|| chosen.send(&sender, 3)));
        assert!(wrong.is_err());
        assert!(other_receiver.is_empty(), "its place was given up");
        let chosen = select.select();
        let wrong = catch_unwind(AssertUnwindSafe(|| chosen.recv(&other_receiver)));
        assert!(wrong.is_err(), "it was selected to send");
        assert_eq!(other_sender.try_send(4), Ok(()), "and its place is there");
    }
}

/// C11: An operation that was selected is forgotten: the channel goes on, at worst with a place less.
#[test]
fn a_forgotten_selected_operation_harms_nobody_else() {
    for capacity in [2, 3] {
        let (sender, receiver) = bounded(capacity);
        let mut select = Select::new();
        select.send(&sender);
        std::mem::forget(select.select());
        sender.send(1).unwrap();
        assert_eq!(receiver.recv(), Ok(1));
        sender.send(2).unwrap();
        assert_eq!(receiver.recv(), Ok(2));
    }
}

/// The dynamic form: indices stay, arms come and go, all limits.
#[test]
fn arms_come_and_go() {
    let (sender, receiver) = bounded(1);
    let (_other, empty) = bounded::<u8>(1);
    let mut select = Select::new();
    let (first, second) = (select.recv(&receiver), select.recv(&empty));
    assert_eq!(select.try_select().unwrap_err(), TrySelectError);
    assert_eq!(select.select_timeout(Duration::ZERO).unwrap_err(), SelectTimeoutError);
    assert_eq!(select.select_deadline(Instant::now()).unwrap_err(), SelectTimeoutError);
    assert_eq!(select.try_ready(), Err(TryReadyError));
    assert_eq!(select.ready_timeout(Duration::from_millis(1)), Err(ReadyTimeoutError));
    assert_eq!(select.ready_deadline(Instant::now()), Err(ReadyTimeoutError));
    sender.send(1).unwrap();
    assert_eq!((select.ready(), select.try_ready()), (first, Ok(first)));
    assert_eq!(select.select_timeout(Duration::MAX).unwrap().recv(&receiver), Ok(1));
    select.remove(first);
    let third = select.send(&sender);
    assert_eq!((second, third), (1, 2));
    let mut clone = select.clone();
    assert_eq!(format!("{clone:?}"), "Select { arms: 2, .. }");
    let chosen = clone.select();
    assert_eq!(chosen.index(), third);
    assert_eq!(chosen.send(&sender, 5), Ok(()));
    assert!(select.try_select().is_err(), "no room");
    sender.close();
    let chosen = select.select();
    assert_eq!((chosen.index(), chosen.send(&sender, 6)), (third, Err(SendError(6))));
    assert!(catch_unwind(AssertUnwindSafe(|| select.remove(first))).is_err());
    let without_arms = catch_unwind(|| Select::default().select().index());
    assert!(without_arms.is_err());
}

/// `ready` takes nothing: whoever else waits is woken all the same.
#[test]
fn a_look_takes_nothing() {
    for capacity in CAPACITIES {
        for _ in 0..20 {
            let (sender, receiver) = bounded(capacity);
            let sleepers = Sleepers::default();
            let looks = receiver.clone();
            let looks = thread::spawn(sleepers.call(move || {
                let mut select = Select::new();
                select.recv(&looks);
                select.ready()
            }))
            .unwrap();
            sleepers.until_asleep(1);
            let takes = takes(&receiver, &sleepers);
            sleepers.until_asleep(2);
            // Where nothing is kept, it takes two: the one that waits to receive may have been served before the other
            // looked, and then it looks for the next.
            sender.send(1).unwrap();
            assert_eq!(takes.join().unwrap(), Some(1));
            sender.close();
            assert_eq!(looks.join().unwrap(), 0);
        }
    }
}

/// C30: A close, or the drop of the last handle, races with a selection that goes to sleep.
#[test]
fn a_close_wakes_a_selection() {
    for capacity in CAPACITIES {
        for round in 0..200 {
            let (sender, receiver) = bounded::<u8>(capacity);
            let (other, _other) = bounded::<u8>(capacity);
            for _ in 0..capacity {
                other.send(0).unwrap();
            }
            let waits = thread::spawn(move || {
                select! {
                    recv(receiver) -> value => value,
                    send(other, 1) -> _ => panic!("there is no room"),
                }
            });
            if round % 2 == 0 {
                drop(sender)
            } else {
                assert!(sender.close())
            }
            assert_eq!(waits.unwrap().join().unwrap(), Err(RecvError));
        }
    }
}

/// A context wakes a selection, by hand and by its deadline.
#[test]
fn a_context_wakes_a_selection() {
    for capacity in CAPACITIES {
        let (sender, receiver) = bounded::<u8>(capacity);
        let context = Context::background();
        let waits = thread::spawn({
            let (context, receiver) = (context.clone(), receiver.clone());
            move || {
                select! {
                    recv(receiver) -> _ => None,
                    done(context) -> error => Some(error),
                }
            }
        });
        context.cancel();
        assert_eq!(waits.unwrap().join().unwrap(), context.err());
        let late = context.without_cancel().with_timeout(Duration::from_millis(1));
        select! {
            recv(receiver) -> _ => unreachable!("nothing was sent"),
            done(late) => assert!(late.is_done()),
        }
        drop(sender);
    }
}

/// C13: The longest limits do not overflow; those in the past do not wait, and what is there comes before them.
#[test]
fn the_longest_and_the_shortest_limits() {
    for capacity in [1, 2] {
        let (sender, receiver) = bounded(capacity);
        sender.send(1).unwrap();
        let value = select! {
            recv(receiver) -> value => value.ok(),
            default(Duration::MAX) => None,
        };
        assert_eq!(value, Some(1));
        sender.send(2).unwrap();
        let mut select = Select::new();
        select.recv(&receiver);
        let past = Instant::now();
        assert_eq!(select.select_deadline(past).unwrap().recv(&receiver), Ok(2));
        assert!(select.select_deadline(past).is_err());
        select! {
            recv(receiver) -> _ => unreachable!("it is empty"),
            recv(after(Duration::ZERO)) -> due => assert!(due.is_ok()),
        }
    }
}

/// Two selections that meet: one offers both ways, the other too, and exactly one pair comes about each time.
#[test]
fn two_selections_meet_where_there_is_no_room() {
    const ROUNDS: usize = 2000;
    let (there, from_there) = bounded::<usize>(0);
    let (back, from_back) = bounded::<usize>(0);
    // Each side sends on one channel and receives on the other; per round one of the two goes through.
    let left = thread::spawn(move || {
        let mut seen = Vec::new();
        for round in 0..ROUNDS {
            select! {
                send(there, round) -> sent => { sent.unwrap(); seen.push((0, round)) }
                recv(from_back) -> value => seen.push((1, value.unwrap())),
            }
        }
        seen
    });
    let mut seen = Vec::new();
    for round in 0..ROUNDS {
        select! {
            recv(from_there) -> value => seen.push((0, value.unwrap())),
            send(back, round) -> sent => { sent.unwrap(); seen.push((1, round)) }
        }
    }
    assert_eq!(seen, left.unwrap().join().unwrap());
}

/// A selection does not meet itself.
#[test]
fn a_selection_does_not_meet_itself() {
    let (sender, receiver) = bounded(0);
    let met = select! {
        send(sender, 1) -> _ => true,
        recv(receiver) -> _ => true,
        default(Duration::from_millis(2)) => false,
    };
    assert!(!met);
    // And both arms are met from outside.
    let taking = takes(&receiver, &Sleepers::default());
    select! {
        send(sender, 2) -> sent => sent.unwrap(),
        recv(receiver) -> _ => unreachable!("nobody sends"),
    }
    assert_eq!(taking.join().unwrap(), Some(2));
}

/// A panic while the value of the chosen arm is made: whoever was promised the value gets another, and a place is free again.
#[test]
fn a_value_that_is_never_made_is_nobodys_loss() {
    fn make() -> u8 {
        panic!("on purpose")
    }
    for capacity in [0, 1] {
        let (sender, receiver) = bounded(capacity);
        let taking = takes(&receiver, &Sleepers::default());
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            select! { send(sender, make()) -> _ => {} }
        }));
        assert!(panicked.is_err());
        sender.send(5).unwrap();
        assert_eq!(taking.join().unwrap(), Some(5));
    }
}

/// A send from a destructor while a panic unwinds, by a selection.
#[test]
fn a_selection_during_unwinding_works() {
    struct Reports(channel::Sender<&'static str>);
    impl Drop for Reports {
        fn drop(&mut self) {
            select! { send(self.0, "unwound") -> sent => sent.unwrap() }
        }
    }
    for capacity in CAPACITIES {
        let (sender, receiver) = bounded(capacity);
        let worker = thread::spawn(move || {
            let _reports = Reports(sender);
            panic!("on purpose");
        });
        assert_eq!(receiver.recv(), Ok("unwound"));
        assert!(worker.unwrap().join().is_err());
    }
}

/// R75, R78, R32: Values that go through selections are dropped once, whoever leaves first.
#[test]
fn every_value_is_dropped_once() {
    for capacity in CAPACITIES {
        let drops = Drops::default();
        let (sender, receiver) = bounded(capacity);
        let (stop, stopped) = bounded::<()>(0);
        let producer = thread::spawn({
            let drops = drops.clone();
            move || {
                for made in 0.. {
                    select! {
                        send(sender, drops.item()) -> sent => if sent.is_err() { return made + 1 },
                        recv(stopped) -> _ => return made,
                    }
                }
                unreachable!("it is stopped")
            }
        });
        for _ in 0..50 {
            select! {
                recv(receiver) -> item => drop(item.ok().unwrap()),
                default(Duration::MAX) => unreachable!("for ever"),
            }
        }
        let rest = if capacity == 1 {
            drop(receiver);
            None
        } else {
            drop(stop);
            Some(receiver)
        };
        let made = producer.unwrap().join().unwrap();
        drop(rest);
        assert_eq!(drops.count(), made, "capacity {capacity}");
    }
}
