//! Answers, on the host: which names lead to which addresses, and for how long.

use super::kind;
use crate::parse::cursor::Cursor;
use crate::parse::name::Name;

/// Records that are looked at. More do not fit an ordinary answer; a larger one is cut off here.
pub const MAX_RECORDS: usize = 256;
/// Compression pointers followed in one name. Each must point further back, so there is no loop anyway.
const MAX_JUMPS: usize = 64;

/// A record that leads on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "one is alive at a time, and there is no heap here")]
pub enum Data {
    /// The name has this address.
    V4([u8; 4]),
    /// The name has this address.
    V6([u8; 16]),
    /// The name is another one's: an alias, or the target of a service binding.
    Alias(Name),
}

/// One thing that an answer says of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// The name that the record belongs to.
    pub owner: Name,
    /// How long it may be believed, in seconds.
    pub ttl: u32,
    /// What it says.
    pub data: Data,
}

/// Reads an answer: calls `question` with each name that was asked for, then `record` for each fact.
///
/// Returns `None` if the message is no answer or is malformed; what was reported until then was well-formed.
pub fn read(message: &[u8], mut question: impl FnMut(&Name), mut record: impl FnMut(&Record)) -> Option<()> {
    let mut cursor = Cursor::new(message);
    cursor.u16()?;
    let flags = cursor.u16()?;
    // A response to a query, without an error
    if flags & 0xf80f != 0x8000 {
        return None;
    }
    let (questions, answers) = (cursor.u16()?, cursor.u16()?);
    cursor.u32()?;
    for _ in 0..questions.min(16) {
        question(&name(&mut cursor)?);
        cursor.u32()?;
    }
    for _ in 0..usize::from(answers).min(MAX_RECORDS) {
        let owner = name(&mut cursor)?;
        let (kind, class, ttl) = (cursor.u16()?, cursor.u16()?, cursor.u32()?);
        let length = usize::from(cursor.u16()?);
        let start = cursor.position();
        let data = cursor.take(length)?;
        if class != 1 {
            continue;
        }
        // The top bit set means zero (RFC 2181).
        let ttl = if ttl > i32::MAX as u32 { 0 } else { ttl };
        let mut say = |data| record(&Record { owner, ttl, data });
        match kind {
            kind::A => say(Data::V4(data.try_into().ok()?)),
            kind::AAAA => say(Data::V6(data.try_into().ok()?)),
            kind::CNAME => say(Data::Alias(name(&mut cursor.moved(start))?)),
            kind::SVCB | kind::HTTPS => service(message, start, length, say)?,
            _ => {}
        }
    }
    Some(())
}

/// A service binding: its target, and the addresses that it hints at.
fn service(message: &[u8], start: usize, length: usize, mut say: impl FnMut(Data)) -> Option<()> {
    let end = start + length;
    let mut cursor = Cursor::new(message.get(..end)?).moved(start);
    cursor.u16()?;
    let target = name(&mut cursor)?;
    if !target.is_empty() {
        say(Data::Alias(target));
    }
    // Each parameter takes four bytes at least.
    for _ in 0..length / 4 {
        if cursor.position() >= end {
            break;
        }
        let (key, len) = (cursor.u16()?, cursor.u16()?);
        let value = cursor.take(usize::from(len))?;
        match key {
            4 => value.chunks_exact(4).filter_map(|a| a.try_into().ok()).for_each(|a| say(Data::V4(a))),
            6 => value.chunks_exact(16).filter_map(|a| a.try_into().ok()).for_each(|a| say(Data::V6(a))),
            _ => {}
        }
    }
    Some(())
}

/// Reads a name, following compression pointers backwards only.
fn name(cursor: &mut Cursor<'_>) -> Option<Name> {
    let mut name = Name::new();
    let mut octets = 1;
    let mut at = *cursor;
    // Where the current run of labels began: a pointer must lead before it.
    let mut limit = at.position();
    let mut jumped = false;
    let mut jumps = 0;
    loop {
        let length = at.u8()?;
        match length {
            0 => break,
            1..=63 => {
                octets += usize::from(length) + 1;
                if octets > 255 {
                    return None;
                }
                name.border();
                at.take(usize::from(length))?.iter().for_each(|&b| name.push(b));
            }
            192.. => {
                let to = usize::from(length & 63) << 8 | usize::from(at.u8()?);
                jumps += 1;
                if to >= limit || jumps > MAX_JUMPS {
                    return None;
                }
                if !jumped {
                    *cursor = at;
                    jumped = true;
                }
                limit = to;
                at = at.moved(to);
            }
            _ => return None,
        }
    }
    if !jumped {
        *cursor = at;
    }
    Some(name)
}
