//! A bound on all that is under way together, in items or in weight.

use super::control::{Control, Spot};
use super::desk::{Count, Desk, Wait};
use super::error::BuildError;
use super::flow::{Below, Flow, Launch, Order, Paid, Pump};
use super::parcel::{Parcel, Sink};
use crate::core::semaphore::MAX_PERMITS;
use crate::sync::{OwnedSemaphorePermit, Semaphore};
use crate::thread::{self, SpawnError};
use std::pin::pin;
use std::sync::Arc;

/// A flow behind which only so much is under way.
pub struct Capped<P, F> {
    pub(super) upstream: P,
    pub(super) most: usize,
    pub(super) weigh: F,
}

impl<P, F> Flow for Capped<P, F>
where
    P: Flow,
    F: Fn(&P::Item) -> usize + Send + Sync,
{
    type Item = P::Item;

    fn position(&self) -> usize {
        self.upstream.position()
    }

    fn name(&self) -> Arc<str> {
        self.upstream.name()
    }

    fn makers(&self, is_ordered: bool) -> usize {
        self.upstream.makers(is_ordered)
    }

    fn is_in_order(&self) -> bool {
        true
    }

    fn total(&self) -> Option<u64> {
        self.upstream.total()
    }

    fn check(&self, asked: Order<'_>) -> Result<(), BuildError> {
        if self.most == 0 {
            return Err(BuildError::Zero { stage: "in flight".into() });
        }
        // Whoever is admitted first must be whoever all others may have to wait for.
        if !self.upstream.is_in_order() {
            return Err(BuildError::CapOutOfOrder);
        }
        self.upstream.check(asked)
    }

    fn launch<'scope, S>(
        self,
        launch: &mut Launch<'scope, '_>,
        sink: S,
        below: Below,
    ) -> Result<Pump<'scope>, SpawnError>
    where
        Self: 'scope,
        S: Sink<Self::Item> + 'scope,
    {
        let most = self.most.min(MAX_PERMITS);
        let room = Arc::new(Semaphore::new(most));
        launch.cap_the_next(Cap { room: Arc::clone(&room), most });
        let toll = Toll {
            room,
            most,
            weigh: Arc::new(self.weigh),
            control: Arc::clone(&launch.control),
            every_number: below.every_number,
            spot: Spot { name: self.upstream.name(), index: self.upstream.position() },
            is_shut: false,
            sink,
        };
        self.upstream.launch(launch, toll, below)
    }
}

/// What is to be seen of a cap.
#[derive(Debug)]
pub(super) struct Cap {
    room: Arc<Semaphore>,
    most: usize,
}

impl Cap {
    pub(super) fn most(&self) -> usize {
        self.most
    }

    /// What share of that is under way.
    pub(super) fn fullness(&self) -> f64 {
        self.used() as f64 / self.most as f64
    }

    /// How much is under way.
    pub(super) fn used(&self) -> usize {
        self.most.saturating_sub(self.room.available_permits())
    }
}

/// Takes an item's weight from what is left, in front of the sink. It is given back when the item is gone.
struct Toll<F, S> {
    room: Arc<Semaphore>,
    most: usize,
    weigh: Arc<F>,
    control: Arc<Control>,
    /// See [`Below::every_number`].
    every_number: bool,
    spot: Spot,
    /// Somebody could not pay before the run was aborted, and nobody behind can: or there would be a gap.
    is_shut: bool,
    sink: S,
}

impl<F, S: Clone> Clone for Toll<F, S> {
    fn clone(&self) -> Self {
        let (room, weigh) = (Arc::clone(&self.room), Arc::clone(&self.weigh));
        let (most, control) = (self.most, Arc::clone(&self.control));
        let (every_number, spot) = (self.every_number, self.spot.clone());
        let (is_shut, sink) = (self.is_shut, self.sink.clone());
        Self { room, most, weigh, control, every_number, spot, is_shut, sink }
    }
}

impl<F, S> Toll<F, S> {
    /// Waits until there is so much left; `None` if the run is aborted first.
    fn pay(&mut self, weight: usize, desk: &Desk) -> Option<OwnedSemaphorePermit> {
        if self.is_shut {
            return None;
        }
        // What is heavier than all that is allowed goes alone.
        let weight = weight.clamp(1, self.most);
        let room = || Arc::clone(&self.room);
        let permit = room().try_acquire_many_owned(weight).ok().or_else(|| {
            let mut waiting = pin!(room().acquire_many_owned(weight));
            let waited =
                desk.during(Wait::Blocked, || self.control.work().block_on(waiting.as_mut()));
            waited.ok().and_then(Result::ok)
        });
        self.is_shut = permit.is_none();
        permit
    }
}

impl<T, F, S> Sink<T> for Toll<F, S>
where
    T: Send,
    F: Fn(&T) -> usize + Send + Sync,
    S: Sink<T>,
{
    fn put(&mut self, mut parcel: Parcel<T>, desk: &Desk) {
        if let Some(load) = &parcel.load {
            let weighed = thread::catch(|| (self.weigh)(load));
            let permit = match weighed {
                Ok(weight) => {
                    let permit = self.pay(weight, desk);
                    desk.add(Count::Recalled, u64::from(permit.is_none()));
                    permit
                }
                Err(panicked) => {
                    self.control.stop_at(&self.spot, parcel.item, panicked, desk);
                    None
                }
            };
            match permit {
                Some(permit) => {
                    let (_permit, _before) = (permit, parcel.fare.take());
                    parcel.fare = Some(Arc::new(Paid { _permit, _before }));
                }
                None => {
                    if !self.every_number {
                        return;
                    }
                    // There may be somebody who still waits for the number.
                    parcel.load = None;
                }
            }
        }
        self.sink.put(parcel, desk);
    }

    fn finish(self, desk: &Desk) {
        self.sink.finish(desk);
    }
}
