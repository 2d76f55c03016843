//! Bytes of the ring buffer → a [`Record`] whose every field has a meaning.
//!
//! The kernel side is ours, but what it copies is not: names and arguments are chosen by the process,
//! and a daemon of one version may meet the pinned programs of another. Hence every byte is checked.

use miner_guard_common::abi::{
    connect::{Connect, Op},
    exec::{self, Exec},
    file::FileId,
    packet::{ENCRYPTED_HELLO, FRAME, Packet, Subject},
    record::{Head, Kind},
    verdict::{Mode, Reason, Verdict},
};
use miner_guard_common::parse::stratum::{Dialect, Role};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use zerocopy::FromBytes;

const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;

/// Why bytes are not a record. The daemon counts these; it never guesses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// There is no first byte.
    #[error("a record without a byte")]
    Empty,
    /// The first byte names no kind of record.
    #[error("record kind {0} is unknown; unload the pinned programs of the other version and start again")]
    Kind(u8),
    /// A record of this kind has another length.
    #[error("a {kind} record of {got} bytes, {want} expected; the programs and the daemon differ in version")]
    Length {
        /// Name of the kind.
        kind: &'static str,
        /// Bytes there are.
        got: usize,
        /// Bytes there should be.
        want: usize,
    },
    /// A field holds a number that has no meaning.
    #[error("field {field} of a record holds {value}, which has no meaning")]
    Field {
        /// Name of the field in the ABI.
        field: &'static str,
        /// What it holds.
        value: u64,
    },
}

/// Who did it, when, and what was decided: the checked form of [`Head`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// What was decided; in audit mode what enforce would have done.
    pub verdict: Verdict,
    /// True only when the kernel stopped it.
    pub enforced: bool,
    /// Which question decided.
    pub reason: Reason,
    /// Mode of the generation that decided.
    pub mode: Mode,
    /// Index of the rule in the generation, 0 if none.
    pub rule: u32,
    /// Generation that decided.
    pub generation: u64,
    /// `CLOCK_MONOTONIC`, nanoseconds.
    pub time_ns: u64,
    /// cgroup v2 id of the task.
    pub cgroup: u64,
    /// Process.
    pub pid: u32,
    /// Thread.
    pub tid: u32,
    /// Real user id.
    pub uid: u32,
    /// Real group id.
    pub gid: u32,
    /// CPU that wrote the record.
    pub cpu: u32,
    /// Equal events before this one that the kernel counted and did not send.
    pub suppressed: u32,
    comm: [u8; 16],
}

impl Decision {
    /// About a process that no record of the kernel's tells of. Nothing was decided by the kernel.
    #[must_use]
    pub const fn about(pid: u32, tid: u32, uid: u32, cgroup: u64, time_ns: u64, mode: Mode) -> Self {
        Self {
            verdict: Verdict::Alert,
            enforced: false,
            reason: Reason::None,
            mode,
            rule: 0,
            generation: 0,
            time_ns,
            cgroup,
            pid,
            tid,
            uid,
            gid: 0,
            cpu: 0,
            suppressed: 0,
            comm: [0; 16],
        }
    }

    /// The same, of a thread that has this command name.
    #[must_use]
    pub fn named(mut self, comm: &[u8]) -> Self {
        let room = self.comm.len() - 1;
        for (to, from) in self.comm[..room].iter_mut().zip(comm) {
            *to = *from;
        }
        self
    }

    /// Command name of the thread, up to its NUL. Chosen by the process: hostile.
    #[must_use]
    pub fn comm(&self) -> &[u8] {
        until_nul(&self.comm)
    }
}

/// A socket asked to reach a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectRecord {
    /// Who, when, what.
    pub head: Decision,
    /// Where to.
    pub destination: SocketAddr,
    /// `IPPROTO_*`.
    pub protocol: u8,
    /// Which hook.
    pub op: Op,
}

/// A packet on its way out told something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PacketRecord {
    /// Who, when, what. The process is 0 where it is not known.
    pub head: Decision,
    /// Cookie of the socket.
    pub cookie: u64,
    /// From where.
    pub source: SocketAddr,
    /// Where to.
    pub destination: SocketAddr,
    /// `IPPROTO_*`.
    pub protocol: u8,
    /// What was read in it.
    pub subject: Subject,
    /// The mining protocol that was recognised, and the sender's side of it.
    pub spoken: Option<(Dialect, Role)>,
    /// The true server name is encrypted.
    pub encrypted: bool,
    /// A packet socket handed it to the interface.
    pub frame: bool,
    /// The name that was asked for. Hostile.
    pub name: Vec<u8>,
}

/// A process began to run a new program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecRecord {
    /// Who, when, what.
    pub head: Decision,
    /// The file that the kernel opened.
    pub file: FileId,
    /// Parent process.
    pub ppid: u32,
    /// [`exec::FIRST_SEEN`] …
    pub flags: u32,
    /// The path as given to `execve`. Hostile.
    pub filename: Vec<u8>,
    /// The arguments, as far as the record holds them. Hostile.
    pub args: Vec<Vec<u8>>,
}

impl ExecRecord {
    /// The file was not known before.
    #[must_use]
    pub const fn first_seen(&self) -> bool {
        self.flags & exec::FIRST_SEEN != 0
    }
    /// There were more arguments than the record holds.
    #[must_use]
    pub const fn args_truncated(&self) -> bool {
        self.flags & exec::ARGS_TRUNCATED != 0
    }
    /// The LSM hook saw it.
    #[must_use]
    pub const fn from_lsm(&self) -> bool {
        self.flags & exec::FROM_LSM != 0
    }
    /// The file has no name any more, or never had one.
    #[must_use]
    pub const fn unlinked(&self) -> bool {
        self.flags & exec::UNLINKED != 0
    }
}

/// A record of the kernel, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// A socket asked to reach a destination.
    Connect(ConnectRecord),
    /// A process began to run a new program. Boxed: it is large, and connects come in floods.
    Exec(Box<ExecRecord>),
    /// A packet on its way out told something.
    Packet(Box<PacketRecord>),
}

impl Record {
    /// Who, when, what.
    #[must_use]
    pub const fn head(&self) -> &Decision {
        match self {
            Self::Connect(c) => &c.head,
            Self::Exec(e) => &e.head,
            Self::Packet(p) => &p.head,
        }
    }
}

/// Reads one item of the ring buffer.
///
/// # Errors
/// [`DecodeError`] when the bytes are not exactly one record of this ABI.
pub fn decode(bytes: &[u8]) -> Result<Record, DecodeError> {
    let kind = *bytes.first().ok_or(DecodeError::Empty)?;
    match Kind::from_byte(kind).ok_or(DecodeError::Kind(kind))? {
        Kind::Connect => connect(&exact::<Connect>(bytes, Kind::Connect)?).map(Record::Connect),
        Kind::Packet => packet(&exact::<Packet>(bytes, Kind::Packet)?).map(|p| Record::Packet(Box::new(p))),
        Kind::Exec => exec(&exact::<Exec>(bytes, Kind::Exec)?).map(|e| Record::Exec(Box::new(e))),
    }
}

/// A copy, so that the alignment of the bytes does not matter.
fn exact<T: FromBytes>(bytes: &[u8], kind: Kind) -> Result<T, DecodeError> {
    T::read_from_bytes(bytes).map_err(|_| DecodeError::Length {
        kind: kind.name(),
        got: bytes.len(),
        want: size_of::<T>(),
    })
}

fn head(h: &Head) -> Result<Decision, DecodeError> {
    Ok(Decision {
        verdict: Verdict::from_byte(h.verdict).ok_or_else(|| bad("verdict", h.verdict))?,
        enforced: match h.enforced {
            0 => false,
            1 => true,
            other => return Err(bad("enforced", other)),
        },
        reason: Reason::from_byte(h.reason).ok_or_else(|| bad("reason", h.reason))?,
        mode: u8::try_from(h.mode).ok().and_then(Mode::from_byte).ok_or_else(|| bad("mode", h.mode))?,
        rule: h.rule,
        generation: h.generation,
        time_ns: h.time_ns,
        cgroup: h.cgroup,
        pid: h.pid,
        tid: h.tid,
        uid: h.uid,
        gid: h.gid,
        cpu: h.cpu,
        suppressed: h.suppressed,
        comm: h.comm,
    })
}

fn connect(c: &Connect) -> Result<ConnectRecord, DecodeError> {
    Ok(ConnectRecord {
        head: head(&c.head)?,
        destination: SocketAddr::new(address(c.family, &c.address)?, c.port),
        protocol: c.protocol,
        op: Op::from_byte(c.op).ok_or_else(|| bad("op", c.op))?,
    })
}

fn address(family: u16, words: &[u32; 4]) -> Result<IpAddr, DecodeError> {
    match family {
        AF_INET => Ok(Ipv4Addr::from_bits(u32::from_be(words[0])).into()),
        AF_INET6 => {
            let bits = words.iter().fold(0, |bits, word| bits << 32 | u128::from(u32::from_be(*word)));
            Ok(Ipv6Addr::from_bits(bits).into())
        }
        other => Err(bad("family", other)),
    }
}

fn packet(p: &Packet) -> Result<PacketRecord, DecodeError> {
    let spoken = match (p.dialect, p.role) {
        (0, 0) => None,
        (dialect, role) => Some((
            Dialect::from_byte(dialect).ok_or_else(|| bad("dialect", dialect))?,
            Role::from_byte(role).ok_or_else(|| bad("role", role))?,
        )),
    };
    Ok(PacketRecord {
        head: head(&p.head)?,
        cookie: p.cookie,
        source: SocketAddr::new(address(p.family, &p.source)?, p.source_port),
        destination: SocketAddr::new(address(p.family, &p.destination)?, p.destination_port),
        protocol: p.protocol,
        subject: Subject::from_byte(p.subject).ok_or_else(|| bad("subject", p.subject))?,
        spoken,
        encrypted: p.flags & ENCRYPTED_HELLO != 0,
        frame: p.flags & FRAME != 0,
        name: used(&p.name, p.name_len.into(), "name_len")?.to_vec(),
    })
}

fn exec(e: &Exec) -> Result<ExecRecord, DecodeError> {
    let filename = used(&e.filename, e.filename_len, "filename_len")?;
    let args = used(&e.args, e.args_len, "args_len")?;
    Ok(ExecRecord {
        head: head(&e.head)?,
        file: e.file,
        ppid: e.ppid,
        flags: e.flags,
        filename: until_nul(filename).to_vec(),
        args: split_args(args),
    })
}

/// Splits NUL-closed arguments; the last may lack its NUL when it was cut.
#[must_use]
pub fn split_args(bytes: &[u8]) -> Vec<Vec<u8>> {
    if bytes.is_empty() {
        return Vec::new();
    }
    bytes.strip_suffix(&[0]).unwrap_or(bytes).split(|b| *b == 0).map(<[u8]>::to_vec).collect()
}

fn used<'a>(bytes: &'a [u8], len: u32, field: &'static str) -> Result<&'a [u8], DecodeError> {
    usize::try_from(len).ok().and_then(|n| bytes.get(..n)).ok_or_else(|| bad(field, len))
}

fn until_nul(bytes: &[u8]) -> &[u8] {
    bytes.split(|b| *b == 0).next().unwrap_or_default()
}

fn bad(field: &'static str, value: impl Into<u64>) -> DecodeError {
    DecodeError::Field { field, value: value.into() }
}

#[cfg(test)]
#[path = "decode_tests.rs"]
mod tests;
