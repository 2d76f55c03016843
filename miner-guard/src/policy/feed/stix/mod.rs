//! STIX 2.1: the indicators of a bundle. What a pattern says is used only where the guard matches exactly that.

mod pattern;

use super::{Found, json};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

#[derive(Deserialize)]
struct Bundle<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    objects: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct Object<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    id: Cow<'a, str>,
    #[serde(borrow, default)]
    name: Cow<'a, str>,
    #[serde(borrow, default)]
    pattern: Cow<'a, str>,
    #[serde(borrow, default)]
    pattern_type: Cow<'a, str>,
    #[serde(borrow)]
    valid_from: Option<Cow<'a, str>>,
    #[serde(borrow)]
    valid_until: Option<Cow<'a, str>>,
    #[serde(default)]
    revoked: bool,
}

/// Whether the top-level object is a bundle.
pub(super) fn looks_like(text: &[u8]) -> bool {
    serde_json::from_slice::<Bundle<'_>>(text).is_ok_and(|b| b.kind == "bundle")
}

/// `now`: seconds since 1970, against which the indicators' validity is held.
pub(super) fn read(text: &[u8], now: i64, each: &mut impl FnMut(Found<'_>)) {
    let bundle = match serde_json::from_slice::<Bundle<'_>>(text) {
        Ok(b) if b.kind == "bundle" => b,
        Ok(_) => return each((1, Err("no STIX bundle"), b"(the whole file)")),
        Err(e) => {
            let (line, why) = json::broken(&e);
            return each((line, Err(why), b"(the whole file)"));
        }
    };
    let mut lines = json::Lines::of(text);
    for part in bundle.objects {
        let line = lines.of_part(part);
        match serde_json::from_str::<Object<'_>>(part.get()) {
            // Reports, relations, identities and plain observations name nothing to act on.
            Ok(o) if o.kind != "indicator" => {}
            Ok(o) => object(&o, line, now, each),
            Err(_) => each((line, Err("a STIX object of an unknown form"), part.get().as_bytes())),
        }
    }
}

fn object(o: &Object<'_>, line: usize, now: i64, each: &mut impl FnMut(Found<'_>)) {
    let text = format!("{} {} ({})", o.id, o.pattern, o.name);
    let mut refuse = |why| each((line, Err(why), text.as_bytes()));
    let second = |t: &str| t.parse::<jiff::Timestamp>().map(jiff::Timestamp::as_second);
    if o.revoked {
        return refuse("revoked");
    }
    if !matches!(&*o.pattern_type, "stix" | "") {
        return refuse("an indicator in another language than STIX patterns");
    }
    match o.valid_until.as_deref().map(second) {
        Some(Ok(until)) if until <= now => return refuse("no longer valid (valid_until)"),
        Some(Err(_)) => return refuse("an indicator with a bad valid_until"),
        _ => {}
    }
    match o.valid_from.as_deref().map(second) {
        Some(Ok(from)) if from > now => return refuse("not yet valid (valid_from)"),
        Some(Err(_)) => return refuse("an indicator with a bad valid_from"),
        _ => {}
    }
    match pattern::read(&o.pattern) {
        Ok(terms) => terms.iter().for_each(|t| each((line, t.indicator(), text.as_bytes()))),
        Err(why) => refuse(why),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::rows;

    fn bundle(objects: &str) -> String {
        format!("{{\"type\": \"bundle\", \"id\": \"bundle--1\", \"objects\": [\n{objects}\n]}}")
    }

    fn indicator(pattern: &str, more: &str) -> String {
        format!(
            r#"{{"type": "indicator", "spec_version": "2.1", "id": "indicator--1", "name": "pool", "pattern_type": "stix", "valid_from": "2026-01-01T00:00:00Z", "pattern": "{pattern}"{more}}}"#
        )
    }

    fn of(pattern: &str) -> Vec<String> {
        rows(bundle(&indicator(pattern, "")).as_bytes(), None)
    }

    #[test]
    fn patterns_that_the_guard_can_match_become_indicators() {
        for (pattern, want) in [
            ("[ipv4-addr:value = '192.0.2.7']", &["2: 192.0.2.7"][..]),
            ("[ipv4-addr:value = '192.0.2.0/24']", &["2: 192.0.2.0/24"]),
            ("[ipv4-addr:value ISSUBSET '192.0.2.0/24']", &["2: 192.0.2.0/24"]),
            ("[domain-name:value = 'pool.example.org']", &["2: pool.example.org"]),
            ("[url:value = 'stratum+tcp://pool.example.org:3333']", &["2: pool.example.org"]),
            ("[ipv6-addr:value IN ('2001:db8::1', '2001:db8::2')]", &["2: 2001:db8::1", "2: 2001:db8::2"]),
            (
                "[ipv4-addr:value = '192.0.2.7' OR domain-name:value = 'a.example']",
                &["2: 192.0.2.7", "2: a.example"],
            ),
            (
                "[ipv4-addr:value = '192.0.2.7'] OR [domain-name:value = 'a.example']",
                &["2: 192.0.2.7", "2: a.example"],
            ),
            ("([ipv4-addr:value = '192.0.2.7'])", &["2: 192.0.2.7"]),
            (
                "[network-traffic:dst_ref.type = 'ipv4-addr' AND network-traffic:dst_ref.value = '192.0.2.7' AND network-traffic:dst_port = 3333]",
                &["2: 192.0.2.7:3333"],
            ),
            (
                "[(network-traffic:dst_port = 3333 OR network-traffic:dst_port IN (4444)) AND network-traffic:dst_ref.value = '192.0.2.7']",
                &["2: 192.0.2.7:3333", "2: 192.0.2.7:4444"],
            ),
            (
                "[file:hashes.'SHA-256' = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855']",
                &["2: sha256 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"],
            ),
            (
                "[file:hashes.MD5 = 'd41d8cd98f00b204e9800998ecf8427e']",
                &["2: md5 d41d8cd98f00b204e9800998ecf8427e"],
            ),
        ] {
            assert_eq!(of(pattern), want, "{pattern}");
        }
    }

    #[test]
    fn a_pattern_that_says_more_than_the_guard_matches_is_refused_and_never_widened() {
        for pattern in [
            "[ipv4-addr:value = '192.0.2.7' AND domain-name:value = 'a.example']",
            "[ipv4-addr:value != '192.0.2.7']",
            "[NOT ipv4-addr:value = '192.0.2.7']",
            "[ipv4-addr:value NOT = '192.0.2.7']",
            "[domain-name:value LIKE '%.example']",
            "[domain-name:value MATCHES '.*']",
            "[ipv4-addr:value = '192.0.2.7'] AND [ipv4-addr:value = '192.0.2.8']",
            "[ipv4-addr:value = '192.0.2.7'] FOLLOWEDBY [ipv4-addr:value = '192.0.2.8']",
            "[ipv4-addr:value = '192.0.2.7'] REPEATS 5 TIMES",
            "[ipv4-addr:value = '192.0.2.7'] WITHIN 5 SECONDS",
            "[network-traffic:src_port = 3333]",
            "[process:name = 'xmrig']",
            "[network-traffic:dst_ref.type = 'ipv4-addr']",
            "[ipv4-addr:value = '192.0.2.7",
            "[ipv4-addr:value = 192]",
            "[]",
            "",
            "ipv4-addr:value = '192.0.2.7'",
        ] {
            let got = of(pattern);
            assert_eq!(got.len(), 1, "{pattern}: {got:?}");
            assert!(got[0].starts_with("2 refused: "), "{pattern}: {got:?}");
        }
        let deep = format!("[{}ipv4-addr:value = '192.0.2.7'{}]", "(".repeat(5000), ")".repeat(5000));
        assert!(of(&deep)[0].starts_with("2 refused: "));
    }

    #[test]
    fn validity_and_other_objects_are_heeded() {
        let pattern = "[ipv4-addr:value = '192.0.2.7']";
        let objects = [
            r#"{"type": "identity", "id": "identity--1", "name": "x"}"#.to_owned(),
            indicator(pattern, r#", "revoked": true"#),
            indicator(pattern, r#", "valid_until": "2020-01-01T00:00:00Z""#),
            indicator(pattern, r#", "valid_until": "2999-01-01T00:00:00.000Z""#),
            indicator(pattern, r#", "valid_until": "soon""#),
            "7".to_owned(),
        ];
        assert_eq!(
            rows(bundle(&objects.join(",\n")).as_bytes(), None),
            [
                "3 refused: revoked",
                "4 refused: no longer valid (valid_until)",
                "5: 192.0.2.7",
                "6 refused: an indicator with a bad valid_until",
                "7 refused: a STIX object of an unknown form",
            ]
        );
        let other = indicator(pattern, "").replace("\"stix\"", "\"sigma\"");
        assert_eq!(
            rows(bundle(&other).as_bytes(), None),
            ["2 refused: an indicator in another language than STIX patterns"]
        );
    }
}
