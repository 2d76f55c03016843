//! Network interfaces of the calling thread's network namespace, and what hangs on their way out.

use std::{
    ffi::CString,
    io, mem,
    os::fd::{AsRawFd, OwnedFd},
};

use super::{check, check_size, send, socket};

const HEADER: usize = 16;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;

/// Brings an interface up.
pub fn up(name: &str) -> io::Result<()> {
    let socket = socket(libc::AF_INET, libc::SOCK_DGRAM, 0)?;
    // SAFETY: ifreq is plain data for which all zeroes is a value.
    let mut request: libc::ifreq = unsafe { mem::zeroed() };
    // The last byte stays NUL.
    let room = request.ifr_name.len() - 1;
    for (to, from) in request.ifr_name[..room].iter_mut().zip(name.bytes()) {
        *to = from.cast_signed();
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    // SAFETY: the request is a whole ifreq with a NUL-terminated name, and outlives the call.
    check(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) }).map(drop)
}

/// The index of an interface, if there is one of this name.
pub fn index(name: &str) -> Option<u32> {
    let name = CString::new(name).ok()?;
    // SAFETY: the name is NUL-terminated and outlives the call.
    match unsafe { libc::if_nametoindex(name.as_ptr()) } {
        0 => None,
        index => Some(index),
    }
}

/// Makes two interfaces that are joined, and brings both up: what leaves by one arrives at the other.
pub fn pair(name: &str, peer: &str) -> io::Result<()> {
    const LINKINFO: u16 = 18;
    const IFNAME: u16 = 3;
    let named = |name: &str| attribute(IFNAME, &[name.as_bytes(), &[0]].concat());
    // VETH_INFO_PEER: an ifinfomsg, then what the peer is called. In it IFLA_INFO_KIND is 1 and IFLA_INFO_DATA 2.
    let peer_info = attribute(1, &[vec![0; 16], named(peer)].concat());
    let info = [attribute(1, b"veth"), attribute(2, &peer_info)].concat();
    let body = [vec![0; 16], named(name), attribute(LINKINFO, &info)].concat();
    const CREATE: u16 = (libc::NLM_F_CREATE | libc::NLM_F_EXCL | libc::NLM_F_ACK) as u16;
    ask(libc::RTM_NEWLINK, CREATE, &body)?;
    up(name)?;
    up(peer)
}

/// Removes an interface, and the one that it is joined to.
pub fn remove(name: &str) -> io::Result<()> {
    let mut body = vec![0; 16];
    body[4..8].copy_from_slice(&index(name).unwrap_or(0).to_ne_bytes());
    ask(libc::RTM_DELLINK, libc::NLM_F_ACK as u16, &body).map(drop)
}

/// Moves an interface into another network namespace, where it is down at first.
pub fn move_to(name: &str, namespace: &impl AsRawFd) -> io::Result<()> {
    const NET_NS_FD: u16 = 28;
    let mut body = vec![0; 16];
    body[4..8].copy_from_slice(&index(name).unwrap_or(0).to_ne_bytes());
    body.extend(attribute(NET_NS_FD, &namespace.as_raw_fd().to_ne_bytes()));
    ask(libc::RTM_NEWLINK, libc::NLM_F_ACK as u16, &body).map(drop)
}

/// Whether a program hangs on an interface's way out by a link, as they do from 6.6 on.
pub fn has_link(name: &str) -> io::Result<bool> {
    Ok(!tcx_programs(index(name).unwrap_or(0))?.is_empty())
}

/// Whether one of these programs hangs on an interface's way out by a link, or a `clsact` is there that one could hang
/// on. Guards that others run on this machine hang theirs there too.
pub fn has_hooks(name: &str, programs: &[u32]) -> io::Result<bool> {
    let index = index(name).unwrap_or(0);
    Ok(tcx_programs(index)?.iter().any(|id| programs.contains(id)) || has_clsact(index)?)
}

/// Their ids; none also before 6.6, which knows no such links.
fn tcx_programs(index: u32) -> io::Result<Vec<u32>> {
    /// The part of `union bpf_attr` that BPF_PROG_QUERY reads and writes.
    #[repr(C)]
    #[derive(Default)]
    struct Query {
        target: u32,
        attach_type: u32,
        query_flags: u32,
        attach_flags: u32,
        programs: u64,
        count: u32,
        pad: u32,
        more: [u64; 4],
    }
    const BPF_PROG_QUERY: libc::c_int = 16;
    const BPF_TCX_EGRESS: u32 = 47;
    /// No more can hang on one side of an interface.
    const MOST: u32 = 64;
    let mut ids = vec![0u32; MOST as usize];
    let programs = ids.as_mut_ptr() as u64;
    let mut query =
        Query { target: index, attach_type: BPF_TCX_EGRESS, programs, count: MOST, ..Query::default() };
    // SAFETY: the attribute outlives the call, and so does the room for `count` programs that it points to.
    let done = unsafe { libc::syscall(libc::SYS_bpf, BPF_PROG_QUERY, &raw mut query, size_of::<Query>()) };
    match done {
        0 => {
            ids.truncate(query.count as usize);
            Ok(ids)
        }
        _ => match io::Error::last_os_error() {
            e if e.raw_os_error() == Some(libc::EINVAL) => Ok(Vec::new()),
            e => Err(e),
        },
    }
}

fn has_clsact(index: u32) -> io::Result<bool> {
    // A tcmsg. The kernel tells of all interfaces' all the same.
    let body: Vec<u8> = [0, index, 0, 0, 0].into_iter().flat_map(u32::to_ne_bytes).collect();
    let all = ask(libc::RTM_GETQDISC, libc::NLM_F_DUMP as u16, &body)?;
    Ok(all
        .iter()
        .any(|m| m.get(4..8) == Some(&index.to_ne_bytes()[..]) && m.windows(6).any(|w| w == b"clsact")))
}

fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let mut out = (4 + value.len() as u16).to_ne_bytes().to_vec();
    out.extend(kind.to_ne_bytes());
    out.extend(value);
    out.resize(out.len().next_multiple_of(4), 0);
    out
}

/// Asks the kernel's network configuration; the bodies of what it says.
fn ask(kind: u16, flags: u16, body: &[u8]) -> io::Result<Vec<Vec<u8>>> {
    let socket = socket(libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_ROUTE)?;
    let mut request = ((HEADER + body.len()) as u32).to_ne_bytes().to_vec();
    request.extend(kind.to_ne_bytes());
    request.extend((flags | libc::NLM_F_REQUEST as u16).to_ne_bytes());
    request.extend([0; 8]);
    request.extend(body);
    send(&socket, &request, 0)?;
    let mut said = Vec::new();
    loop {
        let batch = receive(&socket)?;
        let mut rest = &batch[..];
        while rest.len() >= HEADER {
            let number = |at: usize| u32::from_ne_bytes([rest[at], rest[at + 1], rest[at + 2], rest[at + 3]]);
            let (length, kind) = (number(0) as usize, number(4) as u16);
            let body = rest.get(HEADER..length).unwrap_or_default();
            match kind {
                NLMSG_DONE => return Ok(said),
                NLMSG_ERROR => {
                    let errno = body.get(..4).map_or(0, |b| i32::from_ne_bytes([b[0], b[1], b[2], b[3]]));
                    return if errno == 0 { Ok(said) } else { Err(io::Error::from_raw_os_error(-errno)) };
                }
                _ => said.push(body.to_vec()),
            }
            rest = rest.get(length.next_multiple_of(4).max(HEADER)..).unwrap_or_default();
        }
    }
}

fn receive(socket: &OwnedFd) -> io::Result<Vec<u8>> {
    let mut buffer = vec![0; 64 << 10];
    // SAFETY: the pointer describes memory of the given length that outlives the call.
    let len =
        check_size(unsafe { libc::recv(socket.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len(), 0) })?;
    buffer.truncate(len);
    Ok(buffer)
}
