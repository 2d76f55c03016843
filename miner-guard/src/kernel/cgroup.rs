//! cgroup v2 directories: the guarded one, and the scratch ones that proofs run in.

use std::{
    fs::{self, File},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use super::KernelError;

/// The cgroup that the guard answers for.
#[derive(Debug)]
pub struct Guarded {
    /// Its directory.
    pub path: PathBuf,
    /// Its id, as the kernel programs see it.
    pub id: u64,
    /// Whether it is the root of the hierarchy, that is, the whole host.
    pub whole_host: bool,
    /// Open directory, to attach to.
    pub dir: File,
}

impl Guarded {
    /// Opens `wanted`, or the root; a relative path counts from the hierarchy's root.
    pub fn open(root: &Path, wanted: Option<&Path>) -> Result<Self, KernelError> {
        let path = match wanted {
            None => root.to_owned(),
            Some(p) if p.starts_with(root) => p.to_owned(),
            Some(p) => root.join(p.strip_prefix("/").unwrap_or(p)),
        };
        let dir = File::open(&path).map_err(|e| KernelError::io("opening the cgroup", &path, e))?;
        let id = dir.metadata().map_err(|e| KernelError::io("reading", &path, e))?.ino();
        let whole_host = fs::canonicalize(&path).ok() == fs::canonicalize(root).ok();
        Ok(Self { path, id, whole_host, dir })
    }
}

/// A cgroup that is removed when it goes out of scope.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
    /// Its id.
    pub id: u64,
}

impl Scratch {
    /// Makes one below `parent`.
    pub fn create(parent: &Path, name: &str) -> Result<Self, KernelError> {
        let path = parent.join(name);
        match fs::create_dir(&path) {
            Err(e) if e.kind() != std::io::ErrorKind::AlreadyExists => {
                return Err(KernelError::io("creating the cgroup", &path, e));
            }
            _ => {}
        }
        let id = fs::metadata(&path).map_err(|e| KernelError::io("reading", &path, e))?.ino();
        Ok(Self { path, id })
    }

    /// The file to which a process writes `0` to move itself in.
    pub fn procs(&self) -> PathBuf {
        self.path.join("cgroup.procs")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Busy only while a process of ours is still exiting: the next start removes or reuses it.
        let _ = fs::remove_dir(&self.path);
    }
}
