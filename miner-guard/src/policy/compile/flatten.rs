//! Nested prefixes become disjoint ranges, each with one outcome.

use super::{
    CompileError, Entry,
    outcome::{Candidate, Outcomes},
};

/// Addresses with one outcome, both ends in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub first: u128,
    pub last: u128,
    pub tag: u32,
}

struct Level {
    last: u128,
    tag: u32,
    candidates: Vec<Candidate>,
}

/// Disjoint, sorted ranges; neighbours with the same tag are one. `bits` is 32 or 128.
pub(super) fn flatten(
    prefixes: &[Entry<(u128, u8)>],
    bits: u32,
    outcomes: &mut Outcomes<'_>,
) -> Result<Vec<Step>, CompileError> {
    let mut sorted: Vec<(u128, u128, Candidate)> = prefixes
        .iter()
        .map(|e| {
            let (first, last) = ends(e.key.0, e.key.1, bits);
            (first, last, Candidate { ports: e.ports, rule: e.rule, depth: 0 })
        })
        .collect();
    // The enclosing prefix before the enclosed one.
    sorted.sort_unstable_by_key(|(first, last, c)| (*first, u128::MAX - *last, c.rule));

    let mut sweep = Sweep { steps: Vec::with_capacity(sorted.len()), stack: Vec::new(), at: Some(0) };
    for same in sorted.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1)) {
        let (first, last, _) = same[0];
        sweep.up_to(first);
        let mut candidates: Vec<Candidate> = same.iter().map(|(_, _, c)| *c).collect();
        if let Some(outer) = sweep.stack.last() {
            candidates.extend(outer.candidates.iter().map(|c| Candidate { depth: c.depth + 1, ..*c }));
        }
        let tag = outcomes.tag(&mut candidates)?;
        sweep.stack.push(Level { last, tag, candidates });
    }
    while sweep.pop() {}
    Ok(sweep.steps)
}

/// First and last address of a prefix; a length past the width is the width, host bits are ignored.
pub(super) fn ends(address: u128, len: u8, bits: u32) -> (u128, u128) {
    let host = bits - u32::from(len).min(bits);
    let mask = if host >= 128 { u128::MAX } else { (1 << host) - 1 };
    (address & !mask, address | mask)
}

struct Sweep {
    steps: Vec<Step>,
    stack: Vec<Level>,
    /// Next address without a step; `None` past the last address there is.
    at: Option<u128>,
}

impl Sweep {
    fn up_to(&mut self, first: u128) {
        while self.stack.last().is_some_and(|l| l.last < first) {
            self.pop();
        }
        if let (Some(top), Some(at)) = (self.stack.last(), self.at)
            && at < first
        {
            push(&mut self.steps, Step { first: at, last: first - 1, tag: top.tag });
        }
        self.at = Some(first);
    }

    fn pop(&mut self) -> bool {
        let Some(top) = self.stack.pop() else { return false };
        if let Some(at) = self.at
            && at <= top.last
        {
            push(&mut self.steps, Step { first: at, last: top.last, tag: top.tag });
            self.at = top.last.checked_add(1);
        }
        true
    }
}

fn push(steps: &mut Vec<Step>, step: Step) {
    if step.tag == 0 {
        return;
    }
    match steps.last_mut() {
        Some(l) if l.tag == step.tag && l.last.checked_add(1) == Some(step.first) => l.last = step.last,
        _ => steps.push(step),
    }
}
