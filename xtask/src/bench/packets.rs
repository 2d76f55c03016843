//! Throughput of ordinary servers under the guard: iperf3, redis-benchmark and wrk, in the room of `cargo xtask traffic`.
//!
//! The same servers all the time; the guard comes before a batch and goes after it, because its hooks for programs see the
//! whole machine. Servers on one CPU, clients and the guard's daemon on another.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::{
    Bench,
    bpf::{self, Hook},
    guard::{self, Guard},
    page::{Page, Table},
    stats::{Random, added, median},
};
use crate::traffic::{
    room::{self, Room},
    root::Root,
};

/// Rounds of the other measurements for one of these, which takes a quarter of a minute.
const ROUNDS_EACH: u32 = 20;
const SERVERS: &str = "servers";
const CLIENTS: &str = "clients";

/// A client, and what it achieves (more is better).
struct Load {
    name: &'static str,
    unit: &'static str,
    /// Units in a batch; otherwise those of one second.
    amount: Option<f64>,
    /// A number on stdout.
    client: &'static str,
    read: fn(&str) -> Option<f64>,
}

const LOADS: [Load; 3] = [
    Load {
        name: "iperf3, one stream",
        unit: "Gbit",
        amount: None,
        client: "iperf3 -c 127.0.0.1 -t 1 -J",
        read: |said| {
            let said: Value = serde_json::from_str(said).ok()?;
            Some(said["end"]["sum_received"]["bits_per_second"].as_f64()? / 1e9)
        },
    },
    Load {
        name: "redis-benchmark, GET and SET of 64 bytes, 50 connections",
        unit: "requests",
        amount: Some(60_000.0),
        client: "redis-benchmark -h 127.0.0.1 -n 30000 -c 50 -d 64 -t set,get --csv",
        read: |said| {
            let rates = said
                .lines()
                .skip(1)
                .filter_map(|l| l.split(',').nth(1)?.trim_matches('"').parse::<f64>().ok());
            let rates: Vec<f64> = rates.collect();
            // As many of one as of the other: what counts is the time of both.
            (rates.len() == 2).then(|| 2.0 / rates.iter().map(|r| 1.0 / r).sum::<f64>())
        },
    },
    Load {
        name: "wrk against nginx, a page of 13 bytes, 32 connections",
        unit: "requests",
        amount: None,
        client: "wrk -t1 -c32 -d1 http://127.0.0.1/small",
        read: |said| said.lines().find_map(|l| l.strip_prefix("Requests/sec:")?.trim().parse().ok()),
    },
];

/// What is in force during a batch.
const CONFIGURATIONS: [&str; 5] = [
    "none",
    "none, again (A/A)",
    "empty hooks at egress and ingress, both ends",
    "guard, the servers' end",
    "guard, both ends",
];

/// Whether it can be measured here; if not, why.
pub fn possible() -> Result<Root> {
    room::possible()?;
    Root::ensure()
}

/// Measures, and adds the table and budgets to the page.
pub fn run(bench: &Bench, root: &Root, page: &mut Page) -> Result<()> {
    eprintln!("bench: iperf3, redis-benchmark and wrk");
    let room = Room::open(root, bench.scratch.path(), "packets")?;
    room.run(SERVERS, "mkdir www; printf 'a small page\n' > www/small")?;
    std::fs::write(room.work().join("nginx.conf"), NGINX)?;
    room.serve(SERVERS, 5201, "exec taskset -c 0 iperf3 -s")?;
    room.serve(SERVERS, 6379, "exec taskset -c 0 redis-server --bind 127.0.0.1 --save '' --appendonly no")?;
    room.serve(SERVERS, 80, "exec taskset -c 0 nginx -c /work/nginx.conf")?;
    let place = |i: usize| -> Result<PathBuf> {
        Ok(if i == 3 { room.part(SERVERS)? } else { room.cgroup().path().to_owned() })
    };
    let mut samples = vec![vec![Vec::new(); LOADS.len()]; CONFIGURATIONS.len()];
    // The same by the processor time of both ends: what else runs on the machine moves it less.
    let mut by_time = samples.clone();
    let mut order: Vec<usize> = (0..CONFIGURATIONS.len()).collect();
    let mut random = Random::new(31);
    let rounds = bench.rounds.div_ceil(ROUNDS_EACH).max(3);
    for round in 0..rounds {
        random.shuffle(&mut order);
        for &i in &order {
            let cgroup = place(i)?;
            let guard = (i >= 3).then(|| guard(bench, &cgroup)).transpose()?;
            let hook = (i == 2).then(|| Hook::packets(&cgroup)).transpose()?;
            for (l, load) in LOADS.iter().enumerate() {
                let (said, spent) = batch(&room, load)?;
                let rate = (load.read)(&said).with_context(|| format!("{} said `{said}`", load.name))?;
                samples[i][l].push(rate);
                by_time[i][l].push(load.amount.unwrap_or(rate) / spent);
            }
            drop(hook);
            guard.map_or(Ok(()), Guard::stop)?;
        }
        eprintln!("bench: throughput, round {} of {rounds}", round + 1);
    }
    let counted = counted(bench, &room)?;
    let table = |samples: &Samples, unit_of: &str| {
        let mut table = Table::new(&["configuration"]);
        for (l, load) in LOADS.iter().enumerate() {
            let alone = median(&samples[0][l]);
            table.column(&format!("{} ({alone:.0} {}{unit_of} alone)", load.name, load.unit));
        }
        for (i, name) in CONFIGURATIONS.iter().enumerate().skip(1) {
            let cells = (0..LOADS.len()).map(|l| {
                let (ratio, low, high) = ratio(samples, i, l);
                format!("{ratio:.3} [{low:.3} … {high:.3}]")
            });
            table.row(std::iter::once((*name).to_owned()).chain(cells));
        }
        table
    };
    page.section(
        "Throughput beside no guard",
        "Debian's programs over loopback, servers on one CPU and clients on the other, in enforce with the embedded feed. Ratio to *none* of \
         the same round: median and its 95 % interval; more is better. On one machine both ends are guarded, so each packet \
         is looked at on its way out and in at both: *the servers' end* is what a guarded node with clients elsewhere has.",
        &table(&samples, "/s"),
    );
    page.section(
        "Work for a second of processor time",
        "Of the same batches: what was done for each second of processor time that servers and clients together took, the daemon's not \
         counted. More is better. Other work on the machine moves this less than throughput.",
        &table(&by_time, ""),
    );
    page.section(
        "What each program takes of it",
        "Both ends guarded, one batch of each, counted by the kernel: the time in each program of the guard, of the processor time \
         that servers and clients took. The bare program runs beside those of the packets and shows what the counting itself \
         takes of each call; what the kernel does around a program is not in the figures.",
        &counted,
    );
    for (l, load) in LOADS.iter().enumerate() {
        for (i, end) in [(4, "both ends"), (3, "the servers' end")] {
            page.least(&format!("{}: {end}", load.name), "≥ 0.98 of no guard", ratio(&samples, i, l), 0.98);
        }
    }
    Ok(())
}

/// The guard of these measurements.
fn guard(bench: &Bench, cgroup: &Path) -> Result<Guard> {
    Guard::start_at("enforce", &bench.guard, bench.scratch.path(), "packets", cgroup, guard::BUILTIN)
}

/// A batch of a load: what its client said, and the seconds of processor time that both ends took.
fn batch(room: &Room, load: &Load) -> Result<(String, f64)> {
    let before = processor_seconds(room.cgroup().path())?;
    let said = room.run(CLIENTS, &format!("taskset -c $(($(nproc) > 1)) {}", load.client))?;
    Ok((said, processor_seconds(room.cgroup().path())? - before))
}

/// Counts what the guard's programs take during one batch of each load.
fn counted(bench: &Bench, room: &Room) -> Result<Table> {
    let cgroup = room.cgroup().path();
    let guard = guard(bench, cgroup)?;
    let bare = Hook::packets(cgroup)?;
    let counting = bpf::counting()?;
    let mut table = Table::new(&["program"]);
    let mut rows: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for load in &LOADS {
        table.column(load.name);
        let before = bpf::programs()?;
        let (_, spent) = batch(room, load)?;
        for (name, (ns, calls)) in bpf::programs()? {
            let (ns_before, calls_before) = before.get(&name).copied().unwrap_or_default();
            let (ns, calls) = (ns - ns_before, calls - calls_before);
            if calls > 1000 && (name.starts_with("mg_") || name == bpf::BARE) {
                let share = ns as f64 / spent / 1e7;
                let cell = format!(
                    "{share:.2} % ({:.0} ns, {:.0} k/s)",
                    ns as f64 / calls as f64,
                    calls as f64 / spent / 1e3
                );
                rows.entry(name).or_default().push(cell);
            }
        }
    }
    drop((counting, bare));
    guard.stop()?;
    for (name, cells) in rows.into_iter().filter(|(_, cells)| cells.len() == LOADS.len()) {
        table.row(std::iter::once(name).chain(cells));
    }
    Ok(table)
}

/// Of each configuration and load, the rounds.
type Samples = Vec<Vec<Vec<f64>>>;

/// To the first configuration, and the interval: by way of the logarithms' differences.
fn ratio(samples: &Samples, i: usize, l: usize) -> (f64, f64, f64) {
    let ln = |i: usize| samples[i][l].iter().map(|rate| f64::ln(*rate)).collect::<Vec<_>>();
    let a = added(&ln(i), &ln(0));
    (a.median.exp(), a.low.exp(), a.high.exp())
}

/// What all processes of a cgroup have taken so far.
fn processor_seconds(cgroup: &Path) -> Result<f64> {
    let text = std::fs::read_to_string(cgroup.join("cpu.stat"))?;
    let usage = text.lines().find_map(|line| line.strip_prefix("usage_usec ")?.parse::<f64>().ok());
    Ok(usage.context("no usage_usec in cpu.stat")? / 1e6)
}

const NGINX: &str = "user root; daemon off; worker_processes 1; pid /work/nginx.pid; error_log /work/nginx-errors.log;
events { worker_connections 1000; }
http {
    access_log off; keepalive_requests 100000000;
    client_body_temp_path /work/b; fastcgi_temp_path /work/f; proxy_temp_path /work/p; scgi_temp_path /work/s; uwsgi_temp_path /work/u;
    server { listen 80; root /work/www; }
}
";
