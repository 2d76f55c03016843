//! `cargo xtask eval runtime`: is what runs told for what it is? And `eval cost`: what does watching cost?
//!
//! One guard in audit mode, for a cgroup of its own; each load in a cgroup below it, so that an event's cgroup says which
//! load it is about. What came of each is kept at once ([`results`]), so that a run can be stopped and goes on later, and the
//! page is written from what is kept.

pub mod cost;
mod loads;
mod page;
mod results;
mod running;

use std::{
    collections::BTreeMap,
    fs,
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

use crate::{
    bench::{
        guard::Guard,
        place::{Cgroup, Scratch},
        sweep,
    },
    build, shell,
};
use loads::{Kind, Load};
use results::Outcome;
use running::{Running, Tools};

/// Arguments of `cargo xtask eval runtime`.
#[derive(clap::Args)]
pub struct Args {
    /// How long an honest load runs, and any other at most, seconds
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// `sustain` of the guard's policy: how long a mix must hold, seconds
    #[arg(long, default_value_t = 20)]
    sustain: u64,
    /// Loads on each CPU at one time. More than one takes less time in all, and each is seen as on a busy machine
    #[arg(long, default_value_t = 1)]
    each: usize,
    /// Only loads whose name contains one of these, also where their outcome is kept already
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// All loads anew, not only those whose outcome is not kept yet
    #[arg(long)]
    again: bool,
    /// Stop after so many minutes; the next run goes on
    #[arg(long)]
    minutes: Option<u64>,
    /// Install Debian's packages that the loads need, instead of leaving those loads out
    #[arg(long)]
    install: bool,
    /// A guard that is built already
    #[arg(long)]
    guard: Option<PathBuf>,
    /// Run nothing: write the page from what is kept
    #[arg(long)]
    page: bool,
}

/// Builds, runs, and writes `docs/detection-runtime.md`.
pub fn main(args: &Args) -> Result<()> {
    if !args.page {
        run(args)?;
    }
    page::write()?;
    let of_loads = results::of_loads()?;
    let ran = of_loads.iter().filter(|(_, o)| o.left_out.is_none());
    let wrong: Vec<_> =
        ran.filter(|(load, o)| !results::right(load.kind, o)).map(|(load, _)| load.name.as_str()).collect();
    eprintln!(
        "eval: not told for what they are: {}",
        if wrong.is_empty() { "none".into() } else { wrong.join(", ") }
    );
    let alarm = |(load, o): &&(Load, Outcome)| load.kind >= Kind::Hashes && o.told.contains_key("mining");
    if let Some((load, _)) = of_loads.iter().find(alarm) {
        bail!("{} is honest and was called mining", load.name);
    }
    Ok(())
}

fn run(args: &Args) -> Result<()> {
    if !shell::is_root() {
        bail!("the evaluation attaches programs and makes cgroups: run it as root");
    }
    let binary = build::given(args.guard.as_ref())?;
    sweep::always()?;
    let scratch = Scratch::new()?;
    let cgroup = Cgroup::new("eval")?;
    let tools = Tools::new(scratch.path(), &cgroup, args.seconds)?;
    let kept = if args.again { BTreeMap::new() } else { results::read()? };
    let wanted = |load: &Load| match args.only.as_slice() {
        [] => kept.get(&load.name).is_none_or(|o| o.left_out.is_some()),
        only => only.iter().any(|o| load.name.contains(o.as_str())),
    };
    let mut waiting: Vec<Load> = loads::all().into_iter().filter(wanted).collect();
    // What needs the machine for itself comes first, then the long ones and the short ones side by side.
    waiting.sort_by_key(|load| !load.alone);
    waiting.reverse();
    let policy = format!("builtin = false\n[runtime]\nsustain = {}\n", args.sustain);
    let guard = Guard::start_in("audit", &binary, scratch.path(), "eval", &cgroup, &policy)?;
    let (version, start) = (commit(), Instant::now());
    let late = || args.minutes.is_some_and(|m| start.elapsed() > Duration::from_secs(60 * m));
    let mut running: Vec<Running> = Vec::new();
    let events = guard.dir().join("events");
    let mut read = 0;
    while !running.is_empty() || !(waiting.is_empty() || late()) {
        while !late()
            && let Some(cpu) = place(&running, waiting.last(), args.each)
            && let Some(load) = waiting.pop()
        {
            match tools.missing(&load, args.install)? {
                Some(why) => keep(&load.name, Err(why), &version, args.sustain)?,
                None => running.push(tools.begin(load, cpu)?),
            }
        }
        std::thread::sleep(Duration::from_millis(20));
        let text = fs::read_to_string(&events)?;
        let complete = text.rfind('\n').map_or(0, |at| at + 1);
        for line in text.get(read..complete).unwrap_or_default().lines() {
            let event = serde_json::from_str(line)?;
            running.iter_mut().for_each(|r| r.hear(&event));
        }
        read = complete;
        for at in (0..running.len()).rev() {
            if running[at].over(args.seconds)? {
                let (name, outcome) = running.swap_remove(at).end()?;
                keep(&name, outcome, &version, args.sustain)?;
            }
        }
    }
    guard.stop()
}

/// The CPU for the next load, if one has fewer than `each`; [`running::EVERY`] for a load that runs alone.
fn place(running: &[Running], next: Option<&Load>, each: usize) -> Option<usize> {
    let next = next?;
    if next.alone || running.iter().any(|r| r.load.alone) {
        return running.is_empty().then_some(running::EVERY);
    }
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let loads = |cpu: usize| running.iter().filter(|r| r.cpu == cpu).count();
    (0..cpus).min_by_key(|cpu| loads(*cpu)).filter(|cpu| loads(*cpu) < each)
}

fn keep(name: &str, came: Result<running::Came, String>, version: &str, sustain: u64) -> Result<()> {
    let (came, left_out) = match came {
        Ok(came) => (came, None),
        Err(why) => (running::Came::default(), Some(why)),
    };
    results::append(&Outcome {
        name: name.to_owned(),
        told: came.told,
        left_out,
        ran: came.ran,
        load_average: shell::load_average(),
        at: results::now(),
        guard: version.to_owned(),
        sustain,
    })
}

/// Which commit this is, and whether something is changed since.
fn commit() -> String {
    let mut git = Command::new("git");
    git.current_dir(shell::root()).args(["describe", "--always", "--dirty"]);
    shell::capture(&mut git).map_or_else(|_| "an export".into(), |text| text.trim().to_owned())
}

/// The program with the loads, from a workspace of its own.
fn build_loads() -> Result<PathBuf> {
    let target = shell::target_dir().join("eval-loads");
    let mut cargo = shell::cargo();
    cargo.args(["build", "--release", "--locked", "--manifest-path"]);
    cargo.arg(shell::root().join("eval/loads/Cargo.toml")).arg("--target-dir").arg(&target);
    shell::run(&mut cargo).context("building eval/loads (RandomX needs cmake and a C++ compiler)")?;
    Ok(target.join("release/loads"))
}
