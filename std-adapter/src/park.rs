//! A thread as a waker: how the blocking calls of this crate sleep.
//!
//! Everything that waits in aqueduct is a [`Future`], and what it is given to be woken by is a
//! [`Waker`]. A task brings its own; a thread gets one here. So a channel, a context or a join
//! handle has one way to wait, and threads and tasks can wait on the same object side by side.
//!
//! This is the only file of the crate in which a thread sleeps. It sleeps until it is woken or its
//! deadline has come, never "for a while": an idle program uses no CPU.
//!
//! Why a mutex with a condition variable and not [`std::thread::park`]: that one has a single token per
//! thread, shared with everybody who parks it. A future that calls into `std::sync::mpsc` while it is
//! polled would eat a wake-up that was meant for us, and we would eat those of our callers.

use crate::lock;
use crossbeam_utils::Backoff;
use std::cell::Cell;
use std::future::Future;
use std::mem;
use std::pin::{Pin, pin};
use std::sync::{Arc, Condvar, LazyLock, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

/// Runs a future on the calling thread until it is ready, and sleeps while it is not.
///
/// It is not an executor: it drives this one future. Inside an async task, `.await` instead; a thread of
/// an async runtime that blocks here serves nobody else meanwhile.
///
/// Calls may nest: a future that itself calls `block_on` while it is polled does not disturb the
/// outer one.
///
/// # Examples
///
/// ```
/// use aqueduct::{park, thread};
///
/// let worker = thread::spawn(|| 6 * 7)?;
/// assert_eq!(park::block_on(async { worker.await.unwrap() + 1 }), 43);
/// # Ok::<(), aqueduct::thread::SpawnError>(())
/// ```
///
/// # Panics
///
/// When the future panics while it is polled; nothing else does.
pub fn block_on<F: Future>(future: F) -> F::Output {
    let ready = drive(pin!(future), None, Impatience::Spin);
    ready.expect("without a deadline there is no way out but ready")
}

/// Runs a future on the calling thread until it is ready or `deadline` has come.
///
/// The future is polled at least once, even if the deadline has passed. `None` means that it was still
/// pending at the deadline; since it is borrowed, the caller still has it: drop it to cancel, go on with it
/// later, or take back what it holds.
///
/// # Examples
///
/// ```
/// use aqueduct::park;
/// use std::{future, pin::pin, time::Instant};
///
/// let mut never = pin!(future::pending::<()>());
/// assert_eq!(park::block_on_deadline(never.as_mut(), Instant::now()), None);
///
/// let ready = pin!(future::ready(7));
/// assert_eq!(park::block_on_deadline(ready, Instant::now()), Some(7));
/// ```
///
/// # Panics
///
/// When the future panics while it is polled; nothing else does.
pub fn block_on_deadline<F>(future: Pin<&mut F>, deadline: Instant) -> Option<F::Output>
where
    F: Future + ?Sized,
{
    drive(future, Some(deadline), Impatience::Spin)
}

/// Runs a future on the calling thread until it is ready or `timeout` has passed.
///
/// A timeout too long for the clock, such as [`Duration::MAX`], is no timeout. Otherwise as
/// [`block_on_deadline`].
///
/// # Examples
///
/// ```
/// use aqueduct::park;
/// use std::{future, pin::pin, time::Duration};
///
/// assert_eq!(park::block_on_timeout(pin!(future::ready(7)), Duration::MAX), Some(7));
/// assert_eq!(park::block_on_timeout(pin!(future::pending::<()>()), Duration::ZERO), None);
/// ```
///
/// # Panics
///
/// When the future panics while it is polled; nothing else does.
pub fn block_on_timeout<F>(future: Pin<&mut F>, timeout: Duration) -> Option<F::Output>
where
    F: Future + ?Sized,
{
    drive(future, deadline_after(timeout), Impatience::Spin)
}

/// The instant `timeout` from now; none if the clock does not reach that far, which means "wait for ever".
pub(crate) fn deadline_after(timeout: Duration) -> Option<Instant> {
    Instant::now().checked_add(timeout)
}

/// Whether [`drive`] spins for a moment before each sleep.
pub(crate) enum Impatience {
    /// Nobody has spun yet: what we wait for may be a microsecond away.
    Spin,
    /// As `Spin`, but all it does is to give the CPU away: for those in line for a lock or a permit, whose holder may need
    /// this CPU to come to its end.
    GiveWay,
    /// The caller has spun already, with an eye on what it waits for.
    Spun,
}

/// Polls until ready (`Some`) or until the deadline (`None`); polls once at the least.
pub(crate) fn drive<F>(
    mut future: Pin<&mut F>,
    deadline: Option<Instant>,
    impatience: Impatience,
) -> Option<F::Output>
where
    F: Future + ?Sized,
{
    let parker = Parker::borrow();
    let mut context = Context::from_waker(&parker.waker);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return Some(output);
        }
        match impatience {
            Impatience::Spin => parker.sleeper.spin(deadline),
            Impatience::GiveWay => parker.sleeper.look(&Patience::giving_way(GIVES_WAY, deadline)),
            Impatience::Spun => {}
        }
        if !parker.sleep(deadline) {
            return None;
        }
    }
}

/// A bounded back-off for loops of the form "try, wait a moment, try again, ... then register and sleep".
///
/// First it burns a few cycles, for a party that runs on another CPU and is nearly there: 15 spin hints, some
/// hundred nanoseconds. Then it gives the CPU away a few times, for a party that needs this one. All in all it
/// takes about as long as going to sleep and being woken, so at worst it doubles the cost of a wait. Spinning
/// longer before giving way is dear where two parties share a CPU: a ping-pong over two channels of capacity 1, on
/// two busy CPUs, took 3.7 us a round with 127 spin hints and 4 turns of giving way, and 0.7 to 1.5 us with these.
///
/// On a machine with one CPU it has no patience at all: whoever we wait for needs the CPU that we would burn.
pub(crate) struct Patience {
    backoff: Backoff,
    turns_left: Cell<u32>,
    deadline: Option<Instant>,
    /// Whether it makes sense on this machine.
    is_of_use: bool,
}

/// How often one in line gives way before it sleeps: about what a sleep and a wake-up cost.
const GIVES_WAY: u32 = Patience::YIELDS;

impl Patience {
    /// Turns that burn cycles, each twice as long as the one before.
    const SPINS: u32 = 4;
    /// Turns that give the CPU away.
    const YIELDS: u32 = 12;

    /// It ends early at `deadline`: on a busy machine a turn may take milliseconds.
    pub(crate) fn until(deadline: Option<Instant>) -> Self {
        let turns_left = Cell::new(Self::SPINS + Self::YIELDS);
        Self { backoff: Backoff::new(), turns_left, deadline, is_of_use: *SEVERAL_CPUS }
    }

    /// Gives the CPU away so many times, 12 at most, and burns nothing. So it is of use on a machine with one CPU, too.
    pub(crate) fn giving_way(turns: u32, deadline: Option<Instant>) -> Self {
        debug_assert!(turns <= Self::YIELDS, "the turns beyond would be spun");
        Self { turns_left: Cell::new(turns), is_of_use: true, ..Self::until(deadline) }
    }

    /// Waits a moment, longer each time. False when it is time to sleep.
    pub(crate) fn wait(&self) -> bool {
        if !self.is_of_use || self.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return false;
        }
        match self.turns_left.get() {
            0 => return false,
            1..=Self::YIELDS => std::thread::yield_now(),
            _ => self.backoff.spin(),
        }
        self.turns_left.set(self.turns_left.get() - 1);
        true
    }
}

/// Tries again and again, a moment in between, until it is time to sleep: what the last try had. Tries once at the least.
///
/// For those who are not in line yet, where nobody is wronged by that. Whoever stands in line is patient there, by
/// [`Impatience`].
pub(crate) fn patiently<R>(
    deadline: Option<Instant>,
    attempt: impl FnMut() -> Option<R>,
) -> Option<R> {
    try_while(|| Patience::until(deadline), attempt)
}

/// As [`patiently`], but it only gives way in between, so many times at most.
pub(crate) fn giving_way<R>(
    turns: u32,
    deadline: Option<Instant>,
    attempt: impl FnMut() -> Option<R>,
) -> Option<R> {
    try_while(|| Patience::giving_way(turns, deadline), attempt)
}

fn try_while<R>(
    make_patience: impl Fn() -> Patience,
    mut attempt: impl FnMut() -> Option<R>,
) -> Option<R> {
    let mut patience = None;
    loop {
        let result = attempt();
        // Who succeeds at once does not pay for a patience.
        if result.is_some() || !patience.get_or_insert_with(&make_patience).wait() {
            return result;
        }
    }
}

static SEVERAL_CPUS: LazyLock<bool> =
    LazyLock::new(|| std::thread::available_parallelism().is_ok_and(|cpus| cpus.get() > 1));

thread_local! {
    /// The parker of this thread while it is not in use. Nested calls find it empty and make their own, so
    /// that the inner one cannot eat the outer one's wake-up.
    static IDLE_PARKER: Cell<Option<Parker>> = const { Cell::new(None) };
}

/// What a thread needs to wait: where it sleeps, and the waker that ends the sleep.
pub(crate) struct Parker {
    sleeper: Arc<Sleeper>,
    waker: Waker,
}

impl Parker {
    /// This thread's parker, returned to the thread when the guard is dropped.
    pub(crate) fn borrow() -> Borrowed {
        // The cell is gone while the thread's own destructors run, which may well use a channel.
        let parker = IDLE_PARKER.try_with(Cell::take).ok().flatten();
        Borrowed(Some(parker.unwrap_or_else(Parker::new)))
    }

    fn new() -> Self {
        let sleeper = Arc::new(Sleeper { mail: Mutex::new(Mail::None), woken: Condvar::new() });
        let waker = Waker::from(Arc::clone(&sleeper));
        Self { sleeper, waker }
    }

    /// Ends the sleep of the thread that borrowed the parker; kept for the next sleep if it is awake.
    pub(crate) fn waker(&self) -> &Waker {
        &self.waker
    }

    /// Sleeps until woken (true) or until the deadline (false).
    pub(crate) fn sleep(&self, deadline: Option<Instant>) -> bool {
        self.sleeper.sleep(deadline)
    }

    /// Looks a few times whether a wake-up is coming, before it is worth a sleep.
    pub(crate) fn spin(&self, deadline: Option<Instant>) {
        self.sleeper.spin(deadline);
    }
}

/// A parker in use. A wake-up that arrives after its use is over finds the next user, who polls once more
/// than needed.
pub(crate) struct Borrowed(Option<Parker>);

impl std::ops::Deref for Borrowed {
    type Target = Parker;

    fn deref(&self) -> &Parker {
        self.0.as_ref().expect("only drop takes it")
    }
}

impl Drop for Borrowed {
    fn drop(&mut self) {
        // If the cell is gone, so is the thread, almost: the parker is dropped with the closure.
        let parker = self.0.take();
        let _ = IDLE_PARKER.try_with(|idle| idle.set(parker));
    }
}

/// One thread's mailbox for wake-ups; at most one letter is in it.
struct Sleeper {
    mail: Mutex<Mail>,
    woken: Condvar,
}

#[derive(PartialEq)]
enum Mail {
    /// Nothing has come, and the thread is awake.
    None,
    /// Nothing has come, and the thread is asleep: whoever writes must also ring.
    Awaited,
    /// A wake-up has come that the thread has not seen.
    Wake,
}

impl Sleeper {
    /// Looks a few times whether a wake-up is coming, before it is worth a sleep.
    fn spin(&self, deadline: Option<Instant>) {
        self.look(&Patience::until(deadline));
    }

    /// The same, as long as `patience` lasts.
    fn look(&self, patience: &Patience) {
        while patience.wait() {
            match self.mail.try_lock() {
                Ok(mail) if *mail != Mail::Wake => {}
                // It has come, or is being written just now.
                _ => return,
            }
        }
    }

    /// Sleeps until woken (true) or until the deadline (false). Takes the letter.
    fn sleep(&self, deadline: Option<Instant>) -> bool {
        let mut mail = lock(&self.mail);
        // A letter that is there already wins over a deadline that has passed already.
        while *mail != Mail::Wake {
            *mail = Mail::Awaited;
            mail = match deadline {
                None => self.woken.wait(mail).unwrap_or_else(PoisonError::into_inner),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        *mail = Mail::None;
                        return false;
                    }
                    let woken = self.woken.wait_timeout(mail, left);
                    woken.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
        *mail = Mail::None;
        true
    }
}

impl Wake for Sleeper {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // The guard is gone at the end of the statement, so the sleeper does not wake into a held lock;
        // and it is rung only if it sleeps: waking a thread that is awake costs no system call.
        let before = mem::replace(&mut *lock(&self.mail), Mail::Wake);
        if before == Mail::Awaited {
            self.woken.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use std::sync::mpsc;

    /// Ready at the second poll; wakes itself, from another thread, in between.
    fn woken_once() -> impl Future<Output = ()> {
        let mut polled = false;
        poll_fn(move |context| {
            if mem::replace(&mut polled, true) {
                return Poll::Ready(());
            }
            let waker = context.waker().clone();
            std::thread::spawn(move || waker.wake());
            Poll::Pending
        })
    }

    #[test]
    fn a_wake_up_ends_the_sleep() {
        block_on(woken_once());
        assert!(block_on_timeout(pin!(woken_once()), Duration::MAX).is_some());
    }

    #[test]
    fn a_wake_up_before_the_sleep_is_kept() {
        let mut polls = 0;
        block_on(poll_fn(|context| {
            polls += 1;
            context.waker().wake_by_ref();
            context.waker().wake_by_ref();
            if polls == 3 { Poll::Ready(()) } else { Poll::Pending }
        }));
        assert_eq!(polls, 3);
    }

    /// Both are woken before either sleeps: with one mailbox for both, the inner one would take the only letter,
    /// and the outer one would sleep for ever.
    #[test]
    fn a_nested_call_does_not_eat_the_outer_wake_up() {
        let mut polled = false;
        block_on(poll_fn(|outer| {
            if mem::replace(&mut polled, true) {
                return Poll::Ready(());
            }
            outer.waker().wake_by_ref();
            let mut polled = false;
            block_on(poll_fn(|inner| {
                if mem::replace(&mut polled, true) {
                    return Poll::Ready(());
                }
                inner.waker().wake_by_ref();
                Poll::Pending
            }));
            Poll::Pending
        }));
    }

    /// `std::sync::mpsc` parks the thread, and takes its token, while the outer future is polled.
    #[test]
    fn a_std_primitive_inside_a_poll_does_not_eat_the_wake_up() {
        let mut polled = false;
        block_on(poll_fn(|context| {
            if mem::replace(&mut polled, true) {
                return Poll::Ready(());
            }
            let (sender, receiver) = mpsc::channel();
            let waker = context.waker().clone();
            std::thread::spawn(move || {
                waker.wake();
                sender.send(()).unwrap();
            });
            receiver.recv().unwrap();
            Poll::Pending
        }));
    }

    #[test]
    fn the_parker_returns_to_its_thread_after_a_panic() {
        let caught = std::panic::catch_unwind(|| block_on(poll_fn(|_| -> Poll<()> { panic!() })));
        assert!(caught.is_err());
        assert!(IDLE_PARKER.with(|idle| {
            let parker = idle.take();
            let there = parker.is_some();
            idle.set(parker);
            there
        }));
        block_on(woken_once());
    }

    #[test]
    fn a_deadline_in_the_past_still_polls_once() {
        let past = Instant::now();
        let mut polls = 0;
        let pending = poll_fn(|_| {
            polls += 1;
            Poll::<()>::Pending
        });
        assert_eq!(block_on_deadline(pin!(pending), past), None);
        assert_eq!(polls, 1);
    }

    #[test]
    fn a_thread_can_block_in_its_own_destructors() {
        struct Blocks;
        impl Drop for Blocks {
            fn drop(&mut self) {
                block_on(woken_once());
            }
        }
        thread_local!(static LATE: Blocks = const { Blocks });
        std::thread::spawn(|| {
            LATE.with(|_| ());
            block_on(woken_once());
        })
        .join()
        .unwrap();
    }
}
