//! Where a feed's bytes come from: a file, or the files of a directory in the order of their names; checked against
//! their signatures if the feed has a key.

use super::signed::{self, Key, Signed};
use crate::regular;
use std::{
    fs::{self, Metadata},
    io::{self, Read as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

/// What is wrong, and what to do.
pub type Trouble = (String, &'static str);

/// How old a feed's bytes are, and what they are known by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Origin {
    /// When the newest of its files was written, seconds since 1970.
    pub changed: Option<i64>,
    /// What its signature says: the latest signing, the earliest end.
    pub signed: Option<Signed>,
    /// Files.
    pub files: usize,
    /// Equal for files that nobody has touched in between.
    pub stamp: u64,
}

/// What is asked of the content.
#[derive(Clone, Copy, Debug)]
pub struct Demand<'a> {
    /// Bytes, of all files together.
    pub limit: u64,
    /// Whose signature each file must bear.
    pub key: Option<&'a Key>,
    /// Seconds since 1970 against which an end is held; `None`: an old copy will do.
    pub now: Option<i64>,
}

/// Files of one directory.
const FILES: usize = 4096;

/// Hands over each file's path and bytes.
///
/// # Errors
/// The first file that cannot be had or trusted: what was handed over until then must not be used.
pub fn each(
    path: &Path,
    demand: &Demand<'_>,
    mut use_it: impl FnMut(&Path, &[u8]),
) -> Result<Origin, Trouble> {
    let mut origin = Origin::default();
    let mut left = demand.limit;
    let paths = match files(path)? {
        Some(names) => names.iter().map(|name| path.join(name)).collect(),
        None => vec![path.to_owned()],
    };
    for file in paths {
        let (bytes, meta) = open_within(&file, left, demand.limit)?;
        left -= bytes.len() as u64;
        if let Some(key) = demand.key {
            let signed = check(&file, &bytes, key, demand.now)?;
            origin.signed = Some(origin.signed.map_or(signed, |before| both(before, signed)));
        }
        origin.changed = origin.changed.max(Some(meta.mtime()));
        origin.files += 1;
        origin.stamp = stamp(origin.stamp, &meta);
        use_it(&file, &bytes);
    }
    Ok(origin)
}

/// The names of a directory's files, sorted; `None` if it is no directory.
pub(super) fn files(path: &Path) -> Result<Option<Vec<PathBuf>>, Trouble> {
    if !path.is_dir() {
        return Ok(None);
    }
    let fail = |e: io::Error| {
        (format!("cannot list {}: {e}", shown(path)), "check the directory and its permissions")
    };
    let mut names = Vec::new();
    for entry in fs::read_dir(path).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        let name = PathBuf::from(entry.file_name());
        // A link is followed: a directory of mounted configuration holds nothing else.
        if is_content(&name) && fs::metadata(entry.path()).is_ok_and(|m| m.is_file()) {
            names.push(name);
        }
        if names.len() > FILES {
            return Err((
                format!("{} holds more than {FILES} files", shown(path)),
                "put them into fewer files",
            ));
        }
    }
    names.sort_unstable();
    Ok(Some(names))
}

/// Not: hidden files and editors' copies, signatures, and MISP's table of contents.
fn is_content(name: &Path) -> bool {
    let name = name.as_os_str().as_encoded_bytes();
    !name.starts_with(b".")
        && !name.ends_with(b"~")
        && !name.ends_with(signed::SUFFIX.as_bytes())
        && !matches!(name, b"manifest.json" | b"hashes.csv")
}

pub(super) fn shown(path: &Path) -> String {
    path.display().to_string().escape_debug().to_string()
}

/// Reads a whole file. Only a regular file, and no more than `limit` bytes: a pipe or a device would never end.
pub(in crate::policy) fn open(path: &Path, limit: u64) -> Result<Vec<u8>, Trouble> {
    open_within(path, limit, limit).map(|(bytes, _)| bytes)
}

fn open_within(path: &Path, left: u64, limit: u64) -> Result<(Vec<u8>, Metadata), Trouble> {
    let fail =
        |e: io::Error| (format!("cannot read {}: {e}", shown(path)), "check the path and its permissions");
    let Some((file, meta)) = regular::open(path).map_err(fail)? else {
        return Err((
            format!("{} is not a regular file", shown(path)),
            "point it to a file of indicators, or to a directory of such files",
        ));
    };
    let mut bytes = Vec::with_capacity(usize::try_from(meta.len().min(left)).unwrap_or(0) + 1);
    file.take(left + 1).read_to_end(&mut bytes).map_err(fail)?;
    if bytes.len() as u64 > left {
        return Err((
            format!("{} is larger than {} MiB", shown(path), limit >> 20),
            "split it, or raise feed_mib in [limits]",
        ));
    }
    Ok((bytes, meta))
}

/// Where a file's signature is.
pub(super) fn signature_of(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(signed::SUFFIX);
    name.into()
}

fn check(file: &Path, bytes: &[u8], key: &Key, now: Option<i64>) -> Result<Signed, Trouble> {
    const REMEDY: &str =
        "get the file and its .minisig again from its publisher; see `miner-guard feed verify`";
    let (text, _) = open_within(&signature_of(file), signed::LONGEST, signed::LONGEST)
        .map_err(|(problem, _)| (format!("{} is not signed: {problem}", shown(file)), REMEDY))?;
    let signed = str::from_utf8(&text)
        .map_err(|_| "has a signature file that is none")
        .and_then(|text| key.verify(bytes, text))
        .map_err(|why| (format!("{} {why}", shown(file)), REMEDY))?;
    if let (Some(now), Some(end)) = (now, signed.expires)
        && end <= now
    {
        let end = jiff::Timestamp::from_second(end).map_or_else(|_| end.to_string(), |t| t.to_string());
        return Err((
            format!("{} expired at {end}", shown(file)),
            "get a newer one from its publisher; until then the last good copy stays",
        ));
    }
    Ok(signed)
}

fn both(a: Signed, b: Signed) -> Signed {
    let expires = match (a.expires, b.expires) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    };
    Signed { at: a.at.max(b.at), expires }
}

/// Not a secret and no defence: it tells an untouched file from one that was written.
pub(super) fn stamp(before: u64, meta: &Metadata) -> u64 {
    let parts =
        [meta.dev(), meta.ino(), meta.len(), meta.mtime().cast_unsigned(), meta.mtime_nsec().cast_unsigned()];
    parts.iter().fold(before, |h, n| (h.rotate_left(5) ^ n).wrapping_mul(0x9e37_79b9_7f4a_7c15))
}
