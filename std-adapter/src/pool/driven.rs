//! Jobs that are futures: a worker polls one until it is ready, and makes room for another worker while it waits.

use super::job::{Job, JobContext, Options, sealed};
use super::outcome::JobError;
use crate::park;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

/// A future. See [`Job::future`].
pub struct Driven<F>(pub(super) F);

impl<F> Job<Driven<F>>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    /// A job that polls `future` until it is ready.
    ///
    /// While it is pending, its worker waits, as in [`JobContext::blocking`]: another may come in its place, up to the
    /// [bound](super::Builder::max_compensation). Asked to stop, or late, it is dropped where it waits.
    ///
    /// It is a job like others, in its accounting and its limits; its run time is from the first poll to the last. For thousands of futures
    /// that wait at the same time take a runtime, where one that waits holds no thread.
    ///
    /// # Examples
    ///
    /// ```
    /// use aqueduct::{channel, pool::{Job, Pool}};
    /// use std::time::Duration;
    ///
    /// let pool = Pool::builder().max_workers(1).build()?;
    /// let (sender, receiver) = channel::bounded(1);
    /// let sum = Job::future(async move { receiver.recv_async().await.unwrap_or(0) + 1 });
    /// let sum = pool.submit_job(sum.timeout(Duration::from_secs(60)))?;
    /// pool.execute(move || sender.send(41).unwrap())?;
    /// assert_eq!(sum.join()?.value, 42);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn future(future: F) -> Self {
        Self { work: Driven(future), options: Options::default() }
    }
}

impl<F> sealed::Work for Driven<F>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    type Output = F::Output;

    fn run(self, job: &mut JobContext<'_>) -> Result<F::Output, JobError> {
        let context = job.context();
        let (mut future, mut done) = (pin!(self.0), pin!(context.done()));
        let mut waits = None;
        let ready = park::block_on(poll_fn(|cx| {
            // It is about to run again.
            drop(waits.take());
            if let Poll::Ready(output) = future.as_mut().poll(cx) {
                return Poll::Ready(Some(output));
            }
            if done.as_mut().poll(cx).is_ready() {
                return Poll::Ready(None);
            }
            waits = job.wait_section();
            Poll::Pending
        }));
        ready.ok_or(JobError::Cancelled)
    }
}
