//! One question to many.

use crate::pool::Gate;
use crate::support::eventually;
use aqueduct::Context;
use aqueduct::context::ContextError;
use aqueduct::fan::{self, GatherEnd, Unanswered};
use aqueduct::pool::{Job, JobError, Pool, Refusal};
use std::sync::mpsc;
use std::time::Duration;

/// Says who asks whether it is still wanted, until it is not.
fn endless() -> Job<impl aqueduct::pool::Work<Output = u32>> {
    Job::fallible(|job| Err::<u32, _>(job.context().wait()))
}

/// All answers, in the order of the questions; one failure is enough to ask no further.
#[test]
fn all_answer_or_it_ends_at_the_first_failure() {
    let pool = Pool::builder().max_workers(2).queue_capacity(4).build().unwrap();
    let squares = fan::scatter(&pool).all((0..50_u32).map(|n| Job::new(move || n * n))).unwrap();
    assert!(squares.into_iter().eq((0..50).map(|n| n * n)));
    assert!(fan::scatter(&pool).all((0..0).map(|n: u8| Job::new(move || n))).unwrap().is_empty());

    let failed = Job::fallible(|_| Err::<u32, _>("no"));
    // The others never end by themselves.
    let mut jobs = vec![Some(()), None];
    let gathered = fan::scatter(&pool)
        .all(jobs.drain(..).map(|endless| {
            Job::fallible(move |job: &aqueduct::pool::JobContext| match endless {
                Some(()) => Err::<u32, _>(job.context().wait().to_string()),
                None => Err("no".to_owned()),
            })
        }))
        .unwrap_err();
    assert_eq!((gathered.end, gathered.unfinished), (GatherEnd::Hopeless, vec![0]));
    assert!(matches!(gathered.failed[..], [(1, Unanswered::Failed(JobError::Failed(_)))]));
    assert!(fan::scatter(&pool).first([failed]).unwrap_err().to_string().contains("1 failed"));
    pool.wait_idle();
    assert_eq!(pool.metrics().in_flight, 0);
}

/// The first that succeeds is enough, and the others are told so.
#[test]
fn the_first_success_ends_it() {
    let pool = Pool::builder().max_workers(3).build().unwrap();
    let (told, tells) = mpsc::channel();
    let jobs = (0..3).map(|n| {
        let told = told.clone();
        Job::fallible(move |job: &aqueduct::pool::JobContext| match n {
            0 => Err("no".to_owned()),
            1 => Ok(7),
            _ => {
                let why = job.context().wait();
                told.send(why).unwrap();
                Err(why.to_string())
            }
        })
    });
    assert_eq!(fan::scatter(&pool).first(jobs).unwrap(), 7);
    drop(told);
    // It may have been cancelled before it began.
    assert!(tells.iter().all(|why| why == ContextError::Canceled));
    let nobody = fan::scatter(&pool).first((0..0).map(|n: u8| Job::new(move || n)));
    assert_eq!(nobody.unwrap_err().end, GatherEnd::Hopeless);
    pool.wait_idle();
}

/// So many of so many; and as soon as that cannot be, no more.
#[test]
fn a_quorum_is_reached_or_hopeless() {
    let pool = Pool::builder().max_workers(5).build().unwrap();
    for (failures, is_reached) in [(0, true), (2, true), (3, false), (5, false)] {
        let jobs = (0..5).map(|n| {
            Job::fallible(
                move |_| if n < failures { panic!("on purpose") } else { Ok::<_, String>(n) },
            )
        });
        match fan::scatter(&pool).quorum(3, jobs) {
            Ok(gathered) => {
                assert!(is_reached && gathered.values.len() == 3);
                let all = gathered.values.len() + gathered.failed.len() + gathered.unfinished.len();
                assert_eq!(all, 5);
                assert!(gathered.values.iter().all(|(nth, n)| nth == n && *n >= failures));
            }
            Err(gathered) => {
                assert!(!is_reached && gathered.failed.len() >= 3);
                assert_eq!(gathered.end, GatherEnd::Hopeless);
            }
        }
    }
    let too_many = fan::scatter(&pool).quorum(3, (0..2).map(|n| Job::new(move || n)));
    assert_eq!(too_many.unwrap_err().end, GatherEnd::Hopeless);
    pool.wait_idle();
    pool.shutdown();
    // Those that are refused count as failed before anything is counted up to that.
    let refused = fan::scatter(&pool).quorum(usize::MAX, (0..2).map(|n| Job::new(move || n)));
    let refused = refused.unwrap_err();
    assert_eq!((refused.end, refused.failed.len()), (GatherEnd::Hopeless, 2));
}

/// Neither answers nor failures are counted twice, or against what was decided before them.
#[test]
fn a_quorum_is_decided_by_the_answer_that_decides() {
    // One after the other.
    let pool = Pool::builder().max_workers(1).build().unwrap();
    let ask = |answers: &[bool]| {
        let jobs: Vec<_> = answers
            .iter()
            .map(|is_ok| {
                let is_ok = *is_ok;
                Job::fallible(move |_| if is_ok { Ok(()) } else { Err("no") })
            })
            .collect();
        let gathered = fan::scatter(&pool).quorum(2, jobs);
        pool.wait_idle();
        gathered
    };
    for (answers, is_reached) in [
        (&[true, true, false, false, false][..], true),
        (&[true, false, true, false, false], true),
        (&[false, false, false, true, true], true),
        (&[true, false, false, false, false], false),
        (&[false, true, false, false, false], false),
    ] {
        let (reached, gathered) = match ask(answers) {
            Ok(gathered) => (true, gathered),
            Err(gathered) => (false, gathered),
        };
        assert_eq!(reached, is_reached, "{answers:?}: {gathered:?}");
        assert!(gathered.values.iter().all(|(nth, ())| answers[*nth]), "{answers:?}: {gathered:?}");
        assert!(gathered.failed.iter().all(|(nth, _)| !answers[*nth]), "{answers:?}: {gathered:?}");
        // With the last answer it is complete as well as decided.
        let ends = if is_reached {
            [GatherEnd::Enough, GatherEnd::Complete]
        } else {
            [GatherEnd::Hopeless; 2]
        };
        assert!(ends.contains(&gathered.end), "{answers:?}: {gathered:?}");
        // Hopeless may be seen before an answer that came earlier.
        let values = gathered.values.len();
        assert!(if is_reached { values == 2 } else { values < 2 }, "{answers:?}: {gathered:?}");
        let all = gathered.values.len() + gathered.failed.len() + gathered.unfinished.len();
        assert_eq!(all, 5);
    }
}

/// When it is time, what is there is there, and the late are named; a job that does not look is not waited for.
#[test]
fn at_the_deadline_the_late_are_named() {
    let pool = Pool::builder().max_workers(2).queue_capacity(1).build().unwrap();
    let gate = Gate::default();
    let context = Context::background();
    let done = context.clone();
    let waits = gate.clone();
    let inside = gate.clone();
    let jobs = (0..2).map(|n| {
        let (gate, done) = (waits.clone(), done.clone());
        Job::new(move || {
            if n == 0 {
                // The other is begun, and neither can end it by itself.
                gate.until_waiting(1);
                done.cancel();
            }
            gate.pass();
        })
    });
    let gathered = fan::scatter(&pool).context(&context).each(jobs);
    assert_eq!(gathered.end, GatherEnd::Done(ContextError::Canceled));
    assert_eq!((gathered.values.len(), gathered.unfinished), (0, vec![0, 1]));
    inside.open();
    pool.wait_idle();

    // No room, and no time.
    let gathered = fan::scatter(&pool).timeout(Duration::ZERO).each((0..9).map(|_| endless()));
    let refused = gathered.failed.iter().filter(|(_, why)| {
        matches!(why, Unanswered::Refused(Refusal::Cancelled) | Unanswered::Failed(_))
    });
    assert_eq!(refused.count() + gathered.unfinished.len(), 9);
    pool.shutdown();
    let closed = fan::scatter(&pool).first([Job::new(|| 1)]).unwrap_err();
    assert!(matches!(closed.failed[..], [(0, Unanswered::Refused(Refusal::ShutDown))]));
}

/// Whoever had failed by then has failed, though nobody had looked before the time was up.
#[test]
fn at_the_deadline_a_failure_is_a_failure() {
    let pool = Pool::builder().max_workers(2).build().unwrap();
    for round in 1..=100 {
        let (context, gate) = (Context::background(), Gate::default());
        let jobs = (0..2).map(|n| {
            let (pool, done, gate) = (pool.clone(), context.clone(), gate.clone());
            Job::new(move || {
                assert_ne!(n, 0, "on purpose");
                eventually("the other has failed", || pool.metrics().panicked == round);
                done.cancel();
                gate.pass();
            })
        });
        let gathered = fan::scatter(&pool).context(&context).each(jobs);
        gate.open();
        pool.wait_idle();
        assert_eq!((gathered.values.len(), &gathered.unfinished[..]), (0, &[1][..]));
        assert!(matches!(gathered.failed[..], [(0, Unanswered::Failed(_))]), "{gathered:?}");
    }
}

/// A job may ask others on the only worker.
#[test]
fn a_job_may_ask_others_on_the_only_worker() {
    let pool = Pool::builder().max_workers(1).build().unwrap();
    let inner = pool.clone();
    let outer = pool.submit(move || {
        let jobs = (0..10_u64).map(|n| Job::new(move || n));
        fan::scatter(&inner).all(jobs).unwrap().into_iter().sum::<u64>()
    });
    assert_eq!(outer.unwrap().join().unwrap().value, 45);
}

/// However many are asked for, they are asked for: no number stands for all there are.
#[test]
fn a_quorum_of_more_than_there_are_is_hopeless() {
    let pool = Pool::builder().max_workers(2).build().unwrap();
    for count in [3, usize::MAX - 1, usize::MAX] {
        let asked = fan::scatter(&pool).quorum(count, (0..2).map(|n| Job::new(move || n)));
        assert_eq!(asked.map_err(|gathered| gathered.end).unwrap_err(), GatherEnd::Hopeless);
    }
    pool.wait_idle();
}

/// A pool whose only worker has to take the job before a further one has room.
fn narrow() -> Pool {
    Pool::builder().max_workers(1).queue_capacity(1).build().unwrap()
}

/// How many jobs are made before it is seen that one of the first has decided it: those that are run, that wait, and the one that waits for room.
const SOON: u32 = 8;

/// Answers are looked at while others are still to be asked, so that of endlessly many only so many are asked as it takes.
#[test]
fn of_endlessly_many_no_more_are_asked_than_it_takes() {
    let pool = narrow();
    let at_most = |n: u32| assert!(n < SOON, "still asks when there are enough answers");
    let first = fan::scatter(&pool).first((0..).map(|n| {
        at_most(n);
        Job::fallible(move |_| if n == 0 { Err("no") } else { Ok(n) })
    }));
    assert_eq!(first.unwrap(), 1);
    let jobs = (0..).map(|n| {
        at_most(n);
        Job::new(move || n)
    });
    let quorum = fan::scatter(&pool).quorum(3, jobs).unwrap();
    let answers: Vec<_> = quorum.values.iter().map(|(_, n)| *n).collect();
    assert_eq!((answers, quorum.end), (vec![0, 1, 2], GatherEnd::Enough));
    let jobs = (0..).map(|n| {
        at_most(n);
        Job::fallible(move |_| if n == 1 { Err("no") } else { Ok(n) })
    });
    let all = fan::scatter(&pool).all(jobs).unwrap_err();
    assert!(matches!(all.failed[..], [(1, Unanswered::Failed(_))]), "{all:?}");
    assert_eq!((all.end, all.values), (GatherEnd::Hopeless, vec![(0, 0)]));
    let context = Context::background();
    let each = fan::scatter(&pool).context(&context).each((0..).map(|n| {
        at_most(n);
        let done = context.clone();
        Job::new(move || {
            if n == 2 {
                done.cancel();
            }
        })
    }));
    assert_eq!(each.end, GatherEnd::Done(ContextError::Canceled));
    pool.wait_idle();
}

/// When it is decided, those that were not submitted are neither run nor forgotten.
#[test]
fn the_rest_is_not_submitted_and_counts_as_unfinished() {
    let pool = narrow();
    let jobs = (0..100_u32).map(|n| Job::new(move || n));
    let enough = fan::scatter(&pool).quorum(2, jobs).unwrap();
    assert_eq!((enough.values, enough.end), (vec![(0, 0), (1, 1)], GatherEnd::Enough));
    assert!(enough.failed.is_empty() && enough.unfinished.into_iter().eq(2..100));
    // 30 of 32 cannot answer any more when three have failed.
    let jobs = (0..32_u32).map(|_| Job::fallible(|_| Err::<u32, _>("no")));
    let hopeless = fan::scatter(&pool).quorum(30, jobs).unwrap_err();
    assert_eq!((hopeless.end, hopeless.failed.len()), (GatherEnd::Hopeless, 3));
    assert!(hopeless.unfinished.into_iter().eq(3..32));
    pool.wait_idle();
    let run = pool.metrics().completed + pool.metrics().failed;
    assert!(run < u64::from(2 * SOON), "{run} were run");
}

/// The only worker runs one for too long, and the others are cancelled in the queue, one after the other.
#[test]
fn who_was_cancelled_with_the_time_has_not_failed() {
    let pool = Pool::builder().max_workers(1).queue_capacity(1).build().unwrap();
    let gate = Gate::default();
    let jobs = (0..3).map(|_| Job::new(gate.job()));
    let scatter = fan::scatter(&pool).timeout(Duration::from_millis(20));
    let gathered = scatter.all(jobs).unwrap_err();
    assert_eq!(gathered.end, GatherEnd::Done(ContextError::DeadlineExceeded), "{gathered:?}");
    assert!(gathered.failed.is_empty(), "{gathered:?}");
    assert_eq!(gathered.unfinished, [0, 1, 2]);
    gate.open();
}
