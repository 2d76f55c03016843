//! What kind of value stands somewhere: its JSON type, and for a string what it is made of.

/// `true`, `false`, `null`.
pub const LITERAL: u16 = 1;
pub const NUMBER: u16 = 2;
pub const STRING: u16 = 4;
/// A string of hex digits, `0x` before them or not.
pub const HEX: u16 = 8;
/// As [`HEX`], and long enough for a 256-bit hash.
pub const HASH: u16 = 16;
pub const ARRAY: u16 = 32;
pub const OBJECT: u16 = 64;
/// A string that begins with what can only be a wallet's address or a key, a ticker (`XMR:`) before it or not.
pub const WALLET: u16 = 128;
/// A string that names a program, as `XMRig/6.26.0` or `grin-miner` do.
pub const AGENT: u16 = 256;
pub const ANY: u16 = 0xffff;

const ALL_HEX: u8 = 1;
const IN_RUN: u8 = 2;
const RUN_NOT_HEX: u8 = 4;
const LETTER: u8 = 8;
/// A slash, a dash, or a dot between digits: what stands between a program's name and its version.
const MARK: u8 = 16;
/// The last character was a digit …
const DIGIT: u8 = 32;
/// … or a dot after a digit.
const POINT: u8 = 64;
/// Only of a character: a letter or a digit.
const ALNUM: u8 = 128;

/// State of an empty string.
pub const START: u8 = ALL_HEX | IN_RUN;

/// The first run of letters and digits in an address: base58 from 33 (Bitcoin's shortest) …
const ADDRESS: u8 = 33;
/// … and when it is all hex, longer than any digest or UUID that a login may carry.
const HEX_ADDRESS: u8 = 60;
/// A ticker is no longer than this.
const TICKER: u8 = 8;

static CLASS: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut table = [0; 256];
    let mut i = 0;
    while i < 256 {
        let byte = i as u8;
        if byte.is_ascii_hexdigit() {
            table[i] |= ALL_HEX;
        }
        if byte.is_ascii_alphabetic() {
            table[i] |= LETTER;
        }
        if byte.is_ascii_digit() {
            table[i] |= DIGIT;
        }
        if byte == b'.' {
            table[i] |= POINT;
        }
        if byte.is_ascii_alphanumeric() {
            table[i] |= ALNUM;
        }
        if matches!(byte, b'/' | b'-') {
            table[i] |= MARK;
        }
        i += 1;
    }
    table
}

/// Adds a character, the `len`-th of its string.
#[inline(always)]
pub fn step(shape: u8, run: u8, len: u16, byte: u8) -> (u8, u8) {
    let class = CLASS[byte as usize];
    let before = shape;
    let mut shape = shape & !(DIGIT | POINT) | class & (LETTER | MARK | DIGIT);
    if before & DIGIT != 0 {
        shape |= class & POINT;
    }
    if before & POINT != 0 && class & DIGIT != 0 {
        shape |= MARK;
    }
    let mut run = run;
    if class & ALL_HEX == 0 && (byte != b'x' || len != 1) {
        shape &= !ALL_HEX;
    }
    if shape & IN_RUN != 0 {
        if class & ALNUM != 0 {
            run = run.saturating_add(1);
            if class & ALL_HEX == 0 {
                shape |= RUN_NOT_HEX;
            }
        } else if byte == b':' && run <= TICKER {
            run = 0;
            shape &= !RUN_NOT_HEX;
        } else {
            shape &= !IN_RUN;
        }
    }
    (shape, run)
}

/// Whether the string so far has hex digits only.
#[inline(always)]
pub fn is_hex(shape: u8) -> bool {
    shape & ALL_HEX != 0
}

/// The kinds of a finished string.
#[inline(always)]
pub fn of(shape: u8, run: u8, len: u16) -> u16 {
    let mut kind = STRING;
    if shape & ALL_HEX != 0 && len > 0 {
        kind |= HEX;
        if len >= 64 {
            kind |= HASH;
        }
    }
    if run >= HEX_ADDRESS || run >= ADDRESS && shape & RUN_NOT_HEX != 0 {
        kind |= WALLET;
    }
    if shape & (LETTER | MARK) == LETTER | MARK {
        kind |= AGENT;
    }
    kind
}

/// Value of a hex digit; of any other byte, something.
#[inline(always)]
pub const fn hex_value(byte: u8) -> u8 {
    let letter = byte >> 6;
    (byte & 15) + letter * 9
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> u16 {
        let (mut shape, mut run) = (START, 0);
        for (i, byte) in text.bytes().enumerate() {
            (shape, run) = step(shape, run, i as u16, byte);
        }
        of(shape, run, text.len() as u16)
    }

    #[test]
    fn a_wallet_is_known_by_its_length_and_alphabet() {
        assert!(kinds("1BoatSLRHtKNngkdXEeobR76b53LETtpyT") & WALLET != 0);
        assert!(kinds("XMR:1BoatSLRHtKNngkdXEeobR76b53LETtpyT.rig") & WALLET != 0);
        assert!(kinds(&"ab".repeat(32)) & WALLET != 0);
        assert!(kinds("0x9c99d212f7e5daa18ab50810e0fd255d1f04303b.rig") & WALLET != 0);
    }

    #[test]
    fn names_mail_addresses_and_digests_are_no_wallets() {
        for text in [
            "1000@pbx.local",
            "somebody.with.a.long.name@department.example.org",
            "root",
            "",
            "d41d8cd98f00b204e9800998ecf8427e",
            "da39a3ee5e6b4b0d3255bfef95601890afd80709.x",
        ] {
            assert_eq!(kinds(text) & WALLET, 0, "{text}");
        }
    }

    #[test]
    fn hex_digits_have_their_values() {
        for (i, byte) in b"0123456789abcdef".iter().enumerate() {
            assert_eq!(hex_value(*byte) as usize, i);
            assert_eq!(hex_value(byte.to_ascii_uppercase()) as usize, i);
        }
    }

    #[test]
    fn a_program_names_itself_with_a_slash_a_dash_or_a_version() {
        assert!(kinds("XMRig/6.26.0") & AGENT != 0);
        assert!(kinds("grin-miner") & AGENT != 0);
        assert!(kinds("lolMiner 1.76") & AGENT != 0);
        assert_eq!(kinds("1000@pbx.example") & AGENT, 0);
        assert_eq!(kinds("v.1 of 2. x") & AGENT, 0);
        assert_eq!(kinds("1001") & AGENT, 0);
        assert_eq!(kinds("2026-11-01") & AGENT, 0);
    }
}
