//! How much of the address space a rule covers, and whether it covers what must not be denied.

use crate::policy::{indicator::What, protect::Protected};

/// Most IPv4 addresses that a rule may list: 1/256 of them.
const MOST4: u128 = 1 << 24;
/// Most IPv6 addresses that a rule may list: 1/256 of them.
const MOST6: u128 = 1 << 120;

/// Whether a prefix alone is more than a rule may list.
pub(super) fn too_wide(what: &What<'_>) -> bool {
    matches!(*what, What::V4(_, len) | What::V6(_, len) if len < 8)
}

/// Whether ranges (in any order, overlapping or not) list too much together.
pub(super) fn too_many(mut ranges: Vec<(u128, u128)>) -> bool {
    ranges.sort_unstable();
    let (mut four, mut six, mut next) = (0_u128, 0_u128, 0_u128);
    for (first, last) in ranges {
        let from = first.max(next);
        if from > last {
            continue;
        }
        let many = (last - from).saturating_add(1);
        if last >> 32 == 0xffff {
            four = four.saturating_add(many);
        } else {
            six = six.saturating_add(many);
        }
        next = last.saturating_add(1);
    }
    four > MOST4 || six > MOST6
}

/// The protected range that a rule would touch.
pub(super) fn protects(protected: &[Protected], first: u128, last: u128) -> Option<&Protected> {
    protected.iter().find(|p| p.first <= last && first <= p.last)
}

/// Takes one address out of the protected ranges.
pub(super) fn unprotect(protected: &mut Vec<Protected>, address: u128) {
    let mut after = Vec::new();
    protected.retain_mut(|p| {
        if address < p.first || address > p.last {
            return true;
        }
        if address < p.last {
            after.push(Protected { first: address + 1, ..p.clone() });
        }
        if address == p.first {
            return false;
        }
        p.last = address - 1;
        true
    });
    protected.append(&mut after);
}
