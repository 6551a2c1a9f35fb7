//! Steps of all kinds: what they make, in which order, and what they count.

use super::{assert_adds_up, assert_error_adds_up};
use crate::support::FOR_EVER;
use aqueduct::channel;
use aqueduct::pipeline::{
    Backoff, Batch, BuildError, Pipeline, PipelineError, Policy, StageError, StageReport,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

/// None, one, or several of one, by workers that overtake each other: in order where order is asked for, and counted.
///
/// R37
#[test]
fn lists_and_gaps_keep_the_order_of_what_they_were_made_of() {
    let mut output = Vec::new();
    let report = Pipeline::from_iter(0..500_u64)
        .flat_map("some", |n| (0..n % 4).map(move |nth| (n, nth)))
        .concurrency(4)
        .filter("even", |(n, _)| n % 2 == 0)
        .concurrency(3)
        .map("same", |pair| pair)
        .concurrency(3)
        .ordered(8)
        .run(|pair| output.push(pair))
        .unwrap();
    let expected = (0..500).flat_map(|n| (0..n % 4).map(move |nth| (n, nth)));
    let expected: Vec<_> = expected.filter(|(n, _)| n % 2 == 0).collect();
    assert_eq!(output, expected);
    assert_adds_up(&report);
    let [_, some, even, _] = report.stages() else { panic!("{report:?}") };
    assert_eq!((some.filtered(), some.added(), some.out()), (125, 375, 750));
    assert_eq!((even.received(), even.filtered(), even.out()), (750, 500, 250));
}

/// A batch is full by count, by weight, or by time; the last one may be smaller; nothing is counted twice.
///
/// R29
#[test]
fn batches_end_by_count_by_weight_and_by_time() {
    let mut batches = Vec::new();
    let report = Pipeline::from_iter(0..10)
        .batch("rows", Batch::of(4))
        .run(|batch| batches.push(batch))
        .unwrap();
    assert_eq!(batches, [vec![0, 1, 2, 3], vec![4, 5, 6, 7], vec![8, 9]]);
    assert_adds_up(&report);
    assert_eq!((report.stages()[1].filtered(), report.stages()[1].out()), (7, 3));

    // Nobody sends more, and nobody ends the input: only the clock can end this batch.
    let (sender, receiver) = channel::bounded(4);
    let batch = Batch::of(100).within(Duration::from_millis(1));
    let running = Pipeline::from_receiver(receiver).batch("rows", batch).spawn().unwrap();
    sender.send(1).unwrap();
    assert_eq!(running.output().recv(), Ok(vec![1]));
    drop(sender);
    assert_adds_up(&running.wait().unwrap());

    let zero = Pipeline::from_iter(0..9).batch("rows", Batch::of(0)).run(drop).unwrap_err();
    let expected = BuildError::Zero { stage: "rows".into() };
    assert!(matches!(zero, PipelineError::Build(error) if error == expected));
}

/// A batch ends when its time is over, also where there is always a next item at hand.
///
/// R79
#[test]
fn a_batch_waits_for_no_gap_in_its_input() {
    let mut batches = Vec::new();
    let rows = Batch::of(usize::MAX).within(Duration::ZERO);
    let report =
        Pipeline::from_iter(0..5_000).batch("rows", rows).run(|batch| batches.push(batch)).unwrap();
    assert!(batches.iter().flatten().copied().eq(0..5_000));
    let longest = batches.iter().map(Vec::len).max();
    assert_eq!(longest, Some(1), "the time of each was over before the next item was taken");
    assert_adds_up(&report);
}

/// No more pass than the rate allows in any stretch of its length, the first one included; all pass in the end.
///
/// R35
#[test]
fn a_rate_is_a_bound() {
    const PER: Duration = Duration::from_millis(20);
    let passed = Mutex::new(Vec::new());
    let report = Pipeline::from_iter(0..14)
        .rate_limit("pace", 4, PER)
        // Asked while the item passes, by whoever lets it pass: what is read here is not late, as it would be at the output.
        .max_weight_in_flight(100, |_| {
            passed.lock().unwrap().push(Instant::now());
            1
        })
        .run(drop)
        .unwrap();
    assert_eq!(report.delivered(), 14);
    for stretch in passed.into_inner().unwrap().windows(5) {
        let took = stretch[4] - stretch[0];
        assert!(took >= PER, "five passed in {took:?}");
    }
}

/// Of a burst the last one passes, and the others are counted.
#[test]
fn of_a_burst_the_last_one_passes() {
    let mut output = Vec::new();
    let report = Pipeline::from_iter(0..50)
        .debounce("quiet", Duration::from_secs(3600))
        .run(|n| output.push(n))
        .unwrap();
    // The end of input is quiet enough.
    assert_eq!(output, [49]);
    assert_adds_up(&report);
    assert_eq!(report.stages()[1].filtered(), 49);
}

/// And it passes when its time is over, though more may come.
#[test]
fn what_is_quiet_for_long_enough_passes() {
    let (sender, receiver) = channel::bounded(4);
    let quiet = Pipeline::from_receiver(receiver).debounce("quiet", Duration::from_millis(1));
    let running = quiet.spawn().unwrap();
    for n in 0..3 {
        sender.send(n).unwrap();
        assert_eq!(running.output().recv_timeout(FOR_EVER), Ok(n), "it waits for the next");
    }
    drop(sender);
    assert_eq!(running.wait().unwrap().delivered(), 3);
}

/// A batch ends with what makes it heavy enough, whatever that weighs, and what weighs nothing is not taken for ever.
///
/// R79
#[test]
fn a_batch_ends_by_what_its_items_weigh() {
    let batches = |limit, words: &'static [&'static str]| {
        let mut batches = Vec::new();
        let lengths = Pipeline::from_iter(words).batch_by("words", Batch::of(limit), |s| s.len());
        assert_adds_up(&lengths.run(|batch| batches.push(batch.len())).unwrap());
        batches
    };
    assert_eq!(
        batches(4, &["a", "bc", "d", "efgh", "ijklmn", "o", "pqrstu", "v"]),
        [3, 1, 1, 2, 1]
    );
    assert_eq!(batches(3, &[""; 8]), [3, 3, 2]);

    // One that cannot be weighed stops the run, as any panic of a step.
    let weigh = |n: &u32| if *n == 5 { panic!("on purpose") } else { 1 };
    let mut output = Vec::new();
    let error = Pipeline::from_iter(0..100_u32)
        .batch_by("heavy", Batch::of(2), weigh)
        .run(|batch| output.push(batch))
        .unwrap_err();
    let PipelineError::Stopped { error: stage, .. } = &error else { panic!("{error:?}") };
    assert_eq!((stage.stage(), stage.item()), ("heavy", 5));
    // What came before it is delivered.
    assert!(output.iter().flatten().eq(&[0, 1, 2, 3, 4]));
    assert_error_adds_up(&error);
}

/// Items of one key stay in order, also where some of them are tried again and again.
///
/// R37, R42
#[test]
fn a_key_keeps_its_order_while_its_items_are_tried_again() {
    let attempts = Mutex::new(BTreeMap::<u64, u32>::new());
    let backoff = Backoff::new(4, Duration::from_micros(1), Duration::from_micros(50));
    let mut last = [None; 5];
    let report = Pipeline::from_iter(0..500_u64)
        .stage("flaky", |n| {
            let mut attempts = attempts.lock().unwrap();
            let attempt = attempts.entry(n).or_default();
            *attempt += 1;
            if u64::from(*attempt) <= n % 4 { Err("not yet") } else { Ok(n) }
        })
        .concurrency(3)
        .keyed(|n| n % 5)
        .on_error_keeping(move |_: &StageError| Policy::Retry(backoff.then(Policy::Stop)))
        .run(|n| {
            let last = &mut last[(n % 5) as usize];
            assert!(last.replace(n) < Some(n), "{n} came late");
        })
        .unwrap();
    assert_eq!((report.delivered(), report.stages()[1].retried()), (500, 125 * 6));
    assert_adds_up(&report);
}

/// A failure is tried again as often as the policy says, and no more; then it goes where the policy says.
///
/// R42
#[test]
fn retries_end_and_dead_letters_arrive() {
    let attempts = Mutex::new(BTreeMap::<u64, u32>::new());
    let dead = Mutex::new(Vec::new());
    let backoff = Backoff::new(3, Duration::from_micros(1), Duration::from_micros(10));
    let mut output = Vec::new();
    let report = Pipeline::from_iter(0..30_u64)
        .stage("flaky", |n| {
            let mut attempts = attempts.lock().unwrap();
            let attempt = attempts.entry(n).or_default();
            *attempt += 1;
            match n % 10 {
                3 if *attempt < 3 => Err("not yet"),
                7 => Err("never"),
                _ => Ok(n),
            }
        })
        .concurrency(3)
        .on_error(move |_: &StageError| Policy::Retry(backoff.then(Policy::DeadLetter)))
        .dead_letters(|n, error: StageError| dead.lock().unwrap().push((n, error.attempt())))
        .ordered(8)
        .run(|n| output.push(n))
        .unwrap();
    assert_eq!(output, (0..30).filter(|n| n % 10 != 7).collect::<Vec<_>>());
    let mut dead = dead.into_inner().unwrap();
    dead.sort_unstable();
    assert_eq!(dead, [(7, 3), (17, 3), (27, 3)]);
    assert!(attempts.into_inner().unwrap().iter().all(|(n, &tries)| match n % 10 {
        3 | 7 => tries == 3,
        _ => tries == 1,
    }));
    assert_adds_up(&report);
    let flaky: &StageReport = &report.stages()[1];
    assert_eq!((flaky.retried(), flaky.dead_lettered(), flaky.failed()), (12, 3, 3));
}

/// A policy that needs what it has not been given stops the run, and says why.
///
/// R42
#[test]
fn nothing_is_retried_or_buried_where_there_is_nothing_to_do_it_with() {
    let time = Duration::from_micros(1);
    for policy in [Policy::Retry(Backoff::new(9, time, time)), Policy::DeadLetter] {
        let error = Pipeline::from_iter(["x"])
            .stage("parse", |text: &str| text.parse::<u32>())
            .on_error(policy)
            .run(drop)
            .unwrap_err();
        assert!(matches!(error, PipelineError::Stopped { .. }), "{error:?}");
    }
    // What is to be done when all attempts are used up is not done in place of the second.
    for last in [Policy::Skip, Policy::Collect, Policy::DeadLetter] {
        let backoff = Backoff::new(2, time, time).then(last);
        let error = Pipeline::from_iter(["x"])
            .stage("parse", |text: &str| text.parse::<u32>())
            .on_error(move |_: &StageError| Policy::Retry(backoff))
            .run(drop)
            .unwrap_err();
        assert!(matches!(error, PipelineError::Stopped { .. }), "{error:?}");
    }
    // With one attempt there is nothing to be done but that.
    let once = Backoff::new(1, time, time).then(Policy::Skip);
    let report = Pipeline::from_iter(["x"])
        .stage("parse", |text: &str| text.parse::<u32>())
        .on_error(Policy::Retry(once))
        .run(drop)
        .unwrap();
    assert_eq!(report.stages()[1].skipped(), 1);
}

/// Items of one key are worked on in order, one at a time, by workers that overtake each other otherwise; an error says the key.
///
/// R51, R36
#[test]
fn items_of_one_key_are_never_overtaken() {
    let last: Vec<AtomicU64> = (0..5).map(|_| AtomicU64::new(0)).collect();
    let report = Pipeline::from_iter(1..2_000_u64)
        .stage("account", |n| {
            let before = last[(n % 5) as usize].swap(n, SeqCst);
            assert!(before < n, "{n} came behind {before}");
            if n == 1234 { Err("frozen") } else { Ok(n) }
        })
        .concurrency(3)
        .keyed(|n| n % 5)
        .on_error(Policy::Collect)
        .run(drop)
        .unwrap();
    assert_eq!((report.failed(), report.errors()[0].key()), (1, Some("4")));
    assert_adds_up(&report);
    let scaling = Pipeline::from_iter(0..9).map("k", |n| n).keyed(|n| *n).concurrency_auto(1..=2);
    let error = scaling.run(drop).unwrap_err();
    let fixed = BuildError::FixedConcurrency { stage: "k".into() };
    assert!(matches!(error, PipelineError::Build(error) if error == fixed));
}

/// What is committed is done, in order, and nothing of a failure that stops, or behind it, ever is.
///
/// R42, R31
#[test]
fn what_is_committed_is_done() {
    let stored: Mutex<Vec<bool>> = Mutex::new(vec![false; 200]);
    let commits = Mutex::new(Vec::new());
    let error = Pipeline::from_iter(0..200_usize)
        .stage("store", |n| {
            if n == 120 {
                return Err("disk full");
            }
            stored.lock().unwrap()[n] = true;
            Ok(())
        })
        .concurrency(4)
        .commit_point(16, |done| {
            let done = done as usize;
            assert!(stored.lock().unwrap()[..done].iter().all(|stored| *stored), "{done}");
            commits.lock().unwrap().push(done);
        })
        .run(drop)
        .unwrap_err();
    assert!(matches!(error, PipelineError::Stopped { .. }), "{error:?}");
    let commits = commits.into_inner().unwrap();
    assert!(commits.is_sorted());
    assert_eq!(commits.last(), Some(&120));
}

/// An item of which several are made is done with the last of them, and one of which nothing is made all the same.
///
/// R42
#[test]
fn what_is_made_of_an_item_is_committed_with_the_last_of_it() {
    let stored: Mutex<BTreeMap<u64, u64>> = Mutex::default();
    let commits = Mutex::new(Vec::new());
    Pipeline::from_iter(0..100_u64)
        .flat_map("some", |n| (0..n % 3).map(move |_| n))
        .concurrency(2)
        .map("store", |n| *stored.lock().unwrap().entry(n).or_default() += 1)
        .concurrency(3)
        .commit_point(8, |done| {
            let stored = stored.lock().unwrap();
            for n in 0..done {
                assert_eq!(stored.get(&n).copied().unwrap_or_default(), n % 3, "{n} of {done}");
            }
            commits.lock().unwrap().push(done);
        })
        .run(drop)
        .unwrap();
    let commits = commits.into_inner().unwrap();
    assert!(commits.is_sorted());
    assert_eq!(commits.last(), Some(&100));
}

/// A batch that is larger than the cap gets full all the same.
///
/// R34
#[test]
fn a_batch_under_a_smaller_cap_gets_full() {
    let mut batches = Vec::new();
    let source = Pipeline::from_iter(0..20).max_in_flight(2);
    source.batch("rows", Batch::of(10)).run(|batch| batches.push(batch.len())).unwrap();
    assert_eq!(batches, [10, 10]);
}

/// Two steps on one worker are one stage, with the failures of either.
///
/// R36
#[test]
fn fused_steps_fail_as_one_stage() {
    let report = Pipeline::from_iter(["1", "x", "3"])
        .map("trim", str::trim)
        .fuse("parse", str::parse::<u32>)
        .fuse_map("double", |n| n * 2)
        .on_error(Policy::Collect)
        .run(drop)
        .unwrap();
    assert_eq!(report.errors()[0].stage(), "trim + parse + double");
    assert_eq!((report.delivered(), report.failed()), (2, 1));
    assert_adds_up(&report);
}

/// Whoever looks on sees each item, and changes none; a panic of it is one of the stage.
///
/// R40
#[test]
fn who_looks_on_changes_nothing() {
    let seen = Mutex::new(Vec::new());
    let mut output = Vec::new();
    let report = Pipeline::from_iter(0..50)
        .inspect("look", |n| {
            assert_ne!(*n, 7, "on purpose");
            seen.lock().unwrap().push(*n);
        })
        .concurrency(3)
        .on_error(Policy::Skip)
        .ordered(6)
        .run(|n| output.push(n))
        .unwrap();
    assert!(output.iter().copied().eq((0..50).filter(|n| *n != 7)));
    let mut seen = seen.into_inner().unwrap();
    seen.sort_unstable();
    assert_eq!(seen, output);
    assert_eq!(report.stages()[1].skipped(), 1);
}

/// Waits between attempts grow up to the longest, and differ, so that those who fail together do not try again together.
///
/// R42
#[test]
fn waits_between_attempts_grow_and_differ() {
    let (first, most) = (Duration::from_millis(8), Duration::from_millis(100));
    let backoff = Backoff::new(9, first, most);
    for attempt in [1, 2, 3, 4, 5, 40, u32::MAX] {
        let longest = first.saturating_mul(2_u32.saturating_pow(attempt - 1)).min(most);
        let waits: BTreeSet<_> = (0..50).map(|_| backoff.wait_after(attempt)).collect();
        assert!(waits.iter().all(|wait| (longest / 2..=longest).contains(wait)), "{waits:?}");
        assert!(waits.len() > 10, "{waits:?}");
    }
}

/// It remembers, so that it has one worker, and says so.
#[test]
fn a_step_with_a_memory_says_that_it_has_one_worker() {
    let batches = Pipeline::from_iter(0..9).batch("rows", Batch::of(3)).concurrency(4);
    let report = batches.run(drop).unwrap();
    assert_eq!(report.stages()[1].concurrency(), 1);
}
