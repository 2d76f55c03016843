//! Evidence becomes a case that an operator can read; what mines is killed in enforce and told in audit; who brings it
//! back is named.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    os::unix::{fs::PermissionsExt as _, process::ExitStatusExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Instant,
};

use anyhow::{Context as _, Result, ensure};
use libtest_mimic::Trial;
use miner_guard_tests::{
    PATIENCE,
    case::{Done, case},
    cgroup::Cgroup,
    guard::{Guard, Post},
    listener::Listener,
    program::{self, Then},
    route::{Attempt, Route},
    sandbox::SECOND_V6_LOOPBACK,
};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

const POOL: &str = "127.66.66.66:3333";
const DENIED: &str = "builtin = false\n[[rule]]\nid = \"pool\"\nip = [\"127.66.66.66\"]\naction = \"deny\"\n";
/// A shell that can connect by itself: a copy of it is the listed program here.
const SHELL: &str = "/bin/bash";

pub fn cases() -> Vec<Trial> {
    vec![
        case("a_denied_connect_makes_a_case_that_the_commands_tell", denied_connect),
        case("two_families_are_mining_and_it_is_killed_and_kept", || mining("enforce", "")),
        case("in_audit_mining_is_told_and_lives_on", || mining("audit", "")),
        case("a_policy_that_only_alerts_lets_a_miner_live", || {
            mining("enforce", "[respond]\nmining = \"alert\"\n")
        }),
        case("who_is_exempt_is_not_killed_for_mining", exempt),
        case("who_brings_a_miner_back_is_named", respawning),
        case("cases_outlive_the_daemon", outlive),
        case("where_a_confirmed_miner_talked_to_is_denied_to_all_until_it_is_forgotten", destination),
    ]
}

fn json(post: &Post, arguments: &[&str]) -> Result<Value> {
    let all: Vec<&str> = arguments.iter().copied().chain(["-o", "json"]).collect();
    let output = post.run(&all)?;
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "{arguments:?}: {}: {stderr}", output.status);
    serde_json::from_slice(&output.stdout).with_context(|| format!("{arguments:?}: not JSON"))
}

fn people(post: &Post, arguments: &[&str]) -> Result<String> {
    let output = post.run(arguments)?;
    ensure!(output.status.success(), "{arguments:?}: {}", output.status);
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn denied_connect() -> Result<Done> {
    let cgroup = Cgroup::new()?;
    let post = Post::at(&cgroup, DENIED)?;
    let mut guard = post.start("enforce")?;
    ensure!(people(&post, &["cases", "list"])? == "no open case\n", "a case out of nothing");
    let attempt = Route::UdpConnect.from_cgroup(&cgroup, POOL.parse()?)?;
    ensure!(attempt.is_denied(), "{attempt}");
    let event = guard.wait_event(|e| e["rule"]["id"] == "pool")?;
    let about = &event["miner_guard"]["case"];
    ensure!(about["class"] == "pool-contact", "{event}");
    let id = about["id"].as_str().context("no id")?;

    let list = json(&post, &["cases", "list"])?;
    let row = &list["cases"][0];
    ensure!(row["id"] == id && row["class"] == "pool-contact" && row["confidence"] == 0.5, "{list}");
    let told = people(&post, &["cases", "list"])?;
    ensure!(told.contains(id) && told.contains("pool-contact"), "{told}");
    let whole = json(&post, &["cases", "show", id])?;
    let reason = &whole["reasons"][0];
    ensure!(reason["family"] == "network" && reason["kind"] == "contact", "{whole}");
    ensure!(
        reason["text"]
            .as_str()
            .is_some_and(|t| t.starts_with("reached for 127.66.66.66:3333, listed by pool")),
        "{whole}"
    );
    ensure!(whole["timeline"].as_array().is_some_and(|t| t.len() == 2), "{whole}");
    let told = people(&post, &["cases", "show", id])?;
    ensure!(
        told.contains("reached for 127.66.66.66:3333") && told.contains("taken for pool-contact"),
        "{told}"
    );
    let nothing = post.run(&["cases", "show", "0-0"])?;
    ensure!(nothing.status.code() == Some(2), "a case that is not there: {}", nothing.status);
    guard.stop()?;
    Ok(Done::Passed)
}

/// A listed copy of the shell, and the policy that lists it.
fn listed(post: &Post, action: &str, more: &str) -> Result<PathBuf> {
    let path = post.path("listed");
    let mut bytes = fs::read(SHELL)?;
    // A file of its own, by its content.
    bytes.extend(post.path("").as_os_str().as_encoded_bytes());
    program::write(&path, &bytes)?;
    list(post, action, more)?;
    Ok(path)
}

/// The policy that lists it by its content.
fn list(post: &Post, action: &str, more: &str) -> Result<()> {
    let bytes = fs::read(post.path("listed"))?;
    let hash = Sha256::digest(&bytes).iter().map(|b| format!("{b:02x}")).collect::<String>();
    post.write_policy(&format!(
        "{DENIED}[[rule]]\nid = \"program\"\nsha256 = \"{hash}\"\naction = \"{action}\"\n{more}"
    ))
}

/// The listed program, which reaches for the pool when it is told a line, and then waits.
fn start(cgroup: &Cgroup, program: &Path) -> Result<Child> {
    let script = format!("echo up; read x; exec 3<>/dev/udp/{}; read x", POOL.replace(':', "/"));
    let mut command: Command = cgroup.command(program)?;
    command.args(["-c", &script]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn()?;
    let mut line = String::new();
    BufReader::new(child.stdout.take().context("no stdout")?).read_line(&mut line)?;
    ensure!(line == "up\n", "the program did not start: {line:?}");
    Ok(child)
}

fn reach_out(child: &mut Child) -> Result<()> {
    Ok(child.stdin.as_mut().context("no stdin")?.write_all(b"\n")?)
}

fn mining(mode: &str, more: &str) -> Result<Done> {
    if !Path::new(SHELL).exists() {
        return Ok(Done::Skipped(format!("there is no {SHELL}")));
    }
    let cgroup = Cgroup::new()?;
    let post = Post::at(&cgroup, "")?;
    let program = listed(&post, "alert", more)?;
    let mut guard = post.start(mode)?;
    let mut child = start(&cgroup, &program)?;
    let exec = guard.wait_event(|e| e["rule"]["id"] == "program")?;
    ensure!(exec["miner_guard"]["case"]["class"] == "miner-binary", "{exec}");
    reach_out(&mut child)?;
    let contact = guard.wait_event(|e| e["rule"]["id"] == "pool")?;
    ensure!(contact["miner_guard"]["case"]["class"] == "mining", "{contact}");
    let id = contact["miner_guard"]["case"]["id"].as_str().context("no id")?.to_owned();
    ensure!(exec["miner_guard"]["case"]["id"] == id.as_str(), "two cases: {exec}\n{contact}");

    let kills = mode == "enforce" && more.is_empty();
    let pid = child.id();
    let action = if kills { "process-killed" } else { "case-classified" };
    let told = guard.wait_event(|e| e["event"]["action"] == action && e["process"]["pid"] == pid)?;
    let about = &told["miner_guard"];
    let verdict = if more.is_empty() { "kill" } else { "alert" };
    ensure!(
        about["verdict"] == verdict && about["enforced"] == kills && about["reason"] == "mining",
        "{told}"
    );
    ensure!(about["evidence"].as_array().is_some_and(|e| e.len() == 2), "{told}");
    if kills {
        ensure!(child.wait()?.signal() == Some(libc::SIGKILL), "it was told to be killed and lives");
    } else {
        ensure!(child.try_wait()?.is_none(), "it was killed");
        let why = json(&post, &["explain", &format!("pid:{pid}")])?;
        ensure!(why["case"]["id"] == id.as_str() && why["case"]["class"] == "mining", "{why}");
        child.kill()?;
        child.wait()?;
    }
    let whole = until(|| {
        let whole = json(&post, &["cases", "show", &id])?;
        Ok(whole["timeline"].to_string().contains("evidence kept in").then_some(whole))
    })?;
    let done = if kills { "killed listed (pid" } else { "is mining" };
    ensure!(whole["timeline"].to_string().contains(done), "{whole}");
    bundle(&post, &id, pid, &program)?;
    guard.stop()?;
    Ok(Done::Passed)
}

/// Asks again until there is an answer: what a thread of the guard does has no event of its own.
fn until<T>(ask: impl Fn() -> Result<Option<T>>) -> Result<T> {
    let end = Instant::now() + PATIENCE;
    loop {
        match ask()? {
            Some(answer) => return Ok(answer),
            None => ensure!(Instant::now() < end, "it did not come"),
        }
    }
}

fn bundle(post: &Post, id: &str, pid: u32, program: &Path) -> Result<()> {
    let at = post.path("state/bundles").join(format!("{id}-{pid}"));
    for dir in [post.path("state/bundles"), at.clone()] {
        let mode =
            fs::metadata(&dir).with_context(|| dir.display().to_string())?.permissions().mode() & 0o777;
        ensure!(mode == 0o700, "{} has mode {mode:o}", dir.display());
    }
    ensure!(fs::read(at.join("exe"))? == fs::read(program)?, "the copy differs");
    ensure!(fs::metadata(at.join("exe"))?.permissions().mode() & 0o111 == 0, "the copy can be run");
    let about: Value = serde_json::from_slice(&fs::read(at.join("process.json"))?)?;
    ensure!(about["pid"] == pid && about["args"][1] == "-c", "{about}");
    Ok(())
}

fn exempt() -> Result<Done> {
    let cgroup = Cgroup::new()?;
    let post = Post::at(&cgroup, "")?;
    // In audit at first, so that there is a case; the allow comes before it would be killed.
    let program = listed(&post, "alert", "")?;
    let mut guard = post.start("audit")?;
    let mut child = start(&cgroup, &program)?;
    guard.wait_event(|e| e["rule"]["id"] == "program")?;
    list(&post, "alert", &format!("[[allow]]\nexe = \"{}\"\n", program.display()))?;
    people(&post, &["policy", "reload"])?;
    people(&post, &["mode", "enforce"])?;
    // It is exempt in the kernel too: another process of its job reaches out, and makes the case one of mining.
    // One that stays: of a process that is gone before the daemon looks, nothing says whose it was.
    let mut other = start(&cgroup, Path::new(SHELL))?;
    reach_out(&mut other)?;
    let pid = child.id();
    let spared = format!("pid {pid} was not killed: it is exempt (allow 1)");
    guard.wait_event(|e| e["message"].as_str().is_some_and(|m| m.contains(&spared)))?;
    ensure!(child.try_wait()?.is_none(), "an exempt program was killed");
    for mut one in [child, other] {
        one.kill()?;
        one.wait()?;
    }
    guard.stop()?;
    Ok(Done::Passed)
}

fn respawning() -> Result<Done> {
    let cgroup = Cgroup::new()?;
    let post = Post::at(&cgroup, "")?;
    let path = post.path("miner");
    let bytes = program::elf("respawning", Then::Wait);
    program::write(&path, &bytes)?;
    let hash = Sha256::digest(&bytes).iter().map(|b| format!("{b:02x}")).collect::<String>();
    post.write_policy(&format!(
        "builtin = false\n[[rule]]\nid = \"miner\"\nsha256 = \"{hash}\"\naction = \"deny\"\n"
    ))?;
    let mut guard = post.start("enforce")?;
    let script = format!("while :; do {}; sleep 0.1; done", path.display());
    let mut supervisor = cgroup
        .command("/bin/sh")?
        .args(["-c", &script])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let told = guard.wait_event(|e| e["event"]["action"] == "persistence-found");
    let pid = supervisor.id();
    supervisor.kill()?;
    supervisor.wait()?;
    let told = told?;
    let said = told["message"].as_str().context("no message")?;
    ensure!(said.contains(&format!("process {pid} (sh)")), "not named: {said}");
    ensure!(said.contains("while :"), "without its arguments: {said}");
    let id = told["miner_guard"]["case"]["id"].as_str().context("no case")?;
    let whole = people(&post, &["cases", "show", id])?;
    ensure!(whole.contains("came back") && whole.contains("miner-binary"), "{whole}");
    guard.stop()?;
    Ok(Done::Passed)
}

fn outlive() -> Result<Done> {
    let cgroup = Cgroup::new()?;
    let post = Post::at(&cgroup, DENIED)?;
    let mut guard = post.start("enforce")?;
    let reach = |guard: &mut Guard| -> Result<String> {
        ensure!(Route::UdpConnect.from_cgroup(&cgroup, POOL.parse()?)?.is_denied(), "not denied");
        let event = guard.wait_event(|e| e["rule"]["id"] == "pool")?;
        Ok(event["miner_guard"]["case"]["id"].as_str().context("no case")?.to_owned())
    };
    let id = reach(&mut guard)?;
    guard.stop()?;
    let guard = post.start("enforce")?;
    let whole = json(&post, &["cases", "show", &id])?;
    ensure!(whole["class"] == "pool-contact", "{whole}");
    let mode = fs::metadata(post.path("state/cases.jsonl"))?.permissions().mode() & 0o777;
    ensure!(mode == 0o600, "cases.jsonl has mode {mode:o}");
    guard.stop()?;
    Ok(Done::Passed)
}

fn destination() -> Result<Done> {
    if !Path::new(SHELL).exists() {
        return Ok(Done::Skipped(format!("there is no {SHELL}")));
    }
    let cgroup = Cgroup::new()?;
    let post = Post::at(&cgroup, "")?;
    let program = listed(&post, "alert", "")?;
    let mut guard = post.start("enforce")?;
    // Nobody lists it.
    let proxy = Listener::that_keeps((SECOND_V6_LOOPBACK, 0).into())?;
    let to = proxy.address();
    let elsewhere = || Route::NewCgroup.from_cgroup(&cgroup, to);
    ensure!(elsewhere()? == Attempt::Through, "before there was a miner");

    let opening = r#"{"id":1,"method":"mining.subscribe","params":["x/1.0"]}"#;
    let script = format!("exec 3<>/dev/tcp/{}/{}; echo '{opening}' >&3; read x", to.ip(), to.port());
    let mut command = cgroup.command(&program)?;
    let mut child = command.args(["-c", &script]).stdin(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    // `wait` would close it, and the miner end by itself.
    let _held = child.stdin.take();
    let event = guard.wait_event(|e| e["event"]["action"] == "address-learned")?;
    ensure!(event["message"].to_string().contains(&SECOND_V6_LOOPBACK.to_string()), "{event}");
    ensure!(event["miner_guard"]["evidence"].to_string().contains("denied to everyone"), "{event}");
    ensure!(child.wait()?.signal() == Some(libc::SIGKILL), "the miner lives");

    let denied = elsewhere()?;
    ensure!(denied.is_denied(), "another cgroup: {denied}");
    let told =
        guard.wait_event(|e| e["miner_guard"]["reason"] == "learned" && e["process"]["pid"].is_number())?;
    ensure!(told["rule"]["id"] == "learned", "{told}");
    let known = json(&post, &["feed", "learned"])?;
    ensure!(known["addresses"][0]["address"] == SECOND_V6_LOOPBACK.to_string(), "{known}");
    ensure!(known["addresses"][0]["denied"][0]["cgroup"] == "everyone", "{known}");
    ensure!(people(&post, &["feed", "list"])?.contains("learned"), "`feed list` does not name it");
    people(&post, &["feed", "forget", &SECOND_V6_LOOPBACK.to_string()])?;
    ensure!(elsewhere()? == Attempt::Through, "after it was forgotten");
    guard.stop()?;
    Ok(Done::Passed)
}
