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

pub fn cases() -> Vec<Trial> {
    vec![case("options_are_set_as_without_the_guard_and_frames_do_not_leave_the_queue_out", set)]
}

fn set() -> Result<Done> {
    let cgroup = Cgroup::new()?;
    let before = options::set(&cgroup)?;
    // The hook comes with the first packet socket.
    let first = sys::socket(libc::AF_PACKET, libc::SOCK_DGRAM, 0);
    let post = Post::at(&cgroup, "builtin = false\n")?;
    let guard = post.start("audit")?;
    let under = options::set(&cgroup)?;
    guard.stop()?;
    drop(first);
    let (past, other): (Vec<&String>, Vec<&String>) = before
        .iter()
        .zip(&under)
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
    Ok(Done::Passed)
}
