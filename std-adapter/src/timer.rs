//! One timer service for the whole process: something is to happen at an instant.
//!
//! A deadline costs an entry in a table, not a thread. The one thread that serves the table is started when
//! the first timer is set and ends a tenth of a second after the last one is gone; with nothing to do it does
//! not wake. A timer that is cancelled, by dropping its handle, is out of the table at once with all it
//! holds.
//!
//! The blocking calls of this crate need no timer: a thread that sleeps knows until when.
//!
//! # Progress
//!
//! Setting and cancelling take one lock, held for a search in the table. Callbacks and wakers run without it,
//! on the timer thread, one after the other: a slow callback delays the timers behind it.

use crate::park::Parker;
use crate::thread::{Builder, SpawnError};
use crate::{foreign, lock, park};
use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::Mutex;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// Calls `callback` once, at `deadline` or as soon after it as the timer thread gets to it.
///
/// It runs on the timer thread: let it be short, and let it not wait. If it panics, the panic hook reports it and
/// the other timers go on. A deadline in the past is due at once.
///
/// # Examples
///
/// ```
/// use aqueduct::timer;
/// use std::{sync::mpsc, time::Instant};
///
/// let (sender, receiver) = mpsc::channel();
/// let _timer = timer::call_at(Instant::now(), move || sender.send("now").unwrap())?;
/// assert_eq!(receiver.recv(), Ok("now"));
/// # Ok::<(), aqueduct::thread::SpawnError>(())
/// ```
///
/// # Errors
///
/// [`SpawnError`] when the timer thread is not running and the system refuses to start it. The callback is
/// dropped.
pub fn call_at(
    deadline: Instant,
    callback: impl FnOnce() + Send + 'static,
) -> Result<Timer, SpawnError> {
    SERVICE.set(deadline, Box::new(callback))
}

/// A future that is ready when `duration` has passed.
///
/// A duration too long for the clock, such as [`Duration::MAX`], never passes.
///
/// # Examples
///
/// ```
/// use aqueduct::{park, timer};
/// use std::time::Duration;
///
/// park::block_on(timer::sleep(Duration::from_millis(1)));
/// ```
///
/// # Cancel safety
///
/// Dropping it frees its timer at once.
pub fn sleep(duration: Duration) -> Sleep {
    Sleep { deadline: park::deadline_after(duration), set: None }
}

/// A future that is ready when `deadline` has come.
///
/// # Examples
///
/// ```
/// use aqueduct::{park, timer};
/// use std::time::{Duration, Instant};
///
/// let deadline = Instant::now() + Duration::from_millis(1);
/// park::block_on(timer::sleep_until(deadline));
/// assert!(Instant::now() >= deadline);
/// ```
///
/// # Cancel safety
///
/// Dropping it frees its timer at once.
pub fn sleep_until(deadline: Instant) -> Sleep {
    Sleep { deadline: Some(deadline), set: None }
}

/// A callback that is waiting for its time; dropping it cancels it.
///
/// After the drop the callback is not started any more, and what it captured has been dropped. If it has
/// been started already it runs on; the drop does not wait for it.
///
/// # Examples
///
/// ```
/// use aqueduct::timer;
/// use std::time::{Duration, Instant};
///
/// let hour = Instant::now() + Duration::from_secs(3600);
/// let timer = timer::call_at(hour, || unreachable!("it is dropped long before"))?;
/// drop(timer);
/// # Ok::<(), aqueduct::thread::SpawnError>(())
/// ```
#[must_use = "dropping a timer cancels it"]
pub struct Timer {
    key: Key,
}

impl Timer {
    /// Lets the callback happen whatever becomes of the handle.
    ///
    /// # Examples
    ///
    /// ```
    /// use aqueduct::timer;
    /// use std::{sync::mpsc, time::Instant};
    ///
    /// let (sender, receiver) = mpsc::channel();
    /// timer::call_at(Instant::now(), move || sender.send("called").unwrap())?.detach();
    /// assert_eq!(receiver.recv(), Ok("called"));
    /// # Ok::<(), aqueduct::thread::SpawnError>(())
    /// ```
    pub fn detach(self) {
        mem::forget(self);
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        SERVICE.cancel(self.key);
    }
}

impl fmt::Debug for Timer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timer").field("deadline", &self.key.0).finish_non_exhaustive()
    }
}

/// A future that is ready at an instant. Made by [`sleep`] and [`sleep_until`].
///
/// # Cancel safety
///
/// Dropping it frees its timer at once.
#[must_use = "futures do nothing unless polled"]
pub struct Sleep {
    /// None: never.
    deadline: Option<Instant>,
    /// The timer, once polled, and whom it wakes.
    set: Option<(Timer, Waker)>,
}

impl Sleep {
    /// When it is ready; none if never.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let Some(deadline) = self.deadline else { return Poll::Pending };
        if Instant::now() >= deadline {
            self.set = None;
            return Poll::Ready(());
        }
        if !self.set.as_ref().is_some_and(|(_, waker)| waker.will_wake(context.waker())) {
            let waker = context.waker().clone();
            match call_at(deadline, || waker.wake()) {
                Ok(timer) => self.set = Some((timer, context.waker().clone())),
                // No thread to be had: poll again and again until there is one, or until it is time.
                Err(_) => context.waker().wake_by_ref(),
            }
        }
        Poll::Pending
    }
}

impl fmt::Debug for Sleep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sleep").field("deadline", &self.deadline).finish_non_exhaustive()
    }
}

/// How many timers are set now. For tests of what must not leak.
#[doc(hidden)]
pub fn pending() -> usize {
    let table = lock(&SERVICE.table);
    table.timers.len() + table.due.len()
}

/// How long the thread stays without a timer. Long enough that a program with a timer now and then does not
/// start a thread for each; short enough that one which is done with them gets it back.
const LINGER: Duration = Duration::from_millis(100);

static SERVICE: Service = Service {
    table: Mutex::new(Table {
        timers: BTreeMap::new(),
        due: BTreeMap::new(),
        next_id: 0,
        idle_since: None,
        server: Server::Absent,
    }),
};

struct Service {
    table: Mutex<Table>,
}

/// Deadline first, so that the table is in the order of firing; the number tells equal deadlines apart, and is
/// never used twice.
type Key = (Instant, u64);

type Callback = Box<dyn FnOnce() + Send>;

struct Table {
    timers: BTreeMap<Key, Callback>,
    /// Those of one look at the clock that have not been started yet. They come before what is due by now, so that callbacks
    /// which set timers in the past delay the others by a turn, and not for ever.
    due: BTreeMap<Key, Callback>,
    next_id: u64,
    /// When the server first found the table empty, unless a timer was set since.
    idle_since: Option<Instant>,
    server: Server,
}

/// The thread that serves the table. It is there whenever a timer is.
enum Server {
    Absent,
    /// Looking at the table next, or about to.
    Awake,
    /// Sleeping, not longer than this; the waker ends it.
    Asleep(Instant, Waker),
}

impl Table {
    /// Takes the waker of a server that sleeps beyond `instant`, to be woken when the lock is released.
    ///
    /// A server that looks before then needs no waking, so setting and cancelling timers in a loop wakes
    /// it a few times per [`LINGER`], not each time.
    fn hurry(&mut self, instant: Instant) -> Option<Waker> {
        match mem::replace(&mut self.server, Server::Awake) {
            Server::Asleep(until, waker) if until > instant => Some(waker),
            other => {
                self.server = other;
                None
            }
        }
    }
}

impl Service {
    fn set(&'static self, deadline: Instant, callback: Callback) -> Result<Timer, SpawnError> {
        let mut table = lock(&self.table);
        if matches!(table.server, Server::Absent) {
            // With the lock held: whoever comes meanwhile must find the thread there, or be told that it is
            // not. The handle is dropped: the thread ends by itself, and there is no one to join it.
            drop(Builder::new().name("aqueduct-timer").spawn(|| self.serve())?);
            table.server = Server::Awake;
        }
        let key = (deadline, table.next_id);
        table.next_id += 1;
        table.timers.insert(key, callback);
        table.idle_since = None;
        let sleeper = table.hurry(deadline);
        drop(table);
        if let Some(waker) = sleeper {
            waker.wake();
        }
        Ok(Timer { key })
    }

    fn cancel(&self, key: Key) {
        let mut table = lock(&self.table);
        let callback = table.timers.remove(&key).or_else(|| table.due.remove(&key));
        let sleeper = match callback {
            Some(_) if table.timers.is_empty() => table.hurry(Instant::now() + LINGER),
            _ => None,
        };
        drop(table);
        if let Some(waker) = sleeper {
            waker.wake();
        }
        // Last, and with nothing locked: what a callback captured may have a destructor that sets timers, or panics.
        drop(callback);
    }

    /// The timer thread.
    fn serve(&self) {
        let parker = Parker::borrow();
        loop {
            let mut table = lock(&self.table);
            table.server = Server::Awake;
            // One at a time, and out of the table only when it is started: until then its handle cancels it, be it in the
            // callback before.
            if let Some((_, callback)) = table.due.pop_first() {
                drop(table);
                // A panic was reported by the hook already. The other timers are not to suffer, whatever was thrown.
                foreign::call(callback);
                continue;
            }
            let now = Instant::now();
            // Later keys have later deadlines, or the same one and a higher number.
            let later = table.timers.split_off(&(now, u64::MAX));
            table.due = mem::replace(&mut table.timers, later);
            if !table.due.is_empty() {
                continue;
            }
            let until = match table.timers.first_key_value() {
                Some((&(deadline, _), _)) => deadline,
                None => {
                    let until = *table.idle_since.get_or_insert(now) + LINGER;
                    if now >= until {
                        table.server = Server::Absent;
                        return;
                    }
                    until
                }
            };
            table.server = Server::Asleep(until, parker.waker().clone());
            drop(table);
            // Hurried between the two lines, it does not sleep: the wake-up is kept.
            parker.sleep(Some(until));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::park::block_on;
    use std::sync::{Arc, mpsc};

    #[test]
    fn timers_fire_in_the_order_of_their_deadlines() {
        let (sender, receiver) = mpsc::channel();
        // The timer thread is in here while the others are set, so that it finds them together.
        let ((entered, inside), (go, wait)) = (mpsc::channel(), mpsc::channel::<()>());
        let gate = call_at(Instant::now(), move || {
            entered.send(()).unwrap();
            let _ = wait.recv();
        });
        inside.recv().unwrap();
        let start = Instant::now() + Duration::from_millis(5);
        let timers = [3, 1, 2].map(|nth| {
            let sender = sender.clone();
            let deadline = start + Duration::from_millis(nth);
            call_at(deadline, move || sender.send((nth, Instant::now() >= deadline)).unwrap())
        });
        drop((sender, go));
        let fired = receiver.iter().collect::<Vec<_>>();
        assert_eq!(fired, [(1, true), (2, true), (3, true)]);
        drop((gate, timers));
    }

    #[test]
    fn a_cancelled_timer_drops_what_it_holds_at_once() {
        let held = Arc::new(());
        let timer = call_at(Instant::now() + Duration::from_secs(3600), {
            let held = Arc::clone(&held);
            move || drop(held)
        });
        assert_eq!(Arc::strong_count(&held), 2);
        drop(timer.unwrap());
        assert_eq!(Arc::strong_count(&held), 1);
    }

    /// Both are due at the same look at the clock, and the first one's callback drops the other's handle.
    #[test]
    fn a_timer_dropped_by_the_one_before_it_does_not_fire() {
        let held = Arc::new(());
        let (hand, taken) = mpsc::channel::<Timer>();
        let (sender, receiver) = mpsc::channel();
        let due = Instant::now();
        // Both are set while the timer thread waits here, so that it finds them together.
        let (go, wait) = mpsc::channel::<()>();
        let gate = call_at(due, move || _ = wait.recv()).unwrap();
        let first = call_at(due, {
            let held = Arc::clone(&held);
            move || {
                drop(taken.recv().unwrap());
                sender.send(Arc::strong_count(&held)).unwrap();
            }
        });
        let second = call_at(due, {
            let held = Arc::clone(&held);
            move || unreachable!("cancelled in time, with {held:?}")
        });
        hand.send(second.unwrap()).unwrap();
        drop(go);
        assert_eq!(receiver.recv(), Ok(2), "ours, and that of the callback that counts");
        drop((gate, first));
    }

    #[test]
    fn an_earlier_timer_is_not_kept_waiting_by_a_later_one() {
        let hour = Instant::now() + Duration::from_secs(3600);
        let later = call_at(hour, || ()).unwrap();
        // Another test's may have been in front of it, and be gone.
        let is_far = |until: Instant| until > Instant::now() + Duration::from_secs(60);
        while !matches!(lock(&SERVICE.table).server, Server::Asleep(until, _) if is_far(until)) {
            std::thread::yield_now();
        }
        block_on(sleep(Duration::from_millis(1)));
        drop(later);
    }

    #[test]
    fn a_panic_in_a_callback_leaves_the_service_running() {
        call_at(Instant::now(), || panic!("in a callback, on purpose")).unwrap().detach();
        block_on(sleep(Duration::from_millis(1)));
    }

    /// What it throws panics when it is dropped. Both are due at the same look, and the second one is to come.
    #[test]
    fn a_payload_that_panics_leaves_the_service_running() {
        struct Bomb;
        impl Drop for Bomb {
            fn drop(&mut self) {
                panic!("in a payload's destructor, on purpose");
            }
        }
        let due = Instant::now();
        let (sender, receiver) = mpsc::channel();
        let thrower = call_at(due, || std::panic::panic_any(Bomb)).unwrap();
        let later = call_at(due, move || sender.send(()).unwrap()).unwrap();
        receiver.recv().unwrap();
        block_on(sleep(Duration::from_millis(1)));
        drop((thrower, later));
    }

    #[test]
    fn a_callback_may_set_and_cancel_timers() {
        let (sender, receiver) = mpsc::channel();
        let outer = call_at(Instant::now(), move || {
            drop(call_at(Instant::now() + Duration::from_secs(3600), || ()));
            let inner = call_at(Instant::now(), move || sender.send(()).unwrap());
            inner.unwrap().detach();
        });
        receiver.recv().unwrap();
        drop(outer);
    }

    #[test]
    fn a_sleep_follows_the_task_that_polls_it() {
        let mut sleep = sleep(Duration::from_millis(1));
        let mut context = Context::from_waker(Waker::noop());
        if Pin::new(&mut sleep).poll(&mut context).is_pending() {
            block_on(sleep);
        }
    }

    #[test]
    fn the_longest_sleep_does_not_overflow() {
        let mut sleep = sleep(Duration::MAX);
        let mut context = Context::from_waker(Waker::noop());
        assert!(Pin::new(&mut sleep).poll(&mut context).is_pending());
    }
}
