//! The daemon's end is not the end of enforcement, unless it is asked for.

use std::{fs, net::SocketAddr, path::PathBuf};

use anyhow::{Context as _, Result, ensure};
use libtest_mimic::Trial;
use miner_guard_tests::{
    case::{Done, case},
    cgroup::Cgroup,
    guard::Post,
    route::{Attempt, Route, once_gone},
    work::Loop,
};

const POLICY: &str = "[[rule]]\nid = \"denied\"\nip = [\"127.66.66.66\"]\naction = \"deny\"\n";

pub fn cases() -> Vec<Trial> {
    vec![
        case("a_killed_daemon_leaves_enforcement_on_and_the_next_takes_over_without_a_gap", killed),
        case("unload_ends_what_a_killed_daemon_left", unloaded),
        case("a_guard_told_to_keep_leaves_enforcement_on_when_it_stops", kept),
    ]
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

fn killed() -> Result<Done> {
    let cgroup = Cgroup::new()?;
    let post = Post::at(&cgroup, POLICY)?;
    let first = post.start("enforce")?;
    let work = Loop::start(&cgroup, &[denied()?])?;
    let before = instances(&post)?;
    ensure!(before.len() == 1, "pinned: {before:?}");
    first.kill()?;
    ensure!(attempt(&cgroup)?.is_denied(), "after the kill: {}", attempt(&cgroup)?);
    let mut second = post.start("enforce")?;
    let after = instances(&post)?;
    ensure!(after.len() == 1 && after != before, "pinned before {before:?}, after {after:?}");
    ensure!(attempt(&cgroup)?.is_denied(), "under the second: {}", attempt(&cgroup)?);
    second.wait_event(|event| event["event"]["action"] == "connection-denied")?;
    let seen = work.stop()?;
    let seen = seen.first().context("no counts")?;
    ensure!(seen.denied > 0 && seen.denied == seen.all(), "somebody got through: {seen:?}");
    second.stop()?;
    once_gone(|| attempt(&cgroup)).context("after an orderly stop")?;
    ensure!(instances(&post)?.is_empty(), "still pinned: {:?}", instances(&post)?);
    Ok(Done::Passed)
}

fn unloaded() -> Result<Done> {
    let cgroup = Cgroup::new()?;
    let post = Post::at(&cgroup, POLICY)?;
    post.start("enforce")?.kill()?;
    ensure!(attempt(&cgroup)?.is_denied(), "after the kill: {}", attempt(&cgroup)?);
    post.unload()?;
    once_gone(|| attempt(&cgroup)).context("after unload")?;
    ensure!(instances(&post)?.is_empty(), "still pinned: {:?}", instances(&post)?);
    // Nothing is left to unload, which is no error.
    post.unload()?;
    Ok(Done::Passed)
}

fn kept() -> Result<Done> {
    let cgroup = Cgroup::new()?;
    let post = Post::at(&cgroup, &format!("on_stop = \"keep\"\n{POLICY}"))?;
    let status = post.start("enforce")?.stop()?;
    ensure!(status.success(), "the guard ended with {status}");
    ensure!(attempt(&cgroup)?.is_denied(), "after the stop: {}", attempt(&cgroup)?);
    post.unload()?;
    once_gone(|| attempt(&cgroup)).context("after unload")?;
    Ok(Done::Passed)
}
