//! Channels whose sender is the clock.

use crate::support::{alone, eventually, threads};
use aqueduct::channel::{self, Receiver, RecvTimeoutError, TryRecvError, after, at, never, tick};
use aqueduct::{select, timer};
use std::time::{Duration, Instant};

const HOUR: Duration = Duration::from_secs(3600);
const MOMENT: Duration = Duration::from_millis(1);

/// One message, when it is due, which is the instant at which it was; nothing after it, and no end.
#[test]
fn a_message_at_its_time() {
    let before = Instant::now();
    let late = after(MOMENT);
    assert_eq!((late.sender_count(), late.receiver_count()), (0, 1));
    let due = late.clone().recv().unwrap();
    assert!(due >= before + MOMENT && Instant::now() >= due);
    assert_eq!(late.try_recv(), Err(TryRecvError::Empty));
    assert!(!late.is_closed());
    assert_eq!(late.recv_timeout(Duration::ZERO), Err(RecvTimeoutError::Timeout));
    // In the past, and now: at once, without a timer.
    assert_eq!(at(before).try_recv(), Ok(before));
    assert!(after(Duration::ZERO).try_recv().is_ok());
}

/// C13: As long as it gets.
#[test]
fn the_longest_durations_never_pass() {
    for never in [after(Duration::MAX), tick(Duration::MAX), never()] {
        assert_eq!(never.recv_timeout(MOMENT), Err(RecvTimeoutError::Timeout));
    }
}

/// Ticks are a period apart, and those that nobody takes are dropped.
#[test]
fn ticks_are_dropped_when_nobody_takes_them() {
    let period = Duration::from_millis(2);
    let ticks = tick(period);
    let made = Instant::now();
    eventually("several have been dropped", || made.elapsed() > 5 * period && ticks.is_full());
    assert_eq!(ticks.len(), 1);
    let first = ticks.recv().unwrap();
    assert!(first <= made + period, "the first was kept, as in Go");
    let mut last = first;
    for next in ticks.iter().take(3) {
        let apart = (next - last).as_nanos();
        assert!(apart >= period.as_nanos() && apart.is_multiple_of(period.as_nanos()), "{apart}");
        last = next;
    }
}

#[test]
#[should_panic(expected = "the period of a tick is zero")]
fn a_tick_of_no_time_is_refused() {
    let _ = tick(Duration::ZERO);
}

/// R81: A timer that is waited for in a loop, and not needed, is freed each time; ten thousand leave nothing behind. The
/// thread of the timers goes, too.
#[test]
fn timers_are_freed_with_their_receivers() {
    alone("channel::clock::timers_are_freed_with_their_receivers", || {
        let before = threads();
        let (sender, receiver) = channel::bounded(1);
        for value in 0..10_000 {
            sender.send(value).unwrap();
            select! {
                recv(receiver) -> got => assert_eq!(got, Ok(value)),
                recv(after(HOUR)) -> _ => unreachable!("not for an hour"),
            }
            assert_eq!(timer::pending(), 0);
        }
        let kept: Vec<Receiver<Instant>> = (0..100).map(|_| after(HOUR)).collect();
        let clones = kept.clone();
        assert_eq!(timer::pending(), 100);
        drop(kept);
        assert_eq!(timer::pending(), 100);
        drop(clones);
        assert_eq!(timer::pending(), 0);
        let ticks: Vec<_> = (0..100).map(|_| tick(MOMENT)).collect();
        for tick in &ticks {
            tick.recv().unwrap();
            tick.recv().unwrap();
        }
        drop(ticks);
        // One may be on its way just now, and set itself once more before it finds out.
        eventually("all timers are freed", || timer::pending() == 0);
        eventually("the timer thread has ended", || threads() == before);
    });
}
