//! What should have happened, and what did.

use miner_guard_common::abi::verdict::{Mode, Verdict};
use serde::{Serialize, Serializer};

use super::probe::Outcome;
use crate::{
    cli::table::{self, Cell, plain, toned},
    sinks::text::colour::{Colour, Tone},
};

/// All examples.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    #[serde(serialize_with = "mode")]
    pub(super) mode: Mode,
    pub(super) rows: Vec<Row>,
}

/// One example.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    pub(super) what: &'static str,
    /// The verdict that the policy should give.
    #[serde(serialize_with = "verdict")]
    pub(super) verdict: Verdict,
    /// It should be stopped in this mode, and the event should say so.
    pub(super) enforced: bool,
    /// What came of it.
    pub(super) outcome: Outcome,
    /// What the event said; none if there was no event.
    pub(super) seen: Option<Seen>,
}

/// What an event said.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Seen {
    pub(super) verdict: String,
    pub(super) reason: String,
    pub(super) rule: String,
    pub(super) enforced: bool,
}

fn mode<S: Serializer>(mode: &Mode, s: S) -> Result<S::Ok, S::Error> {
    s.serialize_str(mode.name())
}

fn verdict<S: Serializer>(verdict: &Verdict, s: S) -> Result<S::Ok, S::Error> {
    s.serialize_str(verdict.name())
}

impl Row {
    pub(super) fn as_required(&self) -> bool {
        let told = self
            .seen
            .as_ref()
            .is_some_and(|s| s.verdict == self.verdict.name() && s.enforced == self.enforced);
        told && self.outcome.stopped() == Some(self.enforced)
    }
}

impl Report {
    /// Everything came as it should.
    pub(super) fn as_required(&self) -> bool {
        self.rows.iter().all(Row::as_required)
    }
}

pub(super) fn text(report: &Report, colour: Colour) -> String {
    let mut out = String::new();
    for row in &report.rows {
        let mark =
            if row.as_required() { toned("ok", Tone::Calm) } else { toned("NOT AS REQUIRED", Tone::Trouble) };
        out.push_str(&table::rows(&[vec![mark, plain(row.what)]], colour));
        let wanted = format!("verdict {}, enforced {}", row.verdict.name(), row.enforced);
        let told = row.seen.as_ref().map_or_else(
            || {
                toned(
                    "no event within 5 s (the examples are part of the built-in feed: is `builtin` on?)",
                    Tone::Trouble,
                )
            },
            |s| {
                plain(format!(
                    "verdict {}, enforced {} ({}, rule {})",
                    s.verdict, s.enforced, s.reason, s.rule
                ))
            },
        );
        out.push_str(&table::rows(
            &[
                line("it should be", if row.enforced { "stopped" } else { "let through" }.to_owned()),
                line("it was", row.outcome.to_string()),
                line("the event should say", wanted),
                vec![plain("    the event says"), told],
            ],
            colour,
        ));
    }
    out
}

fn line(what: &str, told: String) -> Vec<Cell> {
    vec![plain(format!("    {what}")), plain(told)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> Row {
        Row {
            what: "connect to the reserved denied address",
            verdict: Verdict::Deny,
            outcome: Outcome::Refused,
            enforced: true,
            seen: Some(Seen {
                verdict: "deny".into(),
                reason: "address".into(),
                rule: "test".into(),
                enforced: true,
            }),
        }
    }

    #[test]
    fn an_example_is_as_required_only_if_call_and_event_are() {
        assert!(row().as_required());
        assert!(Row { outcome: Outcome::Killed, ..row() }.as_required());
        assert!(!Row { outcome: Outcome::Done, ..row() }.as_required());
        assert!(!Row { outcome: Outcome::Failed("no file".into()), ..row() }.as_required());
        assert!(!Row { seen: None, ..row() }.as_required());
        assert!(!Row { enforced: false, ..row() }.as_required());
        assert!(!Row { verdict: Verdict::Alert, ..row() }.as_required());
    }

    #[test]
    fn the_report_says_what_should_have_been_and_what_was() {
        let report = Report { mode: Mode::Enforce, rows: vec![row(), Row { seen: None, ..row() }] };
        assert!(!report.as_required());
        let text = text(&report, Colour::NEVER);
        assert!(
            text.starts_with(
                "\
ok  connect to the reserved denied address
    it should be          stopped
    it was                refused with EPERM
    the event should say  verdict deny, enforced true
    the event says        verdict deny, enforced true (address, rule test)
NOT AS REQUIRED  connect"
            ),
            "{text}"
        );
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json.pointer("/mode").unwrap(), "enforce");
        assert_eq!(json.pointer("/rows/0/seen/reason").unwrap(), "address");
        assert_eq!(json.pointer("/rows/1/outcome").unwrap(), "refused");
    }
}
