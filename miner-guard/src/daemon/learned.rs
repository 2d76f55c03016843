//! What names and miners led to: from lessons to the kernel's table, the events, and the API.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    sync::{Arc, PoisonError},
    time::{Duration, Instant},
};

use miner_guard_common::abi::{
    learned::{EVERYONE, LearnedValue, SUSPECT},
    verdict::{Mode, Reason, Verdict},
};

use super::{
    answers::{Answered, Asker},
    rules::SharedLearned,
    start::Guard,
};
use crate::{
    api::control::{CommandError, Explanation, Forgotten, LearnedAddress, LearnedFor, LearnedList},
    event::{
        case::Class,
        clock::monotonic_ns,
        decode::Decision,
        enrich::proc_root::ProcRoot,
        model::{Event, LearnedNews, Source, some_of},
        rules::RuleNames as _,
    },
    kernel::{
        KernelError,
        learned::{Change, LearnedTable, key},
        pins::Instance,
    },
    policy::learned::{Cause, Learned, Lesson, Row, Shown, Whom, canonical},
    respond::sockets,
};

/// Between two generations for the sake of what was learned.
const RENEWED: Duration = Duration::from_secs(1);

/// The memory of learned addresses, and the kernel's table of them.
pub struct Learner {
    memory: Learned,
    table: LearnedTable,
    /// What the kernel's table holds.
    held: BTreeMap<(IpAddr, u64), Row>,
    names: SharedLearned,
    /// More is denied than sockets were judged by.
    denies_more: bool,
    /// When they were last judged anew.
    renewed: Option<Instant>,
}

impl Learner {
    /// Of an instance that was just loaded: nothing is learned yet.
    pub fn open(instance: &Instance) -> Result<Self, KernelError> {
        let table = LearnedTable::open(instance)?;
        Ok(Self {
            memory: Learned::default(),
            table,
            held: BTreeMap::new(),
            names: SharedLearned::default(),
            denies_more: false,
            renewed: None,
        })
    }

    /// What led to each address, for events.
    pub fn names(&self) -> SharedLearned {
        Arc::clone(&self.names)
    }

    /// What is denied to whom, and what is suspect.
    pub fn rows(&self) -> BTreeMap<(IpAddr, u64), Row> {
        self.memory.rows()
    }

    /// Brings the kernel's table, and what events say, to what is remembered.
    fn sync(&mut self) -> Result<(), KernelError> {
        let rows = self.memory.rows();
        let gone =
            self.held.keys().filter(|k| !rows.contains_key(k)).map(|(a, c)| Change::Remove(key(*a, *c)));
        let new = rows.iter().filter(|(k, row)| self.held.get(k) != Some(row)).map(|((a, c), row)| {
            let value = LearnedValue {
                until_ns: row.until_ns,
                rule: row.rule,
                verdict: row.verdict as u8,
                reason: Reason::Learned as u8,
                pad: 0,
            };
            Change::Put(key(*a, *c), value)
        });
        let changes: Vec<Change> = gone.chain(new).collect();
        if changes.is_empty() {
            return Ok(());
        }
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        *names = self
            .memory
            .list()
            .into_iter()
            .map(|s| {
                let told = (s.known.address, s.rule_id.to_owned());
                (told, (s.cause.shown(), format!("{} → {}", s.known.chain, s.known.address)))
            })
            .collect();
        drop(names);
        let done = self.table.apply(&changes, rows.keys().map(|(a, c)| key(*a, *c)));
        self.denies_more |= rows.keys().any(|k| k.1 != SUSPECT && !self.held.contains_key(k));
        // What the kernel refused is tried again when something changes; it is an error of the table, not of the row.
        self.held = rows;
        done
    }
}

impl Guard {
    /// Learns where a denied name led to.
    pub(super) fn led(&mut self, answer: &Answered) {
        // Under the policy in force by now, which may be another one than the reader's.
        let Some(rule) = self.policy.listed_name(&answer.listed) else { return };
        let addresses: Vec<(IpAddr, u64)> =
            answer.addresses.iter().map(|(a, ttl)| (*a, u64::from(*ttl) * 1_000_000_000)).collect();
        let lesson = Lesson {
            cause: Cause::Name(answer.listed.clone()),
            rule,
            addresses: &addresses,
            whom: answer.asked.map_or(Whom::Nobody, |a| Whom::Cgroup(a.cgroup)),
            chain: answer.chain.clone(),
        };
        self.learn(&lesson, Some(&answer.question), answer.asked);
    }

    /// Learns where confirmed miners talked to. A pool (it is listed by its address, or a mining protocol was spoken to it)
    /// is denied to everyone. What a miner is merely connected to may serve others as well: it is denied to the miner's
    /// cgroup, and suspect for all others.
    pub(super) fn learn_from_miners(&mut self) {
        const SECOND_NS: u64 = 1_000_000_000;
        let for_ns = self.policy.settings.respond.learn_s.saturating_mul(SECOND_NS);
        for miner in self.teller.cases.take_to_learn() {
            let Some(case) = self.teller.cases.get(&miner.case).filter(|_| for_ns > 0) else { continue };
            let pools: Vec<IpAddr> = case.pools.iter().map(SocketAddr::ip).collect();
            let who = format!("{} (pid {})", miner.name, miner.task.pid);
            let connected = match case.class {
                Some(Class::Mining) => sockets::outgoing(miner.task.pid, &ProcRoot::default()),
                _ => Vec::new(),
            };
            let connected = connected.iter().map(SocketAddr::ip).filter(|ip| !pools.contains(ip)).collect();
            let own = if miner.cgroup == 0 { Whom::Nobody } else { Whom::Cgroup(miner.cgroup) };
            for (addresses, whom) in [(pools.clone(), Whom::Everyone), (connected, own)] {
                let addresses: Vec<(IpAddr, u64)> = addresses.into_iter().map(|ip| (ip, for_ns)).collect();
                let cause = Cause::Case(miner.case.clone());
                let lesson = Lesson { cause, rule: 0, addresses: &addresses, whom, chain: who.clone() };
                let fresh = self.learn(&lesson, None, None);
                if fresh > 0 {
                    self.teller
                        .cases
                        .note(&miner.case, &format!("learned {fresh} addresses that {who} talked to"));
                }
            }
        }
    }

    /// Takes a lesson in and tells of it; how many addresses are new.
    fn learn(&mut self, lesson: &Lesson<'_>, question: Option<&str>, asked: Option<Asker>) -> usize {
        let now = monotonic_ns();
        let policy = Arc::clone(&self.policy);
        let fresh = self.learner.memory.learn(lesson, &policy, now);
        self.sync_learned();
        let new = fresh.len();
        if new == 0 {
            return 0;
        }
        let rule = lesson.rule_under(&policy);
        let verdict = policy.rule(rule).map_or(Verdict::Deny, |r| r.action);
        let (cgroup, uid) = asked.map_or((0, 0), |a| (a.cgroup, a.uid));
        let mut head = Decision::about(0, 0, uid, cgroup, now, self.mode);
        (head.verdict, head.reason, head.generation) = (verdict, Reason::Learned, self.generation);
        let source = match asked {
            Some(_) => self.teller.source_of(&head),
            None => Source::default(),
        };
        let mut evidence = vec![format!("{} → {}", lesson.chain, some_of(&fresh, 8))];
        let longest = self
            .learner
            .memory
            .list()
            .iter()
            .filter(|s| fresh.contains(&s.known.address))
            .map(|s| s.known.until_ns)
            .max();
        let seconds = longest.unwrap_or(now).saturating_sub(now) / 1_000_000_000;
        evidence.push(match (lesson.whom, &source.cgroup) {
            (Whom::Everyone, _) => format!("denied to everyone for {seconds} s"),
            (Whom::Cgroup(_), Some(path)) => {
                format!("denied to {path} for {seconds} s, suspect for all others")
            }
            (Whom::Cgroup(id), None) => {
                format!("denied to cgroup {id} for {seconds} s, suspect for all others")
            }
            (Whom::Nobody, _) => format!("suspect for {seconds} s: another one was led here"),
        });
        let rules = self.teller.rules(self.generation);
        let news = LearnedNews {
            at: self.teller.clock.wall(now),
            head,
            source,
            rule: rules.and_then(|r| r.rule(self.generation, rule, None)),
            question: question.map(str::to_owned),
            cause: lesson.cause.text().to_owned(),
            addresses: fresh,
            evidence,
        };
        let event = Event::of_learned(self.teller.enricher.host(), news);
        self.teller.write(event);
        new
    }

    fn sync_learned(&mut self) {
        if let Err(e) = self.learner.sync() {
            tracing::warn!("{e}");
            self.teller.lose("learned-table", 1);
        }
        self.judge_anew();
    }

    /// When more is denied: ends what is open to it, and has the egress hook judge every socket anew, which it does for each
    /// generation. Not more than once a second: a generation is as large as the policy.
    fn judge_anew(&mut self) {
        let due = self.learner.renewed.is_none_or(|at| at.elapsed() >= RENEWED);
        if !self.learner.denies_more || !due {
            return;
        }
        (self.learner.denies_more, self.learner.renewed) = (false, Some(Instant::now()));
        if let Err(e) = self.next_generation(|_| ()) {
            tracing::warn!("sockets that were judged before are not judged anew: {e}");
        }
        self.sweep();
    }

    /// Once a second: what has ended goes.
    pub(super) fn expire_learned(&mut self, now: u64) {
        if self.learner.memory.expire(now) {
            self.sync_learned();
        }
        self.judge_anew();
    }

    /// After a reload.
    pub(super) fn carry_over_learned(&mut self) {
        self.learner.memory.carry_over(&self.policy);
        self.sync_learned();
    }

    /// Forgets one address, or all.
    pub(super) fn forget_learned(&mut self, which: Option<IpAddr>) -> Result<Forgotten, CommandError> {
        let forgotten = self.learner.memory.forget(which);
        if let (0, Some(address)) = (forgotten, which) {
            return Err(CommandError::Request(format!("{address} is not among the learned addresses")));
        }
        self.learner.sync().map_err(|e| CommandError::Kernel(e.to_string()))?;
        Ok(Forgotten { forgotten: forgotten as u64 })
    }

    /// Addresses that are learned, and those that were left out.
    pub(super) fn learned_counts(&self) -> (u64, u64) {
        let memory = &self.learner.memory;
        let left = memory.counts.evicted + memory.counts.protected + memory.counts.special;
        (memory.list().len() as u64, left)
    }

    /// All that was learned, for the API.
    pub(super) fn learned_list(&mut self) -> LearnedList {
        let Self { learner, teller, .. } = self;
        let (now, clock) = (monotonic_ns(), teller.clock);
        let mut whom = |(cgroup, until): &(u64, u64)| LearnedFor {
            cgroup: match *cgroup {
                EVERYONE => "everyone".to_owned(),
                id => teller.enricher.cgroup_path(id, now).unwrap_or_else(|| format!("cgroup {id}")),
            },
            until: clock.wall(*until).to_string(),
        };
        let view = |s: Shown<'_>| LearnedAddress {
            address: s.known.address,
            cause: s.cause.shown(),
            rule: s.rule_id.to_owned(),
            chain: s.known.chain.clone(),
            denied: s.known.denied.iter().map(&mut whom).collect(),
            suspect_until: clock.wall(s.known.until_ns).to_string(),
        };
        let addresses = learner.memory.list().into_iter().map(view).collect();
        let counts = learner.memory.counts;
        let left_out =
            [("evicted", counts.evicted), ("protected", counts.protected), ("special", counts.special)];
        LearnedList { addresses, left_out: left_out.into_iter().map(|(k, n)| (k.to_owned(), n)).collect() }
    }

    /// Adds what was learned of an address to its explanation.
    pub(super) fn explain_learned(&mut self, address: IpAddr, e: &mut Explanation) {
        let address = canonical(address);
        let known = self.learned_list();
        for found in known.addresses.iter().filter(|a| a.address == address) {
            let whom: Vec<String> =
                found.denied.iter().map(|d| format!("denied to {} until {}", d.cgroup, d.until)).collect();
            let whom = match whom.is_empty() {
                true => "denied to nobody".to_owned(),
                false => whom.join(", "),
            };
            e.steps.push(format!(
                "learned: {} → {} ({} of {}): {whom}; suspect for all others until {}",
                found.chain, found.address, found.cause, found.rule, found.suspect_until
            ));
            if !e.verdict.stops() && e.reason != Reason::Protected && !found.denied.is_empty() {
                let rule = self.learner.memory.of(address).first().map(|s| (s.verdict, s.rule_id.to_owned()));
                let Some((verdict, rule)) = rule else { continue };
                (e.verdict, e.reason, e.rule) = (verdict, Reason::Learned, Some(rule));
                e.enforced = self.mode == Mode::Enforce;
            }
        }
    }
}

impl Cause {
    /// For people.
    fn shown(&self) -> String {
        match self {
            Self::Name(listed) => listed.clone(),
            Self::Case(case) => format!("case {case}"),
        }
    }
}
