//! The queues of other crates under the same preemption: figures, no verdict.
//!
//! Where a handler does not come to its end, or the books do not balance, nothing can go on in this run of the program: it
//! is counted, and the program starts anew behind that place. What it counts lies where a start does not clear it.

use core::sync::atomic::{AtomicPtr, Ordering::Relaxed};

extern crate alloc;

use aqueduct_firmware_rt::{self as rt, Word, println};
use crossbeam_queue::ArrayQueue;
use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
use embassy_sync::channel::{Channel, TrySendError};
use embedded_alloc::LlffHeap;

use crate::bounded::{Bounded, Preempted};
use crate::harness::{Object, combinations, handler, report, run_once, take_inside};
use crate::ledger::Item;
use crate::queue::Three;

/// What was seen so far, and where it goes on.
struct Tally {
    /// Says that the rest is not what happened to be in memory.
    started: Word,
    peer: Word,
    combination: Word,
    ticks: Word,
    preemptions: Word,
    inside: Word,
    livelocks: Word,
    faults: Word,
    refusals: Word,
    longest: Word,
    held_off: Word,
}

const STARTED: u32 = 0x5eed_cafe;

// SAFETY: the section is the runtime's for what a start leaves alone; every content is a `Word`.
#[unsafe(link_section = ".uninit.tally")]
static TALLY: Tally = Tally::new();

impl Tally {
    const fn new() -> Self {
        const fn zero() -> Word {
            Word::new(0)
        }
        Self {
            started: zero(),
            peer: zero(),
            combination: zero(),
            ticks: zero(),
            preemptions: zero(),
            inside: zero(),
            livelocks: zero(),
            faults: zero(),
            refusals: zero(),
            longest: zero(),
            held_off: zero(),
        }
    }

    /// Goes to the first place of `peer`, with nothing counted.
    fn begin(&self, peer: u32) {
        self.started.set(STARTED);
        self.peer.set(peer);
        for word in [
            &self.combination,
            &self.ticks,
            &self.preemptions,
            &self.inside,
            &self.livelocks,
            &self.faults,
            &self.refusals,
            &self.longest,
            &self.held_off,
        ] {
            word.set(0);
        }
    }

    /// Takes over what would be gone after a start.
    fn save(&self) {
        self.inside.add(take_inside());
        self.longest.raise(rt::longest());
        self.held_off.raise(rt::held_off());
    }
}

/// Counts what ended this run of the program, and starts it anew.
fn broken<O: Object>() {
    let count = if rt::is_stuck() { &TALLY.livelocks } else { &TALLY.faults };
    if count.get() == 0 {
        report::<O>();
    }
    count.add(1);
    TALLY.preemptions.add(1);
    TALLY.save();
    rt::restart();
}

fn sweep_on<O: Object>(peer: u32) {
    if TALLY.peer.get() > peer {
        return;
    }
    if TALLY.peer.get() < peer {
        TALLY.begin(peer);
    }
    rt::on_preemption(handler::<O>, broken::<O>);
    while TALLY.combination.get() < combinations::<O>() {
        TALLY.ticks.add(1);
        if run_once::<O>(TALLY.combination.get(), TALLY.ticks.get()) {
            TALLY.preemptions.add(1);
        } else {
            TALLY.ticks.set(0);
            TALLY.combination.add(1);
        }
    }
    TALLY.save();
    println!(
        "{:32} {:>11} {:>8} {:>9} {:>8} {:>7} {:>8} {:>9}",
        O::NAME,
        TALLY.preemptions.get(),
        TALLY.inside.get(),
        TALLY.livelocks.get(),
        TALLY.refusals.get(),
        TALLY.faults.get(),
        TALLY.longest.get(),
        TALLY.held_off.get(),
    );
}

/// Prints a row for each queue, ours first.
pub(crate) fn survey() -> bool {
    set_up_heap();
    if TALLY.started.get() != STARTED {
        TALLY.begin(0);
        println!(
            "queue                            preemptions   inside livelocks refusals  faults  longest  held off"
        );
    }
    sweep_on::<Preempted<Three>>(0);
    sweep_on::<Preempted<Heapless>>(1);
    sweep_on::<Preempted<Crossbeam>>(2);
    sweep_on::<Preempted<Embassy>>(3);
    true
}

/// What is refused without reason is a number here.
fn count_refusal() {
    TALLY.refusals.add(1);
}

struct Heapless;

#[expect(deprecated, reason = "its authors advise against it; it is much used")]
static HEAPLESS: heapless::mpmc::Queue<Item, 4> = heapless::mpmc::Queue::new();

impl Bounded for Heapless {
    const NAME: &'static str = "heapless::mpmc::Queue<_, 4>";
    const CAPACITY: u32 = 4;
    const LIMIT: u32 = u32::MAX;
    const CAN_FORCE: bool = false;

    fn push(item: Item) -> Result<(), Item> {
        HEAPLESS.enqueue(item)
    }

    fn pop() -> Option<Item> {
        HEAPLESS.dequeue()
    }

    fn force_push(item: Item) -> Option<Item> {
        Self::push(item).err()
    }

    fn len() -> usize {
        0
    }

    fn refused(_: &str) {
        count_refusal();
    }
}

struct Crossbeam;

#[global_allocator]
static HEAP: LlffHeap = LlffHeap::empty();
static CROSSBEAM: AtomicPtr<ArrayQueue<Item>> = AtomicPtr::new(core::ptr::null_mut());

fn set_up_heap() {
    const SIZE: usize = 1024;
    static MEMORY: crate::turn::Turn<[u64; SIZE / 8]> = crate::turn::Turn::new([0; SIZE / 8]);
    let start = MEMORY.take().as_mut_ptr();
    // SAFETY: the memory was taken for ever, and this is the only call.
    unsafe { HEAP.init(start as usize, SIZE) };
    let queue = alloc::boxed::Box::leak(alloc::boxed::Box::new(ArrayQueue::new(3)));
    // alone - Relaxed: before the first interrupt.
    CROSSBEAM.store(queue, Relaxed);
}

fn crossbeam() -> &'static ArrayQueue<Item> {
    // alone - Relaxed: one processor.
    let queue = CROSSBEAM.load(Relaxed);
    // SAFETY: `set_up_heap` was called first, and leaked the queue for this.
    unsafe { &*queue }
}

impl Bounded for Crossbeam {
    const NAME: &'static str = "crossbeam_queue::ArrayQueue (3)";
    const CAPACITY: u32 = 3;
    const LIMIT: u32 = u32::MAX;

    fn push(item: Item) -> Result<(), Item> {
        crossbeam().push(item)
    }

    fn pop() -> Option<Item> {
        crossbeam().pop()
    }

    fn force_push(item: Item) -> Option<Item> {
        crossbeam().force_push(item)
    }

    fn len() -> usize {
        crossbeam().len()
    }

    fn refused(_: &str) {
        count_refusal();
    }
}

struct Embassy;

static EMBASSY: Channel<CriticalSectionRawMutex, Item, 3> = Channel::new();

impl Bounded for Embassy {
    const NAME: &'static str = "embassy_sync Channel<_, _, 3>";
    const CAPACITY: u32 = 3;
    const LIMIT: u32 = u32::MAX;
    const CAN_FORCE: bool = false;

    fn push(item: Item) -> Result<(), Item> {
        EMBASSY.try_send(item).map_err(|TrySendError::Full(item)| item)
    }

    fn pop() -> Option<Item> {
        EMBASSY.try_receive().ok()
    }

    fn force_push(item: Item) -> Option<Item> {
        Self::push(item).err()
    }

    fn len() -> usize {
        EMBASSY.len()
    }

    fn refused(_: &str) {
        count_refusal();
    }
}
