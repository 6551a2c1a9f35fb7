//! What core/README.md says that each type takes, on targets of 32 bits: a program whose figures differ does not
//! compile.

use aqueduct_core::channel::{self, StaticChannel};
use aqueduct_core::queue::{StaticQueue, spsc};
use aqueduct_core::rwlock::{Read, RwLock, RwLockWriteGuard, Write, WriterPriority};
use aqueduct_core::semaphore::{Acquire, Fair, Semaphore, SemaphorePermit};
use aqueduct_core::wait::{Slots, Wait, WaitCell, WaitQueue};

const fn takes<T>(bytes: usize) {
    assert!(size_of::<T>() == bytes, "the table of memory in core/README.md is wrong");
}

const _: () = {
    takes::<StaticQueue<u8, 8>>(12 + 8 * (4 + 4));
    takes::<StaticQueue<u32, 5>>(12 + 5 * (4 + 4));
    takes::<StaticQueue<[u32; 3], 7>>(12 + 7 * (4 + 12));
    takes::<spsc::StaticRing<u8, 8>>(16 + 8);
    takes::<spsc::StaticRing<u32, 5>>(16 + 5 * 4);
    takes::<spsc::Producer<'static, u32>>(4);
    takes::<spsc::Consumer<'static, u32>>(4);
    takes::<WaitCell>(12);
    takes::<WaitQueue<Slots<3>>>(36 + 32 * 3);
    takes::<Semaphore<Fair, Slots<3>>>(52 + 32 * 3);
    takes::<RwLock<[u32; 6], WriterPriority, Slots<3>>>(80 + 32 * 3 + 24);
    takes::<StaticChannel<u32, 8, Slots<3>>>(12 + 8 * (4 + 4) + 2 * (36 + 32 * 3));

    takes::<Wait<'static>>(20);
    takes::<Acquire<'static>>(20);
    takes::<Read<'static, u32>>(24);
    takes::<Write<'static, u32>>(24);
    takes::<channel::Recv<'static, StaticChannel<u32, 8>>>(24);
    takes::<channel::Send<'static, StaticChannel<u32, 8>>>(32);
    takes::<channel::Permit<'static, StaticChannel<u32, 8>>>(8);
    takes::<SemaphorePermit<'static>>(8);
    takes::<RwLockWriteGuard<'static, u32>>(4);
};
