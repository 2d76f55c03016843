//! What kind of value stands somewhere: its JSON type, and for a string what it is made of.

use super::mask::{choose, equal, index, nonzero, some};

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

const IN_RUN: u8 = 1;
const RUN_NOT_HEX: u8 = 2;
const ALL_HEX: u8 = 4;
const LETTER: u8 = 8;
/// The last character was a dot after a digit …
const POINT: u8 = 16;
/// … or a digit.
const DIGIT: u8 = 32;
/// A slash, a dash, or a dot between digits: what stands between a program's name and its version.
const MARK: u8 = 64;

/// State of an empty string.
pub const START: u8 = ALL_HEX | IN_RUN;

/// The first run of letters and digits in an address is so long (the shortest, Bitcoin's, may have 33) …
const ADDRESS: usize = 32;
/// … and when it is all hex, longer than any digest or UUID that a login may carry.
const HEX_ADDRESS: usize = 60;
/// A ticker is shorter than this.
const TICKER: usize = 8;

const LONG: u8 = 1;
const VERY_LONG: u8 = 2;
const SHORT: u8 = 4;

/// Classes of a run by a quarter of its length.
static RUNS: [u8; 512] = {
    let mut table = [LONG | VERY_LONG; 512];
    let mut i = 0;
    while i < HEX_ADDRESS / 4 {
        table[i] = if i < TICKER / 4 {
            SHORT
        } else if i < ADDRESS / 4 {
            0
        } else {
            LONG
        };
        i += 1;
    }
    table
};

#[inline(always)]
fn class(run: u16) -> u8 {
    RUNS[run as usize / 4 % 512]
}

/// What no later character can take away.
const SETTLED: u8 = RUN_NOT_HEX | LETTER | MARK;

/// What a character keeps of the shape, and what it adds.
static ALNUM: [(u8, u8); 256] = {
    let mut table = [(SETTLED, 0); 256];
    let mut i = 0;
    while i < 256 {
        let byte = i as u8;
        table[i] = if byte.is_ascii_digit() {
            (!POINT, DIGIT)
        } else if byte.is_ascii_hexdigit() {
            (!(POINT | DIGIT), LETTER)
        } else if byte.is_ascii_alphabetic() {
            (!(POINT | DIGIT | ALL_HEX), LETTER | RUN_NOT_HEX)
        } else if matches!(byte, b'/' | b'-') {
            (SETTLED, MARK)
        } else {
            (SETTLED, 0)
        };
        i += 1;
    }
    table
};

/// What a letter or digit adds to the length of the first run.
#[inline(always)]
pub const fn runs(shape: u8) -> u16 {
    (shape & IN_RUN) as u16
}

/// Adds a letter or digit. (An `x` that may belong to `0x` is for [`any`].)
#[inline(always)]
pub fn alnum(shape: u8, byte: u8) -> u8 {
    let (keep, add) = ALNUM[index(byte)];
    // Outside of the first run, what it is made of is settled.
    let add = add & !((!shape & IN_RUN) << 1);
    // A digit after a point makes a mark.
    let mark = (shape & POINT) << 2 & add << 1;
    shape & keep | add | mark
}

/// Adds a character, the `len`-th of its string.
#[inline(always)]
pub fn any(shape: u8, run: u16, len: u16, byte: u8) -> (u8, u16) {
    let (keep, _) = ALNUM[index(byte)];
    // Only letters and digits keep the run open.
    let run = run.wrapping_add(runs(shape & keep));
    let mut next = alnum(shape, byte);
    next |= shape & ALL_HEX & equal(byte, b'x') & !some(len ^ 1);
    next |= (shape & DIGIT) >> 1 & equal(byte, b'.');
    let ticker = equal(byte, b':') & some((shape & IN_RUN) as u16) & some((class(run) & SHORT) as u16);
    next = choose(ticker, shape & (LETTER | MARK) | IN_RUN, next);
    let run = run & !(ticker as i8 as i16 as u16);
    (next, run)
}

/// All ones if the string so far has hex digits only.
#[inline(always)]
pub fn all_hex(shape: u8) -> u8 {
    some((shape & ALL_HEX) as u16)
}

/// The kinds of a finished string. Without a branch.
#[inline(always)]
pub fn of(shape: u8, run: u16, len: u16) -> u16 {
    let shape = shape as u16;
    let hex = (shape / ALL_HEX as u16) & nonzero(len) & 1;
    let hash = hex & nonzero(len >> 6);
    let mixed = (shape / RUN_NOT_HEX as u16) & 1;
    let class = class(run) as u16;
    let wallet = class >> 1 & 1 | class & mixed;
    let agent = (shape / LETTER as u16) & (shape / MARK as u16) & 1;
    STRING | (hex * HEX) | (hash * HASH) | (wallet * WALLET) | (agent * AGENT)
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
            (shape, run) = any(shape, run, i as u16, byte);
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
    fn letters_and_digits_take_the_short_way_to_the_same_shape() {
        for shape in 0..128 {
            for byte in (0..=255_u8).filter(|b| b.is_ascii_alphanumeric() && *b != b'x') {
                assert_eq!(any(shape, 7, 1, byte), (alnum(shape, byte), 7 + runs(shape)));
            }
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
