//! Where the bench works: a directory, cgroups and network namespaces of its own. All of it goes with the values.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};

use crate::shell;

/// What everything is called that the bench makes outside of its memory: with the process's id, so that two runs
/// do not meet.
fn name(of: &str) -> String {
    format!("{OURS}{}-{of}", std::process::id())
}

const OURS: &str = "mg-bench-";

/// The process of the run that something with this name belongs to.
pub fn run_of(name: &str) -> Option<u32> {
    name.strip_prefix(OURS)?.split('-').next()?.parse().ok()
}

/// A directory below /run, gone with this value.
pub struct Scratch(PathBuf);

impl Scratch {
    /// Makes it.
    pub fn new() -> Result<Self> {
        let dir = Path::new("/run").join(name("data"));
        fs::create_dir(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
        Ok(Self(dir))
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            eprintln!("cannot remove {}: {error}", self.0.display());
        }
    }
}

/// Where programs and tables of the guard called `of` are pinned.
pub fn pin_dir(of: &str) -> PathBuf {
    Path::new("/sys/fs/bpf").join(name(of))
}

/// A command that enters a cgroup before it becomes the program that its arguments name.
pub fn inside(cgroup: &Path) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", "echo $$ > \"$0/cgroup.procs\" && exec \"$@\""]).arg(cgroup);
    command
}

/// A cgroup of the unified hierarchy.
pub struct Cgroup(PathBuf);

impl Cgroup {
    /// Makes it.
    pub fn new(of: &str) -> Result<Self> {
        Self::at(unified()?.join(name(of)))
    }

    /// Makes one below it.
    pub fn below(&self, name: &str) -> Result<Self> {
        Self::at(self.0.join(name))
    }

    fn at(dir: PathBuf) -> Result<Self> {
        fs::create_dir(&dir).with_context(|| format!("cannot create the cgroup {}", dir.display()))?;
        Ok(Self(dir))
    }

    /// Its directory.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Moves a process there.
    pub fn take(&self, pid: u32) -> Result<()> {
        let file = self.0.join("cgroup.procs");
        fs::write(&file, pid.to_string())
            .with_context(|| format!("cannot move process {pid} to {}", file.display()))
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // The last process in it may be on its way out.
        let end = Instant::now() + Duration::from_secs(5);
        while let Err(error) = fs::remove_dir(&self.0) {
            if Instant::now() > end {
                eprintln!("cannot remove {}: {error}", self.0.display());
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Where the unified hierarchy is mounted.
pub fn unified() -> Result<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts").context("cannot read /proc/self/mounts")?;
    let point = mounts.lines().find_map(|line| match line.split(' ').collect::<Vec<_>>()[..] {
        [_, point, "cgroup2", ..] => Some(PathBuf::from(point)),
        _ => None,
    });
    point.context("no cgroup2 file system is mounted")
}

/// A network namespace with nothing but loopback.
pub struct Netns(String);

impl Netns {
    /// Makes it.
    pub fn new(of: &str) -> Result<Self> {
        let netns = Self(name(of));
        shell::capture(Command::new("ip").args(["netns", "add", &netns.0]))?;
        shell::capture(Command::new("ip").args(["-n", &netns.0, "link", "set", "lo", "up"]))?;
        Ok(netns)
    }

    /// A program in it.
    pub fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.0]).arg(program.as_ref());
        command
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        if let Err(error) = shell::capture(Command::new("ip").args(["netns", "delete", &self.0])) {
            eprintln!("{error:#}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_run_makes_says_whose_it_is() {
        assert_eq!(run_of(&name("data")), Some(std::process::id()));
        assert_eq!(run_of("mg-bench-12-eval"), Some(12));
        for other in ["mg-bench-", "mg-bench-x-eval", "miner-guard", "12"] {
            assert_eq!(run_of(other), None, "{other}");
        }
    }
}
