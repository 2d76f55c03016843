//! Packed by something that cannot be unpacked here: told by what every packer leaves.

use super::{
    Skip,
    elf::{Elf, Machine},
    source::Source,
};

/// Bits in a byte. Machine code holds 6 to 6.6, compressed or encrypted bytes close to 8.
const DENSE: f64 = 7.5;
/// How much of a segment is looked at, from its middle, in bytes.
const SAMPLE: usize = 256 * 1024;
/// Less says nothing, in bytes.
const LEAST: usize = 16 * 1024;

/// Why the file looks packed, if it does: no sections, few segments, and one that is executed but holds no code.
pub fn sign(source: &Source<'_>, elf: &Elf) -> Result<Option<String>, Skip> {
    let runs = matches!(elf.machine, Machine::X86_64 | Machine::Aarch64) && matches!(elf.kind, 2 | 3);
    if !runs || elf.sections > 0 || elf.segments.len() > 4 {
        return Ok(None);
    }
    for segment in elf.segments.iter().filter(|s| s.executable) {
        let middle = segment.offset.saturating_add(segment.len.saturating_sub(SAMPLE as u64) / 2);
        let len = usize::try_from(segment.len).unwrap_or(SAMPLE).min(SAMPLE);
        let bytes = source.bytes(middle, len)?;
        let density = entropy(&bytes);
        if bytes.len() >= LEAST && density > DENSE {
            return Ok(Some(format!(
                "looks packed: no sections, and the executable segment at {:#x} holds {density:.1} bits a byte, \
                 which machine code does not",
                segment.offset
            )));
        }
    }
    Ok(None)
}

/// Shannon entropy in bits a byte.
fn entropy(bytes: &[u8]) -> f64 {
    let mut counts = [0u32; 256];
    for &byte in bytes {
        counts[usize::from(byte)] += 1;
    }
    let all = bytes.len() as f64;
    counts.iter().filter(|&&n| n > 0).map(|&n| f64::from(n) / all).map(|p| -p * p.log2()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entropy_is_that_of_the_textbook() {
        assert!(entropy(&[7; 100]).abs() < 1e-9);
        assert!((entropy(&[0, 1].repeat(50)) - 1.0).abs() < 1e-9);
        let all: Vec<u8> = (0..=255).collect();
        assert!((entropy(&all) - 8.0).abs() < 1e-9);
    }
}
