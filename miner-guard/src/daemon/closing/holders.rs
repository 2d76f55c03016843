//! Who holds a socket, and in which cgroup.

use std::{
    collections::{HashMap, HashSet},
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use crate::{
    event::enrich::{cgroup, proc_root::ProcRoot},
    kernel::sockets::{held_by, processes},
};

/// cgroups that are known by their ids.
const CGROUPS: usize = 200_000;
/// Depth to which they are followed.
const DEPTH: usize = 64;
/// Processes that are told apart as holders of one socket.
const HOLDERS: usize = 8;

/// Processes that hold each of these sockets, by the low half of its inode, which is all that `sock_diag` tells.
pub fn of(inodes: &HashSet<u32>) -> HashMap<u32, Vec<u32>> {
    let mut found: HashMap<u32, Vec<u32>> = HashMap::new();
    if inodes.is_empty() {
        return found;
    }
    for pid in processes() {
        for (_, inode) in held_by(pid) {
            let inode = inode as u32;
            if !inodes.contains(&inode) {
                continue;
            }
            let holders = found.entry(inode).or_default();
            if holders.len() < HOLDERS && holders.last() != Some(&pid) {
                holders.push(pid);
            }
        }
    }
    found
}

/// The cgroups of the system: each id with the one above it, 0 above the root.
pub struct Tree {
    root: PathBuf,
    above: HashMap<u64, u64>,
}

impl Tree {
    /// Of the hierarchy at `root`.
    pub fn walk(root: &Path) -> Self {
        let mut above = HashMap::new();
        let mut left = Vec::new();
        if let Ok(meta) = fs::metadata(root) {
            above.insert(meta.ino(), 0);
            left.push((root.to_owned(), meta.ino()));
        }
        while let Some((dir, id)) = left.pop() {
            for entry in fs::read_dir(&dir).into_iter().flatten().flatten() {
                if above.len() >= CGROUPS || !entry.file_type().is_ok_and(|t| t.is_dir()) {
                    continue;
                }
                let Ok(child) = entry.metadata().map(|m| m.ino()) else { continue };
                above.insert(child, id);
                left.push((entry.path(), child));
            }
        }
        Self { root: root.to_owned(), above }
    }

    /// A cgroup and those above it, the root last. None of one that is gone.
    pub fn up(&self, id: u64) -> impl Iterator<Item = u64> {
        let first = Some(id).filter(|id| self.above.contains_key(id));
        std::iter::successors(first, |id| self.above.get(id).copied().filter(|above| *above != 0)).take(DEPTH)
    }

    /// The cgroup in which a process is now.
    pub fn of(&self, pid: u32) -> Option<u64> {
        let dir = cgroup::directory(&self.root, pid, &ProcRoot::default())?;
        Some(fs::metadata(dir).ok()?.ino())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::sockets::inode;

    #[test]
    fn a_socket_of_this_process_is_held_by_it() {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        use std::os::fd::AsRawFd as _;
        let link = fs::read_link(format!("/proc/self/fd/{}", socket.as_raw_fd())).unwrap();
        let own = inode(&link).unwrap() as u32;
        assert_eq!(of(&HashSet::from([own]))[&own], [std::process::id()]);
        assert!(of(&HashSet::new()).is_empty());
        for bad in ["socket:[", "socket:[x]", "pipe:[7]", "/dev/null"] {
            assert_eq!(inode(Path::new(bad)), None, "{bad}");
        }
    }

    #[test]
    fn a_cgroup_is_followed_up_to_the_root_and_one_that_is_gone_is_not() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("a/b")).unwrap();
        fs::create_dir_all(root.path().join("c")).unwrap();
        let tree = Tree::walk(root.path());
        let id = |path: &str| fs::metadata(root.path().join(path)).unwrap().ino();
        assert_eq!(tree.up(id("a/b")).collect::<Vec<_>>(), [id("a/b"), id("a"), id("")]);
        assert_eq!(tree.up(id("c")).collect::<Vec<_>>(), [id("c"), id("")]);
        assert_eq!(tree.up(1 << 60).count(), 0);
    }
}
