//! A flood becomes a few events and exact counts, so that it cannot drown the event of another process.
//!
//! Three sieves, each finer than the next:
//!
//! | sieve | key | lets through |
//! |---|---|---|
//! | same | process, rule, destination (or file) | the first at once, then one a second with its count |
//! | process | process (for an exec its parent: a loop of short children is one flood) | a burst, then a few a second |
//! | crowd | cgroup, user, rule | a larger burst, then some a second: against a flood of processes |
//!
//! What a sieve holds back is counted there and told by [`Aggregator::tick`]; nothing is forgotten: the sum of
//! all events told, of their `suppressed` and of [`Aggregator::take_lost`] is the number of events that came in.
//! Memory is bounded, and so is the work for a record: at most three table look-ups. Time is given by the caller.

mod sieve;

use super::{decode::Record, model::Scope};
use miner_guard_common::abi::{
    connect::Op,
    file::FileId,
    packet::Subject,
    verdict::{Reason, Verdict},
};
use sieve::{Rate, Sieve};
use std::net::SocketAddr;

/// Time within which equal events are counted together, nanoseconds.
pub const WINDOW_NS: u64 = 1_000_000_000;

/// Destinations (or files) remembered, over all processes.
const SAME: usize = 2048;
const PROCESSES: usize = 512;
const CROWDS: usize = 128;
/// A miner tries a handful of pools; a scan tries thousands.
const PROCESS_RATE: Rate = Rate { burst: 32, per_second: 16 };
const CROWD_RATE: Rate = Rate { burst: 256, per_second: 64 };

/// A record worth telling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Emission {
    /// The record.
    pub record: Record,
    /// Events like it that are not told, those counted by the kernel included.
    pub suppressed: u64,
    /// What "like it" means.
    pub scope: Scope,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Same {
    process: u32,
    uid: u32,
    rule: u32,
    verdict: Verdict,
    reason: Reason,
    enforced: bool,
    what: What,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum What {
    To(SocketAddr, u8, Op),
    /// Where the packet goes matters where nothing else does: a name is asked of several resolvers at once.
    Sent(Subject, Option<SocketAddr>, Vec<u8>),
    File(FileId),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Crowd {
    cgroup: u64,
    uid: u32,
    rule: u32,
}

/// The process that a flood is reckoned to.
fn process(r: &Record) -> u32 {
    match r {
        Record::Connect(c) => c.head.pid,
        Record::Exec(e) => e.ppid,
        Record::Packet(p) => p.head.pid,
    }
}

fn same(r: &Record) -> Same {
    let h = r.head();
    let what = match r {
        Record::Connect(c) => What::To(c.destination, c.protocol, c.op),
        Record::Exec(e) => What::File(e.file),
        Record::Packet(p) => {
            What::Sent(p.subject, p.name.is_empty().then_some(p.destination), p.name.clone())
        }
    };
    Same {
        process: process(r),
        uid: h.uid,
        rule: h.rule,
        verdict: h.verdict,
        reason: h.reason,
        enforced: h.enforced,
        what,
    }
}

fn crowd(r: &Record) -> Crowd {
    let h = r.head();
    Crowd { cgroup: h.cgroup, uid: h.uid, rule: h.rule }
}

/// Events that a record stands for: itself and those that the kernel counted into it.
fn weight(r: &Record) -> u64 {
    1 + u64::from(r.head().suppressed)
}

/// Decides what is told now, later, or only counted.
#[derive(Debug)]
pub struct Aggregator {
    same: Sieve<Same>,
    process: Sieve<u32>,
    crowd: Sieve<Crowd>,
    held: u64,
    lost: u64,
}

impl Default for Aggregator {
    fn default() -> Self {
        Self {
            same: Sieve::new(SAME, Rate { burst: 1, per_second: 1 }),
            process: Sieve::new(PROCESSES, PROCESS_RATE),
            crowd: Sieve::new(CROWDS, CROWD_RATE),
            held: 0,
            lost: 0,
        }
    }
}

impl Aggregator {
    /// Takes a record at `now_ns` (`CLOCK_MONOTONIC`). `Some`: tell it now. `None`: it was counted.
    ///
    /// An exec whose file is to be identified goes to the identifier in any case; this decides only what is told.
    pub fn offer(&mut self, record: Record, now_ns: u64) -> Option<Emission> {
        let key = same(&record);
        let weight = weight(&record);
        if let Some(slot) = self.same.get(&key)
            && !slot.due(now_ns)
        {
            slot.hold(record, weight);
            self.held += weight;
            return None;
        }
        let Some(record) = self.admit(record, weight, now_ns) else {
            self.held += weight;
            return None;
        };
        let (slot, evicted) = self.same.slot(key, now_ns);
        let before = slot.tell(now_ns);
        if let Some((record, held)) = evicted {
            self.fold_into_process(record, held, now_ns);
        }
        self.held = self.held.saturating_sub(before);
        Some(Emission { record, suppressed: before + weight - 1, scope: Scope::Same })
    }

    /// What is due of the counted: call it about four times a second while [`Self::holds`] anything.
    pub fn tick(&mut self, now_ns: u64) -> Vec<Emission> {
        let mut out = Vec::new();
        for (record, held) in self.same.take_due(now_ns) {
            if let Some(record) = self.admit(record, held, now_ns) {
                out.push((record, held, Scope::Same));
            }
        }
        for (record, held) in self.process.take_due(now_ns) {
            let (slot, evicted) = self.crowd.slot(crowd(&record), now_ns);
            if slot.spend(now_ns, CROWD_RATE) {
                out.push((record, held, Scope::Process));
            } else {
                slot.hold(record, held);
            }
            self.lose(evicted);
        }
        for (record, held) in self.crowd.take_due(now_ns) {
            out.push((record, held, Scope::Crowd));
        }
        self.told(out)
    }

    /// Everything that is still held, whatever the budgets: at the end.
    pub fn drain(&mut self) -> Vec<Emission> {
        let mut out = Vec::new();
        out.extend(self.same.take_all().map(|(record, held)| (record, held, Scope::Same)));
        out.extend(self.process.take_all().map(|(record, held)| (record, held, Scope::Process)));
        out.extend(self.crowd.take_all().map(|(record, held)| (record, held, Scope::Crowd)));
        self.told(out)
    }

    fn told(&mut self, out: Vec<(Record, u64, Scope)>) -> Vec<Emission> {
        let mut emissions = Vec::with_capacity(out.len());
        for (record, held, scope) in out {
            self.held = self.held.saturating_sub(held);
            emissions.push(Emission { record, suppressed: held.saturating_sub(1), scope });
        }
        emissions
    }

    /// Number of events that are counted and not yet told.
    #[must_use]
    pub const fn holds(&self) -> u64 {
        self.held
    }

    /// Events whose count had to be given up because too many crowds were at it, since the last call: for a
    /// loss event.
    pub const fn take_lost(&mut self) -> u64 {
        std::mem::replace(&mut self.lost, 0)
    }

    /// Asks the process's and the crowd's budget; gives the record back if both allow, else holds it there.
    fn admit(&mut self, record: Record, weight: u64, now_ns: u64) -> Option<Record> {
        let (slot, evicted) = self.process.slot(process(&record), now_ns);
        let allowed = slot.spend(now_ns, PROCESS_RATE);
        let record = if allowed {
            Some(record)
        } else {
            slot.hold(record, weight);
            None
        };
        if let Some((old, held)) = evicted {
            self.fold_into_crowd(old, held, now_ns);
        }
        let record = record?;
        let (slot, evicted) = self.crowd.slot(crowd(&record), now_ns);
        let allowed = slot.spend(now_ns, CROWD_RATE);
        let record = if allowed {
            Some(record)
        } else {
            slot.hold(record, weight);
            None
        };
        self.lose(evicted);
        record
    }

    fn fold_into_process(&mut self, record: Record, held: u64, now_ns: u64) {
        let (slot, evicted) = self.process.slot(process(&record), now_ns);
        slot.hold(record, held);
        if let Some((old, held)) = evicted {
            self.fold_into_crowd(old, held, now_ns);
        }
    }

    fn fold_into_crowd(&mut self, record: Record, held: u64, now_ns: u64) {
        let (slot, evicted) = self.crowd.slot(crowd(&record), now_ns);
        slot.hold(record, held);
        self.lose(evicted);
    }

    fn lose(&mut self, evicted: Option<(Record, u64)>) {
        if let Some((_, held)) = evicted {
            self.held = self.held.saturating_sub(held);
            self.lost += held;
        }
    }
}

#[cfg(test)]
mod tests;
