//! Bad input to a guard that runs, or beside one: it keeps what it has.

use std::{
    fmt::Write as _,
    fs,
    os::{fd::AsRawFd as _, unix::process::CommandExt as _},
    process::{Command, Output},
    time::Instant,
};

use anyhow::{Context as _, Result, anyhow, ensure};
use libtest_mimic::Trial;
use miner_guard_tests::{
    case::{Done, in_vm, sharing},
    cgroup::Cgroup,
    guard::{Guard, Post},
    route::{Attempt, Route},
    sys,
};
use serde_json::Value;

use super::{expect, stderr};

const POLICY: &str = "builtin = false\n[[feed]]\nid = \"f\"\npath = \"feed.txt\"\naction = \"deny\"\n\
    [[rule]]\nid = \"denied\"\nip = [\"127.66.66.66\"]\naction = \"deny\"\n";
/// Two good lines, one that is words with an escape, and one that is too wide.
const FEED: &str = "127.66.66.68\n\u{1b}[2J and more words\n0.0.0.0/0\n127.66.66.69\n";

pub fn cases() -> Vec<Trial> {
    sharing(
        Site::new,
        |site| site.guard.stop().map(drop),
        &[
            ("pins_of_another_abi_are_refused", |site| {
                site.other_abi.as_ref().map_err(|error| anyhow!("{error}"))?;
                Ok(Done::Passed)
            }),
            ("garbage_in_a_feed_is_counted_and_shown_and_the_rest_is_used", garbage),
            ("an_empty_feed_where_there_was_a_full_one_is_refused", empty_feed),
            ("a_reload_with_an_error_keeps_the_running_policy_entire", reload_keeps),
            ("without_root_it_says_so", not_root),
            ("a_second_guard_at_the_same_post_is_refused", second_guard),
            // Last: what is in force is then another feed.
            ("a_feed_of_two_million_lines_is_enforced", large_feed),
        ],
    )
}

struct Site {
    guard: Guard,
    post: Post,
    cgroup: Cgroup,
    /// How pins of another version were met before this guard could start.
    other_abi: Result<(), String>,
}

impl Site {
    fn new() -> Result<Self> {
        let cgroup = Cgroup::new()?;
        let post = Post::at(&cgroup, POLICY)?;
        write_good(&post)?;
        let other_abi = other_abi(&post).map_err(|error| format!("{error:#}"));
        Ok(Self { guard: post.start("enforce")?, post, cgroup, other_abi })
    }

    fn attempt(&self, to: &str) -> Result<Attempt> {
        Route::UdpConnect.from_cgroup(&self.cgroup, to.parse()?)
    }

    fn status(&self) -> Result<Value> {
        let output = self.post.run(&["status", "-o", "json"])?;
        ensure!(output.status.success(), "status: {}", stderr(&output));
        serde_json::from_slice(&output.stdout).context("status is not JSON")
    }
}

/// The files that the guard runs with.
fn write_good(post: &Post) -> Result<()> {
    fs::write(post.path("feed.txt"), FEED)?;
    post.write_policy(POLICY)
}

fn other_abi(post: &Post) -> Result<()> {
    fs::create_dir_all(post.path("bpf/miner-guard/v999/1/links"))?;
    expect(&post.daemon("enforce").output()?, 1, &["ABI 999", "unload --all"])?;
    let output = post.run(&["unload", "--all"])?;
    ensure!(output.status.success(), "unload --all: {}", stderr(&output));
    Ok(())
}

fn garbage(site: &mut Site) -> Result<Done> {
    let status = site.status()?;
    let feed = &status["feeds"][0];
    ensure!(feed["used"] == 2 && feed["refused"] == 2, "{feed}");
    ensure!(feed["why"].as_str().is_some_and(|why| why.starts_with("line 2: ")), "{feed}");
    let text = site.post.run(&["status"])?;
    ensure!(!text.stdout.contains(&0x1b), "an escape reached the terminal");
    ensure!(String::from_utf8_lossy(&text.stdout).contains("2 lines refused"), "{:?}", text.stdout);
    ensure!(site.attempt("127.66.66.69:1")?.is_denied(), "the rest was not used");
    Ok(Done::Passed)
}

fn empty_feed(site: &mut Site) -> Result<Done> {
    for empty in ["", "# nothing\n"] {
        fs::write(site.post.path("feed.txt"), empty)?;
        let output = site.post.run(&["policy", "reload"])?;
        expect(
            &output,
            2,
            &["config.toml:4:8: ", "feed \"f\"", "lists nothing", "2 indicators before", "restore it"],
        )?;
        ensure!(site.attempt("127.66.66.68:1")?.is_denied(), "the old feed is gone");
    }
    write_good(&site.post)?;
    Ok(Done::Passed)
}

fn reload_keeps(site: &mut Site) -> Result<Done> {
    let before = site.status()?;
    // The good rule is gone and a new one is there, but an error stands behind them.
    site.post.write_policy(
        "[[rule]]\nid = \"new\"\nip = [\"127.66.66.67\"]\n[[rule]]\nid = \"bad\"\nport = 70000\n",
    )?;
    let output = site.post.run(&["policy", "reload"])?;
    expect(&output, 2, &["config.toml:6:8: ", "`port`", "70000", "the running policy stays"])?;
    let refused = |event: &Value| {
        event["event"]["action"] == "policy-refused" && event.to_string().contains("config.toml:6:8")
    };
    site.guard.wait_event(refused)?;
    site.guard.signal(libc::SIGHUP)?;
    site.guard.wait_event(refused)?;
    let after = site.status()?;
    for what in ["generation", "fingerprint", "rules", "indicators", "mode"] {
        ensure!(before[what] == after[what], "{what}: {} became {}", before[what], after[what]);
    }
    ensure!(site.attempt("127.66.66.66:1")?.is_denied(), "the old rule is gone");
    ensure!(site.attempt("127.66.66.67:1")? == Attempt::Through, "the new rule is there");
    write_good(&site.post)?;
    Ok(Done::Passed)
}

fn large_feed(site: &mut Site) -> Result<Done> {
    let lines: u32 = if in_vm() { 50_000 } else { 2_000_000 };
    let mut feed = String::new();
    for n in 0..lines - 1 {
        writeln!(feed, "{}", std::net::Ipv4Addr::from_bits(0x2900_0000 + n))?;
    }
    feed.push_str("127.66.66.70\n");
    fs::write(site.post.path("feed.txt"), feed)?;
    let start = Instant::now();
    let output = site.post.run(&["policy", "reload"])?;
    ensure!(output.status.success(), "reload: {}", stderr(&output));
    eprintln!("{lines} addresses are in force after {:?}", start.elapsed());
    ensure!(site.status()?["feeds"][0]["used"] == lines, "not all are used: {}", site.status()?["feeds"]);
    ensure!(site.attempt("127.66.66.70:1")?.is_denied(), "the last line is not enforced");
    ensure!(site.attempt("127.66.66.67:1")? == Attempt::Through, "another address is denied");
    Ok(Done::Passed)
}

fn second_guard(site: &mut Site) -> Result<Done> {
    let remedy = &["already runs", "--pin-dir", "--socket", "--state-dir"];
    expect(&site.post.daemon("enforce").output()?, 1, remedy).context("the same socket")?;
    ensure!(site.attempt("127.66.66.66:1")?.is_denied(), "the first guard's rule is gone");
    // At a post of its own a second guard is fine.
    let other = Post::at(&site.cgroup, POLICY)?;
    write_good(&other)?;
    let second = other.start("enforce")?;
    second.stop()?;
    ensure!(site.attempt("127.66.66.66:1")?.is_denied(), "the second took the first's rule with it");
    Ok(Done::Passed)
}

fn not_root(site: &mut Site) -> Result<Done> {
    let as_nobody = |arguments: &[&str]| -> Result<Output> {
        let command = site.post.command(arguments);
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
    expect(&as_nobody(&["status"])?, 3, &["root", "sudo"]).context("status")?;
    expect(&as_nobody(&["mode", "audit"])?, 3, &["root", "sudo"]).context("mode")?;
    expect(&as_nobody(&["unload"])?, 3, &["root"]).context("unload")?;
    ensure!(site.attempt("127.66.66.66:1")?.is_denied(), "somebody else ended enforcement");
    Ok(Done::Passed)
}
