//! TCP and UDP headers, and which bytes of a segment are new.

use super::cursor::Cursor;

/// What a TCP header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tcp {
    /// Source port, host byte order.
    pub source: u16,
    /// Destination port, host byte order.
    pub destination: u16,
    /// Number of the first byte.
    pub sequence: u32,
    /// Flag bits; [`SYN`], [`RST`], [`FIN`].
    pub flags: u8,
    /// Length of the header: the payload starts there.
    pub header: u16,
}

/// The connection ends.
pub const FIN: u8 = 1;
/// The connection begins; it takes one number before the payload.
pub const SYN: u8 = 2;
/// The connection is reset.
pub const RST: u8 = 4;
/// It answers something.
pub const ACK: u8 = 16;

/// Reads a TCP header. `None`: it is cut off, or its length contradicts itself.
#[inline(always)]
pub fn tcp(bytes: &[u8]) -> Option<Tcp> {
    let header: [u8; 20] = Cursor::new(bytes).array()?;
    let [s0, s1, d0, d1, q0, q1, q2, q3, _, _, _, _, offset, flags, ..] = header;
    let length = u16::from(offset >> 4) * 4;
    if length < 20 {
        return None;
    }
    Some(Tcp {
        source: u16::from_be_bytes([s0, s1]),
        destination: u16::from_be_bytes([d0, d1]),
        sequence: u32::from_be_bytes([q0, q1, q2, q3]),
        flags,
        header: length,
    })
}

/// Length of a UDP header.
pub const UDP_HEADER: u16 = 8;

/// Source and destination port of a UDP header, host byte order. `None`: it is cut off.
#[inline(always)]
pub fn udp(bytes: &[u8]) -> Option<(u16, u16)> {
    let mut cursor = Cursor::new(bytes);
    let ports = (cursor.u16()?, cursor.u16()?);
    cursor.u32()?;
    Some(ports)
}

/// What is new in a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fresh {
    /// Nothing: all of it was seen before.
    Nothing,
    /// All but the first `n` bytes.
    From(u32),
    /// Bytes before it are missing. (Egress sees segments in order, so something was sent before the guard
    /// watched; an automaton starts anew.)
    Gap,
}

/// Compares a segment with the next number that is expected, so that a byte sent twice is read once.
#[inline(always)]
pub const fn fresh(expected: u32, sequence: u32, length: u32) -> Fresh {
    // Sequence numbers wrap: the difference counts.
    let seen = expected.wrapping_sub(sequence);
    if seen > 0x8000_0000 {
        Fresh::Gap
    } else if seen >= length && length > 0 || seen > length {
        Fresh::Nothing
    } else {
        Fresh::From(seen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_sent_twice_is_read_once() {
        assert_eq!(fresh(100, 100, 10), Fresh::From(0));
        assert_eq!(fresh(105, 100, 10), Fresh::From(5));
        assert_eq!(fresh(110, 100, 10), Fresh::Nothing);
        assert_eq!(fresh(200, 100, 10), Fresh::Nothing);
        assert_eq!(fresh(99, 100, 10), Fresh::Gap);
    }

    #[test]
    fn sequence_numbers_wrap() {
        assert_eq!(fresh(3, u32::MAX - 1, 10), Fresh::From(5));
        assert_eq!(fresh(u32::MAX, 4, 10), Fresh::Gap);
    }

    #[test]
    fn a_header_that_lies_about_its_length_is_refused() {
        let mut header = [0; 20];
        header[12] = 0x40;
        assert_eq!(tcp(&header), None);
        header[12] = 0x50;
        assert_eq!(tcp(&header).map(|t| t.header), Some(20));
        assert_eq!(tcp(&header[..19]), None);
        assert_eq!(udp(&header[..7]), None);
    }
}
