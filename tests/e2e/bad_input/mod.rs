//! Bad input: each is refused with an exit status and a text that says where it is and what to do, and a guard that runs
//! keeps what it has.

mod running;

use std::process::Output;

use anyhow::{Context as _, Result, ensure};
use libtest_mimic::Trial;
use miner_guard_tests::{
    case::{Done, case},
    cgroup::Cgroup,
    guard::Post,
};
use serde_json::Value;

const GOOD: &str = "[[rule]]\nid = \"denied\"\nip = [\"127.66.66.66\"]\naction = \"deny\"\n";

/// A policy, where its error is (after the file's name), and words that must stand in the text: what is wrong, the
/// key, the remedy. `FEED` stands for the path of a file in the post.
const POLICIES: &[(&str, &str, &str, &[&str])] = &[
    ("a_syntax_error", "mode = audit\n", ":1:8: ", &["not valid TOML", "quotes"]),
    (
        "an_unknown_key",
        "[[rule]]\nid = \"a\"\nip = [\"192.0.2.1\"]\nacton = \"deny\"\n",
        ":4:1: ",
        &["rule \"a\"", "`acton`", "unknown key", "did you mean `action`?"],
    ),
    (
        "a_bad_address",
        "[[rule]]\nid = \"a\"\nip = [\"192.0.2.1\", \"300.0.2.1\"]\n",
        ":3:20: ",
        &["`ip`", "\"300.0.2.1\" is not an address", "192.0.2.0/24"],
    ),
    (
        "a_rule_without_a_match",
        "[[rule]]\nid = \"a\"\naction = \"deny\"\n",
        ":1:1: ",
        &["rule \"a\"", "without a match", "ip, port, domain, path, sha256 or md5"],
    ),
    (
        "a_duplicate_id",
        "[[rule]]\nid = \"a\"\nport = 1\n[[rule]]\nid = \"a\"\nport = 2\n",
        ":4:1: ",
        &["`id`", "already used in line 1", "its own id"],
    ),
    (
        "an_unreadable_feed",
        "[[feed]]\nid = \"f\"\npath = \"none.txt\"\n",
        ":3:8: ",
        &["feed \"f\"", "`path`", "none.txt", "No such file", "check the path"],
    ),
    (
        "a_rule_over_a_protected_destination",
        "protected = [\"198.51.100.0/24\"]\n[[rule]]\nid = \"a\"\nip = \"198.51.100.9\"\naction = \"deny\"\n",
        ":4:6: ",
        &["`ip`", "198.51.100.9", "protected by line 1", "force = true"],
    ),
    (
        "a_rule_over_too_much_of_the_address_space",
        "[[rule]]\nid = \"a\"\nip = \"16.0.0.0/7\"\naction = \"deny\"\n",
        ":3:6: ",
        &["`ip`", "more than 1/256 of the address space", "force = true"],
    ),
];

pub fn cases() -> Vec<Trial> {
    let mut cases: Vec<_> = POLICIES
        .iter()
        .map(|(name, policy, place, words)| {
            case(&format!("{name}_is_refused_with_its_place_and_remedy"), move || {
                refused(policy, place, words)
            })
        })
        .collect();
    cases.extend([
        case("a_cgroup_that_is_none_is_refused", no_cgroup),
        case("wrong_usage_is_told_with_status_2", usage),
    ]);
    cases.extend(running::cases());
    cases
}

/// What was said on stderr; of `-o json` the errors.
fn stderr(output: &Output) -> String {
    let errors: Option<Value> = serde_json::from_slice(&output.stderr).ok();
    let lines = errors.as_ref().and_then(|json| json["errors"].as_array());
    match lines {
        Some(lines) => {
            lines.iter().filter_map(Value::as_str).fold(String::new(), |text, line| text + line + "\n")
        }
        None => String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

fn expect(output: &Output, status: i32, words: &[&str]) -> Result<()> {
    let said = stderr(output);
    ensure!(output.status.code() == Some(status), "{} instead of {status}: {said}", output.status);
    for word in words {
        ensure!(said.contains(word), "`{word}` is not in: {said}");
    }
    ensure!(!said.contains("panicked"), "{said}");
    Ok(())
}

fn refused(policy: &str, place: &str, words: &[&str]) -> Result<Done> {
    let post = Post::at(&Cgroup::new()?, policy)?;
    let config = post.path("config.toml");
    let place = format!("{}{place}", config.display());
    let words: Vec<_> = words.iter().copied().chain([place.as_str()]).collect();
    expect(&post.daemon("enforce").output()?, 2, &words).context("run")?;
    let check = post.command(&["check"]).arg("--config").arg(&config).output()?;
    expect(&check, 2, &words).context("check")?;
    ensure!(!post.path("bpf/miner-guard/v1").exists(), "something was pinned");
    Ok(Done::Passed)
}

fn no_cgroup() -> Result<Done> {
    let post = Post::at(&Cgroup::new()?, GOOD)?;
    for path in ["/nowhere", "/run"] {
        let output = post.command(&["run", "--cgroup", path]).output()?;
        ensure!(!output.status.success() && stderr(&output).contains(path), "{path}: {}", stderr(&output));
    }
    Ok(Done::Passed)
}

fn usage() -> Result<Done> {
    let post = Post::at(&Cgroup::new()?, GOOD)?;
    for arguments in [&["run", "--mode", "loud"][..], &["nonsense"], &["explain"], &["status", "--no-such"]] {
        let output = post.run(arguments)?;
        ensure!(output.status.code() == Some(2), "{arguments:?}: {}: {}", output.status, stderr(&output));
        ensure!(!stderr(&output).is_empty(), "{arguments:?}: nothing was said");
    }
    Ok(Done::Passed)
}
