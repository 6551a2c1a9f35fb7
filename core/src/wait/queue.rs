//! The queue of waiters: the one algorithm under everything in this crate that can wait.
//!
//! [`Waiters`] is generic over the [`Primitive`] that it serves, which owns the word and says who may have
//! what, and over the storage of the slots. The story is in PROTOCOL.md; each ordering below
//! carries a label, and the Pairs table there names its partner.
//!
//! This file has the parties that come and go: the registrant, the poller, the canceller, whoever posts. The one
//! who drains is in `drain.rs`.

use core::panic::{RefUnwindSafe, UnwindSafe};
use core::task::{Poll, Waker};

use super::list::List;
use super::slot::{
    CANCELLED, CONSUMED, GRANTED, GRANTING, Grant, Links, Phase, Request, UNLISTED, UPDATING,
    WAITING,
};
use super::slots::Storage;
use super::state::Word;
use crate::sync::{
    self, AcqRel, Acquire, AtomicUsize, Relaxed, Release, SeqCst, UnsafeCell, const_unless_loom,
};

/// What waits are for: the owner of the word, who says what the oldest waiter of each class may have.
///
/// `grant` and `ungrant` are called by the drainer alone, so never by two at once. They must not wait, nor
/// call a waker.
pub(crate) trait Primitive<const CLASSES: usize> {
    /// The word. Its bits below [`FREE_BIT`](super::state::FREE_BIT) are the queue's. Only ever changed by
    /// read-modify-writes, so that each of them carries on the release sequence of those before.
    fn word(&self) -> &AtomicUsize;

    /// May one of these have something? Then it takes that out of its state, and names the class. Every
    /// `Acquire` that the waiter needs, of whoever gave, happens here.
    fn grant(&self, heads: &[Option<Head>; CLASSES]) -> Option<(usize, Grant)>;

    /// Takes back a grant whose waiter had gone. The next head is asked for after this.
    fn ungrant(&self, class: usize, grant: Grant);

    /// What remains of the primitive's own bits when the drainer leaves and nobody waits.
    fn settled(word: Word) -> Word;
}

/// The oldest waiter of a class, as the primitive sees it.
#[derive(Clone, Copy)]
pub(crate) struct Head {
    /// What it asked for, as given to [`Waiters::poll`].
    pub(crate) ask: usize,
    /// It belongs to a phase that has begun: when the drainer served one of its class, it stood in line already, and
    /// all who stood before it have been served or have left.
    pub(crate) in_phase: bool,
}

/// What to do to the word; see [`Waiters::post`].
pub(crate) enum Post {
    /// Leave it as it is, without a read-modify-write.
    Nothing,
    /// Write this, and publish what came before.
    Change(Word),
    /// Write this and, with the same step, ask for a drain.
    Kick(Word),
}

/// A future's place in the queue: the index of its slot, if it has one.
pub(crate) type Place = Option<usize>;

/// The queue of those who wait for a [`Primitive`].
pub(crate) struct Waiters<P, W, const CLASSES: usize = 1> {
    pub(super) primitive: P,
    pub(super) storage: W,
    /// Address of the youngest slot pushed since the drainer last took them; each links to the next older one.
    pub(super) inbox: AtomicUsize,
    /// Address of a withdrawn slot, the first of a stack.
    pub(super) withdrawn: AtomicUsize,
    /// The waiters, oldest first. The drainer's.
    pub(super) lists: UnsafeCell<[List; CLASSES]>,
    /// How often a waiter found no slot and woke itself.
    self_wakes: AtomicUsize,
}

// SAFETY: every field is Sync but `lists`, which only the drainer touches: the one party that set DRAINING.
unsafe impl<P: Sync, W: Sync, const CLASSES: usize> Sync for Waiters<P, W, CLASSES> {}

// A waker that panics does so after the drainer has left the lists.
impl<P, W, const CLASSES: usize> UnwindSafe for Waiters<P, W, CLASSES> {}
impl<P, W, const CLASSES: usize> RefUnwindSafe for Waiters<P, W, CLASSES> {}

impl<P, W, const CLASSES: usize> Waiters<P, W, CLASSES> {
    const_unless_loom! {
        pub(crate) const fn new(primitive: P, storage: W) -> Self {
            Self {
                primitive,
                storage,
                inbox: AtomicUsize::new(0),
                withdrawn: AtomicUsize::new(0),
                lists: UnsafeCell::new([List::new(); CLASSES]),
                self_wakes: AtomicUsize::new(0),
            }
        }
    }

    pub(crate) fn primitive(&self) -> &P {
        &self.primitive
    }

    pub(crate) fn self_wakes(&self) -> usize {
        // self-wakes:read - Relaxed: a statistic.
        self.self_wakes.load(Relaxed)
    }
}

impl<P: Primitive<CLASSES>, W: Storage, const CLASSES: usize> Waiters<P, W, CLASSES> {
    /// Changes the word in one step; a [`Kick`](Post::Kick) asks for a drain with the same step, and does it
    /// if nobody else is at it.
    pub(crate) fn post(&self, mut change: impl FnMut(Word) -> Post) {
        let word = self.primitive.word();
        // post:look - Relaxed: only a guess for the compare-and-swap, or a value that Nothing is done about.
        let mut seen = Word(word.load(Relaxed));
        loop {
            let (next, drain) = match change(seen) {
                Post::Nothing => return,
                Post::Change(next) => (next, false),
                Post::Kick(next) => next.kicked(),
            };
            // kick:post - SeqCst: as a release it publishes what was pushed or done before to drain:again,
            // drain:claim and grant:look; as an acquire (when it claims DRAINING) it reads drain:leave, so the
            // lists are ours; and it stands before a registrant's later look at what it waits for in the single
            // total order, see notify:sleep. Failure Relaxed: the value is only the next guess.
            match word.compare_exchange_weak(seen.0, next.0, SeqCst, Relaxed) {
                Ok(_) if drain => return self.drain(),
                Ok(_) => return,
                Err(now) => seen = Word(now),
            }
        }
    }

    /// Does anybody wait? One load, for those who have just published what others may wait for.
    pub(crate) fn is_awaited(&self) -> bool {
        sync::total_order();
        self.is_awaited_in_order()
    }

    /// As `is_awaited`, for a caller whose last read-modify-write stands in the total order by itself. What it did after
    /// that, such as a plain store, does not.
    pub(crate) fn is_awaited_in_order(&self) -> bool {
        // notify:sleep - SeqCst: pairs with the SeqCst of kick:post. The caller published (a SeqCst
        // read-modify-write) and then loads here; a registrant posts and then looks for what was published
        // (SeqCst loads). In the single total order one of them comes second, and sees the other.
        Word(self.primitive.word().load(SeqCst)).is_awaited()
    }

    /// Asks for a drain.
    pub(crate) fn kick(&self) {
        self.post(Post::Kick);
    }

    /// Asks for `ask` as one of `class`: stands in line, unless `place` says that the future does so already.
    ///
    /// Pending without a place means that no slot was free; then `waker` was woken, and the future asks again.
    /// After Pending the caller looks once more whether what it waits for is there, with `SeqCst` loads if the
    /// other side relies on [`is_awaited`](Self::is_awaited), and cancels if so.
    ///
    /// A waker that panics, in here or anywhere, leaves `place` and its slot in a state that this function and
    /// [`cancel`](Self::cancel) know.
    pub(crate) fn poll(
        &self,
        place: &mut Place,
        waker: &Waker,
        class: usize,
        ask: usize,
    ) -> Poll<Grant> {
        // First, so that a panic in `clone` leaves nothing behind.
        let waker = waker.clone();
        match *place {
            Some(index) => self.ask_again(place, index, waker),
            None => self.register(place, waker, Request { class, ask }),
        }
    }

    fn register(&self, place: &mut Place, waker: Waker, request: Request) -> Poll<Grant> {
        let Some(index) = self.storage.allocate() else {
            // self-wakes:count - Relaxed: a statistic.
            self.self_wakes.fetch_add(1, Relaxed);
            waker.wake();
            return Poll::Pending;
        };
        let slot = self.storage.slot(index);
        // SAFETY: the slot is ours alone until it is pushed.
        let none = unsafe { slot.replace_waker(Some(waker)) };
        debug_assert!(none.is_none(), "a slot is freed without its waker");
        // SAFETY: as above.
        unsafe { slot.set_request(request) };
        // register:publish - Relaxed: register:push publishes it with the rest of the slot.
        slot.phase.store(UPDATING, Relaxed);
        self.push(index);
        *place = Some(index);

        self.post(|word| Post::Kick(word.with_waiter(request.class)));
        self.second_look(place, index)
    }

    /// Puts a slot into the inbox.
    fn push(&self, index: usize) {
        let slot = self.storage.slot(index);
        // register:guess - Relaxed: only a guess for the compare-and-swap; we follow no link.
        let mut older = self.inbox.load(Relaxed);
        loop {
            // SAFETY: the slot is ours alone until it is pushed, which the next line does.
            unsafe { slot.set_links(Links { next: older, prev: UNLISTED }) };
            // register:push - AcqRel: drain:inbox reads it, so the slot is written; and it reads the pushes before
            // it, so whoever stands behind another also knows what that one knew (notify_all:epoch needs it).
            match self.inbox.compare_exchange_weak(older, index + 1, AcqRel, Relaxed) {
                Ok(_) => return,
                Err(now) => older = now,
            }
        }
    }

    /// Lets go of the waker, unless the drainer has granted while we held it.
    fn second_look(&self, place: &mut Place, index: usize) -> Poll<Grant> {
        let slot = self.storage.slot(index);
        // register:look - Release: hand:open reads it, so the waker is there; failure Acquire: reads hand:early,
        // so what the grant stands for is ours.
        match slot.phase.compare_exchange(UPDATING, WAITING, Release, Acquire) {
            Ok(_) => {
                // Before the caller's second look at what it waits for.
                sync::total_order();
                Poll::Pending
            }
            Err(granted) => self.take_granted(place, index, Phase(granted)),
        }
    }

    fn ask_again(&self, place: &mut Place, index: usize, waker: Waker) -> Poll<Grant> {
        let slot = self.storage.slot(index);
        // poll:look - Acquire: reads hand:open, hand:finish and hand:early, so what the grant stands for is ours.
        let mut seen = slot.phase.load(Acquire);
        if seen == WAITING {
            // poll:open - Relaxed: the waker in the slot was put there by this very future. Failure Acquire: as
            // poll:look.
            match slot.phase.compare_exchange(WAITING, UPDATING, Relaxed, Acquire) {
                Ok(_) => seen = UPDATING,
                Err(now) => seen = now,
            }
        }
        // Or it was UPDATING: a waker had panicked in an earlier poll, which did not come to its end.
        if seen != UPDATING {
            // While the slot is still ours: should this panic, what it stands for is not lost.
            drop(waker);
            return self.accept(place, index, Phase(seen));
        }
        // SAFETY: UPDATING, and we are the slot's future.
        let old = unsafe { slot.replace_waker(Some(waker)) };
        drop(old);
        self.second_look(place, index)
    }

    /// Leaves the line. Returns what had been granted already: the caller must use it or give it back.
    pub(crate) fn cancel(&self, place: &mut Place) -> Option<Grant> {
        let index = (*place)?;
        let slot = self.storage.slot(index);
        // cancel:look - Acquire: as poll:look.
        let mut seen = slot.phase.load(Acquire);
        while let UPDATING | WAITING = seen {
            // cancel:withdraw - Relaxed: the waker in the slot was put there by this very future, and whoever
            // meets CANCELLED touches nothing of ours before cancel:push. Failure Acquire: as poll:look.
            match slot.phase.compare_exchange(seen, CANCELLED, Relaxed, Acquire) {
                Ok(_) => {
                    *place = None;
                    // SAFETY: CANCELLED, and we are the slot's future.
                    let _waker = unsafe { slot.replace_waker(None) };
                    self.withdraw(index);
                    // The head may have been ours, and the next one may ask for less.
                    self.kick();
                    return None;
                }
                Err(now) => seen = now,
            }
        }
        match self.accept(place, index, Phase(seen)) {
            Poll::Ready(grant) => Some(grant),
            Poll::Pending => None,
        }
    }

    /// Puts a cancelled slot on the stack for the drainer to unlink and free.
    fn withdraw(&self, index: usize) {
        let slot = self.storage.slot(index);
        // cancel:guess - Relaxed: only a guess for the compare-and-swap; we follow no link.
        let mut first = self.withdrawn.load(Relaxed);
        loop {
            // SAFETY: we are the slot's canceller and have not pushed it.
            unsafe { slot.set_withdrawn(first) };
            // cancel:push - Release: drain:withdrawn reads it, so the waker is gone and the link is written.
            match self.withdrawn.compare_exchange_weak(first, index + 1, Release, Relaxed) {
                Ok(_) => return,
                Err(now) => first = now,
            }
        }
    }

    /// Takes a grant that is made (GRANTED) or being made (GRANTING).
    fn accept(&self, place: &mut Place, index: usize, seen: Phase) -> Poll<Grant> {
        if seen.kind() == GRANTED {
            return self.take_granted(place, index, seen);
        }
        debug_assert_eq!(seen.kind(), GRANTING);
        let consumed = Phase::with(CONSUMED, seen.grant());
        // accept:consume - Release: hand:finish fails on it; all that we did to the slot is before the drainer
        // frees it. Failure Acquire: reads hand:finish, so the drainer has let go.
        match self.storage.slot(index).phase.compare_exchange(seen.0, consumed.0, Release, Acquire)
        {
            Ok(_) => {
                *place = None;
                Poll::Ready(seen.grant())
            }
            Err(granted) => self.take_granted(place, index, Phase(granted)),
        }
    }

    /// Takes a grant from a slot that the drainer has let go of, and frees it.
    fn take_granted(&self, place: &mut Place, index: usize, seen: Phase) -> Poll<Grant> {
        debug_assert_eq!(seen.kind(), GRANTED);
        // SAFETY: GRANTED, and we are the slot's future.
        let waker = unsafe { self.storage.slot(index).replace_waker(None) };
        // While the slot is ours: should this panic, the grant is still there.
        drop(waker);
        self.storage.free(index);
        *place = None;
        Poll::Ready(seen.grant())
    }
}
