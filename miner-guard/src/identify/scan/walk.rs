//! Every regular file below some paths, each once. Links are not followed, so that there is no way out and no loop;
//! a directory that is mounted in two places is entered once.

use super::{Found, Job, Options, Skipped};
use rustix::fs::{self, CWD, FileType, Mode, OFlags, ResolveFlags};
use std::{
    collections::HashSet,
    fs::{DirEntry, ReadDir},
    io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

/// Directories within directories: each is held open while what is below it is walked.
const DEPTH: usize = 256;
/// What the kernel makes up: no files, and some that never end.
const MADE_UP: [(i64, &str); 10] = [
    (0x9fa0, "proc"),
    (0x6265_6572, "sysfs"),
    (0x6367_7270, "cgroup2"),
    (0x0027_e0eb, "cgroup"),
    (0x6462_6720, "debugfs"),
    (0x7472_6163, "tracefs"),
    (0xcafe_4a11, "bpf"),
    (0x7363_6673, "securityfs"),
    (0x0187, "autofs"),
    (0xde5e_81e4, "efivarfs"),
];

type Each<'e> = &'e mut dyn FnMut(Found);

/// Gives every regular file to `each`, and what could not be entered.
pub fn walk(options: &Options, each: Each<'_>) {
    let mut seen = HashSet::new();
    for path in &options.paths {
        let (open, shown) = match &options.root {
            None => (path.clone(), path.clone()),
            Some(root) => match within(root, path) {
                Ok(open) => (open, absolute(path)),
                Err(e) => {
                    skip(each, path, &e);
                    continue;
                }
            },
        };
        top(&open, &shown, options.one_file_system, &mut seen, each);
    }
}

fn absolute(path: &Path) -> PathBuf {
    Path::new("/").join(path)
}

/// The real name of a path inside a root, however its links point.
fn within(root: &Path, path: &Path) -> io::Result<PathBuf> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let root = fs::open(root, flags | OFlags::DIRECTORY, Mode::empty())?;
    let there = fs::openat2(root, absolute(path), flags, Mode::empty(), ResolveFlags::IN_ROOT)?;
    std::fs::read_link(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&there)))
}

fn skip(each: Each<'_>, path: &Path, error: &io::Error) {
    each(Found::Skipped(Skipped { path: path.to_owned(), reason: format!("cannot be entered: {error}") }));
}

fn file(each: Each<'_>, open: PathBuf, path: PathBuf) {
    each(Found::File(Job { open, path, pids: Vec::new() }));
}

/// A path that was asked for: a link is followed here, and only here.
fn top(open: &Path, shown: &Path, one: bool, seen: &mut HashSet<(u64, u64)>, each: Each<'_>) {
    let meta = match std::fs::metadata(open) {
        Ok(meta) => meta,
        Err(e) => return skip(each, shown, &e),
    };
    if !meta.is_dir() {
        return file(each, open.to_owned(), shown.to_owned());
    }
    let mut stack = Vec::new();
    let mut enter =
        |stack: &mut Vec<Level>, open: PathBuf, shown: PathBuf, each: Each<'_>| match opened(&open) {
            Ok((id, entries)) if (!one || id.0 == meta.dev()) && seen.insert(id) => {
                stack.push(Level { entries, open, shown });
            }
            Ok(_) => {}
            Err(e) => skip(each, &shown, &e),
        };
    enter(&mut stack, open.to_owned(), shown.to_owned(), each);
    while let Some(level) = stack.last_mut() {
        let entry = match level.entries.next() {
            None => {
                stack.pop();
                continue;
            }
            Some(Ok(entry)) => entry,
            Some(Err(e)) => {
                skip(each, &level.shown, &e);
                stack.pop();
                continue;
            }
        };
        let (open, shown) = (level.open.join(entry.file_name()), level.shown.join(entry.file_name()));
        match kind(&entry) {
            Ok(FileType::RegularFile) => file(each, open, shown),
            Ok(FileType::Directory) if stack.len() < DEPTH => enter(&mut stack, open, shown, each),
            Ok(FileType::Directory) => {
                skip(each, &shown, &io::Error::other(format!("more than {DEPTH} directories deep")));
            }
            Ok(_) => {}
            Err(e) => skip(each, &shown, &e),
        }
    }
}

struct Level {
    entries: ReadDir,
    open: PathBuf,
    shown: PathBuf,
}

fn kind(entry: &DirEntry) -> io::Result<FileType> {
    let kind = entry.file_type()?;
    Ok(if kind.is_file() {
        FileType::RegularFile
    } else if kind.is_dir() {
        FileType::Directory
    } else {
        FileType::Unknown
    })
}

/// The directory's identity and its entries, unless the kernel makes them up.
fn opened(path: &Path) -> io::Result<((u64, u64), ReadDir)> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    // Only the place where the walk begins may be a link.
    let directory = fs::openat(CWD, path, flags, Mode::empty())
        .or_else(|_| fs::openat(CWD, path, flags & !OFlags::NOFOLLOW, Mode::empty()))?;
    let stat = fs::fstat(&directory)?;
    let system = fs::fstatfs(&directory)?.f_type;
    if let Some((_, name)) = MADE_UP.iter().find(|(magic, _)| *magic == system) {
        return Err(io::Error::other(format!("{name}: files that the kernel makes up")));
    }
    let entries =
        std::fs::read_dir(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&directory)))?;
    Ok(((stat.st_dev, stat.st_ino), entries))
}
