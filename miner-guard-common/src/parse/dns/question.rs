//! The questions of a DNS message, read byte by byte, so that a question over TCP may be cut anywhere.

use crate::parse::name::Name;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Questions of one message that are read. All resolvers send one; servers refuse more.
pub const MAX_QUESTIONS: u16 = 4;

const HEADER: u8 = 0;
const LENGTH: u8 = 1;
const LABEL: u8 = 2;
const TAIL: u8 = 3;
const DONE: u8 = 4;
/// The two bytes of length that stand before a message over TCP.
const FRAME: u8 = 5;
/// The rest of a message over TCP, of which nothing is wanted.
const PASS: u8 = 6;

/// What a byte brought about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Nothing yet.
    More,
    /// The name of a question is complete.
    Name,
    /// There is no further question to read: all were read, it is no query, or it is malformed. A stream goes
    /// on with its next message.
    Done,
}

/// A reader of questions. 12 bytes; the name that it reads lies with the caller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Questions {
    /// Octets of the name so far, as they count towards the limit of 255.
    octets: u16,
    /// Questions left.
    left: u16,
    /// Bytes left of the message, where messages stand behind their length.
    frame: u16,
    #[doc(hidden)]
    pad: u16,
    state: u8,
    /// Bytes left of the label, or read of the header or the question's tail.
    count: u8,
    /// 1: messages stand behind their length.
    framed: u8,
    #[doc(hidden)]
    pad2: u8,
}

impl Questions {
    /// A reader of one datagram.
    pub const fn datagram() -> Self {
        Self { state: HEADER, count: 0, octets: 0, left: 0, frame: 0, framed: 0, pad: 0, pad2: 0 }
    }

    /// A reader of a TCP stream, which may hold any number of messages.
    pub const fn stream() -> Self {
        Self { state: FRAME, count: 0, octets: 0, left: 0, frame: 0, framed: 1, pad: 0, pad2: 0 }
    }

    /// Whether more bytes can change nothing.
    #[inline(always)]
    pub const fn is_done(&self) -> bool {
        self.state == DONE
    }

    /// Reads one byte. After [`Event::Name`] the caller may look at `name`; the next byte begins another.
    #[inline(always)]
    pub const fn push(&mut self, byte: u8, name: &mut Name) -> Event {
        if self.framed == 0 || self.state == FRAME {
            return self.read(byte, name);
        }
        // Counted before it is read: the last byte of a message may be the last of its last question.
        self.frame = self.frame.wrapping_sub(1);
        let event = if self.state == PASS { Event::More } else { self.read(byte, name) };
        if self.frame == 0 {
            self.count = 0;
            self.state = FRAME;
        }
        event
    }

    #[inline(always)]
    const fn read(&mut self, byte: u8, name: &mut Name) -> Event {
        match self.state {
            LABEL => {
                name.push(byte);
                self.count = self.count.wrapping_sub(1);
                if self.count == 0 {
                    self.state = LENGTH;
                }
                Event::More
            }
            LENGTH => self.length(byte, name),
            TAIL => {
                self.count = self.count.wrapping_add(1);
                if self.count < 4 {
                    return Event::More;
                }
                self.left = self.left.wrapping_sub(1);
                if self.left == 0 {
                    return self.done();
                }
                self.begin(name);
                Event::More
            }
            HEADER => self.header(byte, name),
            FRAME => {
                self.frame = self.frame << 8 | byte as u16;
                self.count += 1;
                if self.count >= 2 {
                    self.count = 0;
                    // An empty message: the next length follows at once.
                    self.state = if self.frame == 0 { FRAME } else { HEADER };
                }
                Event::More
            }
            _ => Event::Done,
        }
    }

    #[inline(always)]
    const fn length(&mut self, byte: u8, name: &mut Name) -> Event {
        self.octets += 1;
        if byte == 0 {
            self.state = TAIL;
            self.count = 0;
            return Event::Name;
        }
        self.octets += byte as u16;
        // Above 63 is a compression pointer, which has nothing to point to in the first question, or a
        // label type that nobody uses. One octet is still to come: the root's.
        if byte > 63 || self.octets > 254 {
            return self.done();
        }
        name.border();
        self.state = LABEL;
        self.count = byte;
        Event::More
    }

    #[inline(always)]
    const fn header(&mut self, byte: u8, name: &mut Name) -> Event {
        match self.count {
            // Neither an answer nor another operation than a query
            2 if byte & 0xf8 != 0 => return self.done(),
            4 => self.left = (byte as u16) << 8,
            5 => {
                self.left |= byte as u16;
                if self.left == 0 {
                    return self.done();
                }
                if self.left > MAX_QUESTIONS {
                    self.left = MAX_QUESTIONS;
                }
            }
            _ => {}
        }
        self.count += 1;
        if self.count >= 12 {
            self.begin(name);
        }
        Event::More
    }

    #[inline(always)]
    const fn begin(&mut self, name: &mut Name) {
        name.clear();
        self.octets = 0;
        self.count = 0;
        self.state = LENGTH;
    }

    #[inline(always)]
    const fn done(&mut self) -> Event {
        self.state = if self.framed == 0 { DONE } else { PASS };
        Event::Done
    }
}
