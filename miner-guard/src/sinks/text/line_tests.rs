use super::*;
use crate::{
    event::{
        decode::decode,
        model::{GuardNews, ProcessRef, Scope, Source, Told},
        rules::RuleInfo,
        samples,
    },
    sinks::text::sanitize::{columns, is_hostile},
};
use miner_guard_common::abi::verdict::{Mode, Verdict};
use zerocopy::IntoBytes;

const PLAIN: Line = Line { colour: Colour::NEVER, zone: TimeZone::UTC };

fn event(raw: &impl AsBytes, source: Source, suppressed: u64, scope: Scope) -> Event {
    let record = decode(raw.bytes()).unwrap();
    let rule = RuleInfo {
        id: "builtin".into(),
        feed: None,
        indicator: None,
        provenance: Some("pool-ips.tsv:17".into()),
        class: Some("pool"),
        action: Verdict::Deny,
    };
    let at = "2026-11-02T12:03:07.123Z".parse().unwrap();
    Event::of_record(Told {
        record: &record,
        suppressed,
        scope,
        source,
        rule: Some(rule),
        finding: None,
        at,
        host: None,
    })
}

trait AsBytes {
    fn bytes(&self) -> &[u8];
}
impl<T: IntoBytes + zerocopy::Immutable> AsBytes for T {
    fn bytes(&self) -> &[u8] {
        self.as_bytes()
    }
}

#[test]
fn a_denied_connection_reads_as_who_where_to_and_why() {
    let source = Source { user: Some("alice".into()), ..Source::default() };
    let e = event(&samples::connect("192.0.2.5:3333"), source, 0, Scope::Same);
    assert_eq!(
        PLAIN.render(&e),
        "12:03:07.123  DENY         connect  xmrig[4242]          user=alice    \
         → 192.0.2.5:3333 tcp          rule=builtin (address, \"pool-ips.tsv:17\")"
    );
}

#[test]
fn audit_says_would_deny_and_the_columns_stay_where_they_are() {
    let mut raw = samples::connect("[2001:db8::7]:443");
    (raw.head.mode, raw.head.enforced) = (Mode::Audit as u32, 0);
    let e = event(&raw, Source::default(), 0, Scope::Same);
    let line = PLAIN.render(&e);
    assert!(line.starts_with("12:03:07.123  would deny   connect  xmrig[4242] "), "{line}");
    assert!(line.contains("→ [2001:db8::7]:443 tcp"), "{line}");
}

#[test]
fn what_was_counted_and_not_shown_is_said() {
    let raw = samples::connect("192.0.2.5:3333");
    let line = |scope| PLAIN.render(&event(&raw, Source::default(), 41, scope));
    assert!(line(Scope::Same).ends_with("  +41 more"));
    assert!(line(Scope::Process).ends_with("  +41 more of this process"));
    assert!(line(Scope::Crowd).ends_with("  +41 more of processes like it"));
}

#[test]
fn ancestors_job_and_a_vanished_process_are_told() {
    let source = Source {
        gone: true,
        job: Some("slurm:88".into()),
        ancestry: vec![
            ProcessRef { pid: 9, name: Some("bash".into()), ..ProcessRef::default() },
            ProcessRef { pid: 1, ..ProcessRef::default() },
        ],
        ..Source::default()
    };
    let line = PLAIN.render(&event(&samples::connect("192.0.2.5:1"), source, 0, Scope::Same));
    assert!(line.ends_with("job=slurm:88 by=bash[9]<[1] (gone)"), "{line}");
}

/// Columns of a rendered line, colour not counted.
fn visible_columns(line: &str) -> usize {
    let mut plain = String::with_capacity(line.len());
    let mut rest = line;
    while let Some((before, after)) = rest.split_once("\x1b[") {
        plain.push_str(before);
        rest = after.split_once('m').map_or("", |(_, r)| r);
    }
    plain.push_str(rest);
    columns(&plain)
}

#[test]
fn colour_does_not_move_the_columns() {
    let coloured = Line { colour: Colour::ALWAYS, zone: TimeZone::UTC };
    let e = event(&samples::connect("192.0.2.5:3333"), Source::default(), 3, Scope::Same);
    assert_eq!(visible_columns(&coloured.render(&e)), visible_columns(&PLAIN.render(&e)));
    assert!(coloured.render(&e).contains("\x1b[1;31mDENY"));
}

#[test]
fn hostile_names_arguments_and_paths_stay_on_one_short_line() {
    let nasty = "\x1b[2J\r\n12:00 DENY\u{202e}".repeat(5000);
    let source = Source {
        name: Some(nasty.clone()),
        executable: Some(nasty.clone()),
        args: vec![nasty.clone()],
        user: Some(nasty.clone()),
        unit: Some(nasty.clone()),
        job: Some(nasty.clone()),
        ancestry: vec![ProcessRef { pid: 1, name: Some(nasty.clone()), ..ProcessRef::default() }],
        ..Source::default()
    };
    let mut exec = samples::exec(b"/tmp/\n\x1b]0;title\x07\xff", &[b"x"]);
    exec.head.comm = *b"\n\x1b[31m\xff\xfe\0\0\0\0\0\0\0\0";
    for e in [
        event(&exec, source.clone(), 0, Scope::Same),
        event(&exec, Source::default(), 0, Scope::Same),
        event(&samples::connect("192.0.2.5:1"), source, 0, Scope::Same),
    ] {
        let line = PLAIN.render(&e);
        assert!(!line.chars().any(is_hostile), "{line}");
        assert!(line.len() < 4000, "{} bytes", line.len());
    }
}

#[test]
fn the_guards_own_news_is_a_line_too() {
    let e = Event::of_guard(
        "2026-11-02T12:03:07Z".parse().unwrap(),
        None,
        GuardNews {
            action: Action::PolicyRefused,
            mode: Mode::Audit,
            generation: 2,
            message: "config.toml:3:1: unknown key \"x\ny\"".into(),
            evidence: Vec::new(),
        },
    );
    assert_eq!(
        PLAIN.render(&e),
        "12:03:07.000  GUARD        policy-refused  config.toml:3:1: unknown key \"x\\ny\""
    );
}
