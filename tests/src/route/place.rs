//! connect() from somewhere else: another thread, user, cgroup or namespace, or on somebody else's socket.

use std::{
    fs, io,
    net::{SocketAddr, TcpListener},
    os::{fd::OwnedFd, unix::net::UnixStream},
    path::PathBuf,
    process::Stdio,
};

use super::{process::receive, tcp, unavailable};
use crate::{cgroup, sys};

/// "nobody", on every distribution.
const NOBODY: libc::uid_t = 65534;
/// The other side of [`passed_socket`].
pub const RECEIVER: &str = "receive_socket";

pub fn thread(to: SocketAddr) -> io::Result<()> {
    std::thread::spawn(move || tcp::connect(to))
        .join()
        .map_err(|_| io::Error::other("the thread panicked"))?
}

pub fn other_user(to: SocketAddr) -> io::Result<()> {
    sys::set_user(NOBODY)?;
    tcp::connect(to)
}

pub fn new_cgroup(to: SocketAddr) -> io::Result<()> {
    enter_child("child")?;
    tcp::connect(to)
}

/// From one cgroup to its sibling, both below the guarded one.
pub fn other_cgroup(to: SocketAddr) -> io::Result<()> {
    let from = enter_child("from")?;
    let other = from.with_file_name("other");
    fs::create_dir_all(&other)?;
    cgroup::enter(&other)?;
    tcp::connect(to)
}

fn enter_child(name: &str) -> io::Result<PathBuf> {
    let child = cgroup::own().map_err(io::Error::other)?.join(name);
    fs::create_dir_all(&child)?;
    cgroup::enter(&child)?;
    Ok(child)
}

pub fn new_network(to: SocketAddr) -> io::Result<()> {
    sys::unshare(libc::CLONE_NEWNET).map_err(|error| unavailable("no network namespaces", &error))?;
    sys::net::loopback_up()?;
    if let SocketAddr::V6(v6) = to {
        sys::net::add_loopback_address(*v6.ip())?;
    }
    // There is nobody here to connect to but this process.
    let _listener = TcpListener::bind(to)?;
    tcp::connect(to)
}

pub fn new_user(to: SocketAddr) -> io::Result<()> {
    sys::unshare(libc::CLONE_NEWUSER).map_err(|error| unavailable("no user namespaces", &error))?;
    tcp::connect(to)
}

/// Passes a new socket to a child, which connects it.
pub fn passed_socket(to: SocketAddr) -> io::Result<()> {
    let (ours, theirs) = UnixStream::pair()?;
    let socket = sys::socket(sys::family(to), libc::SOCK_STREAM, 0)?;
    sys::net::pass(&ours, &socket)?;
    drop(socket);
    receive(RECEIVER, to, Stdio::from(OwnedFd::from(theirs)))
}

pub fn received_socket(to: SocketAddr) -> io::Result<()> {
    sys::connect(&sys::net::receive(&io::stdin())?, to)
}
