//! `cargo xtask eval runtime`: is what runs told for what it is?
//!
//! One guard in audit mode, for a cgroup of its own; each load in a cgroup below it, so that an event's cgroup says which
//! load it is about. A proof-of-work load ends when it has been found, or when its time is over; an ordinary one always
//! runs its time. Loads share the machine with each other and with whatever else runs.

mod cost;
mod loads;
mod page;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::{
    bench::{
        guard::Guard,
        place::{Cgroup, Scratch},
    },
    build, shell,
};
use loads::{Kind, Load};

/// Arguments of `cargo xtask eval runtime`.
#[derive(clap::Args)]
pub struct Args {
    /// How long a load runs, seconds
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// `sustain` of the guard's policy: how long a mix must hold, seconds
    #[arg(long, default_value_t = 30)]
    sustain: u64,
    /// Loads that run at the same time
    #[arg(long, default_value_t = 2)]
    parallel: usize,
    /// Only loads whose name contains one of these; the page is then printed and not written
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Install Debian's packages that the loads need, instead of leaving those loads out
    #[arg(long)]
    install: bool,
    /// A guard that is built already
    #[arg(long)]
    guard: Option<PathBuf>,
}

/// What came of a load.
struct Outcome {
    load: Load,
    /// `mining`, `hashing-heavy`: after how many seconds, and the first reason.
    told: BTreeMap<String, (f64, String)>,
    /// Why it did not run.
    left_out: Option<String>,
    ran: Duration,
}

struct Running {
    load: Load,
    cgroup: Sub,
    child: Child,
    since: Instant,
    told: BTreeMap<String, (f64, String)>,
}

/// Builds, runs, prints, and writes `docs/detection-runtime.md`.
pub fn main(args: &Args) -> Result<()> {
    let guard = match &args.guard {
        Some(guard) => guard.clone(),
        None => build::release()?,
    };
    if !shell::is_root() {
        bail!("the evaluation attaches programs and makes cgroups: run it as root");
    }
    let program = build_loads()?;
    let scratch = Scratch::new()?;
    let cgroup = Cgroup::new("eval")?;
    let policy = format!("builtin = false\n[runtime]\nsustain = {}\n", args.sustain);
    let guard = Guard::start_in("audit", &guard, scratch.path(), "eval", &cgroup, &policy)?;
    let wanted =
        |load: &Load| args.only.is_empty() || args.only.iter().any(|o| load.name.contains(o.as_str()));
    let mut waiting: Vec<Load> = loads::all().into_iter().filter(wanted).collect();
    waiting.reverse();
    let (mut running, mut done): (Vec<Running>, Vec<Outcome>) = (Vec::new(), Vec::new());
    let start = Instant::now();
    let events = guard.dir().join("events");
    let mut read = 0;
    while !waiting.is_empty() || !running.is_empty() {
        while running.len() < args.parallel.max(1)
            && let Some(load) = waiting.pop()
        {
            match missing(&load, args.install)? {
                Some(why) => done.push(Outcome {
                    load,
                    told: BTreeMap::new(),
                    left_out: Some(why),
                    ran: Duration::ZERO,
                }),
                None => running.push(begin(load, &cgroup, &program, scratch.path(), args.seconds)?),
            }
        }
        std::thread::sleep(Duration::from_millis(100));
        let text = fs::read_to_string(&events)?;
        let complete = text.rfind('\n').map_or(0, |at| at + 1);
        for line in text.get(read..complete).unwrap_or_default().lines() {
            tell(&mut running, &serde_json::from_str(line)?);
        }
        read = complete;
        for at in (0..running.len()).rev() {
            if over(&mut running[at], args.seconds)? {
                let ended = running.swap_remove(at);
                done.push(end(ended)?);
            }
        }
    }
    let took = start.elapsed();
    let counting = cost::Counting::begin()?;
    let cost = cost::section(guard.pid(), &program)?;
    drop(counting);
    guard.stop()?;
    drop(cgroup);
    let page = page::page(&done, args, took) + &cost;
    println!("{page}");
    if args.only.is_empty() {
        let path = shell::root().join("docs/detection-runtime.md");
        page::write(&path, &page)?;
        eprintln!("eval: wrote {}", path.display());
    }
    let wrong = done.iter().filter(|o| o.load.kind >= Kind::Hashes && o.told.contains_key("mining")).count();
    if wrong > 0 {
        bail!("{wrong} honest programs were called mining");
    }
    Ok(())
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

fn missing(load: &Load, install: bool) -> Result<Option<String>> {
    let Some((package, program)) = load.needs else { return Ok(None) };
    if shell::find(program).is_some() {
        return Ok(None);
    }
    if install {
        let mut apt = shell::as_root("env");
        apt.args(["DEBIAN_FRONTEND=noninteractive", "apt-get", "--quiet", "install", "--yes"]);
        shell::run(apt.args(["--no-install-recommends", package]))?;
        return Ok(None);
    }
    Ok(Some(format!("Debian's {package} is not installed")))
}

fn begin(load: Load, cgroup: &Cgroup, program: &Path, scratch: &Path, seconds: u64) -> Result<Running> {
    let sub = Sub::new(&cgroup.path().join(&load.name))?;
    eprintln!("eval: {}", load.name);
    let mut command = Command::new("sh");
    // In its cgroup before its first instruction.
    command.arg("-c").arg(format!("echo $$ > \"$CGROUP/cgroup.procs\"; {}", load.command));
    command
        .env("CGROUP", &sub.0)
        .env("LOADS", program)
        .env("SECONDS_", seconds.to_string())
        .env("TMPDIR", scratch);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let child = command.spawn().with_context(|| format!("cannot start {}", load.name))?;
    Ok(Running { load, cgroup: sub, child, since: Instant::now(), told: BTreeMap::new() })
}

fn tell(running: &mut [Running], event: &Value) {
    let Some(action @ ("mining" | "hashing-heavy")) = event["event"]["action"].as_str() else { return };
    let place = event["miner_guard"]["cgroup"].as_str().unwrap_or_default();
    let of = |r: &&mut Running| place.ends_with(&format!("/{}", r.load.name));
    if let Some(r) = running.iter_mut().find(of) {
        let reasons = event["miner_guard"]["evidence"].as_array().into_iter().flatten();
        let reasons: Vec<_> = reasons.filter_map(Value::as_str).collect();
        eprintln!("eval: {}: {action} after {:.1} s", r.load.name, r.since.elapsed().as_secs_f64());
        r.told
            .entry(action.to_owned())
            .or_insert_with(|| (r.since.elapsed().as_secs_f64(), reasons.join("; ")));
    }
}

/// Whether there is nothing more to learn of a load.
fn over(r: &mut Running, seconds: u64) -> Result<bool> {
    let found = match r.load.kind {
        Kind::RandomX => r.told.contains_key("mining"),
        Kind::Pow => !r.told.is_empty(),
        Kind::Hashes | Kind::Honest => false,
    };
    Ok(found || r.since.elapsed() > Duration::from_secs(seconds) || r.child.try_wait()?.is_some())
}

fn end(mut r: Running) -> Result<Outcome> {
    let ran = r.since.elapsed();
    let failed = r.child.try_wait()?.filter(|status| !status.success());
    r.cgroup.kill()?;
    r.child.wait()?;
    // Rests that it left in a scratch directory of its own are the system's to clean; it ran as any program would.
    let left_out = failed.map(|status| format!("it ended by itself: {status}"));
    Ok(Outcome { load: r.load, told: r.told, left_out, ran })
}

/// A cgroup below the guarded one; what is in it is killed with this value.
struct Sub(PathBuf);

impl Sub {
    fn new(path: &Path) -> Result<Self> {
        fs::create_dir(path).with_context(|| format!("cannot create the cgroup {}", path.display()))?;
        Ok(Self(path.to_owned()))
    }

    fn kill(&self) -> Result<()> {
        for pid in fs::read_to_string(self.0.join("cgroup.procs"))?.lines().filter_map(|l| l.parse().ok()) {
            if let Some(pid) = rustix::process::Pid::from_raw(pid) {
                // It may have ended meanwhile.
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
        }
        Ok(())
    }
}

impl Drop for Sub {
    fn drop(&mut self) {
        let end = Instant::now() + Duration::from_secs(5);
        while fs::remove_dir(&self.0).is_err() && Instant::now() < end {
            let _ = self.kill();
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}
