//! What we want to reach, and in which runs it was.
//!
//! An aim says: in these workloads, ours takes at most so much of what the best of those peers takes, in the same run. It is reached
//! in a run that measures so, and in one that has not told ours from so much of theirs.

use std::path::PathBuf;

use crate::family::{OURS, is_ours};
use crate::go;
use crate::record::{self, Row};
use crate::report::{is_rust_peer, table};
use crate::stats::{median, short};

struct Aim {
    /// Of the workload's name: what it begins with, and what else is in it.
    family: &'static str,
    begins: &'static str,
    has: &'static [&'static str],
    lacks: &'static [&'static str],
    ours: &'static str,
    peers: Peers,
    limit: f64,
}

#[derive(Clone, Copy)]
enum Peers {
    /// Everybody in Rust.
    All,
    /// And Go.
    AllAndGo,
    These(&'static [&'static str]),
}

impl Peers {
    fn contain(self, candidate: &str) -> bool {
        match self {
            Self::All => is_rust_peer(candidate),
            Self::AllAndGo => !is_ours(candidate),
            Self::These(names) => names.contains(&candidate),
        }
    }

    fn name(self) -> String {
        match self {
            Self::All => "the best".into(),
            Self::AllAndGo => "the best, Go included".into(),
            Self::These([one]) => (*one).into(),
            Self::These(names) => format!("the best of {}", names.join(", ")),
        }
    }
}

const fn aim(family: &'static str, begins: &'static str, peers: Peers, limit: f64) -> Aim {
    Aim { family, begins, has: &[], lacks: &[], ours: OURS, peers, limit }
}

const LOCKED_RINGS: Peers = Peers::These(&["crossbeam-queue", "concurrent-queue"]);
const BY_HAND: Peers = Peers::These(&["crossbeam-channel", "crossfire", "kanal"]);
/// Of those the best, where nobody has a thread but the steps'.
const BY_HAND_AND_BRIDGED: Peers =
    Peers::These(&["crossbeam-channel", "crossfire", "crossfire-bridge", "kanal"]);
const RAYON: Peers = Peers::These(&["rayon-par-bridge"]);

/// Our pipelines whose workers share the source, and add up themselves.
const BRIDGE: &str = "aqueduct-bridge";

/// The table of README.md.
const AIMS: [Aim; 32] = [
    Aim { lacks: &["pair", "batch"], ..aim("queue", "", LOCKED_RINGS, 1.25) },
    Aim { lacks: &["pair", "batch"], ..aim("queue", "", Peers::These(&["lfqueue"]), 0.25) },
    Aim {
        has: &["pair"],
        lacks: &["batch"],
        ..aim("queue", "", Peers::These(&["crossbeam-queue"]), 2.0)
    },
    Aim { has: &["pair"], lacks: &["batch"], ..aim("queue", "", Peers::These(&["lfqueue"]), 0.4) },
    Aim { has: &["batch"], lacks: &["pair"], ..aim("queue", "", Peers::All, 0.4) },
    aim("spsc", "", Peers::These(&["rtrb"]), 1.0),
    Aim { lacks: &["batch"], ..aim("channel", "", Peers::All, 1.0) },
    aim("channel", "cap1/", Peers::These(&[go::NAME]), 2.0),
    aim("channel", "cap16/", Peers::These(&[go::NAME]), 2.0),
    Aim { has: &["batch"], ..aim("channel", "", Peers::All, 0.3) },
    aim("channel_async", "", Peers::AllAndGo, 1.0),
    aim("semaphore", "uncontended", Peers::All, 0.6),
    aim("semaphore", "4t2p", Peers::All, 1.0),
    aim("semaphore", "weighted", Peers::All, 1.0),
    aim("semaphore", "async", Peers::All, 1.0),
    aim("rwlock", "uncontended", Peers::All, 1.0),
    aim("rwlock", "storm/writer", Peers::All, 1.0),
    Aim { ours: "aqueduct-fair", ..aim("rwlock", "storm/writer/p50", Peers::All, 1.5) },
    Aim { ours: "aqueduct-fair", ..aim("rwlock", "storm/reader/p50", Peers::All, 1.5) },
    aim("context", "is-done", Peers::These(&["tokio-util"]), 0.15),
    aim("context", "child", Peers::These(&["tokio-util"]), 0.9),
    aim("context", "cancel", Peers::These(&["tokio-util"]), 0.9),
    aim("pool", "empty", Peers::These(&["rayon"]), 0.5),
    aim("pool", "", Peers::All, 1.0),
    aim("pipeline", "cheap/3x2", BY_HAND, 0.6),
    aim("pipeline", "heavy/3x2", Peers::AllAndGo, 1.0),
    aim("pipeline", "heavy/fused", Peers::AllAndGo, 1.0),
    aim("pipeline", "cheap/fused/unordered", RAYON, 1.0),
    Aim { ours: BRIDGE, ..aim("pipeline", "cheap/3x2", BY_HAND_AND_BRIDGED, 0.6) },
    Aim { ours: BRIDGE, ..aim("pipeline", "heavy/3x2", Peers::AllAndGo, 1.0) },
    Aim { ours: BRIDGE, ..aim("pipeline", "heavy/fused", Peers::AllAndGo, 1.0) },
    Aim { ours: BRIDGE, ..aim("pipeline", "cheap/fused/unordered", RAYON, 1.0) },
];

impl Aim {
    fn is_for(&self, row: &Row) -> bool {
        let workload = row.workload.as_str();
        row.family == self.family
            && row.candidate == self.ours
            && row.delivered.is_none()
            && workload.starts_with(self.begins)
            && self.has.iter().all(|part| workload.contains(part))
            && !self.lacks.iter().any(|part| workload.contains(part))
    }

    /// As it is said in a table.
    fn name(&self) -> String {
        let mut words = vec![self.family, self.begins];
        words.extend(self.has);
        words.retain(|word| !word.is_empty());
        let mut name = format!("`{}`", words.join(" "));
        if !self.lacks.is_empty() {
            name += &format!(" without {}", self.lacks.join(" and "));
        }
        if self.ours != OURS {
            name += &format!(", {}", self.ours);
        }
        name
    }

    /// Each workload that it is for, in each run: none where somebody did not take part.
    fn judge(&self, runs: &[Vec<Row>]) -> Vec<(String, Vec<Option<Verdict>>)> {
        let mine = runs[0].iter().filter(|row| self.is_for(row));
        let judge = |ours: &Row| {
            let verdicts = runs.iter().map(|run| self.verdict(run, ours)).collect();
            let world = if ours.pinned { ", pinned" } else { "" };
            (format!("{}{world}", ours.workload), verdicts)
        };
        mine.map(judge).collect()
    }

    fn verdict(&self, run: &[Row], like: &Row) -> Option<Verdict> {
        let cell = run.iter().filter(|row| {
            (&row.family, &row.workload, row.pinned) == (&like.family, &like.workload, like.pinned)
        });
        let ours = cell.clone().find(|row| row.candidate == self.ours)?;
        let peers = cell.filter(|row| self.peers.contain(&row.candidate));
        let best = record::best(peers)?;
        let ratio = ours.ns_per_op / best.ns_per_op;
        Some(Verdict {
            ratio,
            is_held: ratio <= self.limit || ours.is_about(self.limit, best),
            text: format!(
                "{ratio:.2} ({} / {} {})",
                short(ours.ns_per_op),
                short(best.ns_per_op),
                best.candidate
            ),
        })
    }
}

struct Verdict {
    ratio: f64,
    is_held: bool,
    /// The ratio, ours, and whose it is beside.
    text: String,
}

pub(crate) fn print(files: &[PathBuf]) -> Result<(), String> {
    let runs: Result<Vec<_>, _> = files.iter().map(|file| record::load_rows(file)).collect();
    print!("{}", markdown(&runs?));
    Ok(())
}

fn markdown(runs: &[Vec<Row>]) -> String {
    let mut lines = Vec::new();
    let mut open = Vec::new();
    for aim in &AIMS {
        let all = aim.judge(runs);
        let judged: Vec<_> =
            all.iter().filter(|(_, verdicts)| verdicts.iter().any(Option::is_some)).collect();
        if judged.is_empty() {
            continue;
        }
        let held = |verdicts: &[Option<Verdict>]| verdicts.iter().flatten().all(|v| v.is_held);
        let reached = judged.iter().filter(|(_, verdicts)| held(verdicts)).count();
        let ratios: Vec<f64> =
            judged.iter().flat_map(|(_, v)| v.iter().flatten().map(|v| v.ratio)).collect();
        lines.push(vec![
            aim.name(),
            format!("{} of {}", aim.limit, aim.peers.name()),
            format!("{reached} of {}", judged.len()),
            format!("{:.2}", median(&ratios)),
        ]);
        for (workload, verdicts) in judged.into_iter().filter(|(_, verdicts)| !held(verdicts)) {
            let mut line = vec![
                format!("`{} {workload}`", aim.family),
                format!("{} of {}", aim.limit, aim.peers.name()),
            ];
            line.extend(verdicts.iter().map(|verdict| match verdict {
                Some(verdict) if verdict.is_held => verdict.text.clone(),
                Some(verdict) => format!("**{}**", verdict.text),
                None => "–".into(),
            }));
            open.push(line);
        }
    }
    let mut text = "## What we want to reach\n\nOurs by the best of those peers, in workloads: in how many that is \
                    reached in every run, and the median of all ratios.\n\n"
        .to_string();
    table(
        &mut text,
        &["workloads", "at most", "reached", "median"].map(Into::into),
        lines.into_iter(),
    );
    if !open.is_empty() {
        text += "\nWhere it is not: the ratio in each run, and of which nanoseconds. Bold is over the aim by more than the noise that \
                 the run itself has seen.\n\n";
        let mut header = vec!["workload".to_string(), "at most".into()];
        header.extend((1..=runs.len()).map(|nth| format!("run {nth}")));
        table(&mut text, &header, open.into_iter());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::family::Family;
    use crate::record::tests::run;

    /// Ours takes 12, lfqueue 48: 0.25, where 0.4 is the aim.
    fn beside_lfqueue() -> Vec<Row> {
        let mut rows = run().rows;
        for (row, name) in rows.iter_mut().zip([OURS, "lfqueue", "crossbeam-queue"]) {
            row.candidate = name.into();
        }
        rows
    }

    #[test]
    fn an_aim_is_reached_in_every_run_or_in_none() {
        let rows = beside_lfqueue();
        let mut bad = rows.clone();
        bad[0].ns_per_op = 40.0;
        (bad[0].q1, bad[0].q3) = (39.0, 41.0);
        let text = markdown(&[rows.clone(), rows.clone()]);
        assert!(
            text.contains("| `queue pair` without batch | 0.4 of lfqueue | 1 of 1 | 0.25 |"),
            "{text}"
        );
        assert!(!text.contains("run 1"), "{text}");
        let text = markdown(&[rows, bad]);
        assert!(
            text.contains("| `queue pair` without batch | 0.4 of lfqueue | 0 of 1 | 0.54 |"),
            "{text}"
        );
        let open = "| `queue u64/cap64/pair` | 0.4 of lfqueue | 0.25 (12.0 / 48.0 lfqueue) | **0.83 (40.0 / 48.0 lfqueue)** |";
        assert!(text.contains(open), "{text}");
    }

    #[test]
    fn what_is_within_the_noise_of_the_limit_is_reached() {
        let mut rows = beside_lfqueue();
        rows[0].ns_per_op = 20.2;
        (rows[0].q1, rows[0].q3) = (18.0, 22.0);
        assert!(markdown(&[rows]).contains("| 0.4 of lfqueue | 1 of 1 | 0.42 |"));
    }

    /// An aim that is for no workload would be reached by nobody's doing.
    #[test]
    fn every_aim_is_for_some_workload_and_its_peers_are_there() {
        let template = run().rows[0].clone();
        for aim in &AIMS {
            let cells = Family::all().into_iter().flat_map(Family::cells);
            let rows: Vec<Row> = cells
                .filter(|cell| cell.family == aim.family)
                .flat_map(|cell| {
                    let names: Vec<_> = cell.candidates.iter().map(|c| c.name).collect();
                    let workloads = cell.workloads();
                    workloads.into_iter().flat_map(move |workload| {
                        names.clone().into_iter().map(move |name| (workload.clone(), name))
                    })
                })
                .map(|(workload, name)| Row {
                    family: aim.family.into(),
                    workload,
                    candidate: name.into(),
                    ..template.clone()
                })
                .collect();
            let judged = aim.judge(&[rows]);
            let has_peer = |(_, verdicts): &(String, Vec<Option<Verdict>>)| verdicts[0].is_some();
            let needs_go = matches!(aim.peers, Peers::These([go::NAME])) && go::VERSION.is_none();
            assert!(
                !judged.is_empty() && (needs_go || judged.iter().any(has_peer)),
                "{}",
                aim.name()
            );
        }
    }
}
