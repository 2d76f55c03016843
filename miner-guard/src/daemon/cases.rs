//! The cases of the running guard: what events and identifiers say is joined here, and what is due is handed on.

use std::{
    path::PathBuf,
    time::{SystemTime, UNIX_EPOCH},
};

use miner_guard_common::abi::verdict::{Mode, Reason, Verdict};

use super::RunOptions;
use crate::{
    api::control::CommandError,
    event::{
        case::{
            Book, Case, Class, Seen, Subject, Task, store,
            view::{CaseList, CaseView},
            witness,
        },
        decode::Decision,
        enrich::proc_root::ProcRoot,
        model::{Action, CaseRef, Event, Finding},
    },
    identify::Evidence,
    policy::CaseSettings,
    respond::{
        bundle::Captured,
        respawn::{Respawn, Respawns},
    },
};

/// Between two writings of the cases, milliseconds.
const KEEP_MS: u64 = 5_000;
/// Between two looks for cases that have faded.
const FADE_MS: u64 = 60_000;

/// Something is to be done about a case.
#[derive(Debug)]
pub struct Due {
    /// The case.
    pub id: String,
    /// The process that brought it up.
    pub task: Task,
    /// What became of its evidence.
    pub seen: Seen,
    /// No event tells of it yet.
    pub untold: bool,
    /// Somebody brings the miner back.
    pub respawn: Option<Respawn>,
    /// What was taken of the process before it was killed.
    pub captured: Option<Box<Captured>>,
}

/// A confirmed miner, whose destinations are worth learning.
#[derive(Clone, Debug)]
pub struct Taught {
    /// Its case.
    pub case: String,
    /// The process.
    pub task: Task,
    /// Its name.
    pub name: String,
    /// Its cgroup's v2 id; 0 if it is not known.
    pub cgroup: u64,
}

/// All that is known of cases.
#[derive(Debug)]
pub struct Cases {
    book: Book,
    settings: CaseSettings,
    respawns: Respawns,
    due: Vec<Due>,
    /// Cgroups, by their v2 id, that a rule wants isolated, and why.
    to_isolate: Vec<(u64, String)>,
    /// Confirmed miners that talked to something new.
    to_learn: Vec<Taught>,
    /// Of the inspection whose event comes next.
    pub captured: Option<Box<Captured>>,
    proc: ProcRoot,
    path: PathBuf,
    boot: String,
    kept_ms: u64,
    faded_ms: u64,
}

/// Milliseconds since 1970.
pub fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}

impl Cases {
    /// Those that were kept, if there are any.
    pub fn start(options: &RunOptions) -> Self {
        let mut cases = Self {
            book: Book::default(),
            settings: CaseSettings::default(),
            respawns: Respawns::default(),
            due: Vec::new(),
            to_isolate: Vec::new(),
            to_learn: Vec::new(),
            captured: None,
            proc: ProcRoot::default(),
            path: options.state_dir.join("cases.jsonl"),
            boot: store::boot_id(),
            kept_ms: now_ms(),
            faded_ms: now_ms(),
        };
        match store::read(&cases.path, &mut cases.book, &cases.boot) {
            Ok(0) => {}
            Ok(bad) => {
                tracing::warn!("{}: {bad} lines are no cases; they are left out", cases.path.display())
            }
            Err(e) => tracing::warn!("cases of before are not known: {}: {e}", cases.path.display()),
        }
        cases.book.take_changed();
        cases
    }

    /// Settings of the policy in force, which is new or in another mode.
    pub fn set(&mut self, settings: CaseSettings) {
        self.settings = settings;
        self.book.anew();
    }

    /// Adds what an event says to its case, and the case to the event.
    pub fn witness(&mut self, event: &mut Event, head: &Decision, finding: Option<&Finding>) {
        let captured = self.captured.take();
        let (verdict, reason) = finding.map_or((head.verdict, head.reason), |f| (f.verdict, f.reason));
        if verdict == Verdict::Isolate && reason != Reason::Isolated && head.mode == Mode::Enforce {
            let rule = event.rule.as_ref().map_or("", |r| r.id.as_str());
            self.to_isolate.push((head.cgroup, format!("by rule {rule}")));
        }
        let evidence = witness::of_event(event, verdict, reason, finding);
        if evidence.is_empty() {
            return;
        }
        let Some(subject) = Subject::of_event(event, &self.proc) else { return };
        let now = now_ms();
        let Some(seen) = self.book.observe(&subject, &evidence, now, &self.settings) else { return };
        event.miner_guard.case = Some(CaseRef { id: seen.id.clone(), class: seen.class });
        let stopped = matches!(event.action(), Action::ProcessKilled | Action::ExecDenied);
        let respawn = if stopped {
            let message = &event.message;
            self.book.note(&seen.id, now, message);
            self.book.ended(&seen.id, subject.task);
            // Each that the event stands for; more than a handful say no more.
            let times = event.miner_guard.suppressed.min(5) + 1;
            (0..times).filter_map(|_| self.respawns.killed(&seen.id, &subject.above, now)).last()
        } else {
            None
        };
        self.hand_on(&subject, seen, false, respawn, captured);
    }

    /// Adds what an identifier found to its case, and the case to the event that tells of it.
    pub fn join(&mut self, event: &mut Event, evidence: &[Evidence]) {
        let Some(subject) = Subject::of_event(event, &self.proc) else { return };
        if let Some(seen) = self.book.observe(&subject, evidence, now_ms(), &self.settings) {
            event.miner_guard.case = Some(CaseRef { id: seen.id.clone(), class: seen.class });
            self.hand_on(&subject, seen, false, None, None);
        }
    }

    /// Adds evidence about a process that a case knows already: on its own it is worth none.
    pub fn add(&mut self, pid: u32, evidence: &[Evidence]) {
        let subject = Subject::of_pid(pid, &self.proc);
        if let Some(subject) = subject.filter(|s| self.book.of(s).is_some()) {
            self.evidence(&subject, evidence);
        }
    }

    /// Adds evidence that no event carries.
    pub fn evidence(&mut self, subject: &Subject, evidence: &[Evidence]) {
        if let Some(seen) = self.book.observe(subject, evidence, now_ms(), &self.settings) {
            self.hand_on(subject, seen, true, None, None);
        }
    }

    fn hand_on(
        &mut self,
        subject: &Subject,
        seen: Seen,
        untold: bool,
        respawn: Option<Respawn>,
        captured: Option<Box<Captured>>,
    ) {
        if seen.class >= Some(Class::MinerBinary) && (seen.rose || seen.new_pool) {
            self.to_learn.push(Taught {
                case: seen.id.clone(),
                task: subject.task,
                name: subject.name.clone(),
                cgroup: subject.place.cgroup_id,
            });
        }
        if seen.rose || seen.due || respawn.is_some() {
            let (id, task) = (seen.id.clone(), subject.task);
            self.due.push(Due { id, task, seen, untold, respawn, captured });
        }
    }

    /// Whose destinations are to be learned, once.
    pub fn take_to_learn(&mut self) -> Vec<Taught> {
        std::mem::take(&mut self.to_learn)
    }

    /// Cgroups that a rule wants isolated, once.
    pub fn take_to_isolate(&mut self) -> Vec<(u64, String)> {
        std::mem::take(&mut self.to_isolate)
    }

    /// What is to be done, once.
    pub fn take_due(&mut self) -> Vec<Due> {
        std::mem::take(&mut self.due)
    }

    /// A process of a case was killed by the guard.
    pub fn killed(&mut self, id: &str, above: &[Task]) -> Option<Respawn> {
        self.respawns.killed(id, above, now_ms())
    }

    /// Whether the miner was killed a moment ago.
    pub fn came_back(&self, id: &str) -> bool {
        self.respawns.came_back(id, now_ms())
    }

    /// Writes down what was done.
    pub fn note(&mut self, id: &str, text: &str) {
        self.book.note(id, now_ms(), text);
    }

    /// The cases themselves.
    pub const fn book(&mut self) -> &mut Book {
        &mut self.book
    }

    /// The case of a name.
    pub fn get(&self, id: &str) -> Option<&Case> {
        self.book.get(id)
    }

    /// A case as commands show it.
    pub fn view(&self, id: &str) -> Result<CaseView, CommandError> {
        let case = self.book.get(id).ok_or_else(|| {
            CommandError::Request(format!(
                "there is no case `{id}`; `miner-guard cases list` shows those there are"
            ))
        })?;
        Ok(case.view(now_ms(), &self.settings))
    }

    /// The case of a live process.
    pub fn of_pid(&self, pid: u32) -> Option<CaseView> {
        let subject = Subject::of_pid(pid, &self.proc)?;
        Some(self.book.of(&subject)?.view(now_ms(), &self.settings))
    }

    /// All cases, the newest evidence first.
    pub fn list(&self) -> CaseList {
        let now = now_ms();
        let mut all: Vec<_> = self.book.iter().collect();
        all.sort_by_key(|c| std::cmp::Reverse(c.updated_ms));
        let cases = all.into_iter().map(|c| c.row(now, &self.settings)).collect();
        CaseList { cases, evicted: self.book.evicted() }
    }

    /// Whether there is any.
    pub fn any(&self) -> bool {
        self.book.iter().next().is_some()
    }

    /// Once a second: forgets what has faded, keeps what changed.
    pub fn tick(&mut self) {
        let now = now_ms();
        if now.saturating_sub(self.faded_ms) >= FADE_MS {
            self.faded_ms = now;
            self.book.fade(now, &self.settings);
        }
        if now.saturating_sub(self.kept_ms) >= KEEP_MS {
            self.keep();
        }
    }

    /// Writes the cases, if they changed.
    pub fn keep(&mut self) {
        self.kept_ms = now_ms();
        if !self.book.take_changed() {
            return;
        }
        let made = self.path.parent().map_or(Ok(()), std::fs::create_dir_all);
        if let Err(e) = made.and_then(|()| store::write(&self.path, &self.book, &self.boot)) {
            tracing::warn!("cases are not kept over a restart: {}: {e}", self.path.display());
        }
    }
}
