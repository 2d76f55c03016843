//! A domain name as it stands in a packet, made comparable: lower case, dots between labels, none at the end.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Room for any name: 255 octets on the wire are at most 253 characters.
pub const ROOM: usize = 256;

/// A name that is being read. 258 bytes: for a map's memory, not for a kernel stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Name {
    bytes: [u8; ROOM],
    len: u16,
}

impl Name {
    /// The empty name, the root.
    pub const fn new() -> Self {
        Self { bytes: [0; ROOM], len: 0 }
    }

    /// Forgets what was read.
    #[inline(always)]
    pub const fn clear(&mut self) {
        self.len = 0;
    }

    /// Adds a character of a label. A dot within a label is no border of labels, so it is kept as 0xff;
    /// no listed name has that byte.
    #[inline(always)]
    pub const fn push(&mut self, byte: u8) {
        self.put(if byte == b'.' { 0xff } else { byte.to_ascii_lowercase() });
    }

    /// Adds a character of text, in which a dot is a border of labels.
    #[inline(always)]
    pub const fn push_text(&mut self, byte: u8) {
        self.put(byte.to_ascii_lowercase());
    }

    /// Begins another label.
    #[inline(always)]
    pub const fn border(&mut self) {
        if self.len > 0 {
            self.put(b'.');
        }
    }

    #[inline(always)]
    const fn put(&mut self, byte: u8) {
        // A mask and not a comparison: the verifier sees that no write leaves the array. The readers refuse
        // a name before it is so long that the length would pass the room.
        self.bytes[self.len as usize % ROOM] = byte;
        self.len = if self.len < 255 { self.len + 1 } else { 255 };
    }

    /// Takes one dot off the end, which TLS names and texts may have.
    #[inline(always)]
    pub const fn trim(&mut self) {
        if self.len > 0 && self.bytes[(self.len as usize - 1) % ROOM] == b'.' {
            self.len -= 1;
        }
    }

    /// Number of characters.
    #[inline(always)]
    pub const fn len(&self) -> u16 {
        self.len
    }

    /// Whether it is the root.
    #[inline(always)]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The `n`-th character from the end, from 0 on. At each dot, and past the front, the characters so far
    /// are a suffix by labels: the order in which the policy's table hashes names.
    #[inline(always)]
    pub const fn from_end(&self, n: u16) -> Option<u8> {
        if n < self.len { Some(self.bytes[(self.len - 1 - n) as usize % ROOM]) } else { None }
    }

    /// The room: the characters, and then what was there before.
    #[inline(always)]
    pub const fn room(&self) -> &[u8; ROOM] {
        &self.bytes
    }

    /// The characters. Bytes that are no ASCII are as they came.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }
}

impl Default for Name {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_from_its_end() {
        let mut name = Name::new();
        name.border();
        b"Pool".iter().for_each(|&b| name.push(b));
        name.border();
        b"a.b".iter().for_each(|&b| name.push(b));
        assert_eq!(name.as_bytes(), b"pool.a\xffb");
        assert_eq!((name.from_end(0), name.from_end(7), name.from_end(8)), (Some(b'b'), Some(b'p'), None));
    }

    #[test]
    fn a_name_that_does_not_end_stays_within_its_room() {
        let mut name = Name::new();
        (0..1000).for_each(|_| name.push(b'x'));
        assert_eq!(name.len(), 255);
    }
}
