//! Looking through directories and running processes for miners, on all cores.

mod running;
mod walk;

use super::{Class, Finding, Identifier, RULES_VERSION, Skip, yara::Rules};
use serde::Serialize;
use std::{
    collections::BTreeMap,
    num::NonZero,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc,
    },
    thread,
};

/// What to look at.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Files and directories. Inside `root`, when there is one.
    pub paths: Vec<PathBuf>,
    /// Treat this directory as `/`: a container's layer, a mounted disk. Links cannot lead out of it.
    pub root: Option<PathBuf>,
    /// Also every program that runs, deleted and anonymous ones included.
    pub running: bool,
    /// Stay on the file system where each path begins.
    pub one_file_system: bool,
    /// What the site adds.
    pub rules: Option<Arc<Rules>>,
    /// Threads that read; all cores when none is given.
    pub jobs: Option<NonZero<usize>>,
}

/// How far a scan is.
#[derive(Debug, Default)]
pub struct Progress {
    /// Files found so far.
    pub files: AtomicU64,
    /// Files done.
    pub done: AtomicU64,
    /// Set when all files have been found.
    pub all_found: AtomicBool,
}

/// A file that is not clean.
#[derive(Clone, Debug, Serialize)]
pub struct Item {
    /// Where it is, as it was found.
    #[serde(serialize_with = "lossy")]
    pub path: PathBuf,
    /// The processes that run it, when running programs were asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pids: Vec<u32>,
    /// What it is, and why.
    #[serde(flatten)]
    pub finding: Finding,
}

/// Something that could not be looked at.
#[derive(Clone, Debug, Serialize)]
pub struct Skipped {
    /// What.
    #[serde(serialize_with = "lossy")]
    pub path: PathBuf,
    /// Why not.
    pub reason: String,
}

/// What a scan has found, and could not look at.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// Version of the rules that judged.
    pub rules_version: u32,
    /// Files that were looked at.
    pub files: u64,
    /// Of these, programs and libraries (ELF files), and scripts that were found.
    pub programs: u64,
    /// Everything that is not clean, worst first.
    pub found: Vec<Item>,
    /// What could not be looked at, at most [`SKIPPED`].
    pub skipped: Vec<Skipped>,
    /// How many could not be looked at.
    pub skipped_total: u64,
}

impl Report {
    /// Whether something was found that the scan is for; a packed file alone is not.
    pub fn is_clean(&self) -> bool {
        self.found.iter().all(|item| item.finding.class <= Class::Packed)
    }
}

/// So many skipped files are listed; the rest is counted.
pub const SKIPPED: usize = 1000;
/// Files that wait for a reader.
const QUEUE: usize = 1024;

/// One file to look at.
struct Job {
    /// What to open.
    open: PathBuf,
    /// What to call it.
    path: PathBuf,
    pids: Vec<u32>,
}

/// What the walk hands on.
enum Found {
    File(Job),
    Skipped(Skipped),
}

/// Looks at everything that the options name. `progress` may be watched from another thread.
pub fn scan(identifier: &Identifier, options: &Options, progress: &Progress) -> Report {
    let jobs = options.jobs.or_else(|| thread::available_parallelism().ok()).map_or(1, NonZero::get);
    let report = Mutex::new(Report { rules_version: RULES_VERSION, ..Report::default() });
    let (send, receive) = mpsc::sync_channel(QUEUE);
    let receive = Mutex::new(receive);
    thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| work(identifier, options.rules.as_deref(), &receive, &report, progress));
        }
        let mut each = |found| {
            progress.files.fetch_add(1, Ordering::Relaxed);
            // All readers are gone only after a panic in each of them, which the scope reports.
            let _ = send.send(found);
        };
        walk::walk(options, &mut each);
        if options.running {
            running::programs(&mut each);
        }
        drop(send);
        progress.all_found.store(true, Ordering::Relaxed);
    });
    let mut report = report.into_inner().unwrap_or_else(PoisonError::into_inner);
    report.found.sort_by(|a, b| b.finding.class.cmp(&a.finding.class).then_with(|| a.path.cmp(&b.path)));
    report.skipped.sort_by(|a, b| a.path.cmp(&b.path));
    report
}

fn work(
    identifier: &Identifier,
    rules: Option<&Rules>,
    receive: &Mutex<mpsc::Receiver<Found>>,
    report: &Mutex<Report>,
    progress: &Progress,
) {
    loop {
        let next = receive.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(found) = next else { break };
        let outcome = match found {
            Found::Skipped(skipped) => Outcome::Skipped(skipped),
            Found::File(job) => look(identifier, rules, job),
        };
        report.lock().unwrap_or_else(PoisonError::into_inner).add(outcome);
        progress.done.fetch_add(1, Ordering::Relaxed);
    }
}

enum Outcome {
    Found(Item),
    Clean,
    NotAProgram,
    Skipped(Skipped),
}

fn look(identifier: &Identifier, rules: Option<&Rules>, job: Job) -> Outcome {
    let finding = match job.pids.as_slice() {
        [] => identifier.identify_path(&job.open, rules),
        _ => identifier.identify_program(&job.open, rules),
    };
    match finding {
        Ok(Finding { class: Class::Clean, .. }) => Outcome::Clean,
        Ok(mut finding) => {
            // What is packed on disk lies open in the memory of a process that runs it.
            if let (Class::Packed, Some(&pid)) = (finding.class, job.pids.first())
                && let Ok(memory) = identifier.identify_memory(pid)
            {
                finding.class = finding.class.max(memory.class);
                finding.evidence.extend(memory.evidence);
            }
            Outcome::Found(Item { path: job.path, pids: job.pids, finding })
        }
        Err(Skip::NotElf | Skip::Empty | Skip::Core) => Outcome::NotAProgram,
        Err(skip) => Outcome::Skipped(Skipped { path: job.path, reason: skip.to_string() }),
    }
}

impl Report {
    fn add(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Found(item) => {
                self.programs += 1;
                self.found.push(item);
            }
            Outcome::Clean => self.programs += 1,
            Outcome::NotAProgram => {}
            Outcome::Skipped(skipped) => {
                self.skipped_total += 1;
                if self.skipped.len() < SKIPPED {
                    self.skipped.push(skipped);
                }
                return;
            }
        }
        self.files += 1;
    }
}

/// A name need not be UTF-8, a JSON string must be.
fn lossy<S: serde::Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&path.display())
}

/// How many files of each class were found.
pub fn tally(report: &Report) -> BTreeMap<Class, usize> {
    let mut tally = BTreeMap::new();
    for item in &report.found {
        *tally.entry(item.finding.class).or_default() += 1;
    }
    tally
}

#[cfg(test)]
mod tests;
