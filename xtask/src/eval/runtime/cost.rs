//! `cargo xtask eval cost`: what watching costs. Counted by the kernel itself, as time and calls of each program; as the
//! difference that being watched makes to one process, by turns; and as the difference that a guard makes, in pairs of runs with
//! and without one.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    path::PathBuf,
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

use super::results::{self, Kept};
use crate::{
    bench::{
        bpf,
        guard::Guard,
        place::{self, Cgroup, Scratch},
        stats::{added, median},
        sweep,
    },
    build, shell,
};

/// Nanoseconds and calls of each kind of program that the guard holds: only those that watch what runs.
fn programs(pid: u32) -> Result<BTreeMap<&'static str, (u64, u64)>> {
    let mut out = BTreeMap::new();
    for entry in fs::read_dir(format!("/proc/{pid}/fdinfo"))? {
        let text = fs::read_to_string(entry?.path()).unwrap_or_default();
        const PERF_EVENT: u64 = 7;
        const TRACING: u64 = 26;
        let name = match bpf::described(&text, "prog_type") {
            Some(PERF_EVENT) => "sample",
            Some(TRACING) => "fpu",
            _ => continue,
        };
        out.extend(bpf::counted(&text).map(|counted| (name, counted)));
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
    /// Pairs of runs; 0 leaves those of before on the page
    #[arg(long, default_value_t = 10)]
    rounds: usize,
    /// Seconds of each work by turns; 0 leaves what is on the page
    #[arg(long, default_value_t = 240)]
    turns: u64,
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
    let binary = build::given(args.guard.as_ref())?;
    let loads = super::build_loads()?;
    sweep::always()?;
    let scratch = Scratch::new()?;
    let cgroup = Cgroup::new("cost")?;
    fs::create_dir_all(scratch.path().join("hpcc"))?;
    let place = Place { cgroup: cgroup.path().to_owned(), loads, scratch: scratch.path().join("hpcc") };
    let start = || Guard::start_in("audit", &binary, scratch.path(), "cost", &cgroup, POLICY);
    let mut text = format!(
        "\n## Cost\n\nMeasured at a load average of {:.1} when it began. *Counted* is by the kernel (`BPF_ENABLE_STATS`): the \
         clock reads that counting itself takes are in its figures, and an empty program at the same place shows them. \
         `fpu` runs at each context switch of a user thread anywhere on the host, `sample` about four times a second and CPU \
         where a guarded program runs. *Share* is of one CPU. Each ran once before, uncounted: a program that starts for the \
         first time is read by the daemon.\n\n",
        shell::load_average(),
    );
    text += &counted(&start()?, &place)?;
    fs::write(results::path(&Kept::Counted)?, &text)?;
    print!("{text}");
    if args.turns > 0 {
        let guard = start()?;
        let text = turns(args.turns, &place)?;
        guard.stop()?;
        fs::write(results::path(&Kept::Turns)?, &text)?;
        print!("{text}");
    }
    if args.rounds > 0 {
        let text = pairs(args.rounds, &place, start)?;
        fs::write(results::path(&Kept::Pairs)?, &text)?;
        print!("{text}");
    }
    super::page::write()
}

/// What runs meanwhile, and its name.
type Run<'a> = (&'static str, Box<dyn Fn() -> Result<()> + 'a>);

/// During a quiet time, a storm of context switches, and ordinary heavy work.
fn counted(guard: &Guard, place: &Place) -> Result<String> {
    let mut out = String::from(
        "| while | fpu, calls/s | ns a call | share | sample, calls/s | ns a call | share | daemon, share |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    let counting = bpf::counting()?;
    let quiet = || -> Result<()> {
        std::thread::sleep(Duration::from_secs(2 * STORM));
        Ok(())
    };
    let mut runs: Vec<Run<'_>> = vec![
        ("nothing runs", Box::new(quiet)),
        ("a storm of context switches", Box::new(|| place.switches(STORM).map(drop))),
    ];
    if shell::find("hackbench").is_some() {
        runs.push(("hackbench", Box::new(|| place.hackbench().map(drop))));
    }
    if shell::find("hpcc").is_some() {
        runs.push(("HPC Challenge (HPL, STREAM and more)", Box::new(|| place.hpcc().map(drop))));
    }
    for (what, run) in runs {
        // Once uncounted: what starts for the first time is read, as it never is again.
        run()?;
        let (before, cpu, start) = (programs(guard.pid())?, ran(guard.pid())?, Instant::now());
        run()?;
        let (after, cpu, seconds) =
            (programs(guard.pid())?, ran(guard.pid())? - cpu, start.elapsed().as_secs_f64());
        let mut row = format!("| {what} |");
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
    place.switches(STORM)?;
    let (ns, calls) = empty.counted()?;
    drop(counting);
    let _ = writeln!(
        out,
        "\nAn empty program beside it, in such a storm: {:.0} ns a call.\n",
        ns as f64 / calls.max(1) as f64
    );
    Ok(out)
}

/// Where the runs happen: guarded, where there is a guard.
struct Place {
    cgroup: PathBuf,
    loads: PathBuf,
    scratch: PathBuf,
}

impl Place {
    fn run(&self, command: &[&str]) -> Result<String> {
        let mut shell = place::inside(&self.cgroup);
        shell.args(command);
        shell.env("OPENBLAS_NUM_THREADS", "1").env("OMP_NUM_THREADS", "1");
        shell::capture(shell.current_dir(&self.scratch).stdin(Stdio::null()))
    }

    /// Nanoseconds a switch, of two threads on one CPU that wait for each other.
    fn switches(&self, seconds: u64) -> Result<f64> {
        let loads = self.loads.to_string_lossy();
        let text =
            self.run(&["taskset", "-c", "0", &loads, "switch-storm", "--seconds", &seconds.to_string()])?;
        Ok(seconds as f64 * 1e9 / (2.0 * number(&text, "turns ")?))
    }

    /// Nanoseconds of each turn in the guarded cgroup and of its neighbour beside.
    fn alternate(&self, name: &str, seconds: u64, beside: &Cgroup) -> Result<(Vec<f64>, Vec<f64>)> {
        let [loads, seconds] = [self.loads.to_string_lossy().into_owned(), seconds.to_string()];
        let [watched, not] = [&self.cgroup, beside.path()].map(|path| path.to_string_lossy());
        let text = self.run(&["taskset", "-c", "1", &loads, "alternate", name, &seconds, &watched, &not])?;
        let pair = |line: &str| {
            let (watched, not) = line.split_once(' ')?;
            Some((watched.parse().ok()?, not.parse().ok()?))
        };
        let pairs = text.lines().map(pair).collect::<Option<Vec<(f64, f64)>>>();
        Ok(pairs.with_context(|| format!("these are no pairs of numbers:\n{text}"))?.into_iter().unzip())
    }

    fn hackbench(&self) -> Result<Measured> {
        let text = self.run(&["hackbench", "-g", "2", "-l", "2000"])?;
        Ok(vec![("hackbench (2 groups of 40 tasks)", number(&text, "Time: ")?)])
    }

    /// HPL and STREAM as the HPC Challenge has them, by one process.
    fn hpcc(&self) -> Result<Measured> {
        const EXAMPLE: &str = "/usr/share/doc/hpcc/examples/_hpccinf.txt";
        let input: String = fs::read_to_string(EXAMPLE)
            .with_context(|| format!("cannot read {EXAMPLE} of Debian's hpcc"))?
            .lines()
            .map(|line| {
                let words: Vec<&str> = line.split_whitespace().collect();
                match words.as_slice() {
                    [_, "Ns", ..] => "3000 Ns\n".to_owned(),
                    [_, "Ps", ..] => "1 Ps\n".to_owned(),
                    [_, "Qs", ..] => "1 Qs\n".to_owned(),
                    _ => format!("{line}\n"),
                }
            })
            .collect();
        fs::write(self.scratch.join("hpccinf.txt"), input)?;
        let out = self.scratch.join("hpccoutf.txt");
        // Left by the run before; the program appends.
        let _ = fs::remove_file(&out);
        self.run(&["taskset", "-c", "1", "hpcc"])?;
        let text = fs::read_to_string(&out)?;
        Ok(vec![
            ("HPL (N = 3000, one process)", number(&text, "HPL_time=")?),
            ("STREAM triad, 1/GB/s", 1.0 / number(&text, "StarSTREAM_Triad=")?),
        ])
    }
}

fn number(text: &str, name: &str) -> Result<f64> {
    let found = text.lines().find_map(|l| l.trim().strip_prefix(name)?.trim().parse().ok());
    found.with_context(|| format!("no line `{name}` in:\n{text}"))
}

/// One process, by turns in the guarded cgroup and in one beside it.
fn turns(seconds: u64, place: &Place) -> Result<String> {
    let beside = Cgroup::new("cost-beside")?;
    let mut out = String::from(
        "\nThe same work of one process on one CPU, a quarter of a second in a guarded cgroup and a quarter in one beside it by turns: \
         the median of the differences and its 95 % bootstrap interval. `fpu` is there in both.\n\n\
         | work | pairs | beside | what being watched adds |\n| --- | --- | --- | --- |\n",
    );
    for (name, what) in [("matmul", "multiplying matrices, as HPL does"), ("stream-triad", "STREAM's triad")]
    {
        let (watched, not) = place.alternate(name, seconds, &beside)?;
        let (a, base) = (added(&watched, &not), median(&not));
        let percent = |x: f64| 100.0 * x / base;
        let _ = writeln!(
            out,
            "| {what} | {} | {:.1} ms | {:+.3} % ({:+.3} to {:+.3}) |",
            not.len(),
            base / 1e6,
            percent(a.median),
            percent(a.low),
            percent(a.high),
        );
    }
    Ok(out)
}

/// What a run gives: seconds or so, of which fewer are better.
type Measured = Vec<(&'static str, f64)>;

fn pairs(rounds: usize, place: &Place, start: impl Fn() -> Result<Guard>) -> Result<String> {
    let run = || -> Result<Measured> {
        let mut all = Vec::new();
        if shell::find("hackbench").is_some() {
            all.extend(place.hackbench()?);
        }
        all.push(("a switch by two threads on one CPU", place.switches(2)? / 1e9));
        if shell::find("hpcc").is_some() {
            all.extend(place.hpcc()?);
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
        "\n{rounds} pairs of runs, with and without a guard for their cgroup, the order changing; the median of the differences \
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
