//! Ranges of 128-bit addresses, one a block.

use super::{CompileError, flatten::Step};
use miner_guard_common::abi::policy::{Block, RANGES_MAX, detail, range};

/// The section for sorted, disjoint ranges.
pub(super) fn section(steps: &[Step], what: &'static str) -> Result<Vec<Block>, CompileError> {
    if steps.len() > RANGES_MAX as usize {
        return Err(CompileError::TooManyRanges(steps.len(), what));
    }
    Ok(steps
        .iter()
        .map(|s| {
            let mut b = Block::ZERO;
            b.set_long(range::FIRST, (s.first >> 64) as u64);
            b.set_long(range::FIRST + 2, s.first as u64);
            b.set_long(range::LAST, (s.last >> 64) as u64);
            b.set_long(range::LAST + 2, s.last as u64);
            b.0[range::TAG as usize] = s.tag;
            b
        })
        .collect())
}

/// Says in the details where something is protected.
pub(super) fn mark_protected(details: &mut Block, steps: &[Step]) {
    const V4: u128 = 0xffff << 32;
    for s in steps {
        details.0[detail::PROTECTED as usize] = 1;
        let (first, last) = (s.first.max(V4), s.last.min(V4 | 0xffff_ffff));
        if first > last {
            continue; // IPv6 alone.
        }
        for part in (first as u32 >> 25)..=(last as u32 >> 25) {
            details.0[detail::PROTECTED4 as usize + (part >> 5) as usize] |= 1 << (part & 31);
        }
    }
}

/// Makes ranges disjoint: what two protect, the one that begins first (then the lower rule) protects.
pub(super) fn disjoint(ranges: &[(u128, u128, u32)]) -> Vec<Step> {
    let mut sorted: Vec<_> = ranges.iter().copied().filter(|(first, last, _)| first <= last).collect();
    sorted.sort_unstable_by_key(|&(first, _, rule)| (first, rule));
    let mut steps: Vec<Step> = Vec::with_capacity(sorted.len());
    for (mut first, last, rule) in sorted {
        if let Some(previous) = steps.last() {
            if previous.last >= last {
                continue;
            }
            first = first.max(previous.last + 1);
        }
        steps.push(Step { first, last, tag: rule });
    }
    steps
}
