//! Resolved entries become a *generation*: the blocks that the hooks read.
//!
//! One file per section; the layout is `miner_guard_common::abi::policy`, the reader `miner_guard_common::table`.

mod buckets;
mod flatten;
mod keys;
mod outcome;
mod prefix4;
mod range;
#[cfg(test)]
mod tests;

use super::names::Names;
use miner_guard_common::{
    abi::{
        policy::{Block, Class, HEAD_BLOCKS, MAGIC, detail, set_mode, word},
        verdict::{Mode, Verdict},
    },
    table::SipKey,
};
use outcome::Outcomes;
use std::net::IpAddr;

/// A span of ports, both ends in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ports {
    /// The lowest.
    pub low: u16,
    /// The highest.
    pub high: u16,
}

impl Ports {
    /// No condition on the port.
    pub const ANY: Self = Self { low: 0, high: u16::MAX };
    /// This port alone.
    pub const fn one(port: u16) -> Self {
        Self { low: port, high: port }
    }
}

/// Something listed: a key, the ports that must also match, and the rule that lists it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry<K> {
    /// What is listed. Addresses are numbers in host order, a prefix is its first address and its length.
    pub key: K,
    /// Index of the rule, 1 …; a lower one goes first.
    pub rule: u32,
    /// [`Ports::ANY`] if the rule names no port.
    pub ports: Ports,
}

/// What a policy lists, ready to be laid out. Slices in any order; sorted ones compile faster.
#[derive(Clone, Copy, Debug, Default)]
pub struct Listed<'a> {
    /// The verdict of each rule; index 0 is not a rule. Entries of a rule that is not here are left out.
    pub verdicts: &'a [Verdict],
    /// Exact IPv4 addresses.
    pub addresses4: &'a [Entry<u32>],
    /// IPv4 prefixes.
    pub prefixes4: &'a [Entry<(u32, u8)>],
    /// Exact IPv6 addresses, none of them v4-mapped.
    pub addresses6: &'a [Entry<u128>],
    /// IPv6 prefixes.
    pub prefixes6: &'a [Entry<(u128, u8)>],
    /// Ports alone.
    pub ports: &'a [Entry<()>],
    /// Protected and allowed ranges, first and last address; IPv4 as `::ffff:a.b.c.d`.
    pub protected: &'a [(u128, u128, u32)],
    /// Names, denied and allowed.
    pub names: Option<&'a Names>,
    /// Exempt tasks. The class is user, group or cgroup.
    pub exempt: &'a [(Class, u64, u32)],
}

/// The guard's proof that enforcement works: one destination, denied to one cgroup, in either mode.
#[derive(Clone, Copy, Debug)]
pub struct Canary {
    /// cgroup v2 id.
    pub cgroup: u64,
    /// A reserved address that nobody uses.
    pub address: IpAddr,
    /// Port of it.
    pub port: u16,
}

/// What a generation holds besides the policy.
#[derive(Clone, Copy, Debug)]
pub struct CompileRequest {
    /// Number of the generation.
    pub generation: u64,
    /// Mode of the generation.
    pub mode: Mode,
    /// Key of the hashes: random per boot, secret.
    pub key: SipKey,
    /// The canary, if enforcement is to be proven.
    pub canary: Option<Canary>,
}

/// Why a policy cannot be laid out.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum CompileError {
    /// More rules than a tag can name.
    #[error("the policy has {0} rules; a generation holds at most 67,108,862: merge rules or feeds")]
    TooManyRules(usize),
    /// More IPv6 or protected ranges than a lookup searches.
    #[error(
        "the policy has {0} disjoint {1} ranges; a generation holds at most 1,048,575: aggregate the prefixes"
    )]
    TooManyRanges(usize, &'static str),
    /// The tables do not fit into the numbers that address them.
    #[error(
        "the {0} section of the compiled policy is too large: split the feeds over several rules or drop some"
    )]
    TooLarge(&'static str),
    /// No arrangement of the buckets was found, or two keys have one hash. With a random key, chance does not do this.
    #[error("the {0} section could not be laid out under this hash key: try again with a fresh random key")]
    Collision(&'static str),
}

/// A compiled policy.
#[derive(Clone, Debug)]
pub struct Image {
    blocks: Vec<Block>,
    canary_rule: Option<u32>,
}

impl Image {
    /// Number of blocks: the size of the map.
    pub fn len(&self) -> usize {
        self.blocks.len()
    }

    /// Never: there is always a head.
    pub fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    /// The blocks, also for asking the questions of `miner_guard_common::table` on the host.
    pub fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    /// Fills a map. Blocks of `into` past the image become zero; what does not fit is left out, so check [`Self::len`] first.
    pub fn write(&self, into: &mut [Block]) {
        let n = into.len().min(self.blocks.len());
        let (used, rest) = into.split_at_mut(n);
        used.copy_from_slice(&self.blocks[..n]);
        rest.fill(Block::ZERO);
    }

    /// Rule index of the canary.
    pub fn canary_rule(&self) -> Option<u32> {
        self.canary_rule
    }
}

/// Lays a policy out.
pub fn compile(listed: &Listed<'_>, request: &CompileRequest) -> Result<Image, CompileError> {
    let rules = listed.verdicts.len().saturating_sub(1);
    if rules >= (1 << 26) - 2 {
        return Err(CompileError::TooManyRules(rules));
    }
    let canary_rule = request.canary.map(|_| rules as u32 + 1);
    let mut outcomes = Outcomes::new(listed.verdicts, canary_rule);

    // The canary's own tag goes first in its list, so that no rule of the policy hides it.
    let canary = request.canary.zip(canary_rule).map(|(c, rule)| (c, Ports::one(c.port), rule));
    let (mut canary4, mut canary6) = (None, None);
    if let Some((c, ports, rule)) = canary {
        match c.address.to_canonical() {
            IpAddr::V4(a) => canary4 = Some(Entry { key: a.to_bits(), rule, ports }),
            IpAddr::V6(a) => canary6 = Some(Entry { key: a.to_bits(), rule, ports }),
        }
    }

    let (mut head, mut details) = (Block::ZERO, Block::ZERO);
    let mut blocks = vec![Block::ZERO; HEAD_BLOCKS as usize];
    let seed = request.key.number(Class::Address6, listed.addresses4.len() as u64);

    let exact4 = outcome::grouped(listed.addresses4, canary4, &mut outcomes)?;
    if !exact4.is_empty() {
        let exact = buckets::exact4(&exact4, seed)?;
        head.set_long(word::MULTIPLIER, exact.multiplier);
        head.0[word::EXACT4_LEN as usize] = exact.buckets;
        place(&mut head, word::EXACT4, &mut blocks, &exact.section)?;
    }
    drop(exact4);

    let mut keyed: Vec<(u64, u32)> = Vec::new();
    let mut classes = 0;
    for (address, tag) in outcome::grouped(listed.addresses6, canary6, &mut outcomes)? {
        classes |= 1 << Class::Address6 as u32;
        keyed.push((request.key.address6((address >> 64) as u64, address as u64), tag));
    }
    let bitmap = keys::ports(listed.ports, &mut outcomes, request.key, &mut keyed);
    if let Some(listed) = listed.names {
        keys::names(
            listed,
            &mut outcomes,
            request.key,
            &mut keyed,
            &mut classes,
            &mut head.0[word::ABI_MODE as usize],
        )?;
    }
    let exempt = listed.exempt.iter().map(|&(class, n, rule)| {
        classes |= 1 << class as u32;
        (request.key.number(class, n), rule)
    });
    keyed.extend(keys::first_rule(exempt.collect()));
    if !keyed.is_empty() {
        let section = buckets::keyed(&mut keyed)?;
        head.0[word::KEYED_LEN as usize] = section.len() as u32;
        place(&mut head, word::KEYED, &mut blocks, &section)?;
    }
    head.0[word::CLASSES as usize] = classes;

    let widened: Vec<Entry<(u128, u8)>> = listed
        .prefixes4
        .iter()
        .map(|e| Entry { key: (u128::from(e.key.0), e.key.1), rule: e.rule, ports: e.ports })
        .collect();
    let steps = flatten::flatten(&widened, 32, &mut outcomes)?;
    if !steps.is_empty() {
        place(&mut head, word::PREFIX4, &mut blocks, &prefix4::section(&steps)?)?;
    }
    let steps = flatten::flatten(listed.prefixes6, 128, &mut outcomes)?;
    if !steps.is_empty() {
        let section = range::section(&steps, "IPv6")?;
        head.0[word::RANGE6_LEN as usize] = section.len() as u32;
        place(&mut head, word::RANGE6, &mut blocks, &section)?;
    }
    if !listed.protected.is_empty() {
        let steps = range::disjoint(listed.protected);
        let section = range::section(&steps, "protected")?;
        range::mark_protected(&mut details, &steps);
        head.0[word::PROTECTED_LEN as usize] = section.len() as u32;
        place(&mut head, word::PROTECTED, &mut blocks, &section)?;
    }
    if !bitmap.is_empty() {
        place(&mut head, word::PORTS, &mut blocks, &bitmap)?;
    }
    let lists = outcomes.into_lists();
    if !lists.is_empty() {
        place(&mut head, word::LISTS, &mut blocks, &lists)?;
    }

    head.0[word::MAGIC as usize] = MAGIC;
    set_mode(&mut head, request.mode);
    details.set_long(detail::GENERATION, request.generation);
    details.set_long(detail::SIP_KEY, request.key.0);
    details.set_long(detail::SIP_KEY + 2, request.key.1);
    details.set_long(detail::CANARY_CGROUP, request.canary.map_or(0, |c| c.cgroup));
    details.0[detail::CANARY_RULE as usize] = canary_rule.unwrap_or(0);
    details.0[detail::RULES as usize] = canary_rule.unwrap_or(rules as u32);
    details.0[detail::BLOCKS as usize] = blocks.len() as u32;
    blocks[0] = head;
    blocks[1] = details;
    Ok(Image { blocks, canary_rule })
}

fn place(head: &mut Block, at: u32, blocks: &mut Vec<Block>, section: &[Block]) -> Result<(), CompileError> {
    let base = u32::try_from(blocks.len()).map_err(|_| CompileError::TooLarge("whole"))?;
    if blocks.len() + section.len() > i32::MAX as usize {
        return Err(CompileError::TooLarge("whole"));
    }
    head.0[at as usize] = base;
    blocks.extend_from_slice(section);
    Ok(())
}
