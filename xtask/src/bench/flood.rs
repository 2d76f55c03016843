//! More records than anybody reads: every attempt is told, counted in another event, or counted as lost.

use std::{
    fs::File,
    io::{BufRead as _, BufReader},
    path::Path,
};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::{
    Bench, connect,
    data::{DENIED, Data},
    guard::Guard,
    page::{Page, Table},
    place::Cgroup,
    worker::{FLOOD_EACH, Mode, Worker},
};

const ONE_PROCESS: u32 = 1_000_000;
const MANY: u32 = 8192;

/// What became of the attempts.
#[derive(Default)]
struct Account {
    events: u64,
    /// Counted into one of those.
    suppressed: u64,
    /// Counted, without an event of the process to carry the count.
    counted: u64,
    lost: u64,
}

impl Account {
    /// Adds up the events of a guard that has stopped: by then all that it counted is told.
    fn read(events: &Path) -> Result<Self> {
        let mut account = Self::default();
        for line in BufReader::new(File::open(events)?).lines() {
            let event: Value = serde_json::from_str(&line?)?;
            let guard = &event["miner_guard"];
            if event["destination"]["ip"] == DENIED.to_string() {
                account.events += 1;
                account.suppressed += guard["suppressed"].as_u64().unwrap_or(0);
            }
            for (cause, n) in guard["loss"].as_object().into_iter().flatten() {
                let n = n.as_u64().context("a loss that is no number")?;
                *if cause == "aggregated" { &mut account.counted } else { &mut account.lost } += n;
            }
        }
        Ok(account)
    }
}

/// Measures, and adds the table to the page.
///
/// # Errors
/// When the account does not come out: this is no question of speed.
pub fn run(bench: &Bench, data: &Data, page: &mut Page) -> Result<()> {
    let mut table = Table::new(&[
        "flood",
        "attempts",
        "ns each",
        "per second",
        "events",
        "counted in them",
        "counted apart",
        "lost",
        "sum",
    ]);
    for (title, mode, attempts) in [
        ("one process", Mode::UdpDenied, ONE_PROCESS),
        ("8,192 processes in a row, 64 each", Mode::Flood, MANY * FLOOD_EACH),
    ] {
        eprintln!("bench: flood by {title}");
        let cgroup = Cgroup::new("flood")?;
        let policy =
            format!("builtin = false\n[[rule]]\nid = \"bench\"\nip = [\"{DENIED}\"]\naction = \"deny\"\n");
        let guard = Guard::start(&bench.guard, bench.scratch.path(), "flood", &cgroup, &policy)?;
        let mut worker = Worker::start(connect::plain(bench), &data.dial, &bench.tiny, &cgroup)?;
        let (ns, _) = worker.batch(mode, attempts)?;
        drop(worker);
        // Those that the batch made to warm up count too.
        let made =
            u64::from(attempts) + if mode == Mode::Flood { 0 } else { u64::from(attempts.div_ceil(10)) };
        let events = guard.dir().join("events");
        guard.stop()?;
        let account = Account::read(&events)?;
        let sum = account.events + account.suppressed + account.counted + account.lost;
        let number = |n: u64| n.to_string();
        table.row([
            title.to_owned(),
            number(made),
            format!("{ns:.0}"),
            format!("{:.0} k", 1e6 / ns),
            number(account.events),
            number(account.suppressed),
            number(account.counted),
            number(account.lost),
            number(sum),
        ]);
        if mode == Mode::Flood {
            page.budget("a record through the ring, two CPUs", "≤ 2 µs (500 k/s)", ns / 1e3, 2.0, "µs");
        }
        ensure!(sum == made, "flood by {title}: {made} attempts, but {sum} accounted for");
    }
    page.section(
        "Floods of denied connections: nothing vanishes",
        "Attempts, and what the operator can add up: events told, attempts counted in those events, attempts counted in a `loss` event \
         as `aggregated`, and records lost because the ring was full. The sum must be the attempts; the bench fails if it is not. One process may send 64 records a second and is counted in the kernel \
         beyond that; the second flood goes round this by a new process for each 64, so that every attempt is a record of 128 bytes \
         through the ring. Time includes the forks.",
        &table,
    );
    Ok(())
}
