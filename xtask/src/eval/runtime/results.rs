//! What came of each load, kept in a file in the cache: a run goes on where the last one stopped.

use std::{
    collections::BTreeMap,
    fs,
    io::Write as _,
    path::PathBuf,
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::loads::{Kind, Load};
use crate::cache;

/// What was told of a load: how long after it was started and after its work began, seconds, and why.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    /// Its own preparation included.
    pub after_start: f64,
    /// `None` where the load does not say when it begins.
    pub after_begin: Option<f64>,
    /// The reasons, joined.
    pub why: String,
}

/// What came of a load.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// Its name.
    pub name: String,
    /// `mining`, `hashing-heavy`, `miner-binary`.
    pub told: BTreeMap<String, Told>,
    /// Why it did not run.
    pub left_out: Option<String>,
    /// How long it ran, seconds.
    pub ran: f64,
    /// Load average of the last minute when it ended.
    pub load_average: f64,
    /// When it ended, Unix seconds.
    pub at: u64,
    /// The commit of the guard that watched.
    pub guard: String,
    /// `sustain` of its policy, seconds.
    pub sustain: u64,
}

impl Outcome {
    fn write(&self) -> Value {
        let told: BTreeMap<_, _> =
            self.told.iter().map(|(what, t)| (what, json!([t.after_start, t.after_begin, t.why]))).collect();
        json!({
            "name": self.name, "told": told, "left_out": self.left_out, "ran": self.ran,
            "load_average": self.load_average, "at": self.at, "guard": self.guard, "sustain": self.sustain,
        })
    }

    fn read(v: &Value) -> Option<Self> {
        let mut told = BTreeMap::new();
        for (what, t) in v["told"].as_object()? {
            let why = t[2].as_str()?.to_owned();
            told.insert(what.clone(), Told { after_start: t[0].as_f64()?, after_begin: t[1].as_f64(), why });
        }
        Some(Self {
            name: v["name"].as_str()?.to_owned(),
            told,
            left_out: v["left_out"].as_str().map(str::to_owned),
            ran: v["ran"].as_f64()?,
            load_average: v["load_average"].as_f64()?,
            at: v["at"].as_u64()?,
            guard: v["guard"].as_str()?.to_owned(),
            sustain: v["sustain"].as_u64()?,
        })
    }
}

/// Now, Unix seconds.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs())
}

/// Names of what is kept.
pub enum Kept {
    /// Of loads.
    Loads,
    /// Of `cargo xtask eval cost`: what the kernel counts.
    Counted,
    /// Of the same: work by turns with and without.
    Turns,
    /// Of the same: pairs of runs.
    Pairs,
}

/// Where it is kept.
pub fn path(of: &Kept) -> Result<PathBuf> {
    let dir = cache::dir()?.join("eval/runtime");
    fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
    Ok(dir.join(match of {
        Kept::Loads => "loads.jsonl",
        Kept::Counted => "cost-counted.md",
        Kept::Turns => "cost-turns.md",
        Kept::Pairs => "cost-pairs.md",
    }))
}

/// The newest outcome of each load. A line that was cut short by an interruption is passed over.
pub fn read() -> Result<BTreeMap<String, Outcome>> {
    let text = fs::read_to_string(path(&Kept::Loads)?).unwrap_or_default();
    let outcomes = text.lines().filter_map(|line| Outcome::read(&serde_json::from_str(line).ok()?));
    Ok(outcomes.map(|o| (o.name.clone(), o)).collect())
}

/// Keeps one more.
pub fn append(outcome: &Outcome) -> Result<()> {
    let path = path(&Kept::Loads)?;
    let mut file = fs::OpenOptions::new().create(true).append(true).open(&path)?;
    writeln!(file, "{}", outcome.write()).with_context(|| format!("cannot write {}", path.display()))
}

/// Those of loads that there still are, with them.
pub fn of_loads() -> Result<Vec<(Load, Outcome)>> {
    let mut outcomes = read()?;
    let loads = super::loads::all().into_iter();
    Ok(loads.filter_map(|load| outcomes.remove(&load.name).map(|o| (load, o))).collect())
}

/// What is told of a load counts as this.
pub fn verdict(o: &Outcome) -> &'static str {
    ["mining", "miner-binary", "hashing-heavy"]
        .into_iter()
        .find(|v| o.told.contains_key(*v))
        .unwrap_or("nothing")
}

/// Whether it should have been told so.
pub fn right(kind: Kind, o: &Outcome) -> bool {
    match (kind, verdict(o)) {
        (Kind::RandomX, "mining") | (Kind::Pow, "hashing-heavy" | "mining") | (Kind::Honest, "nothing") => {
            true
        }
        (Kind::Hashes, told) => matches!(told, "nothing" | "hashing-heavy"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_half_a_line_is_not() {
        let told = Told { after_start: 1.5, after_begin: None, why: "a \"b\"\n".into() };
        let outcome = Outcome {
            name: "x".into(),
            told: [("mining".to_owned(), told)].into(),
            left_out: None,
            ran: 2.0,
            load_average: 0.5,
            at: 7,
            guard: "abc".into(),
            sustain: 20,
        };
        let line = outcome.write().to_string();
        assert_eq!(Outcome::read(&serde_json::from_str(&line).unwrap()), Some(outcome));
        assert!(serde_json::from_str::<Value>(&line[..line.len() / 2]).is_err());
    }
}
