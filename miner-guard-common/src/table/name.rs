//! Names: one pass over a name answers for it and for every suffix of it.
//!
//! The bytes are hashed **from the last one backwards**. `pool.example.com` is fed as `moc.elpmaxe.loop`; whenever
//! the next byte would be a dot (or there is none left), [`NameHasher::key`] of the bytes so far is the key of that suffix.

use super::{Blocks, Details, Header, keyed, keyed::SipKey, outcome::Answer, sip::Sip};
use crate::abi::{
    policy::{Class, TAG_VALUE},
    verdict::Reason,
};

/// Hashes a lower-case name, without a trailing dot, last byte first. 48 bytes.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct NameHasher {
    state: Sip,
    tail: u64,
    len: u64,
}

impl NameHasher {
    /// Begins a name.
    #[inline(always)]
    pub const fn new(key: SipKey) -> Self {
        // The class is taken at the end, so that one pass serves all classes.
        Self { state: Sip::new(key.0, key.1), tail: 0, len: 0 }
    }

    /// Takes the next byte towards the front. The caller has lower-cased it.
    #[inline(always)]
    pub const fn push(&mut self, byte: u8) {
        self.tail |= (byte as u64) << ((self.len & 7) * 8);
        self.len = self.len.wrapping_add(1);
        if self.len & 7 == 0 {
            self.state = self.state.word(self.tail);
            self.tail = 0;
        }
    }

    /// The key of the bytes so far, as a member of `class`.
    #[inline(always)]
    pub const fn key(&self, class: Class) -> u64 {
        self.key_with(self.tail, self.len, class)
    }

    /// Takes eight bytes, the next one lowest. Not together with [`Self::push`].
    #[inline(always)]
    pub const fn push_word(&mut self, bytes: u64) {
        self.state = self.state.word(bytes);
    }

    /// The key of all words so far and of the bytes in `tail`, `len` in all, as a member of `class`.
    #[inline(always)]
    pub const fn key_with(&self, tail: u64, len: u64, class: Class) -> u64 {
        // No length of a name reaches into the class.
        self.state.word(tail).finish(class as u64, len)
    }
}

/// What the policy says of one suffix of a name; ask for the longest first and stop at the first answer that stops.
///
/// `hasher` has taken the suffix, `whole` says that the suffix is the whole name.
#[inline(always)]
pub fn name<B: Blocks>(blocks: &B, header: &Header<'_>, hasher: &NameHasher, whole: bool) -> Option<Answer> {
    let class = if whole { Class::Domain } else { Class::DomainBelow };
    if !header.has(class) {
        return None;
    }
    Answer::of(keyed::tag(blocks, header, hasher.key(class)), Reason::Domain)
}

/// The tag under a key of [`NameHasher::key`], 0 if none.
#[inline(always)]
pub fn by_key<B: Blocks>(blocks: &B, header: &Header<'_>, key: u64) -> u32 {
    keyed::tag(blocks, header, key)
}

/// What the tag of a name says.
#[inline(always)]
pub const fn name_answer(tag: u32) -> Option<Answer> {
    Answer::of(tag, Reason::Domain)
}

/// The rule that allows one suffix of a name. Asked only when a name would be denied.
#[inline(always)]
pub fn allowed_name<B: Blocks>(
    blocks: &B,
    header: &Header<'_>,
    hasher: &NameHasher,
    whole: bool,
) -> Option<u32> {
    let class = if whole { Class::AllowedDomain } else { Class::AllowedDomainBelow };
    if !header.has(class) {
        return None;
    }
    match keyed::tag(blocks, header, hasher.key(class)) & TAG_VALUE {
        0 => None,
        rule => Some(rule),
    }
}

/// Begins a name under the key of this generation.
#[inline(always)]
pub fn name_hasher<B: Blocks>(blocks: &B) -> Option<NameHasher> {
    Some(NameHasher::new(Details::read(blocks)?.sip_key()))
}
