//! What the guard's `scan` says of files.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

/// What was said of one file.
pub struct Verdict {
    /// The class, as JSON has it.
    pub class: String,
    /// The first reason.
    pub why: String,
}

/// What a scan said.
pub struct Verdicts {
    /// Files that are not clean.
    pub found: BTreeMap<PathBuf, Verdict>,
    /// Files that were read.
    pub files: u64,
    /// Of these, ELF files.
    pub programs: u64,
    /// Files that could not be read.
    pub skipped: u64,
}

impl Verdicts {
    /// The class of a file.
    pub fn class(&self, path: &Path) -> &str {
        self.found.get(path).map_or("clean", |verdict| &verdict.class)
    }
}

/// Scans some directories.
pub fn scan(guard: &Path, paths: &[&Path]) -> Result<Verdicts> {
    let mut command = Command::new(guard);
    command.args(["-o", "json", "scan"]).args(paths).stdin(Stdio::null()).stderr(Stdio::inherit());
    let output = command.output().with_context(|| format!("cannot start {}", guard.display()))?;
    // 1: something was found.
    ensure!(matches!(output.status.code(), Some(0 | 1)), "the scan failed: {}", output.status);
    let report: Value = serde_json::from_slice(&output.stdout).context("the scan wrote no JSON")?;
    let number = |key: &str| report[key].as_u64().with_context(|| format!("the scan's report has no {key}"));
    let found = report["found"].as_array().context("the scan's report has no list")?;
    let found = found
        .iter()
        .filter_map(|item| {
            let why = item["evidence"][0]["text"].as_str().unwrap_or_default().to_owned();
            let class = item["class"].as_str()?.to_owned();
            Some((PathBuf::from(item["path"].as_str()?), Verdict { class, why }))
        })
        .collect();
    Ok(Verdicts {
        found,
        files: number("files")?,
        programs: number("programs")?,
        skipped: number("skipped_total")?,
    })
}
