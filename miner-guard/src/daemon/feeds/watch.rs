//! Directories of feeds: whatever ends a change in one of them is told, and when one goes, comes, or is another one by now.

use rustix::{
    event::{PollFd, PollFlags, poll},
    fs::inotify::{CreateFlags, Reader, WatchFlags, add_watch, init, remove_watch},
};
use std::{
    collections::HashMap,
    ffi::OsString,
    io,
    mem::MaybeUninit,
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::ffi::OsStrExt as _,
    },
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

/// A watch over directories. Its thread ends with it.
pub(super) struct Watch {
    inotify: Arc<OwnedFd>,
    watched: Vec<(PathBuf, i32)>,
    above: Above,
    /// Wanted, and not there.
    missing: Vec<PathBuf>,
    /// Closed with this value, which ends the thread.
    _alive: OwnedFd,
}

/// Directories in which something watched lies, by their watches: only these names are of interest there.
type Above = Arc<Mutex<HashMap<i32, Vec<OsString>>>>;

/// A directory or a link to one came, went or was renamed.
fn wanted_above() -> WatchFlags {
    WatchFlags::CREATE
        | WatchFlags::MOVED_TO
        | WatchFlags::MOVED_FROM
        | WatchFlags::DELETE
        | WatchFlags::ONLYDIR
        | WatchFlags::MASK_ADD
}

/// A file was written and closed, came, or went: never one that is still being written.
fn wanted() -> WatchFlags {
    WatchFlags::CLOSE_WRITE
        | WatchFlags::MOVED_TO
        | WatchFlags::MOVED_FROM
        | WatchFlags::DELETE
        | WatchFlags::DELETE_SELF
        | WatchFlags::MOVE_SELF
        | WatchFlags::ONLYDIR
        | WatchFlags::MASK_ADD
}

impl Watch {
    /// Starts the thread; `tell` says whether anybody still listens.
    pub fn start(tell: impl Fn() -> bool + Send + 'static) -> io::Result<Self> {
        let inotify = Arc::new(init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?);
        let (end, alive) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
        let above = Above::default();
        let (theirs, names) = (Arc::clone(&inotify), Arc::clone(&above));
        std::thread::Builder::new()
            .name("feed-watch".into())
            .spawn(move || listen(&theirs, &names, &end, tell))?;
        Ok(Self { inotify, watched: Vec::new(), above, missing: Vec::new(), _alive: alive })
    }

    /// Watches these directories and no others. One that is not there is asked for by [`Self::retry`].
    pub fn set(&mut self, directories: &[&Path]) {
        let gone = self.watched.extract_if(.., |(path, _)| !directories.contains(&path.as_path()));
        for (_, watch) in gone {
            // Fails when the directory has gone, and its watch with it.
            let _ = remove_watch(&*self.inotify, watch);
        }
        let before = std::mem::take(&mut self.missing);
        for path in directories {
            if let Err(e) = self.add(path) {
                if !before.iter().any(|p| p == path) {
                    tracing::warn!("{} is not watched for changes: {e}", path.display());
                }
                self.missing.push(path.to_path_buf());
            }
        }
    }

    /// Something changed: a directory may have gone, and then its watch has gone with it.
    pub fn refresh(&mut self) {
        for (path, old) in std::mem::take(&mut self.watched) {
            let watch = self.add(&path);
            if watch.as_ref().ok() != Some(&old) && !self.watched.iter().any(|(_, w)| *w == old) {
                // Another one has its name; fails when it has gone, and its watch with it.
                let _ = remove_watch(&*self.inotify, old);
            }
            if watch.is_err() {
                self.missing.push(path);
            }
        }
    }

    /// Whether a directory that was missing is there by now.
    pub fn retry(&mut self) -> bool {
        let missing = std::mem::take(&mut self.missing);
        let count = missing.len();
        for path in missing {
            if self.add(&path).is_err() {
                self.missing.push(path);
            }
        }
        self.missing.len() < count
    }

    fn add(&mut self, path: &Path) -> io::Result<i32> {
        if let (Some(above), Some(name)) = (path.parent(), path.file_name()) {
            // Where it cannot be watched, a missing directory is still asked for by `retry`.
            if let Ok(watch) = add_watch(&*self.inotify, above, wanted_above())
                && !self.watched.iter().any(|(_, w)| *w == watch)
            {
                let mut all = self.above.lock().unwrap_or_else(PoisonError::into_inner);
                let names = all.entry(watch).or_default();
                if !names.iter().any(|n| n == name) {
                    names.push(name.to_owned());
                }
            }
        }
        // Once more does no harm, and is needed where the directory is another one by now.
        let watch = add_watch(&*self.inotify, path, wanted())?;
        // One that holds another one is watched for all that it holds.
        self.above.lock().unwrap_or_else(PoisonError::into_inner).remove(&watch);
        self.watched.retain(|(p, _)| p != path);
        self.watched.push((path.to_path_buf(), watch));
        Ok(watch)
    }
}

fn listen(inotify: &OwnedFd, above: &Above, end: &OwnedFd, tell: impl Fn() -> bool) {
    let mut buffer = [MaybeUninit::uninit(); 4096];
    loop {
        let mut ready =
            [PollFd::new(inotify, PollFlags::IN), PollFd::from_borrowed_fd(end.as_fd(), PollFlags::IN)];
        match poll(&mut ready, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(_) => return,
        }
        if ready.get(1).is_some_and(|r| !r.revents().is_empty()) {
            return;
        }
        let mut reader = Reader::new(inotify, &mut buffer);
        let mut any = false;
        while let Ok(event) = reader.next() {
            let above = above.lock().unwrap_or_else(PoisonError::into_inner);
            any |= above.get(&event.wd()).is_none_or(|names| {
                event.file_name().is_some_and(|n| names.iter().any(|name| name.as_bytes() == n.to_bytes()))
            });
        }
        if any && !tell() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, sync::mpsc, time::Duration};

    #[test]
    fn a_written_a_moved_and_a_removed_file_are_told_and_other_directories_are_not() {
        let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (send, told) = mpsc::channel();
        let mut watch = Watch::start(move || send.send(()).is_ok()).unwrap();
        watch.set(&[dir.path()]);
        let heard = || told.recv_timeout(Duration::from_secs(20)).unwrap();
        fs::write(dir.path().join("a"), "x").unwrap();
        heard();
        fs::rename(dir.path().join("a"), dir.path().join("b")).unwrap();
        heard();
        fs::remove_file(dir.path().join("b")).unwrap();
        heard();
        watch.set(&[other.path()]);
        while told.try_recv().is_ok() {}
        fs::write(dir.path().join("c"), "x").unwrap();
        fs::write(other.path().join("c"), "x").unwrap();
        heard();
        let late = other.path().join("late");
        watch.set(&[&late]);
        assert!(!watch.retry());
        while told.try_recv().is_ok() {}
        fs::create_dir(&late).unwrap();
        heard();
        assert!(watch.retry() && !watch.retry());
        while told.try_recv().is_ok() {}
        fs::write(late.join("c"), "x").unwrap();
        heard();
        // A link that leads elsewhere by now.
        let (link, next) = (dir.path().join("link"), dir.path().join("next"));
        std::os::unix::fs::symlink(&late, &link).unwrap();
        std::os::unix::fs::symlink(other.path(), &next).unwrap();
        watch.set(&[&link]);
        while told.try_recv().is_ok() {}
        fs::write(dir.path().join("beside"), "x").unwrap();
        fs::rename(&next, &link).unwrap();
        heard();
        watch.refresh();
        while told.try_recv().is_ok() {}
        fs::write(other.path().join("d"), "x").unwrap();
        heard();
        drop(watch);
        // The thread has ended: nobody holds the sender.
        while told.recv_timeout(Duration::from_secs(20)).is_ok() {}
        assert_eq!(told.try_recv(), Err(mpsc::TryRecvError::Disconnected));
    }
}
