//! The first payload of a connection: is it a mining protocol?
//!
//! A streaming JSON tokenizer that cares for structure only. Each string is reduced to a hash while it
//! passes; at its end the hash is looked up in the word table ([`words`]), and the word sets one bit that
//! says *what was seen where* (`params.login`, `result.job.blob`, a first array element that is a string …).
//! At the end of a top-level object the bits are compared with the dialects, which are rows ([`rules`]).
//! White space, key order, escapes, foreign keys and segment borders therefore cannot matter.
//!
//! Bits are only ever set, so a key that is added or given twice cannot hide another.

mod lex;
mod rules;
mod shape;
mod words;

pub use rules::{Dialect, Finding, Role};

use lex::Op;
use words::{Place, lookup};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Payload bytes that are read of one socket; then it is left alone.
pub const BUDGET: u16 = 2048;

/// What the automaton knows of one direction of one connection. 48 bytes, all zero at first: a fresh record
/// of socket storage is a fresh automaton.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Stratum {
    /// What was seen where in the current top-level object: [`rules`] names the bits.
    seen: u64,
    /// Contexts of the open containers, innermost in the low nibble: `CTX_*`.
    stack: u64,
    /// Hash of the string or header name that is being read.
    hash: u32,
    /// Bytes read.
    read: u16,
    /// Decoded length of the current string.
    len: u16,
    /// Length of the letters and digits with which it begins.
    run: u16,
    /// Open containers, also those that `stack` has no room for. Nothing of interest lies so deep.
    depth: u16,
    /// State of the lexer.
    state: u8,
    /// `shape::*` of the current string.
    shape: u8,
    /// Context of the innermost container.
    context: u8,
    /// The current object's latest key: index of its word.
    key: u8,
    /// Whether a value comes next, not a key.
    valued: u8,
    /// Whether the innermost container has had a value.
    filled: u8,
    /// Elements so far in the parameter array; 2 for all that follow.
    index: u8,
    /// The last two digits of a `\u` escape; `high` is the first two.
    unit: u8,
    high: u8,
    /// Method group of the first and the last `method` of the object: parsers differ on which of two counts.
    first: u8,
    last: u8,
    /// Row of the rules that matched, plus one.
    found: u8,
    /// What an event leaves to be settled: kind of the value, its word, whether a message is over.
    kind: u16,
    word: u8,
    due: u8,
    #[doc(hidden)]
    pad: [u8; 4],
}

/// The stream itself.
const CTX_ROOT: u8 = 0;
/// A container that no rule looks into.
const CTX_JUNK: u8 = 1;
/// A top-level object.
const CTX_MESSAGE: u8 = 2;
const CTX_PARAMS: u8 = 3;
const CTX_RESULT: u8 = 4;
/// `result.job`.
const CTX_JOB: u8 = 5;
/// An object within the parameter array.
const CTX_ELEMENT: u8 = 6;
const CTX_CAPABILITIES: u8 = 7;
/// The container is an array.
const CTX_ARRAY: u8 = 8;
/// An array of messages.
const CTX_BATCH: u8 = CTX_ROOT | CTX_ARRAY;
const CTX_LIST: u8 = CTX_PARAMS | CTX_ARRAY;
const CTX_RESULTS: u8 = CTX_RESULT | CTX_ARRAY;
/// An array within the result array: `result.job` is no array, so the code is free.
const CTX_NESTED: u8 = CTX_JOB | CTX_ARRAY;

/// Containers that `stack` has room for.
const STACKED: u16 = 15;

/// Context of a container by the outer one's and its own kind (object, array); `BY_KEY` where the key decides.
static OPENS: [[u8; 2]; 16] = {
    let mut opens = [[CTX_JUNK, CTX_JUNK | CTX_ARRAY]; 16];
    opens[CTX_ROOT as usize] = [CTX_MESSAGE, CTX_BATCH];
    opens[CTX_BATCH as usize] = [CTX_MESSAGE, CTX_BATCH];
    opens[CTX_LIST as usize][0] = CTX_ELEMENT;
    opens[CTX_RESULTS as usize][1] = CTX_NESTED;
    opens[CTX_NESTED as usize][1] = CTX_NESTED;
    opens[CTX_MESSAGE as usize] = [BY_KEY, BY_KEY];
    opens[CTX_RESULT as usize] = [BY_KEY, BY_KEY];
    opens[CTX_ELEMENT as usize] = [BY_KEY, BY_KEY];
    opens
};
const BY_KEY: u8 = 0xff;

/// All ones for 1, zero for 0.
#[inline(always)]
const fn mask(one: u16) -> u8 {
    (one as u8).wrapping_neg()
}

/// All ones if the two are equal, else zero.
#[inline(always)]
const fn equal(a: u8, b: u8) -> u8 {
    (shape::nonzero((a ^ b) as u16) as u8).wrapping_sub(1)
}

impl Stratum {
    /// An automaton at the start of a stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether more bytes can change nothing: something was found, the budget is spent, or the stream is
    /// no protocol that this automaton reads.
    #[inline(always)]
    pub const fn is_done(&self) -> bool {
        self.state == lex::DONE
    }

    /// Bytes that are still wanted.
    #[inline(always)]
    pub const fn wants(&self) -> u16 {
        if self.is_done() { 0 } else { BUDGET.saturating_sub(self.read) }
    }

    /// What was found.
    #[inline(always)]
    pub fn finding(&self) -> Option<Finding> {
        rules::finding(self.found)
    }

    /// Reads a segment.
    pub fn feed(&mut self, segment: &[u8]) -> Option<Finding> {
        let wanted = segment.get(..usize::from(self.wants())).unwrap_or(segment);
        for &byte in wanted {
            self.push(byte);
        }
        self.account(wanted.len() as u16);
        self.finding()
    }

    /// Says that `n` bytes were pushed, at most [`Self::wants`]; at the end of the budget it judges.
    #[inline(always)]
    pub fn account(&mut self, n: u16) {
        self.read = self.read.saturating_add(n);
        if self.read >= BUDGET {
            self.finish();
        }
    }

    /// Says that no more will be read. A message that is not complete is judged by what it has shown: bits
    /// are only ever set, so a rule that fits now would fit at its end.
    #[inline(always)]
    pub fn finish(&mut self) {
        if !self.is_done() {
            self.judge();
            self.state = lex::DONE;
        }
    }

    /// Reads one byte; [`Self::account`] for it afterwards.
    ///
    /// Kept out of line, as are its parts: in the kernel the state must stay in its map, where the verifier
    /// does not follow it. In registers every combination of values would be a path of its own.
    #[inline(never)]
    pub fn push(&mut self, byte: u8) {
        let step = lex::step(self.state, byte);
        self.state = step.next;
        if step.op == Op::Take as u8 {
            self.take(byte);
        } else {
            self.event(step.op, byte);
            self.settle();
        }
    }

    /// Adds a letter or digit to the current string.
    #[inline(always)]
    fn take(&mut self, byte: u8) {
        self.hash = words::step(self.hash, byte);
        self.run = self.run.wrapping_add(shape::runs(self.shape));
        self.shape = shape::alnum(self.shape, byte);
        self.len = self.len.wrapping_add(1);
    }

    #[inline(always)]
    fn begin(&mut self) {
        self.hash = words::SEED;
        self.len = 0;
        self.run = 0;
        self.shape = shape::START;
    }

    /// Everything but the letters and digits of a string. What follows from it is left for [`Self::settle`]
    /// in `kind`, `word` and `due`.
    #[inline(never)]
    fn event(&mut self, op: u8, byte: u8) {
        self.kind = 0;
        self.due = 0;
        if op >= Op::TakeOdd as u8 {
            self.character(op, byte);
        } else if op == Op::Begin as u8 {
            self.begin();
        } else if op == Op::Colon as u8 {
            self.valued = 1;
        } else if op == Op::Comma as u8 {
            self.valued = self.context >> 3;
            self.index += shape::nonzero((self.index ^ 2) as u16) as u8;
        } else if op == Op::End as u8 {
            self.word = lookup(self.hash);
            if self.valued == 0 {
                self.key = self.word;
            } else {
                self.kind = shape::of(self.shape, self.run, self.len);
            }
        } else if op == Op::Close as u8 {
            self.close();
        } else if op == Op::NameEnd as u8 {
            self.seen |= words::bits(lookup(self.hash), Place::Header as u8, shape::ANY);
            self.due = 1;
        } else if op == Op::NameLine as u8 {
            // A line that is one hex number is the size of a chunk.
            if shape::is_hex(self.shape) {
                self.state = lex::ROOT;
            }
        } else if op >= Op::Number as u8 {
            self.word = 0;
            self.kind = shape::kind(op);
        }
    }

    /// A character that is not a plain letter or digit of a string.
    #[inline(always)]
    fn character(&mut self, op: u8, byte: u8) {
        let mut character = byte;
        if op >= Op::Unit as u8 {
            self.high = self.high << 4 | self.unit >> 4;
            self.unit = self.unit << 4 | shape::hex_value(byte) & 15;
            if op == Op::Unit as u8 {
                return;
            }
            // Every word of the table is ASCII: one byte can stand for all the rest.
            character = if self.high == 0 && self.unit < 0x80 { self.unit } else { 0xff };
        } else if op == Op::TakeControl as u8 {
            character = b'\n';
        } else if op >= Op::FrameTake as u8 {
            self.first = rules::HEAD;
            self.last = rules::HEAD;
            if op == Op::NameBegin as u8 {
                self.begin();
            }
            if op != Op::FrameTake as u8 {
                // Header names are the same in both cases. `_` and `-` stay apart from all letters.
                character |= 0x20;
            }
        }
        self.hash = words::step(self.hash, character);
        (self.shape, self.run) = shape::any(self.shape, self.run, self.len, character);
        self.len = self.len.wrapping_add(1);
        if op == Op::FrameTake as u8 {
            self.seen |= words::bits(lookup(self.hash), Place::Topic as u8, shape::ANY);
            self.due = 1;
        }
    }

    /// Draws the consequences of an event: a value that begins or has ended, a container that opens, a
    /// message that is over. Apart from [`Self::event`], so that all its cases come here as one.
    #[inline(never)]
    fn settle(&mut self) {
        self.value();
        if self.kind & (shape::OBJECT | shape::ARRAY) != 0 {
            self.open((self.kind >> 5 & 1) as u8);
        }
        if self.due != 0 {
            self.judge();
        }
    }

    /// A container opens; `array` is 0 or 1.
    #[inline(always)]
    fn open(&mut self, array: u8) {
        let mut inner = OPENS[self.context as usize % 16][array as usize % 2];
        if inner == BY_KEY {
            let word = words::entry(self.key);
            inner = if word.within == self.context { word.child } else { CTX_JUNK };
            inner |= array << 3;
        }
        if inner == CTX_MESSAGE {
            self.begin_message();
        }
        if self.depth < STACKED {
            self.stack = self.stack << 4 | inner as u64;
        } else {
            inner = CTX_JUNK;
        }
        self.depth = self.depth.wrapping_add(1);
        self.context = inner;
        self.valued = array;
        self.filled = 0;
        self.key = 0;
        if inner == CTX_LIST {
            self.index = 0;
        }
    }

    /// A container closes.
    #[inline(always)]
    fn close(&mut self) {
        let closed = self.context;
        if closed == CTX_LIST && self.filled == 0 {
            self.seen |= rules::EMPTY;
        }
        self.filled = 1;
        self.depth = self.depth.saturating_sub(1);
        if self.depth < STACKED {
            self.stack >>= 4;
            self.context = (self.stack & 15) as u8;
        }
        if self.depth == 0 {
            self.state = lex::ROOT;
        }
        self.due = equal(closed, CTX_MESSAGE);
    }

    #[inline(always)]
    fn begin_message(&mut self) {
        self.seen = 1;
        self.first = 0;
        self.last = 0;
    }

    /// A value begins (a container, a bare word) or has ended (a string, which may be a word of the table):
    /// sets the bit of its place. Without a branch; a kind of 0 changes nothing.
    #[inline(always)]
    fn value(&mut self) {
        let (kind, word, key, context) = (self.kind, self.word, self.key, self.context);
        let some = mask(shape::nonzero(kind));
        self.filled |= 1 & some;
        let in_message = equal(context, CTX_MESSAGE) & some;
        let is_id = in_message & equal(key, words::ID);
        let is_method = in_message & equal(key, words::METHOD);

        let group = words::entry(word).group;
        self.first |= group & is_method & equal(self.first, 0);
        self.last = self.last & !is_method | group & is_method;

        let listed = equal(context, CTX_LIST);
        self.seen |= rules::element(self.index, kind & listed as u16 * 0x101);

        let in_array = mask((context >> 3) as u16 & 1);
        let subject = key ^ (key ^ word) & (in_array | is_id);
        let place = words::place(context);
        let place = place ^ (place ^ Place::Id as u8) & is_id;
        self.seen |= words::bits(subject, place, kind);
    }

    /// Compares what was seen with the rules; the message, if it was one, is over.
    #[inline(always)]
    fn judge(&mut self) {
        let first = rules::judge(self.seen, self.first);
        let found = first | rules::judge(self.seen, self.last) & equal(first, 0);
        if found != 0 {
            self.found = found;
            self.state = lex::DONE;
        }
    }
}
