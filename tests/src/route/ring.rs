//! io_uring: the kernel connects on behalf of the program, which makes no connect() call.

use std::{io, net::SocketAddr, os::fd::AsRawFd as _};

use io_uring::{IoUring, opcode, types::Fd};

use super::unavailable;
use crate::sys::{self, RawAddress};

pub fn connect(to: SocketAddr) -> io::Result<()> {
    let mut ring = IoUring::new(1).map_err(|error| unavailable("no io_uring", &error))?;
    let socket = sys::socket(sys::family(to), libc::SOCK_STREAM, 0)?;
    let address = RawAddress::from(to);
    let (pointer, len) = address.as_ptr();
    let entry = opcode::Connect::new(Fd(socket.as_raw_fd()), pointer, len).build();
    // SAFETY: the descriptor and the address outlive the operation: it has ended when submit_and_wait(1) returns.
    unsafe { ring.submission().push(&entry) }.map_err(io::Error::other)?;
    ring.submit_and_wait(1)?;
    let done = ring.completion().next().ok_or_else(|| io::Error::other("io_uring completed nothing"))?;
    if done.result() < 0 { Err(io::Error::from_raw_os_error(-done.result())) } else { Ok(()) }
}
