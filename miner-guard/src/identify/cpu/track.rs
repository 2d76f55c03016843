//! Processes over time: which of them look like hashing, and since when.

mod judge;
mod looked;
mod pool;
mod process;

use std::{collections::BTreeMap, num::NonZeroUsize, time::Duration};

use lru::LruCache;
use miner_guard_common::abi::runtime::{ROUNDING, Rounding, Sample};

use super::look::Look;
use crate::identify::Evidence;
use pool::Pool;
use process::Process;

/// Processes that are remembered. The one that was not seen for longest is forgotten.
const PROCESSES: NonZeroUsize = NonZeroUsize::new(4096).unwrap();
/// Groups of processes that are judged together.
const POOLS: NonZeroUsize = NonZeroUsize::new(256).unwrap();
/// Samples, four a second, after which a thread is no longer new.
const SETTLED: u32 = 64;
/// Threads that are sampled more often at one time.
const CLOSE: usize = 64;

/// What a site may move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How long a mix of instructions must hold to be called hashing-heavy.
    pub sustain: Duration,
}

/// What the evidence amounts to. The case decides; without one this is what is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hint {
    /// A proof-of-work-like mix, held for long, that moves no data.
    HashingHeavy,
    /// RandomX.
    Mining,
}

/// What was found of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Process.
    pub pid: u32,
    /// A thread of it.
    pub tid: u32,
    /// Its real user.
    pub uid: u32,
    /// Its cgroup v2 id.
    pub cgroup: u64,
    /// `CLOCK_MONOTONIC`, nanoseconds.
    pub time_ns: u64,
    /// What it amounts to; `None` while it is less than a class.
    pub hint: Option<Hint>,
    /// Why. Sentences stay the same while what they say holds.
    pub evidence: Vec<Evidence>,
    /// From the first sign of this kind until now.
    pub after: Duration,
}

/// Judges processes by samples and rounding modes.
#[derive(Debug)]
pub struct Tracker {
    settings: Settings,
    processes: LruCache<u32, Process>,
    pools: LruCache<(u64, u32), Pool>,
    own: u32,
    /// When threads were last made to change on a CPU.
    visited: BTreeMap<u32, u64>,
}

impl Tracker {
    /// `own`: the process that is never judged.
    #[must_use]
    pub fn new(settings: Settings, own: u32) -> Self {
        Self {
            settings,
            processes: LruCache::new(PROCESSES),
            pools: LruCache::new(POOLS),
            own,
            visited: BTreeMap::new(),
        }
    }

    /// After a reload.
    pub const fn set(&mut self, settings: Settings) {
        self.settings = settings;
    }

    /// Takes a sample.
    pub fn sample(&mut self, s: &Sample) {
        if s.pid == self.own || s.pid == 0 {
            return;
        }
        let process = self.processes.get_or_insert_mut(s.pid, Process::new);
        process.seen(s);
        if s.flags & ROUNDING == 0 {
            let len = (s.len as usize).min(s.code.len());
            process.code(s.time_ns, s.ip, s.code.get(..len).unwrap_or_default());
        }
    }

    /// Takes the rounding modes of a process, counted since it was first seen in another than to nearest.
    pub fn modes(&mut self, pid: u32, r: &Rounding) {
        if pid == self.own || r.outside != 0 {
            return;
        }
        let process = self.processes.get_or_insert_mut(pid, Process::new);
        let more = process.modes(r);
        if more.iter().any(|n| *n > 0) {
            self.pools.get_or_insert_mut((r.cgroup, r.uid), Pool::default).add(pid, r.last_ns, &more);
        }
    }

    /// Judges what came since the last time; at most a few reads of `/proc` for each suspect.
    pub fn tick(&mut self, now_ns: u64, look: &dyn Look) -> Vec<Found> {
        let mut found = Vec::new();
        for (pid, process) in &mut self.processes {
            if !process.news {
                continue;
            }
            process.news = false;
            process.resolve(*pid, now_ns, look);
            let pool = self.pools.get_mut(&(process.cgroup, process.uid)).filter(|_| process.rounds());
            found.extend(judge::randomx(*pid, now_ns, process, pool, look));
            found.extend(judge::mix(*pid, now_ns, process, &self.settings, look));
        }
        found
    }

    /// Threads to sample more often now, and the CPUs on which to make threads change: those of suspects now, and those
    /// where anything ran lately and that were not visited for a while.
    pub fn closer(&mut self, now_ns: u64) -> Closer {
        const LATELY_NS: u64 = 2_000_000_000;
        let mut out = Closer::default();
        for (pid, p) in &self.processes {
            let close = p.close(now_ns);
            if close {
                out.processes.push(*pid);
                out.fresh |= p.fresh(now_ns);
            }
            for t in p.threads.iter().filter(|t| now_ns.saturating_sub(t.seen_ns) < LATELY_NS) {
                out.young |= t.samples < SETTLED;
                let visited = self.visited.get(&t.cpu).copied().unwrap_or(0);
                if close {
                    out.threads.push(t.tid);
                    out.suspects.push(t.cpu);
                } else if now_ns.saturating_sub(visited) >= between_visits(t.samples) {
                    out.busy.push(t.cpu);
                }
            }
        }
        out.threads.truncate(CLOSE);
        for cpus in [&mut out.suspects, &mut out.busy] {
            cpus.sort_unstable();
            cpus.dedup();
        }
        out.busy.retain(|c| !out.suspects.contains(c));
        self.visited.extend(out.suspects.iter().chain(&out.busy).map(|cpu| (*cpu, now_ns)));
        out
    }

    /// A process that is gone.
    pub fn forget(&mut self, pid: u32) {
        self.processes.pop(&pid);
    }
}

/// How long the CPU of a thread that is no suspect is left alone, nanoseconds: the longer, the more of it was seen, four
/// samples a second. What runs for long without a rounding mode of its own hardly ever takes to one, and a computation of
/// many hours is not to be disturbed for nothing.
const fn between_visits(samples: u32) -> u64 {
    const MS: u64 = 1_000_000;
    match samples {
        0..16 => 80 * MS,
        16..SETTLED => 240 * MS,
        _ => 980 * MS,
    }
}

/// Where to look more closely.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Closer {
    /// Suspects.
    pub processes: Vec<u32>,
    /// One of them has become one only just now.
    pub fresh: bool,
    /// A thread ran lately that has not run for long.
    pub young: bool,
    /// Threads of suspects.
    pub threads: Vec<u32>,
    /// CPUs on which they ran.
    pub suspects: Vec<u32>,
    /// Other CPUs that are in use.
    pub busy: Vec<u32>,
}

#[cfg(test)]
mod tests;
