//! The page: a confusion matrix, then every load.

use std::{collections::BTreeMap, fmt::Write as _, fs, path::Path, time::Duration};

use anyhow::{Context as _, Result};

use super::{Args, Outcome, loads::Kind};

/// Where the generated part begins: what stands above is written by hand.
const MARK: &str = "<!-- written by `cargo xtask eval runtime` from here on -->";

/// The generated part.
pub fn page(done: &[Outcome], args: &Args, took: Duration) -> String {
    let mut out = String::new();
    let mut say = |text: String| out.push_str(&(text + "\n"));
    say(format!(
        "{MARK}\n\n## This run\n\nEach load ran for {} s at most ({} at a time, {} in all, {} s), with `sustain = {}`. Kernel {}, {} \
         CPUs, load average at the end {}.\n",
        args.seconds,
        args.parallel,
        done.iter().filter(|o| o.left_out.is_none()).count(),
        took.as_secs(),
        args.sustain,
        first_word("/proc/sys/kernel/osrelease"),
        std::thread::available_parallelism().map_or(0, usize::from),
        first_word("/proc/loadavg"),
    ));
    say("| what it is | loads | mining | hashing-heavy | nothing |\n| --- | --- | --- | --- | --- |".into());
    let mut by_kind: BTreeMap<Kind, [usize; 4]> = BTreeMap::new();
    for o in done.iter().filter(|o| o.left_out.is_none()) {
        let row = by_kind.entry(o.load.kind).or_default();
        row[0] += 1;
        row[match verdict(o) {
            "mining" => 1,
            "hashing-heavy" => 2,
            _ => 3,
        }] += 1;
    }
    for (kind, [all, mining, hashing, nothing]) in &by_kind {
        say(format!("| {} | {all} | {mining} | {hashing} | {nothing} |", kind.name()));
    }
    say("\n| load | is | told | after, s | why |\n| --- | --- | --- | --- | --- |".into());
    let mut rows: Vec<&Outcome> = done.iter().filter(|o| o.left_out.is_none()).collect();
    rows.sort_by_key(|o| (o.load.kind, o.load.name.clone()));
    for o in rows {
        let told = verdict(o);
        let (after, why) = o.told.get(told).cloned().unwrap_or((o.ran.as_secs_f64(), String::new()));
        say(format!("| {} | {} | {told} | {after:.1} | {why} |", o.load.name, o.load.kind.name()));
    }
    let left: Vec<_> = done.iter().filter_map(|o| Some((&o.load.name, o.left_out.as_ref()?))).collect();
    if !left.is_empty() {
        say("\nNot run:\n".into());
        left.iter().for_each(|(name, why)| say(format!("- {name}: {why}")));
    }
    out
}

fn verdict(o: &Outcome) -> &'static str {
    ["mining", "hashing-heavy"].into_iter().find(|v| o.told.contains_key(*v)).unwrap_or("nothing")
}

fn first_word(path: &str) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.split_whitespace().next().unwrap_or("?").to_owned()
}

/// Replaces the generated part of the page.
pub fn write(path: &Path, generated: &str) -> Result<()> {
    let old = fs::read_to_string(path).unwrap_or_default();
    let by_hand = old.split(MARK).next().unwrap_or_default().trim_end();
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = write!(text, "{by_hand}\n\n{generated}");
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
