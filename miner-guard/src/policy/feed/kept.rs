//! The last good copy of each feed, below the state directory: what is used when the source is gone, empty, expired or
//! no longer signed, after a restart too; and what was fetched from URLs.
//!
//! `feeds/feed-ID/data/` holds `files/` (the content under numbers, with signatures) and `meta.json`. Both are replaced
//! in one step by another such directory.

use super::{
    FeedReport,
    content::{self, Origin},
    signed,
};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use serde::{Deserialize, Serialize};
use std::{
    fs::{self, DirBuilder},
    io,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

/// What is known of a copy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meta {
    /// Source that it is a copy of: of another source it is nobody's copy.
    pub source: String,
    /// Indicators that it gave.
    pub used: usize,
    /// How old it is.
    pub origin: Origin,
    /// When it was fetched, seconds since 1970.
    #[serde(default)]
    pub fetched: Option<i64>,
    /// What the server calls this version.
    #[serde(default)]
    pub etag: Option<String>,
    /// When it was last changed, in the server's words.
    #[serde(default)]
    pub last_modified: Option<String>,
}

/// The copies of all feeds.
#[derive(Clone, Debug)]
pub struct Kept {
    root: PathBuf,
}

/// Largest `meta.json`.
const META: u64 = 64 << 10;

impl Kept {
    /// Those of this state directory. Nothing is opened yet.
    pub fn at(state_dir: &Path) -> Self {
        Self { root: state_dir.join("feeds") }
    }

    /// The prefix keeps `.` and `..` in their place.
    fn dir(&self, id: &str) -> PathBuf {
        self.root.join(format!("feed-{id}"))
    }

    /// What is known of the copy of this source, if there is one.
    pub fn meta(&self, id: &str, source: &str) -> Option<Meta> {
        let bytes = content::open(&self.dir(id).join("data/meta.json"), META).ok()?;
        let meta: Meta = serde_json::from_slice(&bytes).ok()?;
        (meta.source == source).then_some(meta)
    }

    /// The copy.
    pub fn content(&self, id: &str) -> PathBuf {
        self.dir(id).join("data/files")
    }

    /// What was fetched and is not accepted yet.
    pub fn incoming(&self, id: &str) -> PathBuf {
        self.dir(id).join("incoming/files")
    }

    /// An empty directory for what is being fetched; the file in it is called `0`.
    ///
    /// # Errors
    /// The state directory cannot be written.
    pub fn receive(&self, id: &str) -> io::Result<PathBuf> {
        fresh(&self.dir(id).join("incoming"))
    }

    /// What was fetched is the copy from now on.
    ///
    /// # Errors
    /// The state directory cannot be written; the copy from before stays.
    pub fn accept(&self, id: &str, meta: &Meta) -> io::Result<()> {
        self.replace(id, "incoming", meta)
    }

    /// What was fetched is not used.
    pub fn discard(&self, id: &str) {
        // What is left is overwritten by the next fetch.
        let _ = fs::remove_dir_all(self.dir(id).join("incoming"));
    }

    /// Notes that the server has nothing newer.
    ///
    /// # Errors
    /// The state directory cannot be written.
    pub fn confirm(&self, id: &str, meta: &Meta) -> io::Result<()> {
        write_meta(&self.dir(id).join("data"), meta)
    }

    /// Copies the source of a feed that was taken. Does nothing when this very content is there already, when the
    /// source has been written since, or when the report is of a copy anyway.
    ///
    /// # Errors
    /// The state directory cannot be written; the copy from before stays.
    pub fn keep(&self, report: &FeedReport) -> io::Result<()> {
        let usable =
            report.used > 0 && !report.fetched && report.trouble.is_none() && !report.source.is_empty();
        let old = self.meta(&report.id, &report.source);
        if !usable || old.is_some_and(|m| m.origin.stamp == report.origin.stamp && m.used == report.used) {
            return Ok(());
        }
        let to = fresh(&self.dir(&report.id).join("next"))?;
        let listed = content::files(&report.path).map_err(|(why, _)| io::Error::other(why))?;
        let sources = match listed {
            Some(names) => names.iter().map(|n| report.path.join(n)).collect(),
            None => vec![report.path.clone()],
        };
        let mut stamp = 0;
        for (n, source) in sources.iter().enumerate() {
            let to = to.join(format!("{n:05}"));
            fs::copy(source, &to)?;
            if report.key.is_some() {
                fs::copy(content::signature_of(source), content::signature_of(&to))?;
            }
            stamp = content::stamp(stamp, &fs::metadata(source)?);
        }
        if stamp != report.origin.stamp {
            // It was written meanwhile: whoever takes up that change keeps it.
            return fs::remove_dir_all(self.dir(&report.id).join("next"));
        }
        let meta = Meta {
            source: report.source.clone(),
            used: report.used,
            origin: report.origin,
            ..Meta::default()
        };
        self.replace(&report.id, "next", &meta)
    }

    fn replace(&self, id: &str, by: &str, meta: &Meta) -> io::Result<()> {
        let (new, data) = (self.dir(id).join(by), self.dir(id).join("data"));
        write_meta(&new, meta)?;
        match renameat_with(CWD, &new, CWD, &data, RenameFlags::EXCHANGE) {
            Ok(()) => fs::remove_dir_all(&new),
            Err(rustix::io::Errno::NOENT) => fs::rename(&new, &data),
            Err(e) => Err(e.into()),
        }
    }
}

fn write_meta(dir: &Path, meta: &Meta) -> io::Result<()> {
    let (new, whole) = (dir.join("meta.json.new"), dir.join("meta.json"));
    fs::write(&new, serde_json::to_vec(meta)?)?;
    fs::rename(new, whole)
}

/// An empty directory with an empty `files` in it, which is returned; for root alone.
fn fresh(dir: &Path) -> io::Result<PathBuf> {
    match fs::remove_dir_all(dir) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let files = dir.join("files");
    DirBuilder::new().recursive(true).mode(0o700).create(&files)?;
    Ok(files)
}

/// Where a fetched file's signature is put.
pub fn signature_in(files: &Path) -> PathBuf {
    files.join(format!("0{}", signed::SUFFIX))
}
