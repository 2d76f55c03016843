//! Commands from the API.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use miner_guard_common::abi::{
    ABI,
    verdict::{Mode, Reason, Verdict},
};

use super::{
    DaemonError,
    feeds::Answer,
    start::{Guard, read_policy},
};
use crate::{
    api::control::{
        Attachment, Canary, Changes, Command, CommandError, Explanation, FeedUpdateRequest, HookState,
        ModeReply, PolicyList, Proof, ReloadReply, Reply, RuleView, Status,
    },
    event::model::Action,
    identify,
    kernel::load::State,
    policy::{
        Feeds, IndicatorClass, Resolved, RuleInfo, RuleSource,
        diff::{PolicyDiff, RuleDiff, diff},
        explain::{self, Question},
    },
};

impl From<DaemonError> for CommandError {
    fn from(e: DaemonError) -> Self {
        match e {
            DaemonError::Policy(all) => Self::Policy(all),
            DaemonError::Kernel(e) => Self::Kernel(e.to_string()),
            e => Self::Internal(e.to_string()),
        }
    }
}

impl Guard {
    /// Does what was asked, and answers: at once, or for an update of feeds when it is done.
    pub(super) fn asked(&mut self, command: Command, answer: Answer) {
        match command {
            Command::FeedUpdate(FeedUpdateRequest { id, force }) => {
                self.update_feeds(id.as_deref(), force, answer);
            }
            command => {
                // Whoever asked may have gone.
                let _ = answer.send(self.command(command));
            }
        }
    }

    /// Does what was asked.
    fn command(&mut self, command: Command) -> Result<Reply, CommandError> {
        match command {
            Command::Status => Ok(Reply::Status(Box::new(self.status()))),
            Command::SetMode(mode) => self.set_mode(mode).map(Reply::Mode),
            Command::PolicyList => Ok(Reply::Policy(self.policy_list())),
            Command::PolicyDiff => {
                let new = read_policy(&self.options, Some(&self.policy), None, Feeds::default())?;
                Ok(Reply::Changes(changes(&diff(&self.policy, &new), &new)))
            }
            Command::Reload => self.reload().map(Reply::Reload),
            Command::FeedList => Ok(Reply::Feeds(self.feed_list())),
            // Answered by `asked`, which may take its time.
            Command::FeedUpdate(_) => {
                Err(CommandError::Internal("an update was asked for in the wrong place".into()))
            }
            Command::Cases => Ok(Reply::Cases(self.teller.cases.list())),
            Command::Case(id) => self.teller.cases.view(&id).map(|c| Reply::Case(Box::new(c))),
            Command::Isolate(wanted) => self.isolate(&wanted, "by command").map(Reply::Isolation),
            Command::Release(target) => self.release(&target).map(Reply::Isolation),
            Command::Explain(thing) => self.explain(&thing).map(|e| Reply::Explanation(Box::new(e))),
            Command::Learned => Ok(Reply::Learned(self.learned_list())),
            Command::Forget(which) => self.forget_learned(which).map(Reply::Forgotten),
        }
    }

    fn set_mode(&mut self, mode: Mode) -> Result<ModeReply, CommandError> {
        if let (Mode::Enforce, Some(why)) = (mode, self.proof.failure()) {
            return Err(CommandError::Kernel(format!("enforcement is not proven on this kernel: {why}")));
        }
        let changed = self.change_mode(mode).map_err(|e| CommandError::Kernel(e.to_string()))?;
        Ok(ModeReply { mode: self.mode, generation: self.generation, changed })
    }

    fn reload(&mut self) -> Result<ReloadReply, CommandError> {
        let before = Arc::clone(&self.policy);
        let outcome = read_policy(&self.options, Some(&before), None, Feeds::default()).and_then(|new| {
            let changes = changes(&diff(&before, &new), &new);
            // The mode was chosen at the start or since; a reload does not switch it by the way.
            self.put_in_force(Arc::new(new), self.mode)?;
            self.follow_feeds();
            Ok(changes)
        });
        match outcome {
            Ok(changes) => {
                let message = format!(
                    "generation {}: {} rules added, {} removed, {} changed",
                    self.generation,
                    changes.added.len(),
                    changes.removed.len(),
                    changes.changed.len()
                );
                self.news(Action::PolicyReloaded, message, changes.warnings.clone());
                Ok(ReloadReply {
                    generation: self.generation,
                    rules: self.policy.counts().rules as u64,
                    fingerprint: identify::hex(&self.policy.fingerprint),
                    changes,
                })
            }
            Err(e) => {
                let e = CommandError::from(e);
                self.news(
                    Action::PolicyRefused,
                    "the running policy stays, entire".into(),
                    vec![e.to_string()],
                );
                Err(e)
            }
        }
    }

    /// SIGHUP: there is nobody to answer, so the outcome is an event (and a line for the journal).
    pub(super) fn reload_by_signal(&mut self) {
        if let Err(e) = self.reload() {
            tracing::error!("the running policy stays: {e}");
        }
    }

    fn status(&mut self) -> Status {
        let counts = self.policy.counts();
        let indicators = [
            ("addresses", counts.addresses),
            ("prefixes", counts.prefixes),
            ("ports", counts.ports),
            ("domains", counts.names),
            ("files", counts.files),
        ];
        let text = |m: &BTreeMap<&'static str, u64>| m.iter().map(|(k, v)| ((*k).to_owned(), *v)).collect();
        let pending = self.policy.pending();
        Status {
            version: env!("CARGO_PKG_VERSION").into(),
            abi: ABI,
            pid: std::process::id(),
            mode: self.mode,
            generation: self.generation,
            fingerprint: identify::hex(&self.policy.fingerprint),
            rules: counts.rules as u64,
            indicators: indicators.into_iter().map(|(k, n)| (k.to_owned(), n as u64)).collect(),
            uptime_s: self.started.elapsed().as_secs(),
            hooks: self.hooks.iter().map(|(h, s)| hook(h, s)).collect(),
            canary: Canary {
                state: if self.proof.holds() { Proof::Proven } else { Proof::Failed },
                why: self.proof.failure().map(str::to_owned),
                at: Some(self.proven_at.to_string()),
            },
            losses: text(&self.losses()),
            events: text(&self.teller.events),
            feeds: self.feed_states(),
            domains_note: (!pending.is_empty()).then(|| pending.join("; ")),
            config: self.policy.file.as_ref().map(|f| f.display().to_string()),
            cgroup: self.guarded.path.display().to_string(),
            pin_dir: self.options.pin_dir.display().to_string(),
            kernel: self.preflight.release.clone(),
            lsm: self.preflight.lsm.clone(),
            gpu: self.gpus.described().to_owned(),
            isolated: self.isolated.list(),
        }
    }

    fn policy_list(&self) -> PolicyList {
        PolicyList {
            generation: self.generation,
            fingerprint: identify::hex(&self.policy.fingerprint),
            mode: self.mode,
            rules: rules(&self.policy),
        }
    }

    fn explain(&mut self, thing: &str) -> Result<Explanation, CommandError> {
        if let Ok(pid) = thing.strip_prefix("pid:").unwrap_or(thing).parse::<u32>()
            && std::path::Path::new(&format!("/proc/{pid}")).exists()
        {
            let mut said =
                self.explain_file(thing, "pid", std::path::Path::new(&format!("/proc/{pid}/exe")))?;
            said.case = self.teller.cases.of_pid(pid).map(Box::new);
            return Ok(said);
        }
        if thing.starts_with(['/', '.']) {
            return self.explain_file(thing, "path", std::path::Path::new(thing));
        }
        let question = Question::parse(thing).ok_or_else(|| {
            CommandError::Request(format!(
                "`{thing}` is no address, address:port, port, domain, path (with a slash) or running pid"
            ))
        })?;
        let mut explained = explain_question(&self.policy, thing, &question, self.mode)?;
        if let Question::Address(address, _) = question {
            self.explain_learned(address, &mut explained);
        }
        Ok(explained)
    }

    fn explain_file(
        &self,
        thing: &str,
        kind: &str,
        path: &std::path::Path,
    ) -> Result<Explanation, CommandError> {
        let rules = self.file_rules.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
        let judged = super::inspect::explain(&rules, path)
            .map_err(|e| CommandError::Request(format!("{thing}: {e}")))?;
        let rule = self.policy.rule(judged.rule);
        Ok(Explanation {
            thing: thing.to_owned(),
            kind: kind.to_owned(),
            verdict: judged.verdict,
            reason: judged.reason,
            enforced: judged.verdict.stops() && self.mode == Mode::Enforce,
            rule: rule.map(|r| r.id.clone()),
            origin: rule.map(|r| origin(&self.policy, r)),
            steps: judged.evidence,
            case: None,
        })
    }
}

/// Explains a destination or a name under a policy, running or not.
pub fn explain_question(
    policy: &Resolved,
    thing: &str,
    question: &Question,
    mode: Mode,
) -> Result<Explanation, CommandError> {
    let e = explain::explain(policy, question).map_err(|e| CommandError::Internal(e.to_string()))?;
    let kind = match question {
        Question::Address(_, None) => "address",
        Question::Address(_, Some(_)) => "address-port",
        Question::Port(_) => "port",
        Question::Name(_) => "domain",
    };
    let mut steps: Vec<String> = e
        .matches
        .iter()
        .map(|m| format!("{} lists {} → {} ({})", m.rule, m.indicator, m.action.name(), m.places.join(", ")))
        .collect();
    if let Question::Address(IpAddr::V6(a), _) = question
        && let Some(v4) = a.to_ipv4_mapped()
    {
        steps.insert(0, format!("{a} is the IPv4 address {v4}"));
    }
    if let Some(why) = &e.protected {
        steps.push(format!("not stopped: {why}"));
    }
    if steps.is_empty() {
        steps.push("nothing lists it".into());
    }
    Ok(Explanation {
        thing: thing.to_owned(),
        kind: kind.into(),
        verdict: e.verdict,
        reason: if e.verdict == Verdict::Allow && e.protected.is_none() { Reason::None } else { e.reason },
        enforced: e.verdict.stops() && mode == Mode::Enforce,
        origin: e.rule.as_ref().map(|r| origin(policy, r)),
        rule: e.rule.map(|r| r.id),
        steps,
        case: None,
    })
}

fn hook(hook: &crate::kernel::hooks::Hook, state: &State) -> HookState {
    let (state, why) = match state {
        State::Attached => (Attachment::Attached, None),
        State::AttachedTo(what) => (Attachment::Attached, Some(what.clone())),
        State::Unavailable(why) => (Attachment::Unavailable, Some(format!("{why}; {}", hook.without))),
    };
    HookState { name: hook.name.into(), state, why }
}

fn rules(policy: &Resolved) -> Vec<RuleView> {
    let mut matches: BTreeMap<u32, BTreeMap<&str, usize>> = BTreeMap::new();
    let mut count = |rule: u32, kind: &'static str, n: usize| {
        *matches.entry(rule).or_default().entry(kind).or_default() += n;
    };
    policy.addresses4.iter().for_each(|e| count(e.rule, "address", 1));
    policy.addresses6.iter().for_each(|e| count(e.rule, "address", 1));
    policy.prefixes4.iter().for_each(|e| count(e.rule, "prefix", 1));
    policy.prefixes6.iter().for_each(|e| count(e.rule, "prefix", 1));
    policy.ports.iter().for_each(|e| count(e.rule, "port range", 1));
    policy.names.iter().for_each(|(_, _, rule)| count(rule, "domain", 1));
    policy.files.iter().for_each(|f| {
        count(f.rule, "path", f.paths.len());
        count(f.rule, "hash", f.sha256.len() + f.md5.len());
    });
    policy.allowed.exes.iter().for_each(|(_, rule)| count(*rule, "program", 1));
    policy.allowed.ids.iter().for_each(|(_, _, rule)| count(*rule, "user or group", 1));
    policy.allowed.tasks.iter().for_each(|t| count(t.rule, "cgroup, unit, container or job", 1));
    policy.allowed.ranges.iter().for_each(|(_, _, rule)| count(*rule, "destination", 1));
    count(policy.protected_rule, "destination", policy.protected.len());
    let shown = |index: usize| {
        let kinds = u32::try_from(index).ok().and_then(|i| matches.get(&i));
        let text = |(kind, n): (&&str, &usize)| format!("{n} × {kind}");
        kinds
            .map(|k| k.iter().filter(|(_, n)| **n > 0).map(text).collect::<Vec<_>>().join(", "))
            .unwrap_or_default()
    };
    let view = |(i, r): (usize, &RuleInfo)| RuleView {
        id: r.id.clone(),
        action: r.action.name().into(),
        matches: shown(i),
        origin: origin(policy, r),
    };
    policy.rules.iter().enumerate().skip(1).map(view).collect()
}

fn origin(policy: &Resolved, rule: &RuleInfo) -> String {
    let file = policy.file.as_ref().map_or("the built-in policy".into(), |f| f.display().to_string());
    let place = match &rule.source {
        RuleSource::Rule(line) | RuleSource::Allow(line) => format!("{file}:{line}"),
        RuleSource::Feed => "feed".into(),
        RuleSource::Protected => "found on this system, and the policy's `protected`".into(),
        RuleSource::Learned => "what confirmed miners connected to; `explain` shows each address".into(),
        RuleSource::Canary => "the guard's own proof".into(),
    };
    if rule.class == IndicatorClass::Doh { format!("{place}, class {}", rule.class.name()) } else { place }
}

fn changes(diff: &PolicyDiff, new: &Resolved) -> Changes {
    let moved = |r: &RuleDiff| format!("{}: {} indicators added, {} removed", r.id, r.added, r.removed);
    let rules = diff.yara_changed.then(|| "[identify] yara: the site's rules".to_owned());
    Changes {
        added: diff.rules_added.clone(),
        removed: diff.rules_removed.clone(),
        changed: diff.rules.iter().map(moved).chain(rules).collect(),
        warnings: new.warnings.clone(),
    }
}
