//! What is done about a case: told, killed, kept. Reading and copying goes on a thread of its own.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use miner_guard_common::abi::verdict::{Mode, Verdict};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::{cases::Due, spare::Spare, start::Guard};
use crate::{
    event::{
        case::{Class, book::Member, view::CaseView},
        enrich::proc_root::ProcRoot,
        model::{Action, CaseNews, CaseRef, Event, Process, Thread},
    },
    policy::OnMining,
    respond::{
        bundle::{Bounds, Captured},
        respawn::Respawn,
        root,
        tree::kill_tree,
    },
};

/// Work that waits at most; more is told as not done.
const QUEUE: usize = 64;
/// Between two looks at the GPUs.
const GPUS: Duration = Duration::from_secs(10);

/// What the thread is to do.
struct Job {
    case: CaseView,
    kill: Vec<Member>,
    /// Also what the members have started.
    below: bool,
    /// Of which process a bundle is kept.
    bundle: Option<(Box<Captured>, PathBuf, Bounds)>,
    spare: Spare,
}

/// What came of it: first of the killing, then of the bundle.
#[derive(Debug, Default)]
pub struct Done {
    case: String,
    /// Each member, and the processes that were killed with it.
    killed: Vec<(Member, Vec<u32>)>,
    /// Those that were not, and why.
    not: Vec<(u32, String)>,
    bundle: Option<Result<PathBuf, String>>,
}

/// The thread.
#[derive(Debug)]
pub struct Responder {
    jobs: mpsc::SyncSender<Job>,
    done: UnboundedReceiver<Done>,
}

impl Responder {
    /// Starts it.
    pub fn start() -> std::io::Result<Self> {
        let (jobs, take) = mpsc::sync_channel::<Job>(QUEUE);
        let (tell, done) = unbounded_channel();
        thread::Builder::new().name("respond".into()).spawn(move || {
            while let Ok(job) = take.recv() {
                // The guard is stopping.
                if work(job, |done| tell.send(done).is_ok()).is_none() {
                    return;
                }
            }
        })?;
        Ok(Self { jobs, done })
    }

    /// Waits until something was done.
    pub async fn done(&mut self) -> Option<Done> {
        self.done.recv().await
    }
}

/// `None` when nobody hears any more what was done.
fn work(job: Job, tell: impl Fn(Done) -> bool) -> Option<()> {
    let proc = ProcRoot::default();
    let case = job.case.row.id.clone();
    let mut done = Done { case: case.clone(), ..Done::default() };
    for member in job.kill {
        let came = kill_tree(member.task, job.below, &proc, &|pid| job.spare.why(pid));
        done.not.extend(came.not);
        if !came.killed.is_empty() {
            done.killed.push((member, came.killed));
        }
    }
    let something = !done.killed.is_empty() || !done.not.is_empty();
    if something && !tell(done) {
        return None;
    }
    // After the kill, and after it was told: the copy may be large, and nobody is to wait for it.
    if let Some((captured, base, bounds)) = job.bundle {
        let kept = captured.write(&base, &job.case, bounds).map_err(|e| format!("{}: {e}", base.display()));
        if !tell(Done { case, bundle: Some(kept), ..Done::default() }) {
            return None;
        }
    }
    Some(())
}

impl Guard {
    /// Does what is due, and tells what was done.
    pub(super) fn respond(&mut self) {
        while let Ok(done) = self.responder.done.try_recv() {
            self.tell_done(done);
        }
        // First, while the miner and its sockets are there.
        self.learn_from_miners();
        self.isolate_by_rule();
        for due in self.teller.cases.take_due() {
            self.answer(due);
        }
    }

    fn answer(&mut self, mut due: Due) {
        let Some(case) = self.teller.cases.get(&due.id) else { return };
        let class = case.class;
        let wants_bundle = class >= Some(Class::MinerBinary) && !case.bundled;
        let Ok(view) = self.teller.cases.view(&due.id) else { return };
        let members = self.teller.cases.book().take_due(&due.id);
        let settings = self.policy.settings.respond;
        let acts = self.mode == Mode::Enforce && settings.mining != OnMining::Alert;
        let mut job = Job { case: view, kill: Vec::new(), below: false, bundle: None, spare: self.spare() };
        if wants_bundle && settings.bundles > 0 {
            let proc = ProcRoot::default();
            let captured = due.captured.take();
            let captured = captured.unwrap_or_else(|| Box::new(Captured::of(due.task.pid, &proc)));
            if captured.has_something() {
                let bounds = Bounds {
                    bundles: usize::try_from(settings.bundles).unwrap_or(usize::MAX),
                    bytes: settings.bundle_mib << 20,
                };
                job.bundle = Some((captured, self.options.state_dir.join("bundles"), bounds));
            }
        }
        if acts && settings.mining == OnMining::Kill {
            job.below = self.teller.cases.came_back(&due.id);
            job.kill = members;
        } else if acts && !members.is_empty() {
            let place = self.teller.cases.get(&due.id).and_then(|c| c.place.cgroup.clone());
            let why = format!("case {} is mining", due.id);
            let (done, text) =
                self.isolate_for(place.unwrap_or_else(|| format!("pid:{}", due.task.pid)), &why);
            self.teller.cases.note(&due.id, &text);
            self.tell_case(&due.id, Action::CaseClassified, members.first(), Verdict::Isolate, done, text);
        } else if !members.is_empty() {
            self.tell_members(&due.id, &members);
        } else if due.untold && due.seen.rose {
            self.tell_case(&due.id, Action::CaseClassified, None, Verdict::Alert, false, String::new());
        }
        if let Some(respawn) = due.respawn.take() {
            self.tell_respawn(&due.id, &respawn);
        }
        let bundles = job.bundle.is_some();
        if job.kill.is_empty() && !bundles {
            return;
        }
        if self.responder.jobs.try_send(job).is_ok() {
            if bundles {
                self.teller.cases.book().bundled(&due.id, true);
            }
        } else {
            self.teller.cases.note(&due.id, "not done: too many cases at once");
            tracing::warn!(case = due.id, "too many cases at once: nothing was done about this one");
        }
    }

    /// Every few seconds, while there are cases: whether their processes keep a GPU busy.
    pub(super) fn look_at_gpus(&mut self) {
        if self.teller.cases.any() && self.gpus_at.elapsed() >= GPUS {
            self.gpus_at = Instant::now();
            self.gpus.ask();
        }
        for used in self.gpus.take() {
            if let Some(evidence) = used.evidence() {
                self.teller.cases.add(used.pid, &[evidence]);
            }
        }
    }

    /// What enforce would do, or what the policy wants told only.
    fn tell_members(&mut self, id: &str, members: &[Member]) {
        let verdict = match self.policy.settings.respond.mining {
            OnMining::Alert => Verdict::Alert,
            OnMining::Kill => Verdict::Kill,
            OnMining::Isolate => Verdict::Isolate,
        };
        for m in members {
            let would = match verdict {
                Verdict::Kill => "; enforce would kill it",
                Verdict::Isolate => "; enforce would isolate its cgroup",
                _ => "",
            };
            let text = format!("{} (pid {}) is mining{would}", m.name, m.task.pid);
            self.teller.cases.note(id, &text);
            self.tell_case(id, Action::CaseClassified, Some(m), verdict, false, text);
        }
    }

    pub(super) fn tell_done(&mut self, done: Done) {
        let id = &done.case;
        for (member, pids) in &done.killed {
            let more = match pids.len() - 1 {
                0 => String::new(),
                n => format!(" and {n} below it"),
            };
            let text = format!("killed {} (pid {}){more}", member.name, member.task.pid);
            self.teller.cases.note(id, &text);
            self.tell_case(id, Action::ProcessKilled, Some(member), Verdict::Kill, true, text);
            if let Some(respawn) = self.teller.cases.killed(id, &member.above) {
                self.tell_respawn(id, &respawn);
            }
        }
        for (pid, why) in &done.not {
            let text = format!("pid {pid} was not killed: {why}");
            self.teller.cases.note(id, &text);
            self.tell_case(id, Action::CaseClassified, None, Verdict::Kill, false, text);
        }
        match done.bundle {
            Some(Ok(at)) => {
                self.teller.cases.note(id, &format!("evidence kept in {}", at.display()));
            }
            Some(Err(why)) => {
                self.teller.cases.book().bundled(id, false);
                self.teller.cases.note(id, &format!("evidence could not be kept: {why}"));
                tracing::warn!(case = id, "evidence could not be kept: {why}");
            }
            None => {}
        }
    }

    fn tell_respawn(&mut self, id: &str, respawn: &Respawn) {
        let Some(case) = self.teller.cases.get(id) else { return };
        let mut programs: Vec<String> = case.members.iter().filter_map(|m| m.executable.clone()).collect();
        programs.dedup();
        let who = root::describe(
            respawn.supervisor,
            &case.place,
            &programs,
            &ProcRoot::default(),
            Path::new("/etc"),
            Path::new("/var/spool"),
        );
        let text =
            format!("the miner came back {} times within a minute: {}", respawn.restarts, who.join("; "));
        self.teller.cases.note(id, &text);
        self.tell_case(id, Action::PersistenceFound, None, Verdict::Alert, false, text);
    }

    /// An event about a case. `text`: what is said of it; by itself its class.
    pub(super) fn tell_case(
        &mut self,
        id: &str,
        action: Action,
        member: Option<&Member>,
        verdict: Verdict,
        done: bool,
        text: String,
    ) {
        let Some(case) = self.teller.cases.get(id) else { return };
        let class = case.class.map_or("without a class", Class::name);
        let said = if text.is_empty() { String::new() } else { format!(": {text}") };
        let process = member.or(case.members.back()).map(|m| Process {
            pid: m.task.pid,
            name: m.name.clone(),
            executable: m.executable.clone(),
            thread: Thread { id: m.task.pid, name: m.name.clone() },
            ..Process::default()
        });
        let news = CaseNews {
            action,
            mode: self.mode,
            generation: self.generation,
            message: format!("case {id} is {class}{said}"),
            evidence: case.items.iter().map(|i| i.evidence.text.clone()).collect(),
            case: CaseRef { id: id.to_owned(), class: case.class },
            verdict,
            done,
            process: process.filter(|_| action != Action::PersistenceFound),
            cgroup: case.place.cgroup.clone(),
        };
        let event = Event::of_case(Timestamp::now(), self.teller.host(), news);
        self.teller.write(event);
    }

    /// Whom the policy in force exempts from being killed.
    fn spare(&self) -> Spare {
        let rules = self.file_rules.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
        Spare { policy: Arc::clone(&self.policy), rules, cgroups: self.preflight.cgroup_root.clone() }
    }
}
