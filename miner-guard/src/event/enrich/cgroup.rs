//! cgroup v2 id → path.
//!
//! The id in the record is that of the moment of the event; `/proc/PID/cgroup` tells where the process is *now*,
//! if it still is. So the text is believed only when the directory it names has the id; else the hierarchy is
//! searched (ids are inode numbers and never used twice), seldom and not without bound.

use super::proc_root::ProcRoot;
use lru::LruCache;
use std::{
    ffi::OsStr,
    fs,
    num::NonZeroUsize,
    os::unix::{
        ffi::{OsStrExt, OsStringExt},
        fs::{DirEntryExt, MetadataExt},
    },
    path::{Path, PathBuf},
};

/// Bytes of `/proc/PID/cgroup` that are read: a line for each hierarchy.
pub const LIMIT: u64 = 64 << 10;
const REMEMBERED: usize = SEARCHED + 1;
/// Directories that one search looks at.
const SEARCHED: usize = 16_384;
/// Between two searches, nanoseconds.
const SEARCH_NS: u64 = 1_000_000_000;

/// Paths of `/proc/PID/cgroup`, the v2 one first: `0::/path` on any system that has it, also beside v1.
#[must_use]
pub fn paths(text: &[u8]) -> Vec<&[u8]> {
    let mut out = Vec::new();
    for line in text.split(|b| *b == b'\n') {
        let mut fields = line.splitn(3, |b| *b == b':');
        let (Some(id), Some(controllers), Some(path)) = (fields.next(), fields.next(), fields.next()) else {
            continue;
        };
        let v2 = id == b"0" && controllers.is_empty();
        out.insert(if v2 { 0 } else { out.len() }, path);
    }
    out
}

/// The path in v2, if the process is in one.
#[must_use]
pub fn v2_path(text: &[u8]) -> Option<&[u8]> {
    text.split(|b| *b == b'\n').find_map(|line| line.strip_prefix(b"0::"))
}

/// The directory of a process's cgroup, below where v2 is mounted.
#[must_use]
pub fn directory(root: &Path, pid: u32, proc: &ProcRoot) -> Option<PathBuf> {
    let text = proc.read(pid, "cgroup", LIMIT)?;
    let path = v2_path(&text)?;
    Some(root.join(OsStr::from_bytes(path.strip_prefix(b"/").unwrap_or(path))))
}

/// Where cgroup v2 is mounted, from `/proc/self/mountinfo`.
#[must_use]
pub fn mount(mountinfo: &[u8]) -> Option<PathBuf> {
    mountinfo.split(|b| *b == b'\n').find_map(|line| {
        let text = std::str::from_utf8(line).ok()?;
        let (mount, fs) = text.split_once(" - ")?;
        let mut fields = mount.split(' ').skip(3);
        // Only a mount of the whole hierarchy; a container shows a part of it.
        let (root, at) = (fields.next()?, fields.next()?);
        (fs.starts_with("cgroup2 ") && root == "/").then(|| PathBuf::from(unescape(at)))
    })
}

/// `\040` → blank: the kernel escapes blank, tab, newline and backslash.
fn unescape(s: &str) -> std::ffi::OsString {
    let (mut out, mut rest) = (Vec::new(), s.as_bytes());
    while let [first, tail @ ..] = rest {
        let octal = tail.get(..3).and_then(|d| u8::from_str_radix(std::str::from_utf8(d).ok()?, 8).ok());
        rest = match octal {
            Some(byte) if *first == b'\\' => {
                out.push(byte);
                tail.get(3..).unwrap_or_default()
            }
            _ => {
                out.push(*first);
                tail
            }
        };
    }
    std::ffi::OsString::from_vec(out)
}

/// Paths of cgroups, remembered.
#[derive(Debug)]
pub struct Cgroups {
    root: Option<PathBuf>,
    known: LruCache<u64, Vec<u8>>,
    searched_ns: Option<u64>,
}

impl Cgroups {
    /// `root` is where cgroup v2 is mounted, see [`mount`].
    #[must_use]
    pub fn new(root: Option<PathBuf>) -> Self {
        let known = LruCache::sparse(NonZeroUsize::new(REMEMBERED).unwrap_or(NonZeroUsize::MIN));
        Self { root, known, searched_ns: None }
    }

    /// The path of the cgroup with this id; `hint` is what `/proc/PID/cgroup` says.
    pub fn path(&mut self, id: u64, hint: Option<&[u8]>, now_ns: u64) -> Option<Vec<u8>> {
        if let Some(path) = self.known.get(&id) {
            return Some(path.clone());
        }
        // Without the mount or an id, what the process says is all there is.
        let Some(root) = self.root.clone().filter(|_| id != 0) else {
            return hint.map(<[u8]>::to_vec);
        };
        if let Some(path) = hint
            && inode(&root, path) == Some(id)
        {
            self.known.put(id, path.to_vec());
            return Some(path.to_vec());
        }
        if self.searched_ns.is_none_or(|at| now_ns.saturating_sub(at) >= SEARCH_NS) {
            self.searched_ns = Some(now_ns);
            self.search(&root);
        }
        self.known.get(&id).cloned()
    }

    fn search(&mut self, root: &Path) {
        if let Some(id) = inode(root, b"/") {
            self.known.put(id, b"/".to_vec());
        }
        let mut left = SEARCHED;
        let mut todo = vec![Vec::new()];
        while let Some(path) = todo.pop() {
            let Ok(entries) = fs::read_dir(join(root, &path)) else { continue };
            for entry in entries.flatten() {
                if !entry.file_type().is_ok_and(|t| t.is_dir()) {
                    continue;
                }
                if left == 0 {
                    return;
                }
                left -= 1;
                let child = [&path, b"/".as_slice(), entry.file_name().as_bytes()].concat();
                self.known.put(entry.ino(), child.clone());
                todo.push(child);
            }
        }
    }
}

fn join(root: &Path, path: &[u8]) -> PathBuf {
    root.join(OsStr::from_bytes(path.strip_prefix(b"/").unwrap_or(path)))
}

fn inode(root: &Path, path: &[u8]) -> Option<u64> {
    fs::metadata(join(root, path)).ok().map(|m| m.ino())
}

#[cfg(test)]
#[path = "cgroup_tests.rs"]
mod tests;
