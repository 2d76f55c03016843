//! The answer that refuses a question.

use super::question::{Event, Questions};
use crate::parse::name::Name;

/// Response code: no such name.
pub const NXDOMAIN: u8 = 3;
/// Response code: refused by policy.
pub const REFUSED: u8 = 5;

/// Writes the answer to the first question of `query` into `answer`: the same header and question, no
/// records, `code`. Returns its length.
///
/// `None`: the query is malformed, or `answer` is too small for it.
pub fn refuse(query: &[u8], code: u8, answer: &mut [u8]) -> Option<usize> {
    let mut questions = Questions::datagram();
    let mut name = Name::new();
    let at = query.iter().position(|&byte| questions.push(byte, &mut name) == Event::Name)?;
    let end = at + 5;
    let written = answer.get_mut(..end)?;
    written.copy_from_slice(query.get(..end)?);
    let [_, _, flags, codes, q0, q1, a0, a1, n0, n1, x0, x1, ..] = written else { return None };
    // A response; the rest of the bits (recursion desired) as they were. Recursion is available.
    *flags |= 0x80;
    *codes = 0x80 | code & 15;
    (*q0, *q1) = (0, 1);
    for count in [a0, a1, n0, n1, x0, x1] {
        *count = 0;
    }
    Some(end)
}
