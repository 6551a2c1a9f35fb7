//! How long light jobs waited and ran, with fewer readings of the clock than jobs.
//!
//! A reading takes as long as half an empty job. Where one job after the other is over in less than that and a little more, one reading
//! for a few of them tells nearly as much. Pure: whoever has a clock says what it shows.

/// So many jobs share a reading at most.
const MOST: usize = 8;

/// Jobs up to this long, in nanoseconds, may share one.
const SHORT: u64 = 1_000;

/// After so many short jobs in a row the next ones share readings. Where long ones come oftener, hardly ever two of them meet
/// in one stretch.
const IN_A_ROW: u32 = 64;

/// Light jobs one after the other, between two readings of the clock.
#[derive(Default)]
pub(super) struct Stretch {
    /// When the first of them was begun, in nanoseconds of the pool's life; `None` if nobody knows.
    began: Option<u64>,
    /// When they were submitted, those that are over.
    submitted: [u64; MOST],
    jobs: usize,
    /// How many short jobs there were since the last long one.
    in_a_row: u32,
    /// What a job took on the average, the last time.
    pace: u64,
}

impl Stretch {
    /// Whether the next job follows on a reading.
    pub(super) fn is_open(&self) -> bool {
        self.began.is_some()
    }

    /// The next job begins now.
    pub(super) fn open(&mut self, now: u64) {
        self.began = Some(now);
    }

    /// One job more is over. True if it is time to [read](Self::read) the clock.
    pub(super) fn add(&mut self, submitted: u64) -> bool {
        self.submitted[self.jobs] = submitted;
        self.jobs += 1;
        self.jobs == MOST || self.in_a_row < IN_A_ROW
    }

    /// It is `now`: says of each job how long it waited and ran; the next one begins now.
    ///
    /// Together they ran as long as the stretch was. If that is too long for short jobs, one of them was not, and the first
    /// one is taken for it: what the others waited is too long then, rather than too short.
    pub(super) fn read(&mut self, now: u64, mut says: impl FnMut(u64, u64)) {
        let mut begun = self.began.replace(now).unwrap_or(now);
        let jobs = std::mem::take(&mut self.jobs) as u64;
        let all = now.saturating_sub(begun);
        let Some(each) = all.checked_div(jobs) else { return };
        let is_short = each <= SHORT;
        let usual = if is_short { each } else { self.pace.min(each) };
        let mut ran = all - usual * (jobs - 1);
        for &submitted in &self.submitted[..jobs as usize] {
            says(begun.saturating_sub(submitted), ran);
            begun += ran;
            ran = usual;
        }
        self.pace = each;
        self.in_a_row = if is_short { self.in_a_row.saturating_add(jobs as u32) } else { 0 };
    }

    /// Whether a job inside another one may count as one that comes after it.
    pub(super) fn may_take_in(&self) -> bool {
        self.is_open() && self.is_brisk()
    }

    /// Whether everything was said of the jobs that are over.
    pub(super) fn is_told(&self) -> bool {
        self.jobs == 0
    }

    /// Something else is done next, that takes its time.
    pub(super) fn close(&mut self) {
        self.began = None;
    }

    /// Whether the jobs are short, one after the other.
    pub(super) fn is_brisk(&self) -> bool {
        self.in_a_row >= IN_A_ROW
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs jobs of these lengths, all submitted at 0: what is said of their waits and their runs, and how often the clock was read.
    fn told(stretch: &mut Stretch, lengths: &[u64]) -> (Vec<(u64, u64)>, usize) {
        let (mut now, mut told, mut readings) = (1_000_000, Vec::new(), 1);
        stretch.open(now);
        for &length in lengths {
            now += length;
            if stretch.add(0) {
                stretch.read(now, |wait, run| told.push((wait, run)));
                readings += 1;
            }
        }
        (told, readings)
    }

    fn brisk() -> Stretch {
        let mut stretch = Stretch::default();
        told(&mut stretch, &[100; IN_A_ROW as usize]);
        assert!(stretch.is_brisk());
        stretch
    }

    #[test]
    fn each_job_has_its_own_times_until_many_were_short() {
        let lengths: Vec<u64> = (1..=u64::from(IN_A_ROW)).collect();
        let (told, readings) = told(&mut Stretch::default(), &lengths);
        assert_eq!(readings, lengths.len() + 1);
        let mut begun = 1_000_000;
        for ((wait, run), length) in told.into_iter().zip(lengths) {
            assert_eq!((wait, run), (begun, length));
            begun += length;
        }
    }

    #[test]
    fn short_jobs_share_a_reading_and_their_sum_is_exact() {
        let lengths: Vec<u64> = (0..4 * MOST as u64).map(|n| 50 + n).collect();
        let (told, readings) = told(&mut brisk(), &lengths);
        assert_eq!((told.len(), readings), (lengths.len(), 5));
        assert_eq!(told.iter().map(|times| times.1).sum::<u64>(), lengths.iter().sum());
        let mut begun = 1_000_000;
        for (at, (wait, run)) in told.into_iter().enumerate() {
            let stretch: u64 = lengths[at / MOST * MOST..][..MOST].iter().sum();
            assert!(run.abs_diff(lengths[at]) <= stretch && wait.abs_diff(begun) <= stretch);
            begun += lengths[at];
        }
    }

    /// And from then on each job is timed for itself.
    #[test]
    fn a_long_job_among_short_ones_is_seen_as_one() {
        let mut stretch = brisk();
        let (times, _) = told(&mut stretch, &[100, 100, 5_000_000, 100, 100, 100, 100, 100]);
        let mut runs: Vec<u64> = times.into_iter().map(|times| times.1).collect();
        runs.sort_unstable();
        assert_eq!(runs, [100, 100, 100, 100, 100, 100, 100, 5_000_000]);
        assert!(!stretch.is_brisk());
        let (times, readings) = told(&mut stretch, &[5_000_000, 100, 5_000_000]);
        let runs: Vec<u64> = times.into_iter().map(|times| times.1).collect();
        assert_eq!((runs, readings), (vec![5_000_000, 100, 5_000_000], 4));
    }

    #[test]
    fn a_stretch_that_is_broken_off_is_told_as_far_as_it_went() {
        let mut stretch = brisk();
        stretch.open(1_000);
        assert!(!stretch.add(400) && !stretch.add(500) && !stretch.is_told());
        let mut times = Vec::new();
        stretch.read(1_200, |wait, run| times.push((wait, run)));
        assert_eq!(times, [(600, 100), (600, 100)]);
        stretch.close();
        assert!(stretch.is_told() && !stretch.is_open());
        stretch.read(9_000, |_, _| panic!("nothing was done"));
    }
}
