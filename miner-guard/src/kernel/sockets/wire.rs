//! Messages of the kernel's socket diagnosis (`sock_diag`, `inet_diag`): written, and read with every length checked.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::kernel::netlink::{self, ACK, DUMP, REQUEST, messages, u32_at, u64_at};

const SOCKID: usize = 48;
/// Family, state, timer, retransmissions; the id; expiry, two queues, uid, inode.
const MESSAGE: usize = 4 + SOCKID + 20;

const SOCK_DIAG_BY_FAMILY: u16 = 20;
const SOCK_DESTROY: u16 = 21;
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
    let mut body = vec![family, protocol, 0, 0];
    body.extend(states.to_ne_bytes());
    body.extend([0; SOCKID]);
    netlink::message(SOCK_DIAG_BY_FAMILY, REQUEST | DUMP, sequence, &body)
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
    let mut body = vec![if v4 { INET } else { INET6 }, protocol, 0, 0];
    body.extend(u32::MAX.to_ne_bytes());
    body.extend(local.port().to_be_bytes());
    body.extend(remote.port().to_be_bytes());
    for address in [local.ip(), remote.ip()] {
        let mut bytes = [0; 16];
        match address {
            IpAddr::V4(a) if v4 => bytes[..4].copy_from_slice(&a.octets()),
            IpAddr::V4(a) => bytes = a.to_ipv6_mapped().octets(),
            IpAddr::V6(a) => bytes = a.octets(),
        }
        body.extend(bytes);
    }
    body.extend(interface.to_ne_bytes());
    body.extend(cookie.unwrap_or(NOCOOKIE).to_ne_bytes());
    netlink::message(SOCK_DESTROY, REQUEST | ACK, sequence, &body)
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
    for message in messages(batch) {
        let message = message.map_err(Malformed)?;
        if message.sequence != sequence {
            continue;
        }
        let (bad, body) = (Malformed(message.at), message.body);
        match message.kind {
            netlink::DONE => return Ok(End::Done),
            netlink::ERROR => return Ok(End::Answer(netlink::errno(body).ok_or(bad)?)),
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
        cgroup: netlink::attribute(attributes, INET_DIAG_CGROUP_ID).and_then(|value| u64_at(value, 0)),
    })
}

fn canonical(a: SocketAddr) -> SocketAddr {
    SocketAddr::new(a.ip().to_canonical(), a.port())
}

#[cfg(test)]
#[path = "wire_tests.rs"]
mod tests;
