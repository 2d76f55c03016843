//! What an operator asks of a running guard: each command answers, as text and as JSON, with the exit status of the
//! design.

use std::process::Output;

use anyhow::{Context as _, Result, ensure};
use libtest_mimic::Trial;
use miner_guard_tests::{
    case::{Done, case, sharing},
    cgroup::Cgroup,
    guard::{Guard, Post},
    route::{Attempt, Route},
};
use serde_json::Value;

const POLICY: &str = "builtin = false\nmode = \"audit\"\n\
    [[rule]]\nid = \"denied\"\nip = [\"127.66.66.66\", \"127.67.0.0/16\"]\naction = \"deny\"\n\
    [[rule]]\nid = \"named\"\ndomain = [\"pool.example\"]\naction = \"deny\"\n";

pub fn cases() -> Vec<Trial> {
    let mut cases = sharing(
        Site::new,
        |site| site.guard.stop().map(drop),
        &[
            ("the_commands_answer_for_a_running_guard", answers),
            ("the_mode_is_switched_in_a_running_guard", mode),
        ],
    );
    cases.push(case("without_a_guard_the_commands_say_so", no_guard));
    cases.push(case("completions_and_manual_pages_need_no_guard", without));
    cases
}

struct Site {
    guard: Guard,
    post: Post,
    cgroup: Cgroup,
}

impl Site {
    fn new() -> Result<Self> {
        let cgroup = Cgroup::new()?;
        let post = Post::at(&cgroup, POLICY)?;
        Ok(Self { guard: post.start("enforce")?, post, cgroup })
    }
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Runs a command with `-o json` and reads its answer, and once more for people, which must not be JSON.
fn both(post: &Post, arguments: &[&str]) -> Result<(Value, String)> {
    let json: Vec<_> = arguments.iter().copied().chain(["-o", "json"]).collect();
    let output = post.run(&json)?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "{json:?}: {}: {said}", output.status);
    let value = serde_json::from_slice(&output.stdout)
        .with_context(|| format!("{json:?} is not JSON: {}", text(&output)))?;
    let output = post.run(arguments)?;
    ensure!(output.status.success(), "{arguments:?}: {}", output.status);
    let people = text(&output);
    ensure!(!people.is_empty() && !people.starts_with('{'), "{arguments:?}: {people}");
    ensure!(!people.contains('\u{1b}'), "{arguments:?}: colours, and stdout is no terminal: {people}");
    Ok((value, people))
}

fn answers(site: &mut Site) -> Result<Done> {
    let Site { post, cgroup, .. } = site;
    let (status, people) = both(post, &["status"])?;
    ensure!(status["mode"] == "enforce", "--mode goes before the policy's: {status}");
    ensure!(status["canary"]["state"] == "proven", "{status}");
    ensure!(status["cgroup"] == cgroup.path().display().to_string(), "{status}");
    ensure!(status["indicators"]["domains"] == 1, "{status}");
    ensure!(status["domains_note"].is_null(), "nothing waits to take effect: {status}");
    ensure!(people.contains("enforcement proven"), "{people}");

    let (list, people) = both(post, &["policy", "list"])?;
    let rules = list["rules"].as_array().context("no rules")?;
    ensure!(rules.iter().any(|rule| rule["id"] == "denied" && rule["action"] == "deny"), "{list}");
    ensure!(people.contains("denied") && people.contains("config.toml:3"), "{people}");
    both(post, &["policy", "diff"])?;

    for (thing, verdict, rule) in [
        ("127.66.66.66", "deny", Some("denied")),
        ("127.67.1.2:3333", "deny", Some("denied")),
        ("::ffff:127.66.66.66", "deny", Some("denied")),
        ("pool.example", "deny", Some("named")),
        ("127.66.66.67", "allow", None),
    ] {
        let (why, _) = both(post, &["explain", thing])?;
        ensure!(why["verdict"] == verdict && why["rule"].as_str() == rule, "{thing}: {why}");
        ensure!(why["enforced"] == (verdict == "deny"), "{thing}: {why}");
    }
    ensure!(
        both(post, &["explain", "127.66.66.66"])?.0["origin"].to_string().contains("config.toml:3"),
        "origin"
    );
    let nonsense = post.run(&["explain", "what is this"])?;
    ensure!(nonsense.status.code() == Some(2), "explain of nonsense: {}", nonsense.status);
    Ok(Done::Passed)
}

fn mode(site: &mut Site) -> Result<Done> {
    let Site { guard, post, cgroup } = site;
    let to = "127.66.66.66:3333".parse()?;
    for (mode, denied) in [("audit", false), ("enforce", true), ("audit", false)] {
        let (_, people) = both(post, &["mode", mode])?;
        ensure!(people.starts_with(mode), "{people}");
        let (now, _) = both(post, &["mode"])?;
        ensure!(now["mode"] == mode, "{now}");
        let attempt = Route::UdpConnect.from_cgroup(cgroup, to)?;
        ensure!(
            attempt.is_denied() == denied && (denied || attempt == Attempt::Through),
            "{mode}: {attempt}"
        );
        let event = guard.wait_event(|event| event["rule"]["id"] == "denied")?;
        let told = &event["miner_guard"];
        ensure!(told["mode"] == mode && told["enforced"] == denied && told["verdict"] == "deny", "{event}");
    }
    let (status, _) = both(post, &["status"])?;
    ensure!(status["mode"] == "audit", "{status}");
    Ok(Done::Passed)
}

fn no_guard() -> Result<Done> {
    let post = Post::at(&Cgroup::new()?, POLICY)?;
    for arguments in
        [&["status"][..], &["mode"], &["mode", "enforce"], &["policy", "list"], &["explain", "1.2.3.4"]]
    {
        let output = post.run(arguments)?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(output.status.code() == Some(1), "{arguments:?}: {}: {said}", output.status);
        ensure!(said.contains("miner-guard run") && said.contains("--socket"), "{arguments:?}: {said}");
        let json: Vec<_> = arguments.iter().copied().chain(["-o", "json"]).collect();
        let output = post.run(&json)?;
        let told: Value = serde_json::from_slice(&output.stderr).context("stderr is not JSON")?;
        ensure!(told["exit_status"] == 1, "{told}");
    }
    Ok(Done::Passed)
}

fn without() -> Result<Done> {
    let post = Post::at(&Cgroup::new()?, "")?;
    for shell in ["bash", "zsh", "fish"] {
        let output = post.run(&["completions", shell])?;
        ensure!(
            output.status.success() && text(&output).contains("miner-guard"),
            "{shell}: {}",
            output.status
        );
    }
    let output = post.run(&["man"])?;
    ensure!(output.status.success() && text(&output).starts_with(".ie"), "man: {}", output.status);
    ensure!(post.run(&["--version"])?.status.success() && post.run(&["--help"])?.status.success(), "help");
    Ok(Done::Passed)
}
