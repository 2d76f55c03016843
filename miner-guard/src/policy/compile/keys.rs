//! What goes into the keyed section: ports (with their bitmap), names, and what is exempt.

use super::{
    CompileError, Entry, Ports,
    outcome::{self, Candidate, Outcomes},
};
use crate::policy::names::Names;
use miner_guard_common::{
    abi::policy::{Block, Class, TAG_WITH_PORT, depth},
    table::{NameHasher, SipKey},
};

pub(super) fn ports(
    listed: &[Entry<()>],
    outcomes: &mut Outcomes<'_>,
    key: SipKey,
    keyed: &mut Vec<(u64, u32)>,
) -> Vec<Block> {
    let mut candidates: Vec<Candidate> =
        listed.iter().map(|e| Candidate { ports: e.ports, rule: e.rule, depth: 0 }).collect();
    let spans = outcomes.spans(&mut candidates);
    if spans.is_empty() {
        return Vec::new();
    }
    let mut bitmap = vec![Block::ZERO; 128];
    for span in spans {
        for port in span.ports.low..=span.ports.high {
            bitmap[usize::from(port >> 9)].0[usize::from(port >> 5) & 15] |= 1 << (port & 31);
            // The port is the whole condition here, not an addition to an address.
            let tag = span.tag & !TAG_WITH_PORT;
            keyed.push((key.number(Class::Port, u64::from(port)), tag));
        }
    }
    bitmap
}

pub(super) fn names(
    listed: &Names,
    outcomes: &mut Outcomes<'_>,
    key: SipKey,
    keyed: &mut Vec<(u64, u32)>,
    classes: &mut u32,
    depths: &mut u32,
) -> Result<(), CompileError> {
    let mut denied = Vec::with_capacity(listed.len());
    let mut allowed = Vec::new();
    for (name, class, rule) in listed.iter() {
        *classes |= 1 << class as u32;
        let mut hasher = NameHasher::new(key);
        name.bytes().rev().for_each(|b| hasher.push(b));
        if class == Class::DomainBelow {
            *depths |= depth(name.split('.').count() as u32);
        }
        let entry = Entry { key: hasher.key(class), rule, ports: Ports::ANY };
        if matches!(class, Class::AllowedDomain | Class::AllowedDomainBelow) {
            allowed.push((entry.key, rule));
        } else {
            denied.push(entry);
        }
    }
    keyed.extend(outcome::grouped(&denied, None, outcomes)?);
    keyed.extend(first_rule(allowed));
    Ok(())
}

/// Any of the rules that allow a thing will do: the first.
pub(super) fn first_rule(mut allowed: Vec<(u64, u32)>) -> Vec<(u64, u32)> {
    allowed.sort_unstable();
    allowed.dedup_by_key(|(hash, _)| *hash);
    allowed
}
