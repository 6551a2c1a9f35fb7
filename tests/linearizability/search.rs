//! Wing and Gong's search for a sequential order, with Lowe's memory of where it has been.
//!
//! `aqueduct_tests::history` searches, too: for queues alone, taking steps back instead of copying states, and with
//! exact knowledge of who stands still, since the interrupt checker asks it millions of times. Here the model is
//! anybody's, and so plain that it can be believed.

use std::collections::HashSet;
use std::fmt::Debug;
use std::hash::Hash;

/// One call, with what came of it.
#[derive(Clone, Debug)]
pub(crate) struct Recorded<C> {
    pub(crate) call: C,
    pub(crate) began: u64,
    pub(crate) ended: u64,
    /// The weight of all calls of others that were under way at some moment of this one.
    pub(crate) around: usize,
}

/// A sequential object: what its calls may answer, and what they change.
pub(crate) trait Model {
    /// Whatever decides what can be answered next.
    type State: Clone + Eq + Hash + Debug;
    /// A call with its outcome.
    type Call: Debug;

    fn start(&self) -> Self::State;

    /// How many events the call consists of. Others may come between them; all lie between its beginning and its end.
    fn events(&self, call: &Self::Call) -> usize;

    /// Adds to `next` every state in which the event can leave the object, with the outcome that it had: none if it
    /// cannot happen here.
    fn step(&self, state: &Self::State, event: Event<'_, Self::Call>, next: &mut Vec<Self::State>);

    /// Whether the object can be left like this, for good.
    fn may_end(&self, state: &Self::State) -> bool;
}

/// The event that is to be put next.
pub(crate) struct Event<'a, C> {
    pub(crate) party: usize,
    pub(crate) recorded: &'a Recorded<C>,
    /// Which of the call's events it is.
    pub(crate) nth: usize,
}

/// As many parties as a history can have.
const PARTIES: usize = 8;

/// How many events of each party have been put.
type At = [u16; PARTIES];

/// Looks for an order of all events that keeps that of each chain, puts no call before one that had ended when it
/// began, and is allowed by the model. `Err` tells how far the best attempt came.
pub(crate) fn explain<M: Model>(
    model: &M,
    chains: &[Vec<Recorded<M::Call>>],
) -> Result<(), String> {
    let chains: Vec<Vec<Event<'_, M::Call>>> = chains
        .iter()
        .enumerate()
        .map(|(party, chain)| {
            let of =
                |(recorded, events)| (0..events).map(move |nth| Event { party, recorded, nth });
            chain
                .iter()
                .map(|recorded| (recorded, model.events(&recorded.call)))
                .flat_map(of)
                .collect()
        })
        .collect();
    let heads = |at: &At| -> Vec<&Event<'_, M::Call>> {
        let mut heads: Vec<_> =
            chains.iter().zip(at).filter_map(|(chain, &at)| chain.get(at as usize)).collect();
        // The last to end first, so that the first to end is on top of the stack: it is often the right one.
        heads.sort_unstable_by_key(|head| std::cmp::Reverse(head.recorded.ended));
        heads
    };

    let mut stack = vec![(At::default(), model.start())];
    let mut seen = HashSet::new();
    let mut next = Vec::new();
    let (mut furthest, mut stuck) = (0, None);
    while let Some((at, state)) = stack.pop() {
        let heads = heads(&at);
        // Whatever ended before another began must come first.
        let Some(first_end) = heads.iter().map(|head| head.recorded.ended).min() else {
            if model.may_end(&state) {
                return Ok(());
            }
            stuck = Some((at, state));
            continue;
        };
        let put = at.iter().map(|&at| usize::from(at)).sum();
        if put >= furthest && !chains.is_empty() {
            furthest = put;
            stuck = Some((at, state.clone()));
        }
        for head in heads.into_iter().filter(|head| head.recorded.began <= first_end) {
            let mut after = at;
            after[head.party] += 1;
            let Event { party, recorded, nth } = *head;
            model.step(&state, Event { party, recorded, nth }, &mut next);
            for state in next.drain(..) {
                if seen.insert((after, state.clone())) {
                    stack.push((after, state));
                }
            }
        }
    }
    let Some((at, state)) = stuck else {
        return Err("a history of nothing cannot end like this".into());
    };
    let next = heads(&at);
    let next: Vec<_> =
        next.iter().rev().map(|head| (head.party, head.nth, head.recorded)).collect();
    Err(format!(
        "no sequential order explains it: the best attempt ends with {state:?}, before {next:#?}"
    ))
}
