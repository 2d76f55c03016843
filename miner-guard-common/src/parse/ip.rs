//! IPv4 and IPv6 headers: where a packet goes and where its transport header starts.
//!
//! Works on the first bytes of a packet; what lies beyond them is not asked for.

use super::bytes::Bytes;

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
pub fn parse(packet: &[u8]) -> Result<Packet, Malformed> {
    read(packet)
}

/// The same, of a packet that lies anywhere.
///
/// # Errors
/// [`Malformed`] says what is wrong with it.
#[inline(always)]
pub fn read<B: Bytes + ?Sized>(packet: &B) -> Result<Packet, Malformed> {
    let [first] = packet.array(0).ok_or(Malformed::Short)?;
    match first >> 4 {
        4 => v4(packet),
        6 => v6(packet),
        _ => Err(Malformed::Version),
    }
}

#[inline(always)]
fn v4<B: Bytes + ?Sized>(packet: &B) -> Result<Packet, Malformed> {
    let header: [u8; 20] = packet.array(0).ok_or(Malformed::Short)?;
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
fn v6<B: Bytes + ?Sized>(packet: &B) -> Result<Packet, Malformed> {
    const HEADER: u16 = 40;
    let [_, _, _, _, l0, l1, mut next, _hops] = packet.array(0).ok_or(Malformed::Short)?;
    let source = packet.array(8).ok_or(Malformed::Short)?;
    let destination = packet.array(24).ok_or(Malformed::Short)?;
    let length = u16::from_be_bytes([l0, l1]);
    let mut at = HEADER;
    let mut part = Fragment::Whole;
    for _ in 0..=MAX_EXTENSIONS {
        // Nothing of a later fragment but the fragment header itself is a header.
        let later = matches!(part, Fragment::Later);
        let is_fragment = next == 44 && matches!(part, Fragment::Whole);
        if later || !(is_fragment || matches!(next, 0 | 43 | 51 | 60 | 135 | 139 | 140)) {
            let end = if length == 0 { 0 } else { length.saturating_add(HEADER) };
            return Ok(Packet {
                source,
                destination,
                v6: true,
                protocol: next,
                fragment: part,
                transport: at,
                end,
            });
        }
        let [after, len, hi, lo] = packet.array(at as usize).ok_or(Malformed::Short)?;
        // Lengths count in eights and leave the first one out, but for the authentication header's fours.
        let long = if is_fragment {
            let word = u16::from_be_bytes([hi, lo]);
            // An atomic fragment (RFC 6946) is a whole packet.
            part = fragment(word >> 3, word & 1 != 0);
            8
        } else if next == 51 {
            8 + u16::from(len) * 4
        } else {
            8 + u16::from(len) * 8
        };
        next = after;
        // Nine headers of 2 KiB stay far below the end of a u16.
        at = at.wrapping_add(long);
    }
    Err(Malformed::Extensions)
}

/// Where a packet goes, which stands even in one that cannot be read further. `None`: not even that is there.
#[inline(always)]
pub fn destination<B: Bytes + ?Sized>(packet: &B) -> Option<(bool, [u8; 16])> {
    let [first] = packet.array(0)?;
    match first >> 4 {
        4 => {
            let mut out = [0; 16];
            [out[0], out[1], out[2], out[3]] = packet.array(16)?;
            Some((false, out))
        }
        6 => Some((true, packet.array(24)?)),
        _ => None,
    }
}
