//! One pass over the bytes for all signs at once.
//!
//! Of every four bytes of a file, one aligned group of four is hashed and looked up in an 8 KiB filter. Each sign has put
//! its first four groups there, one for each alignment that it can have, so that none is missed; a hit is compared
//! byte for byte. An automaton looks at each byte instead, and is several times slower.

use super::signs::{self, Means, Sign};

/// The shortest sign: four groups of four bytes, each one byte further.
#[cfg(test)]
const LEAST: usize = GROUP + STEP - 1;
const GROUP: usize = 4;
const STEP: usize = 4;
const FILTER_BITS: usize = 1 << 16;

/// Pieces of a file must repeat this many bytes of the piece before: a sign may lie across. A multiple of [`STEP`].
pub const OVERLAP: usize = 64;

/// Instructions that write the registers one after the other lie this close together.
const NEAR: u64 = 1024;
/// Numbers of AMD's load-store, instruction cache and data cache configuration registers: model-specific.
const REGISTERS: [u32; 3] = [0xc001_1020, 0xc001_1021, 0xc001_1022];

struct Pattern {
    bytes: Vec<u8>,
    sign: &'static Sign,
}

struct Anchor {
    hash: u16,
    /// How far into the pattern the group lies.
    skew: u8,
    pattern: u16,
}

/// The tables, built once.
pub struct Matcher {
    filter: Box<[u64; FILTER_BITS / 64]>,
    /// Sorted by hash.
    anchors: Vec<Anchor>,
    patterns: Vec<Pattern>,
}

/// Where each sign was first seen.
#[derive(Clone, Debug)]
pub struct Hits {
    first: Vec<Option<u64>>,
    registers: Option<u64>,
    recent_registers: [Option<u64>; REGISTERS.len()],
}

fn hash(group: u32) -> u16 {
    (group.wrapping_mul(0x9e37_79b1) >> 16) as u16
}

impl Matcher {
    /// Builds the tables from all signs.
    pub fn new() -> Self {
        let patterns: Vec<_> = signs::all().map(|sign| Pattern { bytes: sign.bytes(), sign }).collect();
        let mut filter = Box::new([0u64; FILTER_BITS / 64]);
        let mut anchors = Vec::new();
        for (index, pattern) in patterns.iter().enumerate() {
            for (skew, group) in pattern.bytes.windows(GROUP).take(STEP).enumerate() {
                let hash = hash(super::elf::u32_at(group, 0).unwrap_or_default());
                if let Some(word) = filter.get_mut(usize::from(hash) / 64) {
                    *word |= 1 << (hash % 64);
                }
                anchors.push(Anchor { hash, skew: skew as u8, pattern: index as u16 });
            }
        }
        anchors.sort_by_key(|anchor| anchor.hash);
        Self { filter, anchors, patterns }
    }

    /// Reads a piece whose first byte is at offset `at`.
    pub fn feed(&self, at: u64, bytes: &[u8], hits: &mut Hits) {
        for (n, group) in bytes.as_chunks::<GROUP>().0.iter().enumerate() {
            let hash = hash(u32::from_le_bytes(*group));
            if self.filter[usize::from(hash) / 64] & (1 << (hash % 64)) != 0 {
                self.compare(hash, at, n * STEP, bytes, hits);
            }
        }
    }

    #[cold]
    fn compare(&self, hash: u16, at: u64, place: usize, bytes: &[u8], hits: &mut Hits) {
        let from = self.anchors.partition_point(|anchor| anchor.hash < hash);
        for anchor in self.anchors.iter().skip(from).take_while(|anchor| anchor.hash == hash) {
            let index = usize::from(anchor.pattern);
            let (Some(start), Some(pattern)) =
                (place.checked_sub(usize::from(anchor.skew)), self.patterns.get(index))
            else {
                continue;
            };
            if bytes.get(start..).is_some_and(|rest| rest.starts_with(&pattern.bytes)) {
                hits.add(index, at + start as u64);
            }
        }
    }

    /// Looks for the register numbers: four bytes each, too short to look for in every file.
    pub fn feed_registers(&self, at: u64, bytes: &[u8], hits: &mut Hits) {
        // All end in 0xc001: its two bytes are looked for, and then those before them.
        for end in memchr::memmem::find_iter(bytes, &[0x01, 0xc0]) {
            let Some(start) = end.checked_sub(2) else { continue };
            let word = super::elf::u32_at(bytes, start).unwrap_or_default();
            if let Some(register) = REGISTERS.iter().position(|&r| r == word) {
                hits.register(register, at + start as u64);
            }
        }
    }

    /// The signs that were found, each with the offset where it first was.
    pub fn found<'h>(&self, hits: &'h Hits) -> impl Iterator<Item = (&'static Sign, u64)> + use<'_, 'h> {
        self.patterns.iter().zip(&hits.first).filter_map(|(pattern, at)| at.map(|at| (pattern.sign, at)))
    }

    /// Nothing found yet.
    pub fn no_hits(&self) -> Hits {
        Hits { first: vec![None; self.patterns.len()], registers: None, recent_registers: Default::default() }
    }
}

impl std::fmt::Debug for Matcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Matcher").field("patterns", &self.patterns.len()).finish_non_exhaustive()
    }
}

impl Hits {
    fn add(&mut self, index: usize, at: u64) {
        if let Some(first @ None) = self.first.get_mut(index) {
            *first = Some(at);
        }
    }

    fn register(&mut self, register: usize, at: u64) {
        if let Some(seen) = self.recent_registers.get_mut(register) {
            *seen = Some(at);
        }
        let near = |seen: &Option<u64>| seen.is_some_and(|seen| at.saturating_sub(seen) <= NEAR);
        if self.registers.is_none() && self.recent_registers.iter().all(near) {
            self.registers = self.recent_registers.iter().flatten().min().copied();
        }
    }

    /// Where all the prefetcher registers are named close together.
    pub fn registers(&self) -> Option<u64> {
        self.registers
    }
}

/// Whether enough of a kind was found to look for the registers.
pub fn is_randomx(sign: &Sign) -> bool {
    sign.means == Means::Constant(signs::Family::RandomX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sign_is_found_at_every_alignment() {
        let matcher = Matcher::new();
        for pattern in &matcher.patterns {
            assert!(
                (LEAST..=OVERLAP).contains(&pattern.bytes.len()),
                "{:?}",
                String::from_utf8_lossy(&pattern.bytes)
            );
            for shift in 0..STEP {
                let mut bytes = vec![0x55; 16 + shift];
                bytes.extend(&pattern.bytes);
                bytes.extend([0x55; 16]);
                let mut hits = matcher.no_hits();
                matcher.feed(1000, &bytes, &mut hits);
                let found: Vec<_> = matcher.found(&hits).collect();
                let ours = found.iter().find(|(sign, _)| std::ptr::eq(*sign, pattern.sign));
                assert_eq!(ours.map(|&(_, at)| at), Some(1016 + shift as u64));
            }
        }
    }
}
