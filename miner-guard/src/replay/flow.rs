//! From packets to questions: the same parsers that read packets in the kernel, with their state kept by flow.

use lru::LruCache;
use miner_guard_common::parse::{
    dns::{self, Questions},
    ip::{self, Fragment, protocol},
    name::Name,
    stratum::Stratum,
    tcp::{self, Fresh, SYN, UDP_HEADER},
    tls::{self, Hello},
};
use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    num::NonZeroUsize,
};

/// Flows that are followed at a time; the one that was quiet longest is forgotten. Some 50 MB at most.
const FLOWS: usize = 65_536;
/// Where names are asked for.
const DNS: u16 = 53;

/// One direction of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Flow {
    /// Who sends.
    pub from: SocketAddr,
    /// To whom.
    pub to: SocketAddr,
    /// `IPPROTO_*`
    pub protocol: u8,
}

/// What a packet asks of the policy.
#[derive(Clone, Copy, Debug)]
pub enum Asked<'a> {
    /// May it be sent at all?
    Destination,
    /// A name is asked for.
    Dns(&'a [u8]),
    /// A server is greeted by name.
    Tls(&'a [u8]),
    /// A mining protocol is spoken, in this role.
    Stratum(miner_guard_common::parse::stratum::Finding),
}

/// A question, of which flow, and when.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// Nanoseconds since 1970.
    pub time_ns: i64,
    /// The flow.
    pub flow: Flow,
    /// What is asked.
    pub asked: Asked<'a>,
}

/// What is known of a TCP flow.
struct State {
    /// Number of the next byte.
    next: u32,
    stratum: Stratum,
    hello: Hello,
    hello_name: Name,
    questions: Questions,
    question_name: Name,
}

impl State {
    fn new(next: u32) -> Box<Self> {
        Box::new(Self {
            next,
            stratum: Stratum::new(),
            hello: Hello::new(),
            hello_name: Name::new(),
            questions: Questions::stream(),
            question_name: Name::new(),
        })
    }

    fn is_done(&self, dns: bool) -> bool {
        self.stratum.is_done() && self.hello.is_done() && (!dns || self.questions.is_done())
    }
}

/// All flows.
pub struct Flows(LruCache<Flow, Box<State>>);

impl Default for Flows {
    fn default() -> Self {
        Self(LruCache::new(NonZeroUsize::new(FLOWS).unwrap_or(NonZeroUsize::MIN)))
    }
}

impl Flows {
    /// Reads an IP packet and asks what it raises. Whether it could be read.
    ///
    /// # Errors
    /// Whatever `ask` says.
    pub fn packet(
        &mut self,
        time_ns: i64,
        packet: &[u8],
        mut ask: impl FnMut(&Question<'_>) -> io::Result<()>,
    ) -> io::Result<bool> {
        let Ok(header) = ip::parse(packet) else { return Ok(false) };
        // Frames may be padded; what the header does not count is not of the packet.
        let end = if header.end == 0 { packet.len() } else { usize::from(header.end).min(packet.len()) };
        let rest = packet.get(usize::from(header.transport)..end).unwrap_or_default();
        let address = |bytes: &[u8; 16]| match header.v6 {
            true => IpAddr::V6(Ipv6Addr::from(*bytes)),
            false => IpAddr::V4(Ipv4Addr::new(bytes[0], bytes[1], bytes[2], bytes[3])),
        };
        let flow = |from, to| Flow {
            from: SocketAddr::new(address(&header.source), from),
            to: SocketAddr::new(address(&header.destination), to),
            protocol: header.protocol,
        };
        let has_header = header.fragment != Fragment::Later;
        match header.protocol {
            protocol::TCP if has_header => {
                let Some(segment) = tcp::tcp(rest) else { return Ok(false) };
                let flow = flow(segment.source, segment.destination);
                ask(&Question { time_ns, flow, asked: Asked::Destination })?;
                let payload = rest.get(usize::from(segment.header)..).unwrap_or_default();
                self.segment(time_ns, flow, &segment, payload, &mut ask)?;
            }
            protocol::UDP if has_header => {
                let Some((from, to)) = tcp::udp(rest) else { return Ok(false) };
                let flow = flow(from, to);
                ask(&Question { time_ns, flow, asked: Asked::Destination })?;
                if to == DNS {
                    let payload = rest.get(usize::from(UDP_HEADER)..).unwrap_or_default();
                    let (mut questions, mut name) = (Questions::datagram(), Name::new());
                    names(&mut questions, &mut name, payload, |name| {
                        ask(&Question { time_ns, flow, asked: Asked::Dns(name) })
                    })?;
                }
            }
            // A later fragment, or a protocol without ports: the address alone.
            _ => ask(&Question { time_ns, flow: flow(0, 0), asked: Asked::Destination })?,
        }
        Ok(true)
    }

    fn segment(
        &mut self,
        time_ns: i64,
        flow: Flow,
        segment: &tcp::Tcp,
        payload: &[u8],
        ask: &mut impl FnMut(&Question<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        let start = segment.sequence.wrapping_add(u32::from(segment.flags & SYN != 0));
        if segment.flags & SYN != 0 {
            self.0.put(flow, State::new(start));
        }
        if payload.is_empty() {
            return Ok(());
        }
        let state = self.0.get_or_insert_mut(flow, || State::new(start));
        let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
        let new = match tcp::fresh(state.next, start, length) {
            Fresh::Nothing => return Ok(()),
            Fresh::From(n) => payload.get(n as usize..).unwrap_or_default(),
            Fresh::Gap => {
                *state = State::new(start);
                payload
            }
        };
        state.next = start.wrapping_add(length);
        let dns = flow.to.port() == DNS;
        if state.is_done(dns) {
            return Ok(());
        }
        if !state.stratum.is_done()
            && let Some(found) = state.stratum.feed(new)
        {
            ask(&Question { time_ns, flow, asked: Asked::Stratum(found) })?;
        }
        for &byte in new {
            if state.hello.is_done() {
                break;
            }
            if state.hello.push(byte, &mut state.hello_name) == tls::Event::Name {
                ask(&Question { time_ns, flow, asked: Asked::Tls(state.hello_name.as_bytes()) })?;
            }
        }
        if dns {
            names(&mut state.questions, &mut state.question_name, new, |name| {
                ask(&Question { time_ns, flow, asked: Asked::Dns(name) })
            })?;
        }
        Ok(())
    }
}

fn names(
    questions: &mut Questions,
    name: &mut Name,
    bytes: &[u8],
    mut ask: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    for &byte in bytes {
        if questions.is_done() {
            break;
        }
        if questions.push(byte, name) == dns::Event::Name {
            ask(name.as_bytes())?;
        }
    }
    Ok(())
}
