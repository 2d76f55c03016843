//! One event, one line.
//!
//! ```text
//! 12:03:07.123  DENY         connect  xmrig[4242] user=alice  → 192.0.2.5:3333 tcp  rule=builtin (address, "pool-ips.tsv:17")
//! ```

use super::{
    colour::{Colour, Tone},
    sanitize::{Padded, clean, clean_bytes},
};
use crate::event::model::{Action, Event};
use jiff::tz::TimeZone;
use std::net::SocketAddr;

/// Columns of a value that may be long: a path, a command line.
const LONG: usize = 120;

/// How lines look.
#[derive(Clone, Debug)]
pub struct Line {
    /// Whether to colour.
    pub colour: Colour,
    /// The time zone of the times.
    pub zone: TimeZone,
}

impl Line {
    /// The line of an event, without its newline. It holds no control characters but those of colour.
    #[must_use]
    pub fn render(&self, e: &Event) -> String {
        let time = e.timestamp.to_zoned(self.zone.clone()).strftime("%H:%M:%S%.3f").to_string();
        let action = e.action();
        let label = Padded(action.label(), 11).to_string();
        let mut parts = vec![self.colour.paint(Tone::Dim, &time), self.colour.paint(tone(action), &label)];
        match &e.process {
            Some(_) => self.process(e, &mut parts),
            None => {
                parts.push(Padded(action.name(), 8).to_string());
                parts.push(clean(&e.message));
            }
        }
        if let Some(extra) = suppressed(e) {
            parts.push(self.colour.paint(Tone::Attention, &extra));
        }
        if !e.miner_guard.evidence.is_empty() {
            let told: Vec<String> = e.miner_guard.evidence.iter().take(3).map(|s| clean(s)).collect();
            parts.push(format!("[{}]", told.join("; ")));
        }
        parts.join("  ")
    }

    fn process(&self, e: &Event, parts: &mut Vec<String>) {
        let Some(p) = &e.process else { return };
        parts.push(Padded(e.miner_guard.op.unwrap_or(""), 7).to_string());
        let name = format!("{}[{}]", clean_bytes(p.name.as_bytes(), 32), p.pid);
        let user = e.user.as_ref().map(|u| u.name.as_ref().unwrap_or(&u.id));
        let user = user.map_or(String::new(), |u| format!("user={}", clean(u)));
        let (name_pad, user_pad) = (Padded(&name, 20).to_string(), Padded(&user, 12).to_string());
        parts.push(format!("{} {user_pad}", self.colour.paint(Tone::Strong, &name_pad)));
        if let Some(d) = &e.destination {
            let transport = e.network.as_ref().and_then(|n| n.transport).unwrap_or("");
            let to = SocketAddr::new(d.ip, d.port);
            let to = match (&e.dns, &e.tls) {
                (Some(asked), _) => {
                    format!("→ {} of {to}", clean_bytes(asked.question.name.as_bytes(), LONG))
                }
                (_, Some(tls)) => {
                    format!("→ {} at {to}", clean_bytes(tls.client.server_name.as_bytes(), LONG))
                }
                _ => format!("→ {to} {transport}"),
            };
            parts.push(Padded(to.trim_end(), 28).to_string());
        }
        if action_of_names(e) {
            parts.push(clean(&e.message));
        }
        if let Some(f) = &e.file {
            parts.push(format!("→ {}", clean_bytes(f.path.as_bytes(), LONG)));
        }
        parts.push(why(e));
        parts.extend(self.details(e));
    }

    /// Where the process belongs, for tracing how it came in.
    fn details(&self, e: &Event) -> Option<String> {
        let g = &e.miner_guard;
        let p = e.process.as_ref()?;
        let mut out: Vec<String> = Vec::new();
        let mut say = |key: &str, value: Option<&str>| {
            if let Some(v) = value {
                out.push(format!("{key}={}", clean_bytes(v.as_bytes(), LONG)));
            }
        };
        if e.file.is_none() {
            say("exe", p.executable.as_deref());
        }
        say("cmd", p.command_line.as_deref());
        say("container", e.container.as_ref().map(|c| c.id.get(..12).unwrap_or(&c.id)));
        say("unit", g.unit.as_deref());
        say("job", g.job.as_deref());
        say("case", g.case.as_ref().map(|c| c.id.as_str()));
        if !g.ancestry.is_empty() {
            let by: Vec<String> = g
                .ancestry
                .iter()
                .map(|a| match &a.name {
                    Some(n) => format!("{}[{}]", clean_bytes(n.as_bytes(), 32), a.pid),
                    None => format!("[{}]", a.pid),
                })
                .collect();
            out.push(format!("by={}", by.join("<")));
        }
        if g.process_gone {
            out.push("(gone)".to_owned());
        }
        (!out.is_empty()).then(|| self.colour.paint(Tone::Dim, &out.join(" ")))
    }
}

/// What the sentence tells better than a destination.
fn action_of_names(e: &Event) -> bool {
    e.action() == Action::AddressLearned
}

fn why(e: &Event) -> String {
    let reason = e.miner_guard.reason.unwrap_or("none");
    let indicator = e.threat.as_ref().map(|t| &t.indicator);
    let provenance = indicator.and_then(|i| i.description.as_deref().or(i.name.as_deref()));
    let because = match provenance {
        Some(p) => format!("({reason}, \"{}\")", clean(p)),
        None => format!("({reason})"),
    };
    match &e.rule {
        Some(r) => format!("rule={} {because}", clean(&r.id)),
        None => because,
    }
}

fn suppressed(e: &Event) -> Option<String> {
    use crate::event::model::Scope;
    let n = e.miner_guard.suppressed;
    (n > 0).then(|| match e.miner_guard.suppressed_scope {
        Some(Scope::Process) => format!("+{n} more of this process"),
        Some(Scope::Crowd) => format!("+{n} more of processes like it"),
        _ => format!("+{n} more"),
    })
}

const fn tone(a: Action) -> Tone {
    match a {
        Action::ConnectionDenied
        | Action::ConnectionClosed
        | Action::QuestionDenied
        | Action::ExecDenied
        | Action::ProcessKilled
        | Action::CgroupIsolated
        | Action::PersistenceFound => Tone::Stopped,
        Action::ConnectionWouldBeDenied
        | Action::ConnectionWouldBeClosed
        | Action::ConnectionAlerted
        | Action::QuestionWouldBeDenied
        | Action::QuestionAlerted
        | Action::ExecWouldBeDenied
        | Action::ExecAlerted
        | Action::HashingHeavy
        | Action::CaseClassified
        | Action::AddressLearned => Tone::Attention,
        Action::ConnectionNotStopped
        | Action::ConnectionNotClosed
        | Action::ExecNotStopped
        | Action::Mining
        | Action::RecordsLost
        | Action::PolicyRefused
        | Action::FeedRefused
        | Action::CanaryFailed => Tone::Trouble,
        Action::ConnectionAllowed | Action::ExecAllowed => Tone::Dim,
        Action::GuardStarted
        | Action::ModeChanged
        | Action::PolicyReloaded
        | Action::FeedUpdated
        | Action::CgroupReleased
        | Action::CanaryPassed
        | Action::GuardStopped => Tone::Calm,
    }
}

#[cfg(test)]
#[path = "line_tests.rs"]
mod tests;
