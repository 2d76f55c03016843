//! Raw sockets and frames: the program writes headers itself. Needs CAP_NET_RAW, and passes the hooks at connect and
//! sendmsg.

use std::{
    io, mem,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use super::{process::hold, unavailable};
use crate::{options::PACKET_QDISC_BYPASS, sys};

/// In each packet, so that it is known again.
const MARK: &[u8] = b"miner-guard-e2e: a frame";
const UDP: u8 = 17;

pub fn header_included(to: SocketAddr) -> io::Result<()> {
    let IpAddr::V4(ip) = to.ip() else {
        return Err(io::Error::new(io::ErrorKind::Unsupported, "IP_HDRINCL is of IPv4"));
    };
    let socket = sys::socket(libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_RAW)
        .map_err(|error| unavailable("no raw sockets", &error))?;
    // The kernel fills in length, identification and checksum of the IP header. The port of a raw socket is a protocol.
    sys::send_to(&socket, &v4_packet(ip, to.port()), 0, SocketAddr::new(to.ip(), 0)).map(drop)
}

/// The kernel writes the IPv6 header, the program the rest.
pub fn v6(to: SocketAddr) -> io::Result<()> {
    /// linux/in6.h
    const IPV6_CHECKSUM: libc::c_int = 7;
    let socket = sys::socket(libc::AF_INET6, libc::SOCK_RAW, UDP.into())
        .map_err(|error| unavailable("no raw sockets", &error))?;
    sys::set_option(&socket, libc::IPPROTO_IPV6, IPV6_CHECKSUM, 6)?;
    sys::send_to(&socket, &datagram(to.port()), 0, SocketAddr::new(to.ip(), 0)).map(drop)
}

/// The interface that frames are sent by, if the test has made it; else `lo`.
pub const INTERFACE: &str = "mg-e2e0";
const VLAN: u16 = 0x8100;

/// A packet, handed to the interface; the kernel writes the Ethernet header.
pub fn frame(to: SocketAddr) -> io::Result<()> {
    let (kind, packet) = packet(to);
    send_frame(libc::SOCK_DGRAM, kind, &packet, false)
}

/// A whole frame.
pub fn whole_frame(to: SocketAddr) -> io::Result<()> {
    let (kind, packet) = packet(to);
    send_frame(libc::SOCK_RAW, kind, &ethernet(&[kind], &packet), false)
}

/// The same with a VLAN tag, and the kernel is told that it is something else.
pub fn tagged_frame(to: SocketAddr) -> io::Result<()> {
    let (kind, packet) = packet(to);
    send_frame(libc::SOCK_RAW, libc::ETH_P_ARP as u16, &ethernet(&[VLAN, 7, kind], &packet), false)
}

/// The same by a socket that leaves the queue of the interface out; sent when it is told to go on.
pub fn frame_past_the_queue(to: SocketAddr) -> io::Result<()> {
    let (kind, packet) = packet(to);
    send_frame(libc::SOCK_DGRAM, kind, &packet, true)
}

/// From a network namespace that the guard is not in, once it is told to go on.
pub fn frame_elsewhere(to: SocketAddr) -> io::Result<()> {
    sys::unshare(libc::CLONE_NEWNET).map_err(|error| unavailable("no network namespaces", &error))?;
    sys::net::loopback_up()?;
    hold()?;
    frame(to)
}

fn packet(to: SocketAddr) -> (u16, Vec<u8>) {
    match to.ip() {
        IpAddr::V4(ip) => (libc::ETH_P_IP as u16, v4_packet(ip, to.port())),
        IpAddr::V6(ip) => (libc::ETH_P_IPV6 as u16, v6_packet(ip, to.port())),
    }
}

/// Two addresses that mean nobody, these types and tags, and the packet.
fn ethernet(kinds: &[u16], packet: &[u8]) -> Vec<u8> {
    let mut out = vec![0; 12];
    out.extend(kinds.iter().flat_map(|kind| kind.to_be_bytes()));
    out.extend(packet);
    out
}

/// Through when it was seen to leave.
fn send_frame(kind: libc::c_int, protocol: u16, frame: &[u8], past_the_queue: bool) -> io::Result<()> {
    let everything = libc::c_int::from((libc::ETH_P_ALL as u16).to_be());
    let watch = sys::socket(libc::AF_PACKET, libc::SOCK_DGRAM, everything)
        .map_err(|error| unavailable("no packet sockets", &error))?;
    let socket = sys::socket(libc::AF_PACKET, kind, 0)?;
    if past_the_queue {
        sys::set_option(&socket, libc::SOL_PACKET, PACKET_QDISC_BYPASS, 1)?;
        hold()?;
    }
    // SAFETY: sockaddr_ll is plain data for which all zeroes is a value.
    let mut interface: libc::sockaddr_ll = unsafe { mem::zeroed() };
    interface.sll_family = libc::AF_PACKET as libc::c_ushort;
    interface.sll_protocol = protocol.to_be();
    let index = sys::interface::index(INTERFACE).unwrap_or_else(sys::net::loopback_index);
    interface.sll_ifindex = index.cast_signed();
    interface.sll_halen = 6;
    sys::send_to(&socket, frame, 0, interface)?;
    let mut buffer = [0; 2048];
    loop {
        let len = sys::net::receive_some(&watch, &mut buffer)?;
        if buffer[..len].windows(MARK.len()).any(|bytes| bytes == MARK) {
            return Ok(());
        }
    }
}

/// A UDP datagram without a checksum.
fn datagram(port: u16) -> Vec<u8> {
    let mut out = Vec::new();
    // Source port, destination port, length; no checksum.
    for field in [6666, port, 8 + MARK.len() as u16, 0] {
        out.extend(u16::to_be_bytes(field));
    }
    out.extend(MARK);
    out
}

fn v4_packet(to: Ipv4Addr, port: u16) -> Vec<u8> {
    let datagram = datagram(port);
    // Version 4, header of 5 words; then the length.
    let mut packet = vec![0x45, 0];
    packet.extend(u16::to_be_bytes(20 + datagram.len() as u16));
    // Time to live 64, protocol, room for the checksum.
    packet.extend([0, 0, 0, 0, 64, UDP, 0, 0]);
    packet.extend(Ipv4Addr::LOCALHOST.octets());
    packet.extend(to.octets());
    let sum: u32 = packet.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1])).sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    packet[10..12].copy_from_slice(&(!(folded as u16)).to_be_bytes());
    packet.extend(datagram);
    packet
}

fn v6_packet(to: Ipv6Addr, port: u16) -> Vec<u8> {
    let datagram = datagram(port);
    // Version 6; length of what follows the header; protocol, hop limit 64.
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend(u16::to_be_bytes(datagram.len() as u16));
    packet.extend([UDP, 64]);
    packet.extend(Ipv6Addr::LOCALHOST.octets());
    packet.extend(to.octets());
    packet.extend(datagram);
    packet
}
