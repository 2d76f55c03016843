//! DNS over TCP: segments → messages.
//!
//! A stream is read from the segment at which it is first seen. What is out of order or lost ends it: the message is not
//! read, as if it had not been seen. Memory is bounded.

use lru::LruCache;
use miner_guard_common::parse::tcp::{FIN, Fresh, RST, SYN, Tcp, fresh};
use std::{
    net::{IpAddr, SocketAddr},
    num::NonZeroUsize,
};

/// Streams that are followed.
const STREAMS: usize = 64;
/// Bytes of a message that are kept; what an answer says further on is not read.
const MESSAGE: usize = 16 << 10;

/// Name server, and who asked.
pub(super) type Flow = (IpAddr, SocketAddr);

struct Stream {
    next: u32,
    /// The message so far, its two bytes of length among it.
    bytes: Vec<u8>,
    /// Bytes of the message that were not kept.
    skipped: usize,
}

/// Streams that are under way.
pub(super) struct Streams(LruCache<Flow, Stream>);

impl Default for Streams {
    fn default() -> Self {
        Self(LruCache::new(NonZeroUsize::new(STREAMS).unwrap_or(NonZeroUsize::MIN)))
    }
}

impl Streams {
    /// Takes a segment; calls `message` with each message that it completes.
    pub(super) fn segment(&mut self, flow: Flow, tcp: &Tcp, payload: &[u8], mut message: impl FnMut(&[u8])) {
        let mut sequence = tcp.sequence;
        if tcp.flags & SYN != 0 {
            sequence = sequence.wrapping_add(1);
            self.0.pop(&flow);
        }
        let length = u32::try_from(payload.len()).unwrap_or(0);
        if length > 0 {
            let new = || Stream { next: sequence, bytes: Vec::new(), skipped: 0 };
            let stream = self.0.get_or_insert_mut(flow, new);
            match fresh(stream.next, sequence, length) {
                Fresh::From(n) => {
                    stream.next = sequence.wrapping_add(length);
                    stream.take(payload.get(n as usize..).unwrap_or_default(), &mut message);
                }
                Fresh::Nothing => {}
                // Whether what comes begins a message cannot be known.
                Fresh::Gap => drop(self.0.pop(&flow)),
            }
        }
        if tcp.flags & (FIN | RST) != 0 {
            self.0.pop(&flow);
        }
    }
}

impl Stream {
    fn take(&mut self, mut new: &[u8], message: &mut impl FnMut(&[u8])) {
        while !new.is_empty() {
            let wanted = match self.bytes.as_slice() {
                [a, b, ..] => 2 + usize::from(u16::from_be_bytes([*a, *b])),
                _ => 2,
            };
            let have = self.bytes.len() + self.skipped;
            let (now, later) = new.split_at(new.len().min(wanted.saturating_sub(have)));
            let (kept, over) = now.split_at(now.len().min((2 + MESSAGE).saturating_sub(self.bytes.len())));
            self.bytes.extend_from_slice(kept);
            self.skipped += over.len();
            new = later;
            if wanted > 2 && have + now.len() == wanted {
                message(self.bytes.get(2..).unwrap_or_default());
                (self.bytes, self.skipped) = (Vec::new(), 0);
            } else if wanted == 2 && self.bytes == [0, 0] {
                // A message of no bytes.
                self.bytes.clear();
            }
        }
    }
}
