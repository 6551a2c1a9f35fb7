//! A small piece of firmware, the same under any executor: two sensors interrupt and leave samples in a channel; a task
//! filters them and sends the means over a bus; another task reports over the same bus that all is well. The bus does one
//! transfer at a time, so there is a permit to be had for it.
//!
//! ```text
//! fast sensor, high priority  --+                        +-- filter --+
//!                               +--> SAMPLES (channel) --+            +--> BUS (one permit), done by interrupt
//! slow sensor, low priority   --+             heartbeat --------------+
//! ```
//!
//! The fast sensor's interrupt preempts the slow one's, in the middle of a send too. [`report`] holds what came out
//! against what went in, and ends the program.
#![no_std]

mod board;

use core::future::{Future, poll_fn};
use core::pin::pin;
use core::task::Poll;

use aqueduct_core::channel::{StaticChannel, TrySendError};
use aqueduct_core::semaphore::{Fair, Semaphore};
use aqueduct_core::wait::{Slots, WaitQueue};
use aqueduct_firmware_rt::{Word, exit, println};
use board::Timer;

pub use board::{Irq, set_priority};

/// How many samples each sensor takes before it is switched off.
const SAMPLES_EACH: u32 = 1000;
/// The slow sensor has so many at once.
const BURST: u32 = 4;
/// How many samples make a mean.
const WINDOW: u32 = 4;
/// What the heartbeat sends; no mean is as large.
const ALIVE: u32 = u32::MAX;

/// Ticks of the timers: less than an instruction each.
const FAST: u32 = 6_007;
const SLOW: u32 = 29_000;
const TRANSFER: u32 = 1_500;

/// One reading.
#[derive(Clone, Copy)]
struct Sample {
    sensor: usize,
    /// Counted by its sensor, from 0.
    number: u32,
    value: u32,
}

static SAMPLES: StaticChannel<Sample, 8, Slots<1>> =
    StaticChannel::with_storage(Slots::new(), Slots::new());
static BUS: Semaphore<Fair, Slots<2>> = Semaphore::with_policy(1, Fair, Slots::new());
static TRANSFERRED: WaitQueue<Slots<1>> = WaitQueue::with_storage(Slots::new());

/// What a sensor's handler counts.
struct Sensor {
    taken: Word,
    /// There was no room.
    lost: Word,
}

static SENSORS: [Sensor; 2] = [const { Sensor { taken: Word::new(0), lost: Word::new(0) } }; 2];
const FAST_ONE: usize = 0;
const SLOW_ONE: usize = 1;

static IN_SLOW: Word = Word::new(0);
static NESTED: Word = Word::new(0);
static ON_THE_BUS: Word = Word::new(0);
static TRANSFERS: Word = Word::new(0);
static MEANS: Word = Word::new(0);
static HEARTBEATS: Word = Word::new(0);
static RECEIVED: [Word; 2] = [const { Word::new(0) }; 2];

/// Switches the sensors on.
pub fn start() {
    board::set_up();
    Timer::Fast.start(FAST);
    Timer::Slow.start(SLOW);
}

/// Serves an interrupt of the board; false if it is none of these.
pub fn interrupt(number: i16) -> bool {
    match Timer::of(number) {
        Some(Timer::Fast) => {
            Timer::Fast.acknowledge();
            NESTED.add(IN_SLOW.get());
            sample(FAST_ONE, Timer::Fast);
        }
        Some(Timer::Slow) => {
            Timer::Slow.acknowledge();
            IN_SLOW.set(1);
            for _ in 0..BURST {
                sample(SLOW_ONE, Timer::Slow);
            }
            IN_SLOW.set(0);
        }
        Some(Timer::Bus) => {
            Timer::Bus.acknowledge();
            TRANSFERRED.notify_one();
        }
        None => return false,
    }
    true
}

/// Takes a sample, and leaves it in the channel if there is room; whichever sensor is the last to be switched off closes it.
fn sample(sensor: usize, timer: Timer) {
    let Sensor { taken, lost } = &SENSORS[sensor];
    let number = taken.get();
    match SAMPLES.try_send(Sample { sensor, number, value: number * 10 }) {
        Ok(()) => {}
        Err(TrySendError::Full(_)) => lost.add(1),
        Err(TrySendError::Closed(_)) => panic!("closed before both sensors were off"),
    }
    taken.add(1);
    if number + 1 == SAMPLES_EACH {
        timer.stop();
        if SENSORS.iter().all(|sensor| sensor.taken.get() == SAMPLES_EACH) {
            SAMPLES.close();
        }
    }
}

/// Receives samples until the channel is closed and empty, and sends the mean of every few over the bus.
pub async fn filter() {
    let mut next = [0; 2];
    let mut window = [(0, 0); 2];
    while let Ok(Sample { sensor, number, value }) = SAMPLES.recv().await {
        assert!(
            number >= next[sensor],
            "sample {number} of sensor {sensor} came after {}",
            next[sensor]
        );
        assert_eq!(value, number * 10, "a torn sample");
        next[sensor] = number + 1;
        RECEIVED[sensor].add(1);

        let (sum, count) = &mut window[sensor];
        (*sum, *count) = (*sum + value, *count + 1);
        if *count == WINDOW {
            transfer(*sum / WINDOW).await;
            MEANS.add(1);
            (*sum, *count) = (0, 0);
        }
    }
}

/// Says over the bus that all is well, again and again, until the sensors are off.
pub async fn heartbeat() {
    while !SAMPLES.is_closed() {
        transfer(ALIVE).await;
        HEARTBEATS.add(1);
    }
}

/// Sends a word over the bus, when it is our turn.
async fn transfer(word: u32) {
    let turn = BUS.acquire().await.expect("the bus is never closed");
    assert_eq!(ON_THE_BUS.get(), 0, "two transfers at a time");
    assert!(word == ALIVE || word < SAMPLES_EACH * 10, "the mean {word} is none");
    ON_THE_BUS.set(word.max(1));
    Timer::Bus.start_once(TRANSFER);
    TRANSFERRED.wait().await.expect("never closed");
    ON_THE_BUS.set(0);
    TRANSFERS.add(1);
    drop(turn);
}

/// Both to their ends.
pub async fn join(one: impl Future<Output = ()>, other: impl Future<Output = ()>) {
    let (mut one, mut other) = (pin!(one), pin!(other));
    let (mut one_ended, mut other_ended) = (false, false);
    poll_fn(|cx| {
        one_ended = one_ended || one.as_mut().poll(cx).is_ready();
        other_ended = other_ended || other.as_mut().poll(cx).is_ready();
        if one_ended && other_ended { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

/// Holds what came out against what went in, and ends the program: well, if it agrees.
pub fn report(title: &str) -> ! {
    let counted: [_; 2] = core::array::from_fn(|n| {
        let Sensor { taken, lost } = &SENSORS[n];
        let (taken, lost, received) = (taken.get(), lost.get(), RECEIVED[n].get());
        println!(
            "{title}: sensor {n}: {taken} samples, {received} received, {lost} lost for want of room"
        );
        assert_eq!(taken, SAMPLES_EACH);
        assert_eq!(received + lost, taken, "a sample was lost without a word, or came twice");
        received
    });
    let (means, beats, transfers) = (MEANS.get(), HEARTBEATS.get(), TRANSFERS.get());
    let nested = NESTED.get();
    println!(
        "{title}: {means} means and {beats} heartbeats over the bus, {nested} interrupts in another one's"
    );
    assert_eq!(means, counted.iter().map(|received| received / WINDOW).sum());
    assert_eq!(transfers, means + beats);
    assert_eq!(BUS.available_permits(), 1, "the bus is held");
    assert_eq!(BUS.self_wakes() + TRANSFERRED.self_wakes(), 0, "more waiters than slots");
    assert!(SAMPLES.is_empty());
    // Else this run has shown less than it should.
    assert!(nested > 0 && beats > 0 && counted.iter().all(|&received| received > SAMPLES_EACH / 2));
    println!("passed: {title}");
    exit(true)
}
