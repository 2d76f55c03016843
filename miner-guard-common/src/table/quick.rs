//! The common cases of an IPv4 destination, in few branches: what [`super::destination`] says, or that it must be asked.

use super::{Blocks, Header, exact4, outcome::Answer, port_is_listed, prefix4};
use crate::abi::{
    policy::{TAG_LIST, TAG_VALUE, TAG_VERDICT_SHIFT, TAG_WITH_PORT},
    verdict::{Reason, Verdict},
};

/// What is listed, in one number: BPF functions give no more, and a number is always written, where the verifier may find an
/// enum's unused part not to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listed(pub u64);

impl Listed {
    /// Nothing is listed.
    pub const NOTHING: Self = Self(0);
    /// Not so simple: ask [`super::destination`]. No answer looks like this, because no verdict is 7.
    pub const ASK: Self = Self(u64::MAX);

    const VERDICT: u32 = 26;
    const REASON: u32 = 29;
    const GENERATION: u32 = 34;

    /// The same answer.
    #[inline(always)]
    pub const fn of(answer: &Answer) -> Self {
        let (verdict, reason) = (answer.verdict as u64, answer.reason as u64);
        Self((answer.rule & TAG_VALUE) as u64 | verdict << Self::VERDICT | reason << Self::REASON)
    }

    /// The same, as an answer of a generation: for steps of a program, which hand each other numbers.
    #[inline(always)]
    pub const fn at(self, generation: u64) -> Self {
        Self(self.0 & ((1 << Self::GENERATION) - 1) | generation << Self::GENERATION)
    }

    /// Whether it is of this generation: by the low bits of its number, which two in a row do not share.
    #[inline(always)]
    pub const fn is_of(self, generation: u64) -> bool {
        self.0 >> Self::GENERATION == (generation << Self::GENERATION) >> Self::GENERATION
    }

    /// `None` if nothing is listed, or nothing is known.
    #[inline(always)]
    pub const fn found(self) -> Option<Self> {
        if self.0 == Self::NOTHING.0 || self.0 == Self::ASK.0 { None } else { Some(self) }
    }

    /// Index of the rule.
    #[inline(always)]
    pub const fn rule(self) -> u32 {
        self.0 as u32 & TAG_VALUE
    }

    /// The verdict's number.
    #[inline(always)]
    const fn number(self) -> u8 {
        (self.0 >> Self::VERDICT) as u8 & 7
    }

    /// The verdict, `None` for one that this side does not know.
    #[inline(always)]
    pub const fn verdict(self) -> Option<Verdict> {
        Verdict::from_byte(self.number())
    }

    /// [`Reason`]
    #[inline(always)]
    pub const fn reason(self) -> u8 {
        (self.0 >> Self::REASON) as u8 & 31
    }

    /// What a tag says that stops at once, whatever else is listed; else [`Self::ASK`].
    #[inline(always)]
    const fn at_once(tag: u32, reason: Reason) -> Self {
        let reason = if tag & TAG_WITH_PORT != 0 { Reason::AddressPort as u64 } else { reason as u64 };
        let verdict = ((tag >> TAG_VERDICT_SHIFT) & 7) as u64;
        let listed = Self((tag & TAG_VALUE) as u64 | verdict << Self::VERDICT | reason << Self::REASON);
        // `Verdict::stops`, in numbers.
        let stops =
            listed.number().wrapping_sub(Verdict::Deny as u8) <= Verdict::Isolate as u8 - Verdict::Deny as u8;
        if tag & TAG_LIST == 0 && stops { listed } else { Self::ASK }
    }
}

/// Looks an IPv4 address (host byte order) and a port up, as far as no list has to be searched and no two answers compared.
#[inline(always)]
pub fn quick4<B: Blocks>(blocks: &B, header: &Header<'_>, address: u32, port: u16) -> Listed {
    let exact = exact4::tag(blocks, header, address);
    if exact != 0 {
        return Listed::at_once(exact, Reason::Address);
    }
    let prefix = prefix4::tag(blocks, header, address);
    if prefix != 0 {
        return Listed::at_once(prefix, Reason::Prefix);
    }
    if port_is_listed(blocks, header, port) { Listed::ASK } else { Listed::NOTHING }
}
