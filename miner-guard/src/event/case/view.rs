//! A case as commands show it.

use super::{
    book::{Case, What},
    class::Class,
};
use crate::policy::CaseSettings;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// One case in a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CaseRow {
    /// Its name.
    pub id: String,
    /// What it was taken for at the worst; none for evidence that is not enough for a class.
    pub class: Option<Class>,
    /// 0 to 1: how much independent evidence there is now. It fades.
    pub confidence: f64,
    /// When it was opened (RFC 3339).
    pub opened: String,
    /// When evidence last came in (RFC 3339).
    pub updated: String,
    /// Whose processes.
    pub user: Option<String>,
    /// Its newest program: a file, or a name.
    pub program: String,
    /// Unit, container, job, pod or cgroup.
    pub place: Option<String>,
    /// Different pieces of evidence.
    pub evidence: u64,
    /// What was done last.
    pub done: Option<String>,
}

/// A case, entire.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CaseView {
    /// As in the list.
    #[serde(flatten)]
    pub row: CaseRow,
    /// Processes, the newest last.
    pub processes: Vec<ProcessView>,
    /// Why, the weightiest first.
    pub reasons: Vec<ReasonView>,
    /// What happened, in order.
    pub timeline: Vec<EntryView>,
    /// Evidence, entries and processes that had to go because there were too many.
    pub lost: u64,
}

/// One process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessView {
    /// Its number.
    pub pid: u32,
    /// Its name. Chosen by it.
    pub name: String,
    /// The file that it runs.
    pub executable: Option<String>,
}

/// One piece of evidence.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReasonView {
    /// `binary`, `runtime`, `network`
    pub family: String,
    /// What it is about.
    pub kind: String,
    /// `weak`, `medium`, `strong`
    pub strength: crate::identify::Strength,
    /// A sentence.
    pub text: String,
    /// What it weighs now, 0 to 1.
    pub weight: f64,
    /// First seen (RFC 3339).
    pub first: String,
    /// Last seen (RFC 3339).
    pub last: String,
    /// How often.
    pub count: u64,
}

/// One entry of the timeline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntryView {
    /// When (RFC 3339).
    pub at: String,
    /// What it is about.
    pub what: What,
    /// A sentence.
    pub text: String,
}

/// All cases.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CaseList {
    /// The newest evidence first.
    pub cases: Vec<CaseRow>,
    /// Cases that had to go because there were too many.
    pub evicted: u64,
}

/// `2026-11-02T12:03:07.123Z`
#[must_use]
pub fn rfc3339(ms: u64) -> String {
    let at = i64::try_from(ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    at.map_or_else(|| format!("{ms} ms"), |at| at.to_string())
}

fn hundredths(x: f64) -> f64 {
    (x * 100.0).round() / 100.0
}

impl Case {
    /// In a list.
    #[must_use]
    pub fn row(&self, now_ms: u64, settings: &CaseSettings) -> CaseRow {
        let newest = self.members.back();
        let place = &self.place;
        let container =
            place.container.as_ref().map(|id| format!("container {}", id.get(..12).unwrap_or(id)));
        CaseRow {
            id: self.id.clone(),
            class: self.class,
            confidence: hundredths(self.judge(now_ms, settings).confidence),
            opened: rfc3339(self.opened_ms),
            updated: rfc3339(self.updated_ms),
            user: self.user.clone(),
            program: newest
                .map(|m| m.executable.clone().unwrap_or_else(|| m.name.clone()))
                .unwrap_or_default(),
            place: container
                .or_else(|| place.job.clone())
                .or_else(|| place.unit.clone())
                .or_else(|| place.cgroup.clone()),
            evidence: self.items.len() as u64,
            done: self.timeline.iter().rev().find(|e| e.what == What::Action).map(|e| e.text.clone()),
        }
    }

    /// Entire.
    #[must_use]
    pub fn view(&self, now_ms: u64, settings: &CaseSettings) -> CaseView {
        let mut reasons: Vec<ReasonView> = self
            .items
            .iter()
            .map(|i| ReasonView {
                family: i.evidence.family().name().to_owned(),
                kind: i.evidence.kind.name().to_owned(),
                strength: i.evidence.strength,
                text: i.evidence.text.clone(),
                weight: hundredths(i.weight(now_ms, settings)),
                first: rfc3339(i.first_ms),
                last: rfc3339(i.last_ms),
                count: i.count,
            })
            .collect();
        reasons.sort_by(|a, b| b.weight.total_cmp(&a.weight));
        let process = |m: &super::book::Member| ProcessView {
            pid: m.task.pid,
            name: m.name.clone(),
            executable: m.executable.clone(),
        };
        let entry =
            |e: &super::book::Entry| EntryView { at: rfc3339(e.at_ms), what: e.what, text: e.text.clone() };
        CaseView {
            row: self.row(now_ms, settings),
            processes: self.members.iter().map(process).collect(),
            reasons,
            timeline: self.timeline.iter().map(entry).collect(),
            lost: self.lost,
        }
    }
}
