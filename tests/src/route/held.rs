//! What was connected before the guard came, and goes on under it. The hooks at connect and sendmsg are not asked again.

use std::{
    fs, io,
    net::SocketAddr,
    os::{fd::OwnedFd, unix::net::UnixStream},
    process::Stdio,
};

use super::{
    process::{hold, receive},
    tcp, udp,
};
use crate::{cgroup, sys};

/// The other side of [`passed`].
pub const RECEIVER: &str = "receive_connected_socket";

const DATA: &[u8] = b"miner-guard-e2e";

fn go_on(socket: &OwnedFd) -> io::Result<()> {
    sys::send(socket, DATA, libc::MSG_NOSIGNAL)?;
    tcp::delivered(socket)
}

pub fn tcp(to: SocketAddr) -> io::Result<()> {
    let socket = tcp::connected(to)?;
    hold()?;
    go_on(&socket)
}

pub fn udp(to: SocketAddr) -> io::Result<()> {
    let socket = udp::connected(to)?;
    hold()?;
    sys::send(&socket, DATA, 0).map(drop)
}

pub fn moved(to: SocketAddr) -> io::Result<()> {
    let socket = tcp::connected(to)?;
    hold()?;
    let other = cgroup::own().map_err(io::Error::other)?.join("moved");
    fs::create_dir_all(&other)?;
    cgroup::enter(&other)?;
    go_on(&socket)
}

pub fn passed(to: SocketAddr) -> io::Result<()> {
    let socket = tcp::connected(to)?;
    hold()?;
    let (ours, theirs) = UnixStream::pair()?;
    sys::net::pass(&ours, &socket)?;
    drop(socket);
    receive(RECEIVER, to, Stdio::from(OwnedFd::from(theirs)))
}

pub fn received_socket(_to: SocketAddr) -> io::Result<()> {
    go_on(&sys::net::receive(&io::stdin())?)
}
