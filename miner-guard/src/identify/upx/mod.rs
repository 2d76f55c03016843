//! UPX: unpacked here, so that the program inside can be identified before it runs.
//!
//! A packed file holds blocks, each with its sizes and method before it; the first unpacks to the original ELF header.
//! That is how it is recognised: UPX's own magic is only a courtesy, which malware overwrites.

mod nrv;

use super::{Skip, elf, source::Source};
use nrv::Nrv;
use std::io::Read as _;

/// All blocks of a file together unpack to no more than this, in bytes.
const MOST: usize = 128 << 20;
/// Blocks of one file: a segment each, and what lies between them.
const BLOCKS: usize = 64;
/// Where the first block may begin, counted from the end of the program headers.
const LOOK: usize = 4096;
/// An ELF header with its program headers, at most.
const HEADERS: usize = 64 * 1024;
const INFO: usize = 12;

/// What was unpacked, and how.
#[derive(Debug)]
pub struct Unpacked {
    /// Offset of the first block's description.
    pub at: u64,
    /// UPX's names of the methods, joined.
    pub method: &'static str,
    /// Bytes of the original program that were unpacked.
    pub len: u64,
    /// False when a block could not be unpacked.
    pub whole: bool,
}

struct Block {
    unpacked: usize,
    packed: usize,
    method: u8,
}

impl Block {
    fn read(info: &[u8]) -> Option<Self> {
        let size = |at| elf::u32_at(info, at).and_then(|size| usize::try_from(size).ok());
        let block = Self { unpacked: size(0)?, packed: size(4)?, method: *info.get(8)? };
        let plausible = (1..=block.unpacked).contains(&block.packed) && block.unpacked <= MOST;
        (plausible && name(block.method).is_some()).then_some(block)
    }

    /// A block that would grow is stored as it is. Filters are left in place: they only move the targets of calls.
    fn unpack(&self, packed: &[u8]) -> Option<Vec<u8>> {
        match self.method {
            _ if packed.len() != self.packed => None,
            _ if self.packed == self.unpacked => Some(packed.to_vec()),
            14 => lzma(packed, self.unpacked),
            method @ 2..=10 => {
                let nrv = [Nrv::B, Nrv::D, Nrv::E][usize::from(method - 2) / 3];
                nrv::decompress(nrv, [4, 1, 2][usize::from(method - 2) % 3], packed, self.unpacked)
            }
            _ => None,
        }
    }
}

fn name(method: u8) -> Option<&'static str> {
    match method {
        2..=4 => Some("NRV2B"),
        5..=7 => Some("NRV2D"),
        8..=10 => Some("NRV2E"),
        14 => Some("LZMA"),
        _ => None,
    }
}

/// Two bytes of properties, then the stream without an end marker.
fn lzma(packed: &[u8], len: usize) -> Option<Vec<u8>> {
    let (&[first, second], stream) = packed.split_first_chunk()?;
    let (pb, lp, lc) = (first & 7, second >> 4, second & 15);
    if pb > 4 || lp > 4 || lc > 8 || lc + lp > 4 || first >> 3 != lc + lp {
        return None;
    }
    // The dictionary needs to be no larger than the output, which is all kept anyway.
    let dictionary = u32::try_from(len.next_power_of_two().clamp(4096, MOST)).ok()?;
    let reader =
        lzma_rust2::LzmaReader::new(stream, len as u64, lc.into(), lp.into(), pb.into(), dictionary, None);
    let mut out = Vec::new();
    reader.ok()?.take(len as u64).read_to_end(&mut out).ok()?;
    (out.len() == len).then_some(out)
}

/// Finds the first block: the one that unpacks to an ELF header.
fn first(head: &[u8], headers_end: usize) -> Option<(usize, Block)> {
    (headers_end..headers_end.saturating_add(LOOK)).step_by(4).find_map(|at| {
        let block = Block::read(head.get(at..at.checked_add(INFO)?)?)?;
        let start = at + INFO;
        let header = (64..=HEADERS)
            .contains(&block.unpacked)
            .then(|| block.unpack(head.get(start..start.checked_add(block.packed)?)?))??;
        elf::is_elf(&header).then_some((at, block))
    })
}

/// Unpacks a file that UPX packed; nothing for any other. `each` gets every block of the original program with its
/// place among the unpacked bytes.
///
/// # Errors
/// When the file cannot be read.
pub fn unpack(
    source: &Source<'_>,
    elf: &elf::Elf,
    mut each: impl FnMut(u64, &[u8]),
) -> Result<Option<Unpacked>, Skip> {
    let Ok(headers_end) = usize::try_from(elf.headers_end) else { return Ok(None) };
    let Some((at, mut block)) = first(source.head(), headers_end) else { return Ok(None) };
    let mut unpacked =
        Unpacked { at: at as u64, method: name(block.method).unwrap_or("UPX"), len: 0, whole: true };
    let mut next = at as u64;
    for _ in 0..BLOCKS {
        next += INFO as u64;
        let packed = source.bytes(next, block.packed)?;
        next += block.packed as u64;
        match block.unpack(&packed) {
            Some(bytes) => {
                each(unpacked.len, &bytes);
                unpacked.len += bytes.len() as u64;
                unpacked.method = name(block.method).unwrap_or(unpacked.method);
            }
            None => unpacked.whole = false,
        }
        let Some(following) = Block::read(&source.bytes(next, INFO)?) else { break };
        if unpacked.len + following.unpacked as u64 > MOST as u64 {
            unpacked.whole = false;
            break;
        }
        block = following;
    }
    Ok(Some(unpacked))
}
