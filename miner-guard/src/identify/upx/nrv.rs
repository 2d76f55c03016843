//! The NRV2 decompressors. Each reads bits, most significant first, from units of 1, 2 or 4 bytes that lie among
//! literal bytes; a match is an offset, which may repeat the last one, and a length.

/// Which member of the family: they differ in how offsets and lengths are coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nrv {
    /// NRV2B
    B,
    /// NRV2D
    D,
    /// NRV2E
    E,
}

struct Bits<'i> {
    input: &'i [u8],
    /// Bytes of a unit.
    unit: usize,
    held: u32,
    left: u32,
}

impl Bits<'_> {
    fn byte(&mut self) -> Option<u32> {
        let (&first, rest) = self.input.split_first()?;
        self.input = rest;
        Some(first.into())
    }

    fn bit(&mut self) -> Option<u32> {
        if self.left == 0 {
            let (unit, rest) = self.input.split_at_checked(self.unit)?;
            self.input = rest;
            self.held = unit.iter().rev().fold(0, |held, &byte| held << 8 | u32::from(byte));
            self.left = 8 * self.unit as u32;
        }
        self.left -= 1;
        Some(self.held >> self.left & 1)
    }

    /// `value` with one more bit; nothing when it outgrows what a valid stream holds.
    fn more(&mut self, value: u32) -> Option<u32> {
        value.checked_mul(2)?.checked_add(self.bit()?)
    }

    /// Bits in pairs: one of the number, one that says whether it ends.
    fn number(&mut self, mut value: u32) -> Option<u32> {
        loop {
            value = self.more(value)?;
            if self.bit()? == 1 {
                return Some(value);
            }
        }
    }
}

/// Decompresses until the end marker. Nothing when the input is not valid, or unpacks to another length. `unit` is 1, 2 or 4.
pub fn decompress(method: Nrv, unit: usize, input: &[u8], len: usize) -> Option<Vec<u8>> {
    let mut bits = Bits { input, unit, held: 0, left: 0 };
    let mut out: Vec<u8> = Vec::new();
    let mut last = 1u32;
    loop {
        while bits.bit()? == 1 {
            out.push(bits.byte()? as u8);
            if out.len() > len {
                return None;
            }
        }
        let code = offset(method, &mut bits)?;
        // In D and E the lowest bit of a new offset is the first of the length.
        let mut short = 0;
        if code == 2 {
            if method != Nrv::B {
                short = bits.bit()?;
            }
        } else {
            let raw = (code - 3).checked_mul(256)?.checked_add(bits.byte()?)?;
            if raw == u32::MAX {
                return (out.len() == len).then_some(out);
            }
            last = match method {
                Nrv::B => raw,
                Nrv::D | Nrv::E => {
                    short = !raw & 1;
                    raw >> 1
                }
            } + 1;
        }
        let length = length(method, &mut bits, short)? + u32::from(last > far(method));
        copy(&mut out, last as usize, length as usize + 1, len)?;
    }
}

/// Matches further back than this are one byte longer.
fn far(method: Nrv) -> u32 {
    match method {
        Nrv::B => 0xd00,
        Nrv::D | Nrv::E => 0x500,
    }
}

fn offset(method: Nrv, bits: &mut Bits<'_>) -> Option<u32> {
    if method == Nrv::B {
        return bits.number(1);
    }
    let mut value = 1;
    loop {
        value = bits.more(value)?;
        if bits.bit()? == 1 {
            return Some(value);
        }
        value = bits.more(value - 1)?;
    }
}

fn length(method: Nrv, bits: &mut Bits<'_>, short: u32) -> Option<u32> {
    Some(match method {
        Nrv::B | Nrv::D => {
            let first = if method == Nrv::B { bits.bit()? } else { short };
            match bits.more(first)? {
                0 => bits.number(1)?.checked_add(2)?,
                two => two,
            }
        }
        Nrv::E if short == 1 => 1 + bits.bit()?,
        Nrv::E if bits.bit()? == 1 => 3 + bits.bit()?,
        Nrv::E => bits.number(1)?.checked_add(3)?,
    })
}

/// Repeats `length` bytes from `back` bytes before the end; they may overlap what is written.
fn copy(out: &mut Vec<u8>, back: usize, length: usize, most: usize) -> Option<()> {
    let from = out.len().checked_sub(back)?;
    if out.len().checked_add(length)? > most {
        return None;
    }
    if back >= length {
        out.extend_from_within(from..from + length);
    } else {
        for at in from..from + length {
            let byte = *out.get(at)?;
            out.push(byte);
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn literals_and_an_overlapping_match_are_unpacked() {
        // Bits: 1 literal 'a'; 0 and the code 3 (a new offset, high part 0); length bits 1 1; 0 and the end marker.
        let mut bits = vec![1, 0, 1, 1, 1, 1];
        // The end: the code 0x1000002, in pairs of a bit and "goes on", then the byte 0xff.
        bits.push(0);
        let code: u32 = 0x0100_0002;
        for i in (0..24).rev() {
            bits.push(code >> i & 1);
            bits.push(u32::from(i == 0));
        }
        let mut input: Vec<u8> = Vec::new();
        let mut literals = [(0, b'a'), (3, 0), (bits.len() - 1, 0xff)].into_iter().peekable();
        for (i, unit) in bits.chunks(8).enumerate() {
            input.push(unit.iter().enumerate().fold(0, |byte, (n, &bit)| byte | (bit as u8) << (7 - n)));
            while let Some((_, byte)) = literals.next_if(|(at, _)| *at < 8 * (i + 1)) {
                input.push(byte);
            }
        }
        assert_eq!(decompress(Nrv::B, 1, &input, 5).as_deref(), Some(&b"aaaaa"[..]));
        assert_eq!(decompress(Nrv::B, 1, &input, 4), None);
        assert_eq!(decompress(Nrv::B, 1, &input[..3], 5), None);
    }

    proptest! {
        #[test]
        fn any_input_ends_within_its_bound(
            input in prop::collection::vec(any::<u8>(), 0..4096),
            method in prop::sample::select(vec![Nrv::B, Nrv::D, Nrv::E]),
            unit in prop::sample::select(vec![1usize, 2, 4]),
            len in 0usize..100_000,
        ) {
            if let Some(out) = decompress(method, unit, &input, len) {
                prop_assert_eq!(out.len(), len);
            }
        }
    }
}
