//! Where and with what a run was made: without it a number says nothing.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::process::Command;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::{go, sys};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) cpu: String,
    /// CPUs that are online, and those of them that this process may use.
    pub(crate) cpus: usize,
    pub(crate) allowed_cpus: Vec<usize>,
    /// Whether the CPU says that a hypervisor runs it.
    pub(crate) virtual_machine: bool,
    pub(crate) kernel: String,
    /// What else wanted the CPUs in the minute before the run: the load average.
    pub(crate) load_before: String,
    pub(crate) rustc: String,
    pub(crate) rustflags: String,
    pub(crate) profile: String,
    pub(crate) commit: String,
    /// UTC.
    pub(crate) date: String,
    /// The measured crates that come from a registry, as Cargo.lock has them, and Go.
    pub(crate) peers: BTreeMap<String, String>,
}

const LOCK: &str = include_str!("../Cargo.lock");

impl Machine {
    /// This one, now. `candidates` may repeat and may name what is no crate.
    pub(crate) fn here(candidates: &[&str]) -> Self {
        let cpuinfo = read("/proc/cpuinfo");
        let locked = locked(LOCK);
        let version = |name: &str| match name {
            go::NAME => Some(go::VERSION.as_ref()?.trim_start_matches("go version ").to_owned()),
            _ => locked.get(name).cloned(),
        };
        let peers = candidates
            .iter()
            .map(|candidate| crate_of(candidate))
            .filter_map(|name| Some((name.to_string(), version(name)?)))
            .collect();
        Self {
            cpu: cpuinfo_field(&cpuinfo, "model name"),
            cpus: cpuinfo.lines().filter(|line| line.starts_with("processor")).count(),
            allowed_cpus: sys::allowed_cpus(),
            virtual_machine: cpuinfo_field(&cpuinfo, "flags").contains("hypervisor"),
            kernel: release(&read("/proc/sys/kernel/osrelease")),
            load_before: read("/proc/loadavg").split(' ').next().unwrap_or_default().into(),
            rustc: env!("BENCH_RUSTC").into(),
            rustflags: env!("BENCH_RUSTFLAGS").into(),
            profile: env!("BENCH_PROFILE").into(),
            commit: commit(),
            date: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
            peers,
        }
    }

    /// The version of what a candidate is made of, if it has one.
    pub(crate) fn version_of(&self, candidate: &str) -> Option<&str> {
        self.peers.get(crate_of(candidate)).map(String::as_str)
    }
}

/// Of a kernel's release the first two numbers: what is behind them names a build, as often as not somebody's own.
fn release(kernel: &str) -> String {
    kernel.trim().split('.').take(2).collect::<Vec<_>>().join(".")
}

/// What a candidate is made of, as a rule its name.
fn crate_of(candidate: &str) -> &str {
    match candidate {
        "crossbeam-select" => "crossbeam-channel",
        "crossfire-bridge" => "crossfire",
        "rayon-par-bridge" | "rayon-range" => "rayon",
        "tokio-blocking" => "tokio",
        name => name,
    }
}

/// The machine line.
impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {} CPUs", self.cpu, self.cpus)?;
        if self.allowed_cpus.len() != self.cpus {
            write!(f, " (this run may use {:?})", self.allowed_cpus)?;
        }
        if self.virtual_machine {
            write!(f, ", virtual machine")?;
        }
        write!(f, ", Linux {}, load before {}", self.kernel, self.load_before)?;
        write!(f, "; {}, profile {}", self.rustc, self.profile)?;
        if !self.rustflags.is_empty() {
            write!(f, ", RUSTFLAGS {}", self.rustflags)?;
        }
        write!(f, "; commit {}; {}", self.commit, self.date)?;
        for (at, (name, version)) in self.peers.iter().enumerate() {
            write!(f, "{} {name} {version}", if at == 0 { "; peers:" } else { "," })?;
        }
        Ok(())
    }
}

fn read(file: &str) -> String {
    fs::read_to_string(file).unwrap_or_default()
}

fn cpuinfo_field(cpuinfo: &str, name: &str) -> String {
    cpuinfo
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(key, _)| key.trim() == name)
        .map_or_else(|| format!("unknown {name}"), |(_, value)| value.trim().into())
}

/// The commit of this checkout, with a mark if files differ from it.
fn commit() -> String {
    Command::new("git")
        .args(["-C", env!("CARGO_MANIFEST_DIR")])
        .args(["describe", "--always", "--exclude=*", "--abbrev=12", "--dirty=+changes"])
        .output()
        .ok()
        .filter(|out| out.status.success())
        .and_then(|out| String::from_utf8(out.stdout).ok())
        .map_or_else(|| "unknown".into(), |text| text.trim().into())
}

/// Name to version (all versions, if there are several) of the packages from a registry.
fn locked(lock: &str) -> BTreeMap<String, String> {
    let mut packages = BTreeMap::<String, String>::new();
    for package in lock.split("[[package]]").filter(|package| package.contains("\nsource = ")) {
        let field = |name: &str| {
            let line = package.lines().find_map(|line| line.strip_prefix(name))?;
            Some(line.trim_start_matches(" = ").trim_matches('"').to_string())
        };
        if let (Some(name), Some(version)) = (field("name"), field("version")) {
            packages
                .entry(name)
                .and_modify(|all| *all = format!("{all} and {version}"))
                .or_insert(version);
        }
    }
    packages
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::family::{Family, is_ours};

    #[test]
    fn versions_come_from_the_lock_file() {
        let lock = r#"
version = 4

[[package]]
name = "ours"
version = "0.1.0"
dependencies = [
 "peer",
]

[[package]]
name = "peer"
version = "1.2.3"
source = "registry+https://example"
checksum = "00"
"#;
        assert_eq!(locked(lock), BTreeMap::from([("peer".into(), "1.2.3".into())]));
    }

    #[test]
    fn every_candidate_that_is_a_peer_has_a_version() {
        let locked = locked(LOCK);
        for cell in Family::all().into_iter().flat_map(Family::cells) {
            for candidate in cell.candidates {
                let name = candidate.name;
                let is_none = is_ours(name) || ["go", "machine", "std"].contains(&name);
                assert!(is_none || locked.contains_key(crate_of(name)), "{name}");
            }
        }
        let machine = Machine::here(&["rayon-range", "crossbeam-select", "aqueduct-fair"]);
        assert!(machine.peers.keys().eq(["crossbeam-channel", "rayon"]), "{:?}", machine.peers);
        assert_eq!(machine.version_of("rayon-par-bridge"), locked.get("rayon").map(String::as_str));
    }

    #[test]
    fn the_machine_line_names_what_a_reader_asks_for() {
        let machine = Machine::here(&["kanal", "kanal", "aqueduct", "no-crate"]);
        let line = machine.to_string();
        assert!(machine.cpus >= 1 && !machine.allowed_cpus.is_empty());
        assert_eq!(machine.peers.len(), 1, "{line}");
        for part in ["kanal ", "rustc ", "Linux ", "CPUs", "commit ", "20"] {
            assert!(line.contains(part), "{part} in {line}");
        }
        assert!(!line.contains('\n'));
    }
}
