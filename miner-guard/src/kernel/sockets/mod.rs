//! Sockets that are open now: who holds them, where they lead, and how to end one.
//!
//! Raw netlink (`sock_diag`), in the network namespace of this process or of another one. Ending a socket needs a kernel
//! with `CONFIG_INET_DIAG_DESTROY`; where it is missing, the error says so.

mod wire;

use std::{collections::HashSet, io, net::SocketAddr, os::fd::OwnedFd, path::Path};

pub use super::namespaces::processes;
use super::{
    namespaces::{self, namespace},
    netlink::{ANSWER, SEQUENCE, receive},
};
use rustix::{
    io::Errno,
    net::{self, AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink},
};
use wire::End;
pub use wire::{CLOSE, ESTABLISHED, LISTEN, Malformed, Socket, State, TIME_WAIT};

/// `IPPROTO_TCP`
pub const TCP: u8 = 6;
/// `IPPROTO_UDP`
pub const UDP: u8 = 17;

/// Batches of one answer that are taken: far more than any table of sockets holds.
const BATCHES: usize = 1 << 20;

/// Why sockets could not be listed, or one not ended.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// The kernel was built without it.
    #[error(
        "this kernel cannot end a socket (CONFIG_INET_DIAG_DESTROY is not set): it stays open, and what it sends is dropped where the egress hook runs"
    )]
    CannotDestroy,
    /// The kernel was built without it, or its module is not there.
    #[error(
        "this kernel cannot list its sockets (CONFIG_INET_TCP_DIAG is not set, or the module tcp_diag is missing): what is open stays open, and what it sends is dropped where the egress hook runs"
    )]
    CannotList,
    /// No such socket, or another one has its place.
    #[error("there is no such socket any more")]
    Gone,
    /// The answer makes no sense.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// Anything else.
    #[error("{0}: {1}")]
    Io(&'static str, #[source] io::Error),
}

/// A socket to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketId {
    /// [`TCP`] or [`UDP`].
    pub protocol: u8,
    /// Its own address and port.
    pub local: SocketAddr,
    /// Its peer's.
    pub remote: SocketAddr,
    /// Its cookie (`bpf_get_socket_cookie`), so that no other socket is met. `None`: whichever has these addresses.
    pub cookie: Option<u64>,
    /// A process in its network namespace. `None`: this process's.
    pub pid: Option<u32>,
    /// Interface that it is bound to; 0: none.
    pub interface: u32,
}

impl Socket {
    /// What ends it.
    #[must_use]
    pub const fn id(&self, pid: Option<u32>) -> SocketId {
        let Self { protocol, local, remote, cookie, interface, .. } = *self;
        SocketId { protocol, local, remote, cookie: Some(cookie), pid, interface }
    }
}

/// All sockets of a protocol, IPv4 and IPv6, in the network namespace of a process, or of this one.
///
/// # Errors
/// [`SocketError::CannotList`] where this kernel has no list of that protocol; others, among them that the process is gone.
pub fn list(protocol: u8, pid: Option<u32>) -> Result<Vec<Socket>, SocketError> {
    within(pid, || {
        let mut all = Vec::new();
        let link = Link::open()?;
        link.dump_v4(protocol, HELD, &mut all)?;
        match link.dump(wire::INET6, protocol, HELD, &mut all) {
            // IPv6 may be turned off.
            Ok(()) | Err(SocketError::Gone) => Ok(all),
            Err(e) => Err(e),
        }
    })?
}

/// Ends a socket: its peer gets a reset, its process `ECONNABORTED`.
///
/// # Errors
/// [`SocketError::Gone`] if it had ended already, [`SocketError::CannotDestroy`] if this kernel has no such thing.
pub fn destroy(socket: &SocketId) -> Result<(), SocketError> {
    let SocketId { protocol, local, remote, cookie, pid, interface } = *socket;
    within(pid, || {
        Link::open()?.ask(
            &wire::destroy(protocol, local, remote, interface, cookie, SEQUENCE),
            protocol,
            |_| {},
        )
    })?
}

/// The same for a socket that may be bound to an interface that is not known: by its cookie, which must be given.
///
/// # Errors
/// Those of [`destroy`] and [`list`].
pub fn destroy_wherever_bound(socket: &SocketId) -> Result<(), SocketError> {
    match destroy(socket) {
        Err(SocketError::Gone) => {}
        done => return done,
    }
    let all = list(socket.protocol, socket.pid)?;
    let found = all.iter().find(|s| Some(s.cookie) == socket.cookie && s.interface != 0);
    destroy(&found.ok_or(SocketError::Gone)?.id(socket.pid))
}

/// Proves on a socket of this process's own, on loopback, that this kernel lists and ends sockets.
///
/// # Errors
/// Why not.
pub fn prove() -> Result<(), SocketError> {
    let io = |e| SocketError::Io("making a socket to end", e);
    let socket = std::net::TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).map_err(io)?;
    let own = socket.local_addr().map_err(io)?;
    let mut all = Vec::new();
    Link::open()?.dump_v4(TCP, 1 << LISTEN, &mut all)?;
    let found = all.iter().find(|s| s.local == own).ok_or(SocketError::Gone)?;
    destroy(&found.id(None))
}

/// A process in each network namespace in which some process runs; `None` for this one, which comes first. At most `most`,
/// and whether these are all.
#[must_use]
pub fn namespaces(most: usize) -> (Vec<Option<u32>>, bool) {
    let mut seen: HashSet<u64> = namespace(None).into_iter().collect();
    let mut all = vec![None];
    for pid in processes() {
        // A process that is gone has no namespace any more.
        let Ok(id) = namespace(Some(pid)) else { continue };
        if !seen.insert(id) {
            continue;
        }
        if all.len() >= most {
            return (all, false);
        }
        all.push(Some(pid));
    }
    (all, true)
}

/// The sockets that a process holds: descriptor and inode. Nothing of one that is gone.
pub fn held_by(pid: u32) -> impl Iterator<Item = (i32, u64)> {
    let all = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    all.filter_map(|fd| {
        let inode = inode(&std::fs::read_link(fd.path()).ok()?)?;
        Some((fd.file_name().to_str()?.parse().ok()?, inode))
    })
}

/// The inode of the socket that a link below `/proc/PID/fd` leads to, if it is one.
#[must_use]
pub fn inode(link: &Path) -> Option<u64> {
    link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

/// Does something in the network namespace of a process, or of this one.
fn within<T: Send>(pid: Option<u32>, what: impl FnOnce() -> T + Send) -> Result<T, SocketError> {
    namespaces::within(pid, what).map_err(|e| SocketError::Io("entering the network namespace", e))
}

/// States of sockets: all but those that are over and hold nothing open.
const HELD: u32 = !(1 << TIME_WAIT);

/// A socket to the kernel, for one question at a time.
struct Link(OwnedFd);

impl Link {
    fn open() -> Result<Self, SocketError> {
        net::socket_with(
            AddressFamily::NETLINK,
            SocketType::RAW,
            SocketFlags::CLOEXEC,
            Some(netlink::SOCK_DIAG),
        )
        .map(Self)
        .map_err(|e| SocketError::Io("opening a socket to the kernel's socket diagnosis", e.into()))
    }

    fn dump_v4(&self, protocol: u8, states: u32, into: &mut Vec<Socket>) -> Result<(), SocketError> {
        self.dump(wire::INET, protocol, states, into).map_err(|e| match e {
            SocketError::Gone => SocketError::CannotList,
            e => e,
        })
    }

    /// `states`: a bit each.
    fn dump(&self, family: u8, protocol: u8, states: u32, into: &mut Vec<Socket>) -> Result<(), SocketError> {
        self.ask(&wire::dump(family, protocol, states, SEQUENCE), protocol, |s| into.push(s))
    }

    fn ask(&self, request: &[u8], protocol: u8, mut each: impl FnMut(Socket)) -> Result<(), SocketError> {
        let io = |what| move |e: Errno| SocketError::Io(what, e.into());
        net::send(&self.0, request, SendFlags::empty()).map_err(io("asking about sockets"))?;
        let mut buffer = vec![0; ANSWER];
        for _ in 0..BATCHES {
            let batch =
                receive(&self.0, &mut buffer, RecvFlags::empty()).map_err(io("reading about sockets"))?;
            match wire::read(batch, protocol, SEQUENCE, &mut each)? {
                End::More if batch.is_empty() => return Err(Malformed(0).into()),
                End::More => {}
                End::Done | End::Answer(0) => return Ok(()),
                End::Answer(errno) => {
                    return Err(match Errno::from_raw_os_error(errno) {
                        Errno::NOENT | Errno::STALE => SocketError::Gone,
                        Errno::OPNOTSUPP => SocketError::CannotDestroy,
                        e => SocketError::Io("asking about sockets", e.into()),
                    });
                }
            }
        }
        Err(Malformed(0).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        io::Read as _,
        net::{TcpListener, TcpStream, UdpSocket},
    };

    fn open_to(to: SocketAddr) -> Vec<Socket> {
        let mut all = list(TCP, None).unwrap();
        all.retain(|s| s.remote == to);
        all
    }

    #[test]
    fn this_namespace_comes_first_and_once() {
        let (all, whole) = namespaces(4096);
        assert!(whole && all[0].is_none());
        assert!(all[1..].iter().all(|pid| namespace(*pid).ok() != namespace(None).ok()), "{all:?}");
        assert_eq!(namespaces(1).0, [None]);
    }

    #[test]
    fn an_open_connection_is_found_by_its_peer() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let to = listener.local_addr().unwrap();
        let stream = TcpStream::connect(to).unwrap();
        let mine = stream.local_addr().unwrap();
        let found = open_to(to);
        assert!(found.iter().any(|s| s.local == mine && s.protocol == TCP && s.inode != 0), "{found:?}");
        let all = list(TCP, Some(std::process::id())).unwrap();
        assert!(all.iter().any(|s| s.local == to && s.state == LISTEN));
    }

    #[test]
    fn a_connected_datagram_socket_is_found_too() {
        let socket = UdpSocket::bind("[::1]:0").unwrap();
        let to: SocketAddr = "[::1]:9".parse().unwrap();
        socket.connect(to).unwrap();
        let mine = socket.local_addr().unwrap();
        let all = list(UDP, None).unwrap();
        assert!(all.iter().any(|s| s.local == mine && s.remote == to && s.protocol == UDP));
    }

    #[test]
    fn a_destroyed_connection_is_reset_and_another_one_stays() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let to = listener.local_addr().unwrap();
        let (mut one, other) = (TcpStream::connect(to).unwrap(), TcpStream::connect(to).unwrap());
        let mine = one.local_addr().unwrap();
        let found = open_to(to);
        let id = found.iter().find(|s| s.local == mine).unwrap().id(None);
        // Of another cookie it is another socket.
        let wrong = SocketId { cookie: Some(id.cookie.unwrap() ^ 1 << 60), ..id };
        assert!(destroy(&wrong).is_err());
        match destroy(&id) {
            Ok(()) => {}
            // Not root, or a kernel that cannot.
            Err(SocketError::CannotDestroy) => return,
            Err(SocketError::Io(_, e)) if e.kind() == io::ErrorKind::PermissionDenied => return,
            Err(e) => panic!("{e}"),
        }
        assert_eq!(one.read(&mut [0]).unwrap_err().kind(), io::ErrorKind::ConnectionAborted);
        assert!(matches!(destroy(&id), Err(SocketError::Gone)));
        let still = other.local_addr().unwrap();
        assert!(open_to(to).iter().any(|s| s.local == still && s.state == ESTABLISHED));
    }
}
