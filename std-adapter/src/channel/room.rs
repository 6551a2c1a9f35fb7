//! A wait for room that takes nothing: for a sender that looks at several channels, and sends when all have room.

use super::Sender;
use super::flavor::{Flavor, Ring};
use super::locked::Reserving;
use aqueduct_core::channel::SendWatch;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

impl<T> Sender<T> {
    /// Waits while it is full and not closed.
    ///
    /// Room that was seen stays for who sends alone and reserves nothing: receivers only make more.
    pub(crate) fn room(&self) -> Room<'_, T> {
        let line = match &self.channel.flavor {
            Flavor::Ring(ring) => Line::Ring(ring.watch_send()),
            Flavor::Locked(locked) => Line::Locked(Reserving::new(locked)),
        };
        Room { line }
    }
}

/// A future that is ready when there is room, or the channel is closed. Dropped early it leaves the line.
pub(crate) struct Room<'a, T> {
    line: Line<'a, T>,
}

enum Line<'a, T> {
    /// A place that was reserved and given up would be a void ticket, which sends then pass over; after the first such
    /// passing a ring lets go of all its slots by compare-and-swap.
    Ring(SendWatch<'a, Ring<T>>),
    /// Under a lock a reserved place is a number, and the line costs no allocation as a watcher does.
    Locked(Reserving<'a, T>),
}

impl<T> Future for Room<'_, T> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.line {
            Line::Ring(watch) => loop {
                let is_woken = watch.poll_ready(cx).is_ready();
                // After it is in line: room that is made before this look is seen, and later room wakes it.
                if watch.is_ready() {
                    watch.leave();
                    return Poll::Ready(());
                }
                if !is_woken {
                    return Poll::Pending;
                }
            },
            // The place is given back at once, and stays.
            Line::Locked(reserving) => Pin::new(reserving).poll(cx).map(drop),
        }
    }
}
