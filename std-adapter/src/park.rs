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

mod patience;

pub(crate) use patience::{Patience, patiently};

use crate::lock;
use patience::Rent;
use std::cell::Cell;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
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
    let ready = drive(pin!(future), None, Impatience::HandOver);
    ready.expect("without a deadline there is no way out but ready")
}

/// Runs a future on the calling thread until it is ready or `deadline` has come.
///
/// The future is polled at least once, even if the deadline has passed. `None` means that it was still
/// pending at the deadline; since it is borrowed, the caller still has it: drop it to cancel, go on with it
/// later, or take back what it holds. A wake-up that has come by the deadline still has its poll, the last one.
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
    drive(future, Some(deadline), Impatience::HandOver)
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
    drive(future, deadline_after(timeout), Impatience::HandOver)
}

/// The instant `timeout` from now; none if the clock does not reach that far, which means "wait for ever".
pub(crate) fn deadline_after(timeout: Duration) -> Option<Instant> {
    Instant::now().checked_add(timeout)
}

/// Whether [`drive`] looks for a wake-up before each sleep, and gives the CPU away in between.
pub(crate) enum Impatience {
    /// For as long as a sleep would cost: what we wait for may be a microsecond away.
    HandOver,
    /// As long, and closely at first: in line at a channel, where whoever comes next meets us, who may be on its way from another CPU.
    Meeting,
    /// A few times: for those in line for a lock, a permit or a place in a window, whose holder may need this CPU to come to its end.
    GiveWay,
    /// Not at all: the caller has been patient already, with an eye on what it waits for.
    Spent,
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
    match future.as_mut().poll(&mut Context::from_waker(&parker.waker)) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => keep_driving(&parker, future, deadline, impatience),
    }
}

/// As [`drive`], for a future that waits already, with the waker of `parker`.
pub(crate) fn keep_driving<F>(
    parker: &Parker,
    mut future: Pin<&mut F>,
    deadline: Option<Instant>,
    impatience: Impatience,
) -> Option<F::Output>
where
    F: Future + ?Sized,
{
    let mut context = Context::from_waker(&parker.waker);
    loop {
        // Before the look for a wake-up: one that came in time has its poll, and nothing else has one after that, not even a
        // future that wakes itself each time.
        let is_last = deadline.is_some_and(|deadline| Instant::now() >= deadline);
        let patience = match impatience {
            Impatience::HandOver => Some(Patience::for_hand_over(2, deadline)),
            Impatience::Meeting => Some(Patience::for_meeting(deadline)),
            Impatience::GiveWay => Some(Patience::giving_way(Patience::YIELDS, deadline)),
            Impatience::Spent => None,
        };
        let is_woken = patience.is_some_and(|patience| parker.sleeper.look(&patience));
        if !is_woken && !parker.sleep(deadline) {
            return None;
        }
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return Some(output);
        }
        if is_last {
            return None;
        }
    }
}

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

    /// Looks a few times whether a wake-up is coming, before it is worth a sleep: whether it has come.
    pub(crate) fn look(&self, deadline: Option<Instant>) -> bool {
        self.sleeper.look(&Patience::for_hand_over(2, deadline))
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

enum Mail {
    /// Nothing has come, and the thread is awake.
    None,
    /// Nothing has come, and the thread is asleep: whoever writes must also ring.
    Awaited,
    /// A wake-up has come that the thread has not seen; and if it was asleep, when it was rung for.
    Wake(Option<Instant>),
}

impl Sleeper {
    /// Looks whether a wake-up is coming, as long as `patience` lasts. True if it has come: then the letter is taken.
    fn look(&self, patience: &Patience) -> bool {
        while patience.wait() {
            match self.mail.try_lock() {
                Ok(mut mail) if matches!(*mail, Mail::Wake(_)) => {
                    *mail = Mail::None;
                    return true;
                }
                Ok(_) => {}
                // It is being written just now.
                Err(_) => return false,
            }
        }
        false
    }

    /// Sleeps until woken (true) or until the deadline (false). Takes the letter.
    fn sleep(&self, deadline: Option<Instant>) -> bool {
        let mut mail = lock(&self.mail);
        // A letter that is there already wins over a deadline that has passed already.
        let rung = loop {
            if let Mail::Wake(rung) = *mail {
                break rung;
            }
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
        };
        *mail = Mail::None;
        drop(mail);
        if let Some(rung) = rung {
            Rent::was(rung.elapsed());
        }
        true
    }
}

impl Wake for Sleeper {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let mut mail = lock(&self.mail);
        match *mail {
            // It is rung only if it sleeps: waking a thread that is awake costs no system call.
            Mail::Awaited => {
                *mail = Mail::Wake(Some(Instant::now()));
                // So that the sleeper does not wake into a held lock.
                drop(mail);
                self.woken.notify_one();
            }
            Mail::None => *mail = Mail::Wake(None),
            Mail::Wake(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use std::mem;
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
