//! What a DNS question costs, and what a million denied names take.

use std::{collections::HashSet, fmt::Write as _, fs, path::Path};

use anyhow::{Context as _, Result};

use super::{
    Bench,
    beside::{self, Under},
    guard::{self, Guard},
    page::{Page, Table},
    place::Cgroup,
    stats::{Random, median},
    worker::Mode,
};

const NAMES: usize = 1_000_000;
/// Fewer than the ring of answers holds, so that none of a batch is lost.
const CALLS: u32 = 100;
const MODES: [(Mode, &str); 3] = [
    (Mode::Ask, "a question"),
    (Mode::Resolve, "question and answer"),
    (Mode::ResolveAnew, "the same, a socket each"),
];
/// A million names, half of them with all below.
fn feed(path: &Path) -> Result<()> {
    let mut random = Random::new(4711);
    let mut names = HashSet::with_capacity(NAMES);
    while names.len() < NAMES {
        names.insert((random.bits(), random.bits() % 64));
    }
    let mut text = String::with_capacity(NAMES * 20);
    for (i, (a, b)) in names.into_iter().enumerate() {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{}n{a:08x}.zone{b}.test", if i % 2 == 0 { "*." } else { "" });
    }
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// Measures, and adds the tables and budgets to the page.
pub fn run(bench: &Bench, dial: &Path, page: &mut Page) -> Result<()> {
    let names = bench.scratch.path().join("names.txt");
    feed(&names)?;
    load(bench, &names, page)?;
    eprintln!("bench: DNS questions");
    let million = guard::denies(&names);
    let configurations = [
        ("none", "q-none", Under::Nothing),
        ("none, again (A/A)", "q-none2", Under::Nothing),
        ("empty hooks at egress and ingress", "q-empty", Under::EmptyHooks),
        ("guard, built-in feed", "q-few", Under::Guard(guard::BUILTIN)),
        ("guard, 1 M denied names", "q-1m", Under::Guard(&million)),
    ];
    let measured = beside::run(bench, dial, &configurations, &MODES, CALLS)?;
    page.section(
        "DNS: nanoseconds more than without any tool",
        "By UDP to a name server on loopback, both ends in one process of the guarded cgroup and on one CPU: a question for a name of \
         four labels that nobody lists and that was not asked before, until the server's end has it; the same until its answer has \
         come back (the guard copies each answer for its daemon); the same with a new socket for each, as libc does it. Median of \
         the differences within a round, its 95 % interval, and the ratio.",
        &measured.table,
    );
    for ((_, title), added) in MODES.iter().zip(&measured.added) {
        let cost = added.last().map_or(f64::NAN, |a| a.median);
        page.budget(&format!("DNS, 1 M names: {title}"), "≤ 2 µs more", cost / 1e3, 2.0, "µs");
    }
    Ok(())
}

/// From a text file of a million names to denied.
fn load(bench: &Bench, names: &Path, page: &mut Page) -> Result<()> {
    eprintln!("bench: loading a million names");
    let mut table =
        Table::new(&["ms, median", "min … max", "of it filling", "swap", "bytes a name, table size"]);
    let mut reloads = Vec::new();
    let cgroup = Cgroup::new("q-load")?;
    for _ in 0..5 {
        let mut guard = Guard::start(&bench.guard, bench.scratch.path(), "q-load", &cgroup, guard::EMPTY)?;
        reloads.push(guard.reload(&guard::denies(names))?);
        guard.stop()?;
    }
    let of = |pick: fn(&guard::Reload) -> f64| reloads.iter().map(pick).collect::<Vec<f64>>();
    let whole = of(|r| r.whole.as_secs_f64() * 1e3);
    let (low, high) = whole.iter().fold((f64::MAX, f64::MIN), |(l, h), x| (l.min(*x), h.max(*x)));
    let bytes = median(&of(|r| r.table_bytes as f64)) / NAMES as f64;
    table.row([
        format!("{:.0}", median(&whole)),
        format!("{low:.0} … {high:.0}"),
        format!("{:.1}", median(&of(|r| r.fill.as_secs_f64() * 1e3))),
        format!("{:.1}", median(&of(|r| r.swap.as_secs_f64() * 1e3))),
        format!("{bytes:.1}"),
    ]);
    page.section(
        "Loading 1,000,000 names",
        "`policy reload` from the command to its answer, as for addresses above. Half of the names with all names below them. A name \
         is kept as a 64-bit keyed hash and a 32-bit tag, five in a block of 64 bytes: 12.8 bytes if every block were full. The \
         design's 12 bytes are for IPv4.",
        &table,
    );
    Ok(())
}
