//! Pipelines: what goes through, what fails, how they end, and whether the accounts are right.

mod boxed;
mod bridge;
mod channels;
mod commits;
mod destructors;
mod ends;
mod failures;
mod flow;
mod hold_ups;
mod seen;
mod steps;
mod watch;

use aqueduct::pipeline::{PipelineError, Report};

/// Nothing is lost silently: stage by stage the numbers add up.
fn assert_adds_up(report: &Report) {
    let stages = report.stages();
    for stage in stages {
        let sum = stage.out() + stage.filtered() + stage.failed() + stage.cancelled();
        assert_eq!(stage.received() + stage.added(), sum, "{report:#?}");
        let failed = [stage.skipped(), stage.collected(), stage.dead_lettered(), stage.stopped()];
        assert_eq!(stage.failed(), failed.iter().sum(), "{report:#?}");
    }
    for pair in stages.windows(2) {
        assert_eq!(pair[0].out(), pair[1].received(), "{report:#?}");
    }
    let out = stages.last().expect("there is always a source").out();
    assert_eq!(out, report.delivered() + report.undelivered(), "{report:#?}");
}

fn assert_error_adds_up(error: &PipelineError) {
    assert_adds_up(error.report().expect("the run was begun"));
}
