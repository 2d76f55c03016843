//! The door to kernel structures: every read goes through `bpf_probe_read_kernel` at an offset from BTF, so a
//! wrong or stale pointer is an error value, never a fault.

use aya_ebpf::helpers::{
    bpf_get_current_task, bpf_probe_read_kernel,
    generated::{
        bpf_probe_read_kernel as generated_probe_read_kernel, bpf_probe_read_kernel_str, bpf_probe_read_user,
    },
};
use miner_guard_common::abi::{
    exec,
    file::FileId,
    offsets::{ABSENT, Offset},
    runtime,
};

/// Set by the loader before the programs load; frozen, so the verifier sees constants.
#[unsafe(no_mangle)]
static OFFSETS: [u32; Offset::COUNT] = [0; Offset::COUNT];

#[inline(always)]
fn offset(member: Offset) -> u32 {
    // SAFETY: a read of our own static, in bounds because `Offset` is the index; volatile because the loader
    // replaces it after compilation.
    unsafe { core::ptr::read_volatile(OFFSETS.as_ptr().add(member as usize)) }
}

/// A kernel address. Only [`Ptr::read`] looks behind it.
#[derive(Clone, Copy)]
pub struct Ptr(u64);

impl Ptr {
    /// The task that runs now.
    #[inline(always)]
    pub fn current() -> Self {
        // SAFETY: the helper has no preconditions.
        Self(unsafe { bpf_get_current_task() })
    }

    /// An address that a hook was given.
    #[inline(always)]
    pub fn new(address: u64) -> Self {
        Self(address)
    }

    #[inline(always)]
    fn read<T: Copy>(self, member: Offset) -> Option<T> {
        let offset = offset(member);
        // SAFETY: the helper checks the source address and reports a fault as an error.
        unsafe { bpf_probe_read_kernel((self.0 + u64::from(offset)) as *const T) }.ok()
    }

    #[inline(always)]
    fn follow(self, member: Offset) -> Option<Self> {
        match self.read::<u64>(member) {
            Some(0) | None => None,
            Some(p) => Some(Self(p)),
        }
    }
}

/// The opened file of a `linux_binprm`.
#[inline(always)]
pub fn file_of_bprm(bprm: Ptr) -> Option<Ptr> {
    bprm.follow(Offset::BprmFile)
}

/// Whether an interpreter runs in place of the file that was given to `execve`.
#[inline(always)]
pub fn is_script(bprm: Ptr) -> bool {
    match (bprm.read::<u64>(Offset::BprmFilename), bprm.read::<u64>(Offset::BprmInterp)) {
        (Some(given), Some(runs)) => given != runs,
        _ => false,
    }
}

/// The file that the task's program came from.
#[inline(always)]
pub fn exe_of(task: Ptr) -> Option<Ptr> {
    task.follow(Offset::TaskMm)?.follow(Offset::MmExeFile)
}

/// Identity of an open `struct file`, and whether it still has a name.
#[inline(always)]
pub fn identity(file: Ptr) -> Option<(FileId, bool)> {
    let inode = file.follow(Offset::FileInode)?;
    let id = FileId {
        ino: inode.read(Offset::InodeIno)?,
        ctime_sec: inode.read(Offset::InodeCtimeSec)?,
        size: inode.read(Offset::InodeSize)?,
        // From 6.13 on the top bit says that somebody has asked for the time.
        ctime_nsec: inode.read::<u32>(Offset::InodeCtimeNsec)? & 0x7fff_ffff,
        dev: inode.follow(Offset::InodeSb)?.read(Offset::SbDev)?,
    };
    Some((id, inode.read::<u32>(Offset::InodeNlink)? == 0))
}

/// Thread group of the parent, 0 if it cannot be read.
#[inline(always)]
pub fn parent(task: Ptr) -> u32 {
    task.follow(Offset::TaskRealParent).and_then(|p| p.read(Offset::TaskTgid)).unwrap_or(0)
}

/// Copies the path given to `execve`; returns the bytes used.
#[inline(always)]
pub fn filename(bprm: Ptr, out: &mut [u8; exec::FILENAME]) -> u32 {
    let Some(name) = bprm.follow(Offset::BprmFilename) else { return 0 };
    // SAFETY: the helper checks the source; the destination is a whole array. It returns the length with the NUL.
    let n =
        unsafe { bpf_probe_read_kernel_str(out.as_mut_ptr().cast(), out.len() as u32, name.0 as *const _) };
    if n > 0 { (n - 1) as u32 } else { 0 }
}

/// Copies the arguments as the program will see them; returns the bytes used and whether there were more.
#[inline(always)]
pub fn arguments(task: Ptr, out: &mut [u8; exec::ARGS]) -> (u32, bool) {
    let Some(mm) = task.follow(Offset::TaskMm) else { return (0, false) };
    let (Some(start), Some(end)) = (mm.read::<u64>(Offset::MmArgStart), mm.read::<u64>(Offset::MmArgEnd))
    else {
        return (0, false);
    };
    let have = end.wrapping_sub(start);
    let (len, more) = if have < exec::ARGS as u64 { (have as u32, false) } else { (exec::ARGS as u32, true) };
    // SAFETY: `len` is at most the array's size; the helper checks the source.
    let rc = unsafe { bpf_probe_read_user(out.as_mut_ptr().cast(), len, start as *const _) };
    if rc == 0 { (len, more) } else { (0, true) }
}

/// SSE control and status register of a thread that was just switched out. `fpu`: its `struct fpu`, as a hook was given it
/// whose arguments the verifier knows the types of: it checks each read against the kernel's own types, and no helper need
/// be called, which would be most of what this costs. Where nothing can be read it is 0.
#[inline(always)]
pub fn mxcsr(fpu: *const u8) -> u32 {
    let at = |base: *const u8, member| base.wrapping_add(offset(member) as usize);
    // SAFETY: as above; a read that faults yields 0.
    unsafe {
        if offset(Offset::FpuFpstate) == ABSENT {
            return core::ptr::read_volatile(at(fpu, Offset::FpuMxcsr).cast());
        }
        let state = core::ptr::read_volatile(at(fpu, Offset::FpuFpstate).cast::<*const u8>());
        core::ptr::read_volatile(at(state, Offset::FpstateMxcsr).cast())
    }
}

/// Copies the code bytes at a user address of the current task; how many could be read. Never faults a page in.
#[inline(always)]
pub fn code(ip: u64, out: &mut [u8; runtime::CODE]) -> u32 {
    /// When the page ends or is not there: an instruction at least.
    const LEAST: usize = 16;
    // SAFETY: as many bytes as the array has; the helper checks the source.
    if unsafe { bpf_probe_read_user(out.as_mut_ptr().cast(), runtime::CODE as u32, ip as *const _) } == 0 {
        return runtime::CODE as u32;
    }
    // SAFETY: as above, for fewer bytes. The first read has cleared the array.
    if unsafe { bpf_probe_read_user(out.as_mut_ptr().cast(), LEAST as u32, ip as *const _) } == 0 {
        return LEAST as u32;
    }
    0
}

/// Copies memory of our own that is too much for plain moves.
#[inline(always)]
pub fn copy<const N: usize>(from: &[u8; N], to: &mut [u8; N]) {
    // SAFETY: both are `N` bytes.
    if unsafe { generated_probe_read_kernel(to.as_mut_ptr().cast(), N as u32, from.as_ptr().cast()) } != 0 {
        crate::emit::lost(miner_guard_common::abi::record::Loss::KernelRead);
    }
}

/// Thread group, thread, real user and group, and name of a task.
#[inline(always)]
pub fn who(task: Ptr) -> Option<([u32; 4], [u8; 16])> {
    let cred = task.follow(Offset::TaskCred)?;
    let ids = [
        task.read(Offset::TaskTgid)?,
        task.read(Offset::TaskPid)?,
        cred.read(Offset::CredUid)?,
        cred.read(Offset::CredGid)?,
    ];
    Some((ids, task.read(Offset::TaskComm)?))
}

/// Id of the task's cgroup.
#[inline(always)]
pub fn cgroup(task: Ptr) -> Option<u64> {
    let cgroup = task.follow(Offset::TaskCgroups)?.follow(Offset::CssSetDflCgrp)?;
    cgroup.follow(Offset::CgroupKn)?.read(Offset::KernfsId)
}

/// How many levels of cgroups are looked at.
pub const CGROUP_DEPTH: usize = 16;

/// Asks `hit` for the id of the task's cgroup and of each one above it, innermost first; true once `hit` is.
///
/// Read from the structures rather than by `bpf_get_current_ancestor_cgroup_id`, which tracing programs have from
/// 5.14 only.
#[inline(always)]
pub fn any_cgroup(task: Ptr, mut hit: impl FnMut(u64) -> bool) -> bool {
    // Zero for nothing, rather than an Option: its value is undefined when there is none, and where the compiler carries
    // that over from one turn to the next the verifier refuses the register.
    let step = |from: u64, member| if from == 0 { 0 } else { Ptr(from).read::<u64>(member).unwrap_or(0) };
    let mut at = step(step(task.0, Offset::TaskCgroups), Offset::CssSetDflCgrp);
    for _ in 0..CGROUP_DEPTH {
        let node = step(at, Offset::CgroupKn);
        if node == 0 {
            return false;
        }
        if hit(step(node, Offset::KernfsId)) {
            return true;
        }
        at = step(at, Offset::CgroupParent);
    }
    false
}
