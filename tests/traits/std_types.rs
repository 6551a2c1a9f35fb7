//! The types of aqueduct.

use crate::{generic, has, others, plain, send_sync};
use aqueduct::Context;
use aqueduct::channel::{
    IntoIter, Iter, OwnedRecvStream, OwnedSendSink, Permit, ReadyTimeoutError, Receiver,
    RecvCtxError, RecvError, RecvFuture, RecvStream, RecvTimeoutError, ReserveFuture, Select,
    SelectTimeoutError, SelectedOperation, SendCtxError, SendError, SendFuture, SendSink,
    SendTimeoutError, Sender, TryIter, TryReadyError, TryRecvError, TrySelectError, TrySendError,
    WeakReceiver, WeakSender,
};
use aqueduct::context::{CancelGuard, ContextError, Done, HeaderError, StopHandle};
use aqueduct::fan::{
    Branch, BranchId, Broadcast, GatherEnd, Gathered, InputId, Inputs, Lag, Merge, MergeEnded,
    MergeStream, RouteError, Router, Rule, Scatter, Unanswered, Unrouted,
};
use aqueduct::io::{Block, Blocks, OrderedWriter};
use aqueduct::iter::{ParMap, ParMapOrdered};
use aqueduct::pipeline::{
    AtWork, Backoff, Batch, Bottleneck, Boxed, Bridge, BuildError, Cause, Controller, Emitter,
    Pipeline, PipelineError, PipelineMetrics, Policy, Report, Running, StageError, StageMetrics,
    StageReport, Stopped, Stuck,
};
use aqueduct::pool::{
    self, Cancel, Completed, Decision, Driven, Fallible, Full, Group, Histogram, InOrder, Informed,
    Job, JobContext, JobError, JobHandle, JobId, JobPanic, JobResult, LatencyTarget, Limit, Load,
    Plain, Pool, PoolMetrics, Priority, Refusal, Rejection, RunningJob, ScaleEvent, ScaleReason,
    ScopedJob, ShutdownReport, SubmitError, Thresholds, WorkerId,
};
use aqueduct::sync::{
    AcquireCtxError, AcquireTimeoutError, Barrier, BarrierWaitResult, Condvar, Event, Greedy,
    MappedMutexGuard, MappedRwLockReadGuard, MappedRwLockWriteGuard, Mutex, MutexGuard,
    OwnedSemaphorePermit, Park, ReaderPriority, RwLock, RwLockReadGuard, RwLockUpgradableReadGuard,
    RwLockWriteGuard, Semaphore, SemaphorePermit, TimeoutError, TryLockError, WaitGroup,
    WaitGroupToken, WaitTimeoutResult,
};
use aqueduct::thread::{Builder, JoinHandle, Panicked, Scope, ScopedJoinHandle, SpawnError};
use aqueduct::timer::{Sleep, Timer};

#[test]
fn channels() {
    generic! {
        T => Sender<T>, ["SS" "SS" "--" "--"], "UWR";
        T => Receiver<T>, ["SS" "SS" "--" "--"], "UWR";
        T => SendFuture<'static, T>, ["SS" "S-" "--" "--"], "UWR";
        T => RecvFuture<'static, T>, ["SS" "SS" "--" "--"], "UWR";
        T => Permit<'static, T>, ["SS" "SS" "--" "--"], "UWR";
        T => ReserveFuture<'static, T>, ["SS" "SS" "--" "--"], "UWR";
        T => RecvStream<'static, T>, ["SS" "SS" "--" "--"], "UWR";
        T => SendSink<'static, T>, ["SS" "SS" "--" "--"], "UWR";
        T => OwnedRecvStream<T>, ["SS" "SS" "--" "--"], "UWR";
        T => OwnedSendSink<T>, ["SS" "SS" "--" "--"], "UWR";
        T => WeakSender<T>, ["SS" "SS" "--" "--"], "UWR";
        T => WeakReceiver<T>, ["SS" "SS" "--" "--"], "UWR";
        T => Iter<'static, T>, ["SS" "SS" "--" "--"], "UWR";
        T => TryIter<'static, T>, ["SS" "SS" "--" "--"], "UWR";
        T => IntoIter<T>, ["SS" "SS" "--" "--"], "UWR";
        T => SendError<T>, ["SS" "S-" "-S" "--"], "UWR";
        T => TrySendError<T>, ["SS" "S-" "-S" "--"], "UWR";
        T => SendTimeoutError<T>, ["SS" "S-" "-S" "--"], "UWR";
        T => SendCtxError<T>, ["SS" "S-" "-S" "--"], "UWR";
    }
    plain! {
        RecvError, "SS", "UWR";
        TryRecvError, "SS", "UWR";
        RecvTimeoutError, "SS", "UWR";
        RecvCtxError, "SS", "UWR";
        // Their arms have forgotten whether their values may cross threads.
        Select<'static>, "--", "U--";
        SelectedOperation<'static>, "--", "U--";
        TrySelectError, "SS", "UWR";
        SelectTimeoutError, "SS", "UWR";
        TryReadyError, "SS", "UWR";
        ReadyTimeoutError, "SS", "UWR";
    }
}

#[test]
fn contexts_and_timers() {
    plain! {
        Context, "SS", "UWR";
        ContextError, "SS", "UWR";
        HeaderError, "SS", "UWR";
        CancelGuard, "SS", "UWR";
        StopHandle, "SS", "UWR";
        Done, "SS", "UWR";
        Timer, "SS", "UWR";
        Sleep, "SS", "UWR";
    }
}

#[test]
fn threads() {
    generic! {
        // A result moves from one thread to another, and joining takes the handle.
        T => JoinHandle<T>, ["SS" "SS" "--" "--"], "U--";
        T => ScopedJoinHandle<'static, T>, ["SS" "SS" "--" "--"], "U--";
    }
    plain! {
        Builder, "SS", "UWR";
        Park, "SS", "UWR";
        Scope<'static, 'static>, "SS", "UWR";
        Panicked, "SS", "UWR";
        SpawnError, "SS", "U--";
    }
}

#[test]
fn locks() {
    generic! {
        // Whoever locks may take the value out, in any thread; nobody shares it.
        T => Mutex<T>, ["SS" "SS" "--" "--"], "UW-";
        T => MutexGuard<'static, T>, ["SS" "S-" "--" "--"], "U--";
        T => MappedMutexGuard<'static, T>, ["SS" "S-" "-S" "--"], "U-R";
        T => RwLock<T>, ["SS" "S-" "--" "--"], "UW-";
        T => RwLock<T, ReaderPriority>, ["SS" "S-" "--" "--"], "UW-";
        T => RwLockReadGuard<'static, T>, ["SS" "--" "--" "--"], "U--";
        T => RwLockWriteGuard<'static, T>, ["SS" "--" "--" "--"], "U--";
        T => RwLockUpgradableReadGuard<'static, T>, ["SS" "--" "--" "--"], "U--";
        T => MappedRwLockReadGuard<'static, T>, ["SS" "--" "SS" "--"], "UWR";
        T => MappedRwLockWriteGuard<'static, T>, ["SS" "S-" "-S" "--"], "U-R";
    }
    plain! {
        TryLockError, "SS", "UWR";
        TimeoutError, "SS", "UWR";
    }
}

#[test]
fn permits_and_meetings() {
    plain! {
        Semaphore, "SS", "UWR";
        Semaphore<Greedy>, "SS", "UWR";
        SemaphorePermit<'static>, "SS", "UWR";
        OwnedSemaphorePermit, "SS", "UWR";
        AcquireTimeoutError, "SS", "UWR";
        AcquireCtxError, "SS", "UWR";
        Condvar, "SS", "UWR";
        WaitTimeoutResult, "SS", "UWR";
        WaitGroup, "SS", "UWR";
        WaitGroupToken, "SS", "UWR";
        Barrier, "SS", "UWR";
        BarrierWaitResult, "SS", "UWR";
        Event, "SS", "UWR";
    }
}

#[test]
fn fans() {
    generic! {
        T => Broadcast<T>, ["SS" "SS" "--" "--"], "U--";
        T => Branch<T>, ["SS" "SS" "--" "--"], "UWR";
        // Predicates and keys of the user's are in it, which may be asked from any thread.
        T => Router<T>, ["SS" "SS" "--" "--"], "U--";
        T => Rule<T>, ["SS" "SS" "SS" "SS"], "U--";
        T => RouteError<T>, ["SS" "S-" "-S" "--"], "UWR";
        // It compares, with a function that has one owner.
        T => Merge<T>, ["S-" "S-" "--" "--"], "U--";
        T => Inputs<T>, ["SS" "SS" "--" "--"], "UWR";
        T => MergeEnded<T>, ["SS" "SS" "--" "--"], "UWR";
        T => MergeStream<T>, ["SS" "SS" "--" "--"], "UWR";
        T => Gathered<T>, ["SS" "S-" "-S" "--"], "U--";
    }
    plain! {
        BranchId, "SS", "UWR";
        GatherEnd, "SS", "UWR";
        Scatter<'static>, "SS", "UWR";
        Unanswered, "SS", "U--";
        InputId, "SS", "UWR";
        Lag, "SS", "UWR";
        Unrouted, "SS", "UWR";
    }
}

#[test]
fn iterators_and_blocks() {
    generic! {
        // It joins its threads, with functions that have one owner.
        T => ParMap<'static, std::vec::IntoIter<T>, T>, ["S-" "S-" "--" "--"], "U--";
        T => ParMapOrdered<'static, std::vec::IntoIter<T>, T>, ["S-" "S-" "--" "--"], "U--";
        T => Blocks<T>, ["SS" "S-" "-S" "--"], "U--";
        T => OrderedWriter<Vec<u8>, T>, ["SS" "SS" "--" "--"], "UW-";
    }
    plain! {
        Block, "SS", "UWR";
    }
}

#[test]
fn pipelines() {
    generic! {
        T => Running<T>, ["SS" "SS" "--" "--"], "U--";
        // Lent to the source's function, in the thread of the source.
        T => Emitter<'static, T>, ["--" "--" "--" "--"], "U--";
        T => Pipeline<T>, ["SS" "S-" "-S" "--"], "UWR";
        // What is in it may be sent, or it would be no pipeline's.
        T => Boxed<'static, T>, ["S-" "S-" "S-" "S-"], "U--";
        T => Bridge<T>, ["SS" "S-" "-S" "--"], "UWR";
        T => Stuck<T>, ["SS" "SS" "--" "--"], "U--";
    }
    plain! {
        Controller, "SS", "UWR";
        AtWork, "SS", "UWR";
        Backoff, "SS", "UWR";
        Batch, "SS", "UWR";
        Bottleneck, "SS", "UWR";
        PipelineMetrics, "SS", "UWR";
        StageMetrics, "SS", "UWR";
        Report, "SS", "U--";
        StageReport, "SS", "UWR";
        StageError, "SS", "U--";
        Cause, "SS", "U--";
        BuildError, "SS", "UWR";
        PipelineError, "SS", "U--";
        Policy, "SS", "UWR";
        Stopped, "SS", "UWR";
    }
}

#[test]
fn pools() {
    generic! {
        // It can only be had for what is Send.
        T => JobHandle<T>, ["SS" "SS" "SS" "SS"], "UWR";
        T => Group<T>, ["SS" "SS" "--" "--"], "U--";
        T => Completed<T>, ["SS" "SS" "--" "--"], "U--";
        T => InOrder<T>, ["SS" "SS" "--" "--"], "U--";
        T => ScopedJob<'static, T>, ["SS" "SS" "--" "--"], "U--";
        T => JobResult<T>, ["SS" "S-" "-S" "--"], "UWR";
        T => Job<T>, ["SS" "S-" "-S" "--"], "UWR";
        T => Plain<T>, ["SS" "S-" "-S" "--"], "UWR";
        T => Driven<T>, ["SS" "S-" "-S" "--"], "UWR";
        T => Informed<T>, ["SS" "S-" "-S" "--"], "UWR";
        T => Fallible<T>, ["SS" "S-" "-S" "--"], "UWR";
        T => SubmitError<T>, ["SS" "S-" "-S" "--"], "UWR";
    }
    plain! {
        Pool, "SS", "UWR";
        pool::Scope<'static, 'static>, "SS", "U--";
        pool::Builder, "SS", "U--";
        pool::BuildError, "SS", "U--";
        Cancel, "SS", "UWR";
        Decision, "SS", "UWR";
        Full, "SS", "UWR";
        Histogram, "SS", "UWR";
        JobContext<'static>, "SS", "U--";
        JobError, "SS", "U--";
        JobId, "SS", "UWR";
        JobPanic, "SS", "UWR";
        LatencyTarget, "SS", "UWR";
        Limit, "SS", "UWR";
        Load, "SS", "UWR";
        PoolMetrics, "SS", "UWR";
        Priority, "SS", "UWR";
        Refusal, "SS", "UWR";
        Rejection, "SS", "UWR";
        RunningJob, "SS", "UWR";
        ScaleEvent, "SS", "UWR";
        ScaleReason, "SS", "UWR";
        ShutdownReport, "SS", "UWR";
        Thresholds, "SS", "UWR";
        WorkerId, "SS", "UWR";
    }
}
