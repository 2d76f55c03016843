//! A policy or a mode is swapped whole: under load no connect meets half of one.

use std::net::SocketAddr;

use anyhow::{Context as _, Result, ensure};
use libtest_mimic::Trial;
use miner_guard_tests::{
    case::{Done, in_vm, sharing},
    cgroup::Cgroup,
    guard::{Guard, Post},
    work::{Loop, Seen},
};
use serde_json::Value;

const DENIED: &str = "127.66.66.66:3333";
const ALLOWED: &str = "127.66.66.67:3333";

pub fn cases() -> Vec<Trial> {
    sharing(
        Site::new,
        |site| site.guard.stop().map(drop),
        &[
            ("no_verdict_is_wrong_while_policies_are_reloaded", reloads_by_command),
            ("no_verdict_is_wrong_while_policies_are_reloaded_by_sighup", reloads_by_signal),
            ("no_verdict_is_wrong_while_the_mode_is_switched", switches_of_mode),
        ],
    )
}

struct Site {
    guard: Guard,
    post: Post,
    cgroup: Cgroup,
}

impl Site {
    fn new() -> Result<Self> {
        let cgroup = Cgroup::new()?;
        let post = Post::at(&cgroup, &policy(0))?;
        Ok(Self { guard: post.start("enforce")?, post, cgroup })
    }
}

/// A virtual machine without KVM takes seconds for what takes a moment here.
fn rounds() -> u32 {
    if in_vm() { 10 } else { 50 }
}

/// What is denied and what is allowed stays so in each generation; the rest of the tables changes in size.
fn policy(n: u32) -> String {
    let filler: Vec<String> =
        (0..(n % 7) * 300).map(|i| format!("\"127.70.{}.{}\"", i / 250, i % 250)).collect();
    format!(
        "builtin = false\n[[rule]]\nid = \"always-{n}\"\nip = [\"127.66.66.66\"]\naction = \"deny\"\n\
         [[rule]]\nid = \"filler\"\nip = [\"127.71.0.1\", {}]\naction = \"deny\"\n",
        filler.join(", ")
    )
}

fn addresses() -> Result<[SocketAddr; 2]> {
    Ok([DENIED.parse()?, ALLOWED.parse()?])
}

fn reloads_by_command(site: &mut Site) -> Result<Done> {
    let Site { post, cgroup, .. } = site;
    let work = Loop::start(cgroup, &addresses()?)?;
    for n in 1..=rounds() {
        post.write_policy(&policy(n))?;
        let output = post.run(&["policy", "reload", "-o", "json"])?;
        ensure!(output.status.success(), "reload {n}: {}", String::from_utf8_lossy(&output.stderr));
    }
    judge(&work.stop()?, false)?;
    Ok(Done::Passed)
}

fn judge(seen: &[Seen], denied_may_pass: bool) -> Result<()> {
    let [denied, allowed] = seen else { anyhow::bail!("{seen:?}") };
    ensure!(denied.all() > 0 && allowed.all() > 0, "nothing was tried: {seen:?}");
    ensure!(denied.other == 0, "the denied address: {denied:?}");
    ensure!(denied_may_pass || denied.through == 0, "the denied address: {denied:?}");
    ensure!(allowed.denied == 0 && allowed.other == 0, "the allowed address: {allowed:?}");
    eprintln!("{} verdicts, none wrong", denied.all() + allowed.all());
    Ok(())
}

fn generation(post: &Post) -> Result<u64> {
    let output = post.run(&["status", "-o", "json"])?;
    let status: Value = serde_json::from_slice(&output.stdout).context("status is not JSON")?;
    status["generation"].as_u64().context("no generation")
}

fn reloads_by_signal(site: &mut Site) -> Result<Done> {
    let Site { guard, post, cgroup } = site;
    let before = generation(post)?;
    let work = Loop::start(cgroup, &addresses()?)?;
    for n in 1..=rounds() {
        post.write_policy(&policy(n))?;
        guard.signal(libc::SIGHUP)?;
        // A second signal while the first is being handled would be one reload.
        let generation = before + u64::from(n);
        guard.wait_event(|event| {
            event["event"]["action"] == "policy-reloaded" && event["miner_guard"]["generation"] == generation
        })?;
    }
    judge(&work.stop()?, false)?;
    Ok(Done::Passed)
}

/// Audit lets through, enforce does not; nothing else ever happens, and after the switch nothing gets through.
fn switches_of_mode(site: &mut Site) -> Result<Done> {
    let Site { post, cgroup, .. } = site;
    let work = Loop::start(cgroup, &addresses()?)?;
    for n in 0..rounds() {
        let mode = if n % 2 == 0 { "audit" } else { "enforce" };
        let output = post.run(&["mode", mode])?;
        ensure!(output.status.success(), "{mode}: {}", String::from_utf8_lossy(&output.stderr));
        let fresh = Loop::start(cgroup, &addresses()?)?.stop()?;
        let denied = fresh.first().context("no counts")?;
        let wrong = if mode == "enforce" { denied.through } else { denied.denied };
        ensure!(wrong == 0, "after the switch to {mode}: {denied:?}");
    }
    judge(&work.stop()?, true)?;
    Ok(Done::Passed)
}
