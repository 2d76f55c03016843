//! Records become events, and events reach whoever reads them.

use std::{collections::BTreeMap, io, sync::Arc};

use jiff::Timestamp;
use miner_guard_common::abi::{
    file::{FileId, FileVerdict},
    policy as layout,
    record::{FLOOD_WINDOW_NS, Loss},
    verdict::{Mode, Reason, Verdict},
};

use super::{RunOptions, cases::Cases, inspect::Inspected, rules::RuleBook, start::Guard};
use crate::{
    api::hub::Hub,
    event::{
        aggregate::{Aggregator, Emission},
        clock::{Clock, monotonic_ns},
        decode::{Decision, DecodeError, Record},
        enrich::{Enricher, proc_root::ProcRoot},
        model::{Action, Event, Finding, GuardNews, Host, Scope, Source},
        rules::RuleNames,
    },
    policy::Resolved,
    sinks::stream::{State, Stream},
};

/// What telling needs to remember.
pub struct Teller {
    aggregator: Aggregator,
    pub(super) enricher: Enricher,
    pub(super) clock: Clock,
    out: Stream<io::Stdout>,
    hub: Hub,
    /// Evidence, joined.
    pub cases: Cases,
    /// The policies of the newest generations: a record may be a little older than a reload.
    policies: Vec<(u64, Arc<RuleBook>)>,
    /// Records that the kernel had held back when the flood table was last seen empty.
    held_seen: u64,
    /// Losses told so far.
    told_losses: BTreeMap<&'static str, u64>,
    /// Losses of the daemon's own, by cause.
    pub own_losses: BTreeMap<&'static str, u64>,
    /// Events told, by verdict.
    pub events: BTreeMap<&'static str, u64>,
    /// Verdicts on the indicators of each feed, and the last of them.
    pub hits: BTreeMap<String, (u64, Timestamp)>,
}

/// Policies kept for records that are on their way while a new one comes into force.
const POLICIES: usize = 3;

impl Teller {
    pub fn new(options: &RunOptions, hub: Hub) -> Self {
        Self {
            aggregator: Aggregator::default(),
            enricher: Enricher::new(ProcRoot::default()),
            clock: Clock::read(),
            out: Stream::new(io::stdout(), options.format.clone()),
            hub,
            cases: Cases::start(options),
            policies: Vec::new(),
            held_seen: 0,
            told_losses: BTreeMap::new(),
            own_losses: BTreeMap::new(),
            events: Verdict::ALL.iter().map(|v| (v.name(), 0)).collect(),
            hits: BTreeMap::new(),
        }
    }

    /// Learns the names of a generation's rules.
    pub fn policy(&mut self, generation: u64, rules: RuleBook) {
        self.know(generation, Arc::new(rules));
    }

    /// A further generation with the rules of the newest one.
    pub fn same_policy(&mut self, generation: u64) {
        if let Some((_, rules)) = self.policies.first() {
            self.know(generation, Arc::clone(rules));
        }
    }

    /// The same rules, whose feeds lie elsewhere now or are of another age.
    pub fn reread(&mut self, policy: Arc<Resolved>) {
        if let Some((_, rules)) = self.policies.first_mut() {
            *rules = Arc::new(rules.reread(policy));
        }
    }

    fn know(&mut self, generation: u64, rules: Arc<RuleBook>) {
        self.policies.insert(0, (generation, rules));
        self.policies.truncate(POLICIES);
    }

    /// Offers a record for telling.
    pub(super) fn offer(&mut self, record: Record) {
        if let Some(e) = self.aggregator.offer(record, monotonic_ns()) {
            self.emit(&e, None);
        }
    }

    /// What events say of the rules of a generation, if it is kept.
    pub(super) fn rules(&self, generation: u64) -> Option<Arc<RuleBook>> {
        self.policies.iter().find(|(g, _)| *g == generation).map(|(_, r)| Arc::clone(r))
    }

    fn emit(&mut self, e: &Emission, finding: Option<&Finding>) {
        let rules = self.rules(e.record.head().generation);
        let names: &dyn RuleNames = match &rules {
            Some(r) => &**r,
            // Older than what is kept: told without its rule's name.
            None => &(),
        };
        let mut event = self.enricher.event(e, names, finding, &self.clock);
        self.cases.witness(&mut event, e.record.head(), finding);
        self.write(event);
    }

    /// What can be learned of a process of which no record tells.
    pub fn source_of(&mut self, head: &Decision) -> Source {
        self.enricher.source_of(head, None, &self.clock)
    }

    /// A moment of `CLOCK_MONOTONIC` as a time of day.
    pub fn wall(&self, time_ns: u64) -> Timestamp {
        self.clock.wall(time_ns)
    }

    /// This machine.
    pub const fn host(&self) -> Option<&Host> {
        self.enricher.host()
    }

    pub fn write(&mut self, event: Event) {
        if let Some(verdict) = event.miner_guard.verdict {
            *self.events.entry(verdict).or_default() += 1;
        }
        if let Some(feed) = event.threat.as_ref().and_then(|t| t.indicator.provider.as_ref()) {
            let hits = self.hits.entry(feed.clone()).or_insert((0, event.timestamp));
            *hits = (hits.0 + 1 + event.miner_guard.suppressed, event.timestamp);
        }
        self.keep_open(|out| out.write(&event));
        if self.hub.watched() {
            self.hub.publish(Arc::new(event));
        }
    }

    fn flush(&mut self) {
        self.keep_open(Stream::flush);
    }

    /// The reader of stdout may go: the guard stays.
    fn keep_open(&mut self, write: impl FnOnce(&mut Stream<io::Stdout>) -> io::Result<State>) {
        if let Err(e) = write(&mut self.out) {
            tracing::warn!("writing events to stdout: {e}");
            self.lose("stdout", 1);
        }
    }

    /// Counts a loss of the daemon's own.
    pub(super) fn lose(&mut self, cause: &'static str, n: u64) {
        if n > 0 {
            *self.own_losses.entry(cause).or_default() += n;
        }
    }
}

impl Guard {
    /// Takes a record from the ring.
    pub(super) fn record(&mut self, record: Record) {
        match record {
            // The proof's own: seen, not told.
            r if r.head().reason == Reason::Canary => {}
            Record::Exec(e) if e.head.verdict == Verdict::Allow => {
                if let Err(lost) = self.inspectors.submit(e) {
                    self.teller.lose("inspect-queue", 1);
                    tracing::debug!(pid = lost.head.pid, "not inspected: too many programs wait");
                }
            }
            r => {
                if let Record::Packet(p) = &r {
                    self.reset(p);
                }
                self.teller.offer(r);
            }
        }
    }

    pub(super) fn remember(&mut self, id: &FileId, verdict: &FileVerdict) {
        let clean = Verdict::from_byte(verdict.verdict) == Some(Verdict::Allow) && verdict.flags == 0;
        let kept = if clean { self.tables.set_clean(id, verdict) } else { self.tables.set_file(id, verdict) };
        if let Err(e) = kept {
            // It is inspected again at its next start.
            tracing::warn!("{e}");
            self.teller.lose("file-table", 1);
        }
    }

    /// Takes what came of an inspection.
    pub(super) fn inspected(&mut self, done: Inspected) {
        // What was found out under lists that are gone says nothing under those in force.
        if !done.remember.is_empty() && Arc::ptr_eq(&done.under, &self.lists()) {
            self.keeper.changed();
            for (id, verdict) in &done.remember {
                self.remember(id, verdict);
            }
        }
        if let Some(finding) = &done.finding {
            let mut record = done.record;
            record.head.rule = done.rule;
            self.teller.cases.captured = done.captured;
            let emission = Emission { record: Record::Exec(record), suppressed: 0, scope: Scope::Same };
            self.teller.emit(&emission, Some(finding));
        }
    }

    /// Bytes in the ring that mean nothing.
    pub(super) fn undecodable(&mut self, e: &DecodeError) {
        tracing::warn!("{e}");
        self.teller.lose("undecodable", 1);
    }

    /// Once a second: what was held back, and what was lost.
    pub(super) fn tick(&mut self) {
        let now = monotonic_ns();
        self.expire_learned(now);
        self.expire_isolation();
        self.tell_counts(now, now.saturating_sub(FLOOD_WINDOW_NS));
        self.teller.cases.tick();
        self.look_at_gpus();
        if self.keeper.is_due() {
            self.keep_known();
        }
    }

    /// Counts held in the kernel are told of windows that began before `windows_before_ns`.
    fn tell_counts(&mut self, now: u64, windows_before_ns: u64) {
        self.teller.clock = Clock::read();
        for e in self.teller.aggregator.tick(now) {
            self.teller.emit(&e, None);
        }
        // Processes that fell silent after a flood: their last counts would else never be told. The table is walked
        // only when something was held back.
        let counted = self.tables.losses();
        let held_ever = counted.iter().find(|(l, _)| *l == Loss::Aggregated).map_or(0, |(_, n)| *n);
        if held_ever != self.teller.held_seen {
            let ended = self.tables.take_floods(windows_before_ns);
            self.teller.lose("aggregated", ended.iter().map(|(_, n)| u64::from(*n)).sum());
            if !self.tables.floods() {
                self.teller.held_seen = held_ever;
            }
        }
        let aggregated = self.teller.aggregator.take_lost();
        self.teller.lose("aggregated", aggregated);
        let dropped = self.teller.out.take_dropped();
        self.teller.lose("stdout", dropped);
        let losses = self.with_own(&counted);
        let new: BTreeMap<&'static str, u64> = losses
            .iter()
            .map(|(cause, n)| (*cause, n - self.teller.told_losses.get(cause).copied().unwrap_or(0)))
            .filter(|(_, n)| *n > 0)
            .collect();
        if !new.is_empty() {
            self.teller.told_losses = losses;
            if let Some(event) = Event::of_loss(Timestamp::now(), self.teller.enricher.host(), new) {
                self.teller.write(event);
            }
        }
    }

    /// At the end: what is still counted and not told.
    pub(super) fn tell_the_rest(&mut self) {
        for e in self.teller.aggregator.drain() {
            self.teller.emit(&e, None);
        }
        // Nobody comes later for the windows that are still open.
        self.tell_counts(monotonic_ns(), u64::MAX);
        self.respond();
        self.teller.cases.keep();
    }

    /// Everything lost so far, by cause; what was only aggregated is no loss.
    pub(super) fn losses(&self) -> BTreeMap<&'static str, u64> {
        self.with_own(&self.tables.losses())
    }

    fn with_own(&self, counted: &[(Loss, u64)]) -> BTreeMap<&'static str, u64> {
        let kernel = counted.iter().filter(|(l, _)| *l != Loss::Aggregated);
        let mut all: BTreeMap<_, _> = kernel.map(|(l, n)| (l.name(), *n)).collect();
        for (cause, n) in &self.teller.own_losses {
            *all.entry(*cause).or_default() += n;
        }
        all
    }

    /// Tells something about the guard itself.
    pub(super) fn news(&mut self, action: Action, message: String, evidence: Vec<String>) {
        let news = GuardNews { action, mode: self.mode, generation: self.generation, message, evidence };
        let event = Event::of_guard(Timestamp::now(), self.teller.enricher.host(), news);
        self.teller.write(event);
    }

    /// Writes what was gathered.
    pub(super) fn flush(&mut self) {
        self.respond();
        self.teller.flush();
    }

    /// Puts a copy of the generation in force in its place, with another number and an edited head.
    pub(super) fn next_generation(
        &mut self,
        edit: impl FnOnce(&mut layout::Block),
    ) -> Result<(), crate::kernel::KernelError> {
        let next = self.generation + 1;
        self.tables.republish(|blocks| {
            if let [head, details, ..] = blocks {
                edit(head);
                details.set_long(layout::detail::GENERATION, next);
            }
        })?;
        self.generation = next;
        self.teller.same_policy(next);
        Ok(())
    }

    /// Changes the mode; the tables stay as they are.
    pub(super) fn change_mode(&mut self, mode: Mode) -> Result<bool, crate::kernel::KernelError> {
        if mode == self.mode {
            return Ok(false);
        }
        self.next_generation(|head| layout::set_mode(head, mode))?;
        let before = std::mem::replace(&mut self.mode, mode);
        self.teller.cases.set(self.policy.settings.case);
        self.news(Action::ModeChanged, format!("{} → {}", before.name(), mode.name()), Vec::new());
        self.sweep();
        Ok(true)
    }
}
