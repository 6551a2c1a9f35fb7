//! What std does not tell or do: CPU time, context switches, which CPUs we may use, a bare futex
//! wake. All of the program's unsafe code is here, one call each.

use std::io;
use std::mem;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

/// CPU time of the whole process so far, user and system, ended threads included.
pub(crate) fn cpu_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a timespec for the call to fill.
    let failed = unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    assert_eq!(failed, 0, "clock_gettime: {}", io::Error::last_os_error());
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).expect("below a second"))
}

/// Context switches of the whole process so far, voluntary and not, ended threads included.
pub(crate) fn switches() -> u64 {
    // SAFETY: an all-zero rusage is a valid one; it holds only integers.
    let mut usage: libc::rusage = unsafe { mem::zeroed() };
    // SAFETY: `usage` is a rusage for the call to fill.
    let failed = unsafe { libc::getrusage(libc::RUSAGE_SELF, &raw mut usage) };
    assert_eq!(failed, 0, "getrusage: {}", io::Error::last_os_error());
    (usage.ru_nvcsw + usage.ru_nivcsw).unsigned_abs()
}

/// The CPUs this thread may run on.
pub(crate) fn allowed_cpus() -> Vec<usize> {
    // SAFETY: an all-zero cpu_set_t is the empty set.
    let mut set: libc::cpu_set_t = unsafe { mem::zeroed() };
    // SAFETY: `set` has the size that is given and is there for the call to fill.
    let failed = unsafe { libc::sched_getaffinity(0, mem::size_of_val(&set), &raw mut set) };
    assert_eq!(failed, 0, "sched_getaffinity: {}", io::Error::last_os_error());
    let limit = usize::try_from(libc::CPU_SETSIZE).expect("a small constant");
    // SAFETY: `cpu` is below CPU_SETSIZE, so the bit lies inside the set.
    (0..limit).filter(|&cpu| unsafe { libc::CPU_ISSET(cpu, &set) }).collect()
}

/// Keeps the calling thread on one CPU from now on.
pub(crate) fn pin(cpu: usize) {
    assert!(cpu < usize::try_from(libc::CPU_SETSIZE).expect("a small constant"));
    // SAFETY: an all-zero cpu_set_t is the empty set.
    let mut set: libc::cpu_set_t = unsafe { mem::zeroed() };
    // SAFETY: `cpu` is below CPU_SETSIZE, so the bit lies inside the set.
    unsafe { libc::CPU_SET(cpu, &mut set) };
    // SAFETY: `set` has the size that is given; the call only reads it.
    let failed = unsafe { libc::sched_setaffinity(0, mem::size_of_val(&set), &raw const set) };
    assert_eq!(failed, 0, "sched_setaffinity: {}", io::Error::last_os_error());
}

/// Asks the kernel to wake one thread that sleeps on `word`; how many it woke.
pub(crate) fn futex_wake(word: &AtomicU32) -> u64 {
    let op = libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG;
    // SAFETY: FUTEX_WAKE takes the address of an aligned, live u32 and a number, and does not
    // touch the word.
    let woken = unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), op, 1) };
    assert!(woken >= 0, "futex: {}", io::Error::last_os_error());
    woken.unsigned_abs()
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn cpu_time_and_switches_grow() {
        let (cpu, before) = (cpu_time(), switches());
        let start = Instant::now();
        while start.elapsed() < Duration::from_millis(5) {
            std::hint::spin_loop();
        }
        std::thread::sleep(Duration::from_millis(1));
        assert!(cpu_time() > cpu);
        assert!(switches() > before);
    }

    #[test]
    fn a_pinned_thread_may_use_one_cpu() {
        std::thread::spawn(|| {
            let cpu = *allowed_cpus().last().expect("at least one CPU");
            pin(cpu);
            assert_eq!(allowed_cpus(), [cpu]);
        })
        .join()
        .unwrap();
    }

    #[test]
    fn a_wake_without_a_sleeper_wakes_nobody() {
        assert_eq!(futex_wake(&AtomicU32::new(0)), 0);
    }
}
