//! From a text file of a million addresses to enforced: how long, and how much kernel memory.

use std::{
    fs,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};

use super::{
    Bench,
    bpf::Map,
    data::Data,
    guard::{self, Guard, Reload},
    page::{Page, Table},
    place::{Cgroup, Netns},
    stats::{Random, median},
};
use crate::shell;

const ROUNDS: usize = 5;

/// One tool's rounds.
#[derive(Default)]
struct Load {
    milliseconds: Vec<f64>,
    /// Rise of Slab and VmallocUsed.
    kernel_bytes: Vec<f64>,
}

impl Load {
    fn add(&mut self, took: Duration, kernel_bytes: f64) {
        self.milliseconds.push(took.as_secs_f64() * 1e3);
        self.kernel_bytes.push(kernel_bytes);
    }
}

/// Slab and VmallocUsed together, bytes, once frees that wait for a grace period are through.
fn kernel_memory() -> Result<f64> {
    std::thread::sleep(Duration::from_millis(600));
    let text = fs::read_to_string("/proc/meminfo").context("cannot read /proc/meminfo")?;
    let of = |name: &str| -> Option<f64> {
        text.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()?.parse().ok()
    };
    Ok((of("Slab:").context("no Slab")? + of("VmallocUsed:").context("no VmallocUsed")?) * 1024.0)
}

fn measured(load: &mut Load, work: impl FnOnce() -> Result<Duration>) -> Result<()> {
    let before = kernel_memory()?;
    let took = work()?;
    load.add(took, kernel_memory()? - before);
    Ok(())
}

/// Measures, and adds the table and budgets to the page.
pub fn run(bench: &Bench, data: &Data, page: &mut Page) -> Result<()> {
    let mut tools = vec!["guard", "BPF hash"];
    tools.extend(shell::find("nft").map(|_| "nftables"));
    tools.extend(shell::find("ipset").map(|_| "ipset"));
    let mut loads: Vec<(&str, Load)> = tools.iter().map(|t| (*t, Load::default())).collect();
    let mut reloads: Vec<Reload> = Vec::new();
    let (mut starts, mut rss) = (Vec::new(), Vec::new());
    let mut random = Random::new(5);
    let mut order: Vec<usize> = (0..loads.len()).collect();
    for round in 0..ROUNDS {
        eprintln!("bench: loading, round {} of {ROUNDS}", round + 1);
        random.shuffle(&mut order);
        for i in &order {
            let (tool, load) = &mut loads[*i];
            match *tool {
                "guard" => {
                    let cgroup = Cgroup::new("load")?;
                    let mut guard =
                        Guard::start(&bench.guard, bench.scratch.path(), "load", &cgroup, guard::EMPTY)?;
                    let policy = guard::denies(&data.address_feed);
                    measured(load, || {
                        let reload = guard.reload(&policy)?;
                        let whole = reload.whole;
                        reloads.push(reload);
                        Ok(whole)
                    })?;
                    rss.push(super::idle::rss(guard.pid())?);
                    guard.stop()?;
                    let guard = Guard::start(&bench.guard, bench.scratch.path(), "load", &cgroup, &policy)?;
                    starts.push(guard.start.as_secs_f64() * 1e3);
                    guard.stop()?;
                }
                "BPF hash" => {
                    let mut kept = None;
                    measured(load, || {
                        let start = Instant::now();
                        kept = Some(Map::hash(&data.addresses)?);
                        Ok(start.elapsed())
                    })?;
                    drop(kept);
                }
                tool => {
                    let netns = Netns::new("load")?;
                    let mut command = match tool {
                        "nftables" => netns.command("nft"),
                        _ => netns.command("ipset"),
                    };
                    match tool {
                        "nftables" => command.arg("-f").arg(&data.nft),
                        _ => command.arg("restore").arg("-file").arg(&data.ipset),
                    };
                    measured(load, || {
                        let start = Instant::now();
                        shell::capture(&mut command)?;
                        Ok(start.elapsed())
                    })?;
                }
            }
        }
    }

    let entries = data.addresses.len() as f64;
    let mut table = Table::new(&["tool", "ms, median", "min … max", "kernel bytes an address", "min … max"]);
    let range = |v: &[f64], by: f64| {
        let (low, high) = v.iter().fold((f64::MAX, f64::MIN), |(l, h), x| (l.min(*x), h.max(*x)));
        (format!("{:.0} … {:.0}", low / by, high / by), median(v) / by)
    };
    for (tool, load) in &loads {
        let (ms_range, ms) = range(&load.milliseconds, 1.0);
        let (bytes_range, bytes) = range(&load.kernel_bytes, entries);
        table.row([(*tool).to_owned(), format!("{ms:.0}"), ms_range, format!("{bytes:.1}"), bytes_range]);
    }
    let of = |pick: fn(&Reload) -> f64| median(&reloads.iter().map(pick).collect::<Vec<_>>());
    let swap = of(|r| r.swap.as_secs_f64() * 1e3);
    let fill = of(|r| r.fill.as_secs_f64() * 1e3);
    let table_bytes = of(|r| r.table_bytes as f64) / entries;
    page.section(
        "Loading 1,000,000 addresses",
        &format!(
            "Guard: `policy reload` from the command to its answer, with the text feed read, checked, compiled and in force; \
             nft and ipset: the whole command, text included; BPF hash: only creating and filling it from memory. Wall time: what else \
             runs on the machine lengthens every row. Kernel \
             memory is the rise of Slab and VmallocUsed, which anything else on the machine moves too; the guard's own table is \
             {table_bytes:.1} bytes an address by its size. Of the guard's reload, making and filling the table took {fill:.1} ms \
             and the swap {swap:.1} ms. Started with this feed it was ready after {:.0} ms. After the reload its RSS was {:.1} MB.",
            median(&starts),
            median(&rss) / 1e6,
        ),
        &table,
    );
    let guard_ms = loads.first().map_or(f64::NAN, |(_, l)| median(&l.milliseconds));
    page.budget("1 M addresses, text feed to enforced", "≤ 500 ms", guard_ms, 500.0, "ms");
    page.budget("of which the swap", "≤ 10 ms", swap, 10.0, "ms");
    page.budget("kernel memory an address (IPv4), table size", "≤ 12 bytes", table_bytes, 12.0, "bytes");
    Ok(())
}
