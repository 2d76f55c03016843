//! From nothing to `ready`: preflight, lock, policy, programs, first generation, hooks, proof.

use std::{
    path::Path,
    sync::{Arc, Mutex},
    time::Instant,
};

use jiff::Timestamp;
use miner_guard_common::{
    abi::{
        file::{EXEMPT, FileVerdict, LOADER},
        verdict::{Mode, Reason, Verdict},
    },
    table::SipKey,
};
use tokio::sync::mpsc::UnboundedSender;

use super::{
    DaemonError, RunOptions,
    answers::{self, Answered, SharedPolicy},
    closing::Closer,
    feeds::{Feeds, News},
    following::Following,
    found,
    inspect::{Inspected, Inspectors, SharedRules},
    isolate::Isolations,
    known::Keeper,
    learned::Learner,
    memory,
    respond::Responder,
    rules::{FileRules, RuleBook},
    tell::Teller,
    unload_at_stop,
    watch::Watch,
};
use crate::{
    api::hub::Hub,
    event::model::Action,
    identify::{
        RULES_VERSION,
        gpu::{Asker, Gpus},
    },
    kernel::{
        KernelError,
        canary::{self, file_id},
        cgroup::{Guarded, Scratch},
        frames::Frames,
        hooks::Hook,
        load,
        pins::{Instance, Lock, Pins},
        preflight::Preflight,
        ring::Ring,
        runtime::Runtime,
        sockets,
        tables::Tables,
    },
    policy::{
        self, LoadRequest, Resolved, cgroups,
        compile::{Canary, CompileRequest},
    },
};

/// A guard that runs.
pub struct Guard {
    pub(super) options: RunOptions,
    pub(super) preflight: Preflight,
    pub(super) guarded: Guarded,
    pub(super) tables: Tables,
    pub(super) hooks: Vec<(&'static Hook, load::State)>,
    pub(super) policy: Arc<Resolved>,
    pub(super) generation: u64,
    pub(super) mode: Mode,
    pub(super) proof: canary::Proof,
    pub(super) proven_at: Timestamp,
    pub(super) started: Instant,
    pub(super) teller: Teller,
    pub(super) inspectors: Inspectors,
    pub(super) responder: Responder,
    pub(super) gpus: Asker,
    pub(super) gpus_at: Instant,
    pub(super) file_rules: SharedRules,
    pub(super) keeper: Keeper,
    pub(super) key: SipKey,
    pub(super) feeds: Feeds,
    /// Until its thread takes it.
    pub(super) runtime: Option<Runtime>,
    pub(super) watching: Option<Watch>,
    /// Until its thread takes it.
    pub(super) frames: Option<Frames>,
    pub(super) following: Option<Following>,
    pub(super) learner: Learner,
    pub(super) closer: Closer,
    pub(super) isolated: Isolations,
    names: SharedPolicy,
    scratch: Scratch,
    pub(super) instance: Instance,
    _lock: Lock,
}

impl Guard {
    /// Brings everything up, or leaves nothing behind.
    pub fn start(
        options: RunOptions,
        hub: Hub,
        report: impl Fn(Inspected) + Send + Clone + 'static,
        feed_news: UnboundedSender<News>,
        closer: Closer,
    ) -> Result<(Self, Ring), DaemonError> {
        let preflight = Preflight::look(&options.pin_dir, true)?;
        let pins = Pins::at(&options.pin_dir);
        let run_dir = options.socket.parent().unwrap_or(Path::new("/run/miner-guard"));
        let lock = pins.lock(run_dir)?;
        pins.check_abi()?;
        // Without its last good copy a feed that is bad today would keep the node without a guard.
        let feeds = policy::Feeds { fall_back: true, ..policy::Feeds::default() };
        let policy = read_policy(&options, None, None, feeds)?;
        let mode = options.mode.unwrap_or(policy.settings.mode);
        let guarded = Guarded::open(&preflight.cgroup_root, options.cgroup.as_deref())?;

        let before = pins.instances()?;
        let instance = pins.create()?;
        let cleanup = Undo(Some(instance.clone()));
        let programs = load::load(&preflight, &instance, &guarded)?;
        let mut tables = Tables::open(&instance)?;
        let ring = Ring::open(&instance)?;
        let learner = Learner::open(&instance)?;
        let scratch = Scratch::create(&guarded.path, &format!("miner-guard-canary-{}", std::process::id()))?;
        let key = random_key()?;
        let (policy, generation) = (Arc::new(policy), 1);
        let mut teller = Teller::new(&options, hub);
        let exempt = cgroups::find(&preflight.cgroup_root, &policy.allowed.tasks);
        publish(&mut tables, &policy, &exempt, &request(generation, mode, key, &scratch))?;
        teller.policy(generation, RuleBook::new(Arc::clone(&policy), learner.names()));
        teller.cases.set(policy.settings.case);
        let file_rules: SharedRules = Arc::new(Mutex::new(Arc::new(FileRules::of(&policy))));
        let inspectors = Inspectors::start(Arc::clone(&file_rules), report)
            .map_err(|e| DaemonError::Io("starting the inspecting threads", e))?;

        let responder =
            Responder::start().map_err(|e| DaemonError::Io("starting the responding thread", e))?;
        let gpus = Asker::start(Gpus::default())
            .map_err(|e| DaemonError::Io("starting the thread that asks for GPUs", e))?;

        let load::Attached { hooks, runtime, frames } = programs.attach(&preflight, &instance, &guarded)?;
        let proof = canary::prove(&mut tables, &scratch)?;
        if let (Some(why), Mode::Enforce) = (proof.failure(), mode) {
            return Err(DaemonError::NotProven(why.to_owned()));
        }
        let isolated = Isolations::start(&options, &instance)?;
        // Only now that this one enforces.
        for old in before {
            old.remove()?;
        }
        cleanup.keep();
        let names = Arc::new(Mutex::new(Arc::clone(&policy)));
        let keeper = Keeper::at(&options.state_dir);
        let mut guard = Self {
            preflight,
            guarded,
            tables,
            hooks,
            policy,
            generation,
            mode,
            proof,
            proven_at: Timestamp::now(),
            started: Instant::now(),
            teller,
            inspectors,
            responder,
            gpus,
            gpus_at: Instant::now(),
            file_rules,
            keeper,
            key,
            feeds: Feeds::new(&options.state_dir, feed_news),
            runtime,
            watching: None,
            frames,
            following: None,
            learner,
            closer,
            isolated,
            names,
            scratch,
            instance,
            _lock: lock,
            options,
        };
        // First, so that what the policy says goes over it.
        for (id, verdict) in guard.keeper.read(&guard.lists().fingerprint()) {
            guard.remember(&id, &verdict);
        }
        guard.apply_file_rules();
        guard.tell_started();
        guard.follow_feeds();
        Ok((guard, ring))
    }

    /// Begins to read what name servers answer, where the hook for it runs.
    pub(super) fn listen(&mut self, report: impl Fn(Answered) -> bool + Send + 'static) {
        if !self.instance.map("ANSWERS").exists() {
            return;
        }
        let listening = Ring::answers(&self.instance).map_err(|e| e.to_string());
        let listening = listening.and_then(|ring| {
            answers::listen(ring, Arc::clone(&self.names), report).map_err(|e| e.to_string())
        });
        if let Err(e) = listening {
            tracing::warn!("{e}: no address is learned from names");
        }
    }

    /// Puts a policy in force as the next generation. On error the one in force stays.
    pub(super) fn put_in_force(&mut self, policy: Arc<Resolved>, mode: Mode) -> Result<(), DaemonError> {
        let next = self.generation + 1;
        let exempt = cgroups::find(&self.preflight.cgroup_root, &policy.allowed.tasks);
        publish(&mut self.tables, &policy, &exempt, &request(next, mode, self.key, &self.scratch))?;
        self.generation = next;
        self.mode = mode;
        self.teller.policy(next, RuleBook::new(Arc::clone(&policy), self.learner.names()));
        self.teller.cases.set(policy.settings.case);
        let rules = Arc::new(FileRules::of(&policy));
        *self.file_rules.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = rules;
        *self.names.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Arc::clone(&policy);
        self.policy = policy;
        if let Some(watch) = &self.watching {
            watch.set(found::settings(&self.policy));
        }
        self.carry_over_learned();
        // Listed files and allowed programs may differ: every file is asked anew.
        self.tables.forget_files()?;
        self.apply_file_rules();
        self.sweep();
        memory::give_back();
        Ok(())
    }

    /// Writes what is known of files, for the next start.
    pub(super) fn keep_known(&mut self) {
        let known = self.tables.files();
        let lists = self.lists().fingerprint();
        self.keeper.write(&lists, &known);
    }

    /// What the policy in force lists of files.
    pub(super) fn lists(&self) -> Arc<FileRules> {
        self.file_rules.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    /// Ends the guard in order.
    pub(super) fn stop(mut self) -> Result<(), DaemonError> {
        // No more findings, and nothing more is hung on anything.
        self.watching = None;
        self.following = None;
        let unload = unload_at_stop(self.policy.settings.on_stop);
        let what = if unload {
            "stopped: the programs are unloaded, nothing is checked any more".to_owned()
        } else {
            format!(
                "stopped: the programs stay and go on {}; `miner-guard unload` removes them",
                if self.mode == Mode::Enforce { "enforcing" } else { "counting" }
            )
        };
        self.keep_known();
        self.tell_the_rest();
        self.news(Action::GuardStopped, what, Vec::new());
        self.flush();
        if unload {
            self.instance.remove()?;
            Pins::at(&self.options.pin_dir).remove(false)?;
        }
        Ok(())
    }

    /// Tells the kernel of listed and exempt programs before anybody runs them, and of the guard's own file.
    fn apply_file_rules(&mut self) {
        let own =
            FileVerdict { verdict: Verdict::Allow as u8, version: RULES_VERSION, ..FileVerdict::default() };
        if let Ok(meta) = std::fs::metadata("/proc/self/exe") {
            self.remember(&file_id(&meta), &own);
        }
        let rules = self.lists();
        // Each of their starts is reported, so that the script is looked at.
        let loader = FileVerdict { flags: LOADER, ..own };
        for path in rules.interpreters() {
            if let Ok(meta) = std::fs::metadata(path) {
                self.remember(&file_id(&meta), &loader);
            }
        }
        for (path, rule, verdict) in rules.paths() {
            // A path that does not exist yet is compared when something is first run from it.
            let Ok(meta) = std::fs::metadata(path) else { continue };
            let exempt = verdict == Verdict::Allow;
            let known = FileVerdict {
                verdict: verdict as u8,
                reason: if exempt { Reason::Exempt } else { Reason::FilePath } as u8,
                flags: if exempt { EXEMPT } else { 0 },
                rule,
                ..own
            };
            self.remember(&file_id(&meta), &known);
        }
    }

    fn tell_started(&mut self) {
        let missing = self.hooks.iter().filter_map(|(h, s)| {
            Some(format!("hook {} is not attached ({}): {}", h.name, h.without, s.why_not()?))
        });
        let mut evidence: Vec<String> = missing.collect();
        for half in [&self.proof.connect, &self.proof.exec] {
            evidence.push(match half {
                Ok(how) => format!("proven: {how}"),
                Err(why) => format!("not proven: {why}"),
            });
        }
        if let Err(why) = sockets::prove() {
            evidence.push(format!("connections that are open already are not ended: {why}"));
        }
        let message = format!(
            "guarding {} in {} mode, {} rules",
            if self.guarded.whole_host {
                "the whole host".into()
            } else {
                self.guarded.path.display().to_string()
            },
            self.mode.name(),
            self.policy.counts().rules,
        );
        self.news(Action::GuardStarted, message, evidence);
        self.flush();
    }
}

/// Reads the policy file: the same road for a start, a reload and a diff.
pub(super) fn read_policy(
    options: &RunOptions,
    previous: Option<&Resolved>,
    text: Option<&str>,
    feeds: policy::Feeds<'_>,
) -> Result<Resolved, DaemonError> {
    let request = LoadRequest {
        // What began without a policy file stays so until a reload, even if there is one by now.
        file: options
            .config
            .as_deref()
            .or(previous.filter(|_| text.is_some()).and_then(|p| p.file.as_deref())),
        text,
        previous,
        state: Some(&options.state_dir),
        feeds,
        ..LoadRequest::default()
    };
    policy::load(&request).map_err(|all| DaemonError::Policy(all.iter().map(ToString::to_string).collect()))
}

fn request(generation: u64, mode: Mode, key: SipKey, scratch: &Scratch) -> CompileRequest {
    let canary = Canary { cgroup: scratch.id, address: canary::ADDRESS.into(), port: canary::PORT };
    CompileRequest { generation, mode, key, canary: Some(canary) }
}

fn publish(
    tables: &mut Tables,
    policy: &Resolved,
    exempt_cgroups: &[(u64, u32)],
    request: &CompileRequest,
) -> Result<(), DaemonError> {
    let image =
        policy.compile(request, exempt_cgroups).map_err(|e| DaemonError::Policy(vec![e.to_string()]))?;
    let blocks = u32::try_from(image.len()).map_err(|_| {
        DaemonError::Policy(vec!["the compiled policy is larger than a kernel table can be".into()])
    })?;
    tables.publish(blocks, |memory| image.write(memory))?;
    Ok(())
}

fn random_key() -> Result<SipKey, KernelError> {
    let mut bytes = [0u8; 16];
    let file = Path::new("/dev/urandom");
    std::fs::File::open(file)
        .and_then(|mut f| std::io::Read::read_exact(&mut f, &mut bytes))
        .map_err(|e| KernelError::io("reading", file, e))?;
    let value = u128::from_ne_bytes(bytes);
    Ok(SipKey(value as u64, (value >> 64) as u64))
}

/// Unpins a new instance if the start fails.
struct Undo(Option<Instance>);

impl Undo {
    fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for Undo {
    fn drop(&mut self) {
        if let Some(instance) = self.0.take()
            && let Err(e) = instance.remove()
        {
            tracing::error!("a failed start left programs behind: {e}; run `miner-guard unload`");
        }
    }
}
