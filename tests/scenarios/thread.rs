//! Threads: what they leave behind, and how they fail.

use crate::support::{alone, eventually, poll, threads};
use aqueduct::context::ContextError;
use aqueduct::park::block_on;
use aqueduct::thread::{self, Builder};
use aqueduct::{Context, timer};
use std::panic::panic_any;
use std::sync::{Arc, mpsc};
use std::task::{Wake, Waker};
use std::time::{Duration, Instant};

/// R17: A panic in one thread is a value for whoever joins it, and kills nothing else.
#[test]
fn a_panic_is_a_value_and_nothing_else_stops() {
    let (go, wait) = mpsc::channel::<()>();
    let bystander = thread::spawn(move || wait.recv().is_err()).unwrap();
    let message = format!("job {} failed", 7);
    let panicked = thread::spawn(move || panic!("{message}")).unwrap();
    assert_eq!(panicked.join().unwrap_err().message(), "job 7 failed");
    drop(go);
    assert!(bystander.join().unwrap());
}

/// It panics when it is dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("in a destructor, on purpose");
    }
}

/// R17: What the threads of a scope throw may panic when it is dropped, and so may what they return: the first panic that nobody
/// joined is the scope's error, and no other leaves it.
#[test]
fn a_scope_ends_with_an_error_whatever_its_threads_throw() {
    let unseen = thread::scope(|scope| {
        for _ in 0..2 {
            drop(scope.spawn(|| panic_any(Bomb)).unwrap());
        }
        // One of them is found in the handle's drop.
        let handle = scope.spawn(|| panic_any(Bomb)).unwrap();
        eventually("it has ended", || handle.is_finished());
    });
    let payload = unseen.unwrap_err().into_payload().downcast::<Bomb>();
    std::mem::forget(payload.expect("it is what was thrown"));
    // The handle is gone before the thread returns.
    let (go, wait) = mpsc::channel::<()>();
    let unseen = thread::scope(|scope| {
        let handle = scope.spawn(move || {
            wait.recv().unwrap_err();
            Bomb
        });
        drop(handle.unwrap());
        drop(go);
    });
    assert_eq!(unseen.unwrap_err().message(), "in a destructor, on purpose");
    // The scope's own panic comes first.
    let panicked = thread::catch(|| {
        thread::scope(|scope| {
            drop(scope.spawn(|| panic_any(Bomb)).unwrap());
            panic!("the scope's own");
        })
    });
    assert_eq!(panicked.unwrap_err().message(), "the scope's own");
}

/// R38: Whatever the way a thread is waited for, no thread is left; the timer's own ends too.
#[test]
fn the_count_of_threads_returns_to_what_it_was() {
    alone("thread::the_count_of_threads_returns_to_what_it_was", || {
        let Some(before) = threads() else { return };
        let back = || eventually("as many threads as before", || threads() == Some(before));

        for _ in 0..50 {
            thread::spawn(|| 1).unwrap().join().unwrap();
            block_on(thread::spawn(|| 2).unwrap()).unwrap();
            drop(thread::spawn(|| 3));
            assert!(thread::spawn(|| panic!("on purpose")).unwrap().join().is_err());
            thread::scope(|scope| drop(scope.spawn(|| 4))).unwrap();
        }
        back();

        block_on(timer::sleep(Duration::from_millis(1)));
        back();
        // It comes again when it is needed again.
        block_on(timer::sleep(Duration::from_millis(1)));
        back();

        let hour = Context::background().with_timeout(Duration::from_secs(3600));
        let stop = hour.after_func(|| unreachable!("an hour is not over"));
        assert_eq!(threads(), Some(before + 1), "the timer thread, for a thousand timers or one");
        assert!(stop.stop());
        drop(hour);
        back();
    });
}

/// R81: Setting and cancelling a timer over and over starts one thread, and leaves nothing.
#[test]
fn a_timer_in_a_loop_leaves_nothing() {
    alone("thread::a_timer_in_a_loop_leaves_nothing", || {
        let before = threads();
        for _ in 0..100_000 {
            drop(timer::call_at(Instant::now() + Duration::from_secs(3600), || ()).unwrap());
        }
        assert_eq!(timer::pending(), 0);
        // One that has left may be on its way out.
        eventually("one at most", || threads() <= before.map(|before| before + 1));
    });
}

/// What the system refuses is an error, and the program goes on.
#[test]
fn a_refused_thread_is_an_error() {
    let refused = Builder::new().stack_size(isize::MAX as usize).spawn(|| ());
    assert!(refused.is_err());
    thread::scope(|scope| {
        let refused = Builder::new().stack_size(isize::MAX as usize).spawn_scoped(scope, || ());
        assert!(refused.is_err());
    })
    .unwrap();
}

/// A join that gives up, by its limit or its context, leaves the handle as it was; the result comes once, panics too.
#[test]
fn a_join_may_give_up_and_come_again() {
    let context = Context::background();
    context.cancel();
    let (go, wait) = mpsc::channel::<()>();
    let mut worker = thread::spawn(move || wait.recv().is_err()).unwrap();
    for _ in 0..3 {
        assert!(worker.join_timeout(Duration::from_micros(10)).is_none());
        assert!(worker.join_deadline(Instant::now()).is_none());
        assert_eq!(worker.join_ctx(&context).unwrap_err(), ContextError::Canceled);
    }
    drop(go);
    assert!(worker.join_timeout(Duration::MAX).unwrap().unwrap());

    let mut panics = thread::spawn(|| panic!("on purpose")).unwrap();
    let panicked = panics.join_ctx(&Context::background()).unwrap().unwrap_err();
    assert_eq!(panicked.message(), "on purpose");

    thread::scope(|scope| {
        let mut worker = scope.spawn(|| 7).unwrap();
        assert_eq!(worker.join_timeout(Duration::MAX).unwrap().unwrap(), 7);
        let mut worker = scope.spawn(|| 8).unwrap();
        assert_eq!(worker.join_ctx(&Context::background()).unwrap().unwrap(), 8);
    })
    .unwrap();
}

/// A waker that panics when it is called.
struct Panics;

impl Wake for Panics {
    fn wake(self: Arc<Self>) {
        panic!("in a waker, on purpose");
    }
}

/// What a thread has returned is there whatever the waker of whoever waits for it does, and its scope ends well.
#[test]
fn a_waker_that_panics_costs_no_result() {
    let waker = Waker::from(Arc::new(Panics));
    let (go, wait) = mpsc::channel::<()>();
    let mut worker = thread::spawn(move || wait.recv().is_err()).unwrap();
    assert!(poll(&mut worker, &waker).is_pending());
    drop(go);
    assert!(worker.join().unwrap());

    for is_joined in [true, false] {
        let joined = thread::scope(|scope| {
            let (go, wait) = mpsc::channel::<()>();
            let mut worker = scope.spawn(move || wait.recv().is_err()).unwrap();
            assert!(poll(&mut worker, &waker).is_pending());
            if is_joined {
                drop(go);
                worker.join().unwrap()
            } else {
                drop(worker);
                drop(go);
                true
            }
        });
        assert!(joined.unwrap());
    }
}

/// R17: What a thread has returned may panic when it is dropped with the handle: that, too, is the scope's error.
#[test]
fn a_scope_has_the_panic_of_a_result_that_goes_with_its_handle() {
    let unseen = thread::scope(|scope| {
        let handle = scope.spawn(|| Bomb).unwrap();
        eventually("it has ended", || handle.is_finished());
    });
    assert_eq!(unseen.unwrap_err().message(), "in a destructor, on purpose");
}
