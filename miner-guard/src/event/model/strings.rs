//! Hostile bytes → the strings of an event.

use std::fmt::Write;

/// Bytes of one string that an event keeps. An argument list can be megabytes.
pub const LONGEST: usize = 4096;

/// A string for an event: UTF-8 as it stands; in a string that is not UTF-8 each wrong byte becomes `\xNN` and
/// each backslash `\\`, so that the bytes can be told from the event. Longer than [`LONGEST`]: cut, and says
/// by how much. Control characters stay: the sinks escape them, each by the means of its format.
#[must_use]
pub fn lossy(bytes: &[u8]) -> String {
    let cut = bytes.len().saturating_sub(LONGEST);
    let kept = bytes.get(..bytes.len() - cut).unwrap_or_default();
    // The cut may fall inside a character: its first bytes would look like wrong ones.
    let kept = match std::str::from_utf8(kept) {
        Err(e) if cut > 0 && e.error_len().is_none() => kept.get(..e.valid_up_to()).unwrap_or_default(),
        _ => kept,
    };
    let mut out = match std::str::from_utf8(kept) {
        Ok(s) => s.to_owned(),
        Err(_) => escaped(kept),
    };
    let missing = bytes.len() - kept.len();
    if missing > 0 {
        let _ = write!(out, "…(+{missing} bytes)");
    }
    out
}

fn escaped(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() * 2);
    for chunk in bytes.utf8_chunks() {
        out.push_str(&chunk.valid().replace('\\', "\\\\"));
        for b in chunk.invalid() {
            let _ = write!(out, "\\x{b:02x}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn utf8_stays_as_it_is() {
        assert_eq!(lossy("naïve \\ \x1b".as_bytes()), "naïve \\ \x1b");
    }

    #[test]
    fn wrong_bytes_are_told_in_hex_and_backslashes_are_doubled() {
        assert_eq!(lossy(b"a\xff\\b\xc3"), "a\\xff\\\\b\\xc3");
    }

    #[test]
    fn a_long_string_is_cut_at_a_character_and_says_so() {
        let long = "é".repeat(50_000);
        let got = lossy(&[b"x", long.as_bytes()].concat());
        assert!(got.starts_with("xéé") && got.ends_with("é…(+95906 bytes)"), "{}", &got[got.len() - 30..]);
        assert!(!got.contains("\\x"));
    }

    proptest! {
        #[test]
        fn no_string_grows_without_bound(bytes in prop::collection::vec(any::<u8>(), 0..9000)) {
            prop_assert!(lossy(&bytes).len() <= LONGEST * 4 + 32);
        }
    }
}
