//! Thin and safe doors to the system calls that std does not have.

pub mod interface;
pub mod net;

use std::{
    ffi::CString,
    io, mem,
    net::{SocketAddr, SocketAddrV4, SocketAddrV6},
    os::{
        fd::{AsRawFd, FromRawFd as _, OwnedFd},
        unix::ffi::OsStrExt as _,
    },
    path::Path,
};

/// The result of a system call that gives -1 and an errno.
pub fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// [`check`] for calls that count bytes.
pub fn check_size(result: libc::ssize_t) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}

fn c_path(path: &Path) -> io::Result<CString> {
    CString::new(path.as_os_str().as_bytes()).map_err(io::Error::other)
}

/// Mounts a file system that needs no options.
pub fn mount(source: &str, target: &Path, kind: &str) -> io::Result<()> {
    let (source, target, kind) = (CString::new(source)?, c_path(target)?, CString::new(kind)?);
    // SAFETY: all strings are NUL-terminated and outlive the call; a null data pointer means no options.
    check(unsafe { libc::mount(source.as_ptr(), target.as_ptr(), kind.as_ptr(), 0, std::ptr::null()) })
        .map(drop)
}

/// Loads a kernel module; one whose name ends in `.xz` the kernel itself unpacks.
pub fn load_module(path: &Path) -> io::Result<()> {
    /// `MODULE_INIT_COMPRESSED_FILE`
    const COMPRESSED: libc::c_int = 4;
    let file = std::fs::File::open(path)?;
    let flags = if path.extension().is_some_and(|end| end == "xz") { COMPRESSED } else { 0 };
    // SAFETY: a descriptor that outlives the call, no parameters as a NUL-terminated string, and numbers.
    let result = unsafe { libc::syscall(libc::SYS_finit_module, file.as_raw_fd(), c"".as_ptr(), flags) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Unmounts, at the latest when the last user has gone.
pub fn unmount(target: &Path) -> io::Result<()> {
    let target = c_path(target)?;
    // SAFETY: the string is NUL-terminated and outlives the call.
    check(unsafe { libc::umount2(target.as_ptr(), libc::MNT_DETACH) }).map(drop)
}

/// Keeps later mounts of this namespace to itself.
pub fn make_mounts_private() -> io::Result<()> {
    let flags = libc::MS_REC | libc::MS_PRIVATE;
    let nothing: *const libc::c_char = std::ptr::null();
    // SAFETY: the target is NUL-terminated; the other pointers are ignored with these flags and may be null.
    check(unsafe { libc::mount(nothing, c"/".as_ptr(), nothing, flags, std::ptr::null()) }).map(drop)
}

/// Leaves namespaces. For CLONE_NEWUSER and CLONE_NEWNS the process must have one thread.
pub fn unshare(flags: libc::c_int) -> io::Result<()> {
    // SAFETY: unshare takes a number and touches no memory of ours.
    check(unsafe { libc::unshare(flags) }).map(drop)
}

/// Enters a network namespace, with this thread alone.
pub fn enter_network(namespace: &impl AsRawFd) -> io::Result<()> {
    // SAFETY: setns takes numbers and touches no memory of ours.
    check(unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) }).map(drop)
}

/// Lets this process have so many files open.
pub fn allow_files(count: u64) -> io::Result<()> {
    let limit = libc::rlimit { rlim_cur: count, rlim_max: count };
    // SAFETY: the limit outlives the call, which only reads it.
    check(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) }).map(drop)
}

/// Becomes another user; as root this gives up root for good.
pub fn set_user(id: libc::uid_t) -> io::Result<()> {
    // SAFETY: takes numbers. This is the system call of this process as a whole, through glibc.
    check(unsafe { libc::setresuid(id, id, id) }).map(drop)
}

/// A new socket that is closed on exec.
pub fn socket(family: libc::c_int, kind: libc::c_int, protocol: libc::c_int) -> io::Result<OwnedFd> {
    // SAFETY: socket takes numbers.
    let fd = check(unsafe { libc::socket(family, kind | libc::SOCK_CLOEXEC, protocol) })?;
    // SAFETY: the descriptor is new, open and owned by nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// The address family of an address.
pub fn family(address: SocketAddr) -> libc::c_int {
    if address.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 }
}

/// A socket address as the kernel reads it.
pub struct RawAddress {
    bytes: libc::sockaddr_storage,
    len: libc::socklen_t,
}

impl RawAddress {
    /// The pointer and length that connect() and its kin take. Valid as long as `self` is.
    pub fn as_ptr(&self) -> (*const libc::sockaddr, libc::socklen_t) {
        ((&raw const self.bytes).cast(), self.len)
    }
}

impl From<SocketAddr> for RawAddress {
    fn from(address: SocketAddr) -> Self {
        match address {
            SocketAddr::V4(v4) => Self::put(raw_v4(v4)),
            SocketAddr::V6(v6) => Self::put(raw_v6(v6)),
        }
    }
}

impl From<libc::sockaddr_ll> for RawAddress {
    fn from(address: libc::sockaddr_ll) -> Self {
        Self::put(address)
    }
}

impl RawAddress {
    fn put<T: Copy>(address: T) -> Self {
        const { assert!(size_of::<T>() <= size_of::<libc::sockaddr_storage>()) };
        // SAFETY: sockaddr_storage is plain data for which all zeroes is a value.
        let mut bytes: libc::sockaddr_storage = unsafe { mem::zeroed() };
        // SAFETY: the storage is large enough (asserted above), and made to be aligned for every address.
        unsafe { (&raw mut bytes).cast::<T>().write(address) };
        // An address is 16 or 28 bytes.
        Self { bytes, len: size_of::<T>() as libc::socklen_t }
    }
}

fn raw_v4(address: SocketAddrV4) -> libc::sockaddr_in {
    libc::sockaddr_in {
        sin_family: libc::AF_INET as libc::sa_family_t,
        sin_port: address.port().to_be(),
        sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(address.ip().octets()) },
        sin_zero: [0; 8],
    }
}

fn raw_v6(address: SocketAddrV6) -> libc::sockaddr_in6 {
    libc::sockaddr_in6 {
        sin6_family: libc::AF_INET6 as libc::sa_family_t,
        sin6_port: address.port().to_be(),
        sin6_flowinfo: 0,
        sin6_addr: libc::in6_addr { s6_addr: address.ip().octets() },
        sin6_scope_id: 0,
    }
}

/// connect(2).
pub fn connect(socket: &OwnedFd, to: SocketAddr) -> io::Result<()> {
    let address = RawAddress::from(to);
    let (pointer, len) = address.as_ptr();
    // SAFETY: pointer and length describe `address`, which outlives the call.
    check(unsafe { libc::connect(socket.as_raw_fd(), pointer, len) }).map(drop)
}

/// sendto(2) of a few bytes.
pub fn send_to(
    socket: &OwnedFd,
    data: &[u8],
    flags: libc::c_int,
    to: impl Into<RawAddress>,
) -> io::Result<usize> {
    let address = to.into();
    let (pointer, len) = address.as_ptr();
    // SAFETY: both pointers describe memory of the given lengths that outlives the call.
    check_size(unsafe {
        libc::sendto(socket.as_raw_fd(), data.as_ptr().cast(), data.len(), flags, pointer, len)
    })
}

/// send(2) of a few bytes on a connected socket.
pub fn send(socket: &OwnedFd, data: &[u8], flags: libc::c_int) -> io::Result<usize> {
    // SAFETY: the pointer describes memory of the given length that outlives the call.
    check_size(unsafe { libc::send(socket.as_raw_fd(), data.as_ptr().cast(), data.len(), flags) })
}

/// setsockopt(2) with an integer.
pub fn set_option(
    socket: &OwnedFd,
    level: libc::c_int,
    name: libc::c_int,
    value: libc::c_int,
) -> io::Result<()> {
    let len = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the pointer is to an integer of that length that outlives the call.
    check(unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, (&raw const value).cast(), len) })
        .map(drop)
}

/// getsockopt(2) with an integer.
pub fn option(socket: &OwnedFd, level: libc::c_int, name: libc::c_int) -> io::Result<libc::c_int> {
    let mut value: libc::c_int = 0;
    let mut len = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the pointers are to an integer and its length; both outlive the call, which writes no more than `len`.
    check(unsafe {
        libc::getsockopt(socket.as_raw_fd(), level, name, (&raw mut value).cast(), &raw mut len)
    })?;
    Ok(value)
}

/// Waits until the socket can be written, which for a connection under way is its end.
pub fn wait_writable(socket: &OwnedFd) -> io::Result<()> {
    let milliseconds = libc::c_int::try_from(crate::PATIENCE.as_millis()).map_err(io::Error::other)?;
    if wait_for(socket, libc::POLLOUT, milliseconds)? { Ok(()) } else { Err(io::ErrorKind::TimedOut.into()) }
}

/// Waits for one of these poll(2) events, or for an error or hang-up of the socket. False when none came.
pub fn wait_for(socket: &OwnedFd, events: libc::c_short, milliseconds: libc::c_int) -> io::Result<bool> {
    let mut poll = libc::pollfd { fd: socket.as_raw_fd(), events, revents: 0 };
    // SAFETY: one pollfd, which outlives the call.
    Ok(check(unsafe { libc::poll(&raw mut poll, 1, milliseconds) })? > 0)
}
