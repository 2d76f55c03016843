//! The page: a confusion matrix, times, then every load, then the cost. All of it from what is kept.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context as _, Result};

use super::{
    loads::{Kind, Load},
    results::{self, Kept, Outcome, verdict},
};
use crate::shell;

/// Where the generated part begins: what stands above is written by hand.
const MARK: &str = "<!-- written by `cargo xtask eval runtime` from here on -->";

/// Writes the generated part of `docs/detection-runtime.md`.
pub fn write() -> Result<()> {
    let path = shell::root().join("docs/detection-runtime.md");
    let old = fs::read_to_string(&path).unwrap_or_default();
    let by_hand = old.split(MARK).next().unwrap_or_default().trim_end();
    let done = results::of_loads()?;
    let mut text = format!("{by_hand}\n\n{MARK}\n");
    loads(&mut text, &done);
    for kept in [Kept::Counted, Kept::Turns, Kept::Pairs] {
        text += &fs::read_to_string(results::path(&kept)?).unwrap_or_default();
    }
    eprintln!("eval: wrote {}", path.display());
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
}

fn loads(out: &mut String, all: &[(Load, Outcome)]) {
    let done: Vec<_> = all.iter().filter(|(_, o)| o.left_out.is_none()).collect();
    let mut say = |text: String| out.push_str(&(text + "\n"));
    let of = |f: fn(&Outcome) -> f64| {
        let values = done.iter().map(|(_, o)| f(o));
        values.fold((f64::MAX, f64::MIN), |(l, h), x| (l.min(x), h.max(x)))
    };
    let (low, high) = of(|o| o.load_average);
    let mut guards: Vec<_> =
        done.iter().map(|(_, o)| format!("{} (`sustain = {}`)", o.guard, o.sustain)).collect();
    guards.sort_unstable();
    guards.dedup();
    say(format!(
        "\n## What was told\n\n{} loads, {:.0} minutes of them in all, kernel {}, {} CPUs, at load averages from {low:.1} to {high:.1} \
         (loads of the run itself included). RandomX and MPI jobs had the machine for themselves, all others were pinned to a \
         CPU, which some shared with others (`--each`). A proof of work was ended when it had been told. Guards: {}.\n",
        done.len(),
        done.iter().map(|(_, o)| o.ran).sum::<f64>() / 60.0,
        first_word("/proc/sys/kernel/osrelease"),
        std::thread::available_parallelism().map_or(0, usize::from),
        guards.join(", "),
    ));
    say("| what it is | loads | mining | hashing-heavy | nothing |\n| --- | --- | --- | --- | --- |".into());
    let mut by_kind: BTreeMap<Kind, [usize; 4]> = BTreeMap::new();
    for (load, o) in &done {
        let row = by_kind.entry(load.kind).or_default();
        row[0] += 1;
        row[match verdict(o) {
            "mining" | "miner-binary" => 1,
            "hashing-heavy" => 2,
            _ => 3,
        }] += 1;
    }
    for (kind, [all, mining, hashing, nothing]) in &by_kind {
        say(format!("| {} | {all} | {mining} | {hashing} | {nothing} |", kind.name()));
    }
    say("\n*After* is from the first hash to the event in the guard's output; *with its start* counts from the start of \
         the program, which first fills a cache of 256 MiB or a data set of 2 GiB.\n\n\
         | RandomX | told | after, s | with its start, s | load average |\n| --- | --- | --- | --- | --- |"
        .into());
    for (load, o) in done.iter().filter(|(l, _)| l.kind == Kind::RandomX) {
        let told = verdict(o);
        let (after, whole) = o.told.get(told).map_or((None, o.ran), |t| (t.after_begin, t.after_start));
        let after = after.map(|s| format!("{s:.2}")).unwrap_or_default();
        say(format!("| {} | {told} | {after} | {whole:.1} | {:.1} |", load.name, o.load_average));
    }
    say("\n| load | is | told | after, s | ran, s | why |\n| --- | --- | --- | --- | --- | --- |".into());
    let mut rows: Vec<_> = done.iter().filter(|(l, _)| l.kind != Kind::RandomX).collect();
    rows.sort_by_key(|(l, _)| (l.kind, &l.name));
    for (load, o) in rows {
        let told = verdict(o);
        let t = o.told.get(told);
        let after = t.map(|t| format!("{:.1}", t.after_begin.unwrap_or(t.after_start))).unwrap_or_default();
        let why = t.map(|t| t.why.as_str()).unwrap_or_default();
        say(format!("| {} | {} | {told} | {after} | {:.0} | {why} |", load.name, load.kind.name(), o.ran));
    }
    let wrong = done.iter().filter(|(l, o)| !results::right(l.kind, o));
    let wrong: Vec<_> =
        wrong.map(|(l, o)| format!("- {} ({}): {}", l.name, verdict(o), why(&l.name))).collect();
    if !wrong.is_empty() {
        say(format!("\nNot told for what they are:\n\n{}", wrong.join("\n")));
    }
    let left: Vec<_> = all.iter().filter_map(|(l, o)| Some((&l.name, o.left_out.as_ref()?))).collect();
    if !left.is_empty() {
        say("\nNot run:\n".into());
        left.iter().for_each(|(name, why)| say(format!("- {name}: {why}")));
    }
}

/// What is known of those that are not told for what they are, by the mix that `eval/record.py` shows of them.
fn why(name: &str) -> &'static str {
    match name {
        "yescrypt" => {
            "the crate's inner loop checks every access: a quarter of its instructions branch, 6 % mix bits. The C library's \
             yescrypt (`yescrypt-libxcrypt`), which miners use, has 2 % and 12 %"
        }
        "cuckoo-like" => {
            "a hash of a few instructions between branches: 37 % branch, 17 % mix bits, as bitmaps and tables of other programs do"
        }
        "popcount" => {
            "vectors of bits are compared by logic alone, with nothing read from files: 20 % of its instructions mix bits, and two \
             thirds of its samples have no branch"
        }
        "stress-ng-vecmath" => {
            "a stress test of nothing but integer arithmetic, shifts and logic on vectors: three quarters of its samples have no \
             branch, 12 % of its instructions mix bits and 6 % multiply"
        }
        _ => "not looked into",
    }
}

fn first_word(path: impl AsRef<Path>) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.split_whitespace().next().unwrap_or("?").to_owned()
}
