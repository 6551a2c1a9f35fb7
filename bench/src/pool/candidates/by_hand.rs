//! The pool that one writes oneself: boxed closures in an unbounded channel, and threads that take them out.
//!
//! A job that submits another finds the channel by its thread, as in the pools that have a call for that. A sender
//! that each job takes along would be a count of references that all threads fight over.

use std::cell::OnceCell;
use std::thread::{self, JoinHandle, LocalKey};

use super::{Ledger, Pool, WORKERS, branch};

/// One boxed closure; none sends the worker home that takes it.
pub(super) type Task = Option<Box<dyn FnOnce() + Send>>;

/// The sending end of an unbounded channel.
pub(super) trait Tasks: Clone + Send + Sync + 'static {
    const NAME: &'static str;
    type Receiver: Clone + Send + 'static;

    fn unbounded() -> (Self, Self::Receiver);

    fn send(&self, task: Task);

    fn recv(receiver: &Self::Receiver) -> Task;

    /// That of the pool whose worker this thread is.
    fn own() -> &'static LocalKey<OnceCell<Self>>;
}

macro_rules! own {
    ($sender:ty) => {
        #[inline]
        fn own() -> &'static LocalKey<OnceCell<Self>> {
            thread_local! {
                static OWN: OnceCell<$sender> = const { OnceCell::new() };
            }
            &OWN
        }
    };
}

impl Tasks for crossbeam_channel::Sender<Task> {
    const NAME: &'static str = "crossbeam-channel";
    type Receiver = crossbeam_channel::Receiver<Task>;

    fn unbounded() -> (Self, Self::Receiver) {
        crossbeam_channel::unbounded()
    }

    #[inline]
    fn send(&self, task: Task) {
        assert!(self.send(task).is_ok(), "the workers are gone");
    }

    #[inline]
    fn recv(receiver: &Self::Receiver) -> Task {
        receiver.recv().expect("each worker has a sender")
    }

    own!(crossbeam_channel::Sender<Task>);
}

impl Tasks for crossfire::MTx<crossfire::mpmc::List<Task>> {
    const NAME: &'static str = "crossfire";
    type Receiver = crossfire::MRx<crossfire::mpmc::List<Task>>;

    fn unbounded() -> (Self, Self::Receiver) {
        crossfire::mpmc::unbounded_blocking()
    }

    #[inline]
    fn send(&self, task: Task) {
        assert!((**self).send(task).is_ok(), "the workers are gone");
    }

    #[inline]
    fn recv(receiver: &Self::Receiver) -> Task {
        receiver.recv().expect("each worker has a sender")
    }

    own!(crossfire::MTx<crossfire::mpmc::List<Task>>);
}

impl Tasks for kanal::Sender<Task> {
    const NAME: &'static str = "kanal";
    type Receiver = kanal::Receiver<Task>;

    fn unbounded() -> (Self, Self::Receiver) {
        kanal::unbounded()
    }

    #[inline]
    fn send(&self, task: Task) {
        assert!(self.send(task).is_ok(), "the workers are gone");
    }

    #[inline]
    fn recv(receiver: &Self::Receiver) -> Task {
        receiver.recv().expect("each worker has a sender")
    }

    own!(kanal::Sender<Task>);
}

pub(super) struct ByHand<S> {
    sender: S,
    workers: Vec<JoinHandle<()>>,
}

impl<S: Tasks> Pool for ByHand<S> {
    const NAME: &'static str = S::NAME;

    fn new() -> Self {
        let (sender, receiver) = S::unbounded();
        let start = |_| {
            let (sender, receiver) = (sender.clone(), receiver.clone());
            thread::spawn(move || {
                S::own().with(|own| assert!(own.set(sender).is_ok(), "a new thread has none"));
                while let Some(task) = S::recv(&receiver) {
                    task();
                }
            })
        };
        let workers = (0..WORKERS).map(start).collect();
        Self { sender, workers }
    }

    #[inline]
    fn spawn(&self, job: impl FnOnce() + Send + 'static) {
        self.sender.send(Some(Box::new(job)));
    }

    fn grow(&self, n: u64, ledger: &'static Ledger) {
        self.spawn(move || work::<S>(n, ledger));

        fn work<S: Tasks>(n: u64, ledger: &'static Ledger) {
            S::own().with(|own| {
                let own = own.get().expect("a job runs on a worker");
                for child in branch(n, ledger) {
                    own.send(Some(Box::new(move || work::<S>(child, ledger))));
                }
            });
            ledger.sign(n);
        }
    }

    fn end(self) {
        self.workers.iter().for_each(|_| self.sender.send(None));
        self.workers.into_iter().for_each(|worker| worker.join().expect("no job panics"));
    }
}
