//! `cargo xtask eval cost`: what watching costs. Counted by the kernel itself, as time and calls of each program; and as the
//! difference that a guard makes, in pairs of runs with and without one.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

use super::results::{self, Kept};
use crate::{
    bench::{
        bpf,
        guard::Guard,
        place::{Cgroup, Scratch},
        stats::{added, median},
    },
    build, shell,
};

const SWITCH: &str = "/proc/sys/kernel/bpf_stats_enabled";

/// The kernel counts while this lives.
struct Counting(String);

impl Counting {
    /// Begins.
    fn begin() -> Result<Self> {
        let before = fs::read_to_string(SWITCH).with_context(|| format!("cannot read {SWITCH}"))?;
        fs::write(SWITCH, "1").with_context(|| format!("cannot write {SWITCH}"))?;
        Ok(Self(before))
    }
}

impl Drop for Counting {
    fn drop(&mut self) {
        if let Err(error) = fs::write(SWITCH, self.0.trim()) {
            eprintln!("cannot put {SWITCH} back: {error}");
        }
    }
}

/// Nanoseconds and calls of each kind of program that the guard holds: only those that watch what runs.
fn programs(pid: u32) -> Result<BTreeMap<&'static str, (u64, u64)>> {
    let mut out = BTreeMap::new();
    for entry in fs::read_dir(format!("/proc/{pid}/fdinfo"))? {
        let text = fs::read_to_string(entry?.path()).unwrap_or_default();
        let value = |name: &str| {
            text.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(':')?.trim().parse::<u64>().ok())
        };
        let (Some(kind), Some(ns), Some(calls)) =
            (value("prog_type"), value("run_time_ns"), value("run_cnt"))
        else {
            continue;
        };
        const PERF_EVENT: u64 = 7;
        const TRACING: u64 = 26;
        match kind {
            PERF_EVENT => drop(out.insert("sample", (ns, calls))),
            TRACING => drop(out.insert("fpu", (ns, calls))),
            _ => {}
        }
    }
    Ok(out)
}

/// Processor time of a process's threads, by the scheduler's own clock.
fn ran(pid: u32) -> Result<Duration> {
    let mut sum = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        let text = fs::read_to_string(task?.path().join("schedstat")).unwrap_or_default();
        sum += text.split(' ').next().and_then(|n| n.parse::<u64>().ok()).unwrap_or(0);
    }
    Ok(Duration::from_nanos(sum))
}

/// Arguments of `cargo xtask eval cost`.
#[derive(clap::Args)]
pub struct Args {
    /// Pairs of runs
    #[arg(long, default_value_t = 12)]
    rounds: usize,
    /// A guard that is built already
    #[arg(long)]
    guard: Option<PathBuf>,
}

const POLICY: &str = "builtin = false\n";
const STORM: u64 = 6;

/// Measures, and writes the page anew.
pub fn main(args: &Args) -> Result<()> {
    if !shell::is_root() {
        bail!("the evaluation attaches programs and makes cgroups: run it as root");
    }
    let binary = match &args.guard {
        Some(guard) => guard.clone(),
        None => build::release()?,
    };
    let loads = super::build_loads()?;
    let scratch = Scratch::new()?;
    let cgroup = Cgroup::new("cost")?;
    // What is started from here on is guarded where there is a guard.
    fs::write(cgroup.path().join("cgroup.procs"), "0")?;
    let start = || Guard::start_in("audit", &binary, scratch.path(), "cost", &cgroup, POLICY);
    let mut text = format!(
        "\n## Cost\n\nMeasured at a load average of {:.1} when it began. *Counted* is by the kernel (`bpf_stats_enabled`): the \
         clock reads that counting itself takes are in its figures, and an empty program at the same place shows them. \
         `fpu` runs at each context switch of a user thread anywhere on the host, `sample` about four times a second and CPU \
         where a guarded program runs. *Share* is of one CPU.\n\n",
        results::load_average(),
    );
    text += &counted(&start()?, &loads)?;
    text += &pairs(args.rounds, &loads, scratch.path(), start)?;
    fs::write(results::path(&Kept::Cost)?, &text)?;
    print!("{text}");
    super::page::write()
}

/// During a quiet time and a storm of context switches.
fn counted(guard: &Guard, loads: &Path) -> Result<String> {
    let mut out = String::from(
        "| while | fpu, calls/s | ns a call | share | sample, calls/s | ns a call | share | daemon, share |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    let counting = Counting::begin()?;
    for storm in [false, true] {
        let (before, cpu, start) = (programs(guard.pid())?, ran(guard.pid())?, Instant::now());
        if storm {
            switches(loads)?;
        } else {
            std::thread::sleep(Duration::from_secs(2 * STORM));
        }
        let (after, cpu, seconds) =
            (programs(guard.pid())?, ran(guard.pid())? - cpu, start.elapsed().as_secs_f64());
        let mut row = format!("| {} |", if storm { "a storm of context switches" } else { "nothing runs" });
        for name in ["fpu", "sample"] {
            let of = |m: &BTreeMap<&str, (u64, u64)>| m.get(name).copied().unwrap_or_default();
            let (ns, calls) = (of(&after).0 - of(&before).0, of(&after).1 - of(&before).1);
            let _ = write!(
                row,
                " {:.0} | {:.0} | {:.3} % |",
                calls as f64 / seconds,
                ns as f64 / calls.max(1) as f64,
                ns as f64 / seconds / 1e7,
            );
        }
        let _ = writeln!(out, "{row} {:.3} % |", cpu.as_secs_f64() / seconds * 100.0);
    }
    let empty = bpf::Tracepoint::bare("x86_fpu_regs_deactivated")?;
    switches(loads)?;
    let (ns, calls) = empty.counted()?;
    drop(counting);
    let _ = writeln!(
        out,
        "\nAn empty program beside it, in such a storm: {:.0} ns a call.\n",
        ns as f64 / calls.max(1) as f64
    );
    Ok(out)
}

/// Nanoseconds a switch, of two threads on one CPU that wait for each other.
fn switches(loads: &Path) -> Result<f64> {
    let mut command = Command::new("taskset");
    command.args(["-c", "0"]).arg(loads).args(["switch-storm", "--seconds", &STORM.to_string()]);
    let text = shell::capture(command.stdin(Stdio::null()))?;
    let turns: f64 = number(&text, "turns ")?;
    Ok(STORM as f64 * 1e9 / (2.0 * turns))
}

fn number(text: &str, name: &str) -> Result<f64> {
    let found = text.lines().find_map(|l| l.trim().strip_prefix(name)?.trim().parse().ok());
    found.with_context(|| format!("no line `{name}` in:\n{text}"))
}

/// What a run gives: seconds or so, of which fewer are better.
type Measured = Vec<(&'static str, f64)>;

fn hackbench() -> Result<Measured> {
    let text = shell::capture(Command::new("hackbench").args(["-g", "4", "-l", "1500"]))?;
    Ok(vec![("hackbench (4 groups of 40 tasks)", number(&text, "Time: ")?)])
}

/// HPL and STREAM as the HPC Challenge has them, by one process.
fn hpcc(dir: &Path) -> Result<Measured> {
    const EXAMPLE: &str = "/usr/share/doc/hpcc/examples/_hpccinf.txt";
    let input: String = fs::read_to_string(EXAMPLE)
        .with_context(|| format!("cannot read {EXAMPLE} of Debian's hpcc"))?
        .lines()
        .map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            match words.as_slice() {
                [_, "Ns", ..] => "2500 Ns\n".to_owned(),
                [_, "Ps", ..] => "1 Ps\n".to_owned(),
                [_, "Qs", ..] => "1 Qs\n".to_owned(),
                _ => format!("{line}\n"),
            }
        })
        .collect();
    fs::create_dir_all(dir)?;
    fs::write(dir.join("hpccinf.txt"), input)?;
    let out = dir.join("hpccoutf.txt");
    // Left by the run before; the program appends.
    let _ = fs::remove_file(&out);
    let mut command = Command::new("taskset");
    command.current_dir(dir).args(["-c", "1", "hpcc"]);
    command.env("OPENBLAS_NUM_THREADS", "1").env("OMP_NUM_THREADS", "1");
    shell::capture(&mut command)?;
    let text = fs::read_to_string(&out)?;
    Ok(vec![
        ("HPL (N = 2500, one process)", number(&text, "HPL_time=")?),
        ("STREAM triad, 1/GB/s", 1.0 / number(&text, "StarSTREAM_Triad=")?),
    ])
}

fn pairs(rounds: usize, loads: &Path, scratch: &Path, start: impl Fn() -> Result<Guard>) -> Result<String> {
    let dir = scratch.join("hpcc");
    let run = || -> Result<Measured> {
        let mut all = Vec::new();
        if shell::find("hackbench").is_some() {
            all.extend(hackbench()?);
        }
        all.push(("a switch by two threads on one CPU", switches(loads)? / 1e9));
        if shell::find("hpcc").is_some() {
            all.extend(hpcc(&dir)?);
        }
        Ok(all)
    };
    let mut of: BTreeMap<&str, [Vec<f64>; 2]> = BTreeMap::new();
    for round in 0..rounds {
        // In turn which of the two comes first.
        for with in [round % 2 == 0, round % 2 == 1] {
            let guard = with.then(&start).transpose()?;
            for (name, value) in run()? {
                of.entry(name).or_default()[usize::from(with)].push(value);
            }
            guard.map_or(Ok(()), Guard::stop)?;
        }
        eprintln!("eval: pair {} of {rounds}", round + 1);
    }
    let mut out = format!(
        "{rounds} pairs of runs, with and without a guard for their cgroup, the order changing; the median of the differences \
         and its 95 % bootstrap interval.\n\n\
         | run | without | with the guard it takes |\n| --- | --- | --- |\n"
    );
    for (name, [without, with]) in &of {
        let (a, base) = (added(with, without), median(without));
        let percent = |x: f64| 100.0 * x / base;
        let unit = if base < 1e-3 { format!("{:.2} µs", base * 1e6) } else { format!("{base:.3} s") };
        let unit = if name.contains("1/GB/s") { format!("{:.2} GB/s", 1.0 / base) } else { unit };
        let _ = writeln!(
            out,
            "| {name} | {unit} | {:+.2} % ({:+.2} to {:+.2}) |",
            percent(a.median),
            percent(a.low),
            percent(a.high)
        );
    }
    Ok(out)
}
