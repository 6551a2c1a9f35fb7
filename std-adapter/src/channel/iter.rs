//! Receiving in a `for` loop.

use super::Receiver;
use std::iter::FusedIterator;

/// Receives until nothing will ever come; sleeps in between. Made by [`Receiver::iter`].
#[derive(Debug)]
pub struct Iter<'a, T> {
    receiver: &'a Receiver<T>,
    is_ended: bool,
}

/// Receives what is there, without sleeping. Made by [`Receiver::try_iter`].
///
/// It may end, and go on later: it is not fused.
///
/// # Examples
///
/// ```
/// let (sender, receiver) = aqueduct::channel::bounded(1);
/// let mut now = receiver.try_iter();
/// assert_eq!(now.next(), None);
/// sender.send(1).unwrap();
/// assert_eq!(now.next(), Some(1));
/// ```
#[derive(Debug)]
pub struct TryIter<'a, T> {
    receiver: &'a Receiver<T>,
}

/// Owns a receiver, and receives until nothing will ever come; sleeps in between.
///
/// # Examples
///
/// ```
/// let (sender, receiver) = aqueduct::channel::bounded(2);
/// sender.send(1).unwrap();
/// drop(sender);
/// for number in receiver {
///     assert_eq!(number, 1);
/// }
/// ```
#[derive(Debug)]
pub struct IntoIter<T> {
    receiver: Receiver<T>,
    is_ended: bool,
}

impl<'a, T> Iter<'a, T> {
    pub(super) fn new(receiver: &'a Receiver<T>) -> Self {
        Self { receiver, is_ended: false }
    }
}

impl<'a, T> TryIter<'a, T> {
    pub(super) fn new(receiver: &'a Receiver<T>) -> Self {
        Self { receiver }
    }
}

impl<T> Iterator for Iter<'_, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        next(self.receiver, &mut self.is_ended)
    }
}

impl<T> Iterator for TryIter<'_, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.receiver.try_recv().ok()
    }
}

impl<T> Iterator for IntoIter<T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        next(&self.receiver, &mut self.is_ended)
    }
}

/// A channel without room may have one value more after its end: see [`RecvError`](super::RecvError). A loop that has ended does not begin again.
fn next<T>(receiver: &Receiver<T>, is_ended: &mut bool) -> Option<T> {
    if *is_ended {
        return None;
    }
    let next = receiver.recv().ok();
    *is_ended = next.is_none();
    next
}

impl<T> FusedIterator for Iter<'_, T> {}
impl<T> FusedIterator for IntoIter<T> {}

impl<'a, T> IntoIterator for &'a Receiver<T> {
    type Item = T;
    type IntoIter = Iter<'a, T>;

    fn into_iter(self) -> Iter<'a, T> {
        self.iter()
    }
}

impl<T> IntoIterator for Receiver<T> {
    type Item = T;
    type IntoIter = IntoIter<T>;

    fn into_iter(self) -> IntoIter<T> {
        IntoIter { receiver: self, is_ended: false }
    }
}
