//! Threads that start together, and what they saw.

use crate::search::{Model, Recorded, explain};
use std::cell::Cell;
use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::thread;

/// How many threads make a history.
pub(crate) const PARTIES: usize = 4;

/// What one party does and sees.
pub(crate) struct Tape<'c, C> {
    pub(crate) party: usize,
    clock: &'c AtomicU64,
    random: u64,
    chain: Vec<Recorded<C>>,
}

impl<C> Tape<'_, C> {
    /// Makes a call, which returns itself with its outcome.
    pub(crate) fn call(&mut self, call: impl FnOnce() -> C) -> &C {
        let began = self.clock.fetch_add(1, SeqCst);
        let call = call();
        let ended = self.clock.fetch_add(1, SeqCst);
        self.chain.push(Recorded { call, began, ended, around: 0 });
        &self.chain[self.chain.len() - 1].call
    }

    /// A number below `below`.
    pub(crate) fn random(&mut self, below: usize) -> usize {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 11) as usize % below
    }

    /// A value that nobody else sends in this round.
    pub(crate) fn value(&self) -> u64 {
        ((self.chain.len() * PARTIES + self.party + 1) * 10) as u64
    }
}

/// Lets the others run, sometimes: where two steps of a call can be told apart from outside, they come between.
pub(crate) fn now_and_then_yield() {
    thread_local!(static TURN: Cell<u32> = const { Cell::new(0) });
    TURN.set(TURN.get() + 1);
    if TURN.get().is_multiple_of(3) {
        thread::yield_now();
    }
}

/// What was recorded in one run of a test.
#[derive(Default)]
pub(crate) struct Tally {
    histories: AtomicUsize,
    calls: AtomicUsize,
    overlapping: AtomicUsize,
}

impl Tally {
    /// Says it, for `ci/linearize` to add up.
    pub(crate) fn tell(&self, object: &str) {
        let [histories, calls, overlapping] =
            [&self.histories, &self.calls, &self.overlapping].map(|count| count.load(SeqCst));
        println!(
            "linearize: {object}: {histories} histories of {calls} operations, {}% beside another",
            100 * overlapping / calls.max(1),
        );
    }
}

/// Records one history: `script` in as many threads as there are parties, which start together.
pub(crate) fn record<C: Send>(
    seed: u64,
    tally: &Tally,
    weight: impl Fn(&C) -> usize,
    script: impl Fn(&mut Tape<'_, C>) + Sync,
) -> Vec<Vec<Recorded<C>>> {
    let (start, clock) = (Barrier::new(PARTIES), AtomicU64::new(0));
    let mut chains = thread::scope(|scope| {
        let parties: Vec<_> = (0..PARTIES)
            .map(|party| {
                let (start, clock, script) = (&start, &clock, &script);
                scope.spawn(move || {
                    let random = (seed * PARTIES as u64 + party as u64 + 1)
                        .wrapping_mul(0x9e37_79b9_7f4a_7c15);
                    let mut tape = Tape { party, clock, random, chain: Vec::new() };
                    start.wait();
                    script(&mut tape);
                    tape.chain
                })
            })
            .collect();
        parties.into_iter().map(|party| party.join().unwrap()).collect::<Vec<_>>()
    });
    tally.histories.fetch_add(1, SeqCst);
    for party in 0..PARTIES {
        tally.calls.fetch_add(chains[party].len(), SeqCst);
        let mut first = [0; PARTIES];
        for nth in 0..chains[party].len() {
            let Recorded { began, ended, .. } = chains[party][nth];
            let (mut around, mut overlaps) = (0, false);
            for other in (0..PARTIES).filter(|&other| other != party) {
                let chain = &chains[other];
                while chain.get(first[other]).is_some_and(|call| call.ended < began) {
                    first[other] += 1;
                }
                for call in chain[first[other]..].iter().take_while(|call| call.began < ended) {
                    around += weight(&call.call);
                    overlaps = true;
                }
            }
            chains[party][nth].around = around;
            tally.overlapping.fetch_add(usize::from(overlaps), SeqCst);
        }
    }
    chains
}

/// Holds `rounds` histories against the model that each comes with. `Err` is the first that has no order.
pub(crate) fn hold<M: Model>(
    rounds: usize,
    mut history: impl FnMut(u64) -> (M, Vec<Vec<Recorded<M::Call>>>),
) -> Result<(), String> {
    (0..rounds as u64).try_for_each(|round| {
        let (model, chains) = history(round);
        explain(&model, &chains).map_err(|complaint| format!("round {round}: {complaint}"))
    })
}
