//! A program was started whose file is not known: what is it? [`file`] finds the files of a start, [`judge`] decides.
//!
//! Runs on its own thread, so that reading a large file never delays the next record. Fails open: a file that
//! cannot be read runs, and is looked at again at its next start.

mod file;
mod judge;

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread,
};

use miner_guard_common::abi::{
    exec::FIRST_SEEN,
    file::{FileId, FileVerdict, LOADER},
    verdict::{Mode, Reason},
};

use super::rules::FileRules;
use crate::{
    event::{decode::ExecRecord, enrich::proc_root::ProcRoot, model::Finding},
    identify::Identifier,
    respond::{
        bundle::Captured,
        kill::{NotKilled, kill},
    },
};
use file::{Given, Ran, Settled};
use judge::{Judged, judge, listed};
pub use judge::{exempt, explain};

/// Starts waiting to be inspected: more than this are let go and counted.
const QUEUE: usize = 4096;

/// What came of an inspection.
#[derive(Debug)]
pub struct Inspected {
    /// The start that was inspected.
    pub record: Box<ExecRecord>,
    /// What to remember of which file; nothing of a file that is not surely the one that was started.
    pub remember: Vec<(FileId, FileVerdict)>,
    /// What to tell; `None` for a clean file.
    pub finding: Option<Finding>,
    /// Index of the rule that decided, 0 for the guard's own identification.
    pub rule: u32,
    /// What was taken of the process before it was killed.
    pub captured: Option<Box<Captured>>,
    /// The lists under which this was found out; others may be in force by now.
    pub under: Arc<FileRules>,
}

/// The inspecting threads.
#[derive(Debug)]
pub struct Inspectors {
    queue: mpsc::SyncSender<Box<ExecRecord>>,
}

/// What the threads share with the daemon: replaced at a reload.
pub type SharedRules = Arc<Mutex<Arc<FileRules>>>;

impl Inspectors {
    /// Starts the threads. `report` is called on them.
    pub fn start(
        rules: SharedRules,
        report: impl Fn(Inspected) + Send + Clone + 'static,
    ) -> std::io::Result<Self> {
        let (queue, take) = mpsc::sync_channel::<Box<ExecRecord>>(QUEUE);
        let take = Arc::new(Mutex::new(take));
        let identifier = Arc::new(Identifier::new());
        let threads = thread::available_parallelism().map_or(1, |n| n.get().min(4));
        for n in 0..threads {
            let (take, rules, report, identifier) =
                (take.clone(), rules.clone(), report.clone(), identifier.clone());
            thread::Builder::new().name(format!("inspect-{n}")).spawn(move || {
                loop {
                    let next = take.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    let Ok(record) = next else { return };
                    let now = rules.lock().unwrap_or_else(PoisonError::into_inner).clone();
                    report(inspect(&identifier, now, record));
                }
            })?;
        }
        Ok(Self { queue })
    }

    /// Hands a start to the threads; gives it back if too many wait.
    pub fn submit(&self, record: Box<ExecRecord>) -> Result<(), Box<ExecRecord>> {
        self.queue.try_send(record).map_err(|e| match e {
            mpsc::TrySendError::Full(r) | mpsc::TrySendError::Disconnected(r) => r,
        })
    }
}

fn inspect(identifier: &Identifier, under: Arc<FileRules>, record: Box<ExecRecord>) -> Inspected {
    let rules = &*under;
    let pid = record.head.pid;
    let proc = PathBuf::from(format!("/proc/{pid}"));
    let exe = proc.join("exe");
    // The process may be gone, or run another program by now: then the path it gave is tried, and only the same
    // file counts.
    let running = || file::open(&exe).filter(|f| file::still_runs(&record.file, f));
    let runs = || running().is_some();
    let first = running();
    let ran = Ran::of(&record.file, first.as_ref());
    let Some(started) = first.or_else(|| file::named(&proc, &record)) else {
        return ended(under, &proc, record);
    };
    let settled = Settled::of(&started);
    let given = file::given(&proc, &record, &started, rules);
    // Only what it was given is new.
    let known = record.flags & FIRST_SEEN == 0;
    let mut judged = match given {
        Given::ToLoader(_) => Judged::clean(),
        _ if known => Judged::clean(),
        Given::ToInterpreter(_) | Given::Nothing => judge(identifier, rules, &started),
    };
    if !ran.these(&started, runs) {
        return ended(under, &proc, record);
    }
    let mut flags = 0;
    if matches!(given, Given::ToLoader(_)) || rules.is_interpreter(&file::path(&started)) {
        flags = LOADER;
    }
    let verdict = FileVerdict { flags: flags | judged.to_keep().flags, ..judged.to_keep() };
    let mut remember = Vec::new();
    if let Some(id) = settled.filter(|_| !known).and_then(|s| s.still(&started)) {
        // As the kernel knows it; a file that was deleted before it was read has another identity, if it is ever
        // started again.
        let id = if file::same(&record.file, &started) { record.file } else { id };
        remember.push((id, verdict));
    }
    let mut decided_by = &started;
    if let Given::ToLoader(Some(target)) | Given::ToInterpreter(target) = &given
        && judged.lets_go_unnamed()
    {
        let settled = Settled::of(target);
        judged = match given {
            Given::ToLoader(_) => judge(identifier, rules, target),
            // What an interpreter does with a file is its own affair: only what is listed counts.
            _ => listed(rules, target),
        };
        decided_by = target;
        if let Some(id) = settled.filter(|_| judged.verdict.stops()).and_then(|s| s.still(target)) {
            remember.push((id, judged.to_keep()));
        }
    }

    let exempt = record.head.reason == Reason::Exempt;
    let stop = judged.verdict.stops_program()
        && record.head.mode == Mode::Enforce
        && !exempt
        && !record.head.enforced;
    let mut killed = false;
    let mut trouble = None;
    let mut captured = None;
    if stop {
        captured = runs().then(|| Box::new(Captured::at_start(pid, &ProcRoot::default())));
        match kill(pid, runs) {
            Ok(()) => killed = true,
            Err(NotKilled::Gone) => {}
            Err(e) => trouble = Some(format!("not killed: {e}")),
        }
    }
    // Only now, when there is time: nobody waits for the hashes any more.
    let mut judged = if ran.these(&started, runs) { judged.with_hashes(rules, decided_by) } else { judged };
    judged.evidence.extend(trouble);
    let rule = judged.rule;
    let finding = judged.into_finding(exempt, killed);
    Inspected { record, remember, finding, rule, captured, under }
}

/// The interpreter of a short script has ended by now, and only its path tells what it ran.
fn ended(under: Arc<FileRules>, proc: &Path, record: Box<ExecRecord>) -> Inspected {
    let rules = &*under;
    let script = file::script(proc, &record);
    let settled = script.as_ref().and_then(Settled::of);
    let judged = script.as_ref().map_or_else(Judged::clean, |script| listed(rules, script));
    let id = settled.zip(script.as_ref()).and_then(|(settled, script)| settled.still(script));
    let remember =
        id.filter(|_| judged.verdict.stops()).map(|id| (id, judged.to_keep())).into_iter().collect();
    let exempt = record.head.reason == Reason::Exempt;
    let (rule, finding) = (judged.rule, judged.into_finding(exempt, false));
    Inspected { record, remember, finding, rule, captured: None, under }
}
