//! What is remembered of one process.

use std::{collections::VecDeque, time::Duration};

use miner_guard_common::abi::runtime::{Rounding, Sample};

use crate::identify::cpu::{
    code::{self, Counts},
    look::{Look, Manners, Memory, Usage},
    mix,
    rounding::Modes,
};

use super::looked::Looked;

/// Samples of a window: about four seconds of one thread, and of 10 to 200 none judges better than another.
pub(super) const WINDOW: u32 = 16;
/// Samples after which a mix is worth a closer look.
const HINT: u32 = 4;
/// Newest samples, with their addresses.
const RECENT: usize = 48;
/// Stretches of time that are remembered, the newest, each at least a 32nd of what a mix must hold: a process that runs on many
/// processors brings windows by the dozen a second, one that sleeps mostly one a minute.
const STRETCHES: usize = 64;
const STRETCHES_HELD: u64 = 32;
/// Threads that are remembered.
const THREADS: usize = 64;
const SECOND: u64 = 1_000_000_000;
/// A suspect is sampled more often until so many samples came, a second of one thread that is never held up, or for so
/// long; then it is left alone for a while.
const CLOSE: u32 = 112;
const CLOSE_NS: u64 = 120 * SECOND;
/// At first; each time it is twice as long.
const PAUSE_NS: u64 = 4 * SECOND;
const LONGEST_PAUSE_NS: u64 = 64 * SECOND;
/// At first nearly nothing is left to wait for, as most suspects are settled then.
const FIRST_NS: u64 = 3 * SECOND;
/// Where code lies is looked at anew after so long.
const STALE: Duration = Duration::from_secs(1);
/// The signs of shape at first, and in the end: they hardly change.
const SHAPED: Duration = Duration::from_secs(4);
const SHAPED_LONGEST: Duration = Duration::from_secs(64);

/// A sample with its address.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    ip: u64,
    pub counts: Counts,
    /// Whether it lies in memory without a file; not known yet.
    pub made: Option<bool>,
}

/// A thread, and where it was last seen.
#[derive(Clone, Copy, Debug)]
pub(super) struct Thread {
    pub tid: u32,
    pub cpu: u32,
    pub seen_ns: u64,
    /// How often.
    pub samples: u32,
}

/// A window that was judged.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    pub time_ns: u64,
    /// Looks like proof of work, and moved no data.
    pub flagged: bool,
    /// Only with the signs of [`crate::identify::cpu::shape`].
    pub by_shape: bool,
}

/// The windows of some stretch of time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stretch {
    /// Time of the first one.
    pub from_ns: u64,
    pub windows: u32,
    pub flagged: u32,
    pub by_shape: u32,
}

#[derive(Debug)]
pub(super) struct Process {
    pub uid: u32,
    pub cgroup: u64,
    pub threads: Vec<Thread>,
    /// Something came since it was last judged.
    pub news: bool,
    pub recent: VecDeque<Seen>,
    /// The window that fills.
    pub filling: Counts,
    /// A full one that is to be judged, and when it was full.
    pub full: Option<(u64, Counts)>,
    pub stretches: VecDeque<Stretch>,
    /// When the newest window was full.
    pub judged_ns: u64,
    /// When data was last measured.
    pub usage: Option<Usage>,
    pub modes: Modes,
    /// When another mode than to nearest was first seen.
    pub modes_since: Option<u64>,
    /// The first sample that looked like RandomX's code.
    pub jit_since: Option<u64>,
    memory: Looked<Memory>,
    shape: Looked<(Memory, Manners)>,
    /// Samples that the closer look is still to bring.
    close_left: u32,
    close_until: u64,
    rest_until: u64,
    pause: u64,
    /// What was told, so that it is told once.
    pub told: Vec<&'static str>,
}

impl Process {
    pub fn new() -> Self {
        Self {
            uid: 0,
            cgroup: 0,
            threads: Vec::new(),
            news: false,
            recent: VecDeque::new(),
            filling: Counts::default(),
            full: None,
            stretches: VecDeque::new(),
            judged_ns: 0,
            usage: None,
            modes: Modes::default(),
            modes_since: None,
            jit_since: None,
            memory: Looked::never(STALE, STALE),
            shape: Looked::never(SHAPED, SHAPED_LONGEST),
            close_left: 0,
            close_until: 0,
            rest_until: 0,
            pause: PAUSE_NS,
            told: Vec::new(),
        }
    }

    pub fn seen(&mut self, s: &Sample) {
        (self.uid, self.cgroup, self.news) = (s.uid, s.cgroup, true);
        if let Some(t) = self.threads.iter_mut().find(|t| t.tid == s.tid) {
            *t = Thread { cpu: s.cpu, seen_ns: s.time_ns, samples: t.samples.saturating_add(1), ..*t };
        } else {
            if self.threads.len() >= THREADS {
                self.threads.remove(0);
            }
            self.threads.push(Thread { tid: s.tid, cpu: s.cpu, seen_ns: s.time_ns, samples: 1 });
        }
    }

    pub fn code(&mut self, time_ns: u64, ip: u64, bytes: &[u8]) {
        let counts = code::read(bytes);
        if counts.all == 0 {
            return;
        }
        if self.close_left > 0 {
            self.close_left -= 1;
            if self.close_left == 0 {
                self.rest(time_ns);
            }
        }
        self.filling += counts;
        if self.filling.samples >= WINDOW {
            self.full = Some((time_ns, std::mem::take(&mut self.filling)));
        }
        if self.recent.len() >= RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(Seen { ip, counts, made: None });
        let hashes = self.filling.samples >= HINT && mix::log_odds(&mix::features(&self.filling)) > 0.0;
        if hashes || counts.jit_like() {
            self.suspect(time_ns);
        }
    }

    /// Takes counts; gives what came since the last time.
    pub fn modes(&mut self, r: &Rounding) -> Modes {
        let mut more = Modes::default();
        for ((more, new), old) in more.iter_mut().zip(r.counts).zip(self.modes) {
            // Fewer than before: the kernel's table had to let the process go, and counts anew.
            *more = if new >= old { new - old } else { new };
        }
        for (sum, more) in self.modes.iter_mut().zip(more) {
            *sum = sum.saturating_add(more);
        }
        if more.iter().any(|n| *n > 0) {
            (self.uid, self.cgroup, self.news) = (r.uid, r.cgroup, true);
            self.modes_since.get_or_insert(r.last_ns);
            self.suspect(r.last_ns);
        }
        more
    }

    /// It was seen in another rounding mode than to nearest.
    pub const fn rounds(&self) -> bool {
        self.modes_since.is_some()
    }

    fn suspect(&mut self, now_ns: u64) {
        if self.told.contains(&"mining") {
            self.close_left = 0;
            return;
        }
        if self.close_left > 0 && now_ns >= self.close_until {
            self.close_left = 0;
            self.rest(self.close_until);
        }
        if self.close_left == 0 && now_ns >= self.rest_until {
            (self.close_left, self.close_until) = (CLOSE, now_ns + CLOSE_NS);
        }
    }

    const fn rest(&mut self, from_ns: u64) {
        self.rest_until = from_ns + self.pause;
        self.pause = if self.pause >= LONGEST_PAUSE_NS { LONGEST_PAUSE_NS } else { 2 * self.pause };
    }

    /// Whether to look more closely now.
    pub const fn close(&self, now_ns: u64) -> bool {
        self.close_left > 0 && now_ns < self.close_until
    }

    /// Whether that began just now.
    pub const fn fresh(&self, now_ns: u64) -> bool {
        self.close(now_ns) && self.close_until - now_ns > CLOSE_NS - FIRST_NS
    }

    /// Its memory, read not long ago.
    pub fn memory(&mut self, pid: u32, now_ns: u64, look: &dyn Look) -> Option<&Memory> {
        self.memory.get(now_ns, || look.memory(pid))
    }

    /// Its memory and manners, for the signs of its shape.
    pub fn shape(&mut self, pid: u32, now_ns: u64, look: &dyn Look) -> Option<&(Memory, Manners)> {
        let memory = &mut self.memory;
        self.shape.get(now_ns, || memory.get(now_ns, || look.memory(pid)).cloned().zip(look.manners(pid)))
    }

    /// Finds out where the newest samples lie, if that matters.
    pub fn resolve(&mut self, pid: u32, now_ns: u64, look: &dyn Look) {
        let jit_like = self.recent.iter().filter(|s| s.counts.jit_like()).count();
        if !self.rounds() && jit_like < 2 || self.recent.iter().all(|s| s.made.is_some()) {
            return;
        }
        let Some(memory) = self.memory(pid, now_ns, look).cloned() else { return };
        for s in self.recent.iter_mut().filter(|s| s.made.is_none()) {
            s.made = Some(memory.made(s.ip));
        }
        if self.recent.iter().any(Seen::is_jit) {
            self.jit_since.get_or_insert(now_ns);
        }
    }

    /// A window was judged, of a mix that must hold for `sustain_ns`.
    pub fn judged(&mut self, window: Window, sustain_ns: u64) {
        let Window { time_ns, flagged, by_shape } = window;
        self.judged_ns = time_ns;
        let length = sustain_ns / STRETCHES_HELD;
        if self.stretches.back().is_none_or(|s| time_ns.saturating_sub(s.from_ns) >= length) {
            if self.stretches.len() >= STRETCHES {
                self.stretches.pop_front();
            }
            self.stretches.push_back(Stretch { from_ns: time_ns, windows: 0, flagged: 0, by_shape: 0 });
        }
        if let Some(s) = self.stretches.back_mut() {
            s.windows = s.windows.saturating_add(1);
            s.flagged = s.flagged.saturating_add(u32::from(flagged));
            s.by_shape = s.by_shape.saturating_add(u32::from(flagged && by_shape));
        }
    }

    /// True the first time.
    pub fn tell(&mut self, what: &'static str) -> bool {
        let new = !self.told.contains(&what);
        if new {
            self.told.push(what);
        }
        new
    }
}

impl Seen {
    /// Code of RandomX's shape in memory without a file.
    pub fn is_jit(&self) -> bool {
        self.made == Some(true) && self.counts.jit_like()
    }
}
