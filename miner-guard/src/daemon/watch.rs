//! Running programs are watched on a thread of its own: samples and rounding modes in, findings out.
//!
//! While nothing runs, or only what has run for long, it looks four times a second whether something else does, and more often
//! while there is a suspect; a record of a new rounding mode wakes it.

use std::{
    collections::BTreeSet,
    os::fd::{AsFd, BorrowedFd},
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    thread::{CpuSet, sched_setaffinity},
};

use crate::{
    event::clock::monotonic_ns,
    identify::cpu::{Found, Tracker, look::Proc, track::Settings},
    kernel::runtime::Runtime,
};

/// Between two looks while nothing new runs, while something does, and while there is a suspect.
const IDLE: Duration = Duration::from_millis(250);
const BUSY: Duration = Duration::from_millis(100);
const SUSPECT: Duration = Duration::from_millis(30);
/// The rounding modes of all processes are read so often, those of a suspect at each look.
const ALL_MODES_NS: u64 = 240_000_000;
/// A CPU on which a suspect runs is visited so often: one that has become one just now, and any other.
const FRESH: Duration = Duration::from_millis(5);
const VISIT: Duration = Duration::from_millis(20);

/// The threads. They end with this.
pub struct Watch {
    stop: Arc<AtomicBool>,
    settings: Arc<Mutex<Settings>>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// Starts watching. `report` is called on the watching thread.
    pub fn start(
        runtime: Runtime,
        settings: Settings,
        report: impl Fn(Found) + Send + 'static,
    ) -> std::io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let settings = Arc::new(Mutex::new(settings));
        let visitor = Visitor::start()?;
        let thread = thread::Builder::new().name("watch".into()).spawn({
            let (stop, settings) = (Arc::clone(&stop), Arc::clone(&settings));
            move || watch(runtime, &stop, &settings, &visitor, report)
        })?;
        Ok(Self { stop, settings, thread: Some(thread) })
    }

    /// After a reload.
    pub fn set(&self, settings: Settings) {
        *self.settings.lock().unwrap_or_else(PoisonError::into_inner) = settings;
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It panicked, or it ends within a look; either way nothing is left attached.
            let _ = thread.join();
        }
    }
}

fn watch(
    mut runtime: Runtime,
    stop: &AtomicBool,
    settings: &Mutex<Settings>,
    visitor: &Visitor,
    report: impl Fn(Found),
) {
    let now = || *settings.lock().unwrap_or_else(PoisonError::into_inner);
    let mut tracker = Tracker::new(now(), std::process::id());
    let mut known: BTreeSet<u32> = BTreeSet::new();
    let mut told = false;
    let mut pace = IDLE;
    let mut suspects: Vec<u32> = Vec::new();
    let mut read_ns = 0;
    while !stop.load(Ordering::Relaxed) {
        wait(&runtime, pace);
        tracker.set(now());
        while let Some(sample) = runtime.take() {
            told |= sample.flags != 0;
            tracker.sample(&sample);
        }
        let at = monotonic_ns();
        // The table is walked only while there is something in it.
        let all = told || (!known.is_empty() && at.saturating_sub(read_ns) >= ALL_MODES_NS);
        if all {
            (told, read_ns) = (false, at);
            let modes = runtime.modes();
            known = modes.iter().map(|(pid, _)| *pid).collect();
            modes.iter().for_each(|(pid, r)| tracker.modes(*pid, r));
        } else {
            for pid in suspects.iter().filter(|pid| known.contains(pid)) {
                if let Some(modes) = runtime.modes_of(*pid) {
                    tracker.modes(*pid, &modes);
                }
            }
        }
        tracker.tick(at, &Proc).into_iter().for_each(&report);
        if all {
            let gone: Vec<u32> = known.iter().copied().filter(|pid| !alive(*pid)).collect();
            for pid in &gone {
                tracker.forget(*pid);
                known.remove(pid);
            }
            if !gone.is_empty() {
                runtime.forget(&gone, known.iter().copied());
            }
        }
        let closer = tracker.closer(at);
        runtime.look_closer(&closer.threads);
        pace = match closer {
            _ if !closer.processes.is_empty() => SUSPECT,
            _ if closer.young => BUSY,
            _ => IDLE,
        };
        visitor.visit(closer.suspects, closer.busy, if closer.fresh { FRESH } else { VISIT });
        suspects = closer.processes;
    }
}

/// Until a record wants attention, or it is time to look.
fn wait(runtime: &Runtime, pace: Duration) {
    use std::os::fd::AsRawFd as _;
    // SAFETY: the descriptor is the runtime's, which outlives this borrow.
    let fd = unsafe { BorrowedFd::borrow_raw(runtime.as_raw_fd()) };
    let timeout = Timespec { tv_sec: 0, tv_nsec: i64::from(pace.subsec_nanos()) };
    // Interrupted: looked a little earlier.
    let _ = poll(&mut [PollFd::new(&fd.as_fd(), PollFlags::IN)], Some(&timeout));
}

fn alive(pid: u32) -> bool {
    std::path::Path::new("/proc").join(pid.to_string()).exists()
}

/// Makes threads change on CPUs: a thread that has its CPU to itself is hardly ever switched out, and its registers are
/// seen only then. A helper thread moves to such a CPU and, by running there for a microsecond, switches it out.
struct Visitor {
    shared: Arc<(Mutex<Rounds>, Condvar)>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Rounds {
    /// To be visited again and again until the next look.
    often: Vec<u32>,
    /// To be visited once.
    once: Vec<u32>,
    pause: Duration,
    stop: bool,
}

impl Visitor {
    fn start() -> std::io::Result<Self> {
        let shared = Arc::new((Mutex::<Rounds>::default(), Condvar::new()));
        let thread = thread::Builder::new().name("visit".into()).spawn({
            let shared = Arc::clone(&shared);
            move || rounds(&shared)
        })?;
        Ok(Self { shared, thread: Some(thread) })
    }

    fn visit(&self, often: Vec<u32>, once: Vec<u32>, pause: Duration) {
        let (rounds, changed) = &*self.shared;
        let mut rounds = rounds.lock().unwrap_or_else(PoisonError::into_inner);
        if often.is_empty() && once.is_empty() && rounds.often.is_empty() {
            return;
        }
        // What goes on as before needs no wake-up: it wakes by itself.
        let goes_on = once.is_empty() && (rounds.often == often && rounds.pause == pause);
        (rounds.often, rounds.once, rounds.pause) = (often, once, pause);
        drop(rounds);
        if !goes_on {
            changed.notify_one();
        }
    }
}

impl Drop for Visitor {
    fn drop(&mut self) {
        let (rounds, changed) = &*self.shared;
        rounds.lock().unwrap_or_else(PoisonError::into_inner).stop = true;
        changed.notify_one();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn rounds(shared: &(Mutex<Rounds>, Condvar)) {
    let (lock, changed) = shared;
    let mut rounds = lock.lock().unwrap_or_else(PoisonError::into_inner);
    while !rounds.stop {
        let mut to = std::mem::take(&mut rounds.once);
        to.extend(&rounds.often);
        if to.is_empty() {
            rounds = changed.wait(rounds).unwrap_or_else(PoisonError::into_inner);
            continue;
        }
        drop(rounds);
        for cpu in to {
            let mut set = CpuSet::new();
            set.set(cpu as usize);
            // A CPU that went offline, or that this cgroup may not use: nothing is learned there.
            let _ = sched_setaffinity(None, &set);
        }
        rounds = lock.lock().unwrap_or_else(PoisonError::into_inner);
        if !rounds.often.is_empty() && !rounds.stop {
            let pause = rounds.pause;
            rounds = changed.wait_timeout(rounds, pause).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}
