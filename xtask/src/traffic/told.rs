//! What the guard told.

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::proof::{self, Proof};

/// Its events, sorted by whether they should have come.
pub struct Told {
    /// Of ordinary traffic: none should have come. The part (or `?`), the action, the sentence.
    pub alarms: Vec<String>,
    /// Of the proofs.
    proofs: Vec<Value>,
    /// All events, harmless ones too.
    pub events: usize,
}

impl Told {
    /// From the guard's output, and its cases before the proofs.
    pub fn read(text: &str, cases: &Value) -> Result<Self> {
        let mut told = Self { alarms: Vec::new(), proofs: Vec::new(), events: 0 };
        for line in text.lines() {
            let event: Value = serde_json::from_str(line).with_context(|| format!("no JSON: {line}"))?;
            told.events += 1;
            if !is_alarm(&event) {
                continue;
            }
            let part =
                event["miner_guard"]["cgroup"].as_str().and_then(|c| c.rsplit('/').next()).unwrap_or("?");
            match part {
                proof::PART => told.proofs.push(event),
                part => {
                    told.alarms.push(format!("{part}: {}: {}", event["event"]["action"], event["message"]))
                }
            }
        }
        let cases = cases["cases"].as_array().or(cases.as_array()).context("`cases list` gave no list")?;
        told.alarms.extend(cases.iter().map(|case| format!("a case: {case}")));
        Ok(told)
    }

    /// Alarms of one part.
    pub fn of(&self, part: &str) -> usize {
        self.alarms.iter().filter(|alarm| alarm.starts_with(&format!("{part}: "))).count()
    }

    /// Whether the event of a proof has come.
    pub fn has(&self, proof: &Proof) -> bool {
        self.proofs
            .iter()
            .any(|event| event["event"]["action"] == proof.action && event.to_string().contains(proof.word))
    }
}

/// Anything but plain information: what was listed, found, stopped, or lost.
fn is_alarm(event: &Value) -> bool {
    let verdict = event["miner_guard"]["verdict"].as_str().unwrap_or("allow");
    event["event"]["kind"] != "event" || verdict != "allow" || event["event"]["outcome"] == "failure"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> Told {
        Told::read(text, &serde_json::json!([])).expect("events")
    }

    #[test]
    fn an_alert_a_denial_and_a_loss_of_ordinary_traffic_are_alarms() {
        for event in [
            r#"{"event":{"kind":"alert","action":"hashing-heavy"},"miner_guard":{"cgroup":"/a/redis"}}"#,
            r#"{"event":{"kind":"event","action":"x"},"miner_guard":{"verdict":"deny","cgroup":"/a/redis"}}"#,
            r#"{"event":{"kind":"pipeline_error","action":"records-lost"}}"#,
        ] {
            assert_eq!(told(event).alarms.len(), 1, "{event}");
        }
        assert_eq!(
            told(r#"{"event":{"kind":"event","action":"guard-started","outcome":"success"}}"#).alarms.len(),
            0
        );
    }

    #[test]
    fn a_proof_is_no_alarm_and_counts_only_with_its_own_event() {
        let told = told(
            r#"{"event":{"kind":"alert","action":"dns-question-denied"},"miner_guard":{"cgroup":"/a/proof"}}"#,
        );
        let proof = |action| Proof { name: "", action, word: "cgroup", stopped: true, saw: String::new() };
        assert!(told.alarms.is_empty() && told.has(&proof("dns-question-denied")));
        assert!(!told.has(&proof("connection-denied")));
    }
}
