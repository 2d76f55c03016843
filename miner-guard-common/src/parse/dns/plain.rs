//! The question that nearly all are: one name, whole in one datagram, read eight bytes at a time.
//!
//! It gives the characters that [`super::Questions`] gives, or says that it cannot; then [`super::Questions`] is asked.

/// Bytes in front of a question's name, and the first label's length: what [`Letters::of_question`] wants to see.
pub const HEAD: usize = 13;
/// Bytes of a name, or more, that are read at a time.
pub const WORDS: usize = 32;
/// Labels of a plain name.
const LABELS: u32 = 24;
/// Characters of a plain name.
const LONGEST: u32 = 253;

/// A name as it stands in a packet behind its first length, then its characters. 264 bytes, all zero at first.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Letters {
    words: [u64; WORDS],
    /// Characters.
    len: u32,
    #[doc(hidden)]
    pad: u32,
}

impl Default for Letters {
    fn default() -> Self {
        Self { words: [0; WORDS], len: 0, pad: 0 }
    }
}

impl Letters {
    /// Whether the head of a message, and the length of its first label, are those of one plain question.
    #[inline(always)]
    pub const fn is_plain(head: &[u8; HEAD]) -> bool {
        // A query, no other operation; one question.
        head[2] & 0xf8 == 0 && head[4] == 0 && head[5] == 1
    }

    /// The room for the first `n` bytes behind the first length. What a name before left behind them is taken away.
    #[inline(always)]
    pub fn room(&mut self, n: u32) -> &mut [u64; WORDS] {
        self.words[place(n)] = 0;
        &mut self.words
    }

    /// Makes characters of the `n` bytes in the room: lower case, dots between labels. `first` is the length of the first
    /// label. Returns whether they hold a plain name, whole.
    #[inline(always)]
    pub fn read(&mut self, first: u8, n: u32) -> bool {
        let mut i = 0;
        while i < WORDS {
            if i as u32 * 8 >= n {
                break;
            }
            let word = self.words[i];
            // A dot is a character of a label, or the length of a long one.
            if dots(word) != 0 {
                return false;
            }
            // Lengths are below the letters.
            self.words[i] = lower(word);
            i += 1;
        }
        self.len = 0;
        let mut at = first as u32;
        if first == 0 {
            return true;
        }
        if first > 63 {
            return false;
        }
        let mut labels = 0;
        while labels < LABELS {
            if at >= n || at > LONGEST {
                return false;
            }
            let (i, shift) = (place(at), at % 8 * 8);
            let length = (self.words[i] >> shift) as u32 & 0xff;
            if length == 0 {
                self.len = at;
                return true;
            }
            if length > 63 {
                return false;
            }
            // The byte was a length: what it had is taken out, and a dot put in.
            self.words[i] ^= ((length ^ b'.' as u32) as u64) << shift;
            at += 1 + length;
            labels += 1;
        }
        false
    }

    /// Number of characters.
    #[inline(always)]
    pub const fn len(&self) -> u32 {
        self.len
    }

    /// Whether it is the root.
    #[inline(always)]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Eight characters, the last one first and lowest, `8 * k` of them from the end; zeros past the front.
    #[inline(always)]
    pub fn from_end(&self, k: u32) -> u64 {
        let end = self.len.wrapping_sub(k.wrapping_mul(8));
        if end == 0 || end > 8 * WORDS as u32 {
            return 0;
        }
        // They end in the middle of a word, most often.
        let over = end % 8 * 8;
        let high = if over == 0 { 0 } else { self.words[place(end)] << (64 - over) };
        let low = if end < 8 { 0 } else { self.words[place(end - 8)] >> over };
        (high | low).swap_bytes()
    }
}

/// The word in which a byte is. The verifier is to see no more of the number than this mask: it loses the bounds of what the
/// compiler makes of a sum and a mask.
#[inline(always)]
fn place(at: u32) -> usize {
    core::hint::black_box(at / 8) as usize % WORDS
}

const ONES: u64 = 0x0101_0101_0101_0101;
const TOPS: u64 = 0x8080_8080_8080_8080;

/// The top bit of each byte that is a dot.
#[inline(always)]
const fn dots(word: u64) -> u64 {
    let x = word ^ (b'.' as u64 * ONES);
    // Without a carry from one byte to the next.
    !(((x & !TOPS) + !TOPS) | x | !TOPS)
}

/// Each byte in lower case.
#[inline(always)]
const fn lower(word: u64) -> u64 {
    let low = word & !TOPS;
    let from_a = low + (0x80 - b'A' as u64) * ONES;
    let past_z = low + (0x7f - b'Z' as u64) * ONES;
    word | ((from_a & !past_z & !word & TOPS) >> 2)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::parse::{
        dns::{Event, Questions},
        name::Name,
    };

    /// As the kernel side does it. `None`: not plain.
    fn plain(letters: &mut Letters, wire: &[u8]) -> Option<Vec<u8>> {
        let head = wire.first_chunk::<HEAD>()?;
        let rest = &wire[HEAD..];
        let n = rest.len().min(8 * WORDS);
        if !Letters::is_plain(head) || n == 0 {
            return None;
        }
        let room = letters.room(n as u32);
        for (i, &byte) in rest[..n].iter().enumerate() {
            room[i / 8] = room[i / 8] & !(0xff << (i % 8 * 8)) | u64::from(byte) << (i % 8 * 8);
        }
        if !letters.read(head[HEAD - 1], n as u32) {
            return None;
        }
        let mut out = Vec::new();
        for k in 0..letters.len().div_ceil(8) {
            out.extend(letters.from_end(k).to_le_bytes());
        }
        out.truncate(letters.len() as usize);
        out.reverse();
        Some(out)
    }

    fn byte_by_byte(wire: &[u8]) -> Option<Vec<u8>> {
        let (mut reader, mut name) = (Questions::datagram(), Name::new());
        wire.iter().any(|&b| reader.push(b, &mut name) == Event::Name).then(|| name.as_bytes().to_vec())
    }

    fn question(labels: &[Vec<u8>]) -> Vec<u8> {
        let mut wire = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0".to_vec();
        for label in labels {
            wire.push(label.len() as u8);
            wire.extend(label);
        }
        wire.extend(b"\0\0\x01\0\x01");
        wire
    }

    #[test]
    fn a_common_name_is_read_and_one_with_a_dot_in_a_label_is_left_to_the_other_reader() {
        let mut letters = Letters::default();
        let wire = question(&[b"WWW".to_vec(), b"Example-1".to_vec(), b"ORG".to_vec()]);
        assert_eq!(plain(&mut letters, &wire).unwrap(), b"www.example-1.org");
        assert_eq!(plain(&mut letters, &question(&[])).unwrap(), b"");
        assert_eq!(plain(&mut letters, &question(&[b"a.b".to_vec()])), None);
        assert_eq!(plain(&mut letters, &wire[..20]), None, "cut off");
        let mut two = wire.clone();
        two[5] = 2;
        assert_eq!(plain(&mut letters, &two), None);
    }

    proptest! {
        #[test]
        fn what_it_reads_is_what_the_other_reader_reads(
            names in prop::collection::vec(
                (prop::collection::vec(prop::collection::vec(any::<u8>(), 1..64), 0..8), 0..300usize), 1..4)
        ) {
            // Of one room, so that nothing of one name shows in the next.
            let mut letters = Letters::default();
            for (labels, cut) in names {
                let wire = question(&labels);
                let wire = &wire[..wire.len().saturating_sub(if cut < 30 { cut } else { 0 })];
                if let Some(read) = plain(&mut letters, wire) {
                    prop_assert_eq!(Some(read), byte_by_byte(wire));
                }
            }
        }

        #[test]
        fn letters_and_dots_are_told_in_any_eight_bytes(bytes: [u8; 8]) {
            let word = u64::from_le_bytes(bytes);
            prop_assert_eq!(lower(word).to_le_bytes(), bytes.map(|b| b.to_ascii_lowercase()));
            let top = bytes.map(|b| if b == b'.' { 0x80 } else { 0 });
            prop_assert_eq!(dots(word).to_le_bytes(), top);
        }
    }
}
