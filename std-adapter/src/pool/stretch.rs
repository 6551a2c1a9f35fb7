//! How long light jobs waited and ran, with fewer readings of the clock than jobs.
//!
//! A reading takes as long as half an empty job. Where one job after the other is over in less than that and a little more, one reading
//! for a few of them tells nearly as much. Pure: whoever has a clock says what it shows.

/// So many jobs share a reading at most.
const MOST: usize = 8;

/// Jobs up to this long, in nanoseconds, may share one.
const SHORT: u64 = 2_000;

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
    /// How much time has been told, of all jobs; and how much it was when the first of these began.
    told: u64,
    told_before: u64,
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
        self.told_before = self.told;
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
        let mut begun = self.began.unwrap_or(now);
        let jobs = std::mem::take(&mut self.jobs) as u64;
        let all = now.saturating_sub(begun).saturating_sub(self.told - self.told_before);
        self.told += all;
        self.open(now);
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
        self.count(is_short, jobs as u32);
    }

    /// How much time has been told. A job that runs inside of another and cannot share a reading has two of its own: this is asked
    /// with the first, and [`tell`](Self::tell) comes with the second.
    pub(super) fn told(&self) -> u64 {
        self.told
    }

    /// A job took so long since [`told`](Self::told) was this much: says how long without those inside of it. It counts as any other: where
    /// each job runs two more, hardly one ends before the tree does.
    pub(super) fn tell(&mut self, told: u64, took: u64) -> u64 {
        let own = took.saturating_sub(self.told - told);
        self.told += own;
        self.count(own <= SHORT, 1);
        own
    }

    fn count(&mut self, short: bool, jobs: u32) {
        self.in_a_row = if short { self.in_a_row.saturating_add(jobs) } else { 0 };
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

    /// As in a tree of jobs, of which most run inside of others since the queue is full: the first one is there to the end.
    #[test]
    fn jobs_inside_of_one_that_does_not_end_become_short_ones() {
        let mut stretch = Stretch::default();
        stretch.open(1_000_000);
        for job in 0..IN_A_ROW {
            assert!(!stretch.may_take_in(), "after {job}");
            // Every second one has one inside, which took 100 of its 150.
            let told = stretch.told();
            assert_eq!(stretch.tell(told, 100), 100);
            if job % 2 == 1 {
                assert_eq!(stretch.tell(told, 150), 50);
            }
            if stretch.is_brisk() {
                break;
            }
        }
        assert!(stretch.may_take_in());
    }

    /// However they were told, each moment is told once.
    #[test]
    fn the_times_of_jobs_inside_of_each_other_add_up_to_the_time_that_went_by() {
        let mut stretch = brisk();
        let (mut sum, mut now) = (0, 2_000_000);
        stretch.open(now);
        // One with readings of its own, in which two share the stretch's; then the one around it.
        let (told, began) = (stretch.told(), now);
        for took in [300, 400] {
            now += took;
            assert!(!stretch.add(0));
        }
        stretch.read(now, |_, run| sum += run);
        assert_eq!(sum, 700);
        now += 50;
        // One that is over and waits for the reading: what it took is told of the job around it, and not again.
        assert!(!stretch.add(0));
        sum += stretch.tell(told, now - began);
        assert_eq!(sum, 750);
        now += 250;
        assert!(!stretch.add(0));
        stretch.read(now, |_, run| sum += run);
        assert_eq!(sum, now - 2_000_000);
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
