//! Ends a pinned link at once, where its kind can.
//!
//! A link whose last pin goes is taken down by the kernel a moment later. A cgroup link that is detached first stops
//! being asked before the call returns. aya has no door to this.

use std::{
    ffi::CString,
    fs, io,
    os::{
        fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
        unix::ffi::OsStrExt as _,
    },
    path::Path,
};

/// `enum bpf_cmd` of linux/bpf.h.
const BPF_OBJ_GET: libc::c_int = 7;
const BPF_LINK_DETACH: libc::c_int = 34;

/// The part of `union bpf_attr` that BPF_OBJ_GET reads.
#[repr(C)]
struct ObjGet {
    pathname: u64,
    bpf_fd: u32,
    file_flags: u32,
}

/// The part that BPF_LINK_DETACH reads.
#[repr(C)]
struct LinkDetach {
    link_fd: u32,
}

/// Detaches the link that is pinned at `path`.
///
/// # Errors
/// Of the kernel's: EOPNOTSUPP for links of tracepoints and LSM hooks, which end with their last reference.
pub(super) fn link(path: &Path) -> io::Result<()> {
    let link = open(path)?;
    let detach = LinkDetach { link_fd: link.as_raw_fd().cast_unsigned() };
    // SAFETY: the attribute holds no pointer.
    unsafe { bpf(BPF_LINK_DETACH, &detach) }.map(drop)
}

/// Whether the link that is pinned at `path` is one of an interface that is still there, in whatever network namespace.
pub(super) fn hangs_on_an_interface(path: &Path) -> bool {
    let about =
        open(path).and_then(|link| fs::read_to_string(format!("/proc/self/fdinfo/{}", link.as_raw_fd())));
    let index =
        |text: String| text.lines().find_map(|l| l.strip_prefix("ifindex:")?.trim().parse::<u32>().ok());
    about.ok().and_then(index).is_some_and(|index| index != 0)
}

fn open(path: &Path) -> io::Result<OwnedFd> {
    let name = CString::new(path.as_os_str().as_bytes())?;
    let get = ObjGet { pathname: name.as_ptr() as u64, bpf_fd: 0, file_flags: 0 };
    // SAFETY: the kernel reads the name, which is NUL-terminated and outlives the call.
    let fd = unsafe { bpf(BPF_OBJ_GET, &get) }?;
    // SAFETY: the descriptor is new, open and owned by nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// bpf(2).
///
/// # Safety
/// What `attribute` points to must be good for what `command` does with it.
unsafe fn bpf<T>(command: libc::c_int, attribute: &T) -> io::Result<libc::c_int> {
    // SAFETY: the kernel reads `size_of::<T>()` bytes of the attribute and takes the rest of the union for zeroes;
    // for pointers in it the caller answers.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, &raw const *attribute, size_of::<T>()) };
    match libc::c_int::try_from(result) {
        Ok(done) if done >= 0 => Ok(done),
        _ => Err(io::Error::last_os_error()),
    }
}
