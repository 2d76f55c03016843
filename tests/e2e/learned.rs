//! Where a denied name leads to is learned: denied to the cgroup that asked, and to nobody else.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, UdpSocket},
    os::unix::net::UnixStream,
    sync::Arc,
    thread::JoinHandle,
};

use anyhow::{Context as _, Result, ensure};
use libtest_mimic::Trial;
use miner_guard_tests::{
    case::{Done, case},
    cgroup::Cgroup,
    guard::{Guard, Post},
    listener::Listener,
    route::{Attempt, Route, client_hello},
    sandbox::SECOND_V6_LOOPBACK,
    work::{self, Waiting},
};
use serde_json::Value;

const SERVER: &str = "127.0.0.53:53";

pub fn cases() -> Vec<Trial> {
    vec![
        case("an_alias_over_a_denied_name_denies_its_address_to_who_asked", asked_and_denied),
        case("a_learned_address_survives_a_reload_and_is_forgotten_by_one_command", reload_and_forget),
        case("in_audit_a_learned_address_is_told_and_stays_open", audit),
        case("a_name_that_no_rule_denies_teaches_nothing", innocent),
        case("a_learned_address_is_denied_to_raw_sockets_and_to_what_was_connected_before", connected_before),
        case("tls_without_a_name_to_where_a_denied_name_led_is_told", nameless),
    ]
}

const POLICY: &str =
    "builtin = false\n[[rule]]\nid = \"pools\"\ndomain = [\"*.pool.example\"]\naction = \"deny\"\n";

/// A name server that knows one alias: `www.fine.example` → `eu.pool.example`, `www.other.example` → `eu.cdn.example`, each with
/// the second loopback address.
struct NameServer {
    socket: Arc<UdpSocket>,
    thread: Option<JoinHandle<()>>,
}

fn name(text: &str) -> Vec<u8> {
    let labels = text.split('.').flat_map(|label| std::iter::once(label.len() as u8).chain(label.bytes()));
    labels.chain([0]).collect()
}

fn record(owner: &str, kind: u8, data: &[u8]) -> Vec<u8> {
    [&name(owner)[..], &[0, kind, 0, 1, 0, 0, 1, 44, 0, data.len() as u8], data].concat()
}

impl NameServer {
    fn start() -> Result<Self> {
        let socket = Arc::new(UdpSocket::bind(SERVER).context("cannot be a name server")?);
        let serving = Arc::clone(&socket);
        let thread = std::thread::spawn(move || {
            let mut question = [0; 512];
            // Ends with the one-byte datagram that Drop sends.
            while let Ok((n, from)) = serving.recv_from(&mut question)
                && n > 12
            {
                let other = question[..n].windows(5).any(|w| w == b"other");
                let (asked, alias) = match other {
                    true => ("www.other.example", "eu.cdn.example"),
                    false => ("www.fine.example", "eu.pool.example"),
                };
                let mut answer = question[..n].to_vec();
                answer[2..8].copy_from_slice(&[0x81, 0x80, 0, 1, 0, 2]);
                answer.extend(record(asked, 5, &name(alias)));
                answer.extend(record(alias, 28, &SECOND_V6_LOOPBACK.octets()));
                // Who asked may have gone.
                let _ = serving.send_to(&answer, from);
            }
        });
        Ok(Self { socket, thread: Some(thread) })
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        if let Ok(to) = self.socket.local_addr() {
            // If it cannot be woken, the thread ends with the process.
            let woken = self.socket.send_to(b"!", to);
            if let (Ok(_), Some(thread)) = (woken, self.thread.take()) {
                let _ = thread.join();
            }
        }
    }
}

/// Everything that these tests need.
struct Site {
    cgroup: Cgroup,
    post: Post,
    guard: Guard,
    listener: Listener,
    _server: NameServer,
}

impl Site {
    fn new(mode: &str) -> Result<Self> {
        let cgroup = Cgroup::new()?;
        let post = Post::at(&cgroup, POLICY)?;
        let guard = post.start(mode)?;
        let listener = Listener::on(SECOND_V6_LOOPBACK.into())?;
        Ok(Self { cgroup, post, guard, listener, _server: NameServer::start()? })
    }

    fn ask(&self, question: &str) -> Result<()> {
        work::ask(&self.cgroup, SERVER.parse()?, question)
    }

    fn learned(&mut self) -> Result<Value> {
        self.guard.wait_event(|e| e["event"]["action"] == "address-learned")
    }

    fn to(&self) -> SocketAddr {
        self.listener.address()
    }

    fn attempt(&self, route: Route) -> Result<Attempt> {
        route.from_cgroup(&self.cgroup, self.to())
    }

    fn api(&self, method: &str, path: &str) -> Result<Value> {
        let mut stream = UnixStream::connect(self.post.path("api.sock"))?;
        write!(stream, "{method} {path} HTTP/1.1\r\nhost: guard\r\nconnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (_, body) = answer.split_once("\r\n\r\n").context("no answer of the API")?;
        serde_json::from_str(body).with_context(|| format!("{method} {path}: {answer}"))
    }

    fn said(&self, arguments: &[&str]) -> Result<String> {
        let output = self.post.run(arguments)?;
        let (said, wrong) = (
            String::from_utf8_lossy(&output.stdout).into_owned(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        );
        ensure!(output.status.success(), "{arguments:?}: {wrong}");
        Ok(said)
    }
}

fn asked_and_denied() -> Result<Done> {
    let mut site = Site::new("enforce")?;
    ensure!(site.attempt(Route::Tcp)? == Attempt::Through, "before the question");
    site.ask("www.fine.example")?;
    let event = site.learned()?;
    ensure!(event["dns"]["question"]["name"] == "www.fine.example", "{event}");
    ensure!(event["dns"]["resolved_ip"][0] == SECOND_V6_LOOPBACK.to_string(), "{event}");
    ensure!(
        event["rule"]["id"] == "pools" && event["threat"]["indicator"]["name"] == "*.pool.example",
        "{event}"
    );
    let denied = site.attempt(Route::Tcp)?;
    ensure!(denied.is_denied(), "who asked: {denied}");
    let told = site.guard.wait_event(|e| e["event"]["action"] == "connection-denied")?;
    ensure!(told["miner_guard"]["reason"] == "learned" && told["rule"]["id"] == "pools", "{told}");
    let why = told["threat"]["indicator"]["description"].as_str().unwrap_or_default();
    ensure!(why.contains("www.fine.example → eu.pool.example"), "{told}");
    // Another cgroup has not asked.
    let other = site.attempt(Route::NewCgroup)?;
    ensure!(other == Attempt::Through, "who did not ask: {other}");
    let explained = site.said(&["explain", &SECOND_V6_LOOPBACK.to_string()])?;
    ensure!(explained.contains("deny (learned)") && explained.contains("eu.pool.example"), "{explained}");
    // Told once.
    site.ask("www.fine.example")?;
    site.said(&["status"])?;
    let again = site.guard.events()?;
    ensure!(again.iter().all(|e| e["event"]["action"] != "address-learned"), "{again:?}");
    Ok(Done::Passed)
}

fn reload_and_forget() -> Result<Done> {
    let mut site = Site::new("enforce")?;
    site.ask("www.fine.example")?;
    site.learned()?;
    // The rule gets another number.
    let first = "[[rule]]\nid = \"first\"\nip = [\"192.0.2.1\"]\naction = \"deny\"\n";
    site.post.write_policy(&POLICY.replacen("[[rule]]", &format!("{first}[[rule]]"), 1))?;
    site.said(&["policy", "reload"])?;
    ensure!(site.attempt(Route::Tcp)?.is_denied(), "after a reload");
    let told = site.guard.wait_event(|e| e["event"]["action"] == "connection-denied")?;
    ensure!(told["rule"]["id"] == "pools", "{told}");
    let listed = site.api("GET", "/v1/learned")?;
    ensure!(listed["addresses"][0]["cause"] == "*.pool.example", "{listed}");
    let feeds = site.said(&["feed", "list"])?;
    ensure!(feeds.contains("learned"), "{feeds}");
    let forgotten = site.said(&["feed", "forget", &SECOND_V6_LOOPBACK.to_string()])?;
    ensure!(forgotten == "1 address is forgotten\n", "{forgotten}");
    ensure!(site.attempt(Route::Tcp)? == Attempt::Through, "after it was forgotten");
    Ok(Done::Passed)
}

fn audit() -> Result<Done> {
    let mut site = Site::new("audit")?;
    site.ask("www.fine.example")?;
    site.learned()?;
    ensure!(site.attempt(Route::Tcp)? == Attempt::Through, "audit stops nothing");
    let told = site.guard.wait_event(|e| e["event"]["action"] == "connection-would-be-denied")?;
    ensure!(told["miner_guard"]["reason"] == "learned", "{told}");
    Ok(Done::Passed)
}

fn connected_before() -> Result<Done> {
    let mut site = Site::new("enforce")?;
    let listener = TcpListener::bind((SECOND_V6_LOOPBACK, 0))?;
    let near = Waiting::on(&site.cgroup, listener.local_addr()?, b"")?;
    let (mut far, _) = listener.accept()?;
    // Its packets are judged before: what passed must not pass for ever.
    let kept = Listener::that_keeps((SECOND_V6_LOOPBACK, 0).into())?;
    let held = Route::TcpBefore.start(&site.cgroup, kept.address())?;
    let raw = site.attempt(Route::RawV6)?;
    ensure!(raw == Attempt::Through, "before the question: {raw}");
    site.ask("www.fine.example")?;
    site.learned()?;
    let raw = site.attempt(Route::RawV6)?;
    ensure!(raw.is_denied(), "a raw socket: {raw}");
    let held = held.finish()?;
    ensure!(held.is_stopped(), "what was connected before: {held}");
    if miner_guard_tests::case::in_vm() {
        return Ok(Done::Passed);
    }
    let port = listener.local_addr()?.port();
    let told = site
        .guard
        .wait_event(|e| e["event"]["action"] == "connection-closed" && e["destination"]["port"] == port)?;
    ensure!(told["miner_guard"]["reason"] == "learned" && told["rule"]["id"] == "pools", "{told}");
    // Fails when it is gone already.
    let _ = far.write_all(b"!");
    let ended = near.end()?;
    ensure!(ended.errno == libc::ECONNABORTED, "{ended:?}");
    Ok(Done::Passed)
}

fn nameless() -> Result<Done> {
    let mut site = Site::new("enforce")?;
    let hello = client_hello("");
    let listener = TcpListener::bind((SECOND_V6_LOOPBACK, 0))?;
    let to = listener.local_addr()?;
    let say = |cgroup: &Cgroup| work::say(cgroup, to, &hello, hello.len());
    say(&site.cgroup)?;
    let asker = site.cgroup.below()?;
    work::ask(&asker, SERVER.parse()?, "www.fine.example")?;
    site.learned()?;
    ensure!(site.guard.events()?.is_empty(), "told before it was suspect");
    say(&site.cgroup)?;
    let told = site.guard.wait_event(|e| e["destination"]["port"] == to.port())?;
    ensure!(
        told["event"]["action"] == "connection-alerted"
            && told["miner_guard"]["reason"] == "no-server-name"
            && told["rule"]["id"] == "pools",
        "{told}"
    );
    Ok(Done::Passed)
}

fn innocent() -> Result<Done> {
    let mut site = Site::new("enforce")?;
    site.ask("www.other.example")?;
    // Answers are read in their order: what the second one teaches comes after what the first would have taught.
    site.ask("www.fine.example")?;
    let event = site.learned()?;
    ensure!(event["dns"]["question"]["name"] == "www.fine.example", "{event}");
    Ok(Done::Passed)
}
