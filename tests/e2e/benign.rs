//! Ordinary traffic goes unharmed under enforce with the embedded feed, and nothing is told of it.
//!
//! Real servers and clients: `cargo xtask traffic`. Each test ends with something that must be told: what came before it
//! would have been told before it.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    time::Instant,
};

use anyhow::{Context as _, Result, ensure};
use libtest_mimic::Trial;
use miner_guard_tests::{
    PATIENCE,
    case::{self, Done},
    cgroup::Cgroup,
    dialogue,
    guard::{Guard, Post},
    listener::Listener,
    work::Waiting,
};

pub fn cases() -> Vec<Trial> {
    case::sharing(
        Site::new,
        Site::end,
        &[
            ("ordinary_protocols_are_spoken_and_nothing_is_told", |site| {
                let count = dialogue::hold_all(&site.cgroup)?;
                ensure!(count > 15, "only {count} dialogues");
                site.silent()
            }),
            ("ten_thousand_connections_are_open_at_once_and_nothing_is_told", |site| {
                dialogue::crowd(&site.cgroup, if case::in_vm() { 500 } else { 10_000 })?;
                site.silent()
            }),
            ("git_clones_from_a_local_server_and_nothing_is_told", |site| {
                if Command::new("git").arg("--version").output().is_err() {
                    return Ok(Done::Skipped("no git here".into()));
                }
                clone(site)?;
                site.silent()
            }),
        ],
    )
}

/// A guard in enforce mode with the embedded feed.
struct Site {
    cgroup: Cgroup,
    post: Post,
    guard: Guard,
    listener: Listener,
}

impl Site {
    fn new() -> Result<Self> {
        let cgroup = Cgroup::new()?;
        let post = Post::at(&cgroup, "builtin = true\n[respond]\nmining = \"alert\"\n")?;
        let guard = post.start("enforce")?;
        let listener = Listener::that_keeps(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        Ok(Self { cgroup, post, guard, listener })
    }

    /// Nothing was told until now: a mining session is opened, and its event is the first that is no mere information.
    fn silent(&mut self) -> Result<Done> {
        let opening = b"{\"id\":1,\"method\":\"mining.subscribe\",\"params\":[\"x/1\"]}\n";
        let session = Waiting::on(&self.cgroup, self.listener.address(), opening)?;
        let pid = session.pid();
        session.end()?;
        let mut alarms = Vec::new();
        self.guard.each_event(|event| {
            let its = event["process"]["pid"] == pid && event["event"]["action"] == "connection-denied";
            if event["event"]["kind"] != "event" && !its {
                alarms.push(event["message"].to_string());
            }
            its
        })?;
        // Of the sessions that earlier tests opened, cases may speak.
        alarms.retain(|alarm| !alarm.contains("case "));
        ensure!(alarms.is_empty(), "told of ordinary traffic: {alarms:?}");
        Ok(Done::Passed)
    }

    fn end(self) -> Result<()> {
        let (status, _) = self.guard.stop_with_events()?;
        ensure!(status.success(), "the guard ended with {status}");
        Ok(())
    }
}

/// A server of git's own protocol, ended with this value.
struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn clone(site: &Site) -> Result<()> {
    let dir = site.post.path("git");
    fs::create_dir_all(dir.join("seed"))?;
    let git = |arguments: &[&str]| -> Result<()> {
        let mut command = site.cgroup.command("git")?;
        command.args(["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "safe.directory=*"]);
        command.args(arguments).current_dir(&dir).env("HOME", &dir).env("GIT_CONFIG_NOSYSTEM", "1");
        let output = command.stdin(Stdio::null()).output()?;
        ensure!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    };
    git(&["init", "--quiet", "seed"])?;
    for i in 0..100 {
        fs::write(dir.join("seed").join(format!("file-{i}")), format!("{i}\n").repeat(2000))?;
    }
    git(&["-C", "seed", "add", "--all"])?;
    git(&["-C", "seed", "commit", "--quiet", "--message", "one"])?;
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
    let mut command = site.cgroup.command("git")?;
    command.args(["-c", "safe.directory=*", "daemon", "--listen=127.0.0.1", "--reuseaddr", "--export-all"]);
    command.arg(format!("--port={port}")).arg(format!("--base-path={}", dir.display())).arg(&dir);
    command.env("HOME", &dir).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let daemon = Daemon(command.spawn()?);
    let end = Instant::now() + PATIENCE;
    while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
        ensure!(Instant::now() < end, "git's server does not listen");
        std::thread::yield_now();
    }
    git(&["clone", "--quiet", &format!("git://127.0.0.1:{port}/seed"), "copy"])?;
    drop(daemon);
    let copied = fs::read(dir.join("copy/file-99")).context("the clone has no such file")?;
    ensure!(copied == fs::read(dir.join("seed/file-99"))?, "the clone differs");
    Ok(())
}
