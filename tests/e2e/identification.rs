//! A program that nothing lists is known by what it is: stopped soon after its first start, and remembered.

use std::{fs, os::unix::fs::MetadataExt as _, path::Path, time::Duration};

use anyhow::{Result, ensure};
use libtest_mimic::Trial;
use miner_guard_tests::{
    case::{Done, case},
    cgroup::Cgroup,
    guard::{Guard, Post},
    program::{self, Then},
};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// The keys of AesGenerator1R and two states of AesHash1R, as RandomX's specification prints them. In hexadecimal, so
/// that this program is none.
const RANDOMX: &str = "53a5ac6d096671622b55b5db1749f4b407af7c6d0d716a8478d325174edca10d\
                       f162123fc67e949f4f79c0f445e3203e3581ef6a7c31bab1884c311654911649\
                       0d2cb592de56a89f47db82ccad3a98d76e998d3398b7c7155a129ef55780e7ac";
/// A client's words, likewise: `stratum+tcp://`, `donate-level`, `mining.submit`.
const CLIENT: &str = "7374726174756d2b7463703a2f2f00646f6e6174652d6c6576656c006d696e696e672e7375626d697400";

/// What the guard should take from the start of a miner of [`SIZE`] that it has never seen to its end: told, not asserted,
/// because the machine may have other things to do.
const SOON: Duration = Duration::from_millis(50);
/// More than this is no slow machine.
const LATE: Duration = Duration::from_secs(2);
/// Bytes.
const SIZE: usize = 10_000_000;
/// Starts.
const TRIES: usize = 9;

pub fn cases() -> Vec<Trial> {
    vec![
        case("a_miner_of_10_mb_that_was_never_seen_is_dead_soon", never_seen),
        case("a_miner_is_still_known_after_the_guard_was_started_again", started_again),
        case("a_program_with_randomx_and_no_client_runs_and_is_told", no_client),
        case("a_script_listed_by_its_path_is_stopped", script),
        case("a_script_listed_by_its_path_is_told_in_audit_and_runs", script_in_audit),
        case("a_script_listed_by_its_hash_is_stopped_wherever_it_lies", script_by_hash),
    ]
}

fn bytes(hex: &str) -> Result<Vec<u8>> {
    let digits = hex.as_bytes().chunks(2);
    digits.map(|pair| Ok(u8::from_str_radix(std::str::from_utf8(pair)?, 16)?)).collect()
}

/// A harmless program with signs in it, which neither mines nor connects.
fn with_signs(name: &str, then: Then, signs: &[&str]) -> Result<Vec<u8>> {
    let mut file = program::elf(name, then);
    for sign in signs {
        file.extend(bytes(sign)?);
    }
    Ok(file)
}

/// As large as a real one, and nothing in it to skip.
fn grow(file: &mut Vec<u8>) {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    while file.len() < SIZE {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        file.extend(state.to_le_bytes());
    }
}

fn event_of(guard: &mut Guard, file: &Path) -> Result<Value> {
    let inode = fs::metadata(file)?.ino().to_string();
    guard.wait_event(|event| event["file"]["inode"] == inode)
}

fn never_seen() -> Result<Done> {
    let cgroup = Cgroup::new()?;
    let post = Post::at(&cgroup, "")?;
    let mut files = Vec::new();
    for n in 0..TRIES {
        // The signs lie at the end, behind the rest.
        let mut file = program::elf(&format!("large{n}"), Then::Wait);
        grow(&mut file);
        file.extend([bytes(RANDOMX)?, bytes(CLIENT)?].concat());
        let path = post.path(&format!("large{n}"));
        program::write(&path, &file)?;
        files.push(path);
    }
    let mut guard = post.start("enforce")?;
    let mut took = Vec::new();
    for file in &files {
        let run = program::run(&mut cgroup.command(file)?)?;
        ensure!(run.was_stopped(), "it was not stopped: {run:?}");
        let event = event_of(&mut guard, file)?;
        ensure!(event["miner_guard"]["reason"] == "miner-binary", "{event}");
        ensure!(event["file"]["hash"]["sha256"].is_string(), "without its hash: {event}");
        took.push(run.after);
    }
    took.sort();
    let (median, worst) = (took[TRIES / 2], took[TRIES - 1]);
    let soon = took.iter().filter(|t| **t <= SOON).count();
    eprintln!(
        "{SIZE} bytes never seen: dead after {median:?} (median), {worst:?} (worst), {soon} of {TRIES} within {SOON:?}"
    );
    ensure!(worst < LATE, "the slowest of {TRIES} was dead only after {worst:?}");
    guard.stop()?;
    Ok(Done::Passed)
}

fn started_again() -> Result<Done> {
    let cgroup = Cgroup::new()?;
    let post = Post::at(&cgroup, "")?;
    let (miner, changed) = (post.path("miner"), post.path("changed"));
    program::write(&miner, &with_signs("miner", Then::Wait, &[RANDOMX, CLIENT])?)?;
    program::write(&changed, &with_signs("changed", Then::Wait, &[RANDOMX, CLIENT])?)?;
    let mut guard = post.start("enforce")?;
    for file in [&miner, &changed] {
        let run = program::run(&mut cgroup.command(file)?)?;
        ensure!(run.was_stopped(), "{}: {run:?}", file.display());
        event_of(&mut guard, file)?;
    }
    guard.stop()?;
    program::write(&changed, &program::elf("harmless", Then::Exit))?;

    let mut guard = post.start("enforce")?;
    let run = program::run(&mut cgroup.command(&miner)?)?;
    ensure!(run.never_ran(), "it was not known: {run:?}");
    let event = event_of(&mut guard, &miner)?;
    ensure!(event["miner_guard"]["stopped_by"] == "kernel", "{event}");
    let run = program::run(&mut cgroup.command(&changed)?)?;
    ensure!(run.was_let_go(), "changed meanwhile: {run:?}");
    guard.stop()?;

    // What is listed of addresses says nothing of files, and what is listed of files does.
    post.write_policy("[[rule]]\nid = \"other\"\nip = [\"192.0.2.1\"]\naction = \"deny\"\n")?;
    let guard = post.start("enforce")?;
    let run = program::run(&mut cgroup.command(&miner)?)?;
    ensure!(run.never_ran(), "under another list of addresses: {run:?}");
    guard.stop()?;
    post.write_policy("[[rule]]\nid = \"other\"\npath = [\"/nowhere\"]\naction = \"deny\"\n")?;
    let mut guard = post.start("enforce")?;
    let run = program::run(&mut cgroup.command(&miner)?)?;
    ensure!(run.was_stopped(), "under another list of files: {run:?}");
    let event = event_of(&mut guard, &miner)?;
    ensure!(event["miner_guard"]["stopped_by"] == "daemon", "{event}");
    guard.stop()?;
    Ok(Done::Passed)
}

fn no_client() -> Result<Done> {
    let cgroup = Cgroup::new()?;
    let post = Post::at(&cgroup, "")?;
    let file = post.path("hasher");
    program::write(&file, &with_signs("hasher", Then::Exit, &[RANDOMX])?)?;
    let mut guard = post.start("enforce")?;
    let run = program::run(&mut cgroup.command(&file)?)?;
    ensure!(run.was_let_go(), "it was stopped: {run:?}");
    let event = event_of(&mut guard, &file)?;
    let about = &event["miner_guard"];
    ensure!(about["reason"] == "hashing-heavy" && about["verdict"] == "alert", "{event}");
    ensure!(about["evidence"].to_string().contains("RandomX"), "without a reason: {event}");
    guard.stop()?;
    Ok(Done::Passed)
}

fn script() -> Result<Done> {
    let cgroup = Cgroup::new()?;
    let post = Post::at(&cgroup, "")?;
    let (listed, other) = (post.path("listed.sh"), post.path("other.sh"));
    // It stops itself, so that it is there until somebody ends it.
    program::write(&listed, b"#!/bin/sh\nprintf 'ran\\n'\nkill -STOP $$\n")?;
    program::write(&other, b"#!/bin/sh\nprintf 'ran\\n'\nexit 42\n")?;
    post.write_policy(&format!(
        "[[rule]]\nid = \"by-path\"\npath = [{:?}]\naction = \"deny\"\n",
        listed.display().to_string()
    ))?;
    let mut guard = post.start("enforce")?;
    let shell = Path::new("/bin/sh");
    for given in [None, Some(&listed)] {
        let mut command = cgroup.command(given.map_or(listed.as_path(), |_| shell))?;
        let run = program::run(command.args(given))?;
        ensure!(run.was_stopped(), "{given:?}: {run:?}");
        let event = guard.wait_event(|event| event["miner_guard"]["reason"] == "file-path")?;
        ensure!(event["rule"]["id"] == "by-path" && event["miner_guard"]["enforced"] == true, "{event}");
    }
    let run = program::run(&mut cgroup.command(&other)?)?;
    ensure!(run.was_let_go(), "another script: {run:?}");
    let run = program::run(cgroup.command(shell)?.arg(&other))?;
    ensure!(run.was_let_go(), "another script, given to its interpreter: {run:?}");
    guard.stop()?;
    Ok(Done::Passed)
}

fn script_in_audit() -> Result<Done> {
    let cgroup = Cgroup::new()?;
    let post = Post::at(&cgroup, "")?;
    let listed = post.path("listed.sh");
    program::write(&listed, b"#!/bin/sh\nprintf 'ran\\n'\nexit 42\n")?;
    post.write_policy(&format!(
        "[[rule]]\nid = \"by-path\"\npath = [{:?}]\naction = \"deny\"\n",
        listed.display().to_string()
    ))?;
    let mut guard = post.start("audit")?;
    let run = program::run(&mut cgroup.command(&listed)?)?;
    ensure!(run.was_let_go(), "it was stopped: {run:?}");
    let event = guard.wait_event(|event| event["miner_guard"]["reason"] == "file-path")?;
    let about = &event["miner_guard"];
    ensure!(about["verdict"] == "deny" && about["enforced"] == false, "{event}");
    guard.stop()?;
    Ok(Done::Passed)
}

fn script_by_hash() -> Result<Done> {
    let cgroup = Cgroup::new()?;
    let post = Post::at(&cgroup, "")?;
    let (listed, other) = (post.path("a.sh"), post.path("b.sh"));
    let text = b"#!/bin/sh\nprintf 'ran\\n'\nkill -STOP $$\n";
    let hash = Sha256::digest(text).iter().map(|b| format!("{b:02x}")).collect::<String>();
    post.write_policy(&format!("[[rule]]\nid = \"by-hash\"\nsha256 = \"{hash}\"\naction = \"deny\"\n"))?;
    let mut guard = post.start("enforce")?;
    // The interpreter is known before the script is there.
    program::write(&other, b"#!/bin/sh\nprintf 'ran\\n'\nexit 42\n")?;
    for _ in 0..2 {
        let run = program::run(&mut cgroup.command(&other)?)?;
        ensure!(run.was_let_go(), "another script: {run:?}");
    }
    program::write(&listed, text)?;
    let run = program::run(&mut cgroup.command(&listed)?)?;
    ensure!(run.was_stopped(), "{run:?}");
    let event = guard.wait_event(|event| event["miner_guard"]["reason"] == "file-hash")?;
    ensure!(event["rule"]["id"] == "by-hash" && event["file"]["hash"]["sha256"] == hash, "{event}");
    guard.stop()?;
    Ok(Done::Passed)
}
