//! Which open connections the policy in force stops, and their end.
//!
//! Judged as the hooks judge: by the same tables, for the cgroup that made the socket, unless whoever holds it is exempt.
//! One that somebody opened to this machine is judged by the address alone, as the egress hook does.

use std::{
    collections::{BTreeMap, HashSet},
    fs,
    net::IpAddr,
    os::unix::fs::MetadataExt as _,
    path::PathBuf,
    sync::{Arc, mpsc::Receiver},
    thread,
    time::{Duration, Instant},
};

use miner_guard_common::{
    abi::{
        connect::Op,
        learned::{EVERYONE, SUSPECT},
        policy::Class,
        verdict::{Mode, Reason},
    },
    table::{self, Answer, Destination, Details, Header},
};

use super::{
    super::{inspect, rules::FileRules},
    NAMESPACES,
    holders::{self, Tree},
};
use crate::{
    event::{
        clock::monotonic_ns,
        decode::{ConnectRecord, Decision, Record},
        enrich::proc_root::ProcRoot,
    },
    kernel::{
        sockets::{self, CLOSE, LISTEN, Socket, SocketError, TCP},
        tables::Image,
    },
    policy::learned::{Row, canonical},
};

/// Connections that one sweep tells of; more are ended all the same, and counted.
const TOLD: usize = 4096;
/// Lines of trouble that are told, ever.
const TROUBLES: usize = 64;

/// What came of a sweep.
#[derive(Debug, Default)]
pub struct Swept {
    /// A record for each connection that a rule stops.
    pub records: Vec<Record>,
    /// Such connections beyond [`TOLD`].
    pub untold: u64,
    /// Why connections may have been missed; each is told once.
    pub troubles: Vec<String>,
}

/// A sweep under the policy in force when it was asked for.
#[derive(Debug)]
pub struct Sweep {
    pub image: Image,
    pub files: Arc<FileRules>,
    pub learned: BTreeMap<(IpAddr, u64), Row>,
    pub mode: Mode,
    pub generation: u64,
    /// Root of the cgroup hierarchy.
    pub cgroups: PathBuf,
    /// The guarded cgroup; `None`: the whole host.
    pub scope: Option<u64>,
}

/// What was told already.
#[derive(Debug, Default)]
struct Told {
    /// Cookies of connections that stayed open.
    open: HashSet<u64>,
    troubles: HashSet<String>,
}

/// Until nobody asks any more.
pub fn on_request(asked: &Receiver<Sweep>, report: impl Fn(Swept) -> bool) {
    let mut told = Told::default();
    while let Ok(mut sweep) = asked.recv() {
        // The newest finds all that those before it would find.
        while let Ok(newer) = asked.try_recv() {
            sweep = newer;
        }
        let start = Instant::now();
        let mut swept = sweep.run(&mut told.open);
        drop(sweep);
        swept.troubles.retain(|t| told.troubles.len() < TROUBLES && told.troubles.insert(t.clone()));
        if !report(swept) {
            return;
        }
        // However often rules come, this takes no more than a fifth of a processor.
        thread::sleep(start.elapsed().min(Duration::from_secs(1)) * 4);
    }
}

/// A connection to what is listed, and where it is.
struct Found {
    socket: Socket,
    namespace: Option<u32>,
    /// `None`: it depends on the cgroup whether it was learned.
    listed: Option<Answer>,
}

impl Sweep {
    fn run(&self, told: &mut HashSet<u64>) -> Swept {
        let mut out = Swept::default();
        let found = self.find(&mut out.troubles);
        told.retain(|cookie| found.iter().any(|f| f.socket.cookie == *cookie));
        if found.is_empty() {
            return out;
        }
        let tree = Tree::walk(&self.cgroups);
        let holders = holders::of(&found.iter().map(|f| f.socket.inode).collect());
        for Found { socket, namespace, listed } in found {
            let held_by = holders.get(&socket.inode).map(Vec::as_slice).unwrap_or_default();
            let Some(cgroup) = self.cgroup(&tree, &socket, held_by) else { continue };
            let Some(answer) = listed.or_else(|| self.learned_for(&socket, cgroup)) else { continue };
            if self.excused(&socket, &tree, cgroup, held_by) {
                continue;
            }
            let ended = self.mode == Mode::Enforce
                && match sockets::destroy(&socket.id(namespace)) {
                    Ok(()) => true,
                    Err(SocketError::Gone) => continue,
                    Err(e) => {
                        out.troubles.push(e.to_string());
                        false
                    }
                };
            if !ended && !told.insert(socket.cookie) {
                continue;
            }
            if out.records.len() < TOLD {
                out.records.push(self.record(&socket, held_by, cgroup, &answer, ended));
            } else {
                out.untold += 1;
            }
        }
        out
    }

    /// Connections to what is listed, or was learned for somebody, in every network namespace.
    fn find(&self, troubles: &mut Vec<String>) -> Vec<Found> {
        let mut found = Vec::new();
        let (namespaces, all) = sockets::namespaces(NAMESPACES);
        if !all {
            troubles
                .push(format!("only {NAMESPACES} network namespaces were looked into, and there are more"));
        }
        for namespace in namespaces {
            match sockets::list(TCP, namespace) {
                Ok(all) => found.extend(self.listed(&all).map(|(socket, listed)| Found {
                    socket,
                    namespace,
                    listed,
                })),
                // The process that led there may have ended, and the namespace with it.
                Err(SocketError::Io(..)) if namespace.is_some() => {}
                Err(e) => troubles.push(e.to_string()),
            }
        }
        found
    }

    fn listed<'a>(&'a self, all: &'a [Socket]) -> impl Iterator<Item = (Socket, Option<Answer>)> + 'a {
        let served: HashSet<u16> = all.iter().filter(|s| s.state == LISTEN).map(|s| s.local.port()).collect();
        all.iter().filter_map(move |s| {
            // Without an inode nobody holds it any more: it only ends.
            if s.remote.port() == 0 || matches!(s.state, LISTEN | CLOSE) || s.inode == 0 {
                return None;
            }
            let blocks = self.image.blocks();
            let (header, details) = (Header::read(&blocks)?, Details::read(&blocks)?);
            let to = Destination { address: s.remote.ip().into(), port: s.remote.port() };
            let listed = match served.contains(&s.local.port()) {
                true => table::address(&blocks, &header, &to),
                false => table::destination(&blocks, &header, &to),
            };
            let listed = listed.filter(|a| a.verdict.stops() && a.rule != details.canary_rule());
            if listed.is_none() && !self.learned_for_anybody(s) {
                return None;
            }
            table::protected(&blocks, &header, &to).is_none().then_some((*s, listed))
        })
    }

    fn learned_for_anybody(&self, socket: &Socket) -> bool {
        let address = canonical(socket.remote.ip());
        self.learned.range((address, EVERYONE)..(address, SUSPECT)).next().is_some()
    }

    fn learned_for(&self, socket: &Socket, cgroup: u64) -> Option<Answer> {
        let address = canonical(socket.remote.ip());
        let row = self.learned.get(&(address, cgroup)).or_else(|| self.learned.get(&(address, EVERYONE)))?;
        Some(Answer { rule: row.rule, verdict: row.verdict, reason: Reason::Learned })
    }

    /// The cgroup of a socket, if the guard answers for it.
    fn cgroup(&self, tree: &Tree, socket: &Socket, held_by: &[u32]) -> Option<u64> {
        // A kernel that does not tell, or a cgroup that is gone: where its process is now.
        let known = socket.cgroup.filter(|id| tree.up(*id).next().is_some());
        let id = known.or_else(|| held_by.iter().find_map(|pid| tree.of(*pid)));
        match self.scope {
            None => Some(id.or(socket.cgroup).unwrap_or(0)),
            Some(scope) => id.filter(|id| tree.up(*id).any(|above| above == scope)),
        }
    }

    /// Whether a user, group, cgroup or program of the allowlist holds it.
    fn excused(&self, socket: &Socket, tree: &Tree, cgroup: u64, held_by: &[u32]) -> bool {
        let blocks = self.image.blocks();
        let Some(header) = Header::read(&blocks) else { return true };
        if table::exempt_uid(&blocks, &header, socket.uid).is_some()
            || tree.up(cgroup).any(|id| table::exempt_cgroup(&blocks, &header, id).is_some())
        {
            return true;
        }
        // As at egress: it is not known whether the owner is exempt.
        if held_by.is_empty() {
            return header.has(Class::Gid) || header.has(Class::Exe);
        }
        held_by.iter().any(|pid| {
            let gid = fs::metadata(format!("/proc/{pid}")).map(|m| m.gid());
            gid.is_ok_and(|gid| table::exempt_gid(&blocks, &header, gid).is_some())
                || header.has(Class::Exe)
                    && inspect::exempt(&self.files, &ProcRoot::default().of(*pid, "exe"))
        })
    }

    fn record(&self, socket: &Socket, held_by: &[u32], cgroup: u64, answer: &Answer, ended: bool) -> Record {
        let pid = held_by.first().copied().unwrap_or(0);
        let comm = ProcRoot::default().read(pid, "comm", 64).unwrap_or_default();
        let gid = fs::metadata(format!("/proc/{pid}")).map_or(0, |m| m.gid());
        let mut head = Decision::about(pid, pid, socket.uid, cgroup, monotonic_ns(), self.mode)
            .named(comm.trim_ascii_end());
        (head.verdict, head.reason, head.rule) = (answer.verdict, answer.reason, answer.rule);
        (head.enforced, head.generation, head.gid) = (ended, self.generation, gid);
        Record::Connect(ConnectRecord {
            head,
            destination: socket.remote,
            protocol: socket.protocol,
            op: Op::Open,
        })
    }
}
