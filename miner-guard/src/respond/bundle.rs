//! An evidence bundle: what is needed to trace how a miner came in, kept before it is killed.
//!
//! `<state-dir>/bundles/<case>-<pid>/`, for root alone:
//!
//! | file | |
//! |---|---|
//! | `exe` | a copy of the program, also of a deleted one or one in memory; it cannot be run from here |
//! | `process.json` | hashes, arguments (redacted), ancestors, cgroup, sockets |
//! | `maps` | its memory map |
//! | `case.json` | evidence and timeline of the case |
//!
//! Taking ([`Captured::of`]) reads a few small files; the program is held open, so that it can be copied after the process
//! has gone.

use crate::{
    event::{
        case::view::CaseView,
        decode::split_args,
        enrich::{ancestry::stat_of, exe, proc_root::ProcRoot, redact},
        model::lossy,
    },
    identify::{Digests, digest::Wanted, hex},
    regular,
};
use serde::Serialize;
use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read as _, Seek as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use super::sockets::sockets;

/// Bytes of the memory map, and of other files of `/proc`.
const MAPS: u64 = 1 << 20;
const TEXT: u64 = 16 << 10;
/// Ancestors.
const DEEPEST: usize = 8;

/// Bounds of bundles.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Bundles that are kept, the oldest out.
    pub bundles: usize,
    /// Largest copy of a program, bytes; a larger one is cut.
    pub bytes: u64,
}

/// What was taken of a process while it was there.
#[derive(Debug)]
pub struct Captured {
    exe: Option<File>,
    maps: Vec<u8>,
    about: About,
}

#[derive(Debug, Default, Serialize)]
struct About {
    pid: u32,
    name: String,
    executable: Option<String>,
    /// It has no name any more, or never had one.
    deleted: bool,
    args: Vec<String>,
    cgroup: String,
    ancestors: Vec<String>,
    sockets: Vec<String>,
    size: u64,
    /// Only the first part was copied.
    cut: bool,
    sha256: Option<String>,
    md5: Option<String>,
}

impl Captured {
    /// Takes what there is; what is gone is left out.
    #[must_use]
    pub fn of(pid: u32, proc: &ProcRoot) -> Self {
        let mut captured = Self::at_start(pid, proc);
        captured.about.sockets = sockets(pid, proc);
        captured
    }

    /// The same of a program that has not run yet, and is killed when this is done: it has opened no socket.
    #[must_use]
    pub fn at_start(pid: u32, proc: &ProcRoot) -> Self {
        let text = |name: &str, limit| proc.read(pid, name, limit).unwrap_or_default();
        let exe = proc.link(pid, "exe").map(|(target, unlinked)| exe::parse(&target, unlinked));
        let about = About {
            pid,
            name: stat_of(proc, pid).map(|s| lossy(&s.comm)).unwrap_or_default(),
            deleted: exe.as_ref().is_some_and(|e| e.unlinked),
            executable: exe.map(|e| e.path),
            args: redact::redact(&split_args(&text("cmdline", TEXT))),
            cgroup: lossy(&text("cgroup", TEXT)),
            ancestors: ancestors(pid, proc),
            ..About::default()
        };
        let exe = regular::open(&proc.of(pid, "exe")).ok().flatten().map(|(exe, _)| exe);
        Self { exe, maps: text("maps", MAPS), about }
    }

    /// Whether the process was still there.
    #[must_use]
    pub const fn has_something(&self) -> bool {
        self.exe.is_some()
    }

    /// Writes the bundle below `base`, and removes the oldest ones beyond the bounds.
    ///
    /// # Errors
    /// Those of the file system; what was written until then is removed.
    pub fn write(mut self, base: &Path, case: &CaseView, bounds: Bounds) -> io::Result<PathBuf> {
        DirBuilder::new().mode(0o700).recursive(true).create(base)?;
        let dir = base.join(format!("{}-{}", case.row.id, self.about.pid));
        match fs::remove_dir_all(&dir) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        DirBuilder::new().mode(0o700).create(&dir)?;
        let written = self.fill(&dir, case, bounds);
        if let Err(e) = written {
            let _ = fs::remove_dir_all(&dir);
            return Err(e);
        }
        keep_newest(base, bounds.bundles)?;
        Ok(dir)
    }

    fn fill(&mut self, dir: &Path, case: &CaseView, bounds: Bounds) -> io::Result<()> {
        if let Some(exe) = &mut self.exe {
            self.about.size = exe.metadata()?.len();
            // Of the whole file, also where the copy is cut.
            if let Ok(digests) = Digests::of(exe, Wanted::BOTH)
                && !digests.changed
            {
                self.about.sha256 = digests.sha256.map(|d| hex(&d));
                self.about.md5 = digests.md5.map(|d| hex(&d));
            }
            exe.rewind()?;
            let copied = io::copy(&mut exe.take(bounds.bytes), &mut create(&dir.join("exe"))?)?;
            self.about.cut = copied < self.about.size;
        }
        create(&dir.join("maps"))?.write_all(&self.maps)?;
        serde_json::to_writer_pretty(create(&dir.join("process.json"))?, &self.about)?;
        serde_json::to_writer_pretty(create(&dir.join("case.json"))?, case)?;
        Ok(())
    }
}

/// A file for root alone, and for reading only: a copy of a miner must not be a miner that can be started.
fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o400).open(path)
}

fn ancestors(pid: u32, proc: &ProcRoot) -> Vec<String> {
    let mut out = Vec::new();
    let mut at = stat_of(proc, pid).map_or(0, |s| s.ppid);
    while at != 0 && out.len() < DEEPEST {
        let Some(stat) = stat_of(proc, at) else { break };
        let args = redact::redact(&split_args(&proc.read(at, "cmdline", TEXT).unwrap_or_default()));
        out.push(format!("{at} ({}): {}", lossy(&stat.comm), args.join(" ")));
        at = stat.ppid;
    }
    out
}

fn keep_newest(base: &Path, most: usize) -> io::Result<()> {
    let mut all = Vec::new();
    for entry in fs::read_dir(base)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            all.push((entry.metadata()?.modified()?, entry.path()));
        }
    }
    all.sort();
    let over = all.len().saturating_sub(most);
    all.into_iter().take(over).try_for_each(|(_, dir)| fs::remove_dir_all(dir))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::case::{Book, Subject};
    use crate::{
        identify::evidence::{Evidence, Kind, Strength},
        policy::CaseSettings,
    };
    use std::{os::unix::fs::PermissionsExt as _, process::Command};

    fn view() -> CaseView {
        let settings = CaseSettings::default();
        let mut book = Book::default();
        let subject = Subject::of_pid(std::process::id(), &ProcRoot::default()).unwrap();
        let evidence = [Evidence::new(Kind::Contact, Strength::Medium, "x")];
        let seen = book.observe(&subject, &evidence, 1000, &settings).unwrap();
        book.get(&seen.id).unwrap().view(1000, &settings)
    }

    #[test]
    fn a_bundle_is_for_root_alone_bounded_and_has_the_deleted_program() {
        let dir = tempfile::tempdir().unwrap();
        let base = dir.path().join("state/bundles");
        let program = dir.path().join("miner");
        fs::copy("/bin/sleep", &program).unwrap();
        let size = fs::metadata(&program).unwrap().len();
        let mut child = Command::new(&program).args(["60"]).spawn().unwrap();
        fs::remove_file(&program).unwrap();
        let take = || Captured::of(child.id(), &ProcRoot::default());
        let (whole, cut) = (take(), take());
        child.kill().unwrap();
        child.wait().unwrap();
        let bounds = |bytes| Bounds { bundles: 1, bytes };
        let at = whole.write(&base, &view(), bounds(u64::MAX)).unwrap();
        for (path, mode) in
            [(&base, 0o700), (&at, 0o700), (&at.join("exe"), 0o400), (&at.join("maps"), 0o400)]
        {
            assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, mode, "{}", path.display());
        }
        assert_eq!(fs::read(at.join("exe")).unwrap(), fs::read("/bin/sleep").unwrap());
        let read = |at: &Path| -> serde_json::Value {
            serde_json::from_slice(&fs::read(at.join("process.json")).unwrap()).unwrap()
        };
        let about = read(&at);
        assert_eq!((&about["deleted"], &about["cut"]), (&true.into(), &false.into()));
        let digests = Digests::of(&File::open("/bin/sleep").unwrap(), Wanted::SHA256).unwrap();
        assert_eq!(about["sha256"], hex(&digests.sha256.unwrap()));
        assert!(String::from_utf8_lossy(&fs::read(at.join("maps")).unwrap()).contains("[stack]"));
        let at = cut.write(&base, &view(), bounds(4096)).unwrap();
        assert_eq!(fs::metadata(at.join("exe")).unwrap().len(), 4096);
        assert_eq!((read(&at)["cut"].clone(), read(&at)["size"].clone()), (true.into(), size.into()));
        assert!(fs::read_to_string(at.join("case.json")).unwrap().contains("timeline"));
    }

    #[test]
    fn the_oldest_bundles_go() {
        let dir = tempfile::tempdir().unwrap();
        for n in 0..5_u64 {
            let at = dir.path().join(n.to_string());
            fs::create_dir(&at).unwrap();
            let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1000 + n);
            File::open(&at).unwrap().set_modified(time).unwrap();
        }
        keep_newest(dir.path(), 2).unwrap();
        let mut left: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["3", "4"]);
    }
}
