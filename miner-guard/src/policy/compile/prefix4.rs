//! IPv4 prefixes as a step function of three levels: see `miner_guard_common::table`.

use super::{CompileError, flatten::Step};
use miner_guard_common::abi::policy::{Block, TAG_POINTER, TAG_SPREAD, chunk};

/// Blocks of the index by the high 16 bits.
const INDEX_BLOCKS: usize = 4096;
/// Divided cells of a chunk from which on all 256 are spread out. Spread, they take no more than twice the room.
const SPREAD_FROM: usize = 128;

/// The section for sorted, disjoint steps over 32-bit addresses.
pub(super) fn section(steps: &[Step]) -> Result<Vec<Block>, CompileError> {
    let mut build = Build { steps, next: 0, chunks: Vec::new(), values: Vec::new() };
    let mut section = Vec::with_capacity(INDEX_BLOCKS);
    for b in 0..INDEX_BLOCKS as u128 {
        let mut block = Block::ZERO;
        for (i, word) in (0..).zip(&mut block.0) {
            *word = build.value((b * 16 + i) << 16, 16);
        }
        section.push(block);
    }
    // Values lie behind the chunks; their place is known only now that the chunks are counted.
    let values_at = (INDEX_BLOCKS + build.chunks.len()) * 16;
    if values_at + build.values.len() >= TAG_POINTER as usize {
        return Err(CompileError::TooLarge("IPv4 prefix"));
    }
    section.extend(build.chunks.iter().map(|c| {
        let mut b = c.block;
        if let Some(at) = c.values_at {
            b.0[chunk::VALUES as usize] = (values_at + at) as u32;
        }
        b
    }));
    section.extend(build.values.chunks(16).map(|v| {
        let mut b = Block::ZERO;
        b.0[..v.len()].copy_from_slice(v);
        b
    }));
    Ok(section)
}

struct Chunk {
    block: Block,
    values_at: Option<usize>,
}

struct Build<'a> {
    steps: &'a [Step],
    /// No step before this one reaches the address that is asked for next: questions come in rising order.
    next: usize,
    chunks: Vec<Chunk>,
    values: Vec<u32>,
}

impl Build<'_> {
    /// The tag of the `2^bits` addresses from `from` on, if they have one; else a chunk for them.
    fn value(&mut self, from: u128, bits: u32) -> u32 {
        let to = from | ((1 << bits) - 1);
        while self.steps.get(self.next).is_some_and(|s| s.last < from) {
            self.next += 1;
        }
        match self.steps.get(self.next) {
            None => 0,
            Some(s) if s.first > to => 0,
            Some(s) if s.first <= from && s.last >= to => s.tag,
            Some(_) => self.cells(from, to, bits.saturating_sub(8)),
        }
    }

    /// The chunk of 256 cells of `2^bits` addresses each, run by run: most cells are like their neighbour.
    fn cells(&mut self, from: u128, to: u128, bits: u32) -> u32 {
        let mut cells = [0; 256];
        let below = self.chunks.len();
        let mut c = 0;
        while c < 256 {
            let start = from + ((c as u128) << bits);
            while self.steps.get(self.next).is_some_and(|s| s.last < start) {
                self.next += 1;
            }
            let Some(&step) = self.steps.get(self.next).filter(|s| s.first <= to) else { break };
            let begins = (step.first.max(start) - from) >> bits;
            // Cells up to the one where the step begins are empty; those that it covers whole are its own.
            let ends = (step.last.min(to) + 1 - from) >> bits;
            let whole = step.first <= from + (begins << bits);
            c = begins as usize;
            if whole && ends > begins {
                cells[c..ends as usize].fill(step.tag);
                c = ends as usize;
            } else {
                cells[c] = self.value(from + (begins << bits), bits);
                c += 1;
            }
        }
        if self.chunks.len() - below >= SPREAD_FROM {
            return self.spread(&cells, below);
        }
        let chunk = self.chunk(&cells);
        self.push(chunk)
    }

    /// In place of one chunk that points to those from `below` on (there were so many before): a chunk for every cell, in a row.
    fn spread(&mut self, cells: &[u32; 256], below: usize) -> u32 {
        let mut divided = self.chunks.split_off(below).into_iter();
        for &cell in cells {
            let own = if cell & TAG_POINTER != 0 { divided.next() } else { None };
            let chunk = own.unwrap_or_else(|| self.chunk(&[cell; 256]));
            self.chunks.push(chunk);
        }
        TAG_POINTER | TAG_SPREAD | (INDEX_BLOCKS + below) as u32
    }

    fn push(&mut self, chunk: Chunk) -> u32 {
        self.chunks.push(chunk);
        TAG_POINTER | (INDEX_BLOCKS + self.chunks.len() - 1) as u32
    }

    fn chunk(&mut self, cells: &[u32; 256]) -> Chunk {
        let mut block = Block::ZERO;
        let mut values: Vec<u32> = Vec::with_capacity(8);
        for (i, &cell) in cells.iter().enumerate() {
            if i % 32 == 0 {
                let part = i / 32;
                block.0[chunk::BEFORE as usize + part / 4] |= (values.len() as u32) << (part % 4 * 8);
            }
            if values.last() != Some(&cell) {
                block.0[chunk::BITMAP as usize + i / 32] |= 1 << (i % 32);
                values.push(cell);
            }
        }
        let values_at = if values.len() <= chunk::INLINE_MAX {
            block.0[chunk::INLINE as usize..][..values.len()].copy_from_slice(&values);
            None
        } else {
            let at = self.values.len();
            self.values.extend_from_slice(&values);
            Some(at)
        };
        Chunk { block, values_at }
    }
}
