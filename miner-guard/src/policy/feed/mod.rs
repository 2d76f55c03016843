//! Feeds: files of indicators, one a line, from people who do not run this guard. A line that cannot be used is
//! counted and shown; the others are used.

pub(super) mod builtin;
mod csv;
mod lines;

use super::indicator::{Indicator, Why};
pub use super::written::Format;
use std::{fs, io::Read as _, path::Path};

/// A line of a feed that was not used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadLine {
    /// Its number, from 1.
    pub line: usize,
    /// Its beginning, safe to print.
    pub text: String,
    /// What it is, or why it was left out: follows "is".
    pub why: Why,
}

/// What came of reading a feed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FeedReport {
    /// The feed's id.
    pub id: String,
    /// The file, as resolved; empty for the embedded feed.
    pub path: std::path::PathBuf,
    /// The format that the policy names; `None`: found out from the file.
    pub format: Option<Format>,
    /// Indicators used.
    pub used: usize,
    /// Lines not used.
    pub bad: usize,
    /// The first of them.
    pub first_bad: Vec<BadLine>,
}

/// Lines that a report shows.
const SHOWN: usize = 5;

impl FeedReport {
    pub(super) fn refuse(&mut self, line: usize, text: &[u8], why: Why) {
        self.bad += 1;
        if self.first_bad.len() < SHOWN {
            let text = excerpt(text);
            self.first_bad.push(BadLine { line, text, why });
        }
    }
}

/// The beginning of hostile bytes, printable.
pub(super) fn excerpt(text: &[u8]) -> String {
    let cut = &text[..text.len().min(60)];
    let more = if cut.len() < text.len() { "…" } else { "" };
    format!("{}{more}", cut.escape_ascii())
}

/// Reads a feed file. Only a regular file, and no more than `limit` bytes: a pipe or a device would never end.
pub(super) fn open(path: &Path, limit: u64) -> Result<Vec<u8>, (String, &'static str)> {
    let fail = |e: std::io::Error| {
        (
            format!("cannot read {}: {e}", path.display().to_string().escape_debug()),
            "check the path and its permissions",
        )
    };
    // Asked before opening: opening a pipe waits for its other end.
    let kind = fs::metadata(path).map_err(fail)?;
    if !kind.is_file() {
        let shown = path.display().to_string().escape_debug().to_string();
        return Err((format!("{shown} is not a regular file"), "point it to a file of indicators"));
    }
    let mut bytes = Vec::with_capacity(kind.len().min(limit) as usize);
    let file = fs::File::open(path).map_err(fail)?;
    file.take(limit + 1).read_to_end(&mut bytes).map_err(fail)?;
    if bytes.len() as u64 > limit {
        return Err((
            format!("{} is larger than {} MiB", path.display().to_string().escape_debug(), limit >> 20),
            "split it, or raise feed_mib in [limits]",
        ));
    }
    Ok(bytes)
}

/// What a line gave: the line's number, an indicator or why there is none, and the line.
pub(super) type Found<'a> = (usize, Result<Indicator<'a>, Why>, &'a [u8]);

/// Every indicator and every unusable line, in the order of the file.
pub(super) fn read<'a>(text: &'a [u8], format: Option<Format>, each: impl FnMut(Found<'a>)) {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    match format.unwrap_or_else(|| if csv::looks_like(text) { Format::Csv } else { Format::Lines }) {
        Format::Csv => csv::read(text, each),
        Format::Lines => lines::read(text, each),
    }
}
