//! Network namespaces: which there are, a way into each, and something done in one.
//!
//! Nothing of another namespace is held longer than what is done there takes: an open descriptor would keep it alive.

use std::{
    collections::HashSet,
    fs::{self, File},
    io,
    os::{fd::AsFd as _, unix::fs::MetadataExt as _},
    path::{Path, PathBuf},
};

use rustix::{
    io::Errno,
    thread::{LinkNameSpaceType, move_into_link_name_space},
};

/// A way into a network namespace that the calling thread is not in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Door {
    /// Inode of the namespace: no other one has it while this one lives.
    pub namespace: u64,
    path: PathBuf,
}

impl Door {
    /// Does something there: on a thread of its own, which ends with it.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`] when the process that was the way is gone, or went into another namespace; others are
    /// the kernel's.
    pub fn within<T: Send>(&self, what: impl FnOnce() -> T + Send) -> io::Result<T> {
        let there = File::open(&self.path).map_err(|e| match e.raw_os_error() {
            Some(libc::ESRCH) => io::ErrorKind::NotFound.into(),
            _ => e,
        })?;
        if there.metadata()?.ino() != self.namespace {
            return Err(io::ErrorKind::NotFound.into());
        }
        enter(there, what)
    }
}

/// A way into each other network namespace in which a process runs, or that is mounted somewhere (as `ip netns` and
/// the runtimes of containers do before the first process). At most `most`, and whether these are all.
#[must_use]
pub fn doors(most: usize) -> (Vec<Door>, bool) {
    let mut seen: HashSet<u64> = namespace(None).into_iter().collect();
    let mut all = Vec::new();
    let mounts = fs::read("/proc/thread-self/mountinfo").unwrap_or_default();
    let mounts = String::from_utf8_lossy(&mounts);
    // A process that is gone has no namespace any more.
    let running = processes().filter_map(|pid| Some((namespace(Some(pid)).ok()?, path(Some(pid)).into())));
    for (namespace, path) in mounts.lines().filter_map(mounted).chain(running) {
        if !seen.insert(namespace) {
            continue;
        }
        if all.len() >= most {
            return (all, false);
        }
        all.push(Door { namespace, path });
    }
    (all, true)
}

/// A network namespace that this line of `mountinfo` is about: `… net:[4026532201] /run/netns/name …`.
fn mounted(line: &str) -> Option<(u64, PathBuf)> {
    let mut fields = line.split(' ').skip(3);
    let namespace = fields.next()?.strip_prefix("net:[")?.strip_suffix(']')?.parse().ok()?;
    let point = fields.next()?;
    // What has a blank or a backslash in its name is written otherwise; nobody names one so.
    (!point.contains('\\')).then(|| (namespace, point.into()))
}

/// All processes.
pub fn processes() -> impl Iterator<Item = u32> {
    fs::read_dir("/proc").into_iter().flatten().flatten().filter_map(|e| e.file_name().to_str()?.parse().ok())
}

/// The network namespace of a process, as a number; of this thread for `None`.
///
/// # Errors
/// That of `stat`: the process is gone.
pub fn namespace(pid: Option<u32>) -> io::Result<u64> {
    Ok(fs::metadata(path(pid))?.ino())
}

fn path(pid: Option<u32>) -> String {
    // Of the thread: another thread may have moved.
    pid.map_or_else(|| "/proc/thread-self/ns/net".to_owned(), |pid| format!("/proc/{pid}/ns/net"))
}

/// Does something in the network namespace of a process: on a thread of its own, which ends with it.
///
/// # Errors
/// That the process is gone, and the kernel's.
pub fn within<T: Send>(pid: Option<u32>, what: impl FnOnce() -> T + Send) -> io::Result<T> {
    match pid {
        None => Ok(what()),
        Some(_) => enter(File::open(Path::new(&path(pid)))?, what),
    }
}

fn enter<T: Send>(there: File, what: impl FnOnce() -> T + Send) -> io::Result<T> {
    if there.metadata()?.ino() == namespace(None)? {
        return Ok(what());
    }
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("netns".into()).spawn_scoped(scope, move || {
            move_into_link_name_space(there.as_fd(), Some(LinkNameSpaceType::Network))?;
            // Not until the end of what is done.
            drop(there);
            Ok::<T, Errno>(what())
        });
        Ok(thread?.join().unwrap_or(Err(Errno::CANCELED))?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mounted_namespace_is_told_by_its_line() {
        let line = "1030 24 0:4 net:[4026532201] /run/netns/blue rw shared:5 - nsfs nsfs rw";
        assert_eq!(mounted(line), Some((4_026_532_201, "/run/netns/blue".into())));
        for other in [
            "",
            "24 1 0:23 / /run rw,nosuid - tmpfs tmpfs rw",
            "1030 24 0:4 mnt:[4026532201] /run/x rw - nsfs nsfs rw",
            "1030 24 0:4 net:[4026532201 /run/x rw - nsfs nsfs rw",
            "1030 24 0:4 net:[4026532201] /run/a\\040b rw - nsfs nsfs rw",
            "1030 24 0:4 net:[4026532201]",
        ] {
            assert_eq!(mounted(other), None, "{other}");
        }
    }

    #[test]
    fn a_way_leads_to_another_namespace_and_each_has_one() {
        let (all, whole) = doors(4096);
        assert!(whole);
        let here = namespace(None).unwrap();
        let mut seen = HashSet::new();
        assert!(all.iter().all(|door| door.namespace != here && seen.insert(door.namespace)), "{all:?}");
        assert!(doors(0).0.is_empty());
    }

    #[test]
    fn a_process_that_went_elsewhere_is_no_way() {
        let door = Door { namespace: 1, path: path(Some(std::process::id())).into() };
        assert_eq!(door.within(|| ()).unwrap_err().kind(), io::ErrorKind::NotFound);
        // Nobody has this number.
        let door = Door { namespace: 1, path: path(Some(u32::MAX)).into() };
        assert_eq!(door.within(|| ()).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
