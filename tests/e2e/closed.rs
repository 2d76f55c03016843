//! A connection that is open to what is denied is ended, and what is cut is reset: its program hears of it at once.

use std::{
    io::Write as _,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use libtest_mimic::Trial;
use miner_guard_tests::{
    case::{Done, case},
    cgroup::Cgroup,
    guard::{Guard, Post},
    route::{NAME, OPENING, client_hello},
    work::{Answered, Waiting},
};
use serde_json::Value;

const DENIED: Ipv4Addr = Ipv4Addr::new(127, 66, 66, 66);
const OTHER: Ipv4Addr = Ipv4Addr::new(127, 66, 66, 67);
/// From the moment that it is denied to the error of read().
const AT_ONCE: Duration = Duration::from_secs(1);

pub fn cases() -> Vec<Trial> {
    vec![
        case("a_connection_that_is_open_is_ended_when_its_rule_comes", ended_by_a_rule),
        case("a_connection_that_is_open_is_told_in_audit_and_ended_by_enforce", ended_by_the_mode),
        case("a_connection_that_is_open_is_ended_when_the_guard_comes", ended_at_the_start),
        case("a_connection_that_is_open_in_another_network_namespace_is_ended", ended_elsewhere),
        case("a_connection_that_is_open_stays_for_whom_the_allowlist_names", exempt),
        case("a_connection_to_a_denied_port_is_ended_and_what_is_allowed_stays_open", allowed),
        case("a_mining_session_is_reset_within_a_second", || reset(OPENING)),
        case("a_denied_name_in_tls_is_reset_within_a_second", || reset(&client_hello(NAME))),
        case("a_mining_session_in_another_network_namespace_is_reset_within_a_second", reset_elsewhere),
        case("in_audit_a_mining_session_is_not_reset", not_reset),
    ]
}

const NOTHING: &str = "builtin = false\n";

fn policy() -> String {
    format!("{NOTHING}[[rule]]\nid = \"new\"\nip = [\"{DENIED}\"]\naction = \"deny\"\n")
}

/// The two ends of a connection from a cgroup.
struct Open {
    near: Waiting,
    far: TcpStream,
    to: SocketAddr,
}

impl Open {
    fn to(ip: Ipv4Addr, cgroup: &Cgroup) -> Result<Self> {
        Self::and_say(ip, cgroup, b"")
    }

    fn and_say(ip: Ipv4Addr, cgroup: &Cgroup, payload: &[u8]) -> Result<Self> {
        let listener = TcpListener::bind((ip, 0))?;
        let to = listener.local_addr()?;
        let near = Waiting::on(cgroup, to, payload)?;
        Ok(Self { near, far: listener.accept()?.0, to })
    }

    /// What its process hears once the other end answers.
    fn answer(mut self) -> Result<Answered> {
        self.far.write_all(b"!")?;
        self.near.end()
    }

    fn is(&self, event: &Value) -> bool {
        event["destination"]["port"] == self.to.port()
            && event["destination"]["ip"] == self.to.ip().to_string()
    }
}

/// Waits for the event of a connection, and compares what it says.
fn told(guard: &mut Guard, open: &Open, action: &str, enforced: bool) -> Result<()> {
    let event = guard.wait_event(|e| e["event"]["action"] == action && open.is(e))?;
    let wanted = [
        ("/process/pid", open.near.pid().into()),
        ("/rule/id", "new".into()),
        ("/miner_guard/op", "open".into()),
        ("/miner_guard/enforced", enforced.into()),
        ("/miner_guard/reason", "address".into()),
        ("/miner_guard/verdict", "deny".into()),
    ];
    for (field, wanted) in wanted {
        ensure!(event.pointer(field) == Some(&wanted), "{field} should be {wanted}: {event}");
    }
    let by = event.pointer("/miner_guard/stopped_by");
    ensure!(by == enforced.then_some(&"daemon".into()), "stopped by: {event}");
    Ok(())
}

fn said(post: &Post, arguments: &[&str]) -> Result<()> {
    let output = post.run(arguments)?;
    ensure!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

fn aborted(ended: Answered) -> Result<()> {
    ensure!(ended.errno == libc::ECONNABORTED, "read() should fail with ECONNABORTED: {ended:?}");
    Ok(())
}

/// Whether this kernel ends sockets at all; if not, why.
fn cannot(post: &Post) -> Result<Option<Done>> {
    let output = post.run(&["doctor", "-o", "json"])?;
    let found: Value = serde_json::from_slice(&output.stdout).context("doctor wrote no JSON")?;
    let why = found["open"]["how"].as_str().context("doctor says nothing of open connections")?;
    Ok((found["open"]["proven"] != true).then(|| Done::Skipped(why.to_owned())))
}

fn ended_by_a_rule() -> Result<Done> {
    let (cgroup, outside) = (Cgroup::new()?, Cgroup::new()?);
    let post = Post::at(&cgroup, NOTHING)?;
    if let Some(skipped) = cannot(&post)? {
        return Ok(skipped);
    }
    let mut guard = post.start("enforce")?;
    let denied = Open::to(DENIED, &cgroup)?;
    let other = Open::to(OTHER, &cgroup)?;
    let not_guarded = Open::to(DENIED, &outside)?;
    post.write_policy(&policy())?;
    said(&post, &["policy", "reload"])?;
    told(&mut guard, &denied, "connection-closed", true)?;
    aborted(denied.near.end()?)?;
    for (open, what) in [(other, "no rule names its peer"), (not_guarded, "it is outside the guarded cgroup")]
    {
        let answered = open.answer()?;
        ensure!(answered.errno == 0, "{what}: {answered:?}");
    }
    Ok(Done::Passed)
}

fn ended_by_the_mode() -> Result<Done> {
    let cgroup = Cgroup::new()?;
    let post = Post::at(&cgroup, NOTHING)?;
    if let Some(skipped) = cannot(&post)? {
        return Ok(skipped);
    }
    let mut guard = post.start("audit")?;
    let (first, second) = (Open::to(DENIED, &cgroup)?, Open::to(DENIED, &cgroup)?);
    post.write_policy(&policy())?;
    said(&post, &["policy", "reload"])?;
    told(&mut guard, &first, "connection-would-be-closed", false)?;
    let answered = first.answer()?;
    ensure!(answered.errno == 0, "audit ended it: {answered:?}");
    said(&post, &["mode", "enforce"])?;
    told(&mut guard, &second, "connection-closed", true)?;
    aborted(second.near.end()?)?;
    Ok(Done::Passed)
}

fn ended_at_the_start() -> Result<Done> {
    let cgroup = Cgroup::new()?;
    let post = Post::at(&cgroup, &policy())?;
    if let Some(skipped) = cannot(&post)? {
        return Ok(skipped);
    }
    let open = Open::to(DENIED, &cgroup)?;
    let mut guard = post.start("enforce")?;
    told(&mut guard, &open, "connection-closed", true)?;
    aborted(open.near.end()?)?;
    Ok(Done::Passed)
}

fn ended_elsewhere() -> Result<Done> {
    let cgroup = Cgroup::new()?;
    let post = Post::at(&cgroup, NOTHING)?;
    if let Some(skipped) = cannot(&post)? {
        return Ok(skipped);
    }
    let mut guard = post.start("enforce")?;
    let near = Waiting::elsewhere(&cgroup, (DENIED, 0).into(), b"")?;
    post.write_policy(&policy())?;
    said(&post, &["policy", "reload"])?;
    let pid = near.pid();
    guard.wait_event(|e| e["event"]["action"] == "connection-closed" && e["process"]["pid"] == pid)?;
    aborted(near.end()?)?;
    Ok(Done::Passed)
}

fn exempt() -> Result<Done> {
    let cgroup = Cgroup::new()?;
    let post = Post::at(&cgroup, NOTHING)?;
    if let Some(skipped) = cannot(&post)? {
        return Ok(skipped);
    }
    let mut guard = post.start("enforce")?;
    let own = std::env::current_exe()?;
    let copy = post.path("copy");
    std::fs::copy(&own, &copy)?;
    let exempt = Open::to(DENIED, &cgroup)?;
    let listener = TcpListener::bind((DENIED, 0))?;
    let near = Waiting::by(&copy, &cgroup, listener.local_addr()?)?;
    let other = Open { near, far: listener.accept()?.0, to: listener.local_addr()? };
    post.write_policy(&format!("{}[[allow]]\nexe = \"{}\"\n", policy(), own.display()))?;
    said(&post, &["policy", "reload"])?;
    told(&mut guard, &other, "connection-closed", true)?;
    aborted(other.near.end()?)?;
    let answered = exempt.answer()?;
    ensure!(answered.errno == 0, "it is exempt: {answered:?}");
    Ok(Done::Passed)
}

fn allowed() -> Result<Done> {
    let cgroup = Cgroup::new()?;
    let post = Post::at(&cgroup, NOTHING)?;
    if let Some(skipped) = cannot(&post)? {
        return Ok(skipped);
    }
    let mut guard = post.start("enforce")?;
    let child = cgroup.below()?;
    let exempt = Open::to(DENIED, &child)?;
    let protected = Open::to(OTHER, &cgroup)?;
    let port = Open::to(Ipv4Addr::LOCALHOST, &cgroup)?;
    let name = |cgroup: &Cgroup| cgroup.path().file_name().unwrap_or_default().display().to_string();
    post.write_policy(&format!(
        "{NOTHING}[[rule]]\nid = \"new\"\nip = [\"{DENIED}\", \"{OTHER}\"]\naction = \"deny\"\n\
         [[rule]]\nid = \"port\"\nport = [{}]\naction = \"deny\"\n\
         [[allow]]\nip = [\"{OTHER}\"]\n\
         [[allow]]\ncgroup = \"/{}/{}\"\n",
        port.to.port(),
        name(&cgroup),
        name(&child),
    ))?;
    said(&post, &["policy", "reload"])?;
    let event = guard.wait_event(|e| e["event"]["action"] == "connection-closed")?;
    ensure!(port.is(&event) && event["miner_guard"]["reason"] == "port", "{event}");
    aborted(port.near.end()?)?;
    for (open, what) in [(exempt, "its cgroup is exempt"), (protected, "its peer is allowed")] {
        let answered = open.answer()?;
        ensure!(answered.errno == 0, "{what}: {answered:?}");
    }
    Ok(Done::Passed)
}

fn names() -> String {
    format!("{NOTHING}[[rule]]\nid = \"name\"\ndomain = [\"{NAME}\"]\naction = \"deny\"\n")
}

fn reset(payload: &[u8]) -> Result<Done> {
    let cgroup = Cgroup::new()?;
    let post = Post::at(&cgroup, &names())?;
    if let Some(skipped) = cannot(&post)? {
        return Ok(skipped);
    }
    let mut guard = post.start("enforce")?;
    let open = Open::and_say(OTHER, &cgroup, payload)?;
    let event = guard.wait_event(|e| e["event"]["action"] == "connection-denied" && open.is(e))?;
    ensure!(event["miner_guard"]["op"] == "egress", "{event}");
    let ended = open.near.end()?;
    aborted(ended)?;
    ensure!(ended.after < AT_ONCE, "it took {:?}", ended.after);
    // The other end is told, too.
    open.far.set_read_timeout(Some(AT_ONCE))?;
    let heard = std::io::Read::read(&mut &open.far, &mut [0]);
    ensure!(
        heard.as_ref().is_err_and(|e| e.kind() == std::io::ErrorKind::ConnectionReset),
        "the peer should get a reset: {heard:?}"
    );
    Ok(Done::Passed)
}

fn reset_elsewhere() -> Result<Done> {
    let cgroup = Cgroup::new()?;
    let post = Post::at(&cgroup, NOTHING)?;
    if let Some(skipped) = cannot(&post)? {
        return Ok(skipped);
    }
    let guard = post.start("enforce")?;
    let ended = Waiting::elsewhere(&cgroup, (OTHER, 0).into(), OPENING)?.end()?;
    aborted(ended)?;
    ensure!(ended.after < AT_ONCE, "it took {:?}", ended.after);
    guard.stop()?;
    Ok(Done::Passed)
}

fn not_reset() -> Result<Done> {
    let cgroup = Cgroup::new()?;
    let post = Post::at(&cgroup, NOTHING)?;
    let mut guard = post.start("audit")?;
    let open = Open::and_say(OTHER, &cgroup, OPENING)?;
    guard.wait_event(|e| e["event"]["action"] == "connection-would-be-denied" && open.is(e))?;
    let answered = open.answer()?;
    ensure!(answered.errno == 0, "audit ended it: {answered:?}");
    Ok(Done::Passed)
}
