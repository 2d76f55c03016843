//! Datagram sockets.

use std::{
    io, mem,
    net::SocketAddr,
    os::fd::{AsRawFd as _, OwnedFd},
};

use super::tcp::as_mapped;
use crate::sys::{self, RawAddress};

const DATA: &[u8] = b"miner-guard-e2e";

fn datagram(to: SocketAddr) -> io::Result<OwnedFd> {
    sys::socket(sys::family(to), libc::SOCK_DGRAM, 0)
}

pub fn connect(to: SocketAddr) -> io::Result<()> {
    connected(to).map(drop)
}

/// A connected socket.
pub fn connected(to: SocketAddr) -> io::Result<OwnedFd> {
    let socket = datagram(to)?;
    sys::connect(&socket, to)?;
    Ok(socket)
}

pub fn sendto(to: SocketAddr) -> io::Result<()> {
    sys::send_to(&datagram(to)?, DATA, 0, to).map(drop)
}

pub fn mapped(to: SocketAddr) -> io::Result<()> {
    let to = as_mapped(to);
    connect(to)?;
    sendto(to)
}

pub fn sendmsg(to: SocketAddr) -> io::Result<()> {
    let socket = datagram(to)?;
    with_message(to, |message| {
        // SAFETY: the message and all that it points to are alive during this call, see with_message.
        sys::check_size(unsafe { libc::sendmsg(socket.as_raw_fd(), message, 0) }).map(drop)
    })
}

pub fn sendmmsg(to: SocketAddr) -> io::Result<()> {
    let socket = datagram(to)?;
    with_message(to, |message| {
        let mut batch = libc::mmsghdr { msg_hdr: *message, msg_len: 0 };
        // SAFETY: one message, alive during this call with all that it points to, see with_message.
        sys::check(unsafe { libc::sendmmsg(socket.as_raw_fd(), &raw mut batch, 1, 0) }).map(drop)
    })
}

/// Lends a message to `to` with a few bytes in it; its pointers are good for the time of the call only.
fn with_message<T>(to: SocketAddr, send: impl FnOnce(&libc::msghdr) -> T) -> T {
    let address = RawAddress::from(to);
    let (name, len) = address.as_ptr();
    // The kernel only reads through these pointers when it sends.
    let mut part = libc::iovec { iov_base: DATA.as_ptr().cast_mut().cast(), iov_len: DATA.len() };
    // SAFETY: msghdr is plain data for which all zeroes is a value: no name, no parts, no control data.
    let mut message: libc::msghdr = unsafe { mem::zeroed() };
    message.msg_name = name.cast_mut().cast();
    message.msg_namelen = len;
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    send(&message)
}
