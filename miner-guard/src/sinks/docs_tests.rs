//! `docs/events.md` shows what the code writes, and names everything it can write.

use super::{
    json,
    text::{colour::Colour, line::Line},
};
use crate::event::{
    case::Class,
    decode::{Decision, decode},
    model::{
        Action, CaseNews, CaseRef, Container, Event, Finding, GuardNews, Host, LearnedNews, Process,
        ProcessRef, Scope, Source, Thread, Told,
    },
    rules::RuleInfo,
    samples,
};
use jiff::{Timestamp, tz::TimeZone};
use miner_guard_common::{
    abi::{
        connect::Op,
        exec::FROM_LSM,
        packet::Subject,
        verdict::{Mode, Reason, Verdict},
    },
    parse::stratum::{Dialect, Role},
};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use zerocopy::IntoBytes;

const DOCS: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/events.md"));

fn at() -> Timestamp {
    "2026-11-02T12:03:07.123456789Z".parse().unwrap()
}

fn host() -> Host {
    Host { name: "node7".into() }
}

fn source() -> Source {
    let start = Some("2026-11-02T12:03:06.9Z".parse().unwrap());
    let ancestor = |pid, name: &str, exe: &str| ProcessRef {
        pid,
        name: Some(name.into()),
        executable: Some(exe.into()),
        start,
    };
    Source {
        name: Some("xmrig".into()),
        executable: Some("/tmp/.x/xmrig".into()),
        args: ["./xmrig", "-o", "192.0.2.5:3333", "-u", "48edfH…GUicoD", "-p", "[redacted]"]
            .map(Into::into)
            .into(),
        args_count: Some(7),
        start,
        user: Some("alice".into()),
        ancestry: vec![
            ancestor(612, "bash", "/usr/bin/bash"),
            ancestor(1, "systemd", "/usr/lib/systemd/systemd"),
        ],
        cgroup: Some("/system.slice/cron.service".into()),
        unit: Some("cron.service".into()),
        ..Source::default()
    }
}

fn told(bytes: &[u8], source: Source, finding: Option<&Finding>) -> Event {
    let record = decode(bytes).unwrap();
    let head = *record.head();
    let rule = (head.rule != 0).then(|| RuleInfo {
        id: "builtin".into(),
        feed: Some("builtin".into()),
        indicator: Some("192.0.2.5".into()),
        provenance: Some("pool-ips.tsv:17, maltrail".into()),
        class: Some("pool"),
        action: Verdict::Deny,
    });
    Event::of_record(Told {
        record: &record,
        suppressed: head.suppressed.into(),
        scope: Scope::Same,
        source,
        rule,
        finding,
        at: at(),
        host: Some(&host()),
    })
}

fn connect(verdict: Verdict, reason: Reason, mode: Mode, enforced: bool) -> Event {
    let mut raw = samples::connect("192.0.2.5:3333");
    (raw.head.verdict, raw.head.reason) = (verdict as u8, reason as u8);
    (raw.head.mode, raw.head.enforced) = (mode as u32, enforced.into());
    told(raw.as_bytes(), source(), None)
}

fn open(mode: Mode, enforced: bool) -> Event {
    let mut raw = samples::connect("192.0.2.5:3333");
    (raw.head.mode, raw.head.enforced, raw.op) = (mode as u32, enforced.into(), Op::Open as u8);
    told(raw.as_bytes(), source(), None)
}

fn packet(subject: Subject, name: &str, verdict: Verdict, mode: Mode, enforced: bool) -> Event {
    let to = if subject == Subject::DnsQuestion { "192.0.2.53:53" } else { "192.0.2.5:443" };
    let mut raw = samples::packet(subject, to, name);
    (raw.head.verdict, raw.head.mode, raw.head.enforced) = (verdict as u8, mode as u32, enforced.into());
    if subject == Subject::Protocol {
        (raw.head.rule, raw.head.reason) = (0, Reason::Protocol as u8);
        (raw.dialect, raw.role) = (Dialect::CryptoNote as u8, Role::Opening as u8);
    }
    told(raw.as_bytes(), source(), None)
}

fn exec(verdict: Verdict, mode: Mode, enforced: bool, flags: u32, finding: Option<&Finding>) -> Event {
    let mut raw = samples::exec(b"./xmrig", &[b"./xmrig"]);
    (raw.head.verdict, raw.head.mode) = (verdict as u8, mode as u32);
    (raw.head.enforced, raw.flags) = (enforced.into(), flags);
    raw.file.ctime_sec = 1_793_600_000;
    if verdict == Verdict::Allow {
        raw.head.reason = Reason::None as u8;
    }
    let mut source = source();
    if enforced {
        source = Source { gone: true, name: None, executable: None, start: None, ..source };
    }
    told(raw.as_bytes(), source, finding)
}

fn running(action: Action, evidence: &[&str]) -> Event {
    let head = Decision::about(4242, 4243, 1000, 99, 0, Mode::Audit);
    let evidence = evidence.iter().map(|s| (*s).to_owned()).collect();
    Event::of_running(at(), Some(&host()), action, &head, source(), evidence)
}

fn learned() -> Event {
    let mut head = *decode(samples::connect("192.0.2.5:3333").as_bytes()).unwrap().head();
    (head.enforced, head.reason) = (false, Reason::Learned);
    let rule = RuleInfo {
        id: "builtin".into(),
        feed: Some("builtin".into()),
        indicator: None,
        provenance: None,
        class: Some("pool"),
        action: Verdict::Deny,
    };
    let news = LearnedNews {
        at: at(),
        head,
        source: source(),
        rule: Some(rule),
        question: Some("cdn.example".into()),
        cause: "*.pool.example".into(),
        addresses: vec!["198.51.100.7".parse().unwrap()],
        evidence: vec![
            "cdn.example → eu.pool.example → 198.51.100.7".into(),
            "denied to /system.slice/cron.service for 300 s, suspect for all others".into(),
        ],
    };
    Event::of_learned(Some(&host()), news)
}

fn guard(action: Action, message: &str) -> Event {
    let news = GuardNews {
        action,
        mode: Mode::Enforce,
        generation: 4,
        message: message.into(),
        evidence: Vec::new(),
    };
    Event::of_guard(at(), Some(&host()), news)
}

fn case(action: Action, message: &str, verdict: Verdict, done: bool) -> Event {
    let news = CaseNews {
        action,
        mode: Mode::Enforce,
        generation: 4,
        message: message.into(),
        evidence: vec!["reached for 192.0.2.5:3333, listed by builtin".into()],
        case: CaseRef { id: "6ae8a1f3-7".into(), class: Some(Class::Mining) },
        verdict,
        done,
        process: matches!(action, Action::CaseClassified).then(|| Process {
            pid: 4242,
            name: "xmrig".into(),
            executable: Some("/tmp/.x/xmrig".into()),
            thread: Thread { id: 4242, name: "xmrig".into() },
            ..Process::default()
        }),
        cgroup: Some("/system.slice/cron.service".into()),
    };
    Event::of_case(at(), Some(&host()), news)
}

/// One event of each action.
fn one_of_each() -> Vec<Event> {
    use {Mode::*, Verdict::*};
    let finding = |verdict, killed| Finding {
        verdict,
        reason: Reason::MinerBinary,
        evidence: vec![
            "RandomX AesGenerator1R key0 at 0x41c2a0".into(),
            "client string \"donate-level\"".into(),
        ],
        sha256: Some("9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08".into()),
        killed,
    };
    let mut all = vec![
        connect(Deny, Reason::Address, Enforce, true),
        connect(Deny, Reason::Address, Audit, false),
        connect(Alert, Reason::Port, Enforce, false),
        connect(Deny, Reason::Address, Enforce, false),
        open(Enforce, true),
        open(Audit, false),
        open(Enforce, false),
        connect(Allow, Reason::Protected, Enforce, false),
        packet(Subject::DnsQuestion, "pool.example", Deny, Enforce, true),
        packet(Subject::DnsQuestion, "pool.example", Deny, Audit, false),
        packet(Subject::DnsQuestion, "pool.example", Alert, Enforce, false),
        exec(Kill, Enforce, true, FROM_LSM, None),
        exec(Allow, Enforce, false, 0, Some(&finding(Kill, true))),
        exec(Kill, Audit, false, 0, None),
        exec(Allow, Enforce, false, 0, Some(&finding(Alert, false))),
        exec(Allow, Enforce, false, 0, Some(&finding(Kill, false))),
        exec(Allow, Enforce, false, 0, None),
        running(
            Action::Mining,
            &[
                "all four SSE rounding modes are used in proportion, as RandomX does and interval arithmetic does not: \
                 111 × to nearest, 65 × down, 61 × up, 85 × to zero when a thread was switched out",
                "22 of 24 samples of code in memory without a file have no branch and are full of multiplications, \
                 rotations and exclusive ors, as what RandomX's compiler writes",
            ],
        ),
        running(
            Action::HashingHeavy,
            &[
                "31 windows of 16 samples of its code over 121 s: 54 % of the instructions mix bits as hashes do, 2 % branch, \
               0 % are floating point (likelihood 0.99), and it moved 0 kB of data a second of processor time",
            ],
        ),
        case(
            Action::CaseClassified,
            "case 6ae8a1f3-7 is mining: xmrig (pid 4242) would be killed",
            Kill,
            false,
        ),
        case(
            Action::PersistenceFound,
            "the miner of case 6ae8a1f3-7 came back 4 times within a minute: systemd unit cron.service",
            Alert,
            false,
        ),
        learned(),
        guard(
            Action::CgroupIsolated,
            "/sys/fs/cgroup/system.slice/cron.service may reach protected destinations only",
        ),
        guard(
            Action::CgroupReleased,
            "/sys/fs/cgroup/system.slice/cron.service may reach others again: its time is over",
        ),
        Event::of_loss(at(), Some(&host()), BTreeMap::from([("ring-connect", 1204), ("ring-exec", 3)]))
            .unwrap(),
        guard(Action::GuardStarted, "8 programs attached to /sys/fs/cgroup, 5,114 indicators"),
        guard(Action::ModeChanged, "audit → enforce"),
        guard(Action::PolicyReloaded, "generation 4: 12 indicators more, 3 less"),
        guard(
            Action::PolicyRefused,
            "config.toml:7:1: unknown key \"ips\" in [[rule]]; did you mean \"ip\"?",
        ),
        guard(Action::FeedUpdated, "feed site-pools: 1204 indicators, generation 5"),
        guard(Action::FeedRefused, "feed site-pools: what was in force stays"),
        guard(Action::CanaryPassed, "connect4 denied the canary with EPERM"),
        guard(Action::CanaryFailed, "connect4 let the canary through"),
        guard(Action::GuardStopped, "enforcement stays on; `miner-guard unload` ends it"),
    ];
    // One that shows what belongs to a flood, a container and a job.
    let flood = &mut all[0];
    flood.miner_guard.suppressed = 4711;
    flood.miner_guard.suppressed_scope = Some(Scope::Same);
    flood.miner_guard.case = Some(CaseRef { id: "6ae8a1f3-7".into(), class: Some(Class::PoolContact) });
    let boxed = &mut all[1];
    boxed.container = Some(Container {
        id: "4f5e2c0b7a9d8e6f1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f7081".into(),
        runtime: Some("docker"),
    });
    boxed.miner_guard.job = Some("slurm:8812".into());
    boxed.miner_guard.pod = Some("0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0".into());
    boxed.miner_guard.executable_deleted = true;
    boxed.miner_guard.args_truncated = true;
    all
}

fn json_line(e: &Event) -> String {
    let mut out = Vec::new();
    json::line(&mut out, e).unwrap();
    String::from_utf8(out).unwrap().trim_end().to_owned()
}

fn text_line(e: &Event) -> String {
    Line { colour: Colour::NEVER, zone: TimeZone::UTC }.render(e)
}

/// Names of all leaves, dotted.
fn names(v: &Value, prefix: &str, out: &mut BTreeSet<String>) {
    match v {
        Value::Object(fields) if prefix != "miner_guard.loss" => {
            for (k, v) in fields {
                let name = if prefix.is_empty() { k.clone() } else { format!("{prefix}.{k}") };
                names(v, &name, out);
            }
        }
        Value::Array(items) if items.iter().any(Value::is_object) => {
            out.insert(prefix.to_owned());
        }
        _ => {
            out.insert(prefix.to_owned());
        }
    }
}

#[test]
fn the_documentation_shows_each_action_as_the_code_writes_it() {
    let mut shown = String::new();
    let mut missing = 0;
    for e in one_of_each() {
        let block = format!(
            "### {}\n\n```text\n{}\n```\n\n```json\n{}\n```\n",
            e.action().name(),
            text_line(&e),
            json_line(&e)
        );
        missing += usize::from(!DOCS.contains(&block));
        shown.push_str(&block);
        shown.push('\n');
    }
    assert_eq!(missing, 0, "docs/events.md lags behind; the samples should be:\n{shown}");
}

#[test]
fn there_is_a_sample_of_every_action() {
    let told: Vec<Action> = one_of_each().iter().map(Event::action).collect();
    assert_eq!(told, Action::ALL);
}

#[test]
fn the_documentation_names_every_field() {
    let mut all = BTreeSet::new();
    let spoken = packet(Subject::Protocol, "", Verdict::Deny, Mode::Enforce, true);
    let named = packet(Subject::ServerName, "pool.example", Verdict::Deny, Mode::Enforce, true);
    for e in one_of_each().into_iter().chain([spoken, named]) {
        names(&serde_json::to_value(&e).unwrap(), "", &mut all);
    }
    let missing: Vec<_> = all.iter().filter(|n| !DOCS.contains(&format!("`{n}`"))).collect();
    assert!(missing.is_empty(), "docs/events.md does not name {missing:?}");
}
