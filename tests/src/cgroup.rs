//! Scratch cgroups: enforcement of a test reaches what is put into one, and nothing else.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io,
    os::{fd::AsRawFd as _, unix::process::CommandExt as _},
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use anyhow::{Context as _, Result, bail};

use crate::{PATIENCE, scratch, sys};

/// A cgroup of the unified hierarchy; with this value its processes are killed and it is removed.
pub struct Cgroup {
    dir: PathBuf,
}

impl Cgroup {
    /// Makes one at the root of the hierarchy. Those that tests before left behind are removed first.
    pub fn new() -> Result<Self> {
        let root = unified()?;
        remove_orphans(&root);
        let dir = root.join(scratch::unique());
        fs::create_dir(&dir).with_context(|| format!("cannot create the cgroup {}", dir.display()))?;
        Ok(Self { dir })
    }

    /// Makes one below it.
    pub fn below(&self) -> Result<Self> {
        let dir = self.dir.join(scratch::unique());
        fs::create_dir(&dir).with_context(|| format!("cannot create the cgroup {}", dir.display()))?;
        Ok(Self { dir })
    }

    /// Its directory, as `--cgroup` takes it.
    pub fn path(&self) -> &Path {
        &self.dir
    }

    /// Moves a process here.
    pub fn take(&self, pid: u32) -> Result<()> {
        let procs = self.dir.join("cgroup.procs");
        fs::write(&procs, pid.to_string())
            .with_context(|| format!("cannot move {pid} to {}", procs.display()))
    }

    /// A program that is in this cgroup before its first instruction.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Result<Command> {
        let procs = File::options().write(true).open(self.dir.join("cgroup.procs"))?;
        let mut command = Command::new(program);
        // SAFETY: between fork and exec only write(2) is called, on a descriptor and a buffer that both exist: no
        // allocation, no lock.
        unsafe {
            command.pre_exec(move || {
                sys::check_size(libc::write(procs.as_raw_fd(), c"0".as_ptr().cast(), 1)).map(drop)
            });
        }
        Ok(command)
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        if let Err(error) = remove(&self.dir) {
            eprintln!("cannot remove the cgroup {}: {error}", self.dir.display());
        }
    }
}

/// Where the unified hierarchy is mounted: `/sys/fs/cgroup`, or `…/unified` beside the controllers of version 1.
pub fn unified() -> Result<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").context("cannot read /proc/self/mountinfo")?;
    for line in mounts.lines() {
        // The fields after " - " begin with the type; the fifth field before it is the mount point.
        if let Some((before, after)) = line.split_once(" - ")
            && after.starts_with("cgroup2 ")
            && let Some(point) = before.split(' ').nth(4)
        {
            return Ok(PathBuf::from(point));
        }
    }
    bail!("no cgroup2 file system is mounted")
}

/// The cgroup of this process in the unified hierarchy.
pub fn own() -> Result<PathBuf> {
    let list = fs::read_to_string("/proc/self/cgroup").context("cannot read /proc/self/cgroup")?;
    let path = list.lines().find_map(|line| line.strip_prefix("0::")).context("no line of cgroup v2")?;
    Ok(unified()?.join(path.trim_start_matches('/')))
}

/// Moves this process into a cgroup.
pub fn enter(dir: &Path) -> io::Result<()> {
    fs::write(dir.join("cgroup.procs"), "0")
}

/// Kills what is inside, waits until it is gone, removes it, children first.
fn remove(dir: &Path) -> io::Result<()> {
    for child in fs::read_dir(dir)? {
        let child = child?;
        if child.file_type()?.is_dir() {
            remove(&child.path())?;
        }
    }
    let events = File::open(dir.join("cgroup.events"))?;
    let end = Instant::now() + PATIENCE;
    loop {
        kill_all(dir)?;
        match fs::remove_dir(dir) {
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy && Instant::now() < end => {
                wait_for_change(&events)?;
            }
            done => return done,
        }
    }
}

fn kill_all(dir: &Path) -> io::Result<()> {
    for pid in fs::read_to_string(dir.join("cgroup.procs"))?.lines().filter_map(|line| line.parse().ok()) {
        // SAFETY: kill takes numbers; the process is one that a test put into its own cgroup.
        unsafe { libc::kill(pid, libc::SIGKILL) };
    }
    Ok(())
}

/// Waits until the kernel says that the cgroup became empty or full, at most a moment: the last process may have gone
/// between the look and the wait.
fn wait_for_change(events: &File) -> io::Result<()> {
    let mut poll = libc::pollfd { fd: events.as_raw_fd(), events: libc::POLLPRI, revents: 0 };
    // SAFETY: one pollfd, which outlives the call.
    sys::check(unsafe { libc::poll(&raw mut poll, 1, 100) }).map(drop)
}

/// Removes cgroups of tests whose process is no more.
fn remove_orphans(root: &Path) {
    let Ok(entries) = fs::read_dir(root) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let owner = name.to_str().and_then(scratch::owner);
        if owner.is_some_and(|pid| !Path::new("/proc").join(pid.to_string()).exists()) {
            // Another run may be removing it at the same time.
            let _ = remove(&entry.path());
        }
    }
}
