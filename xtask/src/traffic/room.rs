//! A room of its own for servers and their clients: Debian's programs unpacked below a root directory (nothing is
//! installed), with a process, mount and network namespace whose only interface is loopback, and a cgroup.
//!
//! All that runs in it ends with it: its first process reads from this program, and the kernel ends the others once that
//! one has gone.

use std::{
    cell::RefCell,
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};

use super::root::Root;
use crate::{
    bench::place::{self, Cgroup},
    shell,
};

const PATIENCE: Duration = Duration::from_secs(30);
/// Seconds after which a client is ended.
const CLIENT_SECONDS: &str = "180";
/// Where programs find their files; on the outside it is [`Room::work`].
const WORK: &str = "/work";

/// The room.
pub struct Room {
    keeper: Child,
    /// The first process in it, as the outside sees it.
    pid: u32,
    root: PathBuf,
    work: PathBuf,
    servers: RefCell<Vec<Child>>,
    // These go once all processes have, and before the cgroup above them.
    parts: RefCell<Vec<Cgroup>>,
    cgroup: Cgroup,
}

impl Room {
    /// Opens it over the unpacked programs. `scratch` is a directory for its files.
    pub fn open(root: &Root, scratch: &Path, name: &str) -> Result<Self> {
        let work = scratch.join(name);
        fs::create_dir_all(&work)?;
        let cgroup = Cgroup::new(name)?;
        let mut command = Command::new("unshare");
        command.args(["--net", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child"]);
        // Read before /proc is this room's own, the number of the process is the outside's.
        command.args(["sh", "-ec"]).arg(
            "read -r pid rest < /proc/self/stat; R=$1
             ip link set lo up
             # No client may get the port of a server that starts later.
             echo 50000-50100 > /proc/sys/net/ipv4/ip_local_reserved_ports
             mount -t proc proc \"$R/proc\"; mount --rbind /dev \"$R/dev\"
             for d in tmp run mnt; do mount -t tmpfs tmpfs \"$R/$d\"; done
             mount --bind \"$2\" \"$R/work\"
             echo \"$pid\"; exec cat",
        );
        command.arg("sh").arg(root.path()).arg(&work);
        let mut keeper = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start `unshare` (util-linux)")?;
        let mut line = String::new();
        BufReader::new(keeper.stdout.take().context("no stdout")?).read_line(&mut line)?;
        let pid = line.trim().parse().with_context(|| format!("the room did not open, but said `{line}`"))?;
        let room = Self {
            keeper,
            pid,
            root: root.path().to_owned(),
            work,
            servers: RefCell::default(),
            parts: RefCell::default(),
            cgroup,
        };
        Ok(room)
    }

    /// Its cgroup; each part of it is a cgroup below.
    pub fn cgroup(&self) -> &Cgroup {
        &self.cgroup
    }

    /// The directory that programs in the room know as `/work`.
    pub fn work(&self) -> &Path {
        &self.work
    }

    /// The cgroup of a part, made when it is first asked for.
    pub fn part(&self, name: &str) -> Result<PathBuf> {
        let path = self.cgroup.path().join(name);
        if !path.is_dir() {
            self.parts.borrow_mut().push(self.cgroup.below(name)?);
        }
        Ok(path)
    }

    /// A program in the room and in a part's cgroup, from its first instruction on. `user` as chroot's `--userspec`.
    fn command(&self, part: &str, user: &str) -> Result<Command> {
        let mut command = place::inside(&self.part(part)?);
        command.args(["nsenter", "--mount", "--net", "--pid", "--target"]).arg(self.pid.to_string());
        command.arg("chroot").arg(format!("--userspec={user}")).arg(&self.root);
        command.args(["/usr/bin/env", "-i", "LANG=C.UTF-8"]);
        command.arg("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        command.arg(format!("HOME={WORK}"));
        Ok(command)
    }

    /// Runs a script of bash to its end, each command of which must succeed, with what it wrote. It fails as the script does, and when it takes too long.
    pub fn run(&self, part: &str, script: &str) -> Result<String> {
        self.run_as("root", part, script)
    }

    /// [`Self::run`] as another user.
    pub fn run_as(&self, user: &str, part: &str, script: &str) -> Result<String> {
        let mut command = self.command(part, user)?;
        command.args(["timeout", "--kill-after=5", CLIENT_SECONDS, "bash", "-eo", "pipefail", "-c"]);
        command.arg(format!("cd {WORK}\n{script}"));
        let output = command.stdin(Stdio::null()).output().context("cannot start `sh`")?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        if !output.status.success() {
            let why = String::from_utf8_lossy(&output.stderr);
            bail!("{}\n{}{}", output.status, tail(&said), tail(&why));
        }
        Ok(said)
    }

    /// Starts a server (a script that ends in `exec`) and waits until it listens on a TCP port. It runs until the room goes.
    pub fn serve(&self, part: &str, port: u16, script: &str) -> Result<()> {
        self.serve_as("root", part, port, script)
    }

    /// [`Self::serve`] as another user.
    pub fn serve_as(&self, user: &str, part: &str, port: u16, script: &str) -> Result<()> {
        let path = self.work.join(format!("{part}-{port}.log"));
        let log = fs::File::create(&path)?;
        let mut command = self.command(part, user)?;
        command.args(["sh", "-ec"]).arg(format!("cd {WORK}\n{script}"));
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let mut server = command.spawn().context("cannot start `sh`")?;
        let end = Instant::now() + PATIENCE;
        let outcome = loop {
            if self.listens(port)? {
                break Ok(());
            }
            if let Some(status) = server.try_wait()? {
                break Err(format!("ended: {status}"));
            }
            if Instant::now() > end {
                break Err(format!("does not listen on port {port} after {PATIENCE:?}"));
            }
            std::thread::sleep(Duration::from_millis(20));
        };
        self.servers.borrow_mut().push(server);
        if let Err(why) = outcome {
            let said = fs::read_to_string(&path).unwrap_or_default();
            bail!("the server of {part} {why}\n{}", tail(&said));
        }
        Ok(())
    }

    /// Whether anybody in the room listens on a TCP port. Looked up, not tried: a connection would be traffic.
    fn listens(&self, port: u16) -> Result<bool> {
        for table in ["tcp", "tcp6"] {
            let text =
                fs::read_to_string(format!("/proc/{}/net/{table}", self.pid)).context("the room is gone")?;
            let wanted = format!(":{port:04X}");
            let mut rows = text.lines().map(|line| line.split_whitespace().skip(1));
            if rows
                .any(|mut row| row.next().is_some_and(|a| a.ends_with(&wanted)) && row.nth(1) == Some("0A"))
            {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// The last lines of what a program said.
fn tail(text: &str) -> String {
    let lines: Vec<_> = text.lines().collect();
    let from = lines.len().saturating_sub(15);
    lines[from..].iter().flat_map(|line| [line, "\n"]).collect()
}

impl Drop for Room {
    fn drop(&mut self) {
        // Its first process ends at the end of its input, and all others with it.
        self.keeper.stdin = None;
        if let Err(error) = self.keeper.wait() {
            eprintln!("waiting for the room: {error}");
        }
        for server in self.servers.get_mut() {
            if let Err(error) = server.wait() {
                eprintln!("waiting for a server: {error}");
            }
        }
    }
}

/// What opening a room takes.
///
/// # Errors
/// Names what is missing.
pub fn possible() -> Result<()> {
    ensure!(shell::is_root(), "a room needs namespaces and a cgroup: run it as root");
    for (program, package) in
        [("unshare", "util-linux"), ("nsenter", "util-linux"), ("chroot", "coreutils"), ("ip", "iproute2")]
    {
        ensure!(shell::find(program).is_some(), "no `{program}` on PATH: apt-get install {package}");
    }
    Ok(())
}
