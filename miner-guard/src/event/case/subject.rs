//! Which processes belong together.
//!
//! A process, what it started and what started it; the other processes of its job (the process group of the shell); and
//! where a cgroup is one thing (a service, a container, a batch job), all that is in it. A login session's cgroup is not:
//! all that a person does lies in it.

use crate::event::{
    enrich::{ancestry::stat_of, proc_root::ProcRoot, stat::Stat},
    model::{Event, lossy},
};
use miner_guard_common::abi::verdict::{Reason, Verdict};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// Ancestors that are looked at.
const DEEPEST: usize = 8;

/// A process, and surely that one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Task {
    /// Thread group.
    pub pid: u32,
    /// When it began, clock ticks since boot; 0 for one that was gone before it could be looked at.
    pub start: u64,
}

/// Where processes are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// cgroup v2 id.
    pub cgroup_id: u64,
    /// Its path.
    pub cgroup: Option<String>,
    /// systemd unit.
    pub unit: Option<String>,
    /// Container id.
    pub container: Option<String>,
    /// Batch job.
    pub job: Option<String>,
    /// Kubernetes pod uid.
    pub pod: Option<String>,
}

impl Place {
    /// Whether all that is in the cgroup is one thing.
    fn is_one_thing(&self) -> bool {
        let service = self.unit.as_ref().is_some_and(|u| u.ends_with(".service"));
        self.cgroup_id != 0
            && (service || self.container.is_some() || self.job.is_some() || self.pod.is_some())
    }
}

/// The process that evidence is about.
#[derive(Clone, Debug)]
pub struct Subject {
    /// The process.
    pub task: Task,
    /// Its name. Chosen by it.
    pub name: String,
    /// The file that it runs.
    pub executable: Option<String>,
    /// Who it belongs to: a name, or a number.
    pub user: Option<String>,
    /// Its ancestors, the parent first; init is nobody's ancestor here.
    pub above: Vec<Task>,
    /// Its process group, by the group's leader.
    pub group: Option<Task>,
    /// Where it is.
    pub place: Place,
    /// Where it reached for.
    pub destination: Option<SocketAddr>,
    /// That is surely a pool or a proxy of one: it is listed by its address, or a mining protocol was spoken to it.
    pub pool: bool,
}

/// What a case answers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Key {
    /// A process of the case.
    Task(Task),
    /// An ancestor of one.
    Above(Task),
    /// A process group.
    Group(Task),
    /// A cgroup that is one thing.
    Cgroup(u64),
}

impl Subject {
    /// Of an event with a process; what the event does not tell is read from `/proc`.
    #[must_use]
    pub fn of_event(event: &Event, proc: &ProcRoot) -> Option<Self> {
        let process = event.process.as_ref()?;
        let about = &event.miner_guard;
        let stat = if about.process_gone { None } else { stat_of(proc, process.pid) };
        // Of one that is gone, the event still knows the parent, whose process group it most likely had.
        let parent = about.ancestry.first().map_or(0, |a| a.pid);
        let group = stat.clone().or_else(|| stat_of(proc, parent));
        Some(Self {
            task: Task { pid: process.pid, start: stat.as_ref().map_or(0, |s| s.start_ticks) },
            name: process.name.clone(),
            executable: process.executable.clone(),
            user: event.user.as_ref().map(|u| u.name.clone().unwrap_or_else(|| u.id.clone())),
            above: above(proc, stat.map_or(parent, |s| s.ppid)),
            group: group.and_then(|s| leader(proc, &s)),
            place: Place {
                cgroup_id: about.cgroup_id.as_ref().and_then(|id| id.parse().ok()).unwrap_or(0),
                cgroup: about.cgroup.clone(),
                unit: about.unit.clone(),
                container: event.container.as_ref().map(|c| c.id.clone()),
                job: about.job.clone(),
                pod: about.pod.clone(),
            },
            destination: destination(event),
            pool: is_pool(event),
        })
    }

    /// A bare one: for evidence that no event carries.
    #[must_use]
    pub fn of_pid(pid: u32, proc: &ProcRoot) -> Option<Self> {
        let stat = stat_of(proc, pid)?;
        Some(Self {
            task: Task { pid, start: stat.start_ticks },
            name: lossy(&stat.comm),
            executable: None,
            user: None,
            above: above(proc, stat.ppid),
            group: leader(proc, &stat),
            place: Place::default(),
            destination: None,
            pool: false,
        })
    }

    /// Where a case is looked for, the nearest first; true: the process itself or its tree, not only its cgroup.
    pub fn asks(&self) -> impl Iterator<Item = (Key, bool)> {
        let own = [Key::Task(self.task), Key::Above(self.task)].into_iter();
        let tree = own.chain(self.above.iter().copied().map(Key::Task)).chain(self.group.map(Key::Group));
        tree.map(|k| (k, true)).chain(self.cgroup_key().map(|k| (k, false)))
    }

    /// What a case with this process answers to.
    pub fn answers(&self) -> impl Iterator<Item = Key> {
        let tree = self.above.iter().copied().map(Key::Above).chain(self.group.map(Key::Group));
        tree.chain(self.cgroup_key()).chain([Key::Task(self.task)])
    }

    fn cgroup_key(&self) -> Option<Key> {
        self.place.is_one_thing().then_some(Key::Cgroup(self.place.cgroup_id))
    }
}

/// Neither the server that was asked for a name, nor whoever called a pool that runs here.
fn destination(event: &Event) -> Option<SocketAddr> {
    let elsewhere = event.dns.is_some() || event.miner_guard.reason == Some(Reason::PoolServer.name());
    let to = event.destination.as_ref().filter(|_| !elsewhere)?;
    Some(SocketAddr::new(to.ip, to.port))
}

/// A name may share its address with others, and a port says little.
fn is_pool(event: &Event) -> bool {
    let sure = [Reason::Protocol, Reason::Address, Reason::AddressPort, Reason::Prefix, Reason::Learned];
    let stops =
        event.miner_guard.verdict.is_some_and(|v| v != Verdict::Allow.name() && v != Verdict::Alert.name());
    stops && sure.iter().any(|r| event.miner_guard.reason == Some(r.name()))
}

fn above(proc: &ProcRoot, parent: u32) -> Vec<Task> {
    let mut out: Vec<Task> = Vec::new();
    let mut pid = parent;
    while pid > 1 && out.len() < DEEPEST && out.iter().all(|t| t.pid != pid) {
        let Some(stat) = stat_of(proc, pid) else { break };
        out.push(Task { pid, start: stat.start_ticks });
        pid = stat.ppid;
    }
    out
}

/// The leader of the process group; its start is 0 once it has gone, and the number is not given to another group
/// while a member lives.
fn leader(proc: &ProcRoot, stat: &Stat) -> Option<Task> {
    // Init's group and the kernel's are no job.
    let pid = Some(stat.pgrp).filter(|p| *p > 1)?;
    Some(Task { pid, start: stat_of(proc, pid).map_or(0, |s| s.start_ticks) })
}
