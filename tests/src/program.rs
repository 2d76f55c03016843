//! A harmless program of a few bytes, written by the test: it prints one word, then ends with 42 or waits for its end.

use std::{
    ffi::CString,
    fs::{self, File},
    io::{self, Read as _},
    os::{
        fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
        unix::{
            ffi::OsStrExt as _, fs::PermissionsExt as _, process::CommandExt as _,
            process::ExitStatusExt as _,
        },
    },
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

use crate::{PATIENCE, sys};

/// What it prints: proof that its first instructions ran.
const WORD: &[u8; 4] = b"ran\n";
/// How it ends by itself.
pub const DONE: i32 = 42;

/// What the program does once it has printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// Ends with [`DONE`].
    Exit,
    /// Waits until somebody ends it.
    Wait,
}

/// An ELF file that no other test has the like of: `name` is in it.
pub fn elf(name: &str, then: Then) -> Vec<u8> {
    const BASE: u64 = 0x40_0000;
    const HEADERS: u64 = 64 + 56;
    let (machine, mut code) = code(then);
    code.extend(WORD);
    code.extend(name.as_bytes());
    let len = HEADERS + code.len() as u64;
    let mut out = vec![0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    // ET_EXEC, machine, version; entry, program headers at 64, no sections; flags; sizes and counts
    out.extend([2u16, machine].iter().flat_map(|v| v.to_le_bytes()));
    out.extend(1u32.to_le_bytes());
    out.extend([BASE + HEADERS, 64, 0].iter().flat_map(|v| v.to_le_bytes()));
    out.extend(0u32.to_le_bytes());
    out.extend([64u16, 56, 1, 0, 0, 0].iter().flat_map(|v| v.to_le_bytes()));
    // PT_LOAD, read and execute; offset, addresses, sizes, alignment
    out.extend([1u32, 5].iter().flat_map(|v| v.to_le_bytes()));
    out.extend([0, BASE, BASE, len, len, 0x1000].iter().flat_map(|v: &u64| v.to_le_bytes()));
    out.extend(code);
    out
}

/// The machine's number and code; the word follows at once.
#[cfg(target_arch = "x86_64")]
fn code(then: Then) -> (u16, Vec<u8>) {
    let end: &[u8] = match then {
        // mov edi, 42; mov eax, 60 (exit); syscall
        Then::Exit => &[0xbf, DONE as u8, 0, 0, 0, 0xb8, 60, 0, 0, 0, 0x0f, 0x05],
        // mov eax, 34 (pause); syscall; jmp back
        Then::Wait => &[0xb8, 34, 0, 0, 0, 0x0f, 0x05, 0xeb, 0xf7],
    };
    let end_len = end.len() as u8;
    // mov edi, 1; lea rsi, [rip + word]; mov edx, 4; mov eax, 1 (write); syscall
    let mut code = vec![0xbf, 1, 0, 0, 0, 0x48, 0x8d, 0x35, 12 + end_len, 0, 0, 0];
    code.extend([0xba, 4, 0, 0, 0, 0xb8, 1, 0, 0, 0, 0x0f, 0x05]);
    code.extend(end);
    (62, code)
}

#[cfg(target_arch = "aarch64")]
fn code(then: Then) -> (u16, Vec<u8>) {
    const SVC: u32 = 0xd400_0001;
    let mov = |register: u32, value: u32| 0xd280_0000 | value << 5 | register;
    let end = match then {
        // exit(42)
        Then::Exit => vec![mov(0, DONE as u32), mov(8, 93), SVC],
        // ppoll(NULL, 0, NULL, NULL, 0); again
        Then::Wait => {
            vec![mov(0, 0), mov(1, 0), mov(2, 0), mov(3, 0), mov(4, 0), mov(8, 73), SVC, 0x17ff_fff9]
        }
    };
    let behind = 4 * (4 + end.len() as u32);
    // write(1, word, 4), where the word's address is that of the second instruction and what is behind it
    let adr = 0x1000_0001 | (behind / 4) << 5;
    let start = [mov(0, 1), adr, mov(2, 4), mov(8, 64), SVC];
    (183, start.iter().chain(&end).flat_map(|i| i.to_le_bytes()).collect())
}

/// Writes a program file, closed when this returns.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    fs::write(path, bytes)
        .and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(0o755)))
        .with_context(|| format!("cannot write {}", path.display()))
}

/// A program in memory: it never had a name.
pub fn in_memory(bytes: &[u8]) -> Result<File> {
    // SAFETY: the name is NUL-terminated and outlives the call.
    let fd = sys::check(unsafe { libc::memfd_create(c"mg-test".as_ptr(), libc::MFD_CLOEXEC) })?;
    // SAFETY: the descriptor is new, open and owned by nobody else.
    let mut file = File::from(unsafe { OwnedFd::from_raw_fd(fd) });
    io::Write::write_all(&mut file, bytes)?;
    Ok(file)
}

/// Makes the command run `file` by its descriptor, as fexecve() does, whatever program it names.
pub fn by_descriptor(command: &mut Command, file: &File) -> Result<()> {
    execveat(command, file, c"", libc::AT_EMPTY_PATH)
}

/// Makes the command run the file of this name in an open directory.
pub fn in_directory(command: &mut Command, directory: &File, name: &Path) -> Result<()> {
    execveat(command, directory, &CString::new(name.as_os_str().as_bytes())?, 0)
}

fn execveat(command: &mut Command, at: &File, name: &std::ffi::CStr, flags: libc::c_int) -> Result<()> {
    let (at, name) = (at.try_clone()?, name.to_owned());
    // SAFETY: between fork and exec only execveat(2) is called, on a descriptor, a name and arrays that exist: no
    // allocation, no lock. It returns only with an error.
    unsafe {
        command.pre_exec(move || {
            let arguments = [c"program".as_ptr(), std::ptr::null()];
            let environment = [std::ptr::null::<libc::c_char>()];
            libc::syscall(
                libc::SYS_execveat,
                at.as_raw_fd(),
                name.as_ptr(),
                arguments.as_ptr(),
                environment.as_ptr(),
                flags,
            );
            Err(io::Error::last_os_error())
        });
    }
    Ok(())
}

/// How a start ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// No process was made: execve() gave this errno.
    Refused(i32),
    /// By SIGKILL.
    Killed,
    /// By another signal.
    Signal(i32),
    /// By itself, with this status.
    Exited(i32),
}

/// What came of starting a program.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// How it ended.
    pub end: End,
    /// Whether it printed its word.
    pub printed: bool,
    /// Whether it printed nothing at all.
    pub silent: bool,
    /// From before fork() to its end.
    pub after: Duration,
}

impl Run {
    /// Stopped before its first instruction.
    pub fn never_ran(&self) -> bool {
        self.was_stopped() && !self.printed
    }

    /// Stopped at some time.
    pub fn was_stopped(&self) -> bool {
        matches!(self.end, End::Refused(libc::EPERM) | End::Killed)
    }

    /// Went on to its own end.
    pub fn was_let_go(&self) -> bool {
        self.end == End::Exited(DONE) && self.printed
    }
}

/// Starts a program and waits for its end, but not for ever.
pub fn run(command: &mut Command) -> Result<Run> {
    run_and(command, || Ok(()))
}

/// The same, doing something as soon as the program runs.
pub fn run_and(command: &mut Command, meanwhile: impl FnOnce() -> Result<()>) -> Result<Run> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let start = Instant::now();
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => match error.raw_os_error() {
            Some(errno) => {
                return Ok(Run {
                    end: End::Refused(errno),
                    printed: false,
                    silent: true,
                    after: Duration::ZERO,
                });
            }
            None => bail!("cannot start {command:?}: {error}"),
        },
    };
    let meanwhile = meanwhile();
    let ended = ended(&child, PATIENCE)?;
    let after = start.elapsed();
    if !ended {
        child.kill()?;
    }
    let status = child.wait()?;
    meanwhile?;
    let mut said = Vec::new();
    child.stdout.take().context("no stdout")?.read_to_end(&mut said)?;
    if !ended {
        bail!(
            "{command:?} was not ended within {PATIENCE:?}; it printed {:?}",
            String::from_utf8_lossy(&said)
        );
    }
    let end = match (status.code(), status.signal()) {
        (Some(code), _) => End::Exited(code),
        (None, Some(libc::SIGKILL)) => End::Killed,
        (None, signal) => End::Signal(signal.unwrap_or(0)),
    };
    Ok(Run { end, printed: said.windows(WORD.len()).any(|w| w == WORD), silent: said.is_empty(), after })
}

/// Waits for the end of a child, which stays to be waited for. False when it did not come in time.
pub fn ended(child: &Child, patience: Duration) -> Result<bool> {
    // SAFETY: takes numbers; the process is our child and not yet waited for, so the id is its own.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, libc::pid_t::try_from(child.id())?, 0) };
    let fd = sys::check(libc::c_int::try_from(fd)?).context("pidfd_open")?;
    // SAFETY: the descriptor is new, open and owned by nobody else.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    let mut poll = libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    let milliseconds = libc::c_int::try_from(patience.as_millis())?;
    // SAFETY: one pollfd, which outlives the call.
    Ok(sys::check(unsafe { libc::poll(&raw mut poll, 1, milliseconds) })? > 0)
}
