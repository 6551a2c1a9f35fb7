//! The life of one job: queued, running, over. Whoever makes it over first says how; everybody else is too late.
//!
//! Pure: no lock, no clock, no thread. [`Cell`](super::cell::Cell) keeps one under its lock.

/// Where a job is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// It waits for a worker.
    Queued,
    /// A worker, or the thread that submitted it, has it in hand.
    Running,
    /// It has its outcome. Its function may still be running, if that is late.
    Over(End),
}

/// How a job ended: the columns of the pool's books.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Completed,
    Failed,
    Panicked,
    TimedOut,
    Cancelled,
    Rejected,
}

impl End {
    pub(super) const COUNT: usize = 6;

    /// As spans and metrics call it.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Panicked => "panicked",
            Self::TimedOut => "timed_out",
            Self::Cancelled => "cancelled",
            Self::Rejected => "rejected",
        }
    }

    /// Whether only a function that ran can end like this.
    fn needs_run(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Panicked)
    }
}

impl Phase {
    /// A worker takes the job in hand. False if it is too late for that, or somebody else has it.
    pub(super) fn begin(&mut self) -> bool {
        let may = *self == Self::Queued;
        if may {
            *self = Self::Running;
        }
        may
    }

    /// The job is over like this. False if it is over already.
    pub(super) fn end(&mut self, end: End) -> bool {
        let may = match self {
            Self::Queued => !end.needs_run(),
            Self::Running => true,
            Self::Over(_) => false,
        };
        if may {
            *self = Self::Over(end);
        }
        may
    }

    pub(super) fn is_over(self) -> bool {
        matches!(self, Self::Over(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENDS: [End; End::COUNT] =
        [End::Completed, End::Failed, End::Panicked, End::TimedOut, End::Cancelled, End::Rejected];

    /// R73: In every order of up to five events there is at most one beginning and one end, the end is the first that was
    /// possible, and nothing begins after it.
    #[test]
    fn every_order_of_events_has_one_outcome() {
        let events: Vec<Option<End>> = [None].into_iter().chain(ENDS.map(Some)).collect();
        let mut orders = 0;
        for number in 0..events.len().pow(5) {
            let (mut phase, mut rest) = (Phase::Queued, number);
            let (mut began, mut ended) = (0, None);
            for _ in 0..5 {
                let event = events[rest % events.len()];
                rest /= events.len();
                match event {
                    None => {
                        let may = phase.begin();
                        assert!(!may || ended.is_none(), "nothing begins after the end");
                        began += usize::from(may);
                    }
                    Some(end) => {
                        if phase.end(end) {
                            assert_eq!(ended, None, "one outcome");
                            assert!(!end.needs_run() || began == 1, "{end:?} without having run");
                            ended = Some(end);
                        } else {
                            assert!(ended.is_some() || (end.needs_run() && began == 0));
                        }
                    }
                }
            }
            assert!(began <= 1);
            assert_eq!(ended.map(Phase::Over), phase.is_over().then_some(phase));
            orders += 1;
        }
        assert_eq!(orders, 16_807);
    }
}
