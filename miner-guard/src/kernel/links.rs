//! Pinned links: makes one of a kind that aya gives nobody, ends one at once, where its kind can, and says where those of
//! interfaces hang.
//!
//! A link whose last pin goes is taken down by the kernel a moment later. A cgroup link that is detached first stops
//! being asked before the call returns. aya has no door to this.

use std::{
    ffi::CString,
    fs, io,
    os::{
        fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd},
        unix::ffi::OsStrExt as _,
    },
    path::Path,
};

/// `enum bpf_cmd` of linux/bpf.h.
const BPF_OBJ_PIN: libc::c_int = 6;
const BPF_OBJ_GET: libc::c_int = 7;
const BPF_PROG_QUERY: libc::c_int = 16;
const BPF_LINK_CREATE: libc::c_int = 28;
const BPF_LINK_DETACH: libc::c_int = 34;

/// `enum bpf_attach_type`
pub(super) const BPF_CGROUP_SETSOCKOPT: u32 = 22;
const BPF_TCX_EGRESS: u32 = 47;
/// `BPF_MPROG_MAX`: programs that can hang on one side of an interface.
const PROGRAMS: usize = 64;

/// The part of `union bpf_attr` that BPF_OBJ_PIN and BPF_OBJ_GET read.
#[repr(C)]
struct Object {
    pathname: u64,
    bpf_fd: u32,
    file_flags: u32,
}

/// The part that BPF_LINK_CREATE reads.
#[repr(C)]
struct LinkCreate {
    prog_fd: u32,
    target_fd: u32,
    attach_type: u32,
    flags: u32,
}

/// The part that BPF_LINK_DETACH reads.
#[repr(C)]
struct LinkDetach {
    link_fd: u32,
}

/// The part that BPF_PROG_QUERY reads and writes.
#[repr(C)]
struct ProgQuery {
    target_ifindex: u32,
    attach_type: u32,
    query_flags: u32,
    attach_flags: u32,
    prog_ids: u64,
    count: u32,
    pad: u32,
    /// Flags of programs, links, their flags: not asked for.
    more: [u64; 3],
    revision: u64,
}

/// Hangs a program on a cgroup, by a link that is pinned at `path`.
///
/// # Errors
/// The kernel's.
pub(super) fn hang_on_cgroup(
    program: BorrowedFd<'_>,
    cgroup: BorrowedFd<'_>,
    attach_type: u32,
    path: &Path,
) -> io::Result<()> {
    let [prog_fd, target_fd] = [program, cgroup].map(|fd| fd.as_raw_fd().cast_unsigned());
    let mut create = LinkCreate { prog_fd, target_fd, attach_type, flags: 0 };
    // SAFETY: the attribute holds no pointer.
    let link = owned(unsafe { bpf(BPF_LINK_CREATE, &mut create) }?);
    let name = CString::new(path.as_os_str().as_bytes())?;
    let bpf_fd = link.as_raw_fd().cast_unsigned();
    let mut pin = Object { pathname: name.as_ptr() as u64, bpf_fd, file_flags: 0 };
    // SAFETY: the kernel reads the name, which is NUL-terminated and outlives the call.
    unsafe { bpf(BPF_OBJ_PIN, &mut pin) }.map(drop)
}

/// Detaches the link that is pinned at `path`.
///
/// # Errors
/// Of the kernel's: EOPNOTSUPP for links of tracepoints and LSM hooks, which end with their last reference.
pub(super) fn detach(path: &Path) -> io::Result<()> {
    let link = open(path)?;
    let mut detach = LinkDetach { link_fd: link.as_raw_fd().cast_unsigned() };
    // SAFETY: the attribute holds no pointer.
    unsafe { bpf(BPF_LINK_DETACH, &mut detach) }.map(drop)
}

/// Whether the link that is pinned at `path` is one of an interface that is still there, in whatever network namespace.
pub(super) fn hangs_on_an_interface(path: &Path) -> bool {
    let about =
        open(path).and_then(|link| fs::read_to_string(format!("/proc/self/fdinfo/{}", link.as_raw_fd())));
    let index =
        |text: String| text.lines().find_map(|l| l.strip_prefix("ifindex:")?.trim().parse::<u32>().ok());
    about.ok().and_then(index).is_some_and(|index| index != 0)
}

/// The ids of the programs that hang on the way out of an interface by a link, in the network namespace of this thread.
///
/// # Errors
/// The kernel's: there is no such interface, or it does not know such links.
pub(super) fn programs_on(interface: u32) -> io::Result<Vec<u32>> {
    let mut ids = [0u32; PROGRAMS];
    let mut query = ProgQuery {
        target_ifindex: interface,
        attach_type: BPF_TCX_EGRESS,
        query_flags: 0,
        attach_flags: 0,
        prog_ids: ids.as_mut_ptr() as u64,
        count: PROGRAMS as u32,
        pad: 0,
        more: [0; 3],
        revision: 0,
    };
    // SAFETY: the kernel writes at most `count` ids to where `prog_ids` points, which has room for them and outlives the
    // call.
    unsafe { bpf(BPF_PROG_QUERY, &mut query) }?;
    Ok(ids.into_iter().take(query.count as usize).collect())
}

fn open(path: &Path) -> io::Result<OwnedFd> {
    let name = CString::new(path.as_os_str().as_bytes())?;
    let mut get = Object { pathname: name.as_ptr() as u64, bpf_fd: 0, file_flags: 0 };
    // SAFETY: the kernel reads the name, which is NUL-terminated and outlives the call.
    Ok(owned(unsafe { bpf(BPF_OBJ_GET, &mut get) }?))
}

/// What a call has just opened.
fn owned(fd: libc::c_int) -> OwnedFd {
    // SAFETY: the descriptor is new, open and owned by nobody else.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// bpf(2).
///
/// # Safety
/// What `attribute` points to must be good for what `command` does with it.
unsafe fn bpf<T>(command: libc::c_int, attribute: &mut T) -> io::Result<libc::c_int> {
    // SAFETY: the kernel reads and writes `size_of::<T>()` bytes of the attribute and takes the rest of the union for
    // zeroes; for pointers in it the caller answers.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, &raw mut *attribute, size_of::<T>()) };
    match libc::c_int::try_from(result) {
        Ok(done) if done >= 0 => Ok(done),
        _ => Err(io::Error::last_os_error()),
    }
}
