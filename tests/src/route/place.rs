//! connect() from somewhere else: another thread, user, cgroup or namespace, or on somebody else's socket.

use std::{
    fs, io,
    net::{SocketAddr, TcpListener},
    os::{fd::OwnedFd, unix::net::UnixStream},
    process::{Command, Stdio},
};

use super::{ANSWER, ARGUMENT, Route, tcp, unavailable};
use crate::{cgroup, sys};

/// "nobody", on every distribution.
const NOBODY: libc::uid_t = 65534;

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
    let child = cgroup::own().map_err(io::Error::other)?.join("child");
    match fs::create_dir(&child) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => cgroup::enter(&child)?,
    }
    tcp::connect(to)
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
    let output = Command::new("/proc/self/exe")
        .args([ARGUMENT, Route::ReceivedSocket.name(), &to.to_string()])
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    match text.lines().find_map(|line| line.strip_prefix(ANSWER)) {
        Some("through") => Ok(()),
        Some(answer) => Err(answer
            .parse()
            .map_or_else(|_| io::Error::other(answer.to_owned()), io::Error::from_raw_os_error)),
        None => Err(io::Error::other("the receiver gave no answer")),
    }
}

pub fn received_socket(to: SocketAddr) -> io::Result<()> {
    sys::connect(&sys::net::receive(&io::stdin())?, to)
}
