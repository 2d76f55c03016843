//! The daemon's end is not the end of enforcement, unless it is asked for.

use std::{fs, net::SocketAddr, path::PathBuf};

use anyhow::{Context as _, Result, ensure};
use libtest_mimic::Trial;
use miner_guard_tests::{
    case::{Done, sharing},
    cgroup::Cgroup,
    guard::{Guard, Post},
    route::{Attempt, Route},
    work::Loop,
};

/// The mode is the policy's: no guard here is told one.
const POLICY: &str = "builtin = false\nmode = \"enforce\"\non_stop = \"keep\"\n\
    [[rule]]\nid = \"denied\"\nip = [\"127.66.66.66\"]\naction = \"deny\"\n";

pub fn cases() -> Vec<Trial> {
    // Each goes on with what the one before it left: two guards are enough for all.
    sharing(
        Site::new,
        |_| Ok(()),
        &[
            ("a_killed_daemon_leaves_enforcement_on_and_the_next_takes_over_without_a_gap", killed),
            ("a_guard_told_to_keep_leaves_enforcement_on_when_it_stops", kept),
            ("unload_ends_at_once_what_a_daemon_left", unloaded),
        ],
    )
}

struct Site {
    post: Post,
    cgroup: Cgroup,
    guard: Option<Guard>,
}

impl Site {
    fn new() -> Result<Self> {
        let cgroup = Cgroup::new()?;
        Ok(Self { post: Post::at(&cgroup, POLICY)?, cgroup, guard: None })
    }

    fn start(&self) -> Result<Guard> {
        let mut command = self.post.command(&["run", "-o", "json"]);
        command.arg("--cgroup").arg(self.cgroup.path()).arg("--config").arg(self.post.path("config.toml"));
        Guard::start(command)
    }

    /// The guard that runs, or a new one.
    fn running(&mut self) -> Result<Guard> {
        self.guard.take().map_or_else(|| self.start(), Ok)
    }
}

fn denied() -> Result<SocketAddr> {
    Ok("127.66.66.66:3333".parse()?)
}

fn attempt(cgroup: &Cgroup) -> Result<Attempt> {
    Route::UdpConnect.from_cgroup(cgroup, denied()?)
}

/// The instances that are pinned.
fn instances(post: &Post) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let Ok(versions) = fs::read_dir(post.path("bpf/miner-guard")) else { return Ok(found) };
    for version in versions {
        for instance in fs::read_dir(version?.path())? {
            found.push(instance?.path());
        }
    }
    Ok(found)
}

fn killed(site: &mut Site) -> Result<Done> {
    let first = site.running()?;
    let Site { post, cgroup, .. } = site;
    let work = Loop::start(cgroup, &[denied()?])?;
    let before = instances(post)?;
    ensure!(before.len() == 1, "pinned: {before:?}");
    first.kill()?;
    ensure!(attempt(cgroup)?.is_denied(), "after the kill: {}", attempt(cgroup)?);
    let mut second = site.start()?;
    let Site { post, cgroup, .. } = site;
    let after = instances(post)?;
    ensure!(after.len() == 1 && after != before, "pinned before {before:?}, after {after:?}");
    ensure!(attempt(cgroup)?.is_denied(), "under the second: {}", attempt(cgroup)?);
    second.wait_event(|event| event["event"]["action"] == "connection-denied")?;
    let seen = work.stop()?;
    let seen = seen.first().context("no counts")?;
    ensure!(seen.denied > 0 && seen.denied == seen.all(), "somebody got through: {seen:?}");
    site.guard = Some(second);
    Ok(Done::Passed)
}

fn kept(site: &mut Site) -> Result<Done> {
    let status = site.running()?.stop()?;
    ensure!(status.success(), "the guard ended with {status}");
    ensure!(attempt(&site.cgroup)?.is_denied(), "after the stop: {}", attempt(&site.cgroup)?);
    Ok(Done::Passed)
}

fn unloaded(site: &mut Site) -> Result<Done> {
    if instances(&site.post)?.is_empty() || site.guard.is_some() {
        site.running()?.kill()?;
    }
    let Site { post, cgroup, .. } = site;
    ensure!(attempt(cgroup)?.is_denied(), "before: {}", attempt(cgroup)?);
    post.unload()?;
    let after = attempt(cgroup)?;
    ensure!(after == Attempt::Through, "after unload: {after}");
    ensure!(instances(post)?.is_empty(), "still pinned: {:?}", instances(post)?);
    // Nothing is left to unload, which is no error.
    post.unload()?;
    Ok(Done::Passed)
}
