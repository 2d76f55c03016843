//! A load that runs: in a cgroup and a directory of its own, on one CPU unless it is alone.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::{
    build_loads,
    loads::{Kind, Load},
    results::Told,
};
use crate::{bench::place::Cgroup, shell};

/// No CPU in particular.
pub const EVERY: usize = usize::MAX;

/// What came of one that ran.
#[derive(Default)]
pub struct Came {
    /// What was told of it.
    pub told: BTreeMap<String, Told>,
    /// Seconds.
    pub ran: f64,
}

/// What the loads need.
pub struct Tools<'c> {
    program: PathBuf,
    scratch: PathBuf,
    cgroup: &'c Cgroup,
    seconds: u64,
}

impl<'c> Tools<'c> {
    /// Builds the program with the loads.
    pub fn new(scratch: &Path, cgroup: &'c Cgroup, seconds: u64) -> Result<Self> {
        Ok(Self { program: build_loads()?, scratch: scratch.to_owned(), cgroup, seconds })
    }

    /// Why a load cannot run, unless what it needs could be installed.
    pub fn missing(&self, load: &Load, install: bool) -> Result<Option<String>> {
        let Some((packages, program)) = load.needs else { return Ok(None) };
        let here = || match program.strip_prefix('/') {
            Some(_) => Path::new(program).exists(),
            None => shell::find(program).is_some(),
        };
        if !here() && install {
            let mut apt = shell::as_root("env");
            apt.args(["DEBIAN_FRONTEND=noninteractive", "apt-get", "--quiet", "install", "--yes"]);
            shell::run(apt.arg("--no-install-recommends").args(packages.split(' ')))?;
        }
        Ok((!here()).then(|| format!("Debian's {packages} is not installed")))
    }

    /// Starts a load.
    pub fn begin(&self, load: Load, cpu: usize) -> Result<Running> {
        let sub = Sub::new(&self.cgroup.path().join(&load.name))?;
        let dir = self.scratch.join(&load.name);
        fs::create_dir_all(&dir)?;
        eprintln!("eval: {}", load.name);
        let pin = if cpu == EVERY { String::new() } else { format!("taskset -pc {cpu} $$ > /dev/null; ") };
        let mut command = Command::new("sh");
        // In its cgroup before its first instruction.
        command.arg("-c").arg(format!("echo $$ > \"$CGROUP/cgroup.procs\"; {pin}{}", load.command));
        command
            .env("CGROUP", &sub.0)
            .env("LOADS", &self.program)
            .env("PROGRAMS", shell::root().join("eval/programs"))
            .env("SECONDS_", (self.seconds + 5).to_string())
            .env("TMPDIR", &dir);
        command.current_dir(&dir).stdin(Stdio::null()).stdout(Stdio::piped());
        command.stderr(fs::File::create(dir.join("stderr"))?);
        let mut child = command.spawn().with_context(|| format!("cannot start {}", load.name))?;
        let since = Instant::now();
        let begun = Arc::new(OnceLock::new());
        if let Some(stdout) = child.stdout.take() {
            let begun = Arc::clone(&begun);
            // Ends with the load. What an ordinary program prints is read and thrown away.
            std::thread::spawn(move || {
                for line in BufReader::new(stdout).split(b'\n').map_while(Result::ok) {
                    if line == b"begins" {
                        let _ = begun.set(Instant::now());
                    }
                }
            });
        }
        Ok(Running { load, cpu, cgroup: sub, dir, child, since, begun, told: BTreeMap::new() })
    }
}

/// A load that runs.
pub struct Running {
    pub load: Load,
    /// On which CPU, or [`EVERY`].
    pub cpu: usize,
    cgroup: Sub,
    dir: PathBuf,
    child: Child,
    since: Instant,
    begun: Arc<OnceLock<Instant>>,
    told: BTreeMap<String, Told>,
}

impl Running {
    /// Notes what an event tells of it.
    pub fn hear(&mut self, event: &Value) {
        let action = event["event"]["action"].as_str().unwrap_or_default();
        let place = event["miner_guard"]["cgroup"].as_str().unwrap_or_default();
        if !matches!(action, "mining" | "hashing-heavy" | "miner-binary")
            || !place.ends_with(&format!("/{}", self.load.name))
        {
            return;
        }
        let reasons = event["miner_guard"]["evidence"].as_array().into_iter().flatten();
        let reasons: Vec<_> = reasons.filter_map(Value::as_str).collect();
        let after_start = self.since.elapsed().as_secs_f64();
        let after_begin = self.begun.get().map(|at| at.elapsed().as_secs_f64());
        eprintln!("eval: {}: {action} after {after_start:.1} s ({after_begin:.2?})", self.load.name);
        let told = Told { after_start, after_begin, why: reasons.join("; ") };
        self.told.entry(action.to_owned()).or_insert(told);
    }

    /// Whether there is nothing more to learn of it. Time counts from the first moment of the work itself.
    pub fn over(&mut self, seconds: u64) -> Result<bool> {
        let found = match self.load.kind {
            Kind::RandomX => self.told.contains_key("mining"),
            Kind::Pow => !self.told.is_empty(),
            Kind::Hashes | Kind::Honest => false,
        };
        let since = self.begun.get().unwrap_or(&self.since);
        let limit = Duration::from_secs(seconds);
        let prepared = self.begun.get().is_some() || self.load.kind >= Kind::Hashes;
        let late = since.elapsed() > limit && (prepared || self.since.elapsed() > 3 * limit);
        Ok(found || late || self.child.try_wait()?.is_some())
    }

    /// Ends it: its name, and what came of it or why it did not run.
    pub fn end(mut self) -> Result<(String, Result<Came, String>)> {
        let ran = self.since.elapsed().as_secs_f64();
        let failed = self.child.try_wait()?;
        self.cgroup.kill()?;
        self.child.wait()?;
        let said = fs::read_to_string(self.dir.join("stderr")).unwrap_or_default();
        // What it made; the last of it may still be written.
        let _ = fs::remove_dir_all(&self.dir);
        let came = match failed {
            Some(status) if self.told.is_empty() && (!status.success() || ran < 5.0) => {
                let last = said.lines().last().unwrap_or_default();
                Err(format!("it ended by itself after {ran:.0} s: {status} {last}"))
            }
            _ => Ok(Came { told: self.told, ran }),
        };
        Ok((self.load.name, came))
    }
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
