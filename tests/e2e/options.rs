//! Every option of a socket is set as without the guard, but the one that would lead frames around it.

use anyhow::{Context as _, Result, ensure};
use libtest_mimic::Trial;
use miner_guard_tests::{
    case::{Done, case},
    cgroup::Cgroup,
    guard::Post,
    options::{self, PAST_THE_QUEUE},
    sys,
};
use serde_json::Value;

pub fn cases() -> Vec<Trial> {
    vec![case(
        "in_audit_too_options_are_set_as_without_the_guard_and_frames_do_not_leave_the_queue_out",
        in_audit,
    )]
}

fn in_audit() -> Result<Done> {
    let cgroup = Cgroup::new()?;
    let before = options::set(&cgroup)?;
    // The hook comes with the first packet socket.
    let first = sys::socket(libc::AF_PACKET, libc::SOCK_DGRAM, 0);
    let post = Post::at(&cgroup, "builtin = false\n")?;
    let guard = post.start("audit")?;
    let under = options::set(&cgroup)?;
    let status = post.run(&["status", "-o", "json"])?;
    guard.stop()?;
    drop(first);
    judge(&before, &under, &serde_json::from_slice(&status.stdout).context("status is not JSON")?)
}

/// What became of the options, and what `status` says, once there was a packet socket.
pub fn judge(before: &[String], under: &[String], status: &Value) -> Result<Done> {
    let (past, other): (Vec<&String>, Vec<&String>) = before
        .iter()
        .zip(under)
        .filter(|(before, under)| before != under)
        .map(|(_, under)| under)
        .partition(|line| line.starts_with(PAST_THE_QUEUE));
    ensure!(before.len() == 9 && under.len() == 9, "{before:#?} {under:#?}");
    ensure!(other.is_empty(), "under the guard: {other:#?}, without: {before:#?}");
    let without = before.last().context("nothing was set")?;
    if without.contains("none here") {
        return Ok(Done::Skipped(without.clone()));
    }
    ensure!(without.ends_with("Ok(()), Ok(1)"), "without the guard: {without}");
    ensure!(past.iter().all(|line| line.ends_with("Ok(()), Ok(0)")) && past.len() == 1, "{past:?}");
    let hooks = status["hooks"].as_array().context("status names no hooks")?;
    let frame = hooks.iter().find(|hook| hook["name"] == "frame").context("status names no frames")?;
    ensure!(frame.to_string().contains("a packet socket, and none may pass it by"), "{frame}");
    Ok(Done::Passed)
}
