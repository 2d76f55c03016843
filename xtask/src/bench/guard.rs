//! The guard, as an operator starts it, with directories of its own.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc::{self, Receiver},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::place::{self, Cgroup};
use crate::shell;

const PATIENCE: Duration = Duration::from_secs(60);

/// A running guard; it is stopped, and takes its programs out of the kernel, with this value.
pub struct Guard {
    child: Child,
    binary: PathBuf,
    dir: PathBuf,
    pins: PathBuf,
    log: Receiver<String>,
    /// From the start of the process to `ready`.
    pub start: Duration,
}

impl Guard {
    /// Starts it for `cgroup` and waits until enforcement is proven. `name` keeps several apart. Events go to the
    /// file `events` in [`Self::dir`].
    pub fn start(binary: &Path, scratch: &Path, name: &str, cgroup: &Cgroup, policy: &str) -> Result<Self> {
        Self::start_in("enforce", binary, scratch, name, cgroup, policy)
    }

    /// [`Self::start`] in the mode of one's choice.
    pub fn start_in(
        mode: &str,
        binary: &Path,
        scratch: &Path,
        name: &str,
        cgroup: &Cgroup,
        policy: &str,
    ) -> Result<Self> {
        Self::start_at(mode, binary, scratch, name, cgroup.path(), policy)
    }

    /// [`Self::start_in`] for a cgroup by its directory.
    pub fn start_at(
        mode: &str,
        binary: &Path,
        scratch: &Path,
        name: &str,
        cgroup: &Path,
        policy: &str,
    ) -> Result<Self> {
        let dir = scratch.join(name);
        fs::create_dir_all(&dir)?;
        // The worker is a program that knows hash functions and reaches for what is denied: to the guard, a miner.
        fs::write(dir.join("config.toml"), format!("{policy}\n[respond]\nmining = \"alert\"\n"))?;
        let pins = place::pin_dir(name);
        let mut command = Command::new(binary);
        command.args(["run", "--output", "json", "--mode", mode, "--config"]).arg(dir.join("config.toml"));
        command.arg("--cgroup").arg(cgroup);
        places(&mut command, &dir, &pins);
        command.env("MINER_GUARD_LOG", "warn,miner_guard::kernel::tables=debug").env("NO_COLOR", "1");
        command.env_remove("INVOCATION_ID");
        command.stdin(Stdio::null()).stdout(fs::File::create(dir.join("events"))?).stderr(Stdio::piped());
        let start = Instant::now();
        let mut child = command.spawn().with_context(|| format!("cannot start {}", binary.display()))?;
        let stderr = child.stderr.take().context("no stderr")?;
        let (send, log) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                if send.send(line).is_err() {
                    break;
                }
            }
        });
        let mut guard = Self { child, binary: binary.to_owned(), dir, pins, log, start: Duration::ZERO };
        guard.wait_for("ready")?;
        guard.start = start.elapsed();
        Ok(guard)
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Where its policy, socket and events are.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Replaces the policy and reloads: from the command to its answer; blocks of the table, and its swap.
    pub fn reload(&mut self, policy: &str) -> Result<Reload> {
        fs::write(self.dir.join("config.toml"), policy)?;
        while self.log.try_recv().is_ok() {}
        let start = Instant::now();
        self.ask(&["policy", "reload"])?;
        let whole = start.elapsed();
        let line = self.wait_for("policy table in force")?;
        Ok(Reload {
            whole,
            table_bytes: field(&line, "blocks=")? * 64,
            fill: Duration::from_micros(field(&line, "fill_us=")?),
            swap: Duration::from_micros(field(&line, "swap_us=")?),
        })
    }

    /// Runs a command of the guard's and gives its JSON.
    pub fn ask(&self, what: &[&str]) -> Result<Value> {
        let mut command = Command::new(&self.binary);
        places(command.args(what).args(["--output", "json"]), &self.dir, &self.pins);
        Ok(serde_json::from_str(&shell::capture(&mut command)?)?)
    }

    /// Stops it in order, so that all that it counted is told.
    pub fn stop(mut self) -> Result<()> {
        self.terminate()
    }

    fn terminate(&mut self) -> Result<()> {
        if self.child.try_wait()?.is_none() {
            let pid = rustix::process::Pid::from_child(&self.child);
            rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
        }
        let status = self.child.wait()?;
        ensure!(status.success(), "the guard ended with {status}");
        Ok(())
    }

    fn wait_for(&mut self, words: &str) -> Result<String> {
        let end = Instant::now() + PATIENCE;
        let mut said = String::new();
        loop {
            match self.log.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(line) if line.contains(words) => return Ok(line),
                Ok(line) => said = format!("{said}{line}\n"),
                Err(error) => anyhow::bail!("the guard did not say `{words}` ({error}) but:\n{said}"),
            }
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Err(error) = self.terminate() {
            eprintln!("{error:#}");
        }
    }
}

/// What a reload took.
pub struct Reload {
    /// As the operator waits for it: reading, compiling, filling, swapping.
    pub whole: Duration,
    /// Size of the new table.
    pub table_bytes: u64,
    /// Making and filling the new table.
    pub fill: Duration,
    /// Putting it in the place of the old one.
    pub swap: Duration,
}

fn places(command: &mut Command, dir: &Path, pins: &Path) {
    command.arg("--pin-dir").arg(pins).arg("--state-dir").arg(dir.join("state"));
    command.arg("--socket").arg(dir.join("api.sock"));
}

fn field(line: &str, name: &str) -> Result<u64> {
    let value = line.split_once(name).and_then(|(_, rest)| rest.split(' ').next()?.parse().ok());
    value.with_context(|| format!("no {name} in the guard's log line: {line}"))
}

/// A policy that denies what a feed lists, and nothing else.
pub fn denies(feed: &Path) -> String {
    format!("builtin = false\n[[feed]]\nid = \"bench\"\npath = \"{}\"\naction = \"deny\"\n", feed.display())
}

/// The policy as it is without a file.
pub const BUILTIN: &str = "builtin = true\n";

/// A policy without rules.
pub const EMPTY: &str = "builtin = false\n";
