//! Proof that enforcement works here and now: in a scratch cgroup a reserved address is denied and a harmless
//! program is stopped, in audit mode too; outside of it the same address is open.
//!
//! "It loaded" proves nothing: programs exist that attach and never fire.

use std::{
    ffi::CString,
    io::{self, Write as _},
    net::{Ipv4Addr, SocketAddrV4, UdpSocket},
    os::{
        fd::{AsRawFd as _, OwnedFd},
        unix::{
            ffi::OsStrExt as _,
            fs::MetadataExt as _,
            process::{CommandExt as _, ExitStatusExt as _},
        },
    },
    process::{Command, Stdio},
};

use miner_guard_common::abi::{
    file::{FileId, FileVerdict},
    verdict::{Reason, Verdict},
};
use rustix::{
    fs::{MemfdFlags, Mode, OFlags},
    io::Errno,
};

use super::{KernelError, cgroup::Scratch, tables::Tables};

/// The reserved address: loopback, so that nothing leaves the machine even where the proof fails; a UDP connect
/// sends nothing at all.
pub const ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 77, 71, 254);
/// Its port.
pub const PORT: u16 = 7171;

/// What a proof showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// `connect()` in the scratch cgroup: how it was denied, or why that is not proven.
    pub connect: Result<String, String>,
    /// `execve()` in the scratch cgroup.
    pub exec: Result<String, String>,
}

impl Proof {
    /// Whether everything that was tried was stopped.
    pub fn holds(&self) -> bool {
        self.connect.is_ok() && self.exec.is_ok()
    }

    /// The first thing that is not proven.
    pub fn failure(&self) -> Option<&str> {
        [&self.connect, &self.exec].into_iter().find_map(|r| r.as_ref().err()).map(String::as_str)
    }
}

/// Tries both in the scratch cgroup.
pub fn prove(tables: &mut Tables, scratch: &Scratch) -> Result<Proof, KernelError> {
    Ok(Proof { connect: connect(scratch), exec: exec(tables, scratch)? })
}

fn connect(scratch: &Scratch) -> Result<String, String> {
    let to = SocketAddrV4::new(ADDRESS, PORT);
    if let Err(e) = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|s| s.connect(to)) {
        return Err(format!("the reserved address {to} is refused outside the canary cgroup too: {e}"));
    }
    // The child stops before it would run anything: what `connect` said comes back as the error of `spawn`.
    let mut command = Command::new("/proc/self/exe");
    join_first(&mut command, scratch, move || {
        let socket =
            rustix::net::socket(rustix::net::AddressFamily::INET, rustix::net::SocketType::DGRAM, None)?;
        rustix::net::connect(&socket, &to)?;
        Err(Errno::ISCONN)
    });
    match command.spawn().map_err(|e| Errno::from_io_error(&e)) {
        Err(Some(Errno::PERM)) => Ok(format!("connect to {to} was denied with EPERM")),
        Err(Some(Errno::ISCONN)) => Err(format!(
            "connect to {to} was not denied: the hook is attached and does not fire (is the guarded cgroup the one \
             that processes are in?)"
        )),
        Err(e) => Err(format!("connect to {to} could not be tried: {e:?}")),
        Ok(mut child) => {
            let _ = child.wait();
            Err("the canary's child went on where it should have stopped".into())
        }
    }
}

fn exec(tables: &mut Tables, scratch: &Scratch) -> Result<Result<String, String>, KernelError> {
    let file = program()
        .map_err(|e| KernelError::io("making the canary program in", std::path::Path::new("memory"), e))?;
    let id = identity(&file)?;
    let verdict = FileVerdict {
        verdict: Verdict::Deny as u8,
        reason: Reason::Canary as u8,
        flags: 0,
        rule: 0,
        version: 0,
        pad: 0,
    };
    tables.set_file(&id, &verdict)?;
    let mut command = Command::new(format!("/proc/self/fd/{}", file.as_raw_fd()));
    join_first(&mut command, scratch, || Ok(()));
    let outcome = match command.spawn() {
        Err(e) if Errno::from_io_error(&e) == Some(Errno::PERM) => Ok("execve was denied with EPERM".into()),
        Err(e) => Err(format!("the canary program could not be started: {e}")),
        Ok(mut child) => match child.wait() {
            Ok(s) if s.signal() == Some(9) => {
                Ok("the program was killed before its first instruction".into())
            }
            Ok(s) => {
                Err(format!("the canary program ran ({s}): the exec hook is attached and does not fire"))
            }
            Err(e) => Err(format!("the canary program was lost: {e}")),
        },
    };
    tables.forget_file(&id)?;
    Ok(outcome)
}

/// Makes the child enter the scratch cgroup, then do `then`, before it runs its program.
fn join_first(
    command: &mut Command,
    scratch: &Scratch,
    mut then: impl FnMut() -> Result<(), Errno> + Send + Sync + 'static,
) {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let procs = CString::new(scratch.procs().as_os_str().as_bytes()).unwrap_or_default();
    // SAFETY: between fork and exec the closure makes system calls only: it allocates nothing and takes no lock.
    unsafe {
        command.pre_exec(move || {
            let fd = rustix::fs::open(&procs, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
            rustix::io::write(&fd, b"0")?;
            Ok(then()?)
        });
    }
}

/// The identity under which the kernel programs see an open file.
pub fn identity(file: &OwnedFd) -> Result<FileId, KernelError> {
    let st = std::fs::File::from(
        file.try_clone()
            .map_err(|e| KernelError::io("reading", std::path::Path::new("the canary program"), e))?,
    )
    .metadata()
    .map_err(|e| KernelError::io("reading", std::path::Path::new("the canary program"), e))?;
    Ok(file_id(&st))
}

/// The same of a file's metadata. The kernel packs a device as `major << 20 | minor`.
pub fn file_id(st: &std::fs::Metadata) -> FileId {
    let dev = st.dev();
    FileId {
        ino: st.ino(),
        ctime_sec: st.ctime(),
        size: st.size(),
        ctime_nsec: st.ctime_nsec() as u32,
        dev: rustix::fs::major(dev) << 20 | rustix::fs::minor(dev),
    }
}

/// A program in memory that does nothing but exit with 42.
fn program() -> io::Result<OwnedFd> {
    let fd = rustix::fs::memfd_create("miner-guard-canary", MemfdFlags::CLOEXEC)?;
    let mut file = std::fs::File::from(fd);
    file.write_all(&elf())?;
    Ok(file.into())
}

/// A program that does nothing but exit with 42: an ELF file of one segment.
pub(crate) fn elf() -> Vec<u8> {
    const BASE: u64 = 0x40_0000;
    const HEADERS: u64 = 64 + 56;
    #[cfg(target_arch = "x86_64")]
    // mov edi, 42; mov eax, 60 (exit); syscall
    const CODE: (u16, &[u8]) = (62, &[0xbf, 42, 0, 0, 0, 0xb8, 60, 0, 0, 0, 0x0f, 0x05]);
    #[cfg(target_arch = "aarch64")]
    // mov x0, 42; mov x8, 93 (exit); svc 0
    const CODE: (u16, &[u8]) =
        (183, &[0x40, 0x05, 0x80, 0xd2, 0xa8, 0x0b, 0x80, 0xd2, 0x01, 0x00, 0x00, 0xd4]);
    let (machine, code) = CODE;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_canary_program_runs_and_exits_with_42() {
        let file = program().unwrap();
        let status = Command::new(format!("/proc/self/fd/{}", file.as_raw_fd())).status().unwrap();
        assert_eq!(status.code(), Some(42));
    }

    #[test]
    fn a_proof_that_lacks_either_half_does_not_hold() {
        let whole = Proof { connect: Ok(String::new()), exec: Ok(String::new()) };
        assert!(whole.holds());
        let half = Proof { exec: Err("it ran".into()), ..whole };
        assert_eq!((half.holds(), half.failure()), (false, Some("it ran")));
    }
}
