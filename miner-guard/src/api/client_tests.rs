//! The client and the server together, over a real socket.

use super::*;
use crate::api::samples::{FakeGuard, news, status};
use std::os::unix::net::UnixListener;

fn client(guard: &FakeGuard) -> Client {
    Client::new(&guard.socket())
}

fn now() -> Option<Instant> {
    Some(Instant::now() + Duration::from_secs(20))
}

/// A program that answers every request with these bytes, and closes.
fn impostor(answer: &'static [u8]) -> (tempfile::TempDir, Client) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("api.sock");
    let listener = UnixListener::bind(&path).unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = [0; 4096];
        let _ = stream.read(&mut request);
        let _ = stream.write_all(answer);
    });
    (dir, Client::new(&path))
}

#[test]
fn the_status_comes_back_as_it_was_sent() {
    let guard = FakeGuard::start();
    assert_eq!(client(&guard).status().unwrap(), Status { mode: Mode::Audit, ..status() });
}

#[test]
fn the_mode_is_changed_and_read_back() {
    let guard = FakeGuard::start();
    let client = client(&guard);
    assert_eq!(client.mode().unwrap().mode, Mode::Audit);
    let reply = client.set_mode(Mode::Enforce).unwrap();
    assert_eq!((reply.mode, reply.changed), (Mode::Enforce, true));
    assert!(!client.set_mode(Mode::Enforce).unwrap().changed);
    assert_eq!(client.mode().unwrap().mode, Mode::Enforce);
}

#[test]
fn errors_of_a_reload_arrive_entire() {
    let guard = FakeGuard::start();
    let Err(ClientError::Refused(failure)) = client(&guard).reload() else { panic!("not refused") };
    assert_eq!(failure.kind, FailureKind::Policy);
    assert_eq!(failure.errors.len(), 2);
}

#[test]
fn a_hostile_thing_arrives_as_it_was_asked() {
    let guard = FakeGuard::start();
    for thing in ["192.0.2.7:3333", "/tmp/a b&c=d%00\r\nX: y", "pool.example.org", "ü\u{202e}"] {
        assert_eq!(client(&guard).explain(thing).unwrap().thing, thing);
    }
    assert!(
        matches!(client(&guard).explain("?"), Err(ClientError::Refused(f)) if f.kind == FailureKind::Request)
    );
    assert!(
        matches!(client(&guard).explain(""), Err(ClientError::Refused(f)) if f.kind == FailureKind::Request)
    );
}

#[test]
fn rules_differences_and_figures_are_told() {
    let guard = FakeGuard::start();
    assert_eq!(client(&guard).policy().unwrap().rules.len(), 1);
    assert_eq!(client(&guard).diff().unwrap().added, ["new"]);
    assert!(client(&guard).metrics().unwrap().contains("miner_guard_generation 7"));
}

#[test]
fn a_wrong_path_method_or_body_is_refused_with_a_reason() {
    let guard = FakeGuard::start();
    let client = client(&guard);
    for (method, target, body) in [
        ("GET", "/v2/status", None),
        ("DELETE", "/v1/policy", None),
        ("PUT", "/v1/mode", Some("{\"mode\":\"off\"}")),
        ("PUT", "/v1/mode", Some("{\"mode\":\"audit\",\"for\":3}")),
        ("PUT", "/v1/mode", Some("audit")),
        ("GET", "/v1/explain", None),
    ] {
        let Err(ClientError::Refused(f)) = client.whole(method, target, body) else {
            panic!("{method} {target} {body:?} was not refused")
        };
        assert_eq!(f.kind, FailureKind::Request, "{method} {target}: {f:?}");
    }
    let long = format!("/v1/explain?thing={}", "a".repeat(17_000));
    assert!(client.whole("GET", &long, None).is_err());
    let fat = "a".repeat(100_000);
    assert!(client.whole("PUT", "/v1/mode", Some(&fat)).is_err());
    assert!(client.status().is_ok());
}

fn message(line: Option<String>) -> String {
    let line: serde_json::Value = serde_json::from_str(&line.unwrap()).unwrap();
    line.pointer("/message").unwrap().as_str().unwrap().to_owned()
}

#[test]
fn an_event_set_off_after_the_stream_opened_is_seen() {
    let guard = FakeGuard::start();
    let mut events = client(&guard).events(Look::Json).unwrap();
    guard.hub.publish(news("one"));
    guard.hub.publish(news("two"));
    assert_eq!(message(events.next(now()).unwrap()), "one");
    assert_eq!(message(events.next(now()).unwrap()), "two");
}

#[test]
fn events_come_as_text_too_and_a_hostile_one_stays_on_its_line() {
    let guard = FakeGuard::start();
    let mut plain = client(&guard).events(Look::Text).unwrap();
    let mut coloured = client(&guard).events(Look::Coloured).unwrap();
    guard.hub.publish(news("a\n\x1b[2Jb"));
    let line = plain.next(now()).unwrap().unwrap();
    assert!(line.ends_with("policy-reloaded  a\\n\\x1b[2Jb"), "{line}");
    assert!(coloured.next(now()).unwrap().unwrap().contains("\x1b[32m"));
}

#[test]
fn the_stream_ends_when_the_guard_goes() {
    let guard = FakeGuard::start();
    let mut events = client(&guard).events(Look::Json).unwrap();
    guard.hub.publish(news("last"));
    assert!(events.next(now()).unwrap().is_some());
    drop(guard);
    assert_eq!(events.next(now()).unwrap(), None);
}

#[test]
fn a_client_that_does_not_read_is_told_what_it_lost_and_holds_nobody_up() {
    let guard = FakeGuard::start();
    let mut slow = client(&guard).events(Look::Json).unwrap();
    let mut quick = client(&guard).events(Look::Json).unwrap();
    let padding = "x".repeat(64 * 1024);
    let sent = 200_u64;
    for n in 0..sent {
        guard.hub.publish(news(&format!("{n} {padding}")));
        assert!(message(quick.next(now()).unwrap()).starts_with(&format!("{n} ")));
    }
    let (mut seen, mut lost) = (0, 0);
    while seen + lost < sent {
        let line: serde_json::Value = serde_json::from_str(&slow.next(now()).unwrap().unwrap()).unwrap();
        match line.pointer("/miner_guard/loss/api-client").and_then(serde_json::Value::as_u64) {
            Some(n) => lost += n,
            None => seen += 1,
        }
    }
    assert!(lost > 0);
    assert_eq!(seen + lost, sent);
    assert_eq!(guard.hub.lost(), lost);
}

#[test]
fn a_wait_for_an_event_ends_in_time() {
    let guard = FakeGuard::start();
    let mut events = client(&guard).events(Look::Json).unwrap();
    let soon = Some(Instant::now() + Duration::from_millis(30));
    assert!(matches!(events.next(soon), Err(ClientError::TooSlow(..))));
}

#[test]
fn without_a_guard_the_error_says_how_to_start_one() {
    let dir = tempfile::tempdir().unwrap();
    let e = Client::new(&dir.path().join("none.sock")).status().unwrap_err();
    assert!(matches!(e, ClientError::NoGuard(_)));
    assert!(e.to_string().contains("miner-guard run"), "{e}");
    let dead = dir.path().join("dead.sock");
    drop(UnixListener::bind(&dead).unwrap());
    assert!(matches!(Client::new(&dead).status(), Err(ClientError::NoGuard(_))));
}

#[test]
fn an_impostors_nonsense_is_called_so() {
    let answers: [&[u8]; 4] = [
        b"220 smtp ready\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nno",
        b"HTTP/1.1 500 Oh\r\ncontent-length: 2\r\n\r\nno",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}",
    ];
    for answer in answers {
        let (_dir, client) = impostor(answer);
        let e = client.status().unwrap_err();
        assert!(matches!(e, ClientError::Nonsense { .. }), "{e:?}");
    }
    let (_dir, client) = impostor(b"HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\n{}");
    assert!(matches!(client.status(), Err(ClientError::Io { .. })));
}

#[test]
fn what_the_server_refuses_a_stranger_is_read_as_not_permitted() {
    let (_dir, client) = impostor(crate::api::server::FORBIDDEN);
    assert!(matches!(client.status(), Err(ClientError::NotPermitted(_))));
}

#[test]
fn every_byte_that_is_not_plain_is_escaped_in_a_target() {
    assert_eq!(percent("a-Z_0.~ /%\n\u{fc}"), "a-Z_0.~%20%2F%25%0A%C3%BC");
}
