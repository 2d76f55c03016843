//! `miner-guard test`: one harmless example of each verdict, and whether the guard tells it.
//!
//! The examples run in a scratch cgroup below the guarded one, so that the rest of the machine is as it was.

mod probe;
mod report;

use std::time::{Duration, Instant};

use miner_guard_common::abi::verdict::{Mode, Verdict};
use serde_json::Value;

pub(super) use probe::{ProbeArgs, run as probe};

use self::{
    probe::Outcome,
    report::{Report, Row, Seen},
};
use super::{CliError, Exit, Global, ui::Ui};
use crate::api::{
    client::{Client, ClientError, Look},
    control::{Status, TEST_ALERTED, TEST_DENIED},
};
use crate::kernel::cgroup::Scratch;

/// Longest wait for an event: wake-ups are rationed, and the first one may wait for a timer.
const EVENT: Duration = Duration::from_secs(5);

/// One example.
struct Example {
    what: &'static str,
    verdict: Verdict,
    probe: probe::Probe,
}

fn examples() -> [Example; 2] {
    let connect = |what, verdict, to: std::net::SocketAddrV4| Example {
        what,
        verdict,
        probe: probe::Probe::Connect(to.into()),
    };
    [
        connect("connect to the reserved denied address", Verdict::Deny, TEST_DENIED),
        connect("connect to the reserved alert address", Verdict::Alert, TEST_ALERTED),
    ]
}

pub(super) fn run(global: &Global, ui: &mut Ui) -> Result<Exit, CliError> {
    let client = global.client();
    let status = client.status()?;
    let name = format!("miner-guard-test-{}", std::process::id());
    let scratch = Scratch::create(status.cgroup.as_ref(), &name)?;
    let mut rows = Vec::new();
    for example in examples() {
        rows.push(set_off(&client, &status, &scratch, &example)?);
    }
    let report = Report { mode: status.mode, rows };
    ui.show(&report, report::text)?;
    Ok(if report.as_required() { Exit::Done } else { Exit::Found })
}

fn set_off(client: &Client, status: &Status, scratch: &Scratch, example: &Example) -> Result<Row, CliError> {
    let mut events = client.events(Look::Json)?;
    let (pid, outcome) = probe::spawn(&scratch.procs(), &example.probe)?;
    let until = Instant::now() + EVENT;
    let seen = loop {
        match events.next(Some(until)) {
            Ok(Some(line)) => {
                if let Some(seen) = matching(&line, pid) {
                    break Some(seen);
                }
            }
            Ok(None) => return Err(CliError::NotAsRequired("the guard stopped during the test".into())),
            Err(ClientError::TooSlow(..)) => break None,
            Err(e) => return Err(e.into()),
        }
    };
    let stopped = status.mode == Mode::Enforce && example.verdict.stops();
    let expected = if stopped { Outcome::Refused } else { Outcome::Done };
    Ok(Row { what: example.what, verdict: example.verdict, expected, outcome, enforced: stopped, seen })
}

/// What an event says of a verdict on this process.
fn matching(line: &str, pid: u32) -> Option<Seen> {
    let event: Value = serde_json::from_str(line).ok()?;
    if event.pointer("/process/pid")?.as_u64()? != u64::from(pid) {
        return None;
    }
    let text = |at: &str| event.pointer(at).and_then(Value::as_str).unwrap_or_default().to_owned();
    let verdict = text("/miner_guard/verdict");
    // A file that is seen for the first time is told too: not what is waited for.
    if verdict.is_empty() || verdict == Verdict::Allow.name() {
        return None;
    }
    Some(Seen {
        verdict,
        reason: text("/miner_guard/reason"),
        rule: text("/rule/id"),
        enforced: event.pointer("/miner_guard/enforced").and_then(Value::as_bool).unwrap_or(false),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_verdict_on_the_probe_itself_counts() {
        let line = |pid: u32, verdict: &str| {
            format!(
                r#"{{"process":{{"pid":{pid}}},"rule":{{"id":"r"}},"miner_guard":{{"verdict":"{verdict}","enforced":true,"reason":"address"}}}}"#
            )
        };
        let seen = matching(&line(7, "deny"), 7).unwrap();
        assert_eq!((seen.verdict.as_str(), seen.rule.as_str(), seen.enforced), ("deny", "r", true));
        assert_eq!(matching(&line(8, "deny"), 7), None);
        assert_eq!(matching(&line(7, "allow"), 7), None);
        assert_eq!(matching("{}", 7), None);
        assert_eq!(matching("no json", 7), None);
    }

    #[test]
    fn the_examples_are_in_loopback() {
        assert!(TEST_DENIED.ip().is_loopback() && TEST_ALERTED.ip().is_loopback());
        assert_ne!(TEST_DENIED, TEST_ALERTED);
    }
}
