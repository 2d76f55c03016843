//! What a byte that is no plain character brings about.
//!
//! The kernel's verifier walks every path through this, and paths multiply: so there are few. Which parts have to do with a byte
//! is asked, one after the other; within a part each consequence is computed, and a mask says whether it counts. (With a branch
//! for each a window of 100 bytes took the verifier 570,000 steps. Without any, all parts were done for every comma: most of
//! the time that a JSON document took.)

use super::context::{ARRAY, BY_KEY, JUNK, LIST, MESSAGE, OPENS, STACKED};
use super::lex::{self, Op};
use super::mask::{Field, choose, equal, some, wide};
use super::words::{self, Place, lookup};
use super::{Stratum, rules, shape};

/// Whether an [`Op`] does something: all ones, or zero.
#[derive(Clone, Copy)]
#[repr(C)]
struct Masks {
    begin: u8,
    take: u8,
    control: u8,
    unit: u8,
    decoded: u8,
    end: u8,
    opens: u8,
    close: u8,
    colon: u8,
    comma: u8,
    name_end: u8,
    line: u8,
    head: u8,
    topic: u8,
    /// Kind of the value that begins.
    kind: u8,
    /// 1 for an array.
    array: u8,
}

static MASKS: [Masks; 32] = {
    let none = Masks {
        begin: 0,
        take: 0,
        control: 0,
        unit: 0,
        decoded: 0,
        end: 0,
        opens: 0,
        close: 0,
        colon: 0,
        comma: 0,
        name_end: 0,
        line: 0,
        head: 0,
        topic: 0,
        kind: 0,
        array: 0,
    };
    let mut table = [none; 32];
    table[Op::Begin as usize].begin = 0xff;
    table[Op::End as usize].end = 0xff;
    table[Op::Close as usize].close = 0xff;
    table[Op::Colon as usize].colon = 0xff;
    table[Op::Comma as usize].comma = 0xff;
    table[Op::NameEnd as usize].name_end = 0xff;
    table[Op::NameLine as usize].line = 0xff;
    table[Op::Number as usize].kind = shape::NUMBER as u8;
    table[Op::Literal as usize].kind = shape::LITERAL as u8;
    table[Op::Object as usize].kind = shape::OBJECT as u8;
    table[Op::Object as usize].opens = 0xff;
    table[Op::Array as usize].kind = shape::ARRAY as u8;
    table[Op::Array as usize].opens = 0xff;
    table[Op::Array as usize].array = 1;
    table[Op::TakeOdd as usize].take = 0xff;
    table[Op::TakeControl as usize].take = 0xff;
    table[Op::TakeControl as usize].control = 0xff;
    table[Op::FrameTake as usize].take = 0xff;
    table[Op::FrameTake as usize].topic = 0xff;
    table[Op::FrameTake as usize].head = 0xff;
    table[Op::NameBegin as usize].begin = 0xff;
    table[Op::NameBegin as usize].take = 0xff;
    table[Op::NameBegin as usize].head = 0xff;
    table[Op::Unit as usize].unit = 0xff;
    table[Op::UnitLast as usize].unit = 0xff;
    table[Op::UnitLast as usize].decoded = 0xff;
    table[Op::UnitLast as usize].take = 0xff;
    table
};

/// Writes to a field where the mask is all ones.
macro_rules! set {
    ($mask:expr, $field:expr, $value:expr) => {
        $field = Field::choose($mask, $value, $field)
    };
}

/// Carries out an [`Op`]. Out of line, so that the state stays in its map; so are its parts, one after the
/// other, so that none needs much of the kernel's stack.
#[inline(never)]
pub fn event(s: &mut Stratum, op: u8, byte: u8) {
    let m = &MASKS[op as usize % 32];
    s.due = 0;
    if m.begin | m.take | m.unit != 0 {
        string(s, m, byte);
    }
    if m.end | m.name_end | m.topic != 0 {
        word(s, m);
    }
    if m.kind != 0 {
        value(s, m.kind.into(), 0);
    }
    if m.close != 0 {
        close(s);
    }
    if m.opens != 0 {
        open(s, m.array);
    }
    s.valued |= m.colon & 1;
    set!(m.comma, s.valued, s.context / ARRAY);
    s.index = s.index.wrapping_add(some((s.index ^ 2) as u16) & m.comma & 1);
    // A line that is one hex number is the size of a chunk.
    set!(m.line & shape::all_hex(s.shape), s.state, lex::ROOT);
    s.first = choose(m.head, rules::HEAD, s.first);
    s.last = choose(m.head, rules::HEAD, s.last);
}

/// A string has ended, or what is read like one: looks it up in the word table.
#[inline(never)]
fn word(s: &mut Stratum, m: &Masks) {
    let word = lookup(s.hash);
    // A string is a key where no value is due.
    let key = m.end & equal(s.valued, 0);
    set!(key, s.key, word);
    let kind = shape::of(s.shape, s.run, s.len) & wide(m.end & !key) as u16;
    value(s, kind, word & m.end);
    let elsewhere = m.name_end | m.topic;
    let place = choose(m.topic, Place::Topic as u8, Place::Header as u8);
    s.seen |= words::bits(word, place, wide(elsewhere) as u16);
    s.due |= elsewhere;
}

/// Characters of strings.
#[inline(never)]
fn string(s: &mut Stratum, m: &Masks, byte: u8) {
    set!(m.begin, s.hash, words::SEED);
    s.len &= !wide(m.begin) as u16;
    s.run &= !wide(m.begin) as u16;
    set!(m.begin, s.shape, shape::START);

    set!(m.unit, s.high, s.high << 4 | s.unit >> 4);
    set!(m.unit, s.unit, s.unit << 4 | shape::hex_value(byte) & 15);
    // Every word of the table is ASCII: one byte can stand for all the rest.
    let decoded = s.unit | some((s.high | s.unit & 0x80) as u16);
    let character = choose(m.control, b'\n', choose(m.decoded, decoded, byte));

    let (shape, run) = shape::any(s.shape, s.run, s.len, character);
    set!(m.take, s.hash, words::step(s.hash, character));
    set!(m.take, s.shape, shape);
    set!(m.take, s.run, run);
    s.len = s.len.wrapping_add((m.take & 1) as u16);
}

/// A value begins (a container, a bare word) or has ended (a string, which may be a word of the table):
/// sets the bit of its place. A kind of 0 is no value.
#[inline(never)]
fn value(s: &mut Stratum, kind: u16, word: u8) {
    let (key, context) = (s.key, s.context);
    let there = some(kind);
    s.filled |= 1 & there;
    let in_message = equal(context, MESSAGE) & there;
    let is_id = in_message & equal(key, words::ID);
    let is_method = in_message & equal(key, words::METHOD);

    let group = words::entry(word).group;
    s.first |= group & is_method & equal(s.first, 0);
    set!(is_method, s.last, group);

    let listed = equal(context, LIST);
    s.seen |= rules::element(s.index, kind & wide(listed) as u16);

    let in_array = some((context & ARRAY) as u16);
    let subject = choose(in_array | is_id, word, key);
    let place = choose(is_id, Place::Id as u8, words::place(context));
    s.seen |= words::bits(subject, place, kind);
}

#[inline(never)]
fn close(s: &mut Stratum) {
    let closed = s.context;
    s.seen |= rules::EMPTY & wide(equal(closed, LIST) & equal(s.filled, 0));
    s.filled |= 1;
    s.depth = s.depth.wrapping_sub((some(s.depth) & 1) as u16);
    let popped = !some(s.depth / STACKED);
    set!(popped, s.stack, s.stack >> 4);
    set!(popped, s.context, (s.stack & 15) as u8);
    set!(!some(s.depth), s.state, lex::ROOT);
    s.due |= equal(closed, MESSAGE);
}

#[inline(never)]
fn open(s: &mut Stratum, array: u8) {
    let outer = s.context;
    let fixed = OPENS[outer as usize % 16][array as usize % 2];
    let word = words::entry(s.key);
    let by_key = choose(equal(word.within, outer), word.child, JUNK) | (array * ARRAY);
    let inner = choose(equal(fixed, BY_KEY), by_key, fixed);

    let message = equal(inner, MESSAGE);
    set!(message, s.seen, 1);
    s.first &= !message;
    s.last &= !message;

    let room = !some(s.depth / STACKED);
    set!(room, s.stack, s.stack << 4 | inner as u64);
    s.depth = s.depth.wrapping_add(1);
    s.context = choose(room, inner, JUNK);
    s.valued = array;
    s.filled = 0;
    s.key = 0;
    s.index &= !equal(inner, LIST);
}
