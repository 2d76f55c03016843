//! What a connection costs under each tool, with the same list.

use std::{path::Path, process::Command};

use anyhow::{Context as _, Result, ensure};

use super::{
    Bench,
    bpf::{Hook, Map},
    data::{Data, PREFIX_BITS},
    guard::{self, Guard},
    page::{Page, Table, ns},
    place::{Cgroup, Netns},
    stats::{Added, Random, added, median},
    worker::{Mode, Worker},
};
use crate::shell;

/// The base of every difference.
const NONE: &str = "none";
/// The same again: what it differs by is noise.
const AGAIN: &str = "none, again (A/A)";
const BARE: &str = "bare hook";
const DENY: &str = "bare hook that denies";
const GUARD: &str = "guard, 1 M addresses";
const GUARD_PREFIXES: &str = "guard, 100 k prefixes";
const HASH: &str = "BPF hash, 1 M addresses";
const TRIE: &str = "BPF LPM trie, 100 k prefixes";
const NFT: &str = "nftables set, 1 M addresses";
const IPSET: &str = "ipset, 1 M addresses";

const MODES: &[(Mode, u32, &str)] = &[
    (Mode::UdpHot, 1000, "UDP connect, hot"),
    (Mode::UdpCold, 1000, "UDP connect, cold"),
    (Mode::TcpCold, 100, "TCP connect, cold"),
    (Mode::SendCold, 500, "UDP send, cold"),
];

/// What is in force where one worker sits. Dropped in this order.
struct Configuration {
    name: &'static str,
    worker: Worker,
    _hook: Option<Hook>,
    _guard: Option<Guard>,
    _netns: Netns,
    _cgroup: Cgroup,
}

/// What a configuration consists of.
enum Tool<'a> {
    Nothing,
    Bare(i32),
    Lookup(&'a Map),
    Guard(&'a Path),
    Nft(&'a Path),
    Ipset(&'a Path),
}

impl Configuration {
    fn new(bench: &Bench, data: &Data, (name, short, tool): (&'static str, &str, Tool<'_>)) -> Result<Self> {
        let (cgroup, netns) = (Cgroup::new(short)?, Netns::new(short)?);
        let (mut hook, mut guard) = (None, None);
        match tool {
            Tool::Nothing => {}
            Tool::Bare(verdict) => hook = Some(Hook::bare(cgroup.path(), verdict)?),
            Tool::Lookup(map) => hook = Some(Hook::lookup(cgroup.path(), map)?),
            Tool::Guard(feed) => {
                let policy = guard::denies(feed);
                guard = Some(Guard::start(&bench.guard, bench.scratch.path(), short, &cgroup, &policy)?);
            }
            Tool::Nft(file) => drop(shell::capture(netns.command("nft").arg("-f").arg(file))?),
            Tool::Ipset(file) => {
                shell::capture(netns.command("ipset").arg("restore").arg("-file").arg(file))?;
                let rule = ["-A", "OUTPUT", "-m", "set", "--match-set", "mgb", "dst", "-j", "DROP"];
                shell::capture(netns.command("iptables").args(rule))?;
            }
        }
        let worker = Worker::start(netns.command(&bench.worker), &data.dial, &bench.tiny, &cgroup)?;
        Ok(Self { name, worker, _hook: hook, _guard: guard, _netns: netns, _cgroup: cgroup })
    }
}

/// Whether a tool can be measured here; if not, why.
fn usable(bench: &mut Bench, name: &str, programs: &[&str]) -> bool {
    let missing: Vec<_> = programs.iter().copied().filter(|p| shell::find(p).is_none()).collect();
    if !missing.is_empty() {
        bench.skipped.push(format!("{name}: {} not installed", missing.join(" and ")));
    }
    missing.is_empty()
}

/// Measures, and adds the tables and budgets to the page.
pub fn run(bench: &mut Bench, data: &Data, page: &mut Page) -> Result<()> {
    let (hash, trie) = (Map::hash(&data.addresses)?, Map::trie(&data.prefixes, PREFIX_BITS)?);
    let mut wanted = vec![
        (NONE, "none", Tool::Nothing),
        (AGAIN, "none2", Tool::Nothing),
        (BARE, "bare", Tool::Bare(1)),
        (DENY, "deny", Tool::Bare(0)),
        (GUARD, "guard-1m", Tool::Guard(&data.address_feed)),
        (GUARD_PREFIXES, "guard-100k", Tool::Guard(&data.prefix_feed)),
        (HASH, "hash", Tool::Lookup(&hash)),
        (TRIE, "trie", Tool::Lookup(&trie)),
    ];
    if usable(bench, NFT, &["nft"]) {
        wanted.push((NFT, "nft", Tool::Nft(&data.nft)));
    }
    if usable(bench, IPSET, &["ipset", "iptables"]) {
        wanted.push((IPSET, "ipset", Tool::Ipset(&data.ipset)));
    }
    let mut all = Vec::new();
    for one in wanted {
        eprintln!("bench: setting up {}", one.0);
        all.push(Configuration::new(bench, data, one)?);
    }

    let mut columns = Vec::new();
    for (mode, calls, title) in MODES {
        eprintln!("bench: {title}");
        let samples = rounds(&mut all, *mode, *calls, bench.rounds, |name| name != DENY)?;
        let base = samples_of(&samples, NONE)?.to_vec();
        columns.push((*title, median(&base), compare(samples, &base)));
    }
    table(page, &columns);
    budgets(page, &columns)?;
    denied(&mut all, bench.rounds, page)
}

type Samples = Vec<(&'static str, Vec<f64>)>;
type Column = (&'static str, f64, Vec<(&'static str, Added)>);

/// One batch of each configuration a round, in another order each time.
fn rounds(
    all: &mut [Configuration],
    mode: Mode,
    calls: u32,
    rounds: u32,
    takes_part: impl Fn(&str) -> bool,
) -> Result<Samples> {
    let mut random = Random::new(u64::from(calls) + 11);
    let mut order: Vec<usize> = (0..all.len()).filter(|i| takes_part(all[*i].name)).collect();
    let mut samples: Samples = all.iter().map(|c| (c.name, Vec::new())).collect();
    const WARM_UP: u32 = 2;
    for round in 0..rounds + WARM_UP {
        random.shuffle(&mut order);
        for i in &order {
            let (ns, denied) = all[*i].worker.batch(mode, calls)?;
            // Nothing that is dialled is listed, but for the one address that is.
            let wrong = if mode == Mode::UdpDenied { calls - denied } else { denied };
            ensure!(wrong == 0, "{}: {wrong} wrong verdicts of {calls} at {mode:?}", all[*i].name);
            if round >= WARM_UP {
                samples[*i].1.push(ns);
            }
        }
    }
    samples.retain(|(_, values)| !values.is_empty());
    Ok(samples)
}

fn samples_of<'a>(samples: &'a Samples, name: &str) -> Result<&'a [f64]> {
    samples.iter().find(|(n, _)| *n == name).map(|(_, v)| v.as_slice()).with_context(|| format!("no {name}"))
}

fn compare(samples: Samples, base: &[f64]) -> Vec<(&'static str, Added)> {
    samples.into_iter().map(|(name, values)| (name, added(&values, base))).collect()
}

fn table(page: &mut Page, columns: &[Column]) {
    let mut table = Table::new(&["configuration"]);
    for (title, base, _) in columns {
        table.column(&format!("{title} ({} alone)", ns(*base)));
    }
    let names =
        columns.first().map(|(_, _, rows)| rows.iter().map(|(name, _)| *name).collect()).unwrap_or(vec![]);
    for name in names.into_iter().filter(|n| *n != NONE) {
        let cells = columns.iter().filter_map(|(_, _, rows)| rows.iter().find(|(n, _)| *n == name));
        table.row(std::iter::once(name.to_owned()).chain(cells.map(|(_, a)| a.to_string())));
    }
    page.section(
        "Connecting: nanoseconds a call more than without any tool",
        "Median of the differences within a round, its 95 % interval, and the ratio. *Hot*: one allowed address. *Cold*: \
         another allowed address each call, out of a million, so that every look-up misses the caches. Packet filters see \
         no packet in a UDP connect: what they cost is on each packet, here in the columns of TCP connect (three packets) and UDP send.",
        &table,
    );
}

fn budgets(page: &mut Page, columns: &[Column]) -> Result<()> {
    let cold =
        columns.iter().find(|(title, ..)| title.contains("UDP connect, cold")).context("not measured")?;
    let of = |name| cold.2.iter().find(|(n, _)| *n == name).map_or(f64::NAN, |(_, a)| a.median);
    let times = |part: f64, whole: f64| part / whole;
    let (guard, prefixes) = (of(GUARD), of(GUARD_PREFIXES));
    page.budget("connect(), 1 M addresses, cold", "≤ 4 × a bare hook", times(guard, of(BARE)), 4.0, "×");
    page.budget("connect(), 1 M addresses, cold", "≤ 1/4 of a BPF hash", times(guard, of(HASH)), 0.25, "×");
    page.budget(
        "connect(), 100 k prefixes, cold",
        "≤ 1/4 of an LPM trie",
        times(prefixes, of(TRIE)),
        0.25,
        "×",
    );
    Ok(())
}

fn denied(all: &mut [Configuration], count: u32, page: &mut Page) -> Result<()> {
    eprintln!("bench: denied connect");
    let samples =
        rounds(all, Mode::UdpDenied, 1000, count, |n| [DENY, GUARD, GUARD_PREFIXES, HASH].contains(&n))?;
    let base = samples_of(&samples, DENY)?.to_vec();
    let mut table = Table::new(&["configuration", "ns a call", "against the bare hook"]);
    for (name, values) in &samples {
        let a = added(values, &base);
        table.row([(*name).to_owned(), format!("{:.0}", median(values)), a.to_string()]);
    }
    page.section(
        "A denied connect",
        "UDP `connect()` to a listed address until EPERM. The guard also asks whether the process is exempt, and counts or \
         reports the attempt. A packet filter that drops denies no UDP connect at all, and lets a TCP connect wait.",
        &table,
    );
    let guard = added(samples_of(&samples, GUARD)?, &base);
    page.budget("a denied connect()", "≤ 1.2 × a bare hook that returns 0", guard.ratio, 1.2, "×");
    Ok(())
}

/// This program in no network namespace.
pub fn plain(bench: &Bench) -> Command {
    Command::new(&bench.worker)
}
