//! Which rule wins, port by port, among all that list one key: decided here once, not in the kernel at every connect.

use super::{CompileError, Entry, Ports};
use miner_guard_common::abi::{
    policy::{Block, TAG_LIST, TAG_STEPS_SHIFT, TAG_VALUE, TAG_VERDICT_SHIFT, TAG_WITH_PORT},
    verdict::Verdict,
};
use std::collections::{BTreeSet, HashMap};

/// A rule that may decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    pub ports: Ports,
    pub rule: u32,
    /// 0 for the most specific key, more for each that encloses it.
    pub depth: u32,
}

/// Ports with one winner.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub ports: Ports,
    pub tag: u32,
}

/// Makes tags, and keeps the lists that tags point to.
pub(super) struct Outcomes<'a> {
    verdicts: &'a [Verdict],
    canary: Option<u32>,
    lists: Vec<Block>,
    /// A feed of `address:port` lines repeats the same few ports: one list serves them all.
    known: HashMap<Vec<Block>, u32>,
    single: HashMap<(Ports, u32), u32>,
}

impl<'a> Outcomes<'a> {
    pub fn new(verdicts: &'a [Verdict], canary: Option<u32>) -> Self {
        Self { verdicts, canary, lists: Vec::new(), known: HashMap::new(), single: HashMap::new() }
    }

    pub fn into_lists(self) -> Vec<Block> {
        self.lists
    }

    fn verdict(&self, rule: u32) -> Verdict {
        if self.canary == Some(rule) {
            return Verdict::Deny;
        }
        self.verdicts.get(rule as usize).copied().unwrap_or(Verdict::Allow)
    }

    fn direct(&self, c: &Candidate) -> u32 {
        let with_port = if c.ports == Ports::ANY { 0 } else { TAG_WITH_PORT };
        (self.verdict(c.rule) as u32) << TAG_VERDICT_SHIFT | with_port | c.rule
    }

    /// Puts candidates into the order of a verdict and drops those that can never win.
    pub fn rank(&self, candidates: &mut Vec<Candidate>) {
        candidates.retain(|c| self.verdict(c.rule) != Verdict::Allow);
        if candidates.len() > 1 {
            candidates.sort_by_key(|c| {
                let canary = self.canary != Some(c.rule);
                (canary, !self.verdict(c.rule).stops(), c.ports == Ports::ANY, c.depth, c.rule)
            });
            if let Some(all) = candidates.iter().position(|c| c.ports == Ports::ANY) {
                candidates.truncate(all + 1);
            }
        }
    }

    /// The winner for each port; spans are sorted, disjoint and not empty.
    pub fn spans(&self, candidates: &mut Vec<Candidate>) -> Vec<Span> {
        self.rank(candidates);
        let mut events: Vec<(u32, bool, usize)> = Vec::with_capacity(candidates.len() * 2);
        for (i, c) in candidates.iter().enumerate().filter(|(_, c)| c.ports.low <= c.ports.high) {
            events.push((u32::from(c.ports.low), true, i));
            events.push((u32::from(c.ports.high) + 1, false, i));
        }
        events.sort_unstable();
        let mut active = BTreeSet::new();
        let mut spans: Vec<Span> = Vec::new();
        let mut from = 0;
        for (at, begins, i) in events {
            if at > from
                && let Some(&winner) = active.first()
            {
                let ports = Ports { low: from as u16, high: (at - 1) as u16 };
                let tag = self.direct(&candidates[winner]);
                match spans.last_mut() {
                    Some(l) if l.tag == tag && u32::from(l.ports.high) + 1 == from => {
                        l.ports.high = ports.high
                    }
                    _ => spans.push(Span { ports, tag }),
                }
            }
            from = at;
            if begins {
                active.insert(i)
            } else {
                active.remove(&i)
            };
        }
        spans
    }

    /// The tag of a key with these candidates; 0 if none can win.
    pub fn tag(&mut self, candidates: &mut Vec<Candidate>) -> Result<u32, CompileError> {
        self.rank(candidates);
        match candidates.as_slice() {
            [] => Ok(0),
            [c, ..] if c.ports == Ports::ANY => Ok(self.direct(c)),
            &[c] => match self.single.get(&(c.ports, c.rule)) {
                Some(&tag) => Ok(tag),
                None => {
                    let tag = self.list(candidates)?;
                    self.single.insert((c.ports, c.rule), tag);
                    Ok(tag)
                }
            },
            _ => self.list(candidates),
        }
    }

    fn list(&mut self, candidates: &mut Vec<Candidate>) -> Result<u32, CompileError> {
        let spans = self.spans(candidates);
        let mut blocks: Vec<Block> = spans
            .chunks(8)
            .map(|spans| {
                // An unused entry repeats the last one's tag-less span, which can match but adds nothing.
                let mut b = Block::ZERO;
                for (i, s) in spans.iter().enumerate() {
                    b.0[2 * i] = u32::from(s.ports.low) | u32::from(s.ports.high) << 16;
                    b.0[2 * i + 1] = s.tag;
                }
                b
            })
            .collect();
        let Some(&last) = blocks.last() else { return Ok(0) };
        // The lookup halves: a power of two, and a copy of the last block is as good as the block.
        let len = blocks.len().next_power_of_two();
        blocks.resize(len, last);
        if let Some(&tag) = self.known.get(&blocks) {
            return Ok(tag);
        }
        let at = self.lists.len() as u32;
        if self.lists.len() + blocks.len() > TAG_VALUE as usize {
            return Err(CompileError::TooLarge("address-and-port"));
        }
        let tag = TAG_LIST | len.trailing_zeros() << TAG_STEPS_SHIFT | at;
        self.lists.extend_from_slice(&blocks);
        self.known.insert(blocks, tag);
        Ok(tag)
    }
}

/// One tag for each key, sorted by key. `extra` joins the entries.
pub(super) fn grouped<K: Copy + Ord>(
    entries: &[Entry<K>],
    extra: Option<Entry<K>>,
    outcomes: &mut Outcomes<'_>,
) -> Result<Vec<(K, u32)>, CompileError> {
    let own;
    let sorted = if extra.is_none() && entries.is_sorted_by_key(|e| (e.key, e.rule)) {
        entries
    } else {
        let mut v = entries.to_vec();
        v.extend(extra);
        v.sort_unstable();
        own = v;
        &own
    };
    let mut tags = Vec::with_capacity(sorted.len());
    let mut candidates = Vec::new();
    for same in sorted.chunk_by(|a, b| a.key == b.key) {
        candidates.clear();
        candidates.extend(same.iter().map(|e| Candidate { ports: e.ports, rule: e.rule, depth: 0 }));
        let tag = outcomes.tag(&mut candidates)?;
        if tag != 0 {
            tags.push((same[0].key, tag));
        }
    }
    Ok(tags)
}
