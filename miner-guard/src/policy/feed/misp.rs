//! MISP: an event as a feed holds it (`{"Event": …}`), a list of them, or the answer of a MISP server's search.

use super::{Found, json};
use crate::policy::{
    compile::Ports,
    indicator::{self, Indicator, What, Why},
};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// The forms in which events and attributes come.
#[derive(Deserialize)]
struct Document<'a> {
    #[serde(borrow, rename = "Event")]
    event: Option<&'a RawValue>,
    #[serde(borrow)]
    response: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "Attribute")]
    attributes: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow, default)]
    info: Cow<'a, str>,
    #[serde(borrow, default, rename = "Attribute")]
    attributes: Vec<&'a RawValue>,
    #[serde(borrow, default, rename = "Object")]
    objects: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct Object<'a> {
    #[serde(borrow, default, rename = "Attribute")]
    attributes: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct Attribute<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    value: Cow<'a, str>,
    #[serde(borrow, default)]
    uuid: Cow<'a, str>,
    #[serde(borrow, default)]
    comment: Cow<'a, str>,
    #[serde(default = "yes")]
    to_ids: bool,
    #[serde(default)]
    deleted: bool,
}

fn yes() -> bool {
    true
}

/// Whether the top-level object looks like one of MISP's.
pub(super) fn looks_like(text: &[u8]) -> bool {
    serde_json::from_slice::<Document<'_>>(text)
        .is_ok_and(|d| d.event.is_some() || d.response.is_some() || !d.attributes.is_empty())
}

/// Documents within documents: a server's answer holds a list of events.
const DEPTH: u32 = 3;

pub(super) fn read(text: &[u8], each: &mut impl FnMut(Found<'_>)) {
    match serde_json::from_slice::<&RawValue>(text) {
        Ok(whole) => document(whole, DEPTH, &mut json::Lines::of(text), each),
        Err(e) => {
            let (line, why) = json::broken(&e);
            each((line, Err(why), b"(the whole file)"));
        }
    }
}

fn document(part: &RawValue, depth: u32, lines: &mut json::Lines<'_>, each: &mut impl FnMut(Found<'_>)) {
    let refuse = |why: Why, lines: &mut json::Lines<'_>, each: &mut dyn FnMut(Found<'_>)| {
        each((lines.of_part(part), Err(why), part.get().as_bytes()));
    };
    if depth == 0 {
        return refuse("a MISP document within documents", lines, each);
    }
    if part.get().starts_with('[') {
        match serde_json::from_str::<Vec<&RawValue>>(part.get()) {
            Ok(parts) => parts.iter().for_each(|p| document(p, depth - 1, lines, each)),
            Err(_) => refuse("not a list of MISP events", lines, each),
        }
        return;
    }
    let Ok(d) = serde_json::from_str::<Document<'_>>(part.get()) else {
        return refuse("no MISP event", lines, each);
    };
    d.attributes.iter().for_each(|a| attribute(a, "", lines, each));
    if let Some(inner) = d.response {
        document(inner, depth - 1, lines, each);
    }
    let Some(event) = d.event else { return };
    let Ok(e) = serde_json::from_str::<Event<'_>>(event.get()) else {
        return refuse("a MISP event of an unknown form", lines, each);
    };
    e.attributes.iter().for_each(|a| attribute(a, &e.info, lines, each));
    for object in e.objects {
        match serde_json::from_str::<Object<'_>>(object.get()) {
            Ok(o) => o.attributes.iter().for_each(|a| attribute(a, &e.info, lines, each)),
            Err(_) => {
                each((
                    lines.of_part(object),
                    Err("a MISP object of an unknown form"),
                    object.get().as_bytes(),
                ));
            }
        }
    }
}

fn attribute(part: &RawValue, info: &str, lines: &mut json::Lines<'_>, each: &mut impl FnMut(Found<'_>)) {
    let line = lines.of_part(part);
    let Ok(a) = serde_json::from_str::<Attribute<'_>>(part.get()) else {
        return each((line, Err("a MISP attribute without type or value"), part.get().as_bytes()));
    };
    if a.deleted {
        return;
    }
    let said = if a.comment.is_empty() { info } else { &a.comment };
    let text = format!("{} {} (attribute {}, {said})", a.kind, a.value, a.uuid);
    let mut give = |found| each((line, found, text.as_bytes()));
    let value = a.value.as_bytes();
    if !a.to_ids {
        // The event's author says that it is context: a victim's address, a report's URL.
        return give(Err("context, not for detection (to_ids is false)"));
    }
    let pair = || a.value.split_once('|').map(|(l, r)| (l.as_bytes(), r.as_bytes()));
    match (&*a.kind, pair()) {
        ("ip-dst" | "ip-src" | "domain" | "hostname" | "url" | "uri", _) => give(indicator::parse(value)),
        ("ip-dst|port" | "ip-src|port", Some((ip, port))) => give(with_port(ip, port)),
        ("hostname|port", Some((name, _))) => give(indicator::parse(name)),
        ("domain|ip", Some((name, ip))) => {
            give(indicator::parse(name));
            give(indicator::parse(ip));
        }
        ("sha256" | "md5", _) => give(indicator::hash(value)),
        ("filename|sha256" | "filename|md5" | "malware-sample", Some((_, hash))) => {
            give(indicator::hash(hash))
        }
        _ => give(Err("of a type that this guard does not match")),
    }
}

fn with_port<'a>(address: &'a [u8], port: &[u8]) -> Result<Indicator<'a>, Why> {
    let ports = indicator::ports(port).ok_or("an address with a bad port")?;
    match indicator::parse(address)? {
        Indicator { what: what @ (What::V4(..) | What::V6(..)), ports: Ports::ANY } => {
            Ok(Indicator { what, ports })
        }
        _ => Err("not an address"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Format;
    use super::super::tests::rows;

    const EVENT: &str = r#"{"Event": {"info": "pool sightings", "uuid": "5f", "Attribute": [
 {"type": "ip-dst", "value": "192.0.2.7", "uuid": "a1", "to_ids": true, "category": "Network activity"},
 {"type": "ip-dst|port", "value": "192.0.2.8|3333", "to_ids": true, "comment": "proxy"},
 {"type": "domain|ip", "value": "pool.example.org|2001:db8::1"},
 {"type": "url", "value": "stratum+tcp://eu.pool.example.org:4444\/x"},
 {"type": "ip-src", "value": "198.51.100.1", "to_ids": false},
 {"type": "email-src", "value": "a@b.example"},
 {"type": "ip-dst", "value": "192.0.2.9", "deleted": true},
 {"type": 7}],
 "Object": [{"name": "file", "Attribute": [
  {"type": "sha256", "value": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}]}]}}"#;

    #[test]
    fn attributes_of_an_event_and_its_objects_are_read_with_their_lines() {
        let want = [
            "2: 192.0.2.7",
            "3: 192.0.2.8:3333",
            "4: pool.example.org",
            "4: 2001:db8::1",
            "5: eu.pool.example.org",
            "6 refused: context, not for detection (to_ids is false)",
            "7 refused: of a type that this guard does not match",
            "9 refused: a MISP attribute without type or value",
            "11: sha256 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        ];
        assert_eq!(rows(EVENT.as_bytes(), None), want);
        let listed = format!("[{EVENT}]");
        assert_eq!(rows(listed.as_bytes(), Some(Format::Misp)), want);
        let answer = format!("{{\"response\": [{EVENT}]}}");
        assert_eq!(rows(answer.as_bytes(), None), want);
    }

    #[test]
    fn what_is_no_event_is_one_refused_row_with_its_line() {
        for (text, want) in [
            ("{\n\"Event\": ", "2 refused: JSON that breaks off"),
            ("{\n\"Event\": nothing}", "2 refused: not valid JSON"),
            ("{\"Event\": 7}", "1 refused: a MISP event of an unknown form"),
            ("[7]", "1 refused: no MISP event"),
            ("[[[[]]]]", "1 refused: a MISP document within documents"),
        ] {
            assert_eq!(rows(text.as_bytes(), Some(Format::Misp)), [want], "{text}");
        }
    }
}
