//! What runs is told for what it does: RandomX by its rounding modes and its code, and nothing else by them.
//!
//! Real RandomX is run by `cargo xtask eval runtime`. Here a stand-in has its signature: a program in audit mode that a test
//! can build in a second.

use std::{fs, os::fd::AsRawFd as _, time::Duration};

use anyhow::{Result, ensure};
use libtest_mimic::Trial;
use miner_guard_tests::{
    busy::{self, Busy},
    case::{Done, case},
    cgroup::Cgroup,
    guard::{Guard, Post},
    program,
};
use serde_json::Value;

pub fn cases() -> Vec<Trial> {
    vec![
        case("a_program_with_the_signature_of_randomx_is_told_as_mining", || with_hooks(mining)),
        case("randomx_is_found_in_a_file_without_a_name", || with_hooks(nameless)),
        case("interval_arithmetic_a_rounding_test_and_hashing_are_not_mining", || with_hooks(honest)),
        case("hashing_that_goes_on_is_told_as_hashing_heavy_and_not_stopped", || with_hooks(hashing)),
        case("an_allowed_program_is_not_told", || with_hooks(allowed)),
        case("watching_can_be_turned_off", || with_hooks(turned_off)),
    ]
}

const POLICY: &str = "builtin = false\n[runtime]\nsustain = 3\n";

fn with_hooks(test: fn() -> Result<()>) -> Result<Done> {
    if !busy::understood() {
        return Ok(Done::Skipped("only code of x86-64 is understood".into()));
    }
    test()?;
    Ok(Done::Passed)
}

fn of(event: &Value, action: &str, pid: u32) -> bool {
    event["event"]["action"] == action && event["process"]["pid"] == pid
}

fn mining() -> Result<()> {
    let cgroup = Cgroup::new()?;
    let post = Post::at(&cgroup, POLICY)?;
    let mut guard = post.start("audit")?;
    let miner = Busy::RandomxStandIn.start(&cgroup)?;
    let event = guard.wait_event(|e| of(e, "mining", miner.pid()))?;
    eprintln!("told after {:?}", miner.since.elapsed());
    let about = &event["miner_guard"];
    ensure!(about["mode"] == "audit" && about["enforced"] == false, "{event}");
    let reasons = about["evidence"].to_string();
    ensure!(reasons.contains("rounding modes") && reasons.contains("RandomX"), "{event}");
    ensure!(event["process"]["executable"].is_string() && about["cgroup"].is_string(), "{event}");
    Ok(())
}

/// In memory, and deleted once it runs.
fn nameless() -> Result<()> {
    let cgroup = Cgroup::new()?;
    let post = Post::at(&cgroup, POLICY)?;
    let mut guard = post.start("audit")?;
    let bytes = fs::read("/proc/self/exe")?;
    let memory = program::in_memory(&bytes)?;
    let in_memory =
        Busy::RandomxStandIn.start_from(&cgroup, format!("/proc/self/fd/{}", memory.as_raw_fd()))?;
    let file = post.path("deleted");
    program::write(&file, &bytes)?;
    let deleted = Busy::RandomxStandIn.start_from(&cgroup, &file)?;
    fs::remove_file(&file)?;
    // In whichever order they are told.
    let mut left = vec![in_memory.pid(), deleted.pid()];
    guard.each_event(|event| {
        left.retain(|pid| !of(&event, "mining", *pid));
        left.is_empty()
    })?;
    Ok(())
}

/// They run until something else, started after them, has been told: by then they would have been.
fn honest() -> Result<()> {
    let cgroup = Cgroup::new()?;
    let post = Post::at(&cgroup, POLICY)?;
    let mut guard = post.start("audit")?;
    let honest = [Busy::IntervalArithmetic, Busy::RoundingTest, Busy::HashStandIn]
        .map(|b| b.start(&cgroup))
        .into_iter()
        .collect::<Result<Vec<_>>>()?;
    let mut told = Vec::new();
    // Hashing is told as hashing-heavy, which takes the three seconds of `sustain` and more: that is the end of it.
    let hashing = honest[2].pid();
    guard.each_event(|event| {
        let last = of(&event, "hashing-heavy", hashing);
        told.push(event);
        last
    })?;
    let miner = Busy::RandomxStandIn.start(&cgroup)?;
    guard.each_event(|event| {
        let last = of(&event, "mining", miner.pid());
        told.push(event);
        last
    })?;
    for event in told.iter().filter(|e| e["event"]["action"] == "mining") {
        ensure!(of(event, "mining", miner.pid()), "an honest program was called mining: {event}");
    }
    ensure!(honest.iter().all(|h| h.since.elapsed() > Duration::from_secs(3)), "they hardly ran");
    Ok(())
}

fn hashing() -> Result<()> {
    let cgroup = Cgroup::new()?;
    // Enforce: what would be stopped is stopped.
    let post = Post::at(&cgroup, POLICY)?;
    let mut guard = post.start("enforce")?;
    let hashing = Busy::HashStandIn.start(&cgroup)?;
    let event = guard.wait_event(|e| of(e, "hashing-heavy", hashing.pid()))?;
    eprintln!("told after {:?}", hashing.since.elapsed());
    ensure!(event["miner_guard"]["enforced"] == false, "{event}");
    ensure!(event["miner_guard"]["verdict"] == "alert", "{event}");
    ensure!(hashing.runs()?, "it was stopped");
    Ok(())
}

fn allowed() -> Result<()> {
    let cgroup = Cgroup::new()?;
    // Both run the same program: who is allowed is told by the user.
    let policy = format!("{POLICY}[[allow]]\nuser = \"12345\"\n");
    let post = Post::at(&cgroup, &policy)?;
    let mut guard = post.start("audit")?;
    let exempt = Busy::RandomxStandIn.start_as(&cgroup, 12345)?;
    let miner = Busy::RandomxStandIn.start(&cgroup)?;
    let mut told = Vec::new();
    guard.each_event(|event| {
        let last = of(&event, "mining", miner.pid());
        told.push(event);
        last
    })?;
    ensure!(!told.iter().any(|e| of(e, "mining", exempt.pid())), "an allowed program was told");
    Ok(())
}

fn turned_off() -> Result<()> {
    let cgroup = Cgroup::new()?;
    let post = Post::at(&cgroup, "builtin = false\n[runtime]\nenabled = false\n")?;
    let guard: Guard = post.start("audit")?;
    let output = post.run(&["status", "-o", "json"])?;
    let status: Value = serde_json::from_slice(&output.stdout)?;
    let hooks = status["hooks"].as_array().cloned().unwrap_or_default();
    for name in ["fpu", "sample"] {
        let hook = hooks.iter().find(|h| h["name"] == name);
        ensure!(hook.is_some_and(|h| h["state"] == "unavailable"), "{name}: {status}");
    }
    guard.stop()?;
    Ok(())
}
