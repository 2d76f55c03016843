//! The loopback interface of a network namespace, and descriptors passed over a unix socket.

use std::{
    io, mem,
    net::{Ipv6Addr, UdpSocket},
    os::fd::{AsRawFd, FromRawFd as _, OwnedFd},
    ptr,
    time::Instant,
};

use crate::PATIENCE;

use super::{check, check_size, socket};

/// Brings up `lo` in the network namespace of this thread.
pub fn loopback_up() -> io::Result<()> {
    super::interface::up("lo")
}

/// The index of `lo`.
pub fn loopback_index() -> libc::c_uint {
    // SAFETY: the name is NUL-terminated and outlives the call.
    unsafe { libc::if_nametoindex(c"lo".as_ptr()) }
}

/// What the kernel says of a TCP connection. What an older kernel does not say is 0.
pub fn tcp_info(socket: &OwnedFd) -> io::Result<libc::tcp_info> {
    // SAFETY: tcp_info is plain data for which all zeroes is a value.
    let mut info: libc::tcp_info = unsafe { mem::zeroed() };
    let mut len = size_of::<libc::tcp_info>() as libc::socklen_t;
    // SAFETY: the pointers are to the structure and its length; both outlive the call, which writes no more than `len`.
    check(unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            (&raw mut info).cast(),
            &raw mut len,
        )
    })?;
    Ok(info)
}

/// recv(2), waiting no longer than [`PATIENCE`].
pub fn receive_some(socket: &OwnedFd, buffer: &mut [u8]) -> io::Result<usize> {
    let milliseconds = libc::c_int::try_from(PATIENCE.as_millis()).map_err(io::Error::other)?;
    if !super::wait_for(socket, libc::POLLIN, milliseconds)? {
        return Err(io::ErrorKind::TimedOut.into());
    }
    // SAFETY: the pointer describes memory of the given length that outlives the call.
    check_size(unsafe { libc::recv(socket.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len(), 0) })
}

/// Gives `lo` one more address, and waits until it can be used.
pub fn add_loopback_address(address: Ipv6Addr) -> io::Result<()> {
    /// `struct in6_ifreq` of linux/ipv6.h.
    #[repr(C)]
    struct In6Ifreq {
        address: libc::in6_addr,
        prefix: u32,
        interface: libc::c_int,
    }
    let socket = socket(libc::AF_INET6, libc::SOCK_DGRAM, 0)?;
    let request = In6Ifreq {
        address: libc::in6_addr { s6_addr: address.octets() },
        prefix: 128,
        interface: loopback_index().cast_signed(),
    };
    // SAFETY: the request has the layout that SIOCSIFADDR reads from an AF_INET6 socket, and outlives the call.
    check(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFADDR, &raw const request) })?;
    // Also on lo the address is tentative until a kernel worker has run: a matter of microseconds.
    let end = Instant::now() + PATIENCE;
    loop {
        match UdpSocket::bind((address, 0)) {
            Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable && Instant::now() < end => {
                std::thread::yield_now();
            }
            bound => return bound.map(drop),
        }
    }
}

/// Room for one descriptor in a control message, aligned as its header needs.
#[repr(C, align(8))]
struct Control([u8; CONTROL_LEN]);

// SAFETY: CMSG_SPACE only computes.
const CONTROL_LEN: usize = unsafe { libc::CMSG_SPACE(size_of::<libc::c_int>() as u32) } as usize;

/// Sends a descriptor over a unix socket, with one byte beside it.
pub fn pass(over: &impl AsRawFd, descriptor: &OwnedFd) -> io::Result<()> {
    with_control(|message| {
        // SAFETY: the control buffer has room for one header and one descriptor (CONTROL_LEN), so the first header is
        // not null and its data lies inside; the message and what it points to live until sendmsg has returned.
        check_size(unsafe {
            let header = libc::CMSG_FIRSTHDR(message);
            (*header).cmsg_level = libc::SOL_SOCKET;
            (*header).cmsg_type = libc::SCM_RIGHTS;
            (*header).cmsg_len = libc::CMSG_LEN(size_of::<libc::c_int>() as u32) as usize;
            ptr::write_unaligned(libc::CMSG_DATA(header).cast(), descriptor.as_raw_fd());
            libc::sendmsg(over.as_raw_fd(), message, 0)
        })
        .map(drop)
    })
}

/// Receives what [`pass`] sent.
pub fn receive(over: &impl AsRawFd) -> io::Result<OwnedFd> {
    with_control(|message| {
        // SAFETY: the message and what it points to live until recvmsg has returned.
        check_size(unsafe { libc::recvmsg(over.as_raw_fd(), message, libc::MSG_CMSG_CLOEXEC) })?;
        // SAFETY: recvmsg has set the length of what it wrote; the header is read only when it is whole, and the
        // descriptor only when the header says that there is one. It is new and owned by nobody else.
        unsafe {
            let header = libc::CMSG_FIRSTHDR(message);
            if header.is_null() || (*header).cmsg_type != libc::SCM_RIGHTS {
                return Err(io::Error::other("no descriptor came"));
            }
            Ok(OwnedFd::from_raw_fd(ptr::read_unaligned(libc::CMSG_DATA(header).cast())))
        }
    })
}

/// Lends a message of one byte with room for one descriptor.
fn with_control<T>(call: impl FnOnce(&mut libc::msghdr) -> T) -> T {
    let mut byte = [0_u8];
    let mut control = Control([0; CONTROL_LEN]);
    let mut part = libc::iovec { iov_base: byte.as_mut_ptr().cast(), iov_len: byte.len() };
    // SAFETY: msghdr is plain data for which all zeroes is a value.
    let mut message: libc::msghdr = unsafe { mem::zeroed() };
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    message.msg_control = control.0.as_mut_ptr().cast();
    message.msg_controllen = CONTROL_LEN;
    call(&mut message)
}
