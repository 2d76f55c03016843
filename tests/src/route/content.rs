//! What is said to an address that nobody lists: a denied name in a DNS question or a TLS opening, or a Stratum opening.

use std::{io, net::SocketAddr, os::fd::OwnedFd};

use super::{tcp, udp};
use crate::sys;

/// The name that the test's policy denies.
pub const NAME: &str = "pool.example";

/// What a miner says first. No job comes of it: whoever listens only closes in the end.
pub const OPENING: &[u8] =
    b"{\"id\":1,\"method\":\"mining.subscribe\",\"params\":[\"cpuminer/2.5.1\"]}\n{\"id\":2,\"method\":\"mining.authorize\",\"params\":[\"worker\",\"x\"]}\n";

pub fn dns_udp(to: SocketAddr) -> io::Result<()> {
    ask(to, &question(NAME, false))
}

pub fn dns_mixed_case(to: SocketAddr) -> io::Result<()> {
    ask(to, &question("PoOl.ExAmPlE", false))
}

pub fn dns_edns(to: SocketAddr) -> io::Result<()> {
    ask(to, &question(NAME, true))
}

fn ask(to: SocketAddr, question: &[u8]) -> io::Result<()> {
    sys::send(&udp::connected(to)?, question, 0).map(drop)
}

pub fn dns_tcp(to: SocketAddr) -> io::Result<()> {
    let question = question(NAME, false);
    let mut message = u16::to_be_bytes(question.len() as u16).to_vec();
    message.extend(question);
    say(&open(to)?, &message)
}

pub fn tls(to: SocketAddr) -> io::Result<()> {
    say(&open(to)?, &client_hello(NAME))
}

/// The border of the segments is in the name.
pub fn tls_split(to: SocketAddr) -> io::Result<()> {
    let hello = client_hello(NAME);
    let name = hello.windows(NAME.len()).position(|bytes| bytes == NAME.as_bytes()).unwrap_or(0);
    let (first, rest) = hello.split_at(name + 3);
    let socket = open(to)?;
    say(&socket, first)?;
    say(&socket, rest)
}

pub fn stratum(to: SocketAddr) -> io::Result<()> {
    say(&open(to)?, OPENING)
}

pub fn stratum_bytewise(to: SocketAddr) -> io::Result<()> {
    let socket = open(to)?;
    // Fewer than the kernel sends before the first is acknowledged: each byte is a segment.
    for some in OPENING.chunks(8) {
        for byte in some {
            sys::send(&socket, &[*byte], libc::MSG_NOSIGNAL)?;
        }
        tcp::delivered(&socket)?;
    }
    Ok(())
}

/// A connection that sends each piece at once.
fn open(to: SocketAddr) -> io::Result<OwnedFd> {
    let socket = tcp::connected(to)?;
    sys::set_option(&socket, libc::IPPROTO_TCP, libc::TCP_NODELAY, 1)?;
    Ok(socket)
}

fn say(socket: &OwnedFd, bytes: &[u8]) -> io::Result<()> {
    sys::send(socket, bytes, libc::MSG_NOSIGNAL)?;
    tcp::delivered(socket)
}

/// Asks for the IPv4 addresses of a name.
fn question(name: &str, edns: bool) -> Vec<u8> {
    // Identification, flags (recursion desired), one question, no answers, and one more record with EDNS.
    let mut out = vec![0x6d, 0x67, 1, 0, 0, 1, 0, 0, 0, 0, 0, edns.into()];
    for label in name.split('.') {
        out.push(label.len() as u8);
        out.extend(label.as_bytes());
    }
    // The root, type A, class IN.
    out.extend([0, 0, 1, 0, 1]);
    if edns {
        // The root, type OPT, answers of 1232 bytes, no flags, no options.
        out.extend([0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0]);
    }
    out
}

/// The opening of TLS 1.3 with a server name; without one if it is empty.
pub fn client_hello(name: &str) -> Vec<u8> {
    let name_len = name.len() as u16;
    // Extension 0: a list of one entry of type 0.
    let mut extensions = vec![0, 0];
    for len in [name_len + 5, name_len + 3] {
        extensions.extend(len.to_be_bytes());
    }
    extensions.push(0);
    extensions.extend(name_len.to_be_bytes());
    extensions.extend(name.as_bytes());
    if name.is_empty() {
        extensions.clear();
    }
    // Extension 43: TLS 1.3.
    extensions.extend([0, 43, 0, 3, 2, 3, 4]);
    // Version, random, no session, one cipher, no compression.
    let mut body = vec![3, 3];
    body.extend([0x5a; 32]);
    body.extend([0, 0, 2, 0x13, 1, 1, 0]);
    body.extend((extensions.len() as u16).to_be_bytes());
    body.extend(extensions);
    // A handshake message of kind 1 in a record.
    let mut record = vec![22, 3, 1];
    record.extend((body.len() as u16 + 4).to_be_bytes());
    record.extend([1, 0]);
    record.extend((body.len() as u16).to_be_bytes());
    record.extend(body);
    record
}
