//! Record + process + rule → event. Pure: everything it tells was handed to it.

use super::{
    Action, Container, Destination, Dns, Event, File, Group, Guard, Hash, Host, Indicator, Name, Network,
    Process, ProcessRef, Rule, Scope, StoppedBy, Thread, Threat, Tls, TlsClient, User, lossy,
};
use crate::event::{
    decode::{Decision, ExecRecord, PacketRecord, Record},
    rules::RuleInfo,
};
use jiff::Timestamp;
use miner_guard_common::{
    abi::{
        connect::Op,
        packet::Subject,
        verdict::{Mode, Reason, Verdict},
    },
    parse::stratum::Role,
};
use std::net::{IpAddr, SocketAddr};

/// What could be learned of the process. Everything may be missing: the process may be gone.
#[derive(Clone, Debug, Default)]
pub struct Source {
    /// There was nothing left to look at, or another process has the number now.
    pub gone: bool,
    /// Name of the process (its first thread).
    pub name: Option<String>,
    /// File that it runs.
    pub executable: Option<String>,
    /// That file has no name any more, or never had one.
    pub executable_deleted: bool,
    /// Arguments, redacted.
    pub args: Vec<String>,
    /// Number of arguments there were, if all were seen.
    pub args_count: Option<usize>,
    /// Not all arguments are in `args`.
    pub args_truncated: bool,
    /// When it was started.
    pub start: Option<Timestamp>,
    /// Name of the user.
    pub user: Option<String>,
    /// Ancestors, the parent first.
    pub ancestry: Vec<ProcessRef>,
    /// Path in cgroup v2.
    pub cgroup: Option<String>,
    /// Container, if in one.
    pub container: Option<Container>,
    /// systemd unit.
    pub unit: Option<String>,
    /// Batch job.
    pub job: Option<String>,
    /// Kubernetes pod uid.
    pub pod: Option<String>,
}

/// What the daemon found out about the file of an exec, and what it did.
#[derive(Clone, Debug)]
pub struct Finding {
    /// The verdict on the file.
    pub verdict: Verdict,
    /// Why.
    pub reason: Reason,
    /// Sentences a person can check.
    pub evidence: Vec<String>,
    /// SHA-256 of the file in hex, if computed.
    pub sha256: Option<String>,
    /// The daemon sent SIGKILL, and the kernel took it.
    pub killed: bool,
}

/// Everything that one event tells.
#[derive(Clone, Debug)]
pub struct Told<'a> {
    /// What the kernel said.
    pub record: &'a Record,
    /// Events like it that are only counted, those of the kernel included.
    pub suppressed: u64,
    /// What "like it" means.
    pub scope: Scope,
    /// What is known of the process.
    pub source: Source,
    /// The rule that decided.
    pub rule: Option<RuleInfo>,
    /// What the daemon found out, for an exec.
    pub finding: Option<&'a Finding>,
    /// When it happened.
    pub at: Timestamp,
    /// This machine.
    pub host: Option<&'a Host>,
}

impl Event {
    /// The event of a record.
    #[must_use]
    pub fn of_record(told: Told<'_>) -> Self {
        let head = told.record.head();
        let Told { record, source, rule, finding, .. } = told;
        let verdict = finding.map_or(head.verdict, |f| f.verdict);
        let reason = finding.map_or(head.reason, |f| f.reason);
        let killed = finding.is_some_and(|f| f.killed);
        let action = match record {
            Record::Connect(c) if c.op == Op::Open => Action::of_open(head),
            Record::Connect(_) => Action::of_connect(head),
            Record::Packet(p) => packet_action(p, killed),
            Record::Exec(e) => exec_action(e, verdict, killed),
        };
        let name = source.name.unwrap_or_else(|| lossy(head.comm()));
        let message = message(action, record, &name, &source.user, reason, rule.as_ref());
        let miner_guard = Guard {
            mode: Some(head.mode.name()),
            verdict: Some(verdict.name()),
            enforced: Some(head.enforced || killed),
            stopped_by: match (head.enforced, killed, record) {
                (true, _, Record::Connect(c)) if c.op == Op::Open => Some(StoppedBy::Daemon),
                (true, ..) => Some(StoppedBy::Kernel),
                (false, true, _) => Some(StoppedBy::Daemon),
                (false, false, _) => None,
            },
            reason: Some(reason.name()),
            indicator_class: rule.as_ref().and_then(|r| r.class).filter(|_| verdict != Verdict::Allow),
            op: Some(match record {
                Record::Connect(c) => c.op.name(),
                Record::Packet(p) if p.frame => "frame",
                Record::Packet(_) => "egress",
                Record::Exec(_) => "exec",
            }),
            generation: Some(head.generation),
            suppressed: told.suppressed,
            suppressed_scope: (told.suppressed > 0).then_some(told.scope),
            process_gone: source.gone,
            executable_deleted: source.executable_deleted
                || matches!(record, Record::Exec(e) if e.unlinked()),
            args_truncated: source.args_truncated,
            cgroup: source.cgroup,
            cgroup_id: (head.cgroup != 0).then(|| head.cgroup.to_string()),
            unit: source.unit,
            job: source.job,
            pod: source.pod,
            evidence: finding.map(|f| f.evidence.clone()).unwrap_or_default(),
            ..Guard::default()
        };
        let mut event = Self::bare(told.at, told.host, action, message, miner_guard);
        // The kernel also sends by itself, for a process that is not known.
        event.process = (head.pid != 0).then(|| Process {
            pid: head.pid,
            name,
            executable: source.executable,
            command_line: (!source.args.is_empty()).then(|| source.args.join(" ")),
            args: source.args,
            args_count: source.args_count,
            start: source.start,
            thread: Thread { id: head.tid, name: lossy(head.comm()) },
            parent: source.ancestry.first().cloned(),
        });
        event.miner_guard.ancestry = source.ancestry;
        event.user = Some(User { id: head.uid.to_string(), name: source.user });
        event.group = Some(Group { id: head.gid.to_string() });
        event.container = source.container;
        event.threat = threat(record, verdict, reason, rule.as_ref());
        event.rule = rule.map(|r| Rule { id: r.id });
        match record {
            Record::Connect(c) => {
                event.destination = Some(Destination { ip: c.destination.ip(), port: c.destination.port() });
                event.network = Some(network(c.protocol, c.destination, None));
            }
            Record::Packet(p) => {
                let spoken = p.spoken.map(|(dialect, _)| dialect.name());
                event.source = Some(Destination { ip: p.source.ip(), port: p.source.port() });
                event.destination = Some(Destination { ip: p.destination.ip(), port: p.destination.port() });
                event.network = Some(network(p.protocol, p.destination, spoken));
                let name = lossy(&p.name);
                match p.subject {
                    Subject::DnsQuestion => {
                        event.dns = Some(Dns { question: Name { name }, resolved_ip: Vec::new() })
                    }
                    Subject::ServerName => event.tls = Some(Tls { client: TlsClient { server_name: name } }),
                    Subject::Destination | Subject::NoServerName | Subject::Protocol => {}
                }
                event.miner_guard.evidence.extend(packet_evidence(p));
            }
            Record::Exec(e) => {
                event.file = Some(file(e, finding.and_then(|f| f.sha256.clone())));
            }
        }
        event
    }
}

impl Event {
    /// What a running process was found to do. Nothing was decided by a hook.
    #[must_use]
    pub fn of_running(
        at: Timestamp,
        host: Option<&Host>,
        action: Action,
        head: &Decision,
        source: Source,
        evidence: Vec<String>,
    ) -> Self {
        let name = source.name.unwrap_or_default();
        let user = source.user.clone().unwrap_or_else(|| head.uid.to_string());
        let what = match action {
            Action::Mining => "mines, as its code and registers show",
            _ => "hashes, or does something that looks the same, and has for long",
        };
        let message = format!("{name} (pid {}, user {user}) {what}", head.pid);
        let guard = Guard {
            mode: Some(head.mode.name()),
            verdict: Some(head.verdict.name()),
            enforced: Some(false),
            reason: Some(action.name()),
            op: Some("runtime"),
            process_gone: source.gone,
            executable_deleted: source.executable_deleted,
            args_truncated: source.args_truncated,
            cgroup: source.cgroup,
            cgroup_id: (head.cgroup != 0).then(|| head.cgroup.to_string()),
            unit: source.unit,
            job: source.job,
            pod: source.pod,
            evidence,
            ..Guard::default()
        };
        let mut event = Self::bare(at, host, action, message, guard);
        event.process = Some(Process {
            pid: head.pid,
            thread: Thread { id: head.tid, name: name.clone() },
            name,
            executable: source.executable,
            command_line: (!source.args.is_empty()).then(|| source.args.join(" ")),
            args: source.args,
            args_count: source.args_count,
            start: source.start,
            parent: source.ancestry.first().cloned(),
        });
        event.miner_guard.ancestry = source.ancestry;
        event.user = Some(User { id: head.uid.to_string(), name: source.user });
        event.container = source.container;
        event
    }
}

fn exec_action(e: &ExecRecord, verdict: Verdict, killed: bool) -> Action {
    if killed {
        return Action::ProcessKilled;
    }
    let mut asked = e.head;
    asked.verdict = verdict;
    Action::of_exec(&asked, e.from_lsm())
}

/// Where a ClientHello without a readable name is told of.
const NAMELESS_WHERE: &str = "on a port that pools use or to where a denied name led somebody";

/// What a person can check of a packet, beyond its rule.
fn packet_evidence(p: &PacketRecord) -> Option<String> {
    match (p.subject, p.spoken) {
        (Subject::Protocol, Some((dialect, role))) => Some(match role {
            Role::Opening => format!("it opened a session of a mining pool ({})", dialect.name()),
            Role::Submit => format!("it reported to a mining pool ({})", dialect.name()),
            Role::Server => format!("it handed out work as a mining pool or proxy does ({})", dialect.name()),
            Role::Follower => format!("it follows the blocks of a coin's daemon ({})", dialect.name()),
        }),
        (Subject::NoServerName, _) if p.encrypted => {
            Some(format!("its TLS ClientHello encrypts the server name, {NAMELESS_WHERE}"))
        }
        (Subject::NoServerName, _) => Some(format!("its TLS ClientHello names no server, {NAMELESS_WHERE}")),
        _ if p.frame => {
            Some("it was handed to an interface as a frame, past the socket hooks (AF_PACKET)".into())
        }
        _ => None,
    }
}

fn packet_action(p: &PacketRecord, killed: bool) -> Action {
    if killed {
        return Action::ProcessKilled;
    }
    match p.subject {
        Subject::DnsQuestion => Action::of_question(&p.head),
        _ => Action::of_connect(&p.head),
    }
}

fn network(protocol: u8, to: SocketAddr, spoken: Option<&'static str>) -> Network {
    Network {
        protocol: spoken,
        transport: match protocol {
            1 => Some("icmp"),
            6 => Some("tcp"),
            17 => Some("udp"),
            58 => Some("ipv6-icmp"),
            132 => Some("sctp"),
            136 => Some("udplite"),
            _ => None,
        },
        family: if to.is_ipv4() { "ipv4" } else { "ipv6" },
        iana_number: protocol.to_string(),
        direction: "egress",
    }
}

fn file(e: &ExecRecord, sha256: Option<String>) -> File {
    let nanos = i32::try_from(e.file.ctime_nsec).unwrap_or(0);
    File {
        path: lossy(&e.filename),
        inode: e.file.ino.to_string(),
        device: format!("{}:{}", e.file.dev >> 20, e.file.dev & 0xf_ffff),
        size: e.file.size,
        // A file system may hold any change time; one that no calendar knows must not cost the event.
        ctime: Timestamp::new(e.file.ctime_sec, nanos).unwrap_or(Timestamp::UNIX_EPOCH),
        hash: sha256.map(|sha256| Hash { sha256 }),
    }
}

fn threat(record: &Record, verdict: Verdict, reason: Reason, rule: Option<&RuleInfo>) -> Option<Threat> {
    if verdict == Verdict::Allow {
        return None;
    }
    let destination = match record {
        Record::Connect(c) => Some(c.destination),
        Record::Packet(p) => Some(p.destination),
        Record::Exec(_) => None,
    };
    let address =
        || destination.map(|d| if matches!(d.ip(), IpAddr::V4(_)) { "ipv4-addr" } else { "ipv6-addr" });
    let kind = match reason {
        Reason::AddressPort | Reason::Address | Reason::Prefix | Reason::Learned | Reason::Canary => {
            address()
        }
        Reason::Domain => Some("domain-name"),
        Reason::MinerBinary | Reason::FileHash | Reason::FilePath | Reason::HashingHeavy => Some("file"),
        Reason::None
        | Reason::Exempt
        | Reason::Protected
        | Reason::Port
        | Reason::Protocol
        | Reason::NoServerName
        | Reason::PoolServer
        | Reason::Isolated => None,
    };
    let has_ip = kind.is_some_and(|k| k.ends_with("-addr"));
    let has_port = matches!(reason, Reason::AddressPort | Reason::Port);
    let indicator = Indicator {
        kind,
        name: rule.and_then(|r| r.indicator.clone()),
        ip: destination.filter(|_| has_ip).map(|d| d.ip()),
        port: destination.filter(|_| has_port).map(|d| d.port()),
        provider: rule.and_then(|r| r.feed.clone()),
        description: rule.and_then(|r| r.provenance.clone()),
    };
    (indicator != Indicator::default()).then_some(Threat { indicator })
}

fn message(
    action: Action,
    record: &Record,
    name: &str,
    user: &Option<String>,
    reason: Reason,
    rule: Option<&RuleInfo>,
) -> String {
    let head = record.head();
    let user = user.clone().unwrap_or_else(|| head.uid.to_string());
    let who = format!("{name} (pid {}, user {user})", head.pid);
    let what = match record {
        Record::Connect(c) => {
            let to = c.destination;
            match action {
                Action::ConnectionDenied => format!("was refused {to}"),
                Action::ConnectionWouldBeDenied => format!("reached for {to}, which enforce would refuse"),
                Action::ConnectionNotStopped => format!("reached {to}: it could not be refused here"),
                Action::ConnectionClosed => format!("was cut off from {to}, to which it was connected"),
                Action::ConnectionWouldBeClosed => {
                    format!("is connected to {to}, which enforce would end")
                }
                Action::ConnectionNotClosed => {
                    format!("stays connected to {to}: this kernel cannot end it, what it sends is dropped")
                }
                _ => format!("reached for {to}"),
            }
        }
        Record::Packet(p) => {
            let what = match p.subject {
                Subject::DnsQuestion => format!("for the name {}", lossy(&p.name)),
                Subject::ServerName => format!("for {} at {}", lossy(&p.name), p.destination),
                Subject::Protocol => format!("for {} as mining software does", p.destination),
                Subject::Destination | Subject::NoServerName => format!("for {}", p.destination),
            };
            match action {
                Action::ConnectionDenied | Action::QuestionDenied => format!("was refused: it asked {what}"),
                Action::ConnectionWouldBeDenied | Action::QuestionWouldBeDenied => {
                    format!("asked {what}, which enforce would refuse")
                }
                Action::ConnectionNotStopped => format!("asked {what}: it could not be refused here"),
                _ => format!("asked {what}"),
            }
        }
        Record::Exec(e) => {
            let path = lossy(&e.filename);
            match action {
                Action::ExecDenied => format!("was refused to run {path}"),
                Action::ProcessKilled => format!("ran {path} and was killed"),
                Action::ExecWouldBeDenied => format!("ran {path}, which enforce would stop"),
                Action::ExecNotStopped => format!("ran {path}: it could not be stopped"),
                _ => format!("ran {path}"),
            }
        }
    };
    let by = match rule {
        Some(r) => format!(", rule {}", r.id),
        None => String::new(),
    };
    let mode = if head.mode == Mode::Audit { ", audit" } else { "" };
    format!("{who} {what} ({}{by}{mode})", reason.name())
}
