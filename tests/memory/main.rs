//! What a pipeline holds in memory, counted by an allocator that is alone in its program with one test. See `CONTRIBUTING.md`.
#![cfg(not(any(aqueduct_loom, aqueduct_interrupt)))]

use aqueduct::Context;
use aqueduct::pipeline::Pipeline;
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

/// The system's allocator, with a count of the bytes that are in use, and of the most that ever were.
struct Counting {
    live: AtomicUsize,
    most: AtomicUsize,
}

// SAFETY: each call is handed on to the system's allocator as it came, and its answer back; the counts touch no memory.
unsafe impl GlobalAlloc for Counting {
    // SAFETY: what the caller owes here is what the call inside asks for.
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's layout, which it has promised is not of size 0.
        let memory = unsafe { System.alloc(layout) };
        if !memory.is_null() {
            let live = self.live.fetch_add(layout.size(), SeqCst) + layout.size();
            self.most.fetch_max(live, SeqCst);
        }
        memory
    }

    // SAFETY: as above.
    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        self.live.fetch_sub(layout.size(), SeqCst);
        // SAFETY: the caller has it from `alloc`, with this layout, so it is the system's.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static MEMORY: Counting = Counting { live: AtomicUsize::new(0), most: AtomicUsize::new(0) };

/// Bytes of an item.
const ITEM: usize = 64 << 10;

const WINDOW: usize = 12;
const BUFFER: usize = 8;
const OUTPUT: usize = 4;

/// In the source's hand; in the window, which two stages share; in front of the slow stage and in its hand; at the output, and in the
/// consumer's hand.
const BOUND: usize = 1 + WINDOW + (BUFFER + 1) + (OUTPUT + 1);

/// Runs it for so many items from an endless source, with a last stage that goes on only while `full` are under way. The most bytes that were
/// in use meanwhile, beyond those that were before.
fn run(items: usize, cap: usize, full: usize) -> usize {
    let before = MEMORY.live.load(SeqCst);
    MEMORY.most.store(before, SeqCst);
    let (made, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let enough = Context::background();
    let source = (0_usize..).map(|number| {
        let item = vec![number as u8; ITEM];
        made.fetch_add(1, SeqCst);
        item
    });
    let report = Pipeline::from_iter(source)
        .max_weight_in_flight(cap, Vec::len)
        .map("a", |item| item)
        .concurrency(2)
        .buffer(BUFFER)
        .map("b", |item| item)
        .concurrency(2)
        .buffer(BUFFER)
        .ordered(WINDOW)
        .map("slow", |item| {
            let start = Instant::now();
            while !enough.is_done() && made.load(SeqCst) - done.load(SeqCst) < full {
                assert!(start.elapsed() < Duration::from_secs(60), "it does not get full");
                std::thread::yield_now();
            }
            item
        })
        .buffer(BUFFER)
        .output_buffer(OUTPUT)
        .drain_on(&enough)
        .run(|item| {
            drop(item);
            if done.fetch_add(1, SeqCst) == items {
                enough.cancel();
            }
        })
        .expect("nothing stops it");
    assert!(report.delivered() > items as u64 && report.cancelled() == 0);
    drop((report, enough));
    let most = MEMORY.most.load(SeqCst) - before;
    let after = MEMORY.live.load(SeqCst);
    // What the test harness keeps comes on top; an item is more.
    assert!(after < before + 4096, "{} bytes are left", after.saturating_sub(before));
    most
}

/// What the run itself takes: threads, stages, edges, tables of windows. Less than an item, so that one more is seen.
const FIXED: usize = 60 << 10;

/// R35, R79: Memory stays at the bounds, with an endless source and a slow last stage, whether it is the buffers and windows that bound it or a cap in
/// bytes; and afterwards it is where it was.
#[test]
fn memory_stays_at_the_configured_bounds() {
    // What is made once for the program is made here.
    run(0, usize::MAX, 1);
    // The window full, and one each in the hands of the source and of the slow stage; the cap reached, and one in the source's hand.
    let full = 1 + WINDOW + 1;
    for (cap, full, bound) in [(usize::MAX, full, BOUND), (6 * ITEM, 7, 7), (ITEM / 2, 2, 2)] {
        let most = run(1000, cap, full);
        println!("cap {cap}: {most} bytes, {bound} items of {ITEM} are allowed");
        assert!(most <= bound * ITEM + FIXED, "{most} bytes, {bound} items of {ITEM} are allowed");
        // All that must have been in was, or nothing was measured.
        assert!(most >= full * ITEM, "{most} bytes, less than {full} items of {ITEM}");
    }
}
