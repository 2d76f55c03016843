//! The figures of a [`Status`] in the text format of Prometheus.
//!
//! They are made anew from the status at every scrape: two sets of counters would come to differ.

use std::{fmt, sync::atomic::AtomicU64};

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, info::Info},
    registry::Registry,
};

use super::control::{Attachment, Proof, Status};

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Verdict {
    verdict: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Cause {
    cause: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Name {
    name: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Kind {
    kind: String,
}

type Figure = Gauge<u64, AtomicU64>;

/// The text for `GET /metrics`; `clients_lost` are the events that slow API clients missed.
pub(super) fn text(status: &Status, clients_lost: u64) -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix("miner_guard");
    let build = vec![
        ("version".to_owned(), status.version.clone()),
        ("abi".to_owned(), status.abi.to_string()),
        ("kernel".to_owned(), status.kernel.clone()),
    ];
    registry.register("build", "Version of the guard and the kernel it runs on", Info::new(build));

    let events = Family::<Verdict, Counter>::default();
    for (verdict, n) in &status.events {
        events.get_or_create(&Verdict { verdict: verdict.clone() }).inc_by(*n);
    }
    registry.register("events", "Events since the start, by verdict", events);

    let losses = Family::<Cause, Counter>::default();
    for (cause, n) in &status.losses {
        losses.get_or_create(&Cause { cause: cause.clone() }).inc_by(*n);
    }
    losses.get_or_create(&Cause { cause: "api-client".to_owned() }).inc_by(clients_lost);
    registry.register("losses", "Records that did not reach the operator, by cause", losses);

    let hooks = Family::<Name, Figure>::default();
    for hook in &status.hooks {
        let attached = u64::from(hook.state == Attachment::Attached);
        hooks.get_or_create(&Name { name: hook.name.clone() }).set(attached);
    }
    registry.register("hook_attached", "1 if the hook is in force", hooks);

    let indicators = Family::<Kind, Figure>::default();
    for (kind, n) in &status.indicators {
        indicators.get_or_create(&Kind { kind: kind.clone() }).set(*n);
    }
    registry.register("indicators", "Indicators in force, by kind", indicators);

    let enforcing = u64::from(status.mode == miner_guard_common::abi::verdict::Mode::Enforce);
    let figures = [
        ("enforcing", "1 in enforce mode, 0 in audit mode", enforcing),
        ("canary_proven", "1 if enforcement was proven", u64::from(status.canary.state == Proof::Proven)),
        ("generation", "Generation of the policy in force", status.generation),
        ("rules", "Rules in force", status.rules),
        ("uptime_seconds", "Seconds since the start", status.uptime_s),
    ];
    for (name, help, value) in figures {
        let figure = Figure::default();
        figure.set(value);
        registry.register(name, help, figure);
    }

    let mut text = String::new();
    encode(&mut text, &registry)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::samples::status;

    #[test]
    fn every_figure_of_the_status_is_a_metric() {
        let text = text(&status(), 5).unwrap();
        for line in [
            "miner_guard_events_total{verdict=\"deny\"} 3",
            "miner_guard_losses_total{cause=\"ring-connect\"} 2",
            "miner_guard_losses_total{cause=\"api-client\"} 5",
            "miner_guard_hook_attached{name=\"connect4\"} 1",
            "miner_guard_hook_attached{name=\"lsm-exec\"} 0",
            "miner_guard_enforcing 1",
            "miner_guard_generation 7",
            "miner_guard_rules 12",
            "# EOF",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn a_hostile_label_stays_on_its_line() {
        let mut status = status();
        status.events.insert("a\"\n# EOF\nb".into(), 1);
        let text = text(&status, 0).unwrap();
        assert_eq!(text.lines().filter(|l| *l == "# EOF").count(), 1, "{text}");
    }
}
