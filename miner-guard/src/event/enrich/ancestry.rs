//! Who started the process, and who started that.

use super::{
    exe,
    proc_root::ProcRoot,
    stat::{self, Stat},
};
use crate::event::{
    clock::Clock,
    model::{ProcessRef, lossy},
};

/// Ancestors that an event tells.
pub const DEEPEST: usize = 8;

/// Clock ticks → nanoseconds.
#[derive(Clone, Copy, Debug)]
pub struct Ticks {
    /// Ticks a second.
    pub per_second: u64,
}

impl Ticks {
    /// Of this system.
    #[must_use]
    pub fn of_system() -> Self {
        Self { per_second: rustix::param::clock_ticks_per_second().max(1) }
    }

    /// Nanoseconds of so many ticks.
    #[must_use]
    pub fn ns(self, ticks: u64) -> u64 {
        let ns = u128::from(ticks) * 1_000_000_000 / u128::from(self.per_second.max(1));
        u64::try_from(ns).unwrap_or(u64::MAX)
    }
}

/// Reads `/proc/PID/stat`.
#[must_use]
pub fn stat_of(proc: &ProcRoot, pid: u32) -> Option<Stat> {
    stat::parse(&proc.read(pid, "stat", stat::LIMIT)?)
}

/// The ancestors, the parent first. It ends where a parent is younger than its child: that number was given to
/// another process, which is nobody's ancestor here.
#[must_use]
pub fn walk(proc: &ProcRoot, parent: u32, child_start: u64, ticks: Ticks, clock: &Clock) -> Vec<ProcessRef> {
    let mut out: Vec<ProcessRef> = Vec::new();
    let (mut pid, mut younger) = (parent, child_start);
    // A chain that closes on itself can only come from a /proc that changes while it is read.
    while pid != 0 && out.len() < DEEPEST && out.iter().all(|a| a.pid != pid) {
        let Some(stat) = stat_of(proc, pid) else {
            out.push(ProcessRef { pid, ..ProcessRef::default() });
            break;
        };
        if stat.start_ticks > younger {
            break;
        }
        let exe = proc.link(pid, "exe").map(|(target, unlinked)| exe::parse(&target, unlinked).path);
        out.push(ProcessRef {
            pid,
            name: Some(lossy(&stat.comm)),
            executable: exe,
            start: Some(clock.wall_of_boottime(ticks.ns(stat.start_ticks))),
        });
        (pid, younger) = (stat.ppid, stat.start_ticks);
    }
    out
}
