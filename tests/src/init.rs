//! The test program as /init of a virtual machine: it mounts, runs the tests in a child, says how they ended, powers off.

use std::{
    fs::{self, OpenOptions},
    io,
    os::{
        fd::AsRawFd as _,
        unix::process::{CommandExt as _, ExitStatusExt as _},
    },
    path::Path,
    process::Command,
};

use anyhow::{Context as _, Result};

use crate::{sandbox, sys};

/// Set in the environment of the tests when they run in a virtual machine.
pub const IN_VM: &str = "MINER_GUARD_E2E_VM";
/// The last line on the console; the exit status follows. The same text is in xtask/src/vm/console.rs.
const MARKER: &str = "miner-guard-e2e: exit ";

/// Whether this process is the first of its machine. A container's first process is told apart by its file: the
/// kernel starts /init by that name.
pub fn is_init() -> bool {
    std::process::id() == 1 && std::env::args().next().is_some_and(|name| name == "/init")
}

/// Never returns: the machine is off afterwards.
pub fn main() -> ! {
    let status = run().unwrap_or_else(|error| {
        println!("init: {error:#}");
        125
    });
    println!("{MARKER}{status}");
    // SAFETY: sync and reboot take plain numbers. The machine is a virtual one made for these tests, see is_init.
    unsafe {
        libc::tcdrain(1);
        libc::sync();
        libc::reboot(libc::RB_POWER_OFF);
    }
    // Only reached where power-off is not supported: the end of /init ends the kernel, and with it the machine.
    std::process::exit(0)
}

/// The tests run in a child, so that one that crashes is a failure with a status and not a dead kernel.
fn run() -> Result<i32> {
    mount_all()?;
    use_console("/dev/ttyS1")?;
    load_modules()?;
    sandbox::loopback()?;
    locked_memory_unlimited()?;
    let child = Command::new("/proc/self/exe")
        .args(std::env::args().skip(1))
        .arg("--color=never")
        .env(IN_VM, "1")
        .env("MINER_GUARD_BIN", "/bin/miner-guard")
        .env("PATH", "/bin")
        .env("HOME", "/tmp")
        // A process group of their own, as a shell gives to whoever it starts.
        .process_group(0)
        .spawn()
        .context("cannot start the tests")?;
    let tests = i32::try_from(child.id())?;
    // Orphans come to this process: they are reaped here, or they would stay as zombies in the tests' cgroups.
    loop {
        let mut status = 0;
        // SAFETY: status outlives the call and is written as a plain integer.
        let pid = unsafe { libc::waitpid(-1, &raw mut status, 0) };
        if pid == tests {
            let status = std::process::ExitStatus::from_raw(status);
            return Ok(status.code().unwrap_or(128 + status.signal().unwrap_or(0)));
        }
        if pid < 0 && io::Error::last_os_error().kind() != io::ErrorKind::Interrupted {
            return Err(io::Error::last_os_error()).context("cannot wait for the tests");
        }
    }
}

fn mount_all() -> Result<()> {
    for (kind, place) in [
        ("devtmpfs", "/dev"),
        ("proc", "/proc"),
        ("sysfs", "/sys"),
        ("cgroup2", "/sys/fs/cgroup"),
        ("bpf", "/sys/fs/bpf"),
        ("securityfs", "/sys/kernel/security"),
        ("tracefs", "/sys/kernel/tracing"),
        ("debugfs", "/sys/kernel/debug"),
        ("tmpfs", "/tmp"),
        ("tmpfs", "/run"),
    ] {
        fs::create_dir_all(place).with_context(|| format!("cannot create {place}"))?;
        sys::mount(kind, Path::new(place), kind).with_context(|| format!("cannot mount {place}"))?;
    }
    Ok(())
}

/// Loads this kernel's modules, in the order of their names: xtask/src/vm/initramfs.rs packs them. A distribution's kernel
/// has them on its disk and loads them when they are asked for.
fn load_modules() -> Result<()> {
    let release =
        fs::read_to_string("/proc/sys/kernel/osrelease").context("cannot read the kernel's release")?;
    for kernel in fs::read_dir("/modules").context("cannot read /modules")? {
        let kernel = kernel?;
        if !release.starts_with(&format!("{}.", kernel.file_name().to_string_lossy())) {
            continue;
        }
        let mut modules =
            fs::read_dir(kernel.path())?.map(|m| Ok(m?.path())).collect::<io::Result<Vec<_>>>()?;
        modules.sort();
        for module in modules {
            sys::load_module(&module).with_context(|| format!("cannot load {}", module.display()))?;
        }
    }
    Ok(())
}

/// Makes `path` the standard streams, for this process and all that it starts.
fn use_console(path: &str) -> Result<()> {
    let tty = OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .with_context(|| format!("cannot open {path}"))?;
    for standard in 0..3 {
        // SAFETY: dup2 takes numbers; replacing the standard streams is what this process, the first, is for.
        sys::check(unsafe { libc::dup2(tty.as_raw_fd(), standard) })
            .with_context(|| format!("cannot use {path}"))?;
    }
    Ok(())
}

/// Kernels before 5.11 count BPF memory against this limit.
fn locked_memory_unlimited() -> Result<()> {
    let all = libc::rlimit { rlim_cur: libc::RLIM_INFINITY, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: the limit is a whole rlimit and outlives the call.
    sys::check(unsafe { libc::setrlimit(libc::RLIMIT_MEMLOCK, &raw const all) })?;
    Ok(())
}
