//! What the kernel would see in an ELF file: as lenient as the kernel, which ignores the class, the byte order and
//! every section, so that a file that runs is never passed over as malformed.

/// The machine the file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Machine {
    /// AMD64
    X86_64,
    /// 64-bit Arm
    Aarch64,
    /// Another, by its ELF number.
    Other(u16),
}

/// A part of the file that is mapped when it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Offset in the file.
    pub offset: u64,
    /// Bytes in the file.
    pub len: u64,
    /// Bytes in memory.
    pub memory: u64,
    /// May be executed.
    pub executable: bool,
}

/// The header, as far as it matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Elf {
    /// For which machine.
    pub machine: Machine,
    /// `ET_EXEC` 2, `ET_DYN` 3, `ET_CORE` 4.
    pub kind: u16,
    /// Number of section headers as the file says; a stripped file has them, a packed one seldom.
    pub sections: u16,
    /// Offset of the end of the program headers.
    pub headers_end: u64,
    /// The loadable segments, in the file's order. Empty for an object file, or when the headers lie too far in.
    pub segments: Vec<Segment>,
}

/// Linux accepts no more than 64 KiB of program headers.
const MOST_HEADERS: usize = 65536 / 56;
const LOAD: u32 = 1;

/// Whether these are the first bytes of an ELF file.
pub fn is_elf(head: &[u8]) -> bool {
    head.starts_with(b"\x7fELF")
}

impl Elf {
    /// Reads the header from the first bytes of a file. Nothing when they are not those of an ELF file, or too few.
    pub fn read(head: &[u8]) -> Option<Self> {
        if !is_elf(head) {
            return None;
        }
        // Class 1 is 32-bit. A 64-bit kernel does not look, but then the machine must be a 64-bit one.
        let narrow = *head.get(4)? == 1 && !matches!(u16_at(head, 18)?, 62 | 183);
        let machine = match u16_at(head, 18)? {
            62 => Machine::X86_64,
            183 => Machine::Aarch64,
            other => Machine::Other(other),
        };
        let (offset, size, count, sections, least) = if narrow {
            (u64::from(u32_at(head, 28)?), u16_at(head, 42)?, u16_at(head, 44)?, u16_at(head, 48)?, 32)
        } else {
            (u64_at(head, 32)?, u16_at(head, 54)?, u16_at(head, 56)?, u16_at(head, 60)?, 56)
        };
        let mut elf = Self {
            machine,
            kind: u16_at(head, 16)?,
            sections,
            headers_end: offset.saturating_add(u64::from(size) * u64::from(count)),
            segments: Vec::new(),
        };
        if usize::from(size) != least || usize::from(count) > MOST_HEADERS {
            return Some(elf);
        }
        for i in 0..usize::from(count) {
            let Some(header) = usize::try_from(offset)
                .ok()
                .and_then(|offset| offset.checked_add(i * least))
                .and_then(|at| head.get(at..at.checked_add(least)?))
            else {
                break;
            };
            let (flags, offset, len, memory) = if narrow {
                let word = |at| u32_at(header, at).map(u64::from);
                (u32_at(header, 24)?, word(4)?, word(16)?, word(20)?)
            } else {
                (u32_at(header, 4)?, u64_at(header, 8)?, u64_at(header, 32)?, u64_at(header, 40)?)
            };
            if u32_at(header, 0)? == LOAD {
                elf.segments.push(Segment { offset, len, memory, executable: flags & 1 != 0 });
            }
        }
        Some(elf)
    }
}

/// A little-endian number at an offset, if the bytes are there.
pub fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// A little-endian number at an offset, if the bytes are there.
pub fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// A little-endian number at an offset, if the bytes are there.
pub fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_test_program_itself_is_read() {
        let bytes = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let elf = Elf::read(&bytes).unwrap();
        assert!(elf.sections > 0);
        assert!(elf.segments.iter().any(|s| s.executable));
        assert!(elf.segments.iter().all(|s| s.offset + s.len <= bytes.len() as u64));
    }

    #[test]
    fn a_class_that_the_kernel_ignores_hides_no_segment() {
        let mut bytes = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let before = Elf::read(&bytes).unwrap().segments;
        bytes[4..7].fill(1);
        assert_eq!(Elf::read(&bytes).unwrap().segments, before);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(mut bytes in prop::collection::vec(any::<u8>(), 0..512), magic: bool) {
            if magic && bytes.len() >= 4 {
                bytes[..4].copy_from_slice(b"\x7fELF");
            }
            let read = Elf::read(&bytes);
            prop_assert!(is_elf(&bytes) || read.is_none());
            prop_assert!(read.is_none_or(|elf| elf.segments.len() <= bytes.len() / 32));
        }

        #[test]
        fn a_truncated_header_is_read_as_far_as_it_goes(cut in 0usize..4096) {
            let bytes = std::fs::read(std::env::current_exe().unwrap()).unwrap();
            let whole = Elf::read(&bytes).unwrap();
            if let Some(part) = Elf::read(&bytes[..cut]) {
                prop_assert!(whole.segments.starts_with(&part.segments));
            }
        }
    }
}
