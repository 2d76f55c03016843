//! Mining protocols are known by their structure, whatever they are wrapped, cut or escaped in; what only
//! resembles them is left alone. The samples carry where they come from and their licence.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a sample that cannot be read fails the test")]

use miner_guard_common::parse::stratum::{BUDGET, Finding, Role, Stratum};
use proptest::prelude::*;
use serde_json::Value;

fn rows(file: &str) -> Vec<Value> {
    let path = format!("{}/tests/data/{file}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The samples keep binary payloads as one character a byte.
fn bytes(row: &Value) -> Vec<u8> {
    let text = row["payload"].as_str().unwrap();
    if text.bytes().any(|b| b < 9) { text.chars().map(|c| c as u32 as u8).collect() } else { text.into() }
}

fn found(payload: &[u8]) -> Option<Finding> {
    let mut automaton = Stratum::new();
    automaton.feed(payload);
    automaton.finding()
}

fn words(finding: Option<Finding>) -> Option<String> {
    finding.map(|f| format!("{} {}", f.dialect.name(), f.role.name()))
}

/// Everything that is flagged, as a JSON value and its expectation; HTTP samples without their head.
fn flagged_messages() -> Vec<(Value, String)> {
    let mut messages = Vec::new();
    for row in rows("stratum.jsonl") {
        let Some(expect) = row["expect"].as_str() else { continue };
        let payload = row["payload"].as_str().unwrap();
        let body = payload.split("\r\n\r\n").last().unwrap_or(payload);
        if let Ok(message) = serde_json::from_str::<Value>(body) {
            messages.push((message, expect.to_string()));
        }
    }
    messages
}

#[test]
fn every_sample_of_a_dialect_is_recognised_as_what_it_is() {
    for row in rows("stratum.jsonl") {
        assert_eq!(words(found(&bytes(&row))).as_deref(), row["expect"].as_str(), "{row}");
    }
}

#[test]
fn no_look_alike_is_flagged() {
    for row in rows("benign.jsonl") {
        assert_eq!(found(&bytes(&row)), None, "{row}");
    }
}

#[test]
fn a_login_sent_byte_by_byte_is_recognised() {
    for row in rows("stratum.jsonl") {
        let mut automaton = Stratum::new();
        for byte in bytes(&row) {
            automaton.feed(&[byte]);
        }
        assert_eq!(words(automaton.finding()).as_deref(), row["expect"].as_str(), "{row}");
    }
}

#[test]
fn an_http_head_in_front_changes_nothing() {
    for (message, expect) in flagged_messages() {
        for head in [
            "POST / HTTP/1.1\r\nHost: pool.example\r\nContent-Type: application/json\r\n\r\n",
            "POST /json_rpc HTTP/1.0\nHost: a\n\n",
            "GET / HTTP/1.1\r\nHost: a\r\n\r\nPOST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1f\r\n",
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nab\r\n",
            "Content-Length: 99\r\n\r\n",
        ] {
            let payload = format!("{head}{message}");
            assert_eq!(words(found(payload.as_bytes())).as_ref(), Some(&expect), "{payload}");
        }
    }
}

#[test]
fn what_comes_before_in_the_same_segment_does_not_hide_a_message() {
    for (message, expect) in flagged_messages() {
        for before in [
            "\u{feff}",
            "\r\n",
            "{\"id\":1,\"method\":\"ping\",\"params\":[1]}\n",
            "[]\r\n",
            "{}",
            "[{\"a\":1},",
            "[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]\n",
            "{\"id\":0,\"result\":true}\0",
        ] {
            let payload = format!("{before}{message}\r\n{{\"id\":9}}");
            assert_eq!(words(found(payload.as_bytes())).as_ref(), Some(&expect), "{payload}");
        }
    }
}

#[test]
fn a_key_given_twice_hides_nothing() {
    for (message, expect) in flagged_messages() {
        let object = message.as_object().unwrap();
        let text = message.to_string();
        let inner = text[1..text.len() - 1].to_string();
        for key in object.keys() {
            for junk in ["null", "\"x\"", "{}", "[[\"y\"]]", "7"] {
                let before = format!("{{\"{key}\":{junk},{inner}}}");
                let after = format!("{{{inner},\"{key}\":{junk}}}");
                assert!(found(before.as_bytes()).is_some(), "{expect}: {before}");
                assert!(found(after.as_bytes()).is_some(), "{expect}: {after}");
            }
        }
    }
}

#[test]
fn after_the_budget_a_socket_is_left_alone() {
    let mut automaton = Stratum::new();
    automaton.feed(&vec![b' '; BUDGET as usize - 1]);
    assert!(!automaton.is_done());
    automaton.feed(b" ");
    assert!(automaton.is_done());
    assert_eq!(automaton.feed(b"{\"id\":1,\"method\":\"mining.subscribe\",\"params\":[]}"), None);
}

#[test]
fn a_message_that_outlasts_the_budget_is_judged_by_what_it_has_shown() {
    let long =
        format!("{{\"method\":\"mining.subscribe\",\"params\":[\"x\"],\"junk\":\"{}\"}}", "y".repeat(4000));
    assert_eq!(words(found(long.as_bytes())).as_deref(), Some("stratum-v1 opening"));
}

#[test]
fn a_stream_that_is_cut_is_judged_by_what_it_has_shown() {
    let mut automaton = Stratum::new();
    automaton.feed(b"{\"id\":4,\"method\":\"mining.submit\",\"params\":[\"u.w\",\"j\",\"0011");
    assert_eq!(automaton.finding(), None);
    automaton.feed(b"\",\"22\"");
    automaton.finish();
    assert_eq!(automaton.finding().map(|f| f.role), Some(Role::Submit));
}

#[test]
fn tls_and_other_binary_protocols_are_let_go_at_once() {
    for first in [0x16, 0x80, 0x05, b'*', b'$', b'"'] {
        let mut automaton = Stratum::new();
        automaton.push(first);
        assert!(automaton.is_done(), "{first:#x}");
    }
}

/// Writes a value as some JSON writer could: white space, key order, escapes, foreign keys by the seed.
fn write(value: &Value, seed: &mut u64, out: &mut String) {
    let mut next = |n: u64| {
        *seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (*seed >> 33) % n
    };
    let space = [" ", "", "\t", "\r\n ", ""];
    out.push_str(space[next(5) as usize]);
    match value {
        Value::Object(map) => {
            let mut keys: Vec<_> = map.iter().collect();
            let turn = next(keys.len().max(1) as u64) as usize;
            keys.rotate_left(turn);
            let junk = next(4);
            out.push('{');
            if junk == 0 {
                out.push_str("\"zz\":{\"method\":[\"x\",{\"params\":[[]],\"a\":\"}]\\\"\"}]},");
            }
            for (i, (key, value)) in keys.into_iter().enumerate() {
                out.push_str(if i == 0 { "" } else { "," });
                write(&Value::String(key.clone()), seed, out);
                out.push_str("\t:");
                write(value, seed, out);
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                out.push_str(if i == 0 { "" } else { "," });
                write(item, seed, out);
            }
            out.push(']');
        }
        Value::String(text) => {
            out.push('"');
            for c in text.chars() {
                match (next(6), c) {
                    (0, _) if (c as u32) < 0x1_0000 => out.push_str(&format!("\\u{:04X}", c as u32)),
                    (1, '/') => out.push_str("\\/"),
                    (_, '"' | '\\') => out.extend(['\\', c]),
                    _ => out.push(c),
                }
            }
            out.push('"');
        }
        other => out.push_str(&other.to_string()),
    }
    out.push_str(space[(*seed >> 40) as usize % 5]);
}

/// Documents of the words that count, in any place.
fn json() -> impl Strategy<Value = Value> {
    const WORDS: [&str; 14] = [
        "method",
        "params",
        "login",
        "pass",
        "agent",
        "result",
        "job",
        "blob",
        "target",
        "job_id",
        "mining.subscribe",
        "mining.notify",
        "id",
        "ab12",
    ];
    let word = || prop::sample::select(&WORDS[..]);
    let leaf =
        prop_oneof![Just(Value::Null), any::<u16>().prop_map(Value::from), word().prop_map(Value::from)];
    leaf.prop_recursive(5, 60, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((word(), inner), 0..6).prop_map(|members| Value::Object(
                members.into_iter().map(|(k, v)| (k.to_owned(), v)).collect()
            )),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn white_space_key_order_escapes_and_foreign_keys_cannot_matter(seed: u64) {
        for (message, expect) in flagged_messages() {
            let (mut text, mut state) = (String::new(), seed);
            write(&message, &mut state, &mut text);
            // Six bytes for each escaped character can push a long share over the budget.
            if text.len() > BUDGET as usize {
                continue;
            }
            prop_assert_eq!(words(found(text.as_bytes())), Some(expect), "{}", text);
        }
    }

    #[test]
    fn a_look_alike_stays_one_however_it_is_written(seed: u64) {
        for row in rows("benign.jsonl") {
            let Ok(message) = serde_json::from_str::<Value>(row["payload"].as_str().unwrap()) else { continue };
            let (mut text, mut state) = (String::new(), seed);
            write(&message, &mut state, &mut text);
            prop_assert_eq!(found(text.as_bytes()), None, "{}", text);
        }
    }

    #[test]
    fn where_a_stream_is_cut_changes_nothing(
        row in 0_usize..60, cuts in prop::collection::vec(0_usize..300, 0..12), noise in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let all = rows("stratum.jsonl");
        let mut payload = noise;
        payload.extend(bytes(&all[row % all.len()]));
        let mut whole = Stratum::new();
        whole.feed(&payload);
        let mut cut = Stratum::new();
        let mut rest = payload.as_slice();
        for at in cuts {
            let (head, tail) = rest.split_at(at.min(rest.len()));
            cut.feed(head);
            rest = tail;
        }
        cut.feed(rest);
        prop_assert_eq!(whole.finding(), cut.finding());
        prop_assert_eq!(whole.is_done(), cut.is_done());
        // The rest of a segment in which it was done leaves traces that mean nothing.
        prop_assert!(whole.is_done() || whole == cut);
    }

    #[test]
    fn what_is_idle_could_be_pondered_without_a_difference(row: usize, foreign in prop::collection::vec(json(), 0..4), seed: u64) {
        let all = flagged_messages();
        let (mut message, _) = all[row % all.len()].clone();
        if let Some(members) = message.as_object_mut() {
            members.extend(foreign.iter().enumerate().map(|(i, document)| (format!("k{i}"), document.clone())));
        }
        let (mut text, mut state) = (String::new(), seed);
        write(&message, &mut state, &mut text);
        let mut whole = Stratum::new();
        for byte in text.bytes().take(BUDGET.into()) {
            if whole.is_done() {
                break;
            }
            match whole.glance(byte) {
                0 => {}
                rest => whole.ponder(rest),
            }
        }
        whole.account(text.len().min(BUDGET.into()) as u16);
        prop_assert_eq!(whole.finding(), found(text.as_bytes()), "{}", text);
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(payload in prop::collection::vec(any::<u8>(), 0..3000)) {
        found(&payload);
    }

    #[test]
    fn any_soup_of_json_tokens_is_read_without_a_panic(tokens in prop::collection::vec(0_usize..16, 0..600)) {
        const TOKENS: [&str; 16] = ["{", "}", "[", "]", ":", ",", "\"method\"", "\"params\"", "\"login\"", "\"result\"",
            "\"job\"", "\"\\u00", "1e9", "null", "\"mining.subscribe\"", "\n"];
        let text: String = tokens.iter().map(|&t| TOKENS[t]).collect();
        found(text.as_bytes());
    }
}
