//! Several values for one claim, and who is woken by them.

use super::done::Done;
use super::{Parts, Progress, SendError};
use crate::{queue, wait};

impl<S: queue::Storage, W: wait::Storage, P: Progress> Parts<S, W, P> {
    pub(super) fn try_send_many(
        &self,
        values: &mut impl Iterator<Item = S::Item>,
    ) -> Result<usize, SendError<S::Item>> {
        // A place that was claimed and given up made the channel look full: to a sender that may be asleep by now.
        let mut given_up = Done::new(&self.senders, false);
        let mut sent = 0;
        // Each value is announced before the next is asked for, which may take its time, or wait for the receiver.
        let mut pushed = || {
            sent += 1;
            self.receivers.notify(1);
        };
        // While receivers sleep, a value at a time: waking one takes long, and whoever is awake would find places that are
        // claimed and not filled.
        while self.receivers.has_waiters() {
            let mut one = values.by_ref().take(1);
            let mut is_in = false;
            let pushed = || {
                is_in = true;
                pushed();
            };
            self.ring.push_each(&mut one, pushed, &mut given_up.times).map_err(SendError)?;
            if !is_in {
                return Ok(sent);
            }
        }
        self.ring.push_each(values, pushed, &mut given_up.times).map_err(SendError)?;
        Ok(sent)
    }

    pub(super) fn try_send_at_once(
        &self,
        values: &mut impl ExactSizeIterator<Item = S::Item>,
    ) -> Result<usize, SendError<S::Item>> {
        if P::LOCK_FREE {
            return self.try_send_many(values);
        }
        let mut given_up = Done::new(&self.senders, false);
        let mut sent = Done::new(&self.receivers, true);
        self.ring.push_at_once(values, &mut sent.times, &mut given_up.times);
        Ok(sent.times)
    }

    pub(super) fn try_recv_many(&self, max: usize, f: impl FnMut(S::Item)) -> usize {
        let mut room = Done::new(&self.senders, !P::LOCK_FREE);
        // After a panic nobody knows how much room; a sender that is woken for nothing sleeps again.
        room.times = max.min(self.ring.capacity());
        room.times = self.ring.pop_many(max, f);
        room.times
    }
}
