//! Stream sockets.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    os::fd::OwnedFd,
    time::Instant,
};

use super::{attempt::dropped, unavailable};
use crate::{PATIENCE, sys};

/// linux/in.h; libc has it for some C libraries only.
const IPPROTO_MPTCP: libc::c_int = 262;

fn stream(to: SocketAddr) -> io::Result<OwnedFd> {
    sys::socket(sys::family(to), libc::SOCK_STREAM, 0)
}

pub fn connect(to: SocketAddr) -> io::Result<()> {
    connected(to).map(drop)
}

/// A connected socket.
pub fn connected(to: SocketAddr) -> io::Result<OwnedFd> {
    let socket = stream(to)?;
    sys::connect(&socket, to)?;
    Ok(socket)
}

/// Waits until the other side has acknowledged all that was sent.
///
/// # Errors
/// Of the connection; or that it did not arrive, when the kernel has sent it more than once more in vain.
pub fn delivered(socket: &OwnedFd) -> io::Result<()> {
    let end = Instant::now() + PATIENCE;
    loop {
        match sys::option(socket, libc::SOL_SOCKET, libc::SO_ERROR)? {
            0 => {}
            errno => return Err(io::Error::from_raw_os_error(errno)),
        }
        let state = sys::net::tcp_info(socket)?;
        if state.tcpi_unacked == 0 && state.tcpi_notsent_bytes == 0 {
            return Ok(());
        }
        // In a row: an acknowledgement of anything sets them back. One may come of a machine that is slow. A segment that
        // never left counts as not sent, and is tried again as a probe.
        if state.tcpi_retransmits > 1 || state.tcpi_probes > 1 || Instant::now() > end {
            return Err(dropped());
        }
        // Wakes when the connection ends; what is acknowledged wakes nobody.
        sys::wait_for(socket, 0, 1)?;
    }
}

pub fn nonblocking(to: SocketAddr) -> io::Result<()> {
    let socket = sys::socket(sys::family(to), libc::SOCK_STREAM | libc::SOCK_NONBLOCK, 0)?;
    match sys::connect(&socket, to) {
        Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => finish(&socket),
        done => done,
    }
}

pub fn mapped(to: SocketAddr) -> io::Result<()> {
    connect(as_mapped(to))
}

pub fn fast_open_sendto(to: SocketAddr) -> io::Result<()> {
    sys::send_to(&stream(to)?, b"x", libc::MSG_FASTOPEN, to).map(drop)
}

pub fn fast_open_connect(to: SocketAddr) -> io::Result<()> {
    let socket = stream(to)?;
    sys::set_option(&socket, libc::IPPROTO_TCP, libc::TCP_FASTOPEN_CONNECT, 1)
        .map_err(|error| unavailable("TCP_FASTOPEN_CONNECT", &error))?;
    sys::connect(&socket, to)?;
    // With a cookie from an earlier connection connect() only remembers the address: the first write connects.
    sys::send(&socket, b"x", 0).map(drop)
}

pub fn multipath(to: SocketAddr) -> io::Result<()> {
    let socket = sys::socket(sys::family(to), libc::SOCK_STREAM, IPPROTO_MPTCP)
        .map_err(|error| unavailable("no multipath TCP", &error))?;
    sys::connect(&socket, to)
}

/// Waits for the end of a connect() under way and gives its result.
pub fn finish(socket: &OwnedFd) -> io::Result<()> {
    sys::wait_writable(socket)?;
    match sys::option(socket, libc::SOL_SOCKET, libc::SO_ERROR)? {
        0 => Ok(()),
        errno => Err(io::Error::from_raw_os_error(errno)),
    }
}

/// The same IPv4 address, written as an IPv6 one.
pub fn as_mapped(to: SocketAddr) -> SocketAddr {
    match to.ip() {
        IpAddr::V4(v4) => SocketAddr::new(v4.to_ipv6_mapped().into(), to.port()),
        IpAddr::V6(_) => to,
    }
}
