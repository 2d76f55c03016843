//! An event as one line of JSON.
//!
//! JSON itself lets U+007F, the C1 controls and the direction overrides stand in a string; a terminal that
//! shows the line would obey them. Here they are written as `\uXXXX`: the same string to a parser, harmless
//! to everyone else.

use super::text::sanitize::is_hostile;
use crate::event::model::Event;
use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter};
use std::io::{self, Write};

/// Writes the event and a newline.
///
/// # Errors
/// Those of the writer.
pub fn line<W: Write>(out: &mut W, event: &Event) -> io::Result<()> {
    value(out, event)?;
    out.write_all(b"\n")
}

/// Writes any value as terminal-safe JSON: the `-o json` of every command.
///
/// # Errors
/// Those of the writer, and those of a value that cannot be JSON.
pub fn value<W: Write>(out: &mut W, value: &impl Serialize) -> io::Result<()> {
    let mut ser = serde_json::Serializer::with_formatter(out, TerminalSafe);
    value.serialize(&mut ser).map_err(io::Error::from)
}

struct TerminalSafe;

impl Formatter for TerminalSafe {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, out: &mut W, fragment: &str) -> io::Result<()> {
        let mut rest = fragment;
        while let Some((at, c)) = rest.char_indices().find(|(_, c)| is_hostile(*c)) {
            let (before, from) = rest.split_at(at);
            CompactFormatter.write_string_fragment(out, before)?;
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(out, "\\u{unit:04x}")?;
            }
            rest = from.get(c.len_utf8()..).unwrap_or_default();
        }
        CompactFormatter.write_string_fragment(out, rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn json(s: &str) -> String {
        let mut out = Vec::new();
        value(&mut out, &s).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_a_terminal_would_obey_is_escaped() {
        assert_eq!(
            json("a\x1b\n\x7f\u{9b}\u{202e}\u{e0041}"),
            r#""a\u001b\n\u007f\u009b\u202e\udb40\udc41""#
        );
    }

    proptest! {
        #[test]
        fn a_parser_reads_the_same_string_and_a_terminal_nothing_hostile(s in any::<String>()) {
            let line = json(&s);
            prop_assert!(!line.chars().any(is_hostile));
            prop_assert_eq!(serde_json::from_str::<String>(&line).unwrap(), s);
        }
    }
}
