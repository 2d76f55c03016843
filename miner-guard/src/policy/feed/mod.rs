//! Feeds: files of indicators from people who do not run this guard. A row that cannot be used is counted and shown; the
//! others are used.
//!
//! | file | |
//! |---|---|
//! | `builtin` | the embedded lists |
//! | [`content`] | where the bytes come from: a file, a directory, what was fetched; their signature |
//! | [`kept`] | the last good copy of each feed, in the state directory |
//! | `lines`, `csv`, `misp`, `stix` | one reader for each format |
//! | [`signed`] | minisign signatures, and until when they hold |

pub(super) mod builtin;
pub mod content;
mod csv;
mod json;
pub mod kept;
mod lines;
mod misp;
pub mod signed;
mod stix;
#[cfg(test)]
mod tests;

use super::indicator::{Indicator, Why};
use super::resolved::IndicatorClass;
pub use super::written::Format;
use content::Origin;
use miner_guard_common::abi::verdict::Verdict;
use std::path::PathBuf;

/// A row of a feed that was not used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadLine {
    /// Its line, from 1.
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
    /// Where it comes from, as the policy names it: a resolved path, a URL; empty for an embedded feed.
    pub source: String,
    /// What was read: the file or directory of the source, or a copy of it.
    pub path: PathBuf,
    /// The source is fetched from a URL.
    pub fetched: bool,
    /// The source is a directory.
    pub directory: bool,
    /// Certificates for that, instead of the system's.
    pub ca: Option<PathBuf>,
    /// Seconds between two fetches.
    pub every_s: u64,
    /// The format that the policy names; `None`: found out from the file.
    pub format: Option<Format>,
    /// What its indicators are.
    pub class: IndicatorClass,
    /// What happens on them.
    pub action: Option<Verdict>,
    /// The key that its signature is checked with.
    pub key: Option<signed::Key>,
    /// Indicators used.
    pub used: usize,
    /// Rows not used.
    pub bad: usize,
    /// The first of them.
    pub first_bad: Vec<BadLine>,
    /// Where the bytes came from and how old they are.
    pub origin: Origin,
    /// Why the last good copy is used and not the source.
    pub trouble: Option<String>,
}

/// Rows that a report shows.
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
    let cut = &text[..text.len().min(120)];
    let more = if cut.len() < text.len() { "…" } else { "" };
    format!("{}{more}", cut.escape_ascii())
}

/// What a row gave: its line, an indicator or why there is none, and the row.
pub type Found<'a> = (usize, Result<Indicator<'a>, Why>, &'a [u8]);

/// Every indicator and every unusable row, in the order of the file. `now`: seconds since 1970, for indicators that end.
pub fn read(text: &[u8], format: Option<Format>, now: i64, mut each: impl FnMut(Found<'_>)) {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    match format.unwrap_or_else(|| detect(text)) {
        Format::Csv => csv::read(text, &mut each),
        Format::Lines => lines::read(text, &mut each),
        Format::Misp => misp::read(text, &mut each),
        Format::Stix => stix::read(text, now, &mut each),
    }
}

fn detect(text: &[u8]) -> Format {
    match text.trim_ascii_start().first() {
        Some(b'{' | b'[') if stix::looks_like(text) => Format::Stix,
        // A list is MISP's, and so is an object that is not cut off; the rest are lines that begin strangely.
        Some(b'{') if misp::looks_like(text) => Format::Misp,
        Some(b'[') if text.trim_ascii_start()[1..].trim_ascii_start().starts_with(b"{") => Format::Misp,
        _ if csv::looks_like(text) => Format::Csv,
        _ => Format::Lines,
    }
}
