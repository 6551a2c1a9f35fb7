//! Several values for one claim.

use super::Sender;
use super::error::SendError;
use super::flavor::Flavor;
use std::collections::VecDeque;

impl<T> Sender<T> {
    /// Sends all of `values`, as many at a time as there is room for, and sleeps while there is none. Says how many there were.
    ///
    /// What goes in together claims its places in one step, which is cheaper than one by one. The values of other senders may come
    /// in between. Where `values` knows its length, places are kept for it while it makes the values; each goes out when it is made.
    ///
    /// # Examples
    ///
    /// ```
    /// let (sender, receiver) = aqueduct::channel::bounded(2);
    /// assert_eq!(sender.send_many(&mut [1, 2].into_iter()), Ok(2));
    /// assert_eq!(receiver.recv(), Ok(1));
    /// receiver.close();
    /// let mut more = 3..6;
    /// assert_eq!(sender.send_many(&mut more).unwrap_err().into_inner(), 3);
    /// assert_eq!(more, 4..6);
    /// ```
    ///
    /// # Errors
    ///
    /// [`SendError`] with the first value that was not sent, if the channel is closed, also while this sleeps; those after
    /// it are still in `values`.
    ///
    /// # Panics
    ///
    /// If `values` does. What came before that is sent.
    pub fn send_many(&self, values: &mut impl Iterator<Item = T>) -> Result<usize, SendError<T>> {
        let mut sent = 0;
        loop {
            sent += self.try_send_many(values)?;
            // Full, or closed, or at the end: which, only the next value can tell.
            let Some(value) = values.next() else { return Ok(sent) };
            self.send(value)?;
            sent += 1;
        }
    }

    /// As [`send_many`](Self::send_many), for tasks.
    ///
    /// # Examples
    ///
    /// ```
    /// use aqueduct::{channel, park::block_on};
    ///
    /// let (sender, receiver) = channel::bounded(8);
    /// assert_eq!(block_on(sender.send_many_async(&mut (0..5))), Ok(5));
    /// assert_eq!(receiver.try_iter().count(), 5);
    /// ```
    ///
    /// # Cancel safety
    ///
    /// A value is taken out of `values` only when there is a place for it, or a receiver; so when the future is dropped, what has
    /// not been sent is still there; and an iterator that does not know its length is asked for its end only when there is a place, for which the call
    /// waits. Let it be fused: after the end it may be asked once more.
    ///
    /// # Errors
    ///
    /// As [`send_many`](Self::send_many).
    ///
    /// # Panics
    ///
    /// If `values` does. What came before that is sent.
    pub async fn send_many_async(
        &self,
        values: &mut impl Iterator<Item = T>,
    ) -> Result<usize, SendError<T>> {
        let mut sent = 0;
        loop {
            sent += self.try_send_many(values)?;
            // Full, or closed, or at the end, which not every iterator knows before it is asked.
            if values.size_hint() == (0, Some(0)) {
                return Ok(sent);
            }
            let reserved = self.reserve_async().await;
            let Some(value) = values.next() else { return Ok(sent) };
            match reserved {
                Ok(permit) => permit.send(value)?,
                Err(SendError(())) => return Err(SendError(value)),
            }
            sent += 1;
        }
    }

    /// Sends what is in `values`, front first, as [`send_many`](Self::send_many) does; what is not sent stays there.
    ///
    /// Values that are at hand go in twice as fast as those that an iterator may take its time to make.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::collections::VecDeque;
    ///
    /// let (sender, receiver) = aqueduct::channel::bounded(4);
    /// let mut values = VecDeque::from([1, 2, 3]);
    /// sender.send_from(&mut values)?;
    /// assert!(values.is_empty());
    /// assert_eq!(receiver.try_iter().collect::<Vec<_>>(), [1, 2, 3]);
    /// # Ok::<(), aqueduct::channel::SendError<()>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`SendError`] if the channel is closed, also while this sleeps; all that was not sent is in `values`.
    pub fn send_from(&self, values: &mut VecDeque<T>) -> Result<(), SendError<()>> {
        loop {
            self.try_send_from(values)?;
            // Full, or closed, or at the end.
            let Some(value) = values.pop_front() else { return Ok(()) };
            self.send(value).map_err(|refused| values.push_front(refused.0)).map_err(SendError)?;
        }
    }

    /// As [`send_from`](Self::send_from), for tasks.
    ///
    /// # Examples
    ///
    /// ```
    /// use aqueduct::{channel, park::block_on};
    /// use std::collections::VecDeque;
    ///
    /// let (sender, receiver) = channel::bounded(8);
    /// let mut values = VecDeque::from([1, 2, 3]);
    /// assert_eq!(block_on(sender.send_from_async(&mut values)), Ok(()));
    /// assert_eq!(receiver.try_iter().count(), 3);
    /// ```
    ///
    /// # Cancel safety
    ///
    /// A value leaves `values` when it is sent. So when the future is dropped, what has not been sent is still there.
    ///
    /// # Errors
    ///
    /// As [`send_from`](Self::send_from).
    pub async fn send_from_async(&self, values: &mut VecDeque<T>) -> Result<(), SendError<()>> {
        loop {
            self.try_send_from(values)?;
            if values.is_empty() {
                return Ok(());
            }
            let permit = self.reserve_async().await?;
            let Some(value) = values.pop_front() else { return Ok(()) };
            permit
                .send(value)
                .map_err(|refused| values.push_front(refused.0))
                .map_err(SendError)?;
        }
    }

    /// As many as there are places for.
    fn try_send_from(&self, values: &mut VecDeque<T>) -> Result<(), SendError<()>> {
        let sent = match &self.channel.flavor {
            Flavor::Ring(ring) => {
                ring.try_send_at_once(&mut Front(values)).map_err(|refused| SendError(refused.0))
            }
            Flavor::Locked(locked) => locked.try_send_many(&mut Front(values)),
        };
        sent.map(drop).map_err(|refused| values.push_front(refused.0)).map_err(SendError)
    }

    /// As many as there are places for.
    fn try_send_many(&self, values: &mut impl Iterator<Item = T>) -> Result<usize, SendError<T>> {
        match &self.channel.flavor {
            Flavor::Ring(ring) => {
                ring.try_send_many(values).map_err(|refused| SendError(refused.0))
            }
            Flavor::Locked(locked) => locked.try_send_many(values),
        }
    }
}

/// Takes the values of a buffer out of it, front first, and leaves there what is not asked for.
struct Front<'a, T>(&'a mut VecDeque<T>);

impl<T> Iterator for Front<'_, T> {
    type Item = T;

    #[inline]
    fn next(&mut self) -> Option<T> {
        self.0.pop_front()
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.0.len(), Some(self.0.len()))
    }
}

impl<T> ExactSizeIterator for Front<'_, T> {}
