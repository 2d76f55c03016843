//! Processes of one user and cgroup that use other rounding modes, taken together: a miner may split its work over
//! processes, or fork every few seconds, so that none lives long enough to be judged.

use crate::identify::cpu::rounding::Modes;

/// What is older is forgotten, when nothing new came for so long.
const FORGOTTEN_NS: u64 = 120_000_000_000;
/// Processes that are told apart.
const MEMBERS: usize = 64;

/// So many must have taken part, and none more than half: a program that rounds in every direction and another that writes
/// code of its own are no miner together.
const LEAST: usize = 4;

/// Counts of all of them.
#[derive(Debug, Default)]
pub(super) struct Pool {
    pub modes: Modes,
    pub members: Vec<Member>,
    pub since_ns: u64,
    last_ns: u64,
}

/// What a process brought.
#[derive(Clone, Copy, Debug)]
pub(super) struct Member {
    pid: u32,
    /// How often in another mode than to nearest.
    directed: u32,
    /// Code of RandomX's shape.
    jit: bool,
}

impl Pool {
    pub fn add(&mut self, pid: u32, now_ns: u64, more: &Modes) {
        if self.members.is_empty() || now_ns.saturating_sub(self.last_ns) > FORGOTTEN_NS {
            *self = Self { since_ns: now_ns, ..Self::default() };
        }
        self.last_ns = now_ns;
        for (sum, more) in self.modes.iter_mut().zip(more) {
            *sum = sum.saturating_add(*more);
        }
        let directed = more.iter().skip(1).sum::<u32>();
        if let Some(member) = self.members.iter_mut().find(|m| m.pid == pid) {
            member.directed = member.directed.saturating_add(directed);
        } else if self.members.len() < MEMBERS {
            self.members.push(Member { pid, directed, jit: false });
        }
    }

    /// The process has code of RandomX's shape.
    pub fn compiles(&mut self, pid: u32) {
        self.members.iter_mut().filter(|m| m.pid == pid).for_each(|m| m.jit = true);
    }

    /// How many have.
    pub fn compile(&self) -> usize {
        self.members.iter().filter(|m| m.jit).count()
    }

    /// Whether the counts are of many rather than of one.
    pub fn shared(&self) -> bool {
        let most = self.members.iter().map(|m| m.directed).max().unwrap_or(0);
        self.members.len() >= LEAST && 2 * most <= self.modes.iter().skip(1).sum::<u32>()
    }
}
