//! `StaticQueue`, and `StaticChannel` where nobody sleeps.

use aqueduct_core::channel::StaticChannel;
use aqueduct_core::queue::StaticQueue;

use crate::bounded::Bounded;
use crate::ledger::Item;

/// Three places, which is no power of two; and one, where every party is in every other's way.
static THREE: StaticQueue<Item, 3> = StaticQueue::new();
static ONE: StaticQueue<Item, 1> = StaticQueue::new();
static CHANNEL: StaticChannel<Item, 2> = StaticChannel::new();

pub(crate) struct Three;
pub(crate) struct One;
pub(crate) struct Channel;

impl Bounded for Three {
    const NAME: &'static str = "StaticQueue<_, 3>";
    const CAPACITY: u32 = 3;
    const LIMIT: u32 = 5_000;

    #[inline]
    fn push(item: Item) -> Result<(), Item> {
        THREE.push(item)
    }

    #[inline]
    fn pop() -> Option<Item> {
        THREE.pop()
    }

    #[inline]
    fn force_push(item: Item) -> Option<Item> {
        THREE.force_push(item)
    }

    fn len() -> usize {
        THREE.len()
    }
}

impl Bounded for One {
    const NAME: &'static str = "StaticQueue<_, 1>";
    const CAPACITY: u32 = 1;
    const LIMIT: u32 = 1_500;

    #[inline]
    fn push(item: Item) -> Result<(), Item> {
        ONE.push(item)
    }

    #[inline]
    fn pop() -> Option<Item> {
        ONE.pop()
    }

    #[inline]
    fn force_push(item: Item) -> Option<Item> {
        ONE.force_push(item)
    }

    fn len() -> usize {
        ONE.len()
    }
}

impl Bounded for Channel {
    const NAME: &'static str = "StaticChannel<_, 2>";
    const CAPACITY: u32 = 2;
    const LIMIT: u32 = 5_000;

    #[inline]
    fn push(item: Item) -> Result<(), Item> {
        CHANNEL.try_send(item).map_err(|error| error.into_inner())
    }

    #[inline]
    fn pop() -> Option<Item> {
        CHANNEL.try_recv().ok()
    }

    #[inline]
    fn force_push(item: Item) -> Option<Item> {
        CHANNEL.force_send(item).expect("nobody closes it")
    }

    fn len() -> usize {
        CHANNEL.len()
    }
}
