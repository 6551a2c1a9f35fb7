//! The lock without a value: who is inside, who waits, and the futures of those who want in.

use super::policy::{Policy, WriterPriority};
use super::state::{
    CLASSES, Given, Kind,
    Kind::{Read, Upgradable, Write},
    LOSERS, Lock, MAX_READERS, State, UPGRADE,
};
use super::{Relax, Spin};
use crate::sync::const_unless_loom;
use crate::wait::{Place, Post, Slots, Storage, Waiters};
use core::fmt;
use core::future::Future;
use core::marker::PhantomData;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};

/// A read-write lock that protects nothing in particular: the state machine under [`RwLock`](super::RwLock).
///
/// For those who build their own guards over it. Whoever gets in must call the matching `unlock_` once, from whatever
/// thread or handler. See the [module](super) for progress, fairness and ordering.
///
/// With the feature `lock_api` it implements that crate's raw traits, so that `lock_api::RwLock<RawRwLock, T>` is a lock
/// with all of their guards. Their blocking calls wait by [`Relax`]: the parameter `R`.
///
/// Those guards do not expect their calls to unwind. So a waker that panics while one of them is dropped, unlocked or
/// downgraded ends the program, as does a panic in a wait without a limit, but for an upgrade. (The guards of
/// [`RwLock`](super::RwLock) let the panic out.)
///
/// # Examples
///
/// ```
/// use aqueduct_core::rwlock::RawRwLock;
///
/// static BUS: RawRwLock = RawRwLock::new();
///
/// assert!(BUS.try_read());
/// assert!(!BUS.try_write());
/// // SAFETY: `try_read` let us in, and we leave once.
/// unsafe { BUS.unlock_read() };
/// assert!(BUS.try_write());
/// # // SAFETY: `try_write` let us in, and we leave once.
/// # unsafe { BUS.unlock_write() };
/// ```
pub struct RawRwLock<P: Policy = WriterPriority, W: Storage = Slots<8>, R: Relax = Spin> {
    waiters: Waiters<Lock<P>, W, CLASSES>,
    relax: PhantomData<fn() -> R>,
}

impl RawRwLock {
    const_unless_loom! {
        /// A free lock under [`WriterPriority`], for which eight can wait.
        pub const fn new() -> Self {
            Self::with_policy(WriterPriority, Slots::new())
        }
    }
}

impl<P: Policy, W: Storage, R: Relax> RawRwLock<P, W, R> {
    const_unless_loom! {
        /// A free lock under `_policy`, whose waiters stand in `storage`.
        pub const fn with_policy(_policy: P, storage: W) -> Self {
            Self { waiters: Waiters::new(Lock::new(State::FREE), storage), relax: PhantomData }
        }
    }

    /// Comes in as a reader, if that is possible at once.
    ///
    /// Refused while somebody writes, or (but under [`ReaderPriority`](super::ReaderPriority)) a writer waits, or anybody who was
    /// woken in vain too often, or [`MAX_READERS`] are inside.
    #[must_use = "after `true` the lock is held"]
    #[inline]
    pub fn try_read(&self) -> bool {
        self.lock().enter(Read)
    }

    /// Comes in as a reader beside other readers, whoever waits: for a task that reads already, and would wait for
    /// itself behind a writer. Refused only while somebody writes or [`MAX_READERS`] are inside.
    ///
    /// Who uses it for more than that starves the writers.
    #[must_use = "after `true` the lock is held"]
    pub fn try_read_recursive(&self) -> bool {
        // Also past an upgrade that waits: it counts on the reader inside, and waits for us as well. Its place stays its
        // own, for it may be given up, and be a reader again.
        self.lock().update(|seen| {
            let past_an_upgrade = seen.readers() > 0 && seen.readers() + 1 < MAX_READERS;
            let may = seen.admits(Read) || past_an_upgrade;
            may.then(|| seen.entered(Read))
        })
    }

    /// Comes in as the writer, if that is possible at once.
    #[must_use = "after `true` the lock is held"]
    #[inline]
    pub fn try_write(&self) -> bool {
        self.lock().enter(Write)
    }

    /// Comes in as the upgradable reader, if that is possible at once.
    #[must_use = "after `true` the lock is held"]
    #[inline]
    pub fn try_upgradable_read(&self) -> bool {
        self.lock().enter(Upgradable)
    }

    /// Waits to come in as a reader. After `Ready` one is inside; a future dropped before that leaves the line.
    pub fn read(&self) -> RawAcquire<'_, P, W, R> {
        RawAcquire { lock: self, request: Request::new(Read) }
    }

    /// Waits to come in as the writer. After `Ready` one is inside; a future dropped before that leaves the line.
    pub fn write(&self) -> RawAcquire<'_, P, W, R> {
        RawAcquire { lock: self, request: Request::new(Write) }
    }

    /// Waits to come in as the upgradable reader. After `Ready` one is inside; a future dropped before that leaves the
    /// line.
    pub fn upgradable_read(&self) -> RawAcquire<'_, P, W, R> {
        RawAcquire { lock: self, request: Request::new(Upgradable) }
    }

    /// A reader leaves.
    ///
    /// # Safety
    ///
    /// The caller came in as a reader, and leaves once.
    #[inline]
    pub unsafe fn unlock_read(&self) {
        debug_assert!(self.lock().state().readers() > 0, "unlock_read where nobody reads");
        self.leave(Read);
    }

    /// The writer leaves.
    ///
    /// # Safety
    ///
    /// The caller came in as the writer, and leaves once.
    #[inline]
    pub unsafe fn unlock_write(&self) {
        debug_assert!(self.lock().state().is_written(), "unlock_write where nobody writes");
        self.leave(Write);
    }

    /// The upgradable reader leaves.
    ///
    /// # Safety
    ///
    /// The caller came in as the upgradable reader, and leaves once.
    #[inline]
    pub unsafe fn unlock_upgradable(&self) {
        debug_assert!(
            self.lock().state().is_upgradable(),
            "unlock_upgradable where nobody is upgradable"
        );
        self.leave(Upgradable);
    }

    /// The writer becomes a reader, without anybody else being the writer in between; readers that wait may come in.
    ///
    /// # Safety
    ///
    /// The caller came in as the writer; from now on it is a reader.
    pub unsafe fn downgrade(&self) {
        self.change(Write, Read);
    }

    /// The writer becomes the upgradable reader; readers that wait may come in.
    ///
    /// # Safety
    ///
    /// The caller came in as the writer; from now on it is the upgradable reader.
    pub unsafe fn downgrade_to_upgradable(&self) {
        self.change(Write, Upgradable);
    }

    /// The upgradable reader becomes a reader; another upgradable reader may come in.
    ///
    /// # Safety
    ///
    /// The caller came in as the upgradable reader; from now on it is a reader.
    pub unsafe fn downgrade_upgradable(&self) {
        self.change(Upgradable, Read);
    }

    /// The upgradable reader becomes the writer, if no reader is inside. If not, it stays what it is.
    ///
    /// # Safety
    ///
    /// The caller came in as the upgradable reader; after `true` it is the writer.
    #[must_use = "after `true` the lock is written"]
    pub unsafe fn try_upgrade(&self) -> bool {
        debug_assert!(
            self.lock().state().is_upgradable(),
            "try_upgrade where nobody is upgradable"
        );
        self.lock().update(|seen| {
            (seen.readers() == 0).then(|| P::turn(seen.changed(Upgradable, Write), Write))
        })
    }

    /// Waits until no reader is inside, and is the writer then. From the first poll on nobody else comes in, so neither
    /// a writer nor a new reader gets between.
    ///
    /// Dropped before it is `Ready`, the caller is the upgradable reader as before.
    ///
    /// # Safety
    ///
    /// The caller came in as the upgradable reader, and does nothing with that while the future lives; after `Ready` it is
    /// the writer.
    pub unsafe fn upgrade(&self) -> RawUpgrade<'_, P, W, R> {
        debug_assert!(self.lock().state().is_upgradable(), "upgrade where nobody is upgradable");
        RawUpgrade { lock: self, place: None, stage: Stage::Upgradable }
    }

    /// Whether anybody is inside, as a reader or as the writer. True a moment ago.
    pub fn is_locked(&self) -> bool {
        !self.lock().state().is_free()
    }

    /// Whether a writer is inside. True a moment ago.
    pub fn is_locked_exclusive(&self) -> bool {
        let state = self.lock().state();
        state.is_written() && state.readers() == 0
    }

    /// How often a waiter found no slot and woke itself instead: `W` is too small if this grows.
    pub fn self_wakes(&self) -> usize {
        self.waiters.self_wakes()
    }

    fn lock(&self) -> &Lock<P> {
        self.waiters.primitive()
    }

    /// One of `kind`, who is inside, leaves.
    #[inline]
    pub(super) fn leave(&self, kind: Kind) {
        let before = self.lock().leave(kind);
        if before.is_awaited() {
            self.left_behind(kind, before);
        }
    }

    /// One of `kind` left, and somebody waits.
    #[cold]
    fn left_behind(&self, kind: Kind, before: State) {
        // Another reader more or less inside is all the same to those who wait, unless it was the last or the one too
        // many.
        if kind != Read || before.readers() == 1 || before.is_crowded() {
            self.left(before.left(kind));
        }
    }

    fn change(&self, from: Kind, to: Kind) {
        debug_assert!(from != Write || self.lock().state().is_written(), "nobody writes");
        debug_assert!(
            from != Upgradable || self.lock().state().is_upgradable(),
            "nobody is upgradable"
        );
        let before = self.lock().change(from, to);
        self.left(before.changed(from, to));
    }

    /// Somebody left or became less, and the word says `after`.
    #[cold]
    fn left(&self, after: State) {
        if P::needs_kick(after) {
            self.waiters.kick();
        }
    }

    /// Changes the word, and asks for a drain if somebody can be served then.
    fn give_back(&self, change: impl Fn(State) -> State) {
        self.waiters.post(|word| {
            let next = change(State(word.0));
            if P::needs_kick(next) { Post::Kick(next.word()) } else { Post::Change(next.word()) }
        });
    }

    #[cfg(all(test, feature = "alloc"))]
    pub(super) fn with_readers(_policy: P, storage: W, readers: usize) -> Self {
        let lock = Lock::new(State::with_readers(readers));
        Self { waiters: Waiters::new(lock, storage), relax: PhantomData }
    }
}

impl<P: Policy + Default, W: Storage + Default, R: Relax> Default for RawRwLock<P, W, R> {
    fn default() -> Self {
        Self::with_policy(P::default(), W::default())
    }
}

impl<P: Policy, W: Storage, R: Relax> fmt::Debug for RawRwLock<P, W, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.lock().state();
        f.debug_struct("RawRwLock")
            .field("written", &state.is_written())
            .field("upgradable", &state.is_upgradable())
            .field("readers", &state.readers())
            .field("awaited", &state.is_awaited())
            .finish_non_exhaustive()
    }
}

/// How one request stands.
pub(super) struct Request {
    kind: Kind,
    place: Place,
    /// How often it was woken in vain.
    lost: usize,
    /// It was woken, and has not said yet how that went. Nobody else is woken meanwhile.
    woken: bool,
}

impl Request {
    pub(super) const fn new(kind: Kind) -> Self {
        Self { kind, place: None, lost: 0, woken: false }
    }

    pub(super) const fn is_registered(&self) -> bool {
        self.place.is_some()
    }

    pub(super) fn poll<P: Policy, W: Storage, R: Relax>(
        &mut self,
        raw: &RawRwLock<P, W, R>,
        waker: &Waker,
    ) -> Poll<()> {
        if self.place.is_none() && self.try_enter(raw) {
            return Poll::Ready(());
        }
        loop {
            let class = if self.lost < P::PATIENCE { self.kind as usize } else { LOSERS };
            // No second look at the lock is needed: whoever registers asks for a drain, and the drainer looks.
            let answer = raw.waiters.poll(&mut self.place, waker, class, self.kind as usize);
            let given = answer.map(Given::of);
            let handed = match given {
                Poll::Ready(Given::Lock(kind)) => Some(Handed { raw, kind }),
                _ => None,
            };
            // Only now, when it stands in line again, so that nobody slips in whom a waiting writer keeps out.
            self.decline(raw);
            core::mem::forget(handed);
            match given {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Given::Lock(_) | Given::Upgraded) => return Poll::Ready(()),
                Poll::Ready(Given::Woken(kind)) => {
                    self.woken = kind != Read;
                    if self.try_enter(raw) {
                        return Poll::Ready(());
                    }
                    self.lost += 1;
                }
            }
        }
    }

    /// Tries like a newcomer; one that was woken has then decided, by the same step.
    fn try_enter<P: Policy, W: Storage, R: Relax>(&mut self, raw: &RawRwLock<P, W, R>) -> bool {
        if !self.woken {
            return raw.lock().enter(self.kind);
        }
        let kind = self.kind;
        let entered = raw.lock().update(|seen| P::enter(seen, kind).map(|next| next.decided(kind)));
        self.woken = !entered;
        entered
    }

    /// Lets somebody else be woken.
    fn decline<P: Policy, W: Storage, R: Relax>(&mut self, raw: &RawRwLock<P, W, R>) {
        if core::mem::take(&mut self.woken) {
            raw.give_back(|seen| seen.decided(self.kind));
        }
    }

    /// Leaves the line, and gives back what it was given.
    pub(super) fn cancel<P: Policy, W: Storage, R: Relax>(&mut self, raw: &RawRwLock<P, W, R>) {
        let Declines(request, raw) = &mut Declines(self, raw);
        match raw.waiters.cancel(&mut request.place).map(Given::of) {
            Some(Given::Lock(kind)) => raw.leave(kind),
            Some(Given::Woken(kind)) => request.woken = kind != Read,
            Some(Given::Upgraded) | None => {}
        }
    }
}

/// Lets somebody else be woken when it goes, also if a waker panics before.
struct Declines<'a, 'l, P: Policy, W: Storage, R: Relax>(&'a mut Request, &'l RawRwLock<P, W, R>);

impl<P: Policy, W: Storage, R: Relax> Drop for Declines<'_, '_, P, W, R> {
    fn drop(&mut self) {
        self.0.decline(self.1);
    }
}

/// The lock that was handed to a request; left again, if a waker panics before the request has said so.
struct Handed<'a, P: Policy, W: Storage, R: Relax> {
    raw: &'a RawRwLock<P, W, R>,
    kind: Kind,
}

impl<P: Policy, W: Storage, R: Relax> Drop for Handed<'_, P, W, R> {
    fn drop(&mut self) {
        self.raw.leave(self.kind);
    }
}

/// A request to come in. Made by [`read`](RawRwLock::read), [`write`](RawRwLock::write) and
/// [`upgradable_read`](RawRwLock::upgradable_read) of a [`RawRwLock`].
///
/// # Cancel safety
///
/// Dropped before it is `Ready`, it leaves the line, and what was handed to it goes to the next. After `Ready` the
/// caller is inside, whatever becomes of the future.
#[must_use = "futures do nothing unless awaited"]
pub struct RawAcquire<'a, P: Policy = WriterPriority, W: Storage = Slots<8>, R: Relax = Spin> {
    lock: &'a RawRwLock<P, W, R>,
    request: Request,
}

impl<P: Policy, W: Storage, R: Relax> Future for RawAcquire<'_, P, W, R> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Self { lock, request } = &mut *self;
        request.poll(lock, cx.waker())
    }
}

impl<P: Policy, W: Storage, R: Relax> Drop for RawAcquire<'_, P, W, R> {
    fn drop(&mut self) {
        self.request.cancel(self.lock);
    }
}

impl<P: Policy, W: Storage, R: Relax> fmt::Debug for RawAcquire<'_, P, W, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawAcquire")
            .field("registered", &self.request.is_registered())
            .finish_non_exhaustive()
    }
}

/// How far an upgrade is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    /// Not polled yet.
    Upgradable,
    /// Nobody else comes in; readers may be inside still.
    Claimed,
    /// The writer.
    Written,
}

/// An upgrade on its way. Made by [`upgrade`](RawRwLock::upgrade).
///
/// # Cancel safety
///
/// Dropped before it is `Ready`, the caller is the upgradable reader as before, and those who were kept out may come in.
#[must_use = "futures do nothing unless awaited"]
pub struct RawUpgrade<'a, P: Policy = WriterPriority, W: Storage = Slots<8>, R: Relax = Spin> {
    lock: &'a RawRwLock<P, W, R>,
    place: Place,
    stage: Stage,
}

impl<P: Policy, W: Storage, R: Relax> RawUpgrade<'_, P, W, R> {
    /// Makes the upgradable reader the writer, first in the word only: that keeps everybody out.
    fn claim(&mut self) -> bool {
        let mut alone = false;
        self.lock.lock().update(|seen| {
            let next = seen.changed(Upgradable, Write);
            alone = seen.readers() == 0;
            Some(if alone { P::turn(next, Write) } else { next })
        });
        alone
    }

    /// Whether the last reader has left, for one who found no slot to wait in.
    fn look(&self) -> bool {
        self.lock.lock().update(|seen| (seen.readers() == 0).then(|| P::turn(seen, Write)))
    }
}

impl<P: Policy, W: Storage, R: Relax> Future for RawUpgrade<'_, P, W, R> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let done = match this.stage {
            Stage::Upgradable => {
                let done = this.claim();
                this.stage = Stage::Claimed;
                done
            }
            Stage::Claimed => this.place.is_none() && this.look(),
            Stage::Written => true,
        };
        let waiters = &this.lock.waiters;
        if done || waiters.poll(&mut this.place, cx.waker(), UPGRADE, UPGRADE).is_ready() {
            this.stage = Stage::Written;
            return Poll::Ready(());
        }
        Poll::Pending
    }
}

impl<P: Policy, W: Storage, R: Relax> Drop for RawUpgrade<'_, P, W, R> {
    fn drop(&mut self) {
        if self.stage == Stage::Claimed {
            // After the line is left, and also if a waker panics over that.
            let _roll_back = RollBack(self.lock);
            self.lock.waiters.cancel(&mut self.place);
        }
    }
}

/// Makes the writer that is about to be the upgradable reader that it was.
struct RollBack<'a, P: Policy, W: Storage, R: Relax>(&'a RawRwLock<P, W, R>);

impl<P: Policy, W: Storage, R: Relax> Drop for RollBack<'_, P, W, R> {
    fn drop(&mut self) {
        // Whatever the word tells: it does not tell whether readers of a phase are still to come in.
        self.0.waiters.post(|word| {
            let next = State(word.0).changed(Write, Upgradable);
            if next.is_awaited() { Post::Kick(next.word()) } else { Post::Change(next.word()) }
        });
    }
}

impl<P: Policy, W: Storage, R: Relax> fmt::Debug for RawUpgrade<'_, P, W, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawUpgrade").field("stage", &self.stage).finish_non_exhaustive()
    }
}
