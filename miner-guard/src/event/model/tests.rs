use super::*;
use crate::event::{
    decode::{Record, decode},
    rules::RuleInfo,
    samples,
};
use miner_guard_common::abi::{
    exec::FROM_LSM,
    verdict::{Mode, Reason, Verdict},
};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use zerocopy::IntoBytes;

fn told(record: &Record) -> Told<'_> {
    Told {
        record,
        suppressed: 0,
        scope: Scope::Same,
        source: Source::default(),
        rule: None,
        finding: None,
        at: "2026-11-02T12:03:07.123Z".parse().unwrap(),
        host: None,
    }
}

fn json_of(e: &Event) -> Value {
    serde_json::to_value(e).unwrap()
}

fn denied() -> Record {
    decode(samples::connect("192.0.2.5:3333").as_bytes()).unwrap()
}

#[test]
fn a_denied_connection_has_the_ecs_names_an_operator_searches_for() {
    let record = denied();
    let mut t = told(&record);
    t.source.user = Some("alice".into());
    t.source.executable = Some("/tmp/xmrig".into());
    t.source.args = vec!["./xmrig".into(), "-o".into()];
    t.source.ancestry = vec![ProcessRef { pid: 612, name: Some("cron".into()), ..ProcessRef::default() }];
    t.rule = Some(RuleInfo {
        id: "builtin".into(),
        feed: Some("builtin".into()),
        indicator: Some("192.0.2.5".into()),
        provenance: Some("pool-ips.tsv:17".into()),
        class: Some("pool"),
        action: Verdict::Deny,
    });
    let host = Host { name: "node7".into() };
    t.host = Some(&host);
    let v = json_of(&Event::of_record(t));
    let expect = json!({
        "@timestamp": "2026-11-02T12:03:07.123Z",
        "ecs": {"version": "8.17.0"},
        "event": {"action": "connection-denied", "kind": "alert", "category": ["network"],
                  "type": ["connection", "denied"], "outcome": "failure", "provider": "miner-guard"},
        "message": "xmrig (pid 4242, user alice) was refused 192.0.2.5:3333 (address, rule builtin)",
        "host": {"name": "node7"},
        "process": {"pid": 4242, "name": "xmrig", "executable": "/tmp/xmrig", "args": ["./xmrig", "-o"],
                    "command_line": "./xmrig -o", "thread": {"id": 4243, "name": "xmrig"},
                    "parent": {"pid": 612, "name": "cron"}},
        "user": {"id": "1000", "name": "alice"},
        "group": {"id": "1000"},
        "destination": {"ip": "192.0.2.5", "port": 3333},
        "network": {"transport": "tcp", "type": "ipv4", "iana_number": "6", "direction": "egress"},
        "rule": {"id": "builtin"},
        "threat": {"indicator": {"type": "ipv4-addr", "name": "192.0.2.5", "ip": "192.0.2.5",
                                 "provider": "builtin", "description": "pool-ips.tsv:17"}},
        "miner_guard": {"mode": "enforce", "verdict": "deny", "enforced": true, "stopped_by": "kernel",
                        "reason": "address", "indicator_class": "pool", "op": "connect", "generation": 3, "cgroup_id": "99",
                        "ancestry": [{"pid": 612, "name": "cron"}]},
    });
    assert_eq!(v, expect);
}

#[test]
fn audit_says_what_enforce_would_have_done_and_that_nothing_was_stopped() {
    let mut raw = samples::connect("192.0.2.5:3333");
    (raw.head.mode, raw.head.enforced) = (Mode::Audit as u32, 0);
    let record = decode(raw.as_bytes()).unwrap();
    let v = json_of(&Event::of_record(told(&record)));
    assert_eq!(v["event"]["action"], "connection-would-be-denied");
    assert_eq!(v["miner_guard"]["verdict"], "deny");
    assert_eq!(v["miner_guard"]["enforced"], false);
    assert_eq!(v["event"]["outcome"], "success");
}

#[test]
fn enforce_that_did_not_stop_it_does_not_claim_to_have() {
    let mut raw = samples::connect("192.0.2.5:3333");
    raw.head.enforced = 0;
    let record = decode(raw.as_bytes()).unwrap();
    assert_eq!(Event::of_record(told(&record)).action(), Action::ConnectionNotStopped);
}

#[test]
fn an_exec_killed_by_the_kernel_differs_from_one_that_the_lsm_refused() {
    let mut raw = samples::exec(b"/tmp/x", &[b"x"]);
    assert_eq!(Event::of_record(told(&decode(raw.as_bytes()).unwrap())).action(), Action::ProcessKilled);
    raw.flags = FROM_LSM;
    assert_eq!(Event::of_record(told(&decode(raw.as_bytes()).unwrap())).action(), Action::ExecDenied);
}

#[test]
fn a_first_seen_miner_killed_by_the_daemon_says_who_killed_it_and_why() {
    let mut raw = samples::exec(b"/tmp/x", &[b"x"]);
    (raw.head.verdict, raw.head.enforced, raw.head.reason) = (0, 0, 0);
    let record = decode(raw.as_bytes()).unwrap();
    assert_eq!(Event::of_record(told(&record)).action(), Action::ExecAllowed);

    let finding = Finding {
        verdict: Verdict::Kill,
        reason: Reason::MinerBinary,
        evidence: vec!["RandomX AesGenerator1R key0 at 0x1234".into()],
        sha256: Some("ab".repeat(32)),
        killed: true,
    };
    let mut t = told(&record);
    t.finding = Some(&finding);
    let v = json_of(&Event::of_record(t));
    assert_eq!(v["event"]["action"], "process-killed");
    assert_eq!(v["miner_guard"]["stopped_by"], "daemon");
    assert_eq!(v["miner_guard"]["reason"], "miner-binary");
    assert_eq!(v["miner_guard"]["evidence"][0], "RandomX AesGenerator1R key0 at 0x1234");
    assert_eq!(v["file"]["hash"]["sha256"], "ab".repeat(32));
    assert_eq!(v["file"]["device"], "8:1");
    assert_eq!(v["threat"]["indicator"]["type"], "file");

    let spared = Finding { killed: false, ..finding };
    let mut t = told(&record);
    t.finding = Some(&spared);
    assert_eq!(Event::of_record(t).action(), Action::ExecNotStopped);
}

#[test]
fn a_vanished_process_leaves_fields_out_and_says_that_it_is_gone() {
    let record = denied();
    let mut t = told(&record);
    t.source.gone = true;
    let v = json_of(&Event::of_record(t));
    assert_eq!(v["miner_guard"]["process_gone"], true);
    assert_eq!(v["process"]["name"], "xmrig");
    assert!(v["process"].get("executable").is_none());
}

#[test]
fn a_port_rule_names_the_port_and_claims_no_address() {
    let mut raw = samples::connect("192.0.2.5:3333");
    (raw.head.reason, raw.head.verdict, raw.head.enforced) = (Reason::Port as u8, Verdict::Alert as u8, 0);
    let record = decode(raw.as_bytes()).unwrap();
    let v = json_of(&Event::of_record(told(&record)));
    assert_eq!(v["threat"]["indicator"], json!({"port": 3333}));
    assert_eq!(v["event"]["action"], "connection-alerted");
}

#[test]
fn a_change_time_beyond_the_calendar_does_not_cost_the_event() {
    let mut raw = samples::exec(b"/tmp/x", &[b"x"]);
    (raw.file.ctime_sec, raw.file.ctime_nsec) = (i64::MAX, u32::MAX);
    let record = decode(raw.as_bytes()).unwrap();
    assert_eq!(json_of(&Event::of_record(told(&record)))["file"]["ctime"], "1970-01-01T00:00:00Z");
}

#[test]
fn a_loss_event_counts_by_cause_and_there_is_none_without_a_loss() {
    let at = "2026-11-02T12:03:07Z".parse().unwrap();
    assert!(Event::of_loss(at, None, BTreeMap::from([("ring-exec", 0)])).is_none());
    let v =
        json_of(&Event::of_loss(at, None, BTreeMap::from([("ring-connect", 5), ("ring-exec", 0)])).unwrap());
    assert_eq!(v["event"]["action"], "records-lost");
    assert_eq!(v["miner_guard"]["loss"], json!({"ring-connect": 5}));
    assert_eq!(v["message"], "lost: 5 ring-connect");
}

#[test]
fn every_action_has_its_own_name_and_serialises_to_it() {
    let names: BTreeSet<_> = Action::ALL.iter().map(|a| a.name()).collect();
    assert_eq!(names.len(), Action::ALL.len());
    for a in Action::ALL {
        assert_eq!(serde_json::to_value(a).unwrap(), a.name());
    }
}
