//! Member offsets from the running kernel's BTF.
//!
//! Rust emits no CO-RE relocations and aya keeps its BTF accessors private, so this reads the few offsets that
//! the programs need. Every read is checked: a damaged BTF is an error, never a panic.

use std::collections::HashMap;

use miner_guard_common::abi::offsets::{ABSENT, Offset};

/// Where the kernel shows its types.
pub const VMLINUX: &str = "/sys/kernel/btf/vmlinux";

const MAGIC: u16 = 0xeb9f;
const STRUCT: u32 = 4;
const UNION: u32 = 5;
/// Anonymous members are looked through this deep.
const DEPTH: u32 = 16;

/// Why an offset could not be had.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum BtfError {
    /// The bytes are not what they claim.
    #[error("the kernel's BTF is damaged at byte {0}")]
    Damaged(usize),
    /// A kind that this parser does not know.
    #[error("the kernel's BTF has a type of unknown kind {kind} at byte {at}")]
    UnknownKind {
        /// The number.
        kind: u32,
        /// Where.
        at: usize,
    },
    /// No such member.
    #[error("this kernel's BTF has no {structure}.{member}")]
    Missing {
        /// Structure.
        structure: &'static str,
        /// Paths that were tried.
        member: String,
    },
}

/// The types of a kernel.
pub struct Btf<'a> {
    data: &'a [u8],
    strings: usize,
    /// Byte offset of each type, by id.
    types: Vec<usize>,
    named: HashMap<&'a [u8], u32>,
}

impl<'a> Btf<'a> {
    /// Reads the type section once.
    pub fn parse(data: &'a [u8]) -> Result<Self, BtfError> {
        if word(data, 0)? as u16 != MAGIC {
            return Err(BtfError::Damaged(0));
        }
        let header = word(data, 4)? as usize;
        let at = |section: u32| header.checked_add(section as usize).ok_or(BtfError::Damaged(8));
        let start = at(word(data, 8)?)?;
        let end = start.checked_add(word(data, 12)? as usize).ok_or(BtfError::Damaged(12))?;
        let strings = at(word(data, 16)?)?;
        let mut btf = Self { data, strings, types: vec![0], named: HashMap::new() };
        let mut pos = start;
        while pos < end {
            btf.types.push(pos);
            let (kind, members) = btf.info(pos)?;
            let size = match kind {
                // fwd, ptr, typedef, volatile, const, restrict, func, float, type tag
                2 | 7..=12 | 16 | 18 => 0,
                1 | 14 | 17 => 4,
                3 => 12,
                STRUCT | UNION | 15 | 19 => 12 * members,
                6 | 13 => 8 * members,
                kind => return Err(BtfError::UnknownKind { kind, at: pos }),
            };
            pos = pos.checked_add(12 + size).ok_or(BtfError::Damaged(pos))?;
        }
        for (id, &pos) in btf.types.iter().enumerate().skip(1) {
            let (kind, members) = btf.info(pos)?;
            if (kind == STRUCT || kind == UNION) && members > 0 {
                btf.named.entry(btf.string(word(data, pos)?)?).or_insert(id as u32);
            }
        }
        Ok(btf)
    }

    /// All offsets that the kernel programs need, in index order; [`ABSENT`] for an optional one that is not there.
    pub fn offsets(&self) -> Result<[u32; Offset::COUNT], BtfError> {
        let mut out = [0; Offset::COUNT];
        for (slot, wanted) in out.iter_mut().zip(Offset::ALL) {
            let (structure, paths) = wanted.path();
            *slot = match paths.iter().find_map(|p| self.offset(structure, p).transpose()).transpose()? {
                Some(offset) => offset,
                None if wanted.optional() => ABSENT,
                None => return Err(BtfError::Missing { structure, member: paths.join(" or .") }),
            };
        }
        Ok(out)
    }

    /// Byte offset of a member by its dotted path; `None` if there is no such member at a whole byte.
    pub fn offset(&self, structure: &str, path: &str) -> Result<Option<u32>, BtfError> {
        let Some(&id) = self.named.get(structure.as_bytes()) else { return Ok(None) };
        let (mut id, mut bits) = (id, 0u32);
        for member in path.split('.') {
            match self.member(id, member.as_bytes(), DEPTH)? {
                Some((offset, kind)) => {
                    bits = bits.checked_add(offset).ok_or(BtfError::Damaged(0))?;
                    id = kind;
                }
                None => return Ok(None),
            }
        }
        Ok(bits.is_multiple_of(8).then_some(bits / 8))
    }

    /// Bit offset and type of a member, anonymous members looked through.
    fn member(&self, id: u32, name: &[u8], depth: u32) -> Result<Option<(u32, u32)>, BtfError> {
        let pos = self.position(self.resolve(id)?)?;
        let (kind, members) = self.info(pos)?;
        if depth == 0 || (kind != STRUCT && kind != UNION) {
            return Ok(None);
        }
        let bitfields = word(self.data, pos + 4)? >> 31 == 1;
        for at in (0..members).map(|i| pos + 12 + 12 * i) {
            let this = self.string(word(self.data, at)?)?;
            let of = word(self.data, at + 4)?;
            let raw = word(self.data, at + 8)?;
            let offset = if bitfields { raw & 0xff_ffff } else { raw };
            if this == name {
                return Ok(Some((offset, of)));
            }
            if this.is_empty()
                && let Some((inner, kind)) = self.member(of, name, depth - 1)?
            {
                return Ok(Some((offset.checked_add(inner).ok_or(BtfError::Damaged(at))?, kind)));
            }
        }
        Ok(None)
    }

    /// Looks through typedefs and qualifiers.
    fn resolve(&self, mut id: u32) -> Result<u32, BtfError> {
        for _ in 0..32 {
            let pos = self.position(id)?;
            match self.info(pos)?.0 {
                8..=11 | 18 => id = word(self.data, pos + 8)?,
                _ => return Ok(id),
            }
        }
        Err(BtfError::Damaged(id as usize))
    }

    fn position(&self, id: u32) -> Result<usize, BtfError> {
        self.types.get(id as usize).copied().filter(|p| *p != 0).ok_or(BtfError::Damaged(id as usize))
    }

    /// Kind and member count of the type at a position.
    fn info(&self, pos: usize) -> Result<(u32, usize), BtfError> {
        let info = word(self.data, pos + 4)?;
        Ok(((info >> 24) & 0x1f, (info & 0xffff) as usize))
    }

    fn string(&self, offset: u32) -> Result<&'a [u8], BtfError> {
        let at = self.strings.saturating_add(offset as usize);
        let rest = self.data.get(at..).ok_or(BtfError::Damaged(at))?;
        let len = rest.iter().position(|b| *b == 0).ok_or(BtfError::Damaged(at))?;
        Ok(&rest[..len])
    }
}

fn word(data: &[u8], at: usize) -> Result<u32, BtfError> {
    at.checked_add(4)
        .and_then(|end| data.get(at..end))
        .and_then(|b| b.try_into().ok())
        .map(u32::from_ne_bytes)
        .ok_or(BtfError::Damaged(at))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// `struct s { int a; union { int b; int c; }; }`, with a header.
    fn sample() -> Vec<u8> {
        let strings = b"\0int\0s\0a\0b\0c\0";
        let mut types: Vec<u32> = Vec::new();
        types.extend([1, 1 << 24, 4, 32]); // 1: int
        types.extend([0, UNION << 24 | 2, 4, 9, 1, 0, 11, 1, 0]); // 2: anonymous union { b, c }
        types.extend([5, STRUCT << 24 | 2, 8, 7, 1, 0, 0, 2, 32]); // 3: s { a, union }
        let mut out: Vec<u8> = Vec::new();
        let len = types.len() as u32 * 4;
        for w in [u32::from(MAGIC) | 1 << 16, 24, 0, len, len, strings.len() as u32] {
            out.extend(w.to_ne_bytes());
        }
        out.extend(types.iter().flat_map(|w| w.to_ne_bytes()));
        out.extend(strings);
        out
    }

    #[test]
    fn members_are_found_through_anonymous_unions() {
        let data = sample();
        let btf = Btf::parse(&data).unwrap();
        assert_eq!(btf.offset("s", "a"), Ok(Some(0)));
        assert_eq!(btf.offset("s", "c"), Ok(Some(4)));
        assert_eq!(btf.offset("s", "d"), Ok(None));
        assert_eq!(btf.offset("t", "a"), Ok(None));
    }

    #[test]
    fn the_running_kernel_has_every_offset() {
        let Ok(data) = std::fs::read(VMLINUX) else { return };
        Btf::parse(&data).unwrap().offsets().unwrap();
    }

    #[test]
    fn a_truncated_btf_is_an_error_at_every_length() {
        let data = sample();
        for n in 0..data.len() - 1 {
            let r = Btf::parse(&data[..n]).and_then(|b| b.offset("s", "c"));
            assert_ne!(r, Ok(Some(5)), "length {n}");
        }
    }

    proptest! {
        #[test]
        fn damaged_bytes_never_panic(at in 0usize..100, byte: u8) {
            let mut data = sample();
            let n = data.len();
            data[at % n] = byte;
            if let Ok(b) = Btf::parse(&data) {
                let _ = b.offset("s", "c");
            }
        }
    }
}
