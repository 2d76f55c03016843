//! The lexer as a table: state and class of a byte give the next state and what is to be done.
//!
//! One lookup a byte, and one branch: most bytes of a message are characters of a string, and the kernel's
//! verifier walks every branch for every byte of the window.

/// Before the first byte. A fresh automaton is here.
pub const START: u8 = 0;
/// Between messages.
pub const ROOT: u8 = 1;
/// In a container, between tokens.
pub const BETWEEN: u8 = 2;
/// In a number or a literal.
pub const BARE: u8 = 3;
pub const STRING: u8 = 4;
/// After a backslash.
pub const ESCAPE: u8 = 5;
/// In a `\u` escape: the first of its four digits, then three more states.
pub const UNIT: u8 = 6;
const UNIT_LAST: u8 = 9;
/// In lines of text (an HTTP head), at the start of one.
pub const LINE: u8 = 10;
/// In a line's first word.
const NAME: u8 = 11;
/// Past a line's first word.
const REST: u8 = 12;
/// In frames of ZMTP, by which a coin daemon announces blocks.
const FRAMES: u8 = 13;
/// Nothing more is wanted of this stream.
pub const DONE: u8 = 14;

/// What is to be done with a byte. [`Op::Take`] is all there is to most, and harmless where no string is read. Up to
/// [`Op::UnitLast`] they are within a container and leave it open.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Op {
    /// A letter or digit of a string, or of a line's first word.
    Take = 0,
    /// No character, although a string is being read.
    Skip,
    /// A string begins.
    Begin,
    /// A string ends.
    End,
    Colon,
    Comma,
    Number,
    Literal,
    /// Any other character of a string.
    TakeOdd,
    /// An escape that stands for a control character.
    TakeControl,
    /// A digit of a `\u` escape …
    Unit,
    /// … and its last.
    UnitLast,
    Object,
    Array,
    Close,
    /// The colon after a line's first word: it is a header's name.
    NameEnd,
    /// A line that was one word has ended.
    NameLine,
    /// A character of a ZMTP frame that may be part of a word.
    FrameTake,
    /// The first letter of a line.
    NameBegin,
}

/// Classes of bytes.
#[derive(Clone, Copy)]
#[repr(u8)]
enum Class {
    Control,
    Nul,
    Eot,
    Space,
    Return,
    Newline,
    Quote,
    Backslash,
    Colon,
    Comma,
    OpenObject,
    OpenArray,
    CloseAny,
    Digit,
    Minus,
    Underscore,
    /// `b`, `f`: hex digits, and escapes of control characters.
    BF,
    HexLetter,
    /// `n`, `r`, `t`: escapes of control characters.
    Nrt,
    LowerU,
    LowerX,
    Letter,
    Printable,
    Mark,
    High,
    Last,
}
use Class::{
    BF, Backslash, CloseAny, Control, Digit, Eot, HexLetter, High, Last, Letter, LowerU, LowerX, Mark, Minus,
    Newline, Nrt, Nul, OpenArray, OpenObject, Printable, Quote, Return, Space, Underscore,
};

const CLASSES: usize = 32;
const STATES: usize = 16;

static CLASS: [u8; 256] = {
    let mut table = [0; 256];
    let mut i = 0;
    while i < 256 {
        table[i] = (match i as u8 {
            0 => Nul,
            4 => Eot,
            b' ' | b'\t' => Space,
            b'\r' => Return,
            b'\n' => Newline,
            b'"' => Quote,
            b'\\' => Backslash,
            b':' => Class::Colon,
            b',' => Class::Comma,
            b'{' => OpenObject,
            b'[' => OpenArray,
            b'}' | b']' => CloseAny,
            b'0'..=b'9' => Digit,
            b'-' => Minus,
            b'_' => Underscore,
            b'b' | b'f' => BF,
            b'a'..=b'f' | b'A'..=b'F' => HexLetter,
            b'n' | b'r' | b't' => Nrt,
            b'u' => LowerU,
            b'x' => LowerX,
            b'a'..=b'z' | b'A'..=b'Z' => Letter,
            0x21..=0x7e => Printable,
            // The three bytes of a byte order mark
            0xef | 0xbb | 0xbf => Mark,
            0xff => Last,
            0x80.. => High,
            _ => Control,
        }) as u8;
        i += 1;
    }
    table
};

/// A step.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Step {
    /// The next state.
    pub next: u8,
    /// [`Op`]
    pub op: u8,
    /// Added to the character: header names are the same in both cases, so letters are made small.
    pub fold: u8,
    #[doc(hidden)]
    pub pad: u8,
}

static STEPS: [Step; STATES * CLASSES] = {
    let mut steps = [Step { next: DONE, op: Op::Take as u8, fold: 0, pad: 0 }; STATES * CLASSES];
    let mut state = 0;
    while state < DONE {
        let mut class = 0;
        while class <= Last as u8 {
            let (next, op) = step_of(state, class);
            steps[state as usize * CLASSES + class as usize] =
                Step { next, op: op as u8, fold: if next == NAME { 0x20 } else { 0 }, pad: 0 };
            class += 1;
        }
        state += 1;
    }
    steps
};

const fn is(class: u8, one: Class) -> bool {
    class == one as u8
}
const fn is_letter(class: u8) -> bool {
    matches!(class, c if c >= BF as u8 && c <= Letter as u8)
}
const fn is_word(class: u8) -> bool {
    is_letter(class) || is(class, Digit) || is(class, Minus) || is(class, Underscore)
}
const fn is_space(class: u8) -> bool {
    is(class, Space) || is(class, Return) || is(class, Newline)
}

const fn step_of(state: u8, class: u8) -> (u8, Op) {
    match state {
        START | ROOT => root(state, class),
        BETWEEN | BARE => between(state, class),
        STRING => match class {
            c if is(c, Quote) => (BETWEEN, Op::End),
            c if is(c, Backslash) => (ESCAPE, Op::Skip),
            // x is special after a zero.
            c if is_letter(c) && !is(c, LowerX) || is(c, Digit) => (STRING, Op::Take),
            _ => (STRING, Op::TakeOdd),
        },
        ESCAPE => match class {
            c if is(c, LowerU) => (UNIT, Op::Skip),
            c if is(c, Nrt) || is(c, BF) => (STRING, Op::TakeControl),
            _ => (STRING, Op::TakeOdd),
        },
        UNIT_LAST => (STRING, Op::UnitLast),
        UNIT..UNIT_LAST => (state + 1, Op::Unit),
        LINE | NAME | REST => head(state, class),
        FRAMES if is_word(class) => (FRAMES, Op::FrameTake),
        FRAMES => (FRAMES, Op::Begin),
        _ => (DONE, Op::Take),
    }
}

const fn root(state: u8, class: u8) -> (u8, Op) {
    match class {
        c if is(c, OpenObject) => (BETWEEN, Op::Object),
        c if is(c, OpenArray) => (BETWEEN, Op::Array),
        c if is_letter(c) => (NAME, Op::NameBegin),
        c if is(c, Mark) && state == START => (START, Op::Take),
        // How ZMTP's greeting and its frames begin.
        c if (is(c, Nul) || is(c, Eot) || is(c, Last)) && state == START => (FRAMES, Op::Begin),
        // Digits: the size of an HTTP chunk, or of a netstring. Some put a NUL after each message.
        c if is_space(c) || is(c, Class::Comma) || is(c, Class::Colon) || is(c, Digit) || is(c, Nul) => {
            (ROOT, Op::Take)
        }
        _ => (DONE, Op::Take),
    }
}

const fn between(state: u8, class: u8) -> (u8, Op) {
    match class {
        c if is(c, Quote) => (STRING, Op::Begin),
        c if is_space(c) => (BETWEEN, Op::Take),
        c if is(c, Class::Colon) => (BETWEEN, Op::Colon),
        c if is(c, Class::Comma) => (BETWEEN, Op::Comma),
        c if is(c, OpenObject) => (BETWEEN, Op::Object),
        c if is(c, OpenArray) => (BETWEEN, Op::Array),
        c if is(c, CloseAny) => (BETWEEN, Op::Close),
        _ if state == BARE => (BARE, Op::Take),
        c if is(c, Digit) || is(c, Minus) => (BARE, Op::Number),
        _ => (BARE, Op::Literal),
    }
}

/// An empty line ends a head; what follows is read as JSON, or as the next head.
const fn head(state: u8, class: u8) -> (u8, Op) {
    match class {
        c if is(c, Newline) && state == LINE => (ROOT, Op::Take),
        c if is(c, Newline) && state == NAME => (LINE, Op::NameLine),
        c if is(c, Newline) => (LINE, Op::Take),
        c if is(c, Return) => (state, Op::Skip),
        c if is_word(c) && state == LINE => (NAME, Op::NameBegin),
        c if is_word(c) && state == NAME => (NAME, Op::Take),
        c if is(c, Class::Colon) && state == NAME => (REST, Op::NameEnd),
        c if is(c, Control) || is(c, Nul) || is(c, Eot) || is(c, High) || is(c, Mark) || is(c, Last) => {
            (DONE, Op::Take)
        }
        _ => (REST, Op::Take),
    }
}

/// The step that a byte makes in a state.
#[inline(always)]
pub fn step(state: u8, byte: u8) -> Step {
    STEPS[(state as usize * CLASSES + CLASS[byte as usize] as usize) % (STATES * CLASSES)]
}
