//! Directories of one test, and names that no other uses.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

use anyhow::{Context as _, Result};

use crate::sys;

/// What the names of everything begin with that these tests make outside of their own memory.
const PREFIX: &str = "mg-test-";

static COUNT: AtomicU32 = AtomicU32::new(0);

/// A name that no other test uses: the process's id and a count.
pub fn unique() -> String {
    format!("{PREFIX}{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

/// The process id in a name that [`unique`] made.
pub fn owner(name: &str) -> Option<u32> {
    name.strip_prefix(PREFIX)?.split('-').next()?.parse().ok()
}

/// A directory below /run with a BPF file system in it; gone with this value.
pub struct Scratch {
    dir: PathBuf,
}

impl Scratch {
    /// Makes it.
    pub fn new() -> Result<Self> {
        let dir = Path::new("/run").join(unique());
        fs::create_dir(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
        let scratch = Self { dir };
        let bpf = scratch.path("bpf");
        fs::create_dir(&bpf)?;
        sys::mount("bpf", &bpf, "bpf")
            .with_context(|| format!("cannot mount a bpffs on {}", bpf.display()))?;
        Ok(scratch)
    }

    /// A path in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = sys::unmount(&self.path("bpf")).and_then(|()| fs::remove_dir_all(&self.dir)) {
            eprintln!("cannot remove {}: {error}", self.dir.display());
        }
    }
}
