//! The programs that the kernel holds, by bpf(2).

use std::{
    fs, io,
    os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
};

use super::check;

const BPF_PROG_GET_NEXT_ID: libc::c_int = 11;
const BPF_PROG_GET_FD_BY_ID: libc::c_int = 13;

/// The part of `union bpf_attr` that walks over ids.
#[repr(C)]
#[derive(Default)]
struct WalkIds {
    id: u32,
    next: u32,
    flags: u32,
}

/// What the kernel says of a program (its fdinfo), by a key such as `verified_insns`.
pub struct Program {
    /// Its id.
    pub id: u32,
    fdinfo: String,
}

impl Program {
    /// A number of its fdinfo; `None` where this kernel does not tell.
    pub fn number(&self, key: &str) -> Option<u64> {
        let line = self.fdinfo.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
        line.trim().parse().ok()
    }
}

/// All programs of the machine.
pub fn programs() -> io::Result<Vec<Program>> {
    let mut found = Vec::new();
    let mut walk = WalkIds::default();
    loop {
        match bpf(BPF_PROG_GET_NEXT_ID, &mut walk) {
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => return Ok(found),
            step => step.map(drop)?,
        }
        walk.id = walk.next;
        // One that is unloaded between the two calls is no more.
        if let Ok(fd) = bpf(BPF_PROG_GET_FD_BY_ID, &mut WalkIds { id: walk.id, ..WalkIds::default() }) {
            // SAFETY: the descriptor is new, open and owned by nobody else.
            let fd = unsafe { OwnedFd::from_raw_fd(fd) };
            let fdinfo = fs::read_to_string(format!("/proc/self/fdinfo/{}", fd.as_raw_fd()))?;
            found.push(Program { id: walk.id, fdinfo });
        }
    }
}

fn bpf(command: libc::c_int, attributes: &mut WalkIds) -> io::Result<libc::c_int> {
    let size = size_of::<WalkIds>();
    // SAFETY: the attributes are of that size and outlive the call; these commands write nothing past `next`.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_mut(attributes), size) };
    check(libc::c_int::try_from(result).map_err(io::Error::other)?)
}
