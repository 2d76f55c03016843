//! Bad input: each is refused with an exit status and a text that says where it is and what to do, and a guard that runs
//! keeps what it has.

use std::{
    fmt::Write as _,
    fs,
    os::{fd::AsRawFd as _, unix::process::CommandExt as _},
    process::{Command, Output},
    time::Instant,
};

use anyhow::{Context as _, Result, ensure};
use libtest_mimic::Trial;
use miner_guard_tests::{
    case::{Done, case, in_vm},
    cgroup::Cgroup,
    guard::Post,
    route::{Attempt, Route},
    sys,
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
        case("a_reload_with_an_error_keeps_the_running_policy_entire", reload_keeps),
        case("an_empty_feed_where_there_was_a_full_one_is_refused", empty_feed),
        case("garbage_in_a_feed_is_counted_and_shown_and_the_rest_is_used", garbage),
        case("a_feed_of_two_million_lines_is_enforced", large_feed),
        case("a_second_guard_at_the_same_post_is_refused", second_guard),
        case("pins_of_another_abi_are_refused", other_abi),
        case("without_root_it_says_so", not_root),
        case("a_cgroup_that_is_none_is_refused", no_cgroup),
        case("wrong_usage_is_told_with_status_2", usage),
    ]);
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

fn attempt(cgroup: &Cgroup, to: &str) -> Result<Attempt> {
    Route::UdpConnect.from_cgroup(cgroup, to.parse()?)
}

fn status(post: &Post) -> Result<Value> {
    let output = post.run(&["status", "-o", "json"])?;
    ensure!(output.status.success(), "status: {}", stderr(&output));
    serde_json::from_slice(&output.stdout).context("status is not JSON")
}

fn reload_keeps() -> Result<Done> {
    let cgroup = Cgroup::new()?;
    let post = Post::at(&cgroup, GOOD)?;
    let mut guard = post.start("enforce")?;
    let before = status(&post)?;
    // The good rule is gone and a new one is there, but an error stands behind them.
    post.write_policy(
        "[[rule]]\nid = \"new\"\nip = [\"127.66.66.67\"]\n[[rule]]\nid = \"bad\"\nport = 70000\n",
    )?;
    let output = post.run(&["policy", "reload"])?;
    expect(&output, 2, &["config.toml:6:8: ", "`port`", "70000", "the running policy stays"])?;
    guard.wait_event(|event| event["event"]["action"] == "policy-refused")?;
    guard.signal(libc::SIGHUP)?;
    guard.wait_event(|event| event["event"]["action"] == "policy-refused")?;
    let after = status(&post)?;
    for what in ["generation", "fingerprint", "rules", "indicators", "mode"] {
        ensure!(before[what] == after[what], "{what}: {} became {}", before[what], after[what]);
    }
    ensure!(attempt(&cgroup, "127.66.66.66:1")?.is_denied(), "the old rule is gone");
    ensure!(attempt(&cgroup, "127.66.66.67:1")? == Attempt::Through, "the new rule is there");
    guard.stop()?;
    Ok(Done::Passed)
}

fn fed(feed: &str) -> Result<(Cgroup, Post)> {
    let cgroup = Cgroup::new()?;
    let post =
        Post::at(&cgroup, "builtin = false\n[[feed]]\nid = \"f\"\npath = \"feed.txt\"\naction = \"deny\"\n")?;
    fs::write(post.path("feed.txt"), feed)?;
    Ok((cgroup, post))
}

fn empty_feed() -> Result<Done> {
    let (cgroup, post) = fed("127.66.66.66\n127.66.66.68\n")?;
    let guard = post.start("enforce")?;
    for empty in ["", "# nothing\n"] {
        fs::write(post.path("feed.txt"), empty)?;
        let output = post.run(&["policy", "reload"])?;
        expect(
            &output,
            2,
            &["config.toml:4:8: ", "feed \"f\"", "lists nothing", "2 indicators before", "restore it"],
        )?;
        ensure!(attempt(&cgroup, "127.66.66.66:1")?.is_denied(), "the old feed is gone");
    }
    guard.stop()?;
    Ok(Done::Passed)
}

fn garbage() -> Result<Done> {
    let (cgroup, post) = fed("127.66.66.66\n\u{1b}[2J and more words\n0.0.0.0/0\n127.66.66.68\n")?;
    let guard = post.start("enforce")?;
    let status = status(&post)?;
    let feed = &status["feeds"][0];
    ensure!(feed["used"] == 2 && feed["refused"] == 2, "{feed}");
    ensure!(feed["why"].as_str().is_some_and(|why| why.starts_with("line 2: ")), "{feed}");
    let text = post.run(&["status"])?;
    ensure!(!text.stdout.contains(&0x1b), "an escape reached the terminal");
    ensure!(String::from_utf8_lossy(&text.stdout).contains("2 lines refused"), "{:?}", text.stdout);
    ensure!(attempt(&cgroup, "127.66.66.68:1")?.is_denied(), "the rest was not used");
    guard.stop()?;
    Ok(Done::Passed)
}

fn large_feed() -> Result<Done> {
    let lines: u32 = if in_vm() { 50_000 } else { 2_000_000 };
    let mut feed = String::new();
    for n in 0..lines - 1 {
        writeln!(feed, "{}", std::net::Ipv4Addr::from_bits(0x2900_0000 + n))?;
    }
    feed.push_str("127.66.66.66\n");
    let (cgroup, post) = fed(&feed)?;
    let start = Instant::now();
    let guard = post.start("enforce")?;
    eprintln!("a guard with {lines} addresses is ready after {:?}", start.elapsed());
    ensure!(status(&post)?["feeds"][0]["used"] == lines, "not all are used: {}", status(&post)?["feeds"]);
    ensure!(attempt(&cgroup, "127.66.66.66:1")?.is_denied(), "the last line is not enforced");
    ensure!(attempt(&cgroup, "127.66.66.67:1")? == Attempt::Through, "another address is denied");
    guard.stop()?;
    Ok(Done::Passed)
}

fn second_guard() -> Result<Done> {
    let cgroup = Cgroup::new()?;
    let post = Post::at(&cgroup, GOOD)?;
    let guard = post.start("enforce")?;
    let remedy = &["already runs", "--pin-dir", "--socket", "--state-dir"];
    expect(&post.daemon("enforce").output()?, 1, remedy).context("the same socket")?;
    ensure!(attempt(&cgroup, "127.66.66.66:1")?.is_denied(), "the first guard's rule is gone");
    // At a post of its own a second guard is fine.
    let other = Post::at(&cgroup, GOOD)?;
    let second = other.start("enforce")?;
    second.stop()?;
    ensure!(attempt(&cgroup, "127.66.66.66:1")?.is_denied(), "the second took the first's rule with it");
    guard.stop()?;
    Ok(Done::Passed)
}

fn other_abi() -> Result<Done> {
    let cgroup = Cgroup::new()?;
    let post = Post::at(&cgroup, GOOD)?;
    fs::create_dir_all(post.path("bpf/miner-guard/v999/1/links"))?;
    expect(&post.daemon("enforce").output()?, 1, &["ABI 999", "unload --all"])?;
    let output = post.run(&["unload", "--all"])?;
    ensure!(output.status.success(), "unload --all: {}", stderr(&output));
    post.start("enforce")?.stop()?;
    Ok(Done::Passed)
}

fn not_root() -> Result<Done> {
    let cgroup = Cgroup::new()?;
    let post = Post::at(&cgroup, GOOD)?;
    let as_nobody = |arguments: &[&str]| -> Result<Output> {
        let command = post.command(arguments);
        // Nobody may not walk to a binary below root's home; by its descriptor it is reached all the same.
        let binary = fs::File::open(command.get_program())?;
        let mut by_descriptor = Command::new(format!("/proc/self/fd/{}", binary.as_raw_fd()));
        by_descriptor.args(command.get_args()).env("NO_COLOR", "1");
        let mut command = by_descriptor;
        // SAFETY: between fork and exec only system calls are made: no allocation, no lock.
        unsafe { command.pre_exec(|| sys::set_user(65534)) };
        command.output().with_context(|| format!("cannot start {command:?}"))
    };
    expect(&as_nobody(&["run"])?, 3, &["needs root", "sudo"]).context("run")?;
    expect(&as_nobody(&["doctor"])?, 3, &["needs root", "sudo"]).context("doctor")?;
    let guard = post.start("enforce")?;
    expect(&as_nobody(&["status"])?, 3, &["root", "sudo"]).context("status")?;
    expect(&as_nobody(&["mode", "audit"])?, 3, &["root", "sudo"]).context("mode")?;
    expect(&as_nobody(&["unload"])?, 3, &["root"]).context("unload")?;
    ensure!(attempt(&cgroup, "127.66.66.66:1")?.is_denied(), "somebody else ended enforcement");
    guard.stop()?;
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
