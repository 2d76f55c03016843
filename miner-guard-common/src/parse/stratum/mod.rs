//! The first payload of a connection: is it a mining protocol?
//!
//! A streaming JSON tokenizer that cares for structure only. Each string is reduced to a hash while it
//! passes; at its end the hash is looked up in the word table ([`words`]), and the word sets one bit that
//! says *what was seen where* (`params.login`, `result.job.blob`, a first array element that is a string …).
//! At the end of a top-level object the bits are compared with the dialects, which are rows ([`rules`]).
//! White space, key order, escapes, foreign keys and segment borders therefore cannot matter.
//!
//! Bits are only ever set, so a key that is added or given twice cannot hide another.

pub mod rules;
mod shape;
mod words;

pub use rules::{Dialect, Finding, Role};

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
    /// Open containers, innermost in the low nibble; a nibble is a `CTX_*`.
    stack: u64,
    /// Hash of the string or header word that is being read.
    hash: u32,
    /// Bytes read.
    read: u16,
    /// Decoded length of the current string, saturating.
    len: u16,
    /// Containers open beyond what `stack` holds. Nothing of interest lies so deep.
    deep: u16,
    /// The code unit of a `\u` escape, as far as it is read.
    unit: u16,
    /// `MODE_*`
    mode: u8,
    /// `LEX_*`
    lex: u8,
    /// The current object's latest key: index of its word.
    key: u8,
    /// Whether the colon after the key has passed.
    colon: u8,
    /// Whether the innermost container has had a value.
    filled: u8,
    /// Elements so far in the parameter array.
    index: u8,
    /// `shape::*` of the current string.
    shape: u8,
    /// Length of the letters and digits with which the current string begins.
    run: u8,
    /// Method group of the first and the last `method` of the object: parsers differ on which of two counts.
    first: u8,
    last: u8,
    /// Row of [`rules::RULES`] that matched, plus one.
    found: u8,
    #[doc(hidden)]
    pad: u8,
}

/// Between messages. A fresh automaton is here.
const MODE_ROOT: u8 = 0;
/// In a JSON value.
const MODE_JSON: u8 = 1;
/// In lines of text: an HTTP head.
const MODE_HEAD: u8 = 2;
/// In frames of ZMTP, which a coin daemon uses to announce blocks.
const MODE_ZMTP: u8 = 3;
/// Nothing more is wanted of this socket.
const MODE_DONE: u8 = 4;

const LEX_NONE: u8 = 0;
const LEX_BARE: u8 = 1;
const LEX_STRING: u8 = 2;
const LEX_ESCAPE: u8 = 3;
/// `LEX_UNIT + n`: n hex digits of a `\u` escape are still to come.
const LEX_UNIT: u8 = 4;

/// A container that no rule looks into.
const CTX_JUNK: u8 = 0;
/// The stream itself, or with `CTX_ARRAY` a batch.
const CTX_ROOT: u8 = 1;
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
/// An array within the result array: `CTX_JOB` is never an array, so the code is free.
const CTX_NESTED: u8 = CTX_JOB | CTX_ARRAY;

/// The batch array.
const CTX_BATCH: u8 = CTX_ROOT | CTX_ARRAY;
const CTX_LIST: u8 = CTX_PARAMS | CTX_ARRAY;
const CTX_RESULTS: u8 = CTX_RESULT | CTX_ARRAY;

impl Stratum {
    /// An automaton at the start of a stream.
    pub const fn new() -> Self {
        Self {
            seen: 0,
            stack: 0,
            hash: 0,
            read: 0,
            len: 0,
            deep: 0,
            unit: 0,
            mode: MODE_ROOT,
            lex: LEX_NONE,
            key: 0,
            colon: 0,
            filled: 0,
            index: 0,
            shape: 0,
            run: 0,
            first: 0,
            last: 0,
            found: 0,
            pad: 0,
        }
    }

    /// Whether more bytes can change nothing: something was found, the budget is spent, or the stream is
    /// no protocol that this automaton reads.
    #[inline(always)]
    pub const fn is_done(&self) -> bool {
        self.mode >= MODE_DONE
    }

    /// What was found.
    #[inline(always)]
    pub fn finding(&self) -> Option<Finding> {
        rules::finding(self.found)
    }

    /// Reads a segment.
    #[inline(always)]
    pub fn feed(&mut self, segment: &[u8]) -> Option<Finding> {
        for &byte in segment {
            if self.is_done() {
                break;
            }
            self.push(byte);
        }
        self.finding()
    }

    /// Reads one byte. Kept out of line: in the kernel the state must stay in the map, where the verifier
    /// does not follow it; in registers every combination of values would be a path of its own.
    #[inline(never)]
    pub fn push(&mut self, byte: u8) {
        match self.mode {
            MODE_JSON => self.json(byte),
            MODE_ROOT => self.root(byte),
            MODE_HEAD => self.head(byte),
            MODE_ZMTP => self.zmtp(byte),
            _ => return,
        }
        self.read = self.read.wrapping_add(1);
        if self.read >= BUDGET {
            self.finish();
        }
    }

    /// Says that no more will be read. A message that is not complete is judged by what it has shown: bits
    /// are only ever set, so a rule that fits now would fit at its end.
    #[inline(always)]
    pub fn finish(&mut self) {
        if self.mode != MODE_DONE {
            self.judge();
            self.mode = MODE_DONE;
        }
    }

    #[inline(always)]
    fn root(&mut self, byte: u8) {
        match byte {
            b'{' | b'[' => {
                self.mode = MODE_JSON;
                self.lex = LEX_NONE;
                self.stack = CTX_ROOT as u64;
                self.deep = 0;
                self.open(byte);
            }
            b'a'..=b'z' | b'A'..=b'Z' => {
                self.mode = MODE_HEAD;
                self.first = rules::HEAD;
                self.last = rules::HEAD;
                self.colon = 0;
                self.start_string();
                self.lex = LEX_STRING;
                self.take(byte | 0x20);
            }
            // Digits: the size of an HTTP chunk, or of a netstring.
            b' ' | b'\t' | b'\r' | b'\n' | b',' | b':' | b'0'..=b'9' => {}
            // A byte order mark.
            0xef | 0xbb | 0xbf if self.read < 3 => {}
            0x00 | 0x04 | 0xff if self.read == 0 => {
                self.mode = MODE_ZMTP;
                self.first = rules::HEAD;
                self.last = rules::HEAD;
                self.start_string();
            }
            // Some put a NUL after each message.
            0x00 => {}
            _ => self.mode = MODE_DONE,
        }
    }

    /// A head ends with an empty line; the body is read as JSON. Only a header's name counts, in its place.
    #[inline(always)]
    fn head(&mut self, byte: u8) {
        match byte {
            // `colon` tells that the line has had more than its first word, `lex` that it has had anything.
            b'\n' => {
                // An empty line ends the head; a line that is one hex number is the size of a chunk.
                if self.lex == LEX_NONE || self.colon == 0 && shape::is_hex(self.shape) {
                    self.mode = MODE_ROOT;
                }
                self.lex = LEX_NONE;
                self.colon = 0;
                self.start_string();
            }
            b'\r' => {}
            b':' if self.colon == 0 => {
                self.colon = 1;
                self.mark(lookup(self.hash), Place::Header as u8, shape::ANY);
                self.judge();
            }
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => {
                self.lex = LEX_STRING;
                self.take(byte | 0x20);
            }
            b'\t' | 0x20..=0x7e => {
                self.lex = LEX_STRING;
                self.colon = 1;
            }
            _ => self.mode = MODE_DONE,
        }
    }

    #[inline(always)]
    fn zmtp(&mut self, byte: u8) {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => {
                self.take(byte);
                self.mark(lookup(self.hash), Place::Topic as u8, shape::ANY);
                self.judge();
            }
            _ => self.start_string(),
        }
    }

    #[inline(always)]
    fn json(&mut self, byte: u8) {
        match self.lex {
            LEX_STRING => match byte {
                b'"' => self.end_string(),
                b'\\' => self.lex = LEX_ESCAPE,
                _ => self.take(byte),
            },
            LEX_NONE | LEX_BARE => self.between(byte),
            LEX_ESCAPE => {
                if byte == b'u' {
                    self.unit = 0;
                    self.lex = LEX_UNIT + 4;
                } else {
                    self.lex = LEX_STRING;
                    self.take(match byte {
                        b'n' | b't' | b'r' | b'b' | b'f' => b'\n',
                        other => other,
                    });
                }
            }
            _ => {
                self.unit = self.unit << 4 | shape::hex_value(byte) as u16;
                self.lex = self.lex.wrapping_sub(1);
                if self.lex <= LEX_UNIT {
                    self.lex = LEX_STRING;
                    // Every word of the table is ASCII: one byte can stand for all the rest.
                    self.take(if self.unit < 0x80 { self.unit as u8 } else { 0xff });
                }
            }
        }
    }

    #[inline(always)]
    fn between(&mut self, byte: u8) {
        match byte {
            b'"' => {
                self.start_string();
                self.lex = LEX_STRING;
            }
            b' ' | b'\t' | b'\r' | b'\n' => self.lex = LEX_NONE,
            b':' => {
                self.lex = LEX_NONE;
                self.colon = 1;
            }
            b',' => {
                self.lex = LEX_NONE;
                self.colon = 0;
                if self.context() == CTX_LIST && self.index < 3 {
                    self.index += 1;
                }
            }
            b'{' | b'[' => {
                self.lex = LEX_NONE;
                self.open(byte);
            }
            b'}' | b']' => {
                self.lex = LEX_NONE;
                self.close();
            }
            _ if self.lex == LEX_NONE => {
                self.lex = LEX_BARE;
                let number = byte == b'-' || byte.is_ascii_digit();
                self.value(if number { shape::NUMBER } else { shape::LITERAL }, 0);
            }
            _ => {}
        }
    }

    #[inline(always)]
    const fn context(&self) -> u8 {
        if self.deep > 0 { CTX_JUNK } else { (self.stack & 15) as u8 }
    }

    #[inline(always)]
    fn open(&mut self, byte: u8) {
        let array = if byte == b'[' { CTX_ARRAY } else { 0 };
        let outer = self.context();
        let word = words::entry(self.key);
        let inner = match outer {
            CTX_ROOT | CTX_BATCH => {
                if array == 0 {
                    self.seen = 1;
                    self.first = 0;
                    self.last = 0;
                    CTX_MESSAGE
                } else {
                    CTX_BATCH
                }
            }
            CTX_LIST if array == 0 => CTX_ELEMENT,
            CTX_RESULTS | CTX_NESTED if array != 0 => CTX_NESTED,
            CTX_MESSAGE | CTX_RESULT | CTX_ELEMENT if word.within == outer => word.child | array,
            _ => array,
        };
        self.value(if array == 0 { shape::OBJECT } else { shape::ARRAY }, 0);
        if self.stack >> 60 != 0 {
            self.deep = self.deep.saturating_add(1);
        } else {
            self.stack = self.stack << 4 | inner as u64;
        }
        if inner == CTX_LIST {
            self.index = 0;
        }
        self.colon = 0;
        self.key = 0;
        self.filled = 0;
    }

    #[inline(always)]
    fn close(&mut self) {
        let context = self.context();
        if self.deep > 0 {
            self.deep -= 1;
        } else {
            self.stack >>= 4;
        }
        if context == CTX_LIST && self.filled == 0 {
            self.seen |= rules::EMPTY;
        }
        self.filled = 1;
        if context == CTX_MESSAGE {
            self.judge();
            self.seen = 1;
            self.first = 0;
            self.last = 0;
        }
        if self.stack <= CTX_ROOT as u64 && self.mode == MODE_JSON {
            self.mode = MODE_ROOT;
        }
    }

    #[inline(always)]
    fn start_string(&mut self) {
        self.hash = words::SEED;
        self.len = 0;
        self.run = 0;
        self.shape = shape::START;
    }

    /// Adds one decoded character to the current string.
    #[inline(always)]
    fn take(&mut self, byte: u8) {
        self.hash = words::step(self.hash, byte);
        (self.shape, self.run) = shape::step(self.shape, self.run, self.len, byte);
        self.len = self.len.saturating_add(1);
    }

    #[inline(always)]
    fn end_string(&mut self) {
        self.lex = LEX_NONE;
        let word = lookup(self.hash);
        if self.colon == 0 && self.context() & CTX_ARRAY == 0 {
            self.key = word;
        } else {
            self.value(shape::of(self.shape, self.run, self.len), word);
        }
    }

    /// A value begins (a container, a bare word) or has ended (a string, which may be a word of the table).
    #[inline(always)]
    fn value(&mut self, kind: u16, word: u8) {
        self.filled = 1;
        let context = self.context();
        let key = self.key;
        if context == CTX_LIST {
            self.seen |= rules::element(self.index, kind);
            self.mark(word, Place::ParamsElement as u8, kind);
        } else if context == CTX_MESSAGE && key == words::METHOD {
            let group = words::entry(word).group;
            if self.first == 0 {
                self.first = group;
            }
            self.last = group;
        } else if context & CTX_ARRAY != 0 {
            self.mark(word, words::place(context), kind);
        } else if context == CTX_MESSAGE && key == words::ID {
            self.mark(word, Place::Id as u8, kind);
        } else {
            self.mark(key, words::place(context), kind);
            if kind & shape::WALLET != 0 && words::names_account(key, context) {
                self.seen |= rules::WALLET;
            }
        }
    }

    #[inline(always)]
    fn mark(&mut self, word: u8, place: u8, kind: u16) {
        self.seen |= words::bits(word, place, kind);
    }

    #[inline(always)]
    fn judge(&mut self) {
        let mut found = rules::judge(self.seen, self.first);
        if found == 0 && self.last != self.first {
            found = rules::judge(self.seen, self.last);
        }
        if found != 0 {
            self.found = found;
            self.mode = MODE_DONE;
        }
    }
}
