//! Packet sockets whose frames leave out the queue of an interface, and with it the hook there ([`super::frames`]).
//!
//! A program asked when an option is set lets no socket come to that. It costs whoever sets any option on any socket (0.4 µs,
//! measured), so it is hung when the first packet socket is seen: on most hosts there is never one. A socket that was quicker,
//! or is older than the guard, is taken hold of and put back.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{self, Read as _},
    os::{fd::AsRawFd as _, unix::fs::MetadataExt as _},
    path::{Path, PathBuf},
};

use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};

use super::{KernelError, cgroup::Guarded, load, namespaces, pins::Instance, sockets};

/// Of the kernel's list of packet sockets, bytes that are read: some 10,000 sockets.
const LIST: u64 = 1 << 20;
/// linux/if_packet.h
const PACKET_QDISC_BYPASS: libc::c_int = 20;

/// The inodes of the packet sockets of the calling thread's network namespace.
///
/// # Errors
/// That of reading the kernel's list.
pub fn open() -> io::Result<BTreeSet<u64>> {
    let mut text = String::new();
    File::open("/proc/thread-self/net/packet")?.take(LIST).read_to_string(&mut text)?;
    Ok(inodes(&text))
}

/// Behind a line of headings, a line for each, with the inode last.
fn inodes(text: &str) -> BTreeSet<u64> {
    text.lines().skip(1).filter_map(|line| line.split_whitespace().nth(8)?.parse().ok()).collect()
}

/// Keeps packet sockets in the queue.
pub struct Queues {
    instance: Instance,
    dir: File,
    /// The guarded cgroup, as `/proc/PID/cgroup` names it.
    below: PathBuf,
    /// Whether the hook hangs, or why not, once that was tried.
    hung: Option<Result<(), String>>,
    /// By inode, those that need not be looked at again.
    kept: BTreeSet<u64>,
}

impl Queues {
    /// For the sockets of the guarded cgroup. `root`: of the hierarchy.
    pub(super) fn new(instance: &Instance, guarded: &Guarded, root: &Path) -> Result<Self, KernelError> {
        let path = &guarded.path;
        let dir = guarded.dir.try_clone().map_err(|e| KernelError::io("opening the cgroup", path, e))?;
        let below = path.strip_prefix(root).unwrap_or(path);
        Ok(Self {
            instance: instance.clone(),
            dir,
            below: PathBuf::from("/").join(below),
            hung: None,
            kept: BTreeSet::new(),
        })
    }

    /// Whether the hook hangs, or why not; `None` as long as there was no packet socket.
    pub fn hung(&self) -> Option<&Result<(), String>> {
        self.hung.as_ref()
    }

    /// Takes all packet sockets that are open now, of whatever network namespace.
    pub fn keep(&mut self, open: &BTreeSet<u64>) {
        self.kept.retain(|inode| open.contains(inode));
        let new: BTreeSet<u64> = open.difference(&self.kept).copied().collect();
        if new.is_empty() {
            return;
        }
        // Before any is looked at: what is in the queue then stays there.
        let hung = self.hung.get_or_insert_with(|| {
            let hung = load::hang_on_options(&self.instance, &self.dir);
            match &hung {
                Ok(()) => {
                    tracing::info!("there is a packet socket: none may leave out the queue from now on")
                }
                Err(e) => tracing::warn!("a packet socket may leave out the queue and its hook: {e}"),
            }
            hung.map_err(|e| e.to_string())
        });
        let hangs = hung.is_ok();
        let guarded: Vec<u32> = namespaces::processes().filter(|pid| self.guards(*pid)).collect();
        for pid in guarded {
            for (fd, inode) in sockets::held_by(pid).filter(|(_, inode)| new.contains(inode)) {
                match put_back(pid, fd, inode) {
                    Ok(left_out) => {
                        // Without the hook it may be out again tomorrow.
                        if hangs {
                            self.kept.insert(inode);
                        }
                        if left_out {
                            tracing::warn!(
                                "process {pid} sent frames past the queue of an interface: they pass by it again"
                            );
                        }
                    }
                    // It is gone, or has let go.
                    Err(e) => tracing::debug!("packet socket {fd} of process {pid}: {e}"),
                }
            }
        }
    }

    fn guards(&self, pid: u32) -> bool {
        let cgroups = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
        cgroups
            .lines()
            .filter_map(|line| line.strip_prefix("0::"))
            .any(|path| Path::new(path).starts_with(&self.below))
    }
}

/// Puts a packet socket that another process holds back into the queue. Whether it was out of it.
fn put_back(pid: u32, fd: i32, inode: u64) -> io::Result<bool> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::NotFound)?;
    let process = pidfd_open(pid, PidfdFlags::empty())?;
    let socket = File::from(pidfd_getfd(process, fd, PidfdGetfdFlags::empty())?);
    // Another one may have its number by now.
    if socket.metadata()?.ino() != inode {
        return Err(io::ErrorKind::NotFound.into());
    }
    let left_out = option(&socket)? != 0;
    if left_out {
        stay(&socket)?;
    }
    Ok(left_out)
}

/// `PACKET_QDISC_BYPASS`; an error if it is no packet socket.
fn option(socket: &File) -> io::Result<libc::c_int> {
    let mut value: libc::c_int = 0;
    let mut len = size_of_val(&value) as libc::socklen_t;
    // SAFETY: the kernel writes at most `len` bytes to `value`, and its length to `len`.
    let rc = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_PACKET,
            PACKET_QDISC_BYPASS,
            (&raw mut value).cast(),
            &raw mut len,
        )
    };
    if rc == 0 { Ok(value) } else { Err(io::Error::last_os_error()) }
}

/// Takes the option away.
fn stay(socket: &File) -> io::Result<()> {
    let value: libc::c_int = 0;
    let len = size_of_val(&value) as libc::socklen_t;
    // SAFETY: the kernel reads `len` bytes of `value`.
    let rc = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_PACKET,
            PACKET_QDISC_BYPASS,
            (&raw const value).cast(),
            len,
        )
    };
    if rc == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::OwnedFd;

    #[test]
    fn the_inodes_are_read_and_what_is_no_line_is_passed_over() {
        let text = "sk               RefCnt Type Proto  Iface R Rmem   User   Inode\n\
            ffff9e0f8c1d3000 3      3    0003   2     1 0      0      23456\n\
            0000000000000000 3      2    88cc   3     1 0      101    34567\n\
            torn\n";
        assert_eq!(inodes(text), BTreeSet::from([23456, 34567]));
        assert!(inodes("").is_empty());
    }

    #[test]
    fn what_is_no_packet_socket_is_left_alone() {
        let (socket, _other) = std::os::unix::net::UnixStream::pair().unwrap();
        assert!(option(&File::from(OwnedFd::from(socket))).is_err());
    }
}
