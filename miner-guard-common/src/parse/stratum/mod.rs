//! The first payload of a connection: is it a mining protocol?
//!
//! A streaming JSON tokenizer that cares for structure only. Each string is reduced to a hash while it
//! passes; at its end the hash is looked up in the word table ([`words`]), and the word sets one bit that
//! says *what was seen where* (`params.login`, `result.job.blob`, a first array element that is a string …).
//! At the end of a top-level object the bits are compared with the dialects, which are rows ([`rules`]).
//! White space, key order, escapes, foreign keys and segment borders therefore cannot matter.
//!
//! Bits are only ever set, so a key that is added or given twice cannot hide another.

mod context;
mod event;
mod lex;
mod mask;
mod rules;
mod shape;
mod words;

pub use rules::{Dialect, Finding, Role};

use lex::Op;
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
    /// Contexts of the open containers, innermost in the low nibble.
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
    /// Whether there is something to judge: a message is over.
    due: u8,
    #[doc(hidden)]
    pad: [u8; 7],
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
            if self.is_done() {
                break;
            }
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
    #[inline(always)]
    pub fn push(&mut self, byte: u8) {
        let rest = self.glance(byte);
        if rest != 0 && !self.is_idle(rest) {
            self.ponder(rest);
        }
    }

    /// The half of [`Self::push`] that most bytes need. What it leaves, if not 0, is for [`Self::ponder`]. They are apart
    /// because the kernel's verifier walks every way through every byte: the many ways of the other half are a step of
    /// their own there.
    #[inline(always)]
    pub fn glance(&mut self, byte: u8) -> u32 {
        let step = lex::step(self.state, byte);
        self.state = step.next;
        if step.op == Op::Take as u8 {
            self.take(byte | step.fold);
            return 0;
        }
        (step.op as u32) << 8 | (byte | step.fold) as u32
    }

    /// Whether what [`Self::glance`] left is nothing to ponder: within a container that no rule looks into, only what opens or
    /// closes one counts.
    #[inline(always)]
    pub const fn is_idle(&self, rest: u32) -> bool {
        let idle = if self.context & !context::ARRAY == context::JUNK { Op::UnitLast } else { Op::Skip };
        rest >> 8 <= idle as u32
    }

    /// The other half, for what [`Self::glance`] left.
    #[inline(always)]
    pub fn ponder(&mut self, rest: u32) {
        event::event(self, (rest >> 8) as u8, rest as u8);
        if self.due != 0 {
            self.judge();
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

    /// Compares what was seen with the rules; the message, if it was one, is over. Out of line for the kernel's stack.
    #[inline(never)]
    fn judge(&mut self) {
        let first = rules::judge(self.seen, self.first);
        let found = first | rules::judge(self.seen, self.last) & mask::equal(first, 0);
        if found != 0 {
            self.found = found;
            self.state = lex::DONE;
        }
    }
}
