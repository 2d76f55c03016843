//! What each route came to, for the coverage table: `cargo xtask coverage` reads it and writes docs/coverage.md.
//!
//! A line for each route of each family, as JSON behind [`MARK`], after the tests' own output; or in the file that
//! [`FILE`] names.

use std::{
    fs,
    io::Write as _,
    sync::{Mutex, PoisonError},
};

use serde_json::{Value, json};

/// How such a line begins on a console. The same text is in xtask/src/coverage.rs.
const MARK: &str = "coverage: ";
/// The variable that names the file to add the lines to.
const FILE: &str = "MINER_GUARD_COVERAGE";

/// What came of a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Refused before anything came of it.
    Stopped,
    /// Reported, or ended by the daemon soon after.
    Detected,
    /// Neither.
    Open,
    /// This kernel has no such route.
    Absent,
}

impl Outcome {
    fn word(self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::Detected => "detected",
            Self::Open => "open",
            Self::Absent => "absent",
        }
    }
}

static LINES: Mutex<Vec<Value>> = Mutex::new(Vec::new());

/// Remembers what a route came to. `table` is where it belongs, `why` explains what is neither stopped nor absent.
pub fn tell(table: &str, route: &str, outcome: Outcome, why: &str) {
    let line = json!({ "table": table, "route": route, "outcome": outcome.word(), "why": why });
    LINES.lock().unwrap_or_else(PoisonError::into_inner).push(line);
}

/// Writes what was told, if anything was.
pub fn write() {
    let lines = std::mem::take(&mut *LINES.lock().unwrap_or_else(PoisonError::into_inner));
    if lines.is_empty() {
        return;
    }
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let all = std::iter::once(json!({ "kernel": release.trim() })).chain(lines);
    match std::env::var_os(FILE) {
        Some(path) => {
            let text: String = all.map(|line| format!("{line}\n")).collect();
            if let Err(error) = fs::File::options()
                .create(true)
                .append(true)
                .open(&path)
                .and_then(|mut file| file.write_all(text.as_bytes()))
            {
                eprintln!("cannot write {}: {error}", path.display());
            }
        }
        None if crate::case::in_vm() => all.for_each(|line| println!("{MARK}{line}")),
        None => {}
    }
}
