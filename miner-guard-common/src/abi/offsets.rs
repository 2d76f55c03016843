//! Kernel structure offsets that the daemon reads from the running kernel's BTF and hands to the programs.

/// Declares the table once: the index on both sides, and the BTF path that user space resolves.
macro_rules! offsets {
    ($($(#[$m:meta])* $v:ident = $structure:literal, [$($path:literal),+],)+) => {
        /// Index into the `OFFSETS` array of the kernel programs.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(usize)]
        pub enum Offset { $($(#[$m])* $v,)+ }
        impl Offset {
            /// How many there are.
            pub const COUNT: usize = [$($structure),+].len();
            /// All, in index order.
            pub const ALL: [Self; Self::COUNT] = [$(Self::$v),+];
            /// The structure, and the member's path; several where kernels differ, the first that exists counts.
            pub const fn path(self) -> (&'static str, &'static [&'static str]) {
                match self { $(Self::$v => ($structure, &[$($path),+]),)+ }
            }
        }
    };
}

offsets! {
    /// The opened file.
    BprmFile = "linux_binprm", ["file"],
    /// The path given to `execve`.
    BprmFilename = "linux_binprm", ["filename"],
    /// The path of the program that runs: another one than `filename` for a script.
    BprmInterp = "linux_binprm", ["interp"],
    /// The file's inode.
    FileInode = "file", ["f_inode"],
    /// Inode number.
    InodeIno = "inode", ["i_ino"],
    /// Super block.
    InodeSb = "inode", ["i_sb"],
    /// Size in bytes.
    InodeSize = "inode", ["i_size"],
    /// Change time, seconds: moved in 6.6 and 6.11.
    InodeCtimeSec = "inode", ["i_ctime_sec", "__i_ctime.tv_sec", "i_ctime.tv_sec"],
    /// Change time, nanoseconds.
    InodeCtimeNsec = "inode", ["i_ctime_nsec", "__i_ctime.tv_nsec", "i_ctime.tv_nsec"],
    /// Number of names.
    InodeNlink = "inode", ["i_nlink"],
    /// Device number.
    SbDev = "super_block", ["s_dev"],
    /// Address space.
    TaskMm = "task_struct", ["mm"],
    /// Process that gets SIGCHLD.
    TaskRealParent = "task_struct", ["real_parent"],
    /// Thread group.
    TaskTgid = "task_struct", ["tgid"],
    /// Thread.
    TaskPid = "task_struct", ["pid"],
    /// Name of the thread.
    TaskComm = "task_struct", ["comm"],
    /// Credentials that others see.
    TaskCred = "task_struct", ["real_cred"],
    /// Real user.
    CredUid = "cred", ["uid"],
    /// Real group.
    CredGid = "cred", ["gid"],
    /// Set of cgroups.
    TaskCgroups = "task_struct", ["cgroups"],
    /// First byte of the arguments.
    MmArgStart = "mm_struct", ["arg_start"],
    /// One past the last byte of the arguments.
    MmArgEnd = "mm_struct", ["arg_end"],
    /// The program that runs.
    MmExeFile = "mm_struct", ["exe_file"],
    /// The cgroup v2 cgroup.
    CssSetDflCgrp = "css_set", ["dfl_cgrp"],
    /// The parent's `self`, which is a cgroup's first member.
    CgroupParent = "cgroup", ["self.parent"],
    /// Directory node.
    CgroupKn = "cgroup", ["kn"],
    /// cgroup id.
    KernfsId = "kernfs_node", ["id"],
    /// Floating point state in use, from 5.16 on. Optional.
    FpuFpstate = "fpu", ["fpstate"],
    /// SSE control and status in it. Optional.
    FpstateMxcsr = "fpstate", ["regs.fxsave.mxcsr"],
    /// The same where the state lies in `fpu` itself, up to 5.15. Optional.
    FpuMxcsr = "fpu", ["state.fxsave.mxcsr"],
}

/// What an optional offset is where the kernel has no such member.
pub const ABSENT: u32 = u32::MAX;

impl Offset {
    /// Whether the guard runs without it, and only a hook that can be done without is left out.
    pub const fn optional(self) -> bool {
        matches!(self, Self::FpuFpstate | Self::FpstateMxcsr | Self::FpuMxcsr)
    }
}
