//! Rings for exactly one producer and one consumer: wait-free, and cheaper than a queue for many.
//!
//! The two ends are values of their own, [`Producer`] and [`Consumer`], which can go to two threads, or to a
//! thread and an interrupt handler. [`StaticRing`] lies inline and is made at compile time; [`ring`] (feature
//! `alloc`) puts one on the heap.
//!
//! # Progress
//!
//! Every operation is wait-free: it finishes in a bounded number of its own steps, whatever the other end
//! does, and wherever it is frozen.
//!
//! # Ordering
//!
//! Linearizable, first in, first out. "Full" and "empty" are exact: an end that finds so has looked at the
//! other end's index. What happened before a value was pushed happens before what follows its pop.
//!
//! Where there are caches, the ends keep a copy of each other's index and look at the original only when the copy says
//! full or empty, so that in steady flow the two touch each other's cache line once per lap and not once per value. (The
//! idea is that of M. Thompson's and of FastFlow's rings; indices run over twice the capacity, so that full and
//! empty differ without a wasted slot.)

mod end;
#[cfg(feature = "alloc")]
mod heap;

use end::End;

use crate::sync::{
    Acquire, AtomicUsize, Copied, Padded, Relaxed, Release, UnsafeCell, const_unless_loom,
};
use core::fmt;
use core::mem::MaybeUninit;
use core::panic::{RefUnwindSafe, UnwindSafe};
use core::ptr::NonNull;

/// A slot; which end may touch it follows from the indices: those from `head` up to `tail` belong to the
/// consumer, the others to the producer.
type Slot<T> = UnsafeCell<MaybeUninit<T>>;

/// What both ends share besides the slots, which follow it in memory. Indices run from 0 to twice the capacity.
struct Header {
    /// The next value to pop. The consumer's to write.
    head: Padded<AtomicUsize>,
    /// The next place to push to. The producer's to write.
    tail: Padded<AtomicUsize>,
    /// How many ends are gone, above [`STATIC`] or [`HEAP`]: odd when one of them is.
    gone: AtomicUsize,
    capacity: usize,
}

/// Where `gone` begins in a ring that is not ours to free.
const STATIC: usize = 2;
/// Where it begins in one that is, with the second end to go.
#[cfg(feature = "alloc")]
const HEAP: usize = 0;

impl Header {
    const_unless_loom! {
        const fn new(capacity: usize, gone: usize) -> Self {
            Self {
                head: Padded::new(AtomicUsize::new(0)),
                tail: Padded::new(AtomicUsize::new(0)),
                gone: AtomicUsize::new(gone),
                capacity,
            }
        }
    }
}

/// How far behind the beginning of its header the first slot of a ring lies: where `repr(C)` puts it.
const fn first_slot<T>() -> usize {
    size_of::<Header>().next_multiple_of(align_of::<Slot<T>>())
}

/// A ring of `N` slots for one producer and one consumer, inline and made at compile time.
///
/// # Examples
///
/// ```
/// use aqueduct_core::queue::spsc::StaticRing;
///
/// let mut ring = StaticRing::<u32, 4>::new();
/// let (mut producer, mut consumer) = ring.split();
/// std::thread::scope(|s| {
///     s.spawn(move || (0..100).for_each(|n| while producer.push(n).is_err() {}));
///     s.spawn(move || (0..100).for_each(|n| loop {
///         if let Some(value) = consumer.pop() {
///             break assert_eq!(value, n);
///         }
///     }));
/// });
/// ```
///
/// One side in a static, for an interrupt handler: split a ring that lives for ever, such as one in a
/// `static_cell::StaticCell`, and move the ends to where they are used.
///
/// The ends do not outlive the ring, there is one pair of them at a time, and both are of one type of values, lifetimes
/// included. None of these compiles:
///
/// ```compile_fail,E0597
/// let ends = {
///     let mut ring = aqueduct_core::queue::spsc::StaticRing::<u32, 4>::new();
///     ring.split()
/// };
/// ```
///
/// ```compile_fail,E0499
/// let mut ring = aqueduct_core::queue::spsc::StaticRing::<u32, 4>::new();
/// let one = ring.split();
/// let other = ring.split();
/// drop(one);
/// ```
///
/// ```compile_fail
/// use aqueduct_core::queue::spsc::Producer;
///
/// fn shortened<'a>(producer: Producer<'static, &'static str>) -> Producer<'static, &'a str> {
///     producer
/// }
/// ```
#[repr(C)]
pub struct StaticRing<T, const N: usize> {
    header: Header,
    slots: [Slot<T>; N],
}

// SAFETY: shared, a ring only offers its capacity; its ends hand values of T from one thread to another.
unsafe impl<T: Send, const N: usize> Sync for StaticRing<T, N> {}

// No value is half-way in or out when a panic passes: of the caller's code, only his iterators and closures run
// in between, and what they leave is a whole value or none.
impl<T, const N: usize> UnwindSafe for StaticRing<T, N> {}
impl<T, const N: usize> RefUnwindSafe for StaticRing<T, N> {}

impl<T, const N: usize> StaticRing<T, N> {
    const_unless_loom! {
        /// An empty ring. A capacity of 0 does not compile.
        pub const fn new() -> Self {
            const { assert!(N > 0, "the capacity of a ring must be at least 1") };
            const { assert!(N <= usize::MAX / 4, "the capacity of a ring must be at most usize::MAX / 4") };
            Self {
                header: Header::new(N, STATIC),
                slots: crate::sync::array![UnsafeCell::new(MaybeUninit::uninit()); N],
            }
        }
    }

    /// The two ends. What an earlier pair left in the ring is still there.
    pub fn split(&mut self) -> (Producer<'_, T>, Consumer<'_, T>) {
        // split:reset - Relaxed: `&mut self`: the earlier ends are gone, and what they did is ordered before.
        self.header.gone.store(STATIC, Relaxed);
        ends(self.start())
    }

    /// The address of the header, from which the slots can be reached.
    fn start(&self) -> NonNull<Header> {
        const { assert!(core::mem::offset_of!(Self, slots) == first_slot::<T>()) };
        NonNull::from(self).cast()
    }

    /// How many values it can hold.
    pub const fn capacity(&self) -> usize {
        N
    }
}

impl<T, const N: usize> Default for StaticRing<T, N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T, const N: usize> Drop for StaticRing<T, N> {
    fn drop(&mut self) {
        drop_values::<T>(self.start());
    }
}

impl<T, const N: usize> fmt::Debug for StaticRing<T, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StaticRing").field("capacity", &N).finish_non_exhaustive()
    }
}

/// A ring on the heap for one producer and one consumer; it is freed with the second end.
///
/// # Panics
///
/// If `capacity` is 0 or above `usize::MAX / 4`, or the ring would be larger than memory can be.
///
/// # Examples
///
/// ```
/// let (mut producer, mut consumer) = aqueduct_core::queue::spsc::ring(2);
/// assert_eq!(producer.push_many(&mut ["a", "b", "c"].into_iter()), 2);
/// assert_eq!(consumer.peek(), Some(&"a"));
/// assert_eq!(consumer.pop(), Some("a"));
/// drop(producer);
/// assert!(consumer.is_abandoned());
/// assert_eq!(consumer.pop(), Some("b"));
/// ```
#[cfg(feature = "alloc")]
pub fn ring<T>(capacity: usize) -> (Producer<'static, T>, Consumer<'static, T>) {
    assert!(capacity > 0, "the capacity of a ring must be at least 1");
    assert!(capacity <= usize::MAX / 4, "the capacity of a ring must be at most usize::MAX / 4");
    ends(heap::new::<T>(capacity))
}

/// # Safety
///
/// `ring` is the beginning of a ring of T, from which its slots can be reached, and `index` below its capacity.
#[inline(always)]
unsafe fn slot_at<T>(ring: NonNull<Header>, index: usize) -> NonNull<Slot<T>> {
    // SAFETY: the slots lie behind the header.
    let first = unsafe { ring.byte_add(first_slot::<T>()) };
    // SAFETY: there are more than `index`.
    unsafe { first.cast::<Slot<T>>().add(index) }
}

/// Drops what is left in a ring without ends.
fn drop_values<T>(ring: NonNull<Header>) {
    ends::<T>(ring).1.clear();
}

/// The two ends of a ring that has none. Both start from what is in it.
fn ends<'a, T>(ring: NonNull<Header>) -> (Producer<'a, T>, Consumer<'a, T>) {
    let (ours, theirs) = (End::new(ring), End::new(ring));
    let header = ours.header();
    // split:start - Relaxed: no other end exists yet, and what earlier ones did is ordered before.
    let (head, tail) = (header.head.load(Relaxed), header.tail.load(Relaxed));
    let values = ours.distance(head, tail);
    let room = ours.capacity() - values;
    (
        Producer { ring: ours, tail: Copied::new(tail), room: Copied::new(room) },
        Consumer { ring: theirs, head: Copied::new(head), values: Copied::new(values) },
    )
}

/// The end of a ring that pushes.
pub struct Producer<'a, T> {
    ring: End<'a, T>,
    /// Our index.
    tail: Copied,
    /// How much room there was when we last looked, less what we have pushed since.
    room: Copied,
}

impl<T> Producer<'_, T> {
    /// Puts `value` in at the tail.
    ///
    /// # Errors
    ///
    /// If the ring is full, `value` comes back.
    #[inline]
    pub fn push(&mut self, value: T) -> Result<(), T> {
        let tail = self.tail();
        let room = self.room(tail, 1);
        if room == 0 {
            return Err(value);
        }
        // SAFETY: the index is one of the ring's; the slots from our tail on, as many as there is room, are ours.
        unsafe { self.ring.slot(tail).write(value) };
        self.publish(tail, 1, room - 1);
        Ok(())
    }

    /// Puts values of `items` in until the ring is full or `items` ends; says how many went in.
    ///
    /// They become visible together, for one write of the index. A value is only taken from `items` when
    /// there is room for it, so none is lost. Whether there is more room than was seen last is only looked up if, by its
    /// [`size_hint`](Iterator::size_hint), more may come.
    ///
    /// # Panics
    ///
    /// If `items` does; what it had given is in.
    pub fn push_many(&mut self, items: &mut impl Iterator<Item = T>) -> usize {
        /// Publishes what was written, also if the iterator panics.
        struct Written<'p, 'a, T> {
            producer: &'p mut Producer<'a, T>,
            tail: usize,
            room: usize,
            count: usize,
        }

        impl<T> Drop for Written<'_, '_, T> {
            fn drop(&mut self) {
                self.producer.publish(self.tail, self.count, self.room - self.count);
            }
        }

        let tail = self.tail();
        let room = self.room(tail, items.size_hint().0.max(1));
        let mut written = Written { producer: self, tail, room, count: 0 };
        loop {
            // Slots lie in a row up to the end of the ring.
            let (slots, row) = written.producer.ring.row(tail, written.count);
            let end = written.room.min(written.count + row);
            let first = written.count;
            while written.count < end {
                let Some(value) = items.next() else { return written.count };
                // SAFETY: this many slots lie in a row.
                let slot = unsafe { slots.add(written.count - first) };
                // SAFETY: there is room for as many values, so it is ours, and empty.
                unsafe { slot.write(value) };
                written.count += 1;
            }
            if written.count == written.room {
                if items.size_hint().1 == Some(0) {
                    return written.count;
                }
                // Nothing of ours is out yet, so that what is there at most becomes more.
                written.room = written.producer.look(tail);
                if written.count == written.room {
                    return written.count;
                }
            }
        }
    }

    #[inline(always)]
    fn tail(&self) -> usize {
        if Copied::IS_KEPT {
            return self.tail.get();
        }
        // spsc:own - Relaxed: nobody else writes it.
        self.ring.header().tail.load(Relaxed)
    }

    /// How much room there is: at least `enough`, or exactly what there is.
    #[inline(always)]
    fn room(&mut self, tail: usize, enough: usize) -> usize {
        if Copied::IS_KEPT && self.room.get() >= enough {
            return self.room.get();
        }
        self.look(tail)
    }

    /// How much room there is, by where the consumer says that it is.
    #[inline(always)]
    fn look(&mut self, tail: usize) -> usize {
        // spsc:room - Acquire: reads spsc:pop, so the consumer is done with the slots that it gave back.
        let head = self.ring.header().head.load(Acquire);
        let room = self.capacity() - self.ring.distance(head, tail);
        self.room.set(room);
        room
    }

    /// Shows `count` values, which leaves `room`.
    #[inline(always)]
    fn publish(&mut self, tail: usize, count: usize, room: usize) {
        let tail = self.ring.after(tail, count);
        self.tail.set(tail);
        self.room.set(room);
        // spsc:push - Release: spsc:values reads it, so the values are written.
        self.ring.header().tail.store(tail, Release);
    }

    /// How many values are in.
    pub fn len(&self) -> usize {
        self.ring.len()
    }

    /// Whether no value is in.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether there is no room.
    pub fn is_full(&self) -> bool {
        self.len() == self.capacity()
    }

    /// How many values the ring can hold.
    pub fn capacity(&self) -> usize {
        self.ring.capacity()
    }

    /// Whether the consumer is gone, so that nobody will pop what is pushed.
    pub fn is_abandoned(&self) -> bool {
        self.ring.is_abandoned()
    }
}

/// The end of a ring that pops.
pub struct Consumer<'a, T> {
    ring: End<'a, T>,
    /// Our index.
    head: Copied,
    /// How many values there were when we last looked, less those that we have popped since.
    values: Copied,
}

impl<T> Consumer<'_, T> {
    /// Takes the oldest value out; `None` if the ring is empty.
    #[inline]
    pub fn pop(&mut self) -> Option<T> {
        let head = self.head();
        let values = self.values(head, 1);
        if values == 0 {
            return None;
        }
        // SAFETY: the index is one of the ring's; the slots from our head on, as many as there are values, are ours.
        let value = unsafe { self.ring.slot(head).read() };
        self.give_back(head, 1, values - 1);
        Some(value)
    }

    /// Takes up to `max` values out and hands them to `f`, oldest first; says how many.
    ///
    /// Their places are given back together, for one write of the index.
    ///
    /// # Panics
    ///
    /// If `f` does; the values that it was not given stay in.
    pub fn pop_many(&mut self, max: usize, mut f: impl FnMut(T)) -> usize {
        /// Gives back the places of what was read, also if the closure panics.
        struct Read<'c, 'a, T> {
            consumer: &'c mut Consumer<'a, T>,
            head: usize,
            values: usize,
            count: usize,
        }

        impl<T> Drop for Read<'_, '_, T> {
            fn drop(&mut self) {
                self.consumer.give_back(self.head, self.count, self.values - self.count);
            }
        }

        let head = self.head();
        let values = self.values(head, max);
        let there = values.min(max);
        let mut read = Read { consumer: self, head, values, count: 0 };
        while read.count < there {
            // Slots lie in a row up to the end of the ring.
            let (slots, row) = read.consumer.ring.row(head, read.count);
            let end = there.min(read.count + row);
            let first = read.count;
            while read.count < end {
                // SAFETY: this many slots lie in a row.
                let slot = unsafe { slots.add(read.count - first) };
                // SAFETY: there are as many values, so it is ours, and holds one.
                let value = unsafe { slot.read() };
                read.count += 1;
                f(value);
            }
        }
        read.count
    }

    /// The oldest value, left where it is. While it is looked at it cannot be popped; this does not compile:
    ///
    /// ```compile_fail,E0499
    /// let (_producer, mut consumer) = aqueduct_core::queue::spsc::ring::<u32>(1);
    /// let seen = consumer.peek();
    /// consumer.pop();
    /// drop(seen);
    /// ```
    pub fn peek(&mut self) -> Option<&T> {
        let head = self.head();
        if self.values(head, 1) == 0 {
            return None;
        }
        // SAFETY: the slots from our head on, as many as there are values, are ours, and stay so while we are borrowed.
        Some(unsafe { self.ring.slot(head).peek() })
    }

    /// Drops all values that are in.
    pub fn clear(&mut self) {
        /// Goes on with the rest when a value's own `drop` panics.
        struct Rest<'c, 'a, T>(&'c mut Consumer<'a, T>);

        impl<T> Drop for Rest<'_, '_, T> {
            fn drop(&mut self) {
                while self.0.pop().is_some() {}
            }
        }

        let rest = Rest(self);
        while rest.0.pop().is_some() {}
    }

    #[inline(always)]
    fn head(&self) -> usize {
        if Copied::IS_KEPT {
            return self.head.get();
        }
        // spsc:own - Relaxed: nobody else writes it.
        self.ring.header().head.load(Relaxed)
    }

    /// How many values there are: at least `enough`, or exactly those that are there.
    #[inline(always)]
    fn values(&mut self, head: usize, enough: usize) -> usize {
        if Copied::IS_KEPT && self.values.get() >= enough {
            return self.values.get();
        }
        self.look(head)
    }

    /// How many values there are, by where the producer says that it is.
    #[inline(always)]
    fn look(&mut self, head: usize) -> usize {
        // spsc:values - Acquire: reads spsc:push, so the values are written.
        let tail = self.ring.header().tail.load(Acquire);
        let values = self.ring.distance(head, tail);
        self.values.set(values);
        values
    }

    /// Gives `count` places back, which leaves `values`.
    #[inline(always)]
    fn give_back(&mut self, head: usize, count: usize, values: usize) {
        let head = self.ring.after(head, count);
        self.head.set(head);
        self.values.set(values);
        // spsc:pop - Release: spsc:room reads it, so we are done with the slots.
        self.ring.header().head.store(head, Release);
    }

    /// How many values are in.
    pub fn len(&self) -> usize {
        self.ring.len()
    }

    /// Whether no value is in.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether there is no room.
    pub fn is_full(&self) -> bool {
        self.len() == self.capacity()
    }

    /// How many values the ring can hold.
    pub fn capacity(&self) -> usize {
        self.ring.capacity()
    }

    /// Whether the producer is gone. What is in can still be popped; nothing will be added.
    pub fn is_abandoned(&self) -> bool {
        self.ring.is_abandoned()
    }
}

impl<T> fmt::Debug for Producer<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Producer").field("len", &self.len()).finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for Consumer<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consumer").field("len", &self.len()).finish_non_exhaustive()
    }
}

#[cfg(all(test, feature = "alloc", not(any(aqueduct_loom, aqueduct_interrupt))))]
mod tests;
