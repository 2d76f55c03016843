//! From a tag to an answer.

use super::{Blocks, Header};
use crate::abi::{
    policy::{LIST_STEPS_MAX, TAG_LIST, TAG_STEPS_SHIFT, TAG_VALUE, TAG_VERDICT_SHIFT, TAG_WITH_PORT, word},
    verdict::{Reason, Verdict},
};

/// What the policy says of a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Index of the rule that decided, 1 …
    pub rule: u32,
    /// Never [`Verdict::Allow`].
    pub verdict: Verdict,
    /// Which question decided.
    pub reason: Reason,
}

impl Answer {
    /// The answer of a direct tag; `None` for the empty tag and for a verdict this side does not know.
    #[inline(always)]
    pub(super) const fn of(tag: u32, reason: Reason) -> Option<Self> {
        if tag == 0 {
            return None;
        }
        let reason = if tag & TAG_WITH_PORT != 0 { Reason::AddressPort } else { reason };
        let verdict = match (tag >> TAG_VERDICT_SHIFT) & 7 {
            1 => Verdict::Alert,
            2 => Verdict::Deny,
            3 => Verdict::Kill,
            4 => Verdict::Isolate,
            _ => return None,
        };
        Some(Self { rule: tag & TAG_VALUE, verdict, reason })
    }
}

/// The first answer that stops, else the first answer.
#[inline(always)]
pub(super) fn first(earlier: Option<Answer>, later: Option<Answer>) -> Option<Answer> {
    match (earlier, later) {
        (Some(e), Some(l)) => Some(if !e.verdict.stops() && l.verdict.stops() { l } else { e }),
        (Some(e), None) => Some(e),
        (None, l) => l,
    }
}

/// The direct tag for this port: the tag itself, or the entry of its list; 0 if none.
#[inline(always)]
pub(super) fn direct<B: Blocks>(blocks: &B, header: &Header<'_>, tag: u32, port: u16) -> u32 {
    if tag & TAG_LIST == 0 { tag } else { in_list(blocks, header, tag, port) }
}

#[inline(always)]
fn in_list<B: Blocks>(blocks: &B, header: &Header<'_>, tag: u32, port: u16) -> u32 {
    // The list's blocks are a power of two, sorted by port: halve until one is left.
    let mut steps = (tag >> TAG_STEPS_SHIFT) & 15;
    let mut at = header.word(word::LISTS).wrapping_add(tag & TAG_VALUE);
    let mut _round = 0;
    while _round < LIST_STEPS_MAX {
        _round += 1;
        if steps == 0 {
            break;
        }
        steps -= 1;
        let middle = at.wrapping_add(1 << (steps & 15));
        let Some(b) = blocks.block(middle) else { return 0 };
        if b.word(0) & 0xffff <= port as u32 {
            at = middle;
        }
    }
    let Some(b) = blocks.block(at) else { return 0 };
    let mut found = 0;
    let mut i = 0;
    while i < 8 {
        let span = b.word(2 * i);
        // Disjoint spans: at most one holds the port, so "or" is "pick".
        if span & 0xffff <= port as u32 && port as u32 <= span >> 16 {
            found |= b.word(2 * i + 1);
        }
        i += 1;
    }
    found
}
