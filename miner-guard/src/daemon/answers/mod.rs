//! What name servers answer: a thread reads a copy of each answer, and reports those that a denied name leads to.
//!
//! | file | |
//! |---|---|
//! | `stream` | segments of TCP → messages |
//! | `chain` | message → which addresses a denied name leads to, over aliases and over two messages |
//!
//! The copies come from the ingress hook, which sees what arrives at the sockets of the guarded cgroup, in whatever network
//! namespace. Not seen: names resolved by a daemon outside it on behalf of a process (`nscd`), or over TLS and HTTPS.

mod chain;
mod stream;

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

use miner_guard_common::{
    abi::answer::Answer,
    parse::{ip, tcp},
};
use rustix::event::{PollFd, PollFlags, poll};
use zerocopy::FromBytes as _;

use crate::{
    event::clock::monotonic_ns,
    kernel::ring::Ring,
    policy::{NameHit, Resolved},
};
use chain::Chains;
pub use chain::{Answered, Asker};
use stream::Streams;

/// The policy whose names count: replaced at a reload.
pub type SharedPolicy = Arc<Mutex<Arc<Resolved>>>;

/// Between two readings. The first answer after a pause is read at once; in a burst each would wake this thread, which costs the
/// process that gets the answer more than all else (12 µs, measured).
const REST: Duration = Duration::from_micros(500);

/// Reads on a thread of its own until `report` says that nobody listens any more.
///
/// # Errors
/// That no thread could be started.
pub fn listen(
    mut ring: Ring,
    policy: SharedPolicy,
    report: impl Fn(Answered) -> bool + Send + 'static,
) -> io::Result<()> {
    let mut reader = Reader { streams: Streams::default(), chains: Chains::default() };
    thread::Builder::new().name("answers".into()).spawn(move || {
        loop {
            match poll(&mut [PollFd::new(&ring, PollFlags::IN)], None) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(e) => return tracing::error!("answers of name servers are no longer read: {e}"),
            }
            let names = policy.lock().unwrap_or_else(PoisonError::into_inner).clone();
            while let Some(bytes) = ring.next() {
                let Ok(answer) = Answer::read_from_bytes(&bytes) else { continue };
                drop(bytes);
                for led in reader.answer(&answer, &names, monotonic_ns()) {
                    if !report(led) {
                        return;
                    }
                }
            }
            // While nobody waits, and something is unread, the kernel wakes nobody.
            thread::sleep(REST);
        }
    })?;
    Ok(())
}

struct Reader {
    streams: Streams,
    chains: Chains,
}

impl Reader {
    /// What a copied packet teaches. Hostile: anybody can send one from port 53.
    fn answer(&mut self, answer: &Answer, policy: &Resolved, now_ns: u64) -> Vec<Answered> {
        let packet = answer.packet.get(..answer.len as usize).unwrap_or_default();
        self.packet(packet, Asker { cgroup: answer.cgroup, uid: answer.uid }, policy, now_ns)
    }

    fn packet(&mut self, packet: &[u8], asker: Asker, policy: &Resolved, now_ns: u64) -> Vec<Answered> {
        let mut out = Vec::new();
        let Ok(header) = ip::parse(packet) else { return out };
        let end = match header.end {
            0 => packet.len(),
            end => packet.len().min(end.into()),
        };
        let transport = packet.get(usize::from(header.transport)..end);
        let (Some(transport), ip::Fragment::Whole | ip::Fragment::First) = (transport, header.fragment)
        else {
            return out;
        };
        let Self { streams, chains } = self;
        let listed = |name: &str| {
            policy.name(name).filter(|hit: &NameHit| policy.rule(hit.rule).is_some_and(|r| r.action.stops()))
        };
        let mut message = |bytes: &[u8]| out.extend(chains.read(bytes, listed, asker, now_ns));
        match header.protocol {
            ip::protocol::UDP => {
                if let (Some((53, _)), Some(payload)) =
                    (tcp::udp(transport), transport.get(usize::from(tcp::UDP_HEADER)..))
                {
                    message(payload);
                }
            }
            ip::protocol::TCP => {
                let Some(segment) = tcp::tcp(transport).filter(|t| t.source == 53) else { return out };
                let Some(payload) = transport.get(usize::from(segment.header)..) else { return out };
                let to = SocketAddr::new(address(&header.destination, header.v6), segment.destination);
                let flow = (address(&header.source, header.v6), to);
                streams.segment(flow, &segment, payload, message);
            }
            _ => {}
        }
        out
    }
}

fn address(bytes: &[u8; 16], v6: bool) -> IpAddr {
    match v6 {
        true => (*bytes).into(),
        false => [bytes[0], bytes[1], bytes[2], bytes[3]].into(),
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
