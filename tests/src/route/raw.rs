//! Raw sockets: the program writes the IP header itself. Needs CAP_NET_RAW, and passes the hooks at connect and sendmsg.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
};

use super::unavailable;
use crate::sys;

pub fn header_included(to: SocketAddr) -> io::Result<()> {
    let IpAddr::V4(ip) = to.ip() else {
        return Err(io::Error::new(io::ErrorKind::Unsupported, "IP_HDRINCL is of IPv4"));
    };
    let socket = sys::socket(libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_RAW)
        .map_err(|error| unavailable("no raw sockets", &error))?;
    // The kernel fills in length, identification and checksum of the IP header. The port of a raw socket is a protocol.
    sys::send_to(&socket, &packet(ip, to.port()), 0, SocketAddr::new(to.ip(), 0)).map(drop)
}

/// An IPv4 packet with an empty UDP datagram.
fn packet(to: Ipv4Addr, port: u16) -> Vec<u8> {
    // Version 4, header of 5 words; time to live 64, protocol 17.
    let mut packet = vec![0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0];
    packet.extend(Ipv4Addr::LOCALHOST.octets());
    packet.extend(to.octets());
    // Source port, destination port, length; no checksum.
    for field in [6666, port, 8, 0] {
        packet.extend(u16::to_be_bytes(field));
    }
    packet
}
