//! Messages of the kernel's socket diagnosis (`sock_diag`, `inet_diag`): written, and read with every length checked.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

const HEADER: usize = 16;
const SOCKID: usize = 48;
/// Family, state, timer, retransmissions; the id; expiry, two queues, uid, inode.
const MESSAGE: usize = 4 + SOCKID + 20;

const SOCK_DIAG_BY_FAMILY: u16 = 20;
const SOCK_DESTROY: u16 = 21;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLM_F_REQUEST: u16 = 1;
const NLM_F_ACK: u16 = 4;
const NLM_F_DUMP: u16 = 0x300;
const INET_DIAG_CGROUP_ID: u16 = 21;
/// Both words of a cookie that is not known.
const NOCOOKIE: u64 = u64::MAX;

/// `AF_INET`
pub const INET: u8 = 2;
/// `AF_INET6`
pub const INET6: u8 = 10;

/// What a socket is doing, in the numbers of TCP; a connected UDP socket is [`ESTABLISHED`].
pub type State = u8;
/// Data goes both ways.
pub const ESTABLISHED: State = 1;
/// Over: only the number is kept.
pub const TIME_WAIT: State = 6;
/// Not connected.
pub const CLOSE: State = 7;
/// It waits for others to connect.
pub const LISTEN: State = 10;

/// A socket as the kernel describes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Socket {
    /// `IPPROTO_TCP` or `IPPROTO_UDP`.
    pub protocol: u8,
    /// [`State`]
    pub state: State,
    /// Its own address. IPv4 mapped into IPv6 is told as IPv4.
    pub local: SocketAddr,
    /// Its peer's.
    pub remote: SocketAddr,
    /// Interface that it is bound to, 0: none.
    pub interface: u32,
    /// Number that no other socket has or had since the boot.
    pub cookie: u64,
    /// User who made it, in the user namespace of who asks.
    pub uid: u32,
    /// Inode: what `/proc/PID/fd` shows as `socket:[INODE]`. 0: no process holds it any more.
    pub inode: u32,
    /// cgroup v2 id of who made it; `None` before 5.7.
    pub cgroup: Option<u64>,
}

/// How a batch of messages ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// More batches follow.
    More,
    /// That was all.
    Done,
    /// The kernel refused, with this errno; 0: it did what was asked.
    Answer(i32),
}

/// The bytes are no answer to what was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the kernel's answer about sockets is malformed at byte {0}")]
pub struct Malformed(pub usize);

/// Asks for all sockets of a family and protocol that are in one of these states (a bit each).
#[must_use]
pub fn dump(family: u8, protocol: u8, states: u32, sequence: u32) -> Vec<u8> {
    let mut out = header(SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST | NLM_F_DUMP, sequence);
    out.extend([family, protocol, 0, 0]);
    out.extend(states.to_ne_bytes());
    out.extend([0; SOCKID]);
    out
}

/// Asks for the end of one socket. The kernel compares the cookie, if there is one.
#[must_use]
pub fn destroy(
    protocol: u8,
    local: SocketAddr,
    remote: SocketAddr,
    interface: u32,
    cookie: Option<u64>,
    sequence: u32,
) -> Vec<u8> {
    let (local, remote) = (canonical(local), canonical(remote));
    let v4 = local.is_ipv4() && remote.is_ipv4();
    let mut out = header(SOCK_DESTROY, NLM_F_REQUEST | NLM_F_ACK, sequence);
    out.extend([if v4 { INET } else { INET6 }, protocol, 0, 0]);
    out.extend(u32::MAX.to_ne_bytes());
    out.extend(local.port().to_be_bytes());
    out.extend(remote.port().to_be_bytes());
    for address in [local.ip(), remote.ip()] {
        let mut bytes = [0; 16];
        match address {
            IpAddr::V4(a) if v4 => bytes[..4].copy_from_slice(&a.octets()),
            IpAddr::V4(a) => bytes = a.to_ipv6_mapped().octets(),
            IpAddr::V6(a) => bytes = a.octets(),
        }
        out.extend(bytes);
    }
    out.extend(interface.to_ne_bytes());
    out.extend(cookie.unwrap_or(NOCOOKIE).to_ne_bytes());
    out
}

fn header(kind: u16, flags: u16, sequence: u32) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER + 8 + SOCKID);
    out.extend(((HEADER + 8 + SOCKID) as u32).to_ne_bytes());
    out.extend(kind.to_ne_bytes());
    out.extend(flags.to_ne_bytes());
    out.extend(sequence.to_ne_bytes());
    out.extend(0u32.to_ne_bytes());
    out
}

/// Reads a batch of messages in answer to the request of this sequence number.
///
/// # Errors
/// [`Malformed`] when a length contradicts itself; what was given to `each` until then was whole.
pub fn read(
    batch: &[u8],
    protocol: u8,
    sequence: u32,
    mut each: impl FnMut(Socket),
) -> Result<End, Malformed> {
    let mut at = 0;
    while at < batch.len() {
        let bad = Malformed(at);
        let rest = batch.get(at..).ok_or(bad)?;
        let length = u32_at(rest, 0).ok_or(bad)? as usize;
        let message = rest.get(..length).filter(|m| m.len() >= HEADER).ok_or(bad)?;
        let (kind, seq) = (u16_at(message, 4).ok_or(bad)?, u32_at(message, 8).ok_or(bad)?);
        let body = message.get(HEADER..).ok_or(bad)?;
        // Lengths are padded to four; the last message may lack its padding.
        at += length.next_multiple_of(4);
        if seq != sequence {
            continue;
        }
        match kind {
            NLMSG_DONE => return Ok(End::Done),
            NLMSG_ERROR => {
                let errno = u32_at(body, 0).ok_or(bad)?.cast_signed();
                return Ok(End::Answer(errno.checked_neg().filter(|e| *e >= 0).ok_or(bad)?));
            }
            SOCK_DIAG_BY_FAMILY => each(socket(body, protocol).ok_or(bad)?),
            _ => {}
        }
    }
    Ok(End::More)
}

fn socket(body: &[u8], protocol: u8) -> Option<Socket> {
    let (family, state) = (*body.first()?, *body.get(1)?);
    let id = body.get(4..4 + SOCKID)?;
    let end = |port: usize, address: usize| {
        let port = u16::from_be_bytes([*id.get(port)?, *id.get(port + 1)?]);
        let bytes: [u8; 16] = id.get(address..address + 16)?.try_into().ok()?;
        let ip = match family {
            INET => IpAddr::V4(Ipv4Addr::new(bytes[0], bytes[1], bytes[2], bytes[3])),
            INET6 => Ipv6Addr::from(bytes).to_canonical(),
            _ => return None,
        };
        Some(SocketAddr::new(ip, port))
    };
    let attributes = body.get(MESSAGE..)?;
    Some(Socket {
        protocol,
        state,
        local: end(0, 4)?,
        remote: end(2, 20)?,
        interface: u32_at(id, 36)?,
        cookie: u64_at(id, 40)?,
        uid: u32_at(body, 4 + SOCKID + 12)?,
        inode: u32_at(body, 4 + SOCKID + 16)?,
        cgroup: attribute(attributes, INET_DIAG_CGROUP_ID).and_then(|value| u64_at(value, 0)),
    })
}

/// The value of an attribute; `None` if it is not there or the list is malformed before it.
fn attribute(mut rest: &[u8], wanted: u16) -> Option<&[u8]> {
    loop {
        let (length, kind) = (usize::from(u16_at(rest, 0)?), u16_at(rest, 2)?);
        let value = rest.get(4..length)?;
        // The two top bits are flags.
        if kind & 0x3fff == wanted {
            return Some(value);
        }
        rest = rest.get(length.next_multiple_of(4)..)?;
    }
}

fn canonical(a: SocketAddr) -> SocketAddr {
    SocketAddr::new(a.ip().to_canonical(), a.port())
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at.checked_add(2)?)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_ne_bytes(bytes.get(at..at.checked_add(8)?)?.try_into().ok()?))
}

#[cfg(test)]
#[path = "wire_tests.rs"]
mod tests;
