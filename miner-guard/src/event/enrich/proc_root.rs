//! Bounded reading of `/proc`.

use std::{
    fs::{self, File},
    io::Read,
    os::unix::{ffi::OsStringExt, fs::MetadataExt},
    path::{Path, PathBuf},
};

/// Where `/proc` is.
///
/// Root may mount something over `/proc/PID` to hide a process; a private mount of procfs, given here, still
/// shows it. Tests give a directory of their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcRoot(pub PathBuf);

impl Default for ProcRoot {
    fn default() -> Self {
        Self("/proc".into())
    }
}

impl ProcRoot {
    /// The path of `PID/name`.
    #[must_use]
    pub fn of(&self, pid: u32, name: &str) -> PathBuf {
        self.0.join(pid.to_string()).join(name)
    }

    /// At most `limit` bytes of `PID/name`; `None` if there is no such process, or it cannot be read.
    #[must_use]
    pub fn read(&self, pid: u32, name: &str, limit: u64) -> Option<Vec<u8>> {
        read(&self.of(pid, name), limit)
    }

    /// The target of the link `PID/name`, and whether the file that it names has no name any more.
    #[must_use]
    pub fn link(&self, pid: u32, name: &str) -> Option<(Vec<u8>, bool)> {
        let path = self.of(pid, name);
        let target = fs::read_link(&path).ok()?.into_os_string().into_vec();
        // Following the link reaches the file itself, named or not.
        let unlinked = fs::metadata(&path).is_ok_and(|m| m.nlink() == 0);
        Some((target, unlinked))
    }
}

/// At most `limit` bytes of a file.
#[must_use]
pub fn read(path: &Path, limit: u64) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    File::open(path).ok()?.take(limit).read_to_end(&mut out).ok()?;
    Some(out)
}
