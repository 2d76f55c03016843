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

/// The same without the addresses. Every field is always written, unlike those of a `Result`: the kernel's verifier asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Why the packet could not be read; the other fields then say that nothing follows.
    pub malformed: Option<Malformed>,
    /// See [`Packet::protocol`].
    pub protocol: u8,
    /// See [`Packet::fragment`].
    pub fragment: Fragment,
    /// See [`Packet::transport`].
    pub transport: u16,
    /// See [`Packet::end`].
    pub end: u16,
}

impl Header {
    const fn bad(why: Malformed) -> Self {
        Self {
            malformed: Some(why),
            protocol: protocol::NONE,
            fragment: Fragment::Later,
            transport: 0,
            end: 0,
        }
    }
}

/// The bytes that every packet has. In the kernel each copy out of a packet is a call: these are copied once.
pub type Start = [u8; 20];

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
    let start = packet.array(0).ok_or(Malformed::Short)?;
    let Header { malformed, protocol, fragment, transport, end } = header(packet, &start);
    if let Some(why) = malformed {
        return Err(why);
    }
    let (v6, destination) = destination(packet, &start).ok_or(Malformed::Short)?;
    let source = if v6 {
        packet.array(8).ok_or(Malformed::Short)?
    } else {
        let [.., s0, s1, s2, s3, _, _, _, _] = start;
        four([s0, s1, s2, s3])
    };
    Ok(Packet { source, destination, v6, protocol, fragment, transport, end })
}

/// Reads the header of a packet that lies anywhere and begins with `start`.
#[inline(always)]
pub fn header<B: Bytes + ?Sized>(packet: &B, start: &Start) -> Header {
    match start[0] >> 4 {
        4 => v4(start),
        6 => v6(packet, start),
        _ => Header::bad(Malformed::Version),
    }
}

/// The same of a packet whose version is 4.
#[inline(always)]
pub fn v4(start: &Start) -> Header {
    let [first, _, l0, l1, _, _, f0, f1, _, protocol, ..] = *start;
    let length = u16::from_be_bytes([l0, l1]);
    let header_len = u16::from(first & 15) * 4;
    if header_len < 20 || (length != 0 && length < header_len) {
        return Header::bad(Malformed::Length);
    }
    Header {
        malformed: None,
        protocol,
        fragment: fragment(u16::from_be_bytes([f0, f1]) & 0x1fff, f0 & 0x20 != 0),
        transport: header_len,
        end: length,
    }
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
fn v6<B: Bytes + ?Sized>(packet: &B, start: &Start) -> Header {
    const HEADER: u16 = 40;
    let [_, _, _, _, l0, l1, mut next, ..] = *start;
    let length = u16::from_be_bytes([l0, l1]);
    let mut at = HEADER;
    let mut part = Fragment::Whole;
    for _ in 0..=MAX_EXTENSIONS {
        // Nothing of a later fragment but the fragment header itself is a header.
        let later = matches!(part, Fragment::Later);
        let is_fragment = next == 44 && matches!(part, Fragment::Whole);
        if later || !(is_fragment || matches!(next, 0 | 43 | 51 | 60 | 135 | 139 | 140)) {
            let end = if length == 0 { 0 } else { length.saturating_add(HEADER) };
            return Header { malformed: None, protocol: next, fragment: part, transport: at, end };
        }
        let Some([after, len, hi, lo]) = packet.array(at as usize) else {
            return Header::bad(Malformed::Short);
        };
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
    Header::bad(Malformed::Extensions)
}

/// Where a packet goes that begins with `start`, which stands even in one that cannot be read further. `None`: not even
/// that is there.
#[inline(always)]
pub fn destination<B: Bytes + ?Sized>(packet: &B, start: &Start) -> Option<(bool, [u8; 16])> {
    match start[0] >> 4 {
        4 => {
            let [.., d0, d1, d2, d3] = *start;
            Some((false, four([d0, d1, d2, d3])))
        }
        6 => Some((true, packet.array(24)?)),
        _ => None,
    }
}

/// An IPv4 address as [`Packet`] has it.
#[inline(always)]
const fn four([a, b, c, d]: [u8; 4]) -> [u8; 16] {
    [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
}
