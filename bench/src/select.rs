//! Family `select`: one receiver on several channels at once.
//!
//! | workload | one operation |
//! |---|---|
//! | `ready` | one party sends to one of 4 channels in turn, and takes it out by selecting over all |
//! | `idle` | selecting over 4 empty channels with a default |
//! | `cap1/4p1s`, `cap16/4p1s` | an item; 4 senders, each with its own channel, and one who selects |
//!
//! Candidates for threads and candidates for tasks (tokio, on two workers) stand side by side.

mod candidates;

use std::future::Future;

use crate::check::{Id, Load, Payload, Seen, settle, share};
use crate::family::{Candidate, Cell};
use crate::go;
use crate::measure::Sample;
use crate::tasks::{Task, race_tasks};
use crate::team::{Job, race};

/// How many channels.
pub(crate) const ARMS: usize = 4;

/// What a candidate for threads must be able to do.
pub(crate) trait Select: Send + Sized + 'static {
    const NAME: &'static str;
    type Sender: Send + 'static;

    /// [`ARMS`] channels: their senders, and all receivers as one.
    fn channels(capacity: usize) -> (Vec<Self::Sender>, Self);

    /// Waits for room.
    fn send(sender: &Self::Sender, item: u64);

    /// Waits for an item from any channel.
    fn recv(&mut self) -> u64;

    /// Does not wait.
    fn try_recv(&mut self) -> Option<u64>;
}

/// What a candidate for tasks must be able to do.
pub(crate) trait AsyncSelect: Send + Sized + 'static {
    const NAME: &'static str;
    type Sender: Send + Sync + 'static;

    /// [`ARMS`] channels: their senders, and all receivers as one.
    fn channels(capacity: usize) -> (Vec<Self::Sender>, Self);

    /// Waits for room.
    fn send(sender: &Self::Sender, item: u64) -> impl Future<Output = ()> + Send;

    /// Waits for an item from any channel.
    fn recv(&mut self) -> impl Future<Output = u64> + Send;

    /// Does not wait for an item, however it says so.
    fn try_recv(&mut self) -> impl Future<Output = Option<u64>> + Send;
}

pub(crate) fn cells() -> Vec<Cell> {
    let busy = |capacity| Shape::Busy { capacity };
    [
        ("ready", Shape::Ready),
        ("idle", Shape::Idle),
        ("cap1/4p1s", busy(1)),
        ("cap16/4p1s", busy(16)),
    ]
    .into_iter()
    .map(|(name, shape)| {
        let mut candidates = candidates::all(shape);
        candidates.extend(go::candidate("select", name.into()));
        let unit = if let Shape::Idle = shape { "question" } else { "item" };
        Cell::new("select", name.into(), unit, candidates)
    })
    .collect()
}

#[derive(Clone, Copy)]
enum Shape {
    Ready,
    Idle,
    Busy { capacity: usize },
}

fn candidate<S: Select>(shape: Shape) -> Candidate {
    Candidate::new(S::NAME, move |ops| match shape {
        Shape::Ready => alone::<S>(ops, send_and_select),
        Shape::Idle => alone::<S>(ops, ask),
        Shape::Busy { capacity } => busy::<S>(capacity, ops),
    })
}

fn async_candidate<S: AsyncSelect>(shape: Shape) -> Candidate {
    Candidate::new(S::NAME, move |ops| match shape {
        Shape::Ready => ready_async::<S>(ops),
        Shape::Idle => idle_async::<S>(ops),
        Shape::Busy { capacity } => busy_async::<S>(capacity, ops),
    })
}

/// Item `n` of the whole goes to channel `n % ARMS`, as the next of that channel's sender.
fn nth(n: u64) -> (usize, u64) {
    let arm = (n % ARMS as u64) as usize;
    (arm, u64::make(Id::new(arm, n / ARMS as u64)))
}

fn alone<S: Select>(ops: u64, work: fn(&[S::Sender], &mut S, u64)) -> Sample {
    let (senders, mut set) = S::channels(1);
    let job: Job<()> = Box::new(move || {
        work(&senders, &mut set, ops);
        assert!(set.try_recv().is_none(), "an item is left over");
    });
    race(ops, vec![job]).0
}

#[inline(never)]
fn send_and_select<S: Select>(senders: &[S::Sender], set: &mut S, ops: u64) {
    let mut seen = Seen::nothing(ARMS);
    for n in 0..ops {
        let (arm, item) = nth(n);
        S::send(&senders[arm], item);
        seen.take(&set.recv());
    }
    settle([seen], &share(ops, ARMS));
}

#[inline(never)]
fn ask<S: Select>(_: &[S::Sender], set: &mut S, ops: u64) {
    for _ in 0..ops {
        assert!(set.try_recv().is_none(), "an item that nobody sent");
    }
}

/// One sender for each channel, and one who selects. The senders outlive the run: to select over
/// closed channels is another workload.
fn busy<S: Select>(capacity: usize, ops: u64) -> Sample {
    let (senders, mut set) = S::channels(capacity);
    let sent = share(ops, ARMS);
    let mut jobs: Vec<Job<End<S::Sender, S>>> = Vec::new();
    for (arm, (sender, &items)) in senders.into_iter().zip(&sent).enumerate() {
        jobs.push(Box::new(move || {
            Load::new(arm, items).for_each(|item| S::send(&sender, item));
            End::Sent(sender)
        }));
    }
    jobs.push(Box::new(move || {
        let mut seen = Seen::nothing(ARMS);
        for _ in 0..ops {
            seen.take(&set.recv());
        }
        End::Received(set, seen)
    }));
    let (sample, ends) = race(ops, jobs);
    let (_senders, set, seen) = sort(ends);
    settle([seen], &sent);
    assert!(set.is_some_and(|mut set| set.try_recv().is_none()), "an item is left over");
    sample
}

/// What a party of a busy run brings back.
enum End<S, R> {
    Sent(S),
    Received(R, Seen),
}

fn sort<S, R>(ends: Vec<End<S, R>>) -> (Vec<S>, Option<R>, Seen) {
    let (mut senders, mut set, mut all) = (Vec::new(), None, Seen::nothing(ARMS));
    for end in ends {
        match end {
            End::Sent(sender) => senders.push(sender),
            End::Received(receivers, seen) => (set, all) = (Some(receivers), seen),
        }
    }
    (senders, set, all)
}

fn ready_async<S: AsyncSelect>(ops: u64) -> Sample {
    let (senders, mut set) = S::channels(1);
    let task: Task<Seen> = Box::pin(async move {
        let mut seen = Seen::nothing(ARMS);
        for n in 0..ops {
            let (arm, item) = nth(n);
            S::send(&senders[arm], item).await;
            seen.take(&set.recv().await);
        }
        assert!(set.try_recv().await.is_none(), "an item is left over");
        seen
    });
    let (sample, seen) = race_tasks(ops, vec![task]);
    settle(seen, &share(ops, ARMS));
    sample
}

fn idle_async<S: AsyncSelect>(ops: u64) -> Sample {
    let (senders, mut set) = S::channels(1);
    let task: Task<()> = Box::pin(async move {
        for _ in 0..ops {
            assert!(set.try_recv().await.is_none(), "an item that nobody sent");
        }
        drop(senders);
    });
    race_tasks(ops, vec![task]).0
}

fn busy_async<S: AsyncSelect>(capacity: usize, ops: u64) -> Sample {
    let (senders, mut set) = S::channels(capacity);
    let sent = share(ops, ARMS);
    let mut tasks: Vec<Task<End<S::Sender, S>>> = Vec::new();
    for (arm, (sender, &items)) in senders.into_iter().zip(&sent).enumerate() {
        tasks.push(Box::pin(async move {
            for item in Load::new(arm, items) {
                S::send(&sender, item).await;
            }
            End::Sent(sender)
        }));
    }
    tasks.push(Box::pin(async move {
        let mut seen = Seen::nothing(ARMS);
        for _ in 0..ops {
            seen.take(&set.recv().await);
        }
        End::Received(set, seen)
    }));
    let (sample, ends) = race_tasks(ops, tasks);
    let (_senders, set, seen) = sort(ends);
    settle([seen], &sent);
    let look: Task<bool> = Box::pin(async move {
        let mut set = set.expect("one has received");
        set.try_recv().await.is_some()
    });
    let (_, left_over) = race_tasks(1, vec![look]);
    assert_eq!(left_over, [false], "an item is left over");
    sample
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// Asks each of std's channels in turn; with `REPEATS`, the 300th item comes twice.
    struct Planted<const REPEATS: bool>(Vec<mpsc::Receiver<u64>>, Vec<u64>);

    impl<const REPEATS: bool> Select for Planted<REPEATS> {
        const NAME: &'static str = "planted";
        type Sender = mpsc::SyncSender<u64>;

        fn channels(capacity: usize) -> (Vec<Self::Sender>, Self) {
            let (senders, set) = (0..ARMS).map(|_| mpsc::sync_channel(capacity)).unzip();
            (senders, Self(set, Vec::new()))
        }

        fn send(sender: &Self::Sender, item: u64) {
            sender.send(item).expect("the receiver is there");
        }

        fn recv(&mut self) -> u64 {
            loop {
                if let Some(item) = self.try_recv() {
                    return item;
                }
                std::thread::yield_now();
            }
        }

        fn try_recv(&mut self) -> Option<u64> {
            let item = self.0.iter().find_map(|channel| channel.try_recv().ok())?;
            self.1.push(item);
            Some(if REPEATS && self.1.len() == 300 { self.1[298] } else { item })
        }
    }

    /// tokio's, in which the last of 1000 items comes a second time, when all are through.
    struct Doubling(Tokio, u64, Option<u64>);

    type Tokio = candidates::Tokio;

    impl AsyncSelect for Doubling {
        const NAME: &'static str = "doubling";
        type Sender = <Tokio as AsyncSelect>::Sender;

        fn channels(capacity: usize) -> (Vec<Self::Sender>, Self) {
            let (senders, set) = Tokio::channels(capacity);
            (senders, Self(set, 0, None))
        }

        async fn send(sender: &Self::Sender, item: u64) {
            Tokio::send(sender, item).await;
        }

        async fn recv(&mut self) -> u64 {
            let item = self.0.recv().await;
            self.1 += 1;
            self.2 = (self.1 == 1000).then_some(item);
            item
        }

        async fn try_recv(&mut self) -> Option<u64> {
            match self.2.take() {
                Some(item) => Some(item),
                None => self.0.try_recv().await,
            }
        }
    }

    #[test]
    #[should_panic(expected = "a task of this run panicked")]
    fn an_item_that_a_task_gets_twice_at_the_end_fails() {
        ready_async::<Doubling>(1000);
    }

    #[test]
    #[should_panic(expected = "an item is left over")]
    fn an_item_that_comes_twice_at_the_end_of_busy_channels_fails() {
        busy_async::<Doubling>(16, 1000);
    }

    #[test]
    fn selecting_that_works_passes() {
        alone::<Planted<false>>(1000, send_and_select);
        alone::<Planted<false>>(1000, ask);
        busy::<Planted<false>>(4, 1000);
    }

    #[test]
    #[should_panic(expected = "a thread of this run panicked")]
    fn an_item_that_comes_twice_fails() {
        alone::<Planted<true>>(1000, send_and_select);
    }

    #[test]
    #[should_panic]
    fn an_item_that_comes_twice_from_a_busy_channel_fails() {
        busy::<Planted<true>>(4, 1000);
    }

    #[test]
    fn every_candidate_does_every_workload() {
        for cell in &mut cells() {
            for candidate in &mut cell.candidates {
                assert_eq!((candidate.run)(1000).ops, 1000, "{}", candidate.name);
            }
        }
    }
}
