//! A miner that comes back after it was killed: how often, and below whom.

use crate::event::case::Task;
use std::collections::{HashMap, VecDeque};

/// Within this time, milliseconds …
const WINDOW_MS: u64 = 60_000;
/// … more restarts than this mean that somebody brings it back.
const RESTARTS: usize = 3;
/// Cases that are watched at once.
const CASES: usize = 256;

#[derive(Debug, Default)]
struct Kills {
    /// When, and below whom.
    last: VecDeque<(u64, Vec<Task>)>,
    /// When it was last reported.
    told_ms: Option<u64>,
}

/// Kills of late, by case.
#[derive(Debug, Default)]
pub struct Respawns {
    cases: HashMap<String, Kills>,
}

/// Somebody brings a miner back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Respawn {
    /// Restarts within a minute.
    pub restarts: usize,
    /// The nearest process from which all of them descend; `None` if there is none but init.
    pub supervisor: Option<Task>,
}

impl Respawns {
    /// Counts a kill in a case. `above`: the ancestors of the killed process, the parent first. `Some` when it has come
    /// back more than three times in a minute; not more than once a minute.
    pub fn killed(&mut self, case: &str, above: &[Task], now_ms: u64) -> Option<Respawn> {
        if self.cases.len() >= CASES && !self.cases.contains_key(case) {
            let newest = |k: &Kills| k.last.back().map_or(0, |(at, _)| *at);
            let oldest = self.cases.iter().min_by_key(|(_, k)| newest(k)).map(|(id, _)| id.clone());
            oldest.map(|id| self.cases.remove(&id));
        }
        let kills = self.cases.entry(case.to_owned()).or_default();
        kills.last.push_back((now_ms, above.to_vec()));
        while kills.last.len() > RESTARTS + 2
            || kills.last.front().is_some_and(|(at, _)| now_ms.saturating_sub(*at) > WINDOW_MS)
        {
            kills.last.pop_front();
        }
        // The first start is no restart.
        let restarts = kills.last.len() - 1;
        let told = kills.told_ms.is_some_and(|at| now_ms.saturating_sub(at) <= WINDOW_MS);
        if restarts <= RESTARTS || told {
            return None;
        }
        kills.told_ms = Some(now_ms);
        let everyone = |t: &&Task| kills.last.iter().all(|(_, above)| above.contains(t));
        Some(Respawn { restarts, supervisor: above.iter().find(everyone).copied() })
    }

    /// Whether a miner of this case was killed within the last minute.
    #[must_use]
    pub fn came_back(&self, case: &str, now_ms: u64) -> bool {
        let newest = self.cases.get(case).and_then(|k| k.last.back());
        newest.is_some_and(|(at, _)| now_ms.saturating_sub(*at) <= WINDOW_MS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(pid: u32) -> Task {
        Task { pid, start: 1 }
    }

    #[test]
    fn more_than_three_restarts_in_a_minute_name_who_is_behind_them() {
        let mut r = Respawns::default();
        // A shell of its own for each start, all of them below 50.
        let mut kill = |n: u64, at| r.killed("a", &[task(100 + n as u32), task(50), task(7)], at);
        assert!((0..4).all(|n| kill(n, n * 1000).is_none()));
        assert_eq!(kill(4, 4000), Some(Respawn { restarts: 4, supervisor: Some(task(50)) }));
        assert_eq!(kill(5, 5000), None, "told already");
        assert!(r.came_back("a", 6000) && !r.came_back("b", 6000) && !r.came_back("a", 70_000));
    }

    #[test]
    fn slow_restarts_and_those_of_other_cases_are_not_counted() {
        let mut r = Respawns::default();
        assert!((0..20).all(|n| r.killed("a", &[task(50)], n * 20_001).is_none()));
        assert!((0..20).all(|n| r.killed(&format!("b{n}"), &[task(50)], 500_000).is_none()));
    }

    #[test]
    fn without_a_common_ancestor_none_is_named_and_memory_is_bounded() {
        let mut r = Respawns::default();
        let last = (0..5).map(|n| r.killed("a", &[task(n)], 0)).last().unwrap();
        assert_eq!(last, Some(Respawn { restarts: 4, supervisor: None }));
        for n in 0..2 * CASES {
            let _ = r.killed(&n.to_string(), &[], 10);
        }
        assert_eq!(r.cases.len(), CASES);
    }
}
