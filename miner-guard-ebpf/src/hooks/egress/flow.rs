//! From where to where a packet goes, and what of it is payload.

use miner_guard_common::parse::{
    bytes::Bytes as _,
    ip::{self, Fragment, protocol},
    tcp,
};

use super::step;
use crate::packet::Packet;

/// What the headers say.
#[derive(Clone, Copy)]
pub struct Flow {
    /// Destination, high and low 64 bits; IPv4 as `::ffff:a.b.c.d`.
    pub high: u64,
    /// See `high`.
    pub low: u64,
    /// Destination port, host byte order; 0 where there is none.
    pub port: u16,
    /// Source port.
    pub source_port: u16,
    /// `IPPROTO_*`
    pub protocol: u8,
    /// TCP flags.
    pub flags: u8,
    /// TCP sequence number.
    pub sequence: u32,
    /// Where the payload lies, and its length.
    pub payload: u32,
    /// See `payload`.
    pub len: u32,
}

impl Flow {
    /// `None` for what is no IP packet.
    #[inline(always)]
    pub fn read(packet: Packet) -> Option<Self> {
        Self::with(packet, || step::transport(packet.context()))
    }

    /// The same; `transport` finds what follows an IPv6 header.
    #[inline(always)]
    pub fn with(packet: Packet, transport: impl FnOnce() -> Transport) -> Option<Self> {
        let start = packet.array(0)?;
        let (v6, to) = ip::destination(&packet, &start)?;
        let (high, low) = halves(v6, &to);
        let mut flow = Self {
            high,
            low,
            port: 0,
            source_port: 0,
            protocol: protocol::NONE,
            flags: 0,
            sequence: 0,
            payload: 0,
            len: 0,
        };
        // What cannot be read further still goes somewhere.
        let transport = if v6 { transport() } else { Transport::of(&ip::v4(&start)) };
        flow.protocol = transport.protocol();
        if transport.at() != 0 {
            flow.read_transport(packet, transport);
        }
        Some(flow)
    }

    #[inline(always)]
    fn read_transport(&mut self, packet: Packet, transport: Transport) {
        let at = transport.at();
        let length = match self.protocol {
            protocol::TCP => {
                let Some(bytes) = packet.array::<20>(at as usize) else { return };
                let Some(tcp) = tcp::tcp(&bytes) else { return };
                (self.source_port, self.port) = (tcp.source, tcp.destination);
                (self.flags, self.sequence) = (tcp.flags, tcp.sequence);
                u32::from(tcp.header)
            }
            protocol::UDP => {
                let Some([s0, s1, d0, d1]) = packet.array(at as usize) else { return };
                (self.source_port, self.port) = (u16::from_be_bytes([s0, s1]), u16::from_be_bytes([d0, d1]));
                u32::from(tcp::UDP_HEADER)
            }
            _ => return,
        };
        self.payload = at + length;
        // A packet may be longer than its header says, or, before it is cut into segments, the header may say nothing.
        let said = transport.end();
        let end = if said == 0 || said > packet.len() { packet.len() } else { said };
        self.len = end.saturating_sub(self.payload);
    }

    /// Whether it may say something that is to be read.
    #[inline(always)]
    pub const fn speaks(&self) -> bool {
        self.len > 0 && self.protocol == protocol::TCP || self.asks()
    }

    /// Whether it is a datagram to a name server.
    #[inline(always)]
    pub const fn asks(&self) -> bool {
        self.len > 0 && self.protocol == protocol::UDP && self.port == super::question::PORT
    }

    /// Whether somebody wrote what is in it, or opens a connection with it.
    #[inline(always)]
    pub const fn is_written(&self) -> bool {
        self.len > 0 || self.opens()
    }

    /// Whether it opens a connection.
    #[inline(always)]
    pub const fn opens(&self) -> bool {
        self.protocol == protocol::TCP && self.flags & (tcp::SYN | tcp::ACK) == tcp::SYN
    }
}

/// What an IP header says of the one that follows it, as one number.
#[derive(Clone, Copy)]
pub struct Transport(pub u64);

impl Transport {
    #[inline(always)]
    fn of(header: &ip::Header) -> Self {
        let at = if header.fragment == Fragment::Later { 0 } else { header.transport };
        Self(u64::from(header.end) << 24 | u64::from(at) << 8 | u64::from(header.protocol))
    }

    /// Of any packet: what has extension headers takes a loop.
    #[inline(always)]
    pub fn find(packet: Packet) -> Self {
        packet.array(0).map_or(Self(protocol::NONE.into()), |start| Self::of(&ip::header(&packet, &start)))
    }

    /// `IPPROTO_*`
    #[inline(always)]
    const fn protocol(self) -> u8 {
        self.0 as u8
    }

    /// Where it begins; 0 where there is none to read.
    #[inline(always)]
    const fn at(self) -> u32 {
        (self.0 >> 8) as u16 as u32
    }

    /// Where the packet ends, if the header says so, or 0.
    #[inline(always)]
    const fn end(self) -> u32 {
        (self.0 >> 24) as u16 as u32
    }
}

#[inline(always)]
fn halves(v6: bool, a: &[u8; 16]) -> (u64, u64) {
    let [a0, a1, a2, a3, a4, a5, a6, a7, b0, b1, b2, b3, b4, b5, b6, b7] = *a;
    if v6 {
        return (
            u64::from_be_bytes([a0, a1, a2, a3, a4, a5, a6, a7]),
            u64::from_be_bytes([b0, b1, b2, b3, b4, b5, b6, b7]),
        );
    }
    (0, 0xffff_0000_0000 | u64::from(u32::from_be_bytes([a0, a1, a2, a3])))
}

/// A part of a packet, as one number.
#[derive(Clone, Copy)]
pub struct Span(pub u64);

impl Span {
    /// Nothing is to be read.
    pub const NOTHING: Self = Self(0);
    /// The packet is to be dropped, unread.
    pub const REFUSED: Self = Self(1 << 63);

    /// `left` bytes from `at` on.
    #[inline(always)]
    pub const fn of(at: u32, left: u32) -> Self {
        Self((at as u64 & 0xf_ffff) << 32 | left as u64)
    }

    /// Whether the packet is to be dropped.
    #[inline(always)]
    pub const fn is_refused(self) -> bool {
        self.0 >> 63 != 0
    }

    /// Where it begins.
    #[inline(always)]
    pub const fn at(self) -> u32 {
        (self.0 >> 32) as u32 & 0xf_ffff
    }

    /// How long it is.
    #[inline(always)]
    pub const fn left(self) -> u32 {
        self.0 as u32
    }
}
