//! Steps that the verifier looks at one by one.
//!
//! A function with a name of its own is checked once, for whatever it may be called with; without that, every way
//! through one step would be followed through all that come after it: more than the million instructions that 5.10 to
//! 6.1 look at. In exchange a step takes and gives numbers only, and finds the rest by the packet's context itself.

use aya_ebpf::bindings::__sk_buff;
use miner_guard_common::{
    abi::{
        policy::Class,
        socket::{Socket, stage},
        verdict::Verdict,
    },
    parse::{dns, tls},
    table::{self, Details, Listed},
};

use super::{
    Goes,
    flow::{Span, Transport},
    owner, said, tell as record,
};
use crate::{
    packet::Packet,
    policy::{Generation, packets, questions},
    sockets::{self, Slot},
    verdict::packed,
};

/// Bytes of payload that a reader takes at a time: they lie on its stack. The verifier follows every way through every one
/// of them, some thousand instructions a byte.
const CHUNK: u32 = 32;
/// Bytes of payload that [`read`] reads at most.
pub const STRETCH: u32 = 8 * CHUNK;

/// What a reading step brought about, and how many bytes it read (the low 16 bits).
pub struct Event;

impl Event {
    /// Nothing yet.
    pub const MORE: u32 = 0;
    /// A name is complete.
    pub const NAME: u32 = 1;
    /// A ClientHello without a readable name.
    pub const NAMELESS: u32 = 2;
    /// A mining protocol.
    pub const FOUND: u32 = 3;
    /// Nothing more is wanted.
    pub const END: u32 = 4;

    /// The event of a step's number.
    #[inline(always)]
    pub const fn of(step: u32) -> u32 {
        step >> 16
    }

    /// Bytes that were read.
    #[inline(always)]
    pub const fn read(step: u32) -> u32 {
        step & 0xffff
    }
}

/// What is told of a packet.
#[derive(Clone, Copy)]
pub struct Told(u32);

impl Told {
    /// A record about this.
    #[inline(always)]
    pub const fn of(subject: u8) -> Self {
        Self(subject as u32)
    }
}

/// Whether a packet may go where it goes.
#[inline(always)]
pub(super) fn goes(skb: *mut __sk_buff) -> Goes {
    Goes(step_goes(skb))
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn step_goes(skb: *mut __sk_buff) -> u64 {
    super::goes(Packet::new(skb)).0
}

/// What follows an IP header, with whatever may lie between.
#[inline(always)]
pub fn transport(skb: *mut __sk_buff) -> Transport {
    Transport(step_transport(skb))
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn step_transport(skb: *mut __sk_buff) -> u64 {
    Transport::find(Packet::new(skb)).0
}

/// Which part of it is to be read.
#[inline(always)]
pub fn payload(skb: *mut __sk_buff) -> Span {
    Span(step_payload(skb))
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn step_payload(skb: *mut __sk_buff) -> u64 {
    super::payload(Packet::new(skb)).0
}

/// Says how the reading ended.
#[inline(always)]
pub fn end(skb: *mut __sk_buff, outcome: u32) {
    step_end(skb, outcome);
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn step_end(skb: *mut __sk_buff, outcome: u32) -> u32 {
    super::end(Packet::new(skb), outcome);
    0
}

/// What becomes of a packet for which `listed` stands: see [`packets::decide`].
#[inline(always)]
pub fn decide(skb: *mut __sk_buff, listed: u64) -> u64 {
    step_decide(skb, listed)
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn step_decide(skb: *mut __sk_buff, listed: u64) -> u64 {
    Listed(listed).found().map_or(0, |listed| packets::decide(Packet::new(skb), listed))
}

/// Looks for the owner of a packet's socket. `writes`: somebody wrote what is in it, or opens a connection with it.
#[inline(always)]
pub fn owner(skb: *mut __sk_buff, writes: bool) {
    step_owner(skb, u32::from(writes));
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn step_owner(skb: *mut __sk_buff, writes: u32) -> u32 {
    let packet = Packet::new(skb);
    if let Some(state) = packet.socket().and_then(|sk| sockets::state(packet, sk)) {
        owner::refresh(packet, state, writes != 0);
    }
    0
}

/// Sends a record of the packet.
#[inline(always)]
pub fn tell(skb: *mut __sk_buff, decision: u64, told: Told) {
    step_tell(skb, decision, told.0);
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn step_tell(skb: *mut __sk_buff, decision: u64, subject: u32) -> u32 {
    record::send(Packet::new(skb), packed::unpack(decision), subject as u8);
    0
}

/// Reads a stretch of payload as its socket's stage says, until it brings something about: an [`Event`].
#[inline(always)]
pub fn read(skb: *mut __sk_buff, at: u32, left: u32) -> u32 {
    step_read(skb, at, left)
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn step_read(skb: *mut __sk_buff, at: u32, left: u32) -> u32 {
    let packet = Packet::new(skb);
    let Some(state) = packet.socket().and_then(|sk| sockets::state(packet, sk)) else {
        return Event::END << 16;
    };
    let mut read = 0;
    let mut turn = 0;
    while turn < STRETCH {
        turn += 1;
        let rest = left.saturating_sub(read);
        if rest == 0 || read >= STRETCH {
            break;
        }
        let from = at.wrapping_add(read);
        let step = match state.get().stage {
            stage::STRATUM => step_stratum(skb, from, rest),
            stage::TLS => step_hello(skb, from, rest),
            stage::DNS => step_questions(skb, from, rest),
            _ => step_question(skb, from, rest),
        };
        let event = Event::of(step);
        read = read.wrapping_add(Event::read(step));
        state.get().next = state.get().next.wrapping_add(Event::read(step));
        if event != Event::MORE {
            return event << 16 | read & 0xffff;
        }
    }
    read
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn step_stratum(skb: *mut __sk_buff, at: u32, left: u32) -> u32 {
    const END: u32 = Event::END << 16;
    let packet = Packet::new(skb);
    let Some(state) = packet.socket().and_then(|sk| sockets::state(packet, sk)) else { return END };
    let (event, n) = each_byte(packet, at, left, |byte| match state.get().stratum.glance(byte) {
        0 => Event::MORE,
        rest if state.get().stratum.is_idle(rest) => Event::MORE,
        rest => step_ponder(skb, rest),
    });
    if n == 0 {
        return END;
    }
    let event = if event == Event::MORE { step_account(skb, n) } else { event };
    event << 16 | n
}

/// So many bytes were read.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn step_account(skb: *mut __sk_buff, n: u32) -> u32 {
    let packet = Packet::new(skb);
    let Some(state) = packet.socket().and_then(|sk| sockets::state(packet, sk)) else { return Event::END };
    state.get().stratum.account(n as u16);
    outcome(state)
}

/// What the reader of a mining protocol has come to.
#[inline(always)]
fn outcome(state: Slot<Socket>) -> u32 {
    if state.get().stratum.finding().is_some() {
        Event::FOUND
    } else if state.get().stratum.is_done() {
        Event::END
    } else {
        Event::MORE
    }
}

/// A byte that wants a second look.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn step_ponder(skb: *mut __sk_buff, rest: u32) -> u32 {
    let packet = Packet::new(skb);
    let Some(state) = packet.socket().and_then(|sk| sockets::state(packet, sk)) else { return Event::END };
    state.get().stratum.ponder(rest);
    outcome(state)
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn step_hello(skb: *mut __sk_buff, at: u32, left: u32) -> u32 {
    let packet = Packet::new(skb);
    let Some(sk) = packet.socket() else { return Event::END << 16 };
    let Some(state) = sockets::state(packet, sk) else { return Event::END << 16 };
    let Some(reading) = sockets::reading(packet, sk) else { return Event::END << 16 };
    let (event, n) =
        each_byte(packet, at, left, |byte| match state.get().hello.push(byte, &mut reading.get().name) {
            tls::Event::More => Event::MORE,
            tls::Event::Name => Event::NAME,
            tls::Event::End if !state.get().hello.has_name() || state.get().hello.is_encrypted() => {
                Event::NAMELESS
            }
            tls::Event::End | tls::Event::NotTls => Event::END,
        });
    let event = if n == 0 { Event::END } else { event };
    event << 16 | n
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn step_questions(skb: *mut __sk_buff, at: u32, left: u32) -> u32 {
    let packet = Packet::new(skb);
    let Some(sk) = packet.socket() else { return Event::END << 16 };
    let Some(state) = sockets::state(packet, sk) else { return Event::END << 16 };
    let Some(reading) = sockets::reading(packet, sk) else { return Event::END << 16 };
    let (event, n) =
        each_byte(packet, at, left, |byte| match state.get().questions.push(byte, &mut reading.get().name) {
            dns::Event::Name => Event::NAME,
            // The end of a message is not the end of the stream.
            dns::Event::More | dns::Event::Done => Event::MORE,
        });
    let event = if n == 0 { Event::END } else { event };
    event << 16 | n
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn step_question(skb: *mut __sk_buff, at: u32, left: u32) -> u32 {
    let packet = Packet::new(skb);
    let Some(sk) = packet.socket() else { return Event::END << 16 };
    let Some(reading) = sockets::reading(packet, sk) else { return Event::END << 16 };
    let (event, n) = each_byte(packet, at, left, |byte| {
        match reading.get().questions.push(byte, &mut reading.get().name) {
            dns::Event::Name => Event::NAME,
            dns::Event::Done => Event::END,
            dns::Event::More => Event::MORE,
        }
    });
    let event = if n == 0 { Event::END } else { event };
    event << 16 | n
}

/// Gives a chunk of the bytes from `at` on to `push`, until it brings something about. Returns what, and how many it took;
/// 0 if there are none.
#[inline(always)]
fn each_byte(packet: Packet, at: u32, left: u32, mut push: impl FnMut(u8) -> u32) -> (u32, u32) {
    let n = if left > CHUNK { CHUNK } else { left };
    // Words of a zero that the compiler cannot know: it would clear them byte by byte, by a call.
    let mut words = [core::hint::black_box(0); CHUNK as usize / 8];
    if !packet.copy_words(at, n, &mut words) {
        return (Event::MORE, 0);
    }
    let mut i = 0;
    for mut word in words {
        let mut left = 8;
        while left > 0 {
            if i >= n {
                return (Event::MORE, i);
            }
            let event = push(word as u8);
            (word, left, i) = (word >> 8, left - 1, i + 1);
            if event != Event::MORE {
                return (event, i);
            }
        }
    }
    (Event::MORE, i)
}

/// What is listed of the name that the socket has read: [`Listed`], 0 if nothing.
#[inline(always)]
pub fn named(skb: *mut __sk_buff) -> u64 {
    step_named(skb)
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn step_named(skb: *mut __sk_buff) -> u64 {
    each_suffix(skb, Class::Domain, Class::DomainBelow)
}

/// The rule that allows that name, 0 if none.
#[inline(always)]
pub fn name_allowed(skb: *mut __sk_buff) -> u32 {
    step_name_allowed(skb)
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn step_name_allowed(skb: *mut __sk_buff) -> u32 {
    each_suffix(skb, Class::AllowedDomain, Class::AllowedDomainBelow) as u32
}

/// Looks each suffix by labels of the name up that the socket has read, the shortest first: as one class the whole name,
/// as the other what is above it. Returns what was found. All that the rounds hand on rests in the reading, where the
/// verifier does not follow it.
#[inline(always)]
fn each_suffix(skb: *mut __sk_buff, whole: Class, above: Class) -> u64 {
    let packet = Packet::new(skb);
    let Some(reading) = packet.socket().and_then(|sk| sockets::reading(packet, sk)) else { return 0 };
    let Some(hasher) = Generation::current().and_then(|g| table::name_hasher(&g)) else { return 0 };
    reading.get().hasher = hasher;
    reading.get().found = 0;
    let mut from = 0;
    while from < 256 {
        if step_suffixes(skb, from, whole as u32 | (above as u32) << 8) == 0 {
            break;
        }
        from += SUFFIX_ROUND;
    }
    reading.get().found
}

/// Characters of a name that one step hashes.
const SUFFIX_ROUND: u32 = 16;

/// The characters from `from` on, counted from the end. 0: there are no more.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn step_suffixes(skb: *mut __sk_buff, from: u32, classes: u32) -> u32 {
    let packet = Packet::new(skb);
    let Some(reading) = packet.socket().and_then(|sk| sockets::reading(packet, sk)) else { return 0 };
    let mut i = 0;
    while i < SUFFIX_ROUND {
        let n = (from + i) as u16;
        let Some(byte) = reading.get().name.from_end(n) else { return 0 };
        i += 1;
        reading.get().hasher.push(byte);
        match reading.get().name.from_end(n.wrapping_add(1)) {
            None => step_suffix(skb, classes & 0xff),
            Some(b'.') => step_suffix(skb, classes >> 8),
            Some(_) => 0,
        };
    }
    1
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn step_suffix(skb: *mut __sk_buff, class: u32) -> u32 {
    let packet = Packet::new(skb);
    let Some(reading) = packet.socket().and_then(|sk| sockets::reading(packet, sk)) else { return 0 };
    let Some(class) = Class::of_names(class) else { return 0 };
    let tag = questions::tag_of(reading.get().hasher.key(class));
    if matches!(class, Class::AllowedDomain | Class::AllowedDomainBelow) {
        reading.get().found |= u64::from(tag);
        return 0;
    }
    let Some(answer) = table::name_answer(tag) else { return 0 };
    let Some(generation) = Generation::current() else { return 0 };
    let Some(details) = Details::read(&generation) else { return 0 };
    // The longer suffix comes later and counts, unless only the shorter one stops.
    let before = Listed(reading.get().found).found().and_then(Listed::verdict);
    if answer.verdict.stops() || !before.is_some_and(Verdict::stops) {
        reading.get().found = Listed::of(&answer).at(details.generation()).0;
    }
    0
}

/// The packet passes, and the stream is read on.
pub const ON: u32 = 1;
/// The packet passes, and nothing more is wanted of its stream.
pub const LAST: u32 = 2;

/// What becomes of a packet in which `event` was read: 0 if it is dropped, else [`ON`] or [`LAST`].
#[inline(always)]
pub fn passes(skb: *mut __sk_buff, event: u32) -> u32 {
    step_passes(skb, event)
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn step_passes(skb: *mut __sk_buff, event: u32) -> u32 {
    match (said::passes(Packet::new(skb), event), event) {
        (false, _) => 0,
        (true, Event::NAME) => ON,
        (true, _) => LAST,
    }
}
