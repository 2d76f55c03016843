//! What the daemon needs while nothing happens.

use std::{fs, time::Duration};

use anyhow::{Context as _, Result};

use super::{
    Bench,
    guard::{self, Guard},
    page::{Page, Table},
    place::Cgroup,
};

const WATCHED: Duration = Duration::from_secs(10);

/// Memory of a process, in bytes, as `/proc/PID/status` counts it.
pub fn status(pid: u32, field: &str) -> Result<f64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).context("the guard is gone")?;
    let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    let kb: f64 = line
        .and_then(|l| l.split_whitespace().next()?.parse().ok())
        .with_context(|| format!("no {field}"))?;
    Ok(kb * 1024.0)
}

/// Resident memory, bytes.
pub fn rss(pid: u32) -> Result<f64> {
    status(pid, "VmRSS")
}

/// Time that all threads of a process ran. The scheduler's own clock: ticks of 10 ms are as long as the budget.
fn ran(pid: u32) -> Result<Duration> {
    let mut sum = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        let text = fs::read_to_string(task?.path().join("schedstat"))?;
        sum += text.split(' ').next().and_then(|n| n.parse::<u64>().ok()).context("no schedstat")?;
    }
    Ok(Duration::from_nanos(sum))
}

/// Measures, and adds the table and budgets to the page.
pub fn run(bench: &Bench, page: &mut Page) -> Result<()> {
    eprintln!("bench: the idle daemon, {} s", WATCHED.as_secs());
    let cgroup = Cgroup::new("idle")?;
    let guard = Guard::start(&bench.guard, bench.scratch.path(), "idle", &cgroup, guard::BUILTIN)?;
    // What the start needs is given back first.
    std::thread::sleep(Duration::from_secs(2));
    let before = ran(guard.pid())?;
    std::thread::sleep(WATCHED);
    let share = (ran(guard.pid())? - before).as_secs_f64() / WATCHED.as_secs_f64();
    let memory = |field| status(guard.pid(), field).map(|bytes| format!("{:.1}", bytes / 1e6));
    let mut table =
        Table::new(&["RSS, MB", "of it anonymous", "of it the program's file", "peak", "CPU, % of one core"]);
    table.row([
        memory("VmRSS")?,
        memory("RssAnon")?,
        memory("RssFile")?,
        memory("VmHWM")?,
        format!("{:.3}", share * 100.0),
    ]);
    page.section("The daemon, idle", "With the built-in policy, guarding an empty cgroup, 10 s.", &table);
    page.budget("RSS, idle, built-in policy", "≤ 15 MB", rss(guard.pid())? / 1e6, 15.0, "MB");
    page.budget("CPU, idle", "≤ 0.1 % of one core", share * 100.0, 0.1, "%");
    guard.stop()
}
