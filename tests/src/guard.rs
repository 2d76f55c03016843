//! The guard, as an operator starts it: a post (directories, cgroup, policy) and the daemon that stands there.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    time::Instant,
};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use crate::{PATIENCE, cgroup::Cgroup, scratch::Scratch};

/// The line on stderr with which the guard says that enforcement is proven.
const READY: &str = "ready";

/// Where a guard works: pin, state and socket paths of its own, and a policy. Outlives the daemon, so that a test can
/// start a second one there. When it goes, what is pinned goes too.
pub struct Post {
    scratch: Scratch,
    cgroup: PathBuf,
}

impl Post {
    /// A post that guards this cgroup and no other.
    pub fn at(cgroup: &Cgroup, policy: &str) -> Result<Self> {
        let post = Self { scratch: Scratch::new()?, cgroup: cgroup.path().to_owned() };
        post.write_policy(policy)?;
        Ok(post)
    }

    /// Replaces the policy file; the running guard reads it when it is told to.
    pub fn write_policy(&self, policy: &str) -> Result<()> {
        let path = self.path("config.toml");
        fs::write(&path, policy).with_context(|| format!("cannot write {}", path.display()))
    }

    /// A path in the post's directory: `config.toml`, `bpf`, `state`, `api.sock`, or a test's own.
    pub fn path(&self, name: &str) -> PathBuf {
        self.scratch.path(name)
    }

    /// `miner-guard SUBCOMMAND` with this post's directories.
    pub fn command(&self, subcommand: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command.args(subcommand);
        command.arg("--pin-dir").arg(self.path("bpf/miner-guard"));
        command.arg("--state-dir").arg(self.path("state"));
        command.arg("--socket").arg(self.path("api.sock"));
        command.env_remove("RUST_BACKTRACE").env("NO_COLOR", "1");
        command
    }

    /// Runs `miner-guard SUBCOMMAND` to its end.
    pub fn run(&self, subcommand: &[&str]) -> Result<Output> {
        let mut command = self.command(subcommand);
        command.stdin(Stdio::null()).output().with_context(|| format!("cannot start {command:?}"))
    }

    /// Starts the daemon and waits until it is ready.
    pub fn start(&self, mode: &str) -> Result<Guard> {
        Guard::start(self.daemon(mode))
    }

    /// The daemon's command line, for a test that wants to change it.
    pub fn daemon(&self, mode: &str) -> Command {
        let mut command = self.command(&["run", "-o", "json", "--mode", mode]);
        command.arg("--cgroup").arg(&self.cgroup);
        command.arg("--config").arg(self.path("config.toml"));
        command
    }

    /// Takes out of the kernel what a stopped or killed daemon left there.
    pub fn unload(&self) -> Result<()> {
        let output = self.run(&["unload"])?;
        ensure!(
            output.status.success(),
            "unload: {}: {}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(())
    }
}

/// A running daemon. It is killed with this value; what it pinned stays until the post goes.
pub struct Guard {
    child: Child,
    stdout: Receiver<String>,
    stderr: Receiver<String>,
    said: String,
}

impl Guard {
    /// Starts it and waits until it is ready.
    ///
    /// # Errors
    /// With everything that it wrote to stderr, when it ends or stays silent instead.
    pub fn start(mut command: Command) -> Result<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("cannot start {command:?}"))?;
        let stdout = lines(child.stdout.take().context("no stdout")?);
        let stderr = lines(child.stderr.take().context("no stderr")?);
        let mut guard = Self { child, stdout, stderr, said: String::new() };
        let end = Instant::now() + PATIENCE;
        loop {
            match guard.stderr.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    guard.said.push_str(&line);
                    guard.said.push('\n');
                    if line.trim() == READY {
                        return Ok(guard);
                    }
                }
                Err(RecvTimeoutError::Disconnected) => {
                    let status = guard.child.wait()?;
                    bail!("the guard ended before it was ready: {status}. It said:\n{}", guard.said);
                }
                Err(RecvTimeoutError::Timeout) => {
                    bail!("the guard was not ready within {PATIENCE:?}. It said:\n{}", guard.said);
                }
            }
        }
    }

    /// The process id of the daemon.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The ids of the programs that it hangs on interfaces.
    pub fn programs_of_interfaces(&self) -> Result<Vec<u32>> {
        /// `BPF_PROG_TYPE_SCHED_CLS`
        const CLASSIFIER: &str = "3";
        let mut ids = Vec::new();
        for about in fs::read_dir(format!("/proc/{}/fdinfo", self.pid()))? {
            // It may be closed again.
            let text = fs::read_to_string(about?.path()).unwrap_or_default();
            let field = |name: &str| text.lines().find_map(|line| Some(line.strip_prefix(name)?.trim()));
            if field("prog_type:") == Some(CLASSIFIER) {
                ids.extend(field("prog_id:").and_then(|id| id.parse::<u32>().ok()));
            }
        }
        ensure!(!ids.is_empty(), "it has no programs for interfaces");
        Ok(ids)
    }

    /// What it wrote to stderr so far.
    pub fn said(&mut self) -> &str {
        for line in self.stderr.try_iter() {
            self.said.push_str(&line);
            self.said.push('\n');
        }
        &self.said
    }

    /// Waits until it has written a line with these words to stderr.
    ///
    /// # Errors
    /// With everything that it did write, when there is none within [`PATIENCE`].
    pub fn wait_said(&mut self, words: &str) -> Result<()> {
        let end = Instant::now() + PATIENCE;
        while !self.said.contains(words) {
            match self.stderr.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    self.said.push_str(&line);
                    self.said.push('\n');
                }
                Err(error) => bail!("it did not say {words:?} ({error}). It said:\n{}", self.said),
            }
        }
        Ok(())
    }

    /// Waits for an event that `wanted` accepts. Others before it are passed over.
    ///
    /// # Errors
    /// With the events that did come, when there is none within [`PATIENCE`], or when a line is not JSON.
    pub fn wait_event(&mut self, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
        let mut others = String::new();
        let end = Instant::now() + PATIENCE;
        loop {
            match self.stdout.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    let event = parse(&line)?;
                    if wanted(&event) {
                        return Ok(event);
                    }
                    others.push_str(&line);
                    others.push('\n');
                }
                Err(error) => {
                    let said = self.said();
                    bail!("no such event ({error}). Events:\n{others}stderr:\n{said}");
                }
            }
        }
    }

    /// The events that came since the last question.
    pub fn events(&mut self) -> Result<Vec<Value>> {
        self.stdout.try_iter().map(|line| parse(&line)).collect()
    }

    /// Takes events until `last` says that one is the last.
    ///
    /// # Errors
    /// When that one does not come within [`PATIENCE`], or when a line is not JSON.
    pub fn each_event(&mut self, mut last: impl FnMut(Value) -> bool) -> Result<()> {
        let mut wrong = Ok(());
        self.each_line(|line| match parse(&line) {
            Ok(event) => last(event),
            Err(error) => {
                wrong = Err(error);
                true
            }
        })?;
        wrong
    }

    /// [`Self::each_event`] of a guard that writes text.
    pub fn each_line(&mut self, mut last: impl FnMut(String) -> bool) -> Result<()> {
        let end = Instant::now() + PATIENCE;
        loop {
            let line = self
                .stdout
                .recv_timeout(end.saturating_duration_since(Instant::now()))
                .context("the last event did not come")?;
            if last(line) {
                return Ok(());
            }
        }
    }

    /// [`Self::stop`], and the events that nobody asked for until then.
    pub fn stop_with_events(mut self) -> Result<(ExitStatus, Vec<Value>)> {
        let (_, nothing) = mpsc::channel();
        let stdout = std::mem::replace(&mut self.stdout, nothing);
        let status = self.stop()?;
        // The reading thread ends with the output, which has ended with the daemon.
        let events = stdout.iter().map(|line| parse(&line)).collect::<Result<_>>()?;
        Ok((status, events))
    }

    /// Sends a signal to the daemon.
    pub fn signal(&self, signal: libc::c_int) -> Result<()> {
        let pid = libc::pid_t::try_from(self.child.id())?;
        // SAFETY: kill takes numbers; the process is our child and not yet waited for, so the id is its own.
        crate::sys::check(unsafe { libc::kill(pid, signal) })?;
        Ok(())
    }

    /// Asks it to stop, as a service manager does, and waits for its end.
    pub fn stop(mut self) -> Result<ExitStatus> {
        self.signal(libc::SIGTERM)?;
        // Its output ends with it. A daemon that hangs is told by the timeout.
        let end = Instant::now() + PATIENCE;
        loop {
            match self.stderr.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    self.said.push_str(&line);
                    self.said.push('\n');
                }
                Err(RecvTimeoutError::Disconnected) => return Ok(self.child.wait()?),
                Err(RecvTimeoutError::Timeout) => bail!("the guard did not stop. It said:\n{}", self.said),
            }
        }
    }

    /// Ends it without a chance to clean up.
    pub fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn parse(line: &str) -> Result<Value> {
    serde_json::from_str(line).with_context(|| format!("the guard wrote a line that is not JSON: {line}"))
}

/// The guard's program: `MINER_GUARD_BIN`, or beside this test program where cargo puts both.
pub fn binary() -> PathBuf {
    if let Some(named) = std::env::var_os("MINER_GUARD_BIN") {
        return named.into();
    }
    let own = std::env::current_exe().unwrap_or_default();
    own.parent().and_then(Path::parent).unwrap_or(Path::new(".")).join("miner-guard")
}

/// Reads lines in a thread of its own, so that the writer never waits for the test.
fn lines(from: impl Read + Send + 'static) -> Receiver<String> {
    let (send, receive) = mpsc::channel();
    std::thread::spawn(move || {
        let mut reader = BufReader::new(from);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
            let text = String::from_utf8_lossy(&line).trim_end_matches('\n').to_owned();
            line.clear();
            if send.send(text).is_err() {
                break;
            }
        }
    });
    receive
}
