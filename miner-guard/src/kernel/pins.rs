//! What stays in the kernel when the daemon is gone.
//!
//! `<pin-dir>/v<ABI>/<instance>/{maps,links,filters}/…`. A daemon that starts makes a new instance beside the one that
//! enforces, and removes the old one only when its own hooks are attached: there is no moment without a guard.

use std::{
    fs::{self, File},
    io,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use miner_guard_common::abi::ABI;
use rustix::fs::{FlockOperation, flock};

use super::{
    KernelError,
    frames::{self, Note},
    links,
};

/// The pin directory of all instances of this ABI.
#[derive(Clone, Debug)]
pub struct Pins {
    base: PathBuf,
    own: PathBuf,
}

/// One guard's maps and links.
#[derive(Clone, Debug)]
pub struct Instance {
    dir: PathBuf,
}

/// Held while a guard runs on a pin directory.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Pins {
    /// The pins below this directory, which need not exist.
    pub fn at(base: &Path) -> Self {
        Self { base: base.to_owned(), own: base.join(format!("v{ABI}")) }
    }

    /// Takes the lock of this pin directory, in `run_dir` (bpffs holds no ordinary files).
    pub fn lock(&self, run_dir: &Path) -> Result<Lock, KernelError> {
        fs::create_dir_all(run_dir).map_err(|e| KernelError::io("creating", run_dir, e))?;
        let name: String =
            self.base.to_string_lossy().chars().map(|c| if c.is_alphanumeric() { c } else { '-' }).collect();
        let path = run_dir.join(format!("guard{name}.lock"));
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(|e| KernelError::io("opening", &path, e))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Lock { _file: file }),
            Err(e) if e == rustix::io::Errno::WOULDBLOCK => Err(KernelError::AlreadyRunning {
                pin_dir: self.base.display().to_string(),
                lock: path.display().to_string(),
            }),
            Err(e) => Err(KernelError::io("locking", &path, e.into())),
        }
    }

    /// Refuses a directory in which another ABI left something.
    pub fn check_abi(&self) -> Result<(), KernelError> {
        match self.abis()?.into_iter().find(|d| *d != self.own) {
            None => Ok(()),
            Some(other) => Err(KernelError::OtherAbi {
                found: other.file_name().map(|n| n.to_string_lossy()[1..].to_owned()).unwrap_or_default(),
                path: other.display().to_string(),
                own: ABI,
            }),
        }
    }

    /// Instances of this ABI, oldest first.
    pub fn instances(&self) -> Result<Vec<Instance>, KernelError> {
        let mut numbers: Vec<(u64, PathBuf)> = entries(&self.own)?
            .into_iter()
            .filter_map(|p| Some((p.file_name()?.to_str()?.parse().ok()?, p)))
            .collect();
        numbers.sort();
        Ok(numbers.into_iter().map(|(_, dir)| Instance { dir }).collect())
    }

    /// Makes the next instance.
    pub fn create(&self) -> Result<Instance, KernelError> {
        let last = self.instances()?.pop().and_then(|i| i.number()).unwrap_or(0);
        let dir = self.own.join((last + 1).to_string());
        for part in ["maps", "links"] {
            let d = dir.join(part);
            fs::create_dir_all(&d).map_err(|e| KernelError::io("creating", &d, e))?;
        }
        Ok(Instance { dir })
    }

    /// Removes everything that this ABI (`all`: any ABI) pinned: enforcement ends. Returns the number of links.
    pub fn remove(&self, all: bool) -> Result<usize, KernelError> {
        let mut links = 0;
        for abi in self.abis()?.into_iter().filter(|d| all || *d == self.own) {
            for dir in entries(&abi)? {
                links += Instance { dir }.remove()?;
            }
            fs::remove_dir(&abi).map_err(|e| KernelError::io("removing", &abi, e))?;
        }
        match fs::remove_dir(&self.base) {
            Ok(()) => Ok(links),
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::DirectoryNotEmpty) => {
                Ok(links)
            }
            Err(e) => Err(KernelError::io("removing", &self.base, e)),
        }
    }

    fn abis(&self) -> Result<Vec<PathBuf>, KernelError> {
        let is_abi = |p: &PathBuf| {
            let digits = p.file_name().and_then(|n| n.to_str()).and_then(|n| n.strip_prefix('v'));
            digits.is_some_and(|d| d.parse::<u32>().is_ok())
        };
        Ok(entries(&self.base)?.into_iter().filter(is_abi).collect())
    }
}

impl Instance {
    /// Where a map is pinned.
    pub fn map(&self, name: &str) -> PathBuf {
        self.dir.join("maps").join(name)
    }

    /// Where a link is pinned.
    pub fn link(&self, name: &str) -> PathBuf {
        self.dir.join("links").join(name)
    }

    /// Names of the links.
    pub fn links(&self) -> Result<Vec<String>, KernelError> {
        let name = |p: PathBuf| p.file_name().map(|n| n.to_string_lossy().into_owned());
        Ok(entries(&self.dir.join("links"))?.into_iter().filter_map(name).collect())
    }

    /// Notes of filters on network interfaces, which no link ends.
    pub(super) fn filters(&self) -> PathBuf {
        self.dir.join("filters")
    }

    pub(super) fn notes(&self) -> Result<Vec<Note>, KernelError> {
        let all = entries(&self.filters())?;
        Ok(all.iter().filter_map(|p| Note::parse(p.file_name()?.to_str()?)).collect())
    }

    /// Whether another instance has the same note.
    pub(super) fn others_noted(&self, note: &Note) -> bool {
        let all = self.dir.parent().and_then(|d| entries(d).ok()).unwrap_or_default();
        all.into_iter().any(|dir| dir != self.dir && Self { dir }.filters().join(note.name()).is_dir())
    }

    /// What the kernel numbers its filters by: another one for each pin directory and instance (FNV-1a), never 0.
    pub(super) fn number_of_filters(&self) -> u32 {
        let bytes = self.dir.as_os_str().as_bytes();
        bytes.iter().fold(0x811c_9dc5_u32, |n, b| (n ^ u32::from(*b)).wrapping_mul(0x0100_0193)).max(1)
    }

    /// Ends and unpins one link; whether there was one.
    pub fn unlink(&self, name: &str) -> Result<bool, KernelError> {
        let path = self.link(name);
        if let Err(why) = links::detach(&path) {
            tracing::debug!("{} is not detached but unpinned: {why}", path.display());
        }
        match fs::remove_file(&path) {
            Ok(()) => Ok(true),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(e) => Err(KernelError::io("removing", &path, e)),
        }
    }

    /// Ends and unpins everything, links first; returns the number of hooks. What hangs on a cgroup asks nobody any
    /// more when this returns; a tracepoint or LSM hook follows within an RCU grace period, which is milliseconds.
    pub fn remove(&self) -> Result<usize, KernelError> {
        let filters = frames::clear(self)?;
        let links = entries(&self.dir.join("links"))?;
        for path in &links {
            // Not every kind of link can be detached: without its pin it ends all the same.
            if let Err(why) = links::detach(path) {
                tracing::debug!("{} is not detached but unpinned: {why}", path.display());
            }
        }
        for path in links.iter().chain(&entries(&self.dir.join("maps"))?) {
            fs::remove_file(path).map_err(|e| KernelError::io("removing", path, e))?;
        }
        for dir in [self.dir.join("links"), self.dir.join("maps"), self.filters(), self.dir.clone()] {
            match fs::remove_dir(&dir) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => {
                    return Err(KernelError::io("removing", &dir, e));
                }
                _ => {}
            }
        }
        // What hangs on every interface is one hook.
        let is_frame =
            |p: &&PathBuf| p.file_name().is_some_and(|n| n.as_bytes().starts_with(frames::LINK.as_bytes()));
        let frames = links.iter().filter(is_frame).count();
        Ok(links.len() - frames + usize::from(frames + filters > 0))
    }

    fn number(&self) -> Option<u64> {
        self.dir.file_name()?.to_str()?.parse().ok()
    }
}

/// What a directory holds; nothing if it does not exist.
fn entries(dir: &Path) -> Result<Vec<PathBuf>, KernelError> {
    let read = match fs::read_dir(dir) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        r => r.map_err(|e| KernelError::io("reading", dir, e))?,
    };
    read.map(|e| e.map(|e| e.path()))
        .collect::<Result<_, _>>()
        .map_err(|e| KernelError::io("reading", dir, e))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch(name: &str) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("mg-pins-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        dir
    }

    #[test]
    fn instances_are_numbered_and_removed_whole() {
        let base = scratch("numbered");
        let pins = Pins::at(&base);
        let first = pins.create().unwrap();
        let second = pins.create().unwrap();
        fs::write(second.link("connect4"), "").unwrap();
        fs::write(second.map("POLICY"), "").unwrap();
        assert_eq!(pins.instances().unwrap().len(), 2);
        assert_eq!(first.remove().unwrap(), 0);
        assert_eq!(pins.remove(false).unwrap(), 1);
        assert!(!base.exists());
    }

    #[test]
    fn a_directory_of_another_abi_is_refused_with_the_remedy() {
        let base = scratch("abi");
        fs::create_dir_all(base.join("v999/1/links")).unwrap();
        let error = Pins::at(&base).check_abi().unwrap_err().to_string();
        assert!(error.contains("ABI 999") && error.contains("unload --all"), "{error}");
        Pins::at(&base).remove(true).unwrap();
    }

    #[test]
    fn a_second_guard_on_the_same_pins_is_refused() {
        let run = scratch("lock");
        let pins = Pins::at(Path::new("/sys/fs/bpf/x"));
        let held = pins.lock(&run).unwrap();
        assert!(matches!(pins.lock(&run), Err(KernelError::AlreadyRunning { .. })));
        drop(held);
        pins.lock(&run).unwrap();
        fs::remove_dir_all(run).unwrap();
    }
}
