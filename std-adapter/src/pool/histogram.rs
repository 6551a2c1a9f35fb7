//! Durations, counted in buckets whose width grows with their size.

use std::fmt;
use std::time::Duration;

/// Buckets per power of two: a bucket is at most a fourth of its lower bound wide.
const FINE: usize = 4;
/// Powers of two, from 1 ns to some 18 minutes; what is longer counts in the last bucket.
const POWERS: usize = 40;
const BUCKETS: usize = FINE * POWERS;

/// How often which durations came up, to within a fourth of each.
///
/// The buckets are those of HdrHistogram with a quarter of a digit: 160 of them, 1.3 KiB, a few instructions for each
/// value. (The crate of that name has three digits and a hundred times the memory, which each worker and each
/// priority would pay.)
#[derive(Clone)]
pub struct Histogram {
    counts: Box<[u64; BUCKETS]>,
    count: u64,
    /// In nanoseconds: 500 years fit.
    sum: u64,
    max: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: Box::new([0; BUCKETS]), count: 0, sum: 0, max: 0 }
    }
}

fn bucket(nanos: u64) -> usize {
    let nanos = nanos.max(1);
    let power = nanos.ilog2() as usize;
    // The two bits below the highest.
    let fine = if power >= 2 { (nanos >> (power - 2)) & 3 } else { (nanos << (2 - power)) & 3 };
    (FINE * power + fine as usize).min(BUCKETS - 1)
}

/// The smallest duration beyond a bucket, in nanoseconds.
fn upper_bound(bucket: usize) -> u64 {
    let (power, fine) = (bucket / FINE, (bucket % FINE) as u64);
    ((FINE as u64 + fine + 1) << power) / FINE as u64
}

impl Histogram {
    pub(super) fn record(&mut self, time: Duration) {
        self.record_nanos(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    }

    pub(super) fn record_nanos(&mut self, nanos: u64) {
        self.counts[bucket(nanos)] += 1;
        self.count += 1;
        self.sum = self.sum.saturating_add(nanos);
        self.max = self.max.max(nanos);
    }

    pub(super) fn add(&mut self, other: &Self) {
        for (sum, more) in self.counts.iter_mut().zip(&*other.counts) {
            *sum += more;
        }
        self.count += other.count;
        self.sum = self.sum.saturating_add(other.sum);
        self.max = self.max.max(other.max);
    }

    /// What came since `earlier`, a copy of this one as it was.
    pub(super) fn since(&self, earlier: &Self) -> Self {
        let mut difference = self.clone();
        for (sum, less) in difference.counts.iter_mut().zip(&*earlier.counts) {
            *sum = sum.saturating_sub(*less);
        }
        difference.count = self.count.saturating_sub(earlier.count);
        difference.sum = self.sum.saturating_sub(earlier.sum);
        difference
    }

    /// How many there were.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// All of them together, exactly.
    pub fn sum(&self) -> Duration {
        Duration::from_nanos(self.sum)
    }

    /// The longest, exactly.
    pub fn max(&self) -> Duration {
        Duration::from_nanos(self.max)
    }

    /// A duration that a share `q` of them (0 to 1) did not exceed, too long by a fourth at most; `None` if there were none.
    pub fn quantile(&self, q: f64) -> Option<Duration> {
        if self.count == 0 {
            return None;
        }
        let rank = ((q.clamp(0.0, 1.0) * self.count as f64).ceil() as u64).max(1);
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank && bucket < BUCKETS - 1 {
                return Some(Duration::from_nanos(upper_bound(bucket).min(self.max)));
            }
        }
        Some(self.max())
    }

    /// The buckets that are not empty, shortest first: the duration that its values do not exceed, and how many. Values from some
    /// 16 minutes on are all in one, the last, whose duration is that of the [longest](Self::max).
    pub fn buckets(&self) -> impl Iterator<Item = (Duration, u64)> {
        let counts = self.counts.iter().enumerate().filter(|(_, count)| **count > 0);
        counts.map(|(bucket, count)| {
            let bound = if bucket == BUCKETS - 1 { self.max } else { upper_bound(bucket) };
            (Duration::from_nanos(bound), *count)
        })
    }
}

impl fmt::Debug for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Histogram")
            .field("count", &self.count)
            .field("p50", &self.quantile(0.5))
            .field("p95", &self.quantile(0.95))
            .field("max", &self.max)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_holds_what_is_below_its_bound_and_a_fourth_less() {
        let mut before = 0;
        for nanos in (1..5_000).chain((13..39).map(|power| (1 << power) + 12_345)) {
            let bucket = bucket(nanos);
            assert!(bucket >= before, "longer durations are in later buckets");
            before = bucket;
            let bound = upper_bound(bucket);
            assert!(nanos <= bound && bound <= nanos + nanos / 4 + 1, "{nanos} is below {bound}");
        }
        assert_eq!(super::bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn quantiles_are_those_of_the_sorted_list_to_within_a_fourth() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.quantile(0.5), None);
        let times: Vec<u64> = (0..1_000).map(|n| 1_000 + n * n).collect();
        times.iter().for_each(|&nanos| histogram.record(Duration::from_nanos(nanos)));
        for (q, rank) in [(0.0, 0), (0.5, 499), (0.95, 949), (1.0, 999)] {
            let (exact, told) = (times[rank], histogram.quantile(q).unwrap().as_nanos() as u64);
            assert!(told >= exact && told <= exact + exact / 4 + 1, "{q}: {told} for {exact}");
        }
        assert_eq!(histogram.max(), Duration::from_nanos(1_000 + 999 * 999));
        assert_eq!(histogram.buckets().map(|(_, count)| count).sum::<u64>(), 1_000);
    }

    #[test]
    fn no_bucket_holds_what_is_longer_than_it_says() {
        let times = [1, 999, 1_000_000_007, u64::MAX / 2, u64::MAX];
        for longest in times {
            let mut histogram = Histogram::default();
            let shorter = times.iter().filter(|nanos| **nanos <= longest);
            shorter.for_each(|&nanos| histogram.record_nanos(nanos));
            let (bound, _) = histogram.buckets().last().unwrap();
            assert!(bound >= histogram.max(), "{bound:?} for {longest} ns");
        }
    }

    #[test]
    fn a_window_is_what_came_since() {
        let mut histogram = Histogram::default();
        histogram.record(Duration::from_secs(1));
        let earlier = histogram.clone();
        histogram.record(Duration::from_micros(3));
        let window = histogram.since(&earlier);
        assert_eq!((window.count(), window.sum()), (1, Duration::from_micros(3)));
        assert!(window.quantile(0.95).unwrap() < Duration::from_micros(4));
    }
}
