//! `miner-guard test`: one harmless example of each verdict, and whether the guard tells it.
//!
//! The examples run in a scratch cgroup below the guarded one, so that the rest of the machine is as it was.

mod probe;
mod report;

use std::{
    fs::{self, File},
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use miner_guard_common::abi::verdict::{Mode, Verdict};
use serde_json::Value;

pub(super) use probe::{ProbeArgs, run as probe};

use self::{
    probe::Probe,
    report::{Report, Row, Seen},
};
use super::{CliError, Exit, Global, ui::Ui};
use crate::{
    api::client::{Client, ClientError, Look},
    kernel::cgroup::Scratch,
    policy::examples::{ALERTED, DENIED, program},
};

/// Longest wait for an event: wake-ups are rationed, and the first one may wait for a timer.
const EVENT: Duration = Duration::from_secs(5);

/// By then a new file is known.
const LEARNT: Duration = Duration::from_secs(2);

/// One example.
struct Example {
    what: &'static str,
    verdict: Verdict,
    probe: Probe,
}

fn examples(program: &Path) -> [Example; 3] {
    let example = |what, verdict, probe| Example { what, verdict, probe };
    [
        example("connect to a denied address", Verdict::Deny, Probe::Connect(DENIED.into())),
        example("connect to an address that alerts", Verdict::Alert, Probe::Connect(ALERTED.into())),
        example("run a program that is listed by its hash", Verdict::Deny, Probe::Exec(program.to_owned())),
    ]
}

pub(super) fn run(global: &Global, ui: &mut Ui) -> Result<Exit, CliError> {
    let client = global.client();
    let status = client.status()?;
    let name = format!("miner-guard-test-{}", std::process::id());
    let scratch = Scratch::create(status.cgroup.as_ref(), &name)?;
    let program = Program::make(global.state_dir.join(name))?;
    let bench = Bench { client, mode: status.mode, procs: scratch.procs() };
    let mut rows = Vec::new();
    for example in examples(&program.0) {
        let until = Instant::now() + LEARNT;
        let mut row = bench.set_off(&example)?;
        // A file that nobody has run is not known yet, and one that was written this very moment is not kept: the
        // guard learns it meanwhile.
        while matches!(example.probe, Probe::Exec(_)) && !row.as_required() && Instant::now() < until {
            row = bench.set_off(&example)?;
        }
        rows.push(row);
    }
    let report = Report { mode: status.mode, rows };
    ui.show(&report, report::text)?;
    Ok(if report.as_required() { Exit::Done } else { Exit::Found })
}

/// The example program as a file, which goes when dropped.
struct Program(PathBuf);

impl Program {
    fn make(path: PathBuf) -> Result<Self, CliError> {
        let failed = |source| CliError::File {
            what: "making the example program",
            path: path.display().to_string(),
            source,
        };
        if let Some(dir) = path.parent() {
            fs::create_dir_all(dir).map_err(failed)?;
        }
        let mut file =
            File::options().write(true).create_new(true).mode(0o700).open(&path).map_err(failed)?;
        file.write_all(&program()).map_err(failed)?;
        Ok(Self(path))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // 200 harmless bytes, at worst.
        let _ = fs::remove_file(&self.0);
    }
}

/// Where examples are set off.
struct Bench {
    client: Client,
    mode: Mode,
    procs: PathBuf,
}

impl Bench {
    fn set_off(&self, example: &Example) -> Result<Row, CliError> {
        let mut events = self.client.events(Look::Json)?;
        let (pid, outcome) = probe::spawn(&self.procs, &example.probe)?;
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
        let enforced = self.mode == Mode::Enforce && example.verdict.stops();
        Ok(Row { what: example.what, verdict: example.verdict, enforced, outcome, seen })
    }
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
    fn the_examples_are_in_loopback_and_the_program_goes_when_the_test_does() {
        assert!(DENIED.ip().is_loopback() && ALERTED.ip().is_loopback());
        assert_ne!(DENIED, ALERTED);
        let dir = tempfile::tempdir().unwrap();
        let program = Program::make(dir.path().join("sub/example")).unwrap();
        assert_eq!(fs::read(&program.0).unwrap(), crate::policy::examples::program());
        let path = program.0.clone();
        drop(program);
        assert!(!path.exists());
    }
}
