//! Processes of one user and cgroup that use other rounding modes, taken together: a miner may split its work over
//! processes, or fork every few seconds, so that none lives long enough to be judged.

use crate::identify::cpu::rounding::Modes;

/// What is older is forgotten, when nothing new came for so long.
const FORGOTTEN_NS: u64 = 120_000_000_000;
/// Processes that are told apart.
const MEMBERS: usize = 64;

/// Counts of all of them.
#[derive(Debug, Default)]
pub(super) struct Pool {
    pub modes: Modes,
    pub members: Vec<u32>,
    pub since_ns: u64,
    last_ns: u64,
    /// Samples of RandomX's shape among theirs.
    pub jit: u32,
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
        if !self.members.contains(&pid) && self.members.len() < MEMBERS {
            self.members.push(pid);
        }
    }
}
