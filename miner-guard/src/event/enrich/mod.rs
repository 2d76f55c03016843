//! What the system knows of the process behind a record.
//!
//! | file | reads |
//! |---|---|
//! | `proc_root` | files of `/proc`, with bounds |
//! | `stat`, `exe`, `cgroup`, `place` | their contents: pure functions over bytes |
//! | `ancestry` | the chain of parents |
//! | `redact` | arguments → without secrets |
//! | `users` | user ids → names |
//!
//! The process may be gone, and its number may be another's already: everything is optional, and a process that
//! was started after the event is not the one that the event is about.

pub mod ancestry;
pub mod cgroup;
pub mod exe;
pub mod place;
pub mod proc_root;
pub mod redact;
pub mod stat;
pub mod users;

use super::{
    aggregate::Emission,
    clock::Clock,
    decode::{Decision, ExecRecord, Record, split_args},
    model::{Event, Finding, Host, Source, Told, lossy},
    rules::{Met, RuleNames},
};
use ancestry::Ticks;
use cgroup::Cgroups;
use proc_root::ProcRoot;
use std::path::Path;
use users::Users;

/// Bytes of a command line that are read.
const COMMAND_LINE: u64 = 16 << 10;
/// Arguments that an event tells.
const ARGUMENTS: usize = 128;
/// The start times of `/proc` are cut to a tick; this much later is still the same process.
const SLACK_NS: i128 = 20_000_000;

/// Looks up processes, users and cgroups; remembers what is asked again and again.
#[derive(Debug)]
pub struct Enricher {
    proc: ProcRoot,
    ticks: Ticks,
    users: Users,
    cgroups: Cgroups,
    host: Option<Host>,
}

impl Enricher {
    /// For this machine, with `/proc` at `proc`.
    #[must_use]
    pub fn new(proc: ProcRoot) -> Self {
        let mountinfo = proc_root::read(Path::new("/proc/self/mountinfo"), 1 << 20);
        let cgroup2 = mountinfo.and_then(|info| cgroup::mount(&info));
        let name = lossy(rustix::system::uname().nodename().to_bytes());
        Self::with(proc, Users::default(), Cgroups::new(cgroup2), Some(Host { name }))
    }

    /// From its parts.
    #[must_use]
    pub fn with(proc: ProcRoot, users: Users, cgroups: Cgroups, host: Option<Host>) -> Self {
        Self { proc, ticks: Ticks::of_system(), users, cgroups, host }
    }

    /// This machine, for the guard's own events.
    #[must_use]
    pub const fn host(&self) -> Option<&Host> {
        self.host.as_ref()
    }

    /// The event of a record: who, from where, by which rule.
    pub fn event(
        &mut self,
        emission: &Emission,
        rules: &dyn RuleNames,
        finding: Option<&Finding>,
        clock: &Clock,
    ) -> Event {
        let record = &emission.record;
        let head = record.head();
        let met = match record {
            Record::Connect(c) => Some(Met::To(c.destination)),
            Record::Packet(p) if p.name.is_empty() => Some(Met::To(p.destination)),
            Record::Packet(p) => Some(Met::Name(lossy(&p.name))),
            Record::Exec(_) => None,
        };
        let source = self.source(record, clock);
        let rule = (head.rule != 0).then(|| rules.rule(head.generation, head.rule, met)).flatten();
        Event::of_record(Told {
            record,
            suppressed: emission.suppressed,
            scope: emission.scope,
            source,
            rule,
            finding,
            at: clock.wall(head.time_ns),
            host: self.host.as_ref(),
        })
    }

    /// What can be learned of the process of a record.
    pub fn source(&mut self, record: &Record, clock: &Clock) -> Source {
        let exec = match record {
            Record::Exec(e) => Some(&**e),
            Record::Connect(_) | Record::Packet(_) => None,
        };
        self.source_of(record.head(), exec, clock)
    }

    /// What can be learned of a process, of which an exec may have said something already.
    pub fn source_of(&mut self, head: &Decision, exec: Option<&ExecRecord>, clock: &Clock) -> Source {
        let mut source = Source { user: self.users.name(head.uid, head.time_ns), ..Source::default() };
        let cgroups = match self.alive(head, clock) {
            Some(stat) => {
                source.name = Some(lossy(&stat.comm));
                source.start = Some(clock.wall_of_boottime(self.ticks.ns(stat.start_ticks)));
                source.ancestry = ancestry::walk(&self.proc, stat.ppid, stat.start_ticks, self.ticks, clock);
                if let Some((target, unlinked)) = self.link(head, "exe") {
                    let exe = exe::parse(&target, unlinked);
                    source.executable_deleted = exe.unlinked;
                    source.executable = Some(exe.path);
                }
                self.read(head, "cgroup", cgroup::LIMIT)
            }
            None => {
                source.gone = true;
                if let Some(e) = exec {
                    let latest = self.tick_of(clock.boottime(head.time_ns));
                    source.ancestry = ancestry::walk(&self.proc, e.ppid, latest, self.ticks, clock);
                }
                None
            }
        };
        self.arguments(head, exec, &mut source);
        self.place(head, cgroups.as_deref(), &mut source);
        source
    }

    /// Path of a cgroup by its v2 id.
    pub fn cgroup_path(&mut self, id: u64, now_ns: u64) -> Option<String> {
        self.cgroups.path(id, None, now_ns).as_deref().map(lossy)
    }

    /// The process, if it is still there and still the same.
    fn alive(&self, head: &Decision, clock: &Clock) -> Option<stat::Stat> {
        let stat = ancestry::stat_of(&self.proc, head.pid)?;
        let started = i128::from(self.ticks.ns(stat.start_ticks));
        (started <= clock.boottime(head.time_ns) + SLACK_NS).then_some(stat)
    }

    fn tick_of(&self, boottime_ns: i128) -> u64 {
        let ticks = (boottime_ns + SLACK_NS) * i128::from(self.ticks.per_second) / 1_000_000_000;
        u64::try_from(ticks).unwrap_or(0)
    }

    /// A file of the process; of the very thread if the first thread has ended, which takes the files with it.
    fn read(&self, head: &Decision, name: &str, limit: u64) -> Option<Vec<u8>> {
        let first = self.proc.read(head.pid, name, limit).filter(|bytes| !bytes.is_empty());
        first.or_else(|| self.proc.read(head.pid, &format!("task/{}/{name}", head.tid), limit))
    }

    fn link(&self, head: &Decision, name: &str) -> Option<(Vec<u8>, bool)> {
        let first = self.proc.link(head.pid, name);
        first.or_else(|| self.proc.link(head.pid, &format!("task/{}/{name}", head.tid)))
    }

    fn arguments(&self, head: &Decision, exec: Option<&ExecRecord>, source: &mut Source) {
        let (mut args, mut cut) = match exec {
            Some(e) => (e.args.clone(), e.args_truncated()),
            None => (Vec::new(), true),
        };
        // The record's own arguments cannot have been overwritten since; the longer ones of /proc can.
        let refused = exec.is_some_and(refused);
        if cut && !source.gone && !refused {
            let text = self.read(head, "cmdline", COMMAND_LINE).unwrap_or_default();
            let whole = split_args(&text);
            if !whole.is_empty() {
                cut = text.len() as u64 >= COMMAND_LINE;
                args = whole;
            }
        }
        source.args_count = (!cut && !args.is_empty()).then_some(args.len());
        source.args_truncated = !args.is_empty() && (cut || args.len() > ARGUMENTS);
        args.truncate(ARGUMENTS);
        source.args = redact::redact(&args);
    }

    fn place(&mut self, head: &Decision, text: Option<&[u8]>, source: &mut Source) {
        let hint = text.and_then(cgroup::v2_path);
        let path = self.cgroups.path(head.cgroup, hint, head.time_ns);
        // On a hybrid system a container may show in a v1 hierarchy only.
        let v1 = text.map(cgroup::paths).unwrap_or_default();
        for path in path.as_deref().into_iter().chain(v1) {
            let place = place::of(path);
            source.container = source.container.take().or(place.container);
            source.unit = source.unit.take().or(place.unit);
            source.job = source.job.take().or(place.job);
            source.pod = source.pod.take().or(place.pod);
        }
        source.cgroup = path.as_deref().map(lossy);
    }
}

/// The new program never ran: `/proc` shows the one that asked for it.
const fn refused(e: &ExecRecord) -> bool {
    e.from_lsm() && e.head.enforced
}

#[cfg(test)]
mod tests;
