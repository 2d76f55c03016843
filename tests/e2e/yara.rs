//! YARA rules of the site. In an ordinary build they are refused; in one with the feature `yara` they decide.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Result, ensure};
use libtest_mimic::Trial;
use miner_guard_tests::{
    case::{Done, case},
    cgroup::Cgroup,
    guard::{Guard, Post},
    program::{self, Then},
};
use serde_json::Value;

const POLICY: &str = "builtin = false\n[identify]\nyara = [\"*.yar\"]\n";

pub fn cases() -> Vec<Trial> {
    vec![
        case("without_the_feature_yara_rules_are_refused_and_it_is_said_how_to_build_it", absent),
        case("a_yara_rule_of_the_site_stops_tells_or_is_silent_as_it_says", decides),
        case("yara_rules_that_do_not_compile_leave_those_in_force", broken),
        case("what_was_found_out_under_yara_rules_that_are_gone_is_not_remembered", overtaken),
        case("scan_shows_what_a_yara_rule_matched", scanned),
    ]
}

fn rule(name: &str, meaning: &str) -> String {
    format!(
        "rule {name} {{ meta: miner_guard = \"{meaning}\" strings: $word = \"an odd {name} program\" condition: $word }}\n"
    )
}

/// A post with rules; `None` where the guard was built without them.
fn site(cgroup: &Cgroup, rules: &str) -> Result<Option<Post>> {
    let post = Post::at(cgroup, POLICY)?;
    fs::write(post.path("site.yar"), rules)?;
    let output = post.run(&["check", "--config", &post.path("config.toml").display().to_string()])?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if said.contains("built without YARA") {
        return Ok(None);
    }
    ensure!(output.status.success(), "check: {}: {said}", output.status);
    Ok(Some(post))
}

fn skipped() -> Result<Done> {
    Ok(Done::Skipped("the guard was built without the feature `yara`".to_owned()))
}

/// A harmless program that a rule of this name matches.
fn write(post: &Post, name: &str, then: Then) -> Result<PathBuf> {
    let file = post.path(name);
    program::write(&file, &program::elf(&format!("an odd {name} program"), then))?;
    Ok(file)
}

fn is_of(event: &Value, file: &Path) -> bool {
    fs::metadata(file).is_ok_and(|meta| event["file"]["inode"].as_str() == Some(&meta.ino().to_string()))
}

fn event_of(guard: &mut Guard, file: &Path) -> Result<Value> {
    guard.wait_event(|event| is_of(event, file))
}

fn absent() -> Result<Done> {
    let cgroup = Cgroup::new()?;
    if site(&cgroup, &rule("a", "weak"))?.is_some() {
        return Ok(Done::Skipped("the guard was built with the feature `yara`".to_owned()));
    }
    let post = Post::at(&cgroup, POLICY)?;
    let config = post.path("config.toml").display().to_string();
    for arguments in [
        &["check", "--config", &config][..],
        &["run", "--config", &config],
        &["scan", "/bin/true", "--rules", "x.yar"],
    ] {
        let output = post.run(arguments)?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(output.status.code() == Some(2), "{arguments:?}: {}: {said}", output.status);
        ensure!(
            said.contains("built without YARA") && said.contains("--features yara"),
            "{arguments:?}: {said}"
        );
        ensure!(arguments[0] == "scan" || said.contains("config.toml:3:9: identify: `yara`"), "{said}");
    }
    Ok(Done::Passed)
}

fn decides() -> Result<Done> {
    let cgroup = Cgroup::new()?;
    let Some(post) =
        site(&cgroup, &[rule("strict", "miner-binary"), rule("mild", "hashing-heavy")].concat())?
    else {
        return skipped();
    };
    // Before the start of the guard: of what was written just now nothing is remembered.
    let strict = write(&post, "strict", Then::Wait)?;
    let mild = write(&post, "mild", Then::Exit)?;
    let mut guard = post.start("enforce")?;
    let run = program::run(&mut cgroup.command(&strict)?)?;
    ensure!(run.was_stopped(), "it was let go: {run:?}");
    let event = event_of(&mut guard, &strict)?;
    let (reason, why) = (&event["miner_guard"]["reason"], event["miner_guard"]["evidence"].to_string());
    let file = post.path("site.yar").display().to_string();
    ensure!(
        reason == "miner-binary" && why.contains(&format!("rule strict of {file}: $word at 0x")),
        "{event}"
    );
    let run = program::run(&mut cgroup.command(&strict)?)?;
    ensure!(run.never_ran(), "it is not remembered: {run:?}");

    let run = program::run(&mut cgroup.command(&mild)?)?;
    ensure!(run.was_let_go(), "it was stopped: {run:?}");
    let event = event_of(&mut guard, &mild)?;
    let about = &event["miner_guard"];
    ensure!(about["reason"] == "hashing-heavy" && about["verdict"] == "alert", "{event}");

    // Other rules: what was remembered under those before is not believed.
    fs::write(post.path("site.yar"), rule("mild", "miner-binary"))?;
    let reload = post.run(&["policy", "reload"])?;
    let said = String::from_utf8_lossy(&reload.stdout).into_owned();
    ensure!(reload.status.success() && said.contains("[identify] yara"), "{}: {said}", reload.status);
    program::run(&mut cgroup.command(&mild)?)?;
    guard.wait_event(|e| is_of(e, &mild) && e["miner_guard"]["reason"] == "miner-binary")?;
    let run = program::run(&mut cgroup.command(&mild)?)?;
    ensure!(run.never_ran(), "the new rule: {run:?}");
    guard.stop()?;
    Ok(Done::Passed)
}

fn broken() -> Result<Done> {
    let cgroup = Cgroup::new()?;
    let Some(post) = site(&cgroup, &rule("strict", "miner-binary"))? else { return skipped() };
    let guard = post.start("enforce")?;
    fs::write(post.path("site.yar"), "rule strict {\n  condition: $word\n}\n")?;
    let reload = post.run(&["policy", "reload"])?;
    let said = String::from_utf8_lossy(&reload.stderr).into_owned();
    ensure!(reload.status.code() == Some(2), "{}: {said}", reload.status);
    ensure!(said.contains("site.yar:2:14: ") && said.contains("correct the rule"), "{said}");
    let strict = write(&post, "strict", Then::Wait)?;
    let run = program::run(&mut cgroup.command(&strict)?)?;
    ensure!(run.was_stopped(), "the rules in force are gone: {run:?}");
    guard.stop()?;
    Ok(Done::Passed)
}

fn overtaken() -> Result<Done> {
    const SLOW: &str = "rule slow { condition: for all i in (0..100000000) : ( for all j in (0..100000000) : ( i + j >= 0 ) ) }";
    let cgroup = Cgroup::new()?;
    let Some(post) = site(&cgroup, SLOW)? else { return skipped() };
    let strict = write(&post, "strict", Then::Exit)?;
    let mut guard = post.start("enforce")?;
    let run = program::run(&mut cgroup.command(&strict)?)?;
    ensure!(run.was_let_go(), "by rules that do not match: {run:?}");
    // They still look at it.
    fs::write(post.path("site.yar"), rule("strict", "miner-binary"))?;
    let reload = post.run(&["policy", "reload"])?;
    ensure!(reload.status.success(), "reload: {}", reload.status);
    guard.wait_said("did not come to an end")?;
    // Whatever came of that is in the daemon's hands before it answers.
    post.run(&["status"])?;
    program::run(&mut cgroup.command(&strict)?)?;
    let event = event_of(&mut guard, &strict)?;
    ensure!(event["miner_guard"]["reason"] == "miner-binary", "{event}");
    guard.stop()?;
    Ok(Done::Passed)
}

fn scanned() -> Result<Done> {
    let Some(post) = site(&Cgroup::new()?, &rule("strict", "miner-binary"))? else { return skipped() };
    let (strict, rules) = (write(&post, "strict", Then::Wait)?, post.path("site.yar"));
    let (strict, rules) = (strict.display().to_string(), rules.display().to_string());
    let output = post.run(&["scan", &strict, "--rules", &rules])?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(output.status.code() == Some(1), "{}: {said}", output.status);
    ensure!(said.contains(&format!("rule strict of {rules}: $word at 0x")), "{said}");
    ensure!(post.run(&["scan", &strict])?.status.success(), "it is found without the rule");
    Ok(Done::Passed)
}
