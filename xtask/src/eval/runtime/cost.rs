//! What watching costs, counted by the kernel itself: time and calls of each program, while the loads ran.
//!
//! Differences of wall time say nothing on a machine that does other things; what a call takes, and how many calls there
//! are, do.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};

use crate::shell;

const SWITCH: &str = "/proc/sys/kernel/bpf_stats_enabled";

/// The kernel counts while this lives.
pub struct Counting(String);

impl Counting {
    /// Begins.
    pub fn begin() -> Result<Self> {
        let before = fs::read_to_string(SWITCH).with_context(|| format!("cannot read {SWITCH}"))?;
        fs::write(SWITCH, "1").with_context(|| format!("cannot write {SWITCH}"))?;
        Ok(Self(before))
    }
}

impl Drop for Counting {
    fn drop(&mut self) {
        if let Err(error) = fs::write(SWITCH, self.0.trim()) {
            eprintln!("cannot put {SWITCH} back: {error}");
        }
    }
}

/// Nanoseconds and calls of each kind of program that the guard holds: only those that watch what runs.
fn programs(pid: u32) -> Result<BTreeMap<&'static str, (u64, u64)>> {
    let mut out = BTreeMap::new();
    for entry in fs::read_dir(format!("/proc/{pid}/fdinfo"))? {
        let text = fs::read_to_string(entry?.path()).unwrap_or_default();
        let value = |name: &str| {
            text.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(':')?.trim().parse::<u64>().ok())
        };
        let (Some(kind), Some(ns), Some(calls)) =
            (value("prog_type"), value("run_time_ns"), value("run_cnt"))
        else {
            continue;
        };
        const PERF_EVENT: u64 = 7;
        const RAW_TRACEPOINT: u64 = 17;
        match kind {
            PERF_EVENT => drop(out.insert("sample", (ns, calls))),
            RAW_TRACEPOINT => drop(out.insert("fpu", (ns, calls))),
            _ => {}
        }
    }
    Ok(out)
}

/// Processor time of a process's threads, by the scheduler's own clock.
fn ran(pid: u32) -> Result<Duration> {
    let mut sum = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        let text = fs::read_to_string(task?.path().join("schedstat")).unwrap_or_default();
        sum += text.split(' ').next().and_then(|n| n.parse::<u64>().ok()).unwrap_or(0);
    }
    Ok(Duration::from_nanos(sum))
}

/// The section of the page: a storm of context switches, then what was counted during it and during a quiet time.
pub fn section(guard: u32, loads: &Path) -> Result<String> {
    let mut out = String::from(
        "\n## Cost\n\nCounted by the kernel (`bpf_stats_enabled`, whose own clock reads are in the figures). *Share* is of one \
         CPU. `fpu` runs at each context switch of a user thread anywhere on the host, `sample` about four times a second and CPU.\n\n\
         | while | fpu, calls/s | ns a call | share | sample, calls/s | ns a call | share | daemon, share |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    let mut storm_line = String::new();
    for storm in [false, true] {
        let (before, cpu, start) = (programs(guard)?, ran(guard)?, Instant::now());
        if storm {
            let mut command = Command::new(loads);
            storm_line =
                shell::capture(command.args(["switch-storm", "--seconds", "8"]).stdin(Stdio::null()))?;
        } else {
            std::thread::sleep(Duration::from_secs(8));
        }
        let (after, cpu, seconds) = (programs(guard)?, ran(guard)? - cpu, start.elapsed().as_secs_f64());
        let mut row =
            format!("| {} |", if storm { "a storm of context switches" } else { "the loads are over" });
        for name in ["fpu", "sample"] {
            let of = |m: &BTreeMap<&str, (u64, u64)>| m.get(name).copied().unwrap_or_default();
            let (ns, calls) = (of(&after).0 - of(&before).0, of(&after).1 - of(&before).1);
            let _ = write!(
                row,
                " {:.0} | {:.0} | {:.3} % |",
                calls as f64 / seconds,
                ns as f64 / calls.max(1) as f64,
                ns as f64 / seconds / 1e7,
            );
        }
        let _ = writeln!(out, "{row} {:.3} % |", cpu.as_secs_f64() / seconds * 100.0);
    }
    let turns = storm_line.lines().find_map(|l| l.strip_prefix("turns ")?.parse::<f64>().ok()).unwrap_or(0.0);
    let _ = writeln!(
        out,
        "\nThe storm: {:.0} switches a second through two pipes (two a turn).",
        turns * 2.0 / 8.0
    );
    Ok(out)
}
