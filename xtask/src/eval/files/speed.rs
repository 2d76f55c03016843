//! How fast `scan` is beside yara with rules that look for the same.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Instant,
};

use anyhow::{Context as _, Result, ensure};

use super::{builder::Builder, debian::Tree, page::Page};
use crate::shell;

/// Enough to take seconds, little enough to stay in memory, in bytes.
const ENOUGH: u64 = 1 << 30;
/// Rounds, unless there is no time.
pub const ROUNDS: usize = 3;
const THREADS: usize = 2;

/// Compares the two on the same directories: the best of some rounds each, files in memory.
pub fn compare(builder: &Builder, guard: &Path, tree: &Tree, page: &mut Page, rounds: usize) -> Result<()> {
    let (paths, bytes) = some(&tree.path)?;
    let rules = shell::root().join("xtask/src/eval/files/miners.yar");
    let threads = THREADS.to_string();
    let scan = || {
        let mut command = Command::new(guard);
        command.args(["-o", "json", "scan", "--jobs", &threads]).args(&paths);
        timed(&mut command)
    };
    let yara = || {
        // One directory a call is all that it takes: the time is the sum.
        paths.iter().try_fold([0.0; 2], |sum, path| {
            let mut command = builder.outside("usr/bin/yara");
            command
                .args(["--recursive", "--no-warnings", &format!("--threads={threads}")])
                .arg(&rules)
                .arg(path);
            let one = timed(&mut command)?;
            anyhow::Ok([sum[0] + one[0], sum[1] + one[1]])
        })
    };
    let (mut ours, mut theirs) = ([f64::MAX; 2], [f64::MAX; 2]);
    for _ in 0..rounds {
        for (best, now) in [(&mut ours, scan()?), (&mut theirs, yara()?)] {
            *best = [best[0].min(now[0]), best[1].min(now[1])];
        }
    }
    page.speed(bytes, THREADS, rounds, ours, theirs);
    Ok(())
}

/// Directories of packages that make up enough bytes, and how many they are.
fn some(tree: &Path) -> Result<(Vec<PathBuf>, u64)> {
    let mut packages: Vec<_> = fs::read_dir(tree.join("trixie"))?
        .flatten()
        .map(|entry| entry.path())
        .filter(|p| p.is_dir())
        .collect();
    packages.sort();
    let (mut chosen, mut bytes) = (Vec::new(), 0);
    for package in packages {
        if bytes < ENOUGH {
            bytes += size(&package)?;
            chosen.push(package);
        }
    }
    Ok((chosen, bytes))
}

fn size(dir: &Path) -> Result<u64> {
    let mut sum = 0;
    for entry in fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            sum += size(&entry.path())?;
        } else if kind.is_file() {
            sum += entry.metadata()?.len();
        }
    }
    Ok(sum)
}

/// Seconds by the clock, and of processor time, of a program that may end with 1.
fn timed(command: &mut Command) -> Result<[f64; 2]> {
    let (clock, before) = (Instant::now(), processor_time()?);
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status()?;
    ensure!(matches!(status.code(), Some(0 | 1)), "`{}` failed: {status}", shell::show(command));
    Ok([clock.elapsed().as_secs_f64(), processor_time()? - before])
}

/// What ended children used, in seconds.
fn processor_time() -> Result<f64> {
    // Of /proc/self/stat, counted after the name in brackets: user and system time of waited-for children.
    let stat = fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<_> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks =
        |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok()).context("no process times");
    Ok((ticks(13)? + ticks(14)?) / rustix::param::clock_ticks_per_second() as f64)
}
