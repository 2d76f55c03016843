//! SipHash-1-3: a keyed hash that nobody without the key can make collide.
//!
//! Written out here because the standard library's is neither keyed nor reachable without `std`, and
//! because the kernel side wants it word by word, with no buffer.

/// The state between words.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Sip {
    v0: u64,
    v1: u64,
    v2: u64,
    v3: u64,
}

impl Sip {
    /// Begins a hash under the key `(k0, k1)`.
    #[inline(always)]
    pub const fn new(k0: u64, k1: u64) -> Self {
        Self {
            v0: k0 ^ 0x736f_6d65_7073_6575,
            v1: k1 ^ 0x646f_7261_6e64_6f6d,
            v2: k0 ^ 0x6c79_6765_6e65_7261,
            v3: k1 ^ 0x7465_6462_7974_6573,
        }
    }

    #[inline(always)]
    const fn round(mut self) -> Self {
        self.v0 = self.v0.wrapping_add(self.v1);
        self.v1 = self.v1.rotate_left(13) ^ self.v0;
        self.v0 = self.v0.rotate_left(32);
        self.v2 = self.v2.wrapping_add(self.v3);
        self.v3 = self.v3.rotate_left(16) ^ self.v2;
        self.v0 = self.v0.wrapping_add(self.v3);
        self.v3 = self.v3.rotate_left(21) ^ self.v0;
        self.v2 = self.v2.wrapping_add(self.v1);
        self.v1 = self.v1.rotate_left(17) ^ self.v2;
        self.v2 = self.v2.rotate_left(32);
        self
    }

    /// Takes the next 8 bytes, as a little-endian number.
    #[inline(always)]
    pub const fn word(mut self, m: u64) -> Self {
        self.v3 ^= m;
        self = self.round();
        self.v0 ^= m;
        self
    }

    /// Ends the hash. `tail` holds the last `len % 8` bytes, little-endian, the rest zero; `len` is the whole length in bytes.
    #[inline(always)]
    pub const fn finish(self, tail: u64, len: u64) -> u64 {
        let mut s = self.word(tail | len << 56);
        s.v2 ^= 0xff;
        s = s.round();
        s = s.round();
        s = s.round();
        s.v0 ^ s.v1 ^ s.v2 ^ s.v3
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(bytes: &[u8], k0: u64, k1: u64) -> u64 {
        let mut s = Sip::new(k0, k1);
        let (words, tail) = bytes.as_chunks::<8>();
        for w in words {
            s = s.word(u64::from_le_bytes(*w));
        }
        let mut last = [0; 8];
        last[..tail.len()].copy_from_slice(tail);
        s.finish(u64::from_le_bytes(last), bytes.len() as u64)
    }

    #[test]
    fn the_reference_vector_of_nothing_comes_out_under_its_key() {
        // Key 00 01 … 0f, no input. What follows the key is checked against the standard library below.
        let want = [0xdc, 0xc4, 0x0f, 0x05, 0x58, 0x01, 0xac, 0xab];
        assert_eq!(of(&[], 0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908), u64::from_le_bytes(want));
    }

    #[test]
    fn it_agrees_with_the_standard_library_under_the_zero_key() {
        use std::hash::Hasher;
        let bytes: Vec<u8> = (0..200).map(|i| (i * 7) as u8).collect();
        for n in 0..bytes.len() {
            // `DefaultHasher::new` is SipHash-1-3 with a zero key.
            let mut h = std::collections::hash_map::DefaultHasher::new();
            h.write(&bytes[..n]);
            assert_eq!(of(&bytes[..n], 0, 0), h.finish(), "length {n}");
        }
    }
}
