//! IPv4 and IPv6 headers: where a packet goes and where its transport header starts.
//!
//! Works on the first bytes of a packet; what lies beyond them is not asked for.

use super::cursor::Cursor;

/// Extension headers that are walked. Real packets have one or two; the kernel refuses far fewer than nine
/// only for some kinds.
pub const MAX_EXTENSIONS: usize = 8;

/// Protocol numbers.
pub mod protocol {
    /// TCP
    pub const TCP: u8 = 6;
    /// UDP
    pub const UDP: u8 = 17;
    /// IPv6 has no next header.
    pub const NONE: u8 = 59;
}

/// Which part of a datagram a packet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fragment {
    /// All of it.
    Whole,
    /// The first part: it has the transport header.
    First,
    /// A later part: it has none.
    Later,
}

/// What an IP header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Source, an IPv4 address in the first 4 bytes, the rest 0.
    pub source: [u8; 16],
    /// Destination, likewise.
    pub destination: [u8; 16],
    /// Whether the addresses are IPv6.
    pub v6: bool,
    /// `IPPROTO_*` of what follows at `transport`.
    pub protocol: u8,
    /// Which part of a datagram this is.
    pub fragment: Fragment,
    /// Offset of the transport header from the start of the packet; in a later fragment, of its data.
    pub transport: u16,
    /// Where the packet ends by its own header; 0 for a jumbogram or a packet that segmentation offload left
    /// without a length.
    pub end: u16,
}

/// Why a packet could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// The header is longer than what is there.
    Short,
    /// Neither version 4 nor 6.
    Version,
    /// A length that contradicts itself.
    Length,
    /// More extension headers than [`MAX_EXTENSIONS`].
    Extensions,
}

/// Reads the header at the start of a packet.
///
/// # Errors
/// [`Malformed`] says what is wrong with it.
#[inline(always)]
pub fn parse(packet: &[u8]) -> Result<Packet, Malformed> {
    match packet.first().ok_or(Malformed::Short)? >> 4 {
        4 => v4(packet),
        6 => v6(packet),
        _ => Err(Malformed::Version),
    }
}

#[inline(always)]
fn v4(packet: &[u8]) -> Result<Packet, Malformed> {
    let mut cursor = Cursor::new(packet);
    let header: [u8; 20] = cursor.array().ok_or(Malformed::Short)?;
    let [first, _, l0, l1, _, _, f0, f1, _, protocol, _, _, s0, s1, s2, s3, d0, d1, d2, d3] = header;
    let length = u16::from_be_bytes([l0, l1]);
    let header_len = u16::from(first & 15) * 4;
    if header_len < 20 || (length != 0 && length < header_len) {
        return Err(Malformed::Length);
    }
    let mut source = [0; 16];
    let mut destination = [0; 16];
    [source[0], source[1], source[2], source[3]] = [s0, s1, s2, s3];
    [destination[0], destination[1], destination[2], destination[3]] = [d0, d1, d2, d3];
    Ok(Packet {
        source,
        destination,
        v6: false,
        protocol,
        fragment: fragment(u16::from_be_bytes([f0, f1]) & 0x1fff, f0 & 0x20 != 0),
        transport: header_len,
        end: length,
    })
}

#[inline(always)]
fn fragment(offset: u16, more: bool) -> Fragment {
    match (offset, more) {
        (0, false) => Fragment::Whole,
        (0, true) => Fragment::First,
        _ => Fragment::Later,
    }
}

#[inline(always)]
fn v6(packet: &[u8]) -> Result<Packet, Malformed> {
    let mut cursor = Cursor::new(packet);
    let mut read = || {
        cursor.u32()?;
        let length = cursor.u16()?;
        let [next, _hops] = cursor.array()?;
        Some((length, next, cursor.array()?, cursor.array()?))
    };
    let (length, mut next, source, destination) = read().ok_or(Malformed::Short)?;
    let mut part = Fragment::Whole;
    for _ in 0..=MAX_EXTENSIONS {
        // Lengths count in eights and leave the first one out, but for the authentication header's fours.
        let beyond = match next {
            0 | 43 | 60 | 135 | 139 | 140 if part != Fragment::Later => {
                let [after, len] = cursor.array().ok_or(Malformed::Short)?;
                next = after;
                6 + usize::from(len) * 8
            }
            51 if part != Fragment::Later => {
                let [after, len] = cursor.array().ok_or(Malformed::Short)?;
                next = after;
                6 + usize::from(len) * 4
            }
            44 if part == Fragment::Whole => {
                let [after, _, hi, lo] = cursor.array().ok_or(Malformed::Short)?;
                next = after;
                let word = u16::from_be_bytes([hi, lo]);
                // An atomic fragment (RFC 6946) is a whole packet.
                part = fragment(word >> 3, word & 1 != 0);
                4
            }
            _ => {
                let transport = u16::try_from(cursor.position()).map_err(|_| Malformed::Length)?;
                let end = if length == 0 { 0 } else { length.saturating_add(40) };
                return Ok(Packet {
                    source,
                    destination,
                    v6: true,
                    protocol: next,
                    fragment: part,
                    transport,
                    end,
                });
            }
        };
        cursor = cursor.moved(cursor.position() + beyond);
    }
    Err(Malformed::Extensions)
}
