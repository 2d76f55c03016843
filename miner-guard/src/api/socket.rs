//! The socket's place in the file system: made for its owner alone, and never taken from a guard that lives.

use std::{
    fs::{self, DirBuilder},
    io,
    os::{
        fd::OwnedFd,
        unix::{
            fs::{DirBuilderExt as _, FileTypeExt as _, MetadataExt as _},
            net::{UnixListener, UnixStream},
        },
    },
    path::{Path, PathBuf},
};

use rustix::{
    fs::{CWD, FlockOperation, Mode, OFlags, fchmod, flock, openat},
    net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, listen, socket_with},
    process::geteuid,
};

/// Why the socket cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Another guard answers, or holds the lock.
    #[error(
        "a guard already runs at {0}: stop it, or give this one its own --socket, --pin-dir and --state-dir"
    )]
    InUse(PathBuf),
    /// Something that is no socket lies there.
    #[error("{0} is not a socket: remove it, or choose another --socket")]
    NotASocket(PathBuf),
    /// Others could put their own socket there.
    #[error("others than the owner can write to {0}: `chmod go-w` it, or choose another --socket")]
    OpenDirectory(PathBuf),
    /// A system call failed.
    #[error("{what} {path}: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// A listening socket that goes from the file system when dropped.
#[derive(Debug)]
pub struct Bound {
    listener: UnixListener,
    place: Place,
}

/// The name of the socket. Dropping it removes it.
#[derive(Debug)]
pub(super) struct Place {
    path: PathBuf,
    /// Device and inode of our socket: another's is not ours to remove.
    inode: (u64, u64),
    /// Held as long as the guard lives.
    _lock: OwnedFd,
}

impl Drop for Place {
    fn drop(&mut self) {
        let ours = fs::symlink_metadata(&self.path).is_ok_and(|m| (m.dev(), m.ino()) == self.inode);
        if ours {
            // It may be gone already; the next guard replaces it anyway.
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl Bound {
    /// Makes the socket, mode 0600, and the directory for it, mode 0755, if there is none. A dead guard's socket is
    /// replaced.
    ///
    /// # Errors
    /// See [`BindError`].
    pub fn at(path: &Path) -> Result<Self, BindError> {
        let failed =
            |what, path: &Path, e: io::Error| BindError::Io { what, path: path.to_owned(), source: e };
        let dir = match path.parent() {
            Some(dir) if !dir.as_os_str().is_empty() => dir,
            _ => Path::new("."),
        };
        DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(dir)
            .map_err(|e| failed("making the directory", dir, e))?;
        let about = fs::metadata(dir).map_err(|e| failed("looking at", dir, e))?;
        // In a sticky directory nobody can replace what is ours.
        if about.mode() & 0o022 != 0 && about.mode() & 0o1000 == 0 {
            return Err(BindError::OpenDirectory(dir.to_owned()));
        }

        let lock = lock(path)?;
        make_room(path)?;

        let fail = |what| move |e: rustix::io::Errno| failed(what, path, e.into());
        let address = SocketAddrUnix::new(path).map_err(fail("the name is too long for a socket:"))?;
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let fd = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None).map_err(fail("making"))?;
        // The mode of the socket before bind() is the mode that bind() gives to the file: no moment of other
        // rights, and no umask changed for the whole process.
        fchmod(&fd, Mode::RUSR | Mode::WUSR).map_err(fail("setting the mode of"))?;
        bind(&fd, &address).map_err(fail("binding"))?;
        let about = fs::symlink_metadata(path).map_err(|e| failed("looking at", path, e))?;
        let place = Place { path: path.to_owned(), inode: (about.dev(), about.ino()), _lock: lock };
        listen(&fd, 64).map_err(fail("listening on"))?;
        Ok(Self { listener: UnixListener::from(fd), place })
    }

    pub(super) fn into_parts(self) -> (UnixListener, Place) {
        (self.listener, self.place)
    }
}

/// The lock tells a guard that lives but does not answer from one that died. Its file stays: removing it would
/// let two guards hold locks on two files of one name.
fn lock(path: &Path) -> Result<OwnedFd, BindError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let name = PathBuf::from(name);
    let failed = |what| {
        let path = name.clone();
        move |e: rustix::io::Errno| BindError::Io { what, path, source: e.into() }
    };
    let flags = OFlags::CREATE | OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let file = openat(CWD, &name, flags, Mode::RUSR | Mode::WUSR).map_err(failed("opening the lock"))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(BindError::InUse(path.to_owned())),
        Err(e) => Err(failed("locking")(e)),
    }
}

/// Removes a socket that nobody answers on.
fn make_room(path: &Path) -> Result<(), BindError> {
    let failed = |what, e: io::Error| BindError::Io { what, path: path.to_owned(), source: e };
    match fs::symlink_metadata(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(failed("looking at", e)),
        Ok(about) if !about.file_type().is_socket() => return Err(BindError::NotASocket(path.to_owned())),
        Ok(_) => {}
    }
    match UnixStream::connect(path) {
        Ok(_) => Err(BindError::InUse(path.to_owned())),
        Err(e) if e.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(|e| failed("removing the dead socket", e))
        }
        Err(e) => Err(failed("trying the socket", e)),
    }
}

/// Whether this user may talk to us: root, or who we are.
#[must_use]
pub fn trusted(uid: u32) -> bool {
    uid == 0 || uid == geteuid().as_raw()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn the_socket_is_the_owners_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run/api.sock");
        let bound = Bound::at(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(dir.path().join("run")).unwrap().mode() & 0o022, 0);
        drop(bound);
        assert!(!path.exists());
    }

    #[test]
    fn a_second_guard_is_refused_and_the_first_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("api.sock");
        let _first = Bound::at(&path).unwrap();
        assert!(matches!(Bound::at(&path), Err(BindError::InUse(_))));
        assert!(UnixStream::connect(&path).is_ok());
    }

    #[test]
    fn a_socket_that_another_program_answers_on_is_not_taken() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("api.sock");
        let _other = UnixListener::bind(&path).unwrap();
        assert!(matches!(Bound::at(&path), Err(BindError::InUse(_))));
    }

    #[test]
    fn a_dead_guards_socket_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("api.sock");
        drop(UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        let _bound = Bound::at(&path).unwrap();
        assert!(UnixStream::connect(&path).is_ok());
    }

    #[test]
    fn a_file_in_the_way_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("api.sock");
        fs::write(&path, "mine").unwrap();
        assert!(matches!(Bound::at(&path), Err(BindError::NotASocket(_))));
        assert_eq!(fs::read(&path).unwrap(), b"mine");
    }

    #[test]
    fn a_directory_that_others_can_write_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let open = dir.path().join("open");
        fs::create_dir(&open).unwrap();
        fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
        assert!(matches!(Bound::at(&open.join("api.sock")), Err(BindError::OpenDirectory(_))));
        fs::set_permissions(&open, fs::Permissions::from_mode(0o1777)).unwrap();
        assert!(Bound::at(&open.join("api.sock")).is_ok());
    }

    #[test]
    fn a_name_that_is_too_long_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let e = Bound::at(&dir.path().join("a".repeat(200))).unwrap_err();
        assert!(e.to_string().contains("too long"), "{e}");
    }
}
