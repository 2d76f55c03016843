//! `cargo xtask bench`: what the guard costs, beside a bare hook, plain BPF maps, nftables and ipset.
//!
//! Method: one worker process for each configuration, in a cgroup and a network namespace of its own, all on one CPU.
//! A round holds one batch of each configuration, in random order; what counts is the median over the rounds of the
//! difference to `none` of the same round. A second `none` shows how much of a difference is noise.

mod audit;
mod beside;
pub mod bpf;
mod connect;
mod data;
mod dns;
mod exec;
mod flood;
pub mod guard;
mod idle;
mod load;
mod packets;
mod page;
pub mod place;
mod resolver;
mod short;
pub mod stats;
pub mod sweep;
pub mod worker;

use std::{path::PathBuf, process::Command, time::Instant};

use anyhow::{Result, bail};

use crate::{build, shell};

/// Arguments of `cargo xtask bench`.
#[derive(clap::Args)]
pub struct Args {
    /// Rounds of the connect measurements
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(10..))]
    rounds: u32,
    /// Only these parts; the page is then printed and not written
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Part>,
    /// With `--only`: write these parts into the page; the others stay as they were measured before
    #[arg(long, requires = "only")]
    write: bool,
    /// Also the throughput of iperf3, redis-benchmark and wrk: three minutes more, and the first time Debian's packages of
    /// `cargo xtask traffic` are fetched
    #[arg(long)]
    packets: bool,
    /// Also fork and exec under fapolicyd and auditd, where they are installed. Audit slows every exec of this machine
    /// while it is on, and leaves the rule `never,task` behind
    #[arg(long)]
    audit: bool,
    /// A guard that is built already
    #[arg(long)]
    guard: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    Connect,
    Load,
    Exec,
    Flood,
    Idle,
    Dns,
    Short,
    /// As `--packets`
    Packets,
}

/// What all parts share.
struct Bench {
    guard: PathBuf,
    /// This program, built for speed.
    worker: PathBuf,
    tiny: PathBuf,
    scratch: place::Scratch,
    rounds: u32,
    /// What was left out, and why.
    skipped: Vec<String>,
}

/// Builds, measures, prints, and writes `docs/benchmarks.md`.
pub fn main(args: &Args) -> Result<()> {
    let guard = build::given(args.guard.as_ref())?;
    shell::run(shell::cargo().args(["build", "--release", "--package", "xtask"]))?;
    if !shell::is_root() {
        bail!("the bench attaches programs and makes cgroups and network namespaces: run it as root");
    }
    if shell::find("ip").is_none() {
        bail!("no `ip` on PATH: it makes the network namespaces; apt-get install iproute2");
    }
    let cpus = std::thread::available_parallelism()?.get();
    if cpus > 1 {
        // Away from the workers' CPU; what is started from here (the guard) stays away too.
        worker::pin(1)?;
    }
    let start = Instant::now();
    sweep::always()?;
    let scratch = place::Scratch::new()?;
    let tiny = exec::tiny(scratch.path())?;
    let worker = shell::target_dir().join("release/xtask");
    let mut bench = Bench { guard, worker, tiny, scratch, rounds: args.rounds, skipped: Vec::new() };
    let data = data::Data::make(bench.scratch.path())?;
    let mut page = page::Page::default();
    let wants = |part| args.only.is_empty() || args.only.contains(&part);
    if wants(Part::Connect) {
        connect::run(&mut bench, &data, &mut page)?;
    }
    if wants(Part::Load) {
        load::run(&bench, &data, &mut page)?;
    }
    if wants(Part::Exec) {
        exec::run(&bench, &data.dial, &mut page)?;
    }
    if wants(Part::Flood) {
        flood::run(&bench, &data, &mut page)?;
    }
    if wants(Part::Idle) {
        idle::run(&bench, &mut page)?;
    }
    if wants(Part::Dns) {
        dns::run(&bench, &data.dial, &mut page)?;
    }
    if wants(Part::Short) {
        short::run(&bench, &data.dial, &mut page)?;
    }
    if args.packets || args.only.contains(&Part::Packets) {
        match packets::possible() {
            Ok(root) => packets::run(&bench, &root, &mut page)?,
            Err(error) => bench.skipped.push(format!("throughput: {error:#}")),
        }
    } else if args.only.is_empty() || args.write {
        bench
            .skipped
            .push("throughput of iperf3, redis-benchmark and wrk: `cargo xtask bench --packets`".into());
    }
    if args.audit {
        audit::run(&mut bench, &data.dial, &mut page)?;
    } else if wants(Part::Exec) || args.write {
        bench.skipped.push(
            "fork+exec under fapolicyd and auditd: `cargo xtask bench --audit`, on a machine where nobody else measures"
                .into(),
        );
    }
    for line in &bench.skipped {
        eprintln!("not measured: {line}");
    }
    if args.only.is_empty() || args.write {
        let path = shell::root().join("docs/benchmarks.md");
        page.write(&path, &about(args.rounds, cpus, start)?, &bench.skipped)?;
        eprintln!("bench: wrote {} after {} s", path.display(), start.elapsed().as_secs());
    }
    Ok(())
}

/// Where, when and how.
fn about(rounds: u32, cpus: usize, start: Instant) -> Result<String> {
    let line = |program: &str, argument: &str| {
        shell::capture(Command::new(program).arg(argument))
            .map_or_else(|_| "?".to_owned(), |text| text.lines().next().unwrap_or("").to_owned())
    };
    let load = shell::load_average();
    Ok(format!(
        "Measured {}, kernel {}, {cpus} CPUs, {rounds} rounds, the whole run {} s. Load average at its end: {load:.2}, the bench \
         itself being about 1 of it.",
        line("date", "+%Y-%m-%d %H:%M"),
        line("uname", "-r"),
        start.elapsed().as_secs(),
    ))
}
