//! What a run that was killed leaves behind: guards, cgroups, network namespaces, directories. They are known by their names,
//! which say whose they are ([`super::place`]), so that the next run finds what even SIGKILL left.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    iterator::Signals,
};

use super::place;
use crate::shell;

/// What a guard is given to end in order.
const PATIENCE: Duration = Duration::from_secs(10);

/// Sweeps after runs that are gone, and after this one if it is interrupted.
///
/// # Errors
/// There can be no handler of signals.
pub fn always() -> std::io::Result<()> {
    sweep(|run| !Path::new("/proc").join(run.to_string()).exists());
    let mut signals = Signals::new([SIGHUP, SIGINT, SIGTERM])?;
    thread::spawn(move || {
        if let Some(signal) = signals.forever().next() {
            eprintln!("interrupted: taking away what was made");
            sweep(|run| run == std::process::id());
            std::process::exit(128 + signal);
        }
    });
    Ok(())
}

/// Takes away all that belongs to the runs that are meant, given by the process that they were.
fn sweep(meant: impl Fn(u32) -> bool) {
    let ours = |name: &str| place::run_of(name).is_some_and(&meant);
    let guards: Vec<Pid> = processes().into_iter().filter(|(_, named)| ours(named)).map(|(p, _)| p).collect();
    end(&guards, Signal::TERM);
    end(&guards, Signal::KILL);
    for cgroup in place::unified().map(|root| entries(&root, ours)).unwrap_or_default() {
        empty(&cgroup);
    }
    for netns in entries(Path::new("/run/netns"), ours) {
        let name = netns.file_name().unwrap_or_default();
        tell(shell::capture(Command::new("ip").args(["netns", "delete"]).arg(name)).map(drop), &netns);
    }
    for place in ["/sys/fs/bpf", "/run"] {
        for dir in entries(Path::new(place), ours) {
            tell(fs::remove_dir_all(&dir), &dir);
        }
    }
}

/// Guards, by the directory of pins that they were given.
fn processes() -> Vec<(Pid, String)> {
    let pids = entries(Path::new("/proc"), |name| name.parse::<u32>().is_ok());
    let guard = |dir: PathBuf| {
        let line = fs::read(dir.join("cmdline")).ok()?;
        let mut words = line.split(|b| *b == 0).map(String::from_utf8_lossy).skip_while(|w| w != "--pin-dir");
        let pins = PathBuf::from(words.nth(1)?.into_owned());
        let pid = Pid::from_raw(dir.file_name()?.to_str()?.parse().ok()?)?;
        Some((pid, pins.file_name()?.to_str()?.to_owned()))
    };
    pids.into_iter().filter_map(guard).collect()
}

/// Ends processes and waits until they have: one that is a child of this process stays as a zombie.
fn end(processes: &[Pid], signal: Signal) {
    let lives = |p: &Pid| {
        let stat = fs::read_to_string(format!("/proc/{}/stat", p.as_raw_nonzero())).unwrap_or_default();
        stat.rsplit(") ").next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with('Z'))
    };
    for process in processes.iter().filter(|p| lives(p)) {
        // It may have ended meanwhile.
        let _ = kill_process(*process, signal);
    }
    let until = Instant::now() + PATIENCE;
    while processes.iter().any(lives) && Instant::now() < until {
        thread::sleep(Duration::from_millis(20));
    }
}

/// Ends all that runs in a cgroup and below it, and removes it.
fn empty(cgroup: &Path) {
    for below in entries(cgroup, |_| true).iter().filter(|path| path.is_dir()) {
        empty(below);
    }
    let until = Instant::now() + PATIENCE;
    while let Err(error) = fs::remove_dir(cgroup) {
        if Instant::now() > until || error.kind() == std::io::ErrorKind::NotFound {
            return tell(Err(error), cgroup);
        }
        let inside = fs::read_to_string(cgroup.join("cgroup.procs")).unwrap_or_default();
        let inside: Vec<Pid> = inside.lines().filter_map(|l| Pid::from_raw(l.parse().ok()?)).collect();
        end(&inside, Signal::KILL);
        thread::sleep(Duration::from_millis(20));
    }
}

fn entries(dir: &Path, wanted: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    let all = fs::read_dir(dir).into_iter().flatten().flatten();
    all.filter(|e| e.file_name().to_str().is_some_and(&wanted)).map(|e| e.path()).collect()
}

fn tell<E: std::fmt::Display>(done: Result<(), E>, path: &Path) {
    if let Err(error) = done {
        eprintln!("cannot take away {}: {error}", path.display());
    }
}
