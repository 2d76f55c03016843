//! A cgroup of the test's own.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::cli::CliError;

/// A cgroup that goes when dropped; its processes must have ended.
#[derive(Debug)]
pub(super) struct Scratch(PathBuf);

impl Scratch {
    /// Makes one below a guarded cgroup.
    pub(super) fn below(guarded: &Path) -> Result<Self, CliError> {
        let failed = |source: io::Error| CliError::File {
            what: "making a scratch cgroup in",
            path: guarded.display().to_string(),
            source,
        };
        if !guarded.join("cgroup.procs").exists() {
            return Err(failed(io::Error::other("it is no cgroup v2 directory as seen from here")));
        }
        let dir = guarded.join(format!("miner-guard-test-{}", std::process::id()));
        fs::create_dir(&dir).map_err(failed)?;
        Ok(Self(dir))
    }

    pub(super) fn dir(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // An empty cgroup that is left behind costs nothing and harms nobody.
        let _ = fs::remove_dir(&self.0);
    }
}
