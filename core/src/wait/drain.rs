//! The drainer: the one party that walks the lists, unlinks, grants and hands over. Whoever's compare-and-swap
//! set DRAINING is it, until its compare-and-swap clears it again; no waker is cloned, woken or dropped between.

use super::batch::Batch;
use super::list::{List, at};
use super::queue::{Head, Primitive, Waiters};
use super::slot::{CANCELLED, GRANTED, GRANTING, Grant, Phase, UPDATING, WAITING};
use super::slots::Storage;
use super::state::{NOT_DIRTY, Vacant, Word};
use crate::sync::{AcqRel, Acquire, Relaxed, Release};

impl<P: Primitive<CLASSES>, W: Storage, const CLASSES: usize> Waiters<P, W, CLASSES> {
    /// Serves everybody who can be served. The caller has just set DRAINING, with an acquire.
    pub(super) fn drain(&self) {
        loop {
            let mut batch = Batch::new();
            while !self.leave(self.pass(&mut batch)) {}
            // We do not drain any more: a waker may call whatever it likes, and may panic.
            let more = batch.is_full();
            batch.wake(|| {
                if more {
                    self.kick()
                }
            });
            if !more || !self.claim() {
                return;
            }
        }
    }

    /// One look at everything: the withdrawn, the newcomers, and then the heads, until nobody can be served or the
    /// batch is full.
    fn pass(&self, batch: &mut Batch) -> Vacant {
        self.lists.with_mut(|lists| {
            // SAFETY: we drain, and nobody else touches the lists.
            let lists = unsafe { &mut *lists };

            // The withdrawn first, the newcomers second. The other way round, somebody who registered and withdrew
            // between the two is freed here while he is still in the inbox, not taken yet.
            //
            //
            // drain:peek - Relaxed: to pay for no swap where there is nothing, which is most of the time. What was pushed
            // before the kick that we drain for is seen, for that kick published it; who pushes later kicks later, and is
            // looked for then. Nor does the second look come before the first swap, which is an acquire.
            let withdrawn = match self.withdrawn.load(Relaxed) {
                0 => 0,
                // drain:withdrawn - Acquire: reads cancel:push, so the slot is written, and it is in the inbox or listed.
                _ => self.withdrawn.swap(0, Acquire),
            };
            // drain:peek - Relaxed: as above.
            let newcomers = match self.inbox.load(Relaxed) {
                0 => 0,
                // drain:inbox - Acquire: reads register:push, so the slots are written.
                _ => self.inbox.swap(0, Acquire),
            };
            self.admit(lists, newcomers);
            self.free_withdrawn(lists, withdrawn);

            while !batch.is_full() {
                let heads = core::array::from_fn(|class| self.head(&lists[class]));
                let Some((class, grant)) = self.primitive.grant(&heads) else { break };
                lists[class].begin_phase();
                let address = lists[class].head();
                // SAFETY: we drain, and the slot is the head of this list.
                unsafe { lists[class].unlink(&self.storage, address) };
                if !self.hand_over(address, grant, batch) {
                    self.primitive.ungrant(class, grant);
                }
            }

            let empty = |&class: &usize| lists[class].head() == 0;
            (0..CLASSES).filter(empty).fold(Vacant::default(), Vacant::with)
        })
    }

    /// Appends the newcomers to the lists of their classes, oldest first.
    fn admit(&self, lists: &mut [List; CLASSES], mut youngest: usize) {
        // Each links to the next older one: turn the links round.
        let mut oldest = 0;
        while youngest != 0 {
            let slot = at(&self.storage, youngest);
            // SAFETY: we drain, and the slot came out of the inbox.
            let mut links = unsafe { slot.links() };
            let older = core::mem::replace(&mut links.next, oldest);
            // SAFETY: as above.
            unsafe { slot.set_links(links) };
            oldest = core::mem::replace(&mut youngest, older);
        }
        while oldest != 0 {
            let slot = at(&self.storage, oldest);
            // SAFETY: we drain, and the slot came out of the inbox.
            let next = unsafe { slot.links() }.next;
            // SAFETY: as above.
            let class = unsafe { slot.request() }.class;
            // SAFETY: we drain, and the slot came out of the inbox and is in no list yet.
            unsafe { lists[class].append(&self.storage, oldest) };
            oldest = next;
        }
    }

    /// Unlinks and frees a stack of withdrawn slots.
    fn free_withdrawn(&self, lists: &mut [List; CLASSES], mut address: usize) {
        while address != 0 {
            let slot = at(&self.storage, address);
            // SAFETY: we drain, and the slot came off the stack.
            let next = unsafe { slot.withdrawn() };
            // SAFETY: we drain, and the slot was in the inbox that we emptied, or earlier.
            let class = unsafe { slot.request() }.class;
            // SAFETY: we drain, and the slot is in the list of its class, or was met there and unlinked.
            unsafe { lists[class].unlink(&self.storage, address) };
            self.storage.free(address - 1);
            address = next;
        }
    }

    fn head(&self, list: &List) -> Option<Head> {
        let address = list.head();
        if address == 0 {
            return None;
        }
        // SAFETY: we drain, and the slot is listed.
        let request = unsafe { at(&self.storage, address).request() };
        Some(Head { ask: request.ask, in_phase: list.is_in_phase() })
    }

    /// Gives `grant` to an unlinked slot. False if its future has withdrawn.
    fn hand_over(&self, address: usize, grant: Grant, batch: &mut Batch) -> bool {
        let slot = at(&self.storage, address);
        let granting = Phase::with(GRANTING, grant).0;
        let granted = Phase::with(GRANTED, grant).0;
        // hand:look - Relaxed: only a guess for the compare-and-swaps.
        let mut seen = slot.phase.load(Relaxed);
        // Ends: only the future's own progress moves it between UPDATING and WAITING.
        loop {
            let moved = match Phase(seen).kind() {
                // hand:early - Release: register:look and poll:look read it, so what the grant stands for is the
                // future's, and we have let go of the slot: it needs no waker, its future is inside a poll.
                UPDATING => slot.phase.compare_exchange(seen, granted, Release, Relaxed),
                // hand:open - AcqRel: reads register:look, so the waker is there; accept:consume may read it, so
                // what the grant stands for is the future's.
                WAITING => slot.phase.compare_exchange(seen, granting, AcqRel, Relaxed),
                CANCELLED => return false,
                _ => unreachable!("a listed slot waits, or has withdrawn"),
            };
            match moved {
                Ok(UPDATING) => return true,
                Ok(_) => break,
                Err(now) => seen = now,
            }
        }
        // SAFETY: GRANTING, and we drain.
        let waker = unsafe { slot.replace_waker(None) };
        if let Some(waker) = waker {
            batch.push(waker);
        }
        // hand:finish - Release: poll:look reads it, so the waker is out and the slot is the future's. Failure
        // Acquire: reads accept:consume, so the future has let go and the slot is ours to free.
        if slot.phase.compare_exchange(granting, granted, Release, Acquire).is_err() {
            self.storage.free(address - 1);
        }
        true
    }

    /// Stops draining. False if something happened since we looked.
    fn leave(&self, vacant: Vacant) -> bool {
        let word = self.primitive.word();
        // leave:look - Relaxed: only a guess for the compare-and-swap.
        let mut seen = Word(word.load(Relaxed));
        loop {
            if seen.is_dirty() {
                // drain:again - Acquire: reads kick:post, so the next pass finds what was pushed before it.
                word.fetch_and(NOT_DIRTY, Acquire);
                return false;
            }
            let mut next = seen.left(vacant);
            if !next.is_awaited() {
                next = P::settled(next);
            }
            // drain:leave - Release: kick:post and drain:claim read it, so the lists are the next drainer's. It fails
            // on DIRTY, or a message posted since we looked would lie there unread.
            match word.compare_exchange_weak(seen.0, next.0, Release, Relaxed) {
                Ok(_) => return true,
                Err(now) => seen = Word(now),
            }
        }
    }

    /// Becomes the drainer again after a full batch, unless somebody else is, who then looks for us.
    fn claim(&self) -> bool {
        let word = self.primitive.word();
        // claim:look - Relaxed: only a guess for the compare-and-swap.
        let mut seen = Word(word.load(Relaxed));
        loop {
            let (next, drain) = seen.kicked();
            // drain:claim - AcqRel: as kick:post; it reads drain:leave, so the lists are ours.
            match word.compare_exchange_weak(seen.0, next.0, AcqRel, Relaxed) {
                Ok(_) => return drain,
                Err(now) => seen = Word(now),
            }
        }
    }
}
