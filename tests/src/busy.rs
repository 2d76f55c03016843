//! Processes that keep a processor busy, started again with a hidden argument. No proof of work is among them: what must be
//! told as RandomX is a stand-in that has its signature and computes nothing.

use std::{
    ffi::OsStr,
    hint::black_box,
    io,
    os::unix::process::CommandExt as _,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};

use crate::{cgroup::Cgroup, program, sys};

const ARGUMENT: &str = "--busy";
/// They end by themselves, whatever becomes of the test.
const LONGEST: Duration = Duration::from_secs(120);

/// What a process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Busy {
    /// Runs code of RandomX's shape, written to memory, in all four rounding modes at random.
    RandomxStandIn,
    /// The same code, with the rounding modes of interval arithmetic.
    IntervalArithmetic,
    /// Walks through all four rounding modes, without a large memory and without code of its own.
    RoundingTest,
    /// Rotates, adds and exclusive ors without end, as a hash without data does.
    HashStandIn,
}

impl Busy {
    const ALL: [Self; 4] =
        [Self::RandomxStandIn, Self::IntervalArithmetic, Self::RoundingTest, Self::HashStandIn];

    /// Starts it in `cgroup`.
    pub fn start(self, cgroup: &Cgroup) -> Result<Running> {
        self.start_from(cgroup, "/proc/self/exe")
    }

    /// Starts it from a copy of this program.
    pub fn start_from(self, cgroup: &Cgroup, copy: impl AsRef<OsStr>) -> Result<Running> {
        let mut command = cgroup.command(copy)?;
        command.args([ARGUMENT, &format!("{self:?}")]);
        Running::start(command)
    }

    /// Starts it as another user.
    pub fn start_as(self, cgroup: &Cgroup, uid: u32) -> Result<Running> {
        let mut command = cgroup.command("/proc/self/exe")?;
        command.args([ARGUMENT, &format!("{self:?}")]);
        // SAFETY: between fork and exec only system calls are made: no allocation, no lock.
        unsafe { command.pre_exec(move || sys::set_user(uid)) };
        Running::start(command)
    }

    fn work(self) -> io::Result<()> {
        let end = Instant::now() + LONGEST;
        // From no random source: two runs are alike.
        let mut state = 88_172_645_463_325_252_u64;
        let mut modes = |of: &[u32]| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            of[(state >> 33) as usize % of.len()]
        };
        match self {
            Self::RandomxStandIn | Self::IntervalArithmetic => {
                let all: &[u32] = if self == Self::RandomxStandIn { &[0, 1, 2, 3] } else { &[1, 2] };
                let code = Code::write(RANDOMX)?;
                while Instant::now() < end {
                    round(modes(all));
                    (0..2000).for_each(|_| code.run());
                }
            }
            Self::RoundingTest => {
                while Instant::now() < end {
                    round(modes(&[0, 1, 2, 3]));
                    black_box((0..20_000).fold(1.0, |x: f64, n| black_box(x / 1.01 + f64::from(n) * 0.1)));
                }
            }
            Self::HashStandIn => {
                let code = Code::write(HASH)?;
                while Instant::now() < end {
                    (0..2000).for_each(|_| code.run());
                }
            }
        }
        Ok(())
    }
}

/// A busy process. It is killed with this value.
pub struct Running {
    child: Child,
    /// When it was started.
    pub since: Instant,
}

impl Running {
    fn start(mut command: Command) -> Result<Self> {
        let since = Instant::now();
        let child = command.stdin(Stdio::null()).spawn().context("cannot start a busy process")?;
        Ok(Self { child, since })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it runs still.
    pub fn runs(&self) -> Result<bool> {
        Ok(!program::ended(&self.child, Duration::ZERO)?)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Does what a process started by this module is for, if this is one. True when it was.
pub fn serve() -> bool {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().as_deref() != Some(OsStr::new(ARGUMENT)) {
        return false;
    }
    let what = arguments.next().unwrap_or_default();
    match Busy::ALL.into_iter().find(|b| what.to_str() == Some(&format!("{b:?}"))) {
        Some(busy) => {
            if let Err(error) = busy.work() {
                eprintln!("{busy:?}: {error}");
            }
        }
        None => eprintln!("nobody is busy with {what:?}"),
    }
    true
}

fn round(mode: u32) {
    #[cfg(target_arch = "x86_64")]
    {
        let mxcsr = 0x1f80 | mode << 13;
        // SAFETY: all exceptions stay masked; only the last bit of results depends on it, and nobody looks at them.
        unsafe { std::arch::asm!("ldmxcsr [{}]", in(reg) &raw const mxcsr, options(nostack, readonly)) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = mode;
}

/// imul rax, rsi; xor rcx, rax; ror rcx, 9; add rdx, rcx; xor rsi, rdx; mulsd xmm0, xmm1
const RANDOMX: &[u8] = &[
    0x48, 0x0f, 0xaf, 0xc6, 0x48, 0x31, 0xc1, 0x48, 0xc1, 0xc9, 9, 0x48, 0x01, 0xca, 0x48, 0x31, 0xd6, 0xf2,
    0x0f, 0x59, 0xc1,
];
/// rol eax, 7; xor ecx, eax; add edx, ecx; ror edx, 13; xor eax, edx
const HASH: &[u8] = &[0xc1, 0xc0, 7, 0x31, 0xc1, 0x01, 0xca, 0xc1, 0xca, 13, 0x31, 0xd0];

/// A page of code without a branch.
struct Code(extern "C" fn(u64, u64, u64, u64) -> u64);

const PAGE: usize = 4096;

impl Code {
    fn write(piece: &[u8]) -> io::Result<Self> {
        const RET: u8 = 0xc3;
        let protection = libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: a new mapping, wherever the kernel likes; the result is checked.
        let at = unsafe { libc::mmap(std::ptr::null_mut(), PAGE, protection, flags, -1, 0) };
        if at == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let mut bytes: Vec<u8> =
            piece.iter().copied().cycle().take(piece.len() * (PAGE / piece.len() - 1)).collect();
        bytes.push(RET);
        // SAFETY: the mapping is a page long, the code is shorter, and nobody else knows of it.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), at.cast(), bytes.len()) };
        // SAFETY: the page holds a function of that signature for this processor; it writes to registers only that
        // belong to the callee.
        Ok(Self(unsafe {
            std::mem::transmute::<*mut libc::c_void, extern "C" fn(u64, u64, u64, u64) -> u64>(at)
        }))
    }

    fn run(&self) {
        black_box((self.0)(1, 2, 3, 4));
    }
}

/// Whether the processor is one whose code and registers are understood.
pub const fn understood() -> bool {
    cfg!(target_arch = "x86_64")
}
