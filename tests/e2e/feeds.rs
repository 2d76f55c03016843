//! Feeds of a running guard: taken up when they change, never replaced by worse ones, and counted.

use std::{fs, os::unix::fs::DirBuilderExt as _, process::Output};

use anyhow::{Context as _, Result, ensure};
use libtest_mimic::Trial;
use miner_guard_tests::{
    case::{Done, case},
    cgroup::Cgroup,
    guard::{Guard, Post},
    https::Https,
    route::{Attempt, Route},
};
use serde_json::Value;

const FILE: &str = "builtin = false\n[[feed]]\nid = \"f\"\npath = \"feed.txt\"\n";
const DIRECTORY: &str = "builtin = false\n[[feed]]\nid = \"d\"\npath = \"feeds\"\n";

pub fn cases() -> Vec<Trial> {
    vec![
        case("a_changed_directory_of_feeds_is_taken_up_by_the_running_guard", directory),
        case("a_worse_feed_is_refused_without_force_and_survives_a_restart", worse),
        case("a_feed_is_fetched_by_https_once_a_version_and_kept_for_the_next_start", url),
        case("the_feed_list_counts_hits_and_explain_names_the_line", hits),
        case("feed_verify_tells_good_from_bad_without_a_guard", verify),
        case("events_and_captures_are_replayed_against_the_policy", replay),
    ]
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn json(output: &Output) -> Result<Value> {
    serde_json::from_slice(&output.stdout).with_context(|| said(output))
}

fn feed_of(post: &Post, id: &str) -> Result<Value> {
    let list = json(&post.run(&["feed", "list", "-o", "json"])?)?;
    let feeds = list["feeds"].as_array().context("no feeds")?;
    feeds.iter().find(|f| f["id"] == id).cloned().with_context(|| format!("no feed {id}: {list}"))
}

fn attempt(cgroup: &Cgroup, to: &str) -> Result<Attempt> {
    Route::UdpConnect.from_cgroup(cgroup, to.parse()?)
}

fn wait(guard: &mut Guard, action: &str) -> Result<Value> {
    guard.wait_event(|event| event["event"]["action"] == action)
}

fn directory() -> Result<Done> {
    let cgroup = Cgroup::new()?;
    let post = Post::at(&cgroup, DIRECTORY)?;
    let dir = post.path("feeds");
    fs::DirBuilder::new().mode(0o700).create(&dir)?;
    fs::write(dir.join("a.txt"), "127.66.66.66\n")?;
    let mut guard = post.start("enforce")?;
    ensure!(attempt(&cgroup, "127.66.66.66:1")?.is_denied(), "the directory was not read");
    ensure!(attempt(&cgroup, "127.66.66.67:1")? == Attempt::Through, "nobody lists this");

    // Written under another name and moved, as tools do; and a policy file that is just being edited.
    post.write_policy("builtin = fal")?;
    let bundle = r#"{"type":"bundle","id":"bundle--1","objects":[{"type":"indicator","id":"indicator--1","name":"x","pattern_type":"stix","pattern":"[ipv4-addr:value = '127.66.66.67']"}]}"#;
    fs::write(dir.join(".new"), bundle)?;
    fs::rename(dir.join(".new"), dir.join("b.json"))?;
    let event = wait(&mut guard, "feed-updated")?;
    ensure!(event["message"].as_str().is_some_and(|m| m.contains("d has 2 indicators")), "{event}");
    ensure!(attempt(&cgroup, "127.66.66.67:1")?.is_denied(), "the new file is not in force");
    ensure!(attempt(&cgroup, "127.66.66.66:1")?.is_denied(), "the old file went");
    let explain = said(&post.run(&["explain", "127.66.66.67"])?);
    ensure!(explain.contains("b.json:1: indicator--1"), "{explain}");

    // All gone: what was in force stays, and that is told. (A stop waits for the copy.)
    guard.stop()?;
    post.write_policy(DIRECTORY)?;
    let mut guard = post.start("enforce")?;
    fs::remove_dir_all(&dir)?;
    let event = wait(&mut guard, "feed-refused")?;
    ensure!(event["miner_guard"]["evidence"].to_string().contains("feeds"), "{event}");
    ensure!(attempt(&cgroup, "127.66.66.66:1")?.is_denied(), "an empty directory opened the way");
    ensure!(attempt(&cgroup, "127.66.66.67:1")?.is_denied(), "an empty directory opened the way");

    // And back.
    fs::DirBuilder::new().mode(0o700).create(&dir)?;
    fs::write(dir.join("c.txt"), "127.66.66.68\n127.66.66.69\n")?;
    wait(&mut guard, "feed-updated")?;
    ensure!(attempt(&cgroup, "127.66.66.68:1")?.is_denied(), "the directory is back and not read");
    guard.stop()?;
    Ok(Done::Passed)
}

fn worse() -> Result<Done> {
    let cgroup = Cgroup::new()?;
    let post = Post::at(&cgroup, FILE)?;
    let path = post.path("feed.txt");
    let many: String = (60..70).map(|n| format!("127.66.66.{n}\n")).collect();
    fs::write(&path, &many)?;
    // A copy is kept of what was read: a stop waits for it.
    post.start("enforce")?.stop()?;
    let guard = post.start("enforce")?;
    fs::write(&path, "127.66.66.60\n")?;
    let output = post.run(&["feed", "update", "f"])?;
    ensure!(
        output.status.code() == Some(1) && said(&output).contains("more than half are gone"),
        "{}",
        said(&output)
    );
    ensure!(attempt(&cgroup, "127.66.66.66:1")?.is_denied(), "a shrunken feed was taken up");
    ensure!(post.run(&["feed", "update", "nonesuch"])?.status.code() == Some(2), "an unknown feed");
    guard.stop()?;

    // After a restart nobody remembers but the state directory.
    for content in [Some("127.66.66.60\n"), Some(""), None] {
        match content {
            Some(content) => fs::write(&path, content)?,
            None => fs::remove_file(&path)?,
        }
        let guard = post.start("enforce")?;
        ensure!(attempt(&cgroup, "127.66.66.66:1")?.is_denied(), "{content:?} replaced the good feed");
        let feed = feed_of(&post, "f")?;
        ensure!(feed["copy"] == true && feed["used"] == 10, "{feed}");
        guard.stop()?;
    }

    fs::write(&path, &many)?;
    let guard = post.start("enforce")?;
    ensure!(feed_of(&post, "f")?["copy"] == false, "the good feed is back");
    fs::write(&path, "127.66.66.60\n")?;
    let output = post.run(&["feed", "update", "f", "--force"])?;
    ensure!(output.status.success() && said(&output).contains("1 indicator used"), "{}", said(&output));
    ensure!(attempt(&cgroup, "127.66.66.60:1")?.is_denied(), "the forced feed is not in force");
    ensure!(attempt(&cgroup, "127.66.66.66:1")? == Attempt::Through, "the old feed is still in force");
    guard.stop()?;
    Ok(Done::Passed)
}

fn url() -> Result<Done> {
    let server = Https::start()?;
    server.serve("/pools.txt", "v1", "127.66.66.66\n127.66.66.67\n");
    let cgroup = Cgroup::new()?;
    let post = Post::at(&cgroup, "")?;
    fs::write(post.path("ca.pem"), server.authority())?;
    let policy = |path: &str| {
        format!("builtin = false\n[[feed]]\nid = \"u\"\nurl = \"{}\"\nca = \"ca.pem\"\n", server.url(path))
    };
    post.write_policy(&policy("/pools.txt"))?;
    let mut guard = post.start("enforce")?;
    // It fetches what it never had by itself.
    wait(&mut guard, "feed-updated")?;
    ensure!(attempt(&cgroup, "127.66.66.66:1")?.is_denied(), "what was fetched is not in force");
    let output = post.run(&["feed", "update"])?;
    ensure!(output.status.success() && said(&output).contains("unchanged"), "{}", said(&output));
    server.serve("/pools.txt", "v2", "<html>come back later</html>\n");
    let output = post.run(&["feed", "update", "u"])?;
    ensure!(output.status.code() == Some(1) && said(&output).contains("lists nothing"), "{}", said(&output));
    ensure!(attempt(&cgroup, "127.66.66.66:1")?.is_denied(), "a page of HTML replaced the feed");
    server.serve("/pools.txt", "v3", "127.66.66.67\n127.66.66.68\n");
    let output = post.run(&["feed", "update", "u", "-o", "json"])?;
    ensure!(json(&output)?["feeds"][0]["outcome"] == "updated", "{}", said(&output));
    ensure!(attempt(&cgroup, "127.66.66.68:1")?.is_denied(), "the new version is not in force");
    ensure!(attempt(&cgroup, "127.66.66.66:1")? == Attempt::Through, "the old version is still in force");
    let statuses: Vec<u16> = server.asked().into_iter().map(|(_, status)| status).collect();
    ensure!(statuses == [200, 304, 200, 200], "{statuses:?}");
    let explain = said(&post.run(&["explain", "127.66.66.68"])?);
    ensure!(explain.contains(&format!("{}:2: 127.66.66.68", server.url("/pools.txt"))), "{explain}");
    guard.stop()?;

    // The next start needs no network.
    let guard = post.start("enforce")?;
    ensure!(attempt(&cgroup, "127.66.66.68:1")?.is_denied(), "the copy was not used");
    ensure!(server.asked().is_empty(), "it asked again before its time");
    guard.stop()?;
    Ok(Done::Passed)
}

fn hits() -> Result<Done> {
    let cgroup = Cgroup::new()?;
    let post = Post::at(&cgroup, FILE)?;
    fs::write(post.path("feed.txt"), "# a comment\n127.66.66.66\nnonsense here\n")?;
    let mut guard = post.start("enforce")?;
    let before = feed_of(&post, "f")?;
    ensure!(before["hits"] == 0 && before["last_hit"].is_null() && before["refused"] == 1, "{before}");
    ensure!(before["age_s"].as_u64().is_some_and(|age| age < 600), "{before}");
    ensure!(attempt(&cgroup, "127.66.66.66:1")?.is_denied(), "it is not denied");
    guard.wait_event(|event| event["rule"]["id"] == "f")?;
    let after = feed_of(&post, "f")?;
    ensure!(after["hits"] == 1 && after["last_hit"].is_string(), "{after}");
    let text = said(&post.run(&["feed", "list"])?);
    ensure!(text.contains("LAST HIT") && text.contains("line 3: nonsense here"), "{text}");
    let explain = said(&post.run(&["explain", "127.66.66.66"])?);
    ensure!(explain.contains("feed.txt:2: 127.66.66.66"), "{explain}");
    guard.stop()?;
    Ok(Done::Passed)
}

fn verify() -> Result<Done> {
    let post = Post::at(&Cgroup::new()?, &format!("{FILE}[[feed]]\nid = \"g\"\npath = \"none.txt\"\n"))?;
    fs::write(post.path("feed.txt"), "127.66.66.66\n")?;
    let config = post.path("config.toml").display().to_string();
    let output = post.run(&["feed", "verify", "--config", &config])?;
    let text = said(&output);
    ensure!(output.status.code() == Some(1), "{}: {text}", output.status);
    ensure!(text.contains("f  good") && text.contains("g  bad") && text.contains("none.txt"), "{text}");
    let output = post.run(&["feed", "verify", "f", "--config", &config, "-o", "json"])?;
    ensure!(output.status.success() && json(&output)?[0]["ok"] == true, "{}", said(&output));
    Ok(Done::Passed)
}

fn replay() -> Result<Done> {
    let cgroup = Cgroup::new()?;
    let post = Post::at(
        &cgroup,
        "builtin = false\n[[rule]]\nid = \"r\"\nip = [\"127.66.66.66\"]\naction = \"alert\"\n",
    )?;
    let mut guard = post.start("audit")?;
    attempt(&cgroup, "127.66.66.66:3333")?;
    let event = guard.wait_event(|event| event["rule"]["id"] == "r")?;
    guard.stop()?;
    fs::write(post.path("events"), format!("{event}\n"))?;
    let (events, config) =
        (post.path("events").display().to_string(), post.path("config.toml").display().to_string());
    let arguments = ["replay", &events, "--config", &config];
    let output = post.run(&arguments)?;
    ensure!(
        output.status.code() == Some(0) && said(&output).contains("alert"),
        "{}: {}",
        output.status,
        said(&output)
    );
    // The policy that the site thinks of.
    post.write_policy("builtin = false\n[[rule]]\nid = \"strict\"\nport = [3333]\naction = \"deny\"\n")?;
    let output = post.run(&arguments)?;
    ensure!(output.status.code() == Some(1), "{}: {}", output.status, said(&output));
    ensure!(
        said(&output).contains("would deny") && said(&output).contains("rule strict"),
        "{}",
        said(&output)
    );
    let output = post.run(&["replay", &config, "--config", &config])?;
    ensure!(
        output.status.code() == Some(2) && said(&output).contains("neither a capture"),
        "{}",
        said(&output)
    );
    Ok(Done::Passed)
}
