//! Makes hostile strings harmless for a terminal, a log line and a reader's eye.
//!
//! File names, arguments and command names are chosen by the process that is being reported. Printed as they
//! are, they could forge a second line, move the cursor over the first, set the terminal's title, or turn the
//! reading direction. Every string that did not come from this program's own source goes through here.
//!
//! The escapes are those of Rust: `\n`, `\t`, `\x1b`, `\u{202e}`, `\\`; a byte that is not UTF-8 is `\xNN`.
//! They can be told apart, so that the original bytes can be read off the output.

use std::fmt::{self, Display, Write};
use unicode_width::UnicodeWidthChar;

/// Columns of one string that a line shows, unless the caller wants another limit.
pub const LIMIT: usize = 256;

/// Combining marks that may follow one base character: what real scripts use. More of them paint over the
/// neighbouring lines.
const MARKS: usize = 2;

/// Shows a string escaped, cut after [`LIMIT`] columns.
#[must_use]
pub fn clean(s: &str) -> String {
    clean_bytes(s.as_bytes(), LIMIT)
}

/// Shows bytes escaped, cut after about `limit` columns with a marker that says how many bytes are missing.
#[must_use]
pub fn clean_bytes(bytes: &[u8], limit: usize) -> String {
    let mut out = Out { text: String::new(), columns: 0, limit, marks: MARKS };
    let mut taken = 0;
    // A column takes at most a base character and its marks: no need to look at 100 kB to show 256 columns.
    let most = limit.saturating_mul(4 * (MARKS + 1)).saturating_add(4);
    let head = bytes.get(..most.min(bytes.len())).unwrap_or(bytes);
    'cut: {
        for chunk in head.utf8_chunks() {
            for c in chunk.valid().chars() {
                if !out.char(c) {
                    break 'cut;
                }
                taken += c.len_utf8();
            }
            for b in chunk.invalid() {
                if !out.escape(format_args!("\\x{b:02x}")) {
                    break 'cut;
                }
                taken += 1;
            }
        }
    }
    let missing = bytes.len() - taken;
    if missing > 0 {
        let _ = write!(out.text, "…(+{missing} bytes)");
    }
    out.text
}

/// Columns that a string takes on a terminal, once it is clean.
#[must_use]
pub fn columns(clean: &str) -> usize {
    clean.chars().filter_map(UnicodeWidthChar::width).sum()
}

/// Whether a character may act on a terminal or deceive a reader: control, direction, invisible, line breaks.
/// (Combining marks are judged by their number, see [`clean`].)
#[must_use]
pub const fn is_hostile(c: char) -> bool {
    matches!(c,
        '\0'..='\x1f' | '\x7f'..='\u{9f}'          // C0, DEL, C1: U+009B starts a sequence as ESC [ does
        | '\u{ad}' | '\u{34f}'                      // soft hyphen, grapheme joiner
        | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}' | '\u{890}'..='\u{891}' | '\u{8e2}'
        | '\u{115f}'..='\u{1160}' | '\u{3164}' | '\u{ffa0}' // fillers: letters that show nothing
        | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}'                   // zero width, direction marks
        | '\u{2028}'..='\u{202e}'                   // line and paragraph separators, direction overrides
        | '\u{2060}'..='\u{206f}'                   // invisible operators, direction isolates
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{fff0}'..='\u{fffb}'
        | '\u{110bd}' | '\u{110cd}' | '\u{13430}'..='\u{1345f}' | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}'
        | '\u{e000}'..='\u{f8ff}'                   // private use: some terminals' fonts draw prompts there
        | '\u{e0000}'..='\u{10ffff}'                // tags, variation selectors, private use, never assigned
    )
}

struct Out {
    text: String,
    columns: usize,
    limit: usize,
    /// Marks since the last base character; a string must not begin with one.
    marks: usize,
}

impl Out {
    /// False when there was no room.
    fn char(&mut self, c: char) -> bool {
        match c {
            '\n' => return self.escape("\\n"),
            '\t' => return self.escape("\\t"),
            '\r' => return self.escape("\\r"),
            '\\' => return self.escape("\\\\"),
            c if c.is_ascii_control() => return self.escape(format_args!("\\x{:02x}", c as u32)),
            c if is_hostile(c) => return self.escape(c.escape_unicode()),
            _ => {}
        }
        match c.width() {
            Some(0) | None if self.marks >= MARKS => self.escape(c.escape_unicode()),
            Some(0) | None => {
                self.marks += 1;
                self.text.push(c);
                true
            }
            Some(n) => {
                if self.columns + n > self.limit {
                    return false;
                }
                self.marks = 0;
                self.columns += n;
                self.text.push(c);
                true
            }
        }
    }

    fn escape(&mut self, e: impl Display) -> bool {
        let before = self.text.len();
        let _ = write!(self.text, "{e}");
        let n = self.text.len() - before; // escapes are ASCII: a byte a column
        if self.columns + n > self.limit {
            self.text.truncate(before);
            return false;
        }
        self.columns += n;
        self.marks = MARKS;
        true
    }
}

/// Pads a clean string to a number of columns.
pub struct Padded<'a>(pub &'a str, pub usize);

impl Display for Padded<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)?;
        for _ in columns(self.0)..self.1 {
            f.write_char(' ')?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn plain_names_stay_plain_in_any_script() {
        for s in ["xmrig", "/opt/naïve dir/ß", "挖矿程序", "майнер", "ภาษาไทย", "हिन्दी", "e\u{301}"]
        {
            assert_eq!(clean(s), s);
        }
    }

    #[test]
    fn a_newline_cannot_forge_a_line_nor_an_escape_sequence_move_the_cursor() {
        assert_eq!(clean("a\nDENY\r\x1b[2J\x07\x7f\t"), "a\\nDENY\\r\\x1b[2J\\x07\\x7f\\t");
        assert_eq!(clean("\u{9b}2J\u{85}"), "\\u{9b}2J\\u{85}");
    }

    #[test]
    fn direction_and_invisible_characters_are_shown() {
        assert_eq!(
            clean("a\u{202e}b\u{2066}\u{200b}\u{feff}\u{e0041}\u{2028}"),
            "a\\u{202e}b\\u{2066}\\u{200b}\\u{feff}\\u{e0041}\\u{2028}"
        );
    }

    #[test]
    fn a_backslash_cannot_pretend_to_be_an_escape() {
        assert_eq!(clean("\\n"), "\\\\n");
        assert_eq!(clean_bytes(b"\\xff\xff", 80), "\\\\xff\\xff");
    }

    #[test]
    fn stacked_marks_do_not_paint_over_other_lines() {
        assert_eq!(clean("a\u{301}\u{301}\u{301}"), "a\u{301}\u{301}\\u{301}");
        assert_eq!(clean("\u{301}"), "\\u{301}");
    }

    #[test]
    fn a_hundred_kilobytes_become_one_short_line_that_says_what_is_missing() {
        let long = vec![b'x'; 100_000];
        let got = clean_bytes(&long, 100);
        assert_eq!(got, format!("{}…(+99900 bytes)", "x".repeat(100)));
        let escapes = clean_bytes(&vec![0x1b; 100_000], 100);
        assert_eq!(escapes, format!("{}…(+99975 bytes)", "\\x1b".repeat(25)));
    }

    #[test]
    fn wide_characters_count_two_columns() {
        assert_eq!(columns("挖矿"), 4);
        assert_eq!(format!("{}|", Padded("挖矿", 6)), "挖矿  |");
        assert_eq!(clean_bytes("挖矿".as_bytes(), 3), "挖…(+3 bytes)");
    }

    proptest! {
        #[test]
        fn no_bytes_leave_anything_hostile_or_too_wide(
            bytes in prop::collection::vec(any::<u8>(), 0..600), limit in 0usize..200,
        ) {
            let got = clean_bytes(&bytes, limit);
            prop_assert!(!got.chars().any(is_hostile));
            prop_assert!(columns(&got) <= limit + "…(+600 bytes)".len());
        }

        #[test]
        fn no_text_leaves_anything_hostile(s in "\\PC*|.{0,50}") {
            prop_assert!(!clean(&s).chars().any(is_hostile));
        }

        #[test]
        fn different_strings_stay_different(a in any::<Vec<u8>>(), b in any::<Vec<u8>>()) {
            prop_assume!(a != b);
            prop_assert_ne!(clean_bytes(&a, 10_000), clean_bytes(&b, 10_000));
        }
    }
}
