//! The questions that the hooks ask of a generation.
//!
//! The same code answers in the kernel and on the host: no allocation, no panic, every loop bounded, and no more
//! blocks read than a question needs. A miss is the common case and pays least: an IPv4 address that is not listed
//! reads block 0, a block of the filter or one bucket (more for about one in twenty), and one block each for prefixes and ports if there are any;
//! [`quick4`] is that case alone.
//!
//! Order of a verdict: address with port → address → prefix → *(learned: between [`address`] and [`port`])* → port. The
//! first outcome that stops wins; if none stops, the first alert. [`exempt_uid`] and its sisters and [`protected`] come
//! before all of these in rank and after them in time: they are asked only when something would be stopped or reported.

mod address;
mod exact4;
mod header;
mod keyed;
mod name;
mod outcome;
mod prefix4;
mod quick;
mod range;
mod sip;

pub use address::{Address, Destination};
pub use exact4::{FILTERED_FROM, choices as exact4_choices, filter_bits, filter_blocks, mark as exact4_mark};
pub use header::{Details, Header};
pub use keyed::{SLOTS as KEYED_SLOTS, SipKey, choices as keyed_choices, mark as keyed_mark};
pub use name::{NameHasher, allowed_name, by_key, name, name_answer, name_hasher};
pub use outcome::Answer;
pub use quick::{Listed, quick4};

use crate::abi::{
    policy::{Block, Class, TAG_VALUE, word},
    verdict::Reason,
};
use outcome::{direct, first};

/// A generation: an array map in the kernel, a slice on the host.
pub trait Blocks {
    /// The block at `index`; `None` past the end.
    fn block(&self, index: u32) -> Option<&Block>;

    /// Block 0.
    #[inline(always)]
    fn head(&self) -> Option<&Block> {
        self.block(0)
    }

    /// Block 1.
    #[inline(always)]
    fn details(&self) -> Option<&Block> {
        self.block(1)
    }
}

impl Blocks for [Block] {
    fn block(&self, index: u32) -> Option<&Block> {
        self.get(index as usize)
    }
}

impl Blocks for &[Block] {
    fn block(&self, index: u32) -> Option<&Block> {
        self.get(index as usize)
    }
}

/// What the policy says of a destination: every stage, in the order of a verdict.
#[inline(always)]
pub fn destination<B: Blocks>(blocks: &B, header: &Header<'_>, to: &Destination) -> Option<Answer> {
    let found = address(blocks, header, to);
    match found {
        Some(a) if a.verdict.stops() => found,
        _ => first(found, port(blocks, header, to.port)),
    }
}

/// What the policy says of an address: exact, then prefix. For IPv6 behind the NAT64 prefix, also of the IPv4
/// address that the gateway would connect to.
#[inline(always)]
pub fn address<B: Blocks>(blocks: &B, header: &Header<'_>, to: &Destination) -> Option<Answer> {
    let (found, v4) = match to.address.is_v4() {
        Some(v4) => (None, Some(v4)),
        None => (address6(blocks, header, to), to.address.behind_nat64()),
    };
    match (v4, found) {
        (None, _) => found,
        (_, Some(a)) if a.verdict.stops() => found,
        (Some(v4), _) => first(found, address4(blocks, header, v4, to.port)),
    }
}

#[inline(always)]
fn address4<B: Blocks>(blocks: &B, header: &Header<'_>, v4: u32, port: u16) -> Option<Answer> {
    let tag = exact4::tag(blocks, header, v4);
    let exact = Answer::of(direct(blocks, header, tag, port), Reason::Address);
    match exact {
        Some(a) if a.verdict.stops() => exact,
        _ => {
            let tag = prefix4::tag(blocks, header, v4);
            first(exact, Answer::of(direct(blocks, header, tag, port), Reason::Prefix))
        }
    }
}

#[inline(always)]
fn address6<B: Blocks>(blocks: &B, header: &Header<'_>, to: &Destination) -> Option<Answer> {
    let (high, low) = to.address.halves();
    let mut exact = None;
    if header.has(Class::Address6) {
        let key = Details::read(blocks)?.sip_key();
        let tag = keyed::tag(blocks, header, key.address6(high, low));
        exact = Answer::of(direct(blocks, header, tag, to.port), Reason::Address);
    }
    match exact {
        Some(a) if a.verdict.stops() => exact,
        _ => {
            let (base, len) = (header.word(word::RANGE6), header.word(word::RANGE6_LEN));
            let tag = range::tag(blocks, base, len, high, low);
            first(exact, Answer::of(direct(blocks, header, tag, to.port), Reason::Prefix))
        }
    }
}

/// What the policy says of a port (host byte order) alone.
#[inline(always)]
pub fn port<B: Blocks>(blocks: &B, header: &Header<'_>, port: u16) -> Option<Answer> {
    if !port_is_listed(blocks, header, port) {
        return None;
    }
    let key = Details::read(blocks)?.sip_key();
    Answer::of(keyed::tag(blocks, header, key.number(Class::Port, port as u64)), Reason::Port)
}

#[inline(always)]
fn port_is_listed<B: Blocks>(blocks: &B, header: &Header<'_>, port: u16) -> bool {
    let base = header.word(word::PORTS);
    if base == 0 {
        return false;
    }
    let port = port as u32;
    let bits = blocks.block(base.wrapping_add(port >> 9)).map_or(0, |b| b.word(port >> 5));
    bits & (1 << (port & 31)) != 0
}

/// The rule that protects or allows a destination, whatever another rule says of it.
#[inline(always)]
pub fn protected<B: Blocks>(blocks: &B, header: &Header<'_>, to: &Destination) -> Option<u32> {
    if !Details::read(blocks)?.may_protect(&to.address) {
        return None;
    }
    let (high, mut low) = to.address.halves();
    let (base, len) = (header.word(word::PROTECTED), header.word(word::PROTECTED_LEN));
    let mut tag = range::tag(blocks, base, len, high, low);
    if let (0, Some(v4)) = (tag, to.address.behind_nat64()) {
        low = 0xffff_0000_0000 | v4 as u64;
        tag = range::tag(blocks, base, len, 0, low);
    }
    match tag & TAG_VALUE {
        0 => None,
        rule => Some(rule),
    }
}

/// The rule that exempts a user (id in the initial user namespace).
#[inline(always)]
pub fn exempt_uid<B: Blocks>(blocks: &B, header: &Header<'_>, uid: u32) -> Option<u32> {
    exempt(blocks, header, Class::Uid, uid as u64)
}

/// The rule that exempts a group (id in the initial user namespace).
#[inline(always)]
pub fn exempt_gid<B: Blocks>(blocks: &B, header: &Header<'_>, gid: u32) -> Option<u32> {
    exempt(blocks, header, Class::Gid, gid as u64)
}

/// The rule that exempts a cgroup, by its v2 id. A task is exempt if its cgroup or one above it is.
#[inline(always)]
pub fn exempt_cgroup<B: Blocks>(blocks: &B, header: &Header<'_>, cgroup: u64) -> Option<u32> {
    exempt(blocks, header, Class::Cgroup, cgroup)
}

#[inline(always)]
fn exempt<B: Blocks>(blocks: &B, header: &Header<'_>, class: Class, n: u64) -> Option<u32> {
    exempt_number(blocks, header, class as u8, n)
}

/// The rule that exempts a number of a class: what the three before it ask, for a caller that has the class as a number.
#[inline(always)]
pub fn exempt_number<B: Blocks>(blocks: &B, header: &Header<'_>, class: u8, n: u64) -> Option<u32> {
    if !header.has_number(class) {
        return None;
    }
    let key = Details::read(blocks)?.sip_key();
    match keyed::tag(blocks, header, key.number_of(class, n)) & TAG_VALUE {
        0 => None,
        rule => Some(rule),
    }
}
