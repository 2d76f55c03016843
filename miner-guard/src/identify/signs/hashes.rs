//! Tables and initial values of the hash functions that only miners and coins gather in one program.

use super::{Family::Yespower, Hash, Means, Sign, sign, words};

macro_rules! iv {
    ($hash:ident, $what:expr, $($word:expr),+) => {
        sign!(Means::Hash(Hash::$hash), $what, &words::<{ 4 * [$($word as u32),+].len() }>(&[$($word),+]))
    };
}
macro_rules! raw {
    ($hash:ident, $what:expr, $bytes:expr) => {
        sign!(Means::Hash(Hash::$hash), $what, $bytes)
    };
}
macro_rules! person {
    ($bytes:expr) => {
        sign!(Means::Constant(Yespower), "personalisation", $bytes)
    };
}

pub const SIGNS: &[Sign] = &[
    raw!(Groestl, "table T0", &[0xc6, 0x32, 0xf4, 0xa5, 0xf4, 0x97, 0xa5, 0xc6]),
    raw!(Groestl, "table T0, reversed", &[0xc6, 0xa5, 0x97, 0xf4, 0xa5, 0xf4, 0x32, 0xc6]),
    raw!(Jh, "round constants", &[0x72, 0xd5, 0xde, 0xa2, 0xdf, 0x15, 0xf8, 0x67]),
    raw!(Jh, "round constants, reversed", &[0x67, 0xf8, 0x15, 0xdf, 0xa2, 0xde, 0xd5, 0x72]),
    raw!(Jh, "JH-256 initial value", &[0xeb, 0x98, 0xa3, 0x41, 0x2c, 0x20, 0xd3, 0xeb]),
    raw!(Jh, "JH-512 initial value", &[0x6f, 0xd1, 0x4b, 0x96, 0x3e, 0x00, 0xaa, 0x17]),
    raw!(Skein, "Skein-512-256 initial value", &u64::to_le_bytes(0xccd0_44a1_2fdb_3e13)),
    raw!(Skein, "Skein-512-512 initial value", &u64::to_le_bytes(0x4903_adff_749c_51ce)),
    iv!(Bmw, "BMW-512 initial value", 0x84858687, 0x80818283, 0x8c8d8e8f, 0x88898a8b),
    iv!(Bmw, "BMW-256 initial value", 0x40414243, 0x44454647, 0x48494a4b, 0x4c4d4e4f),
    iv!(Luffa, "initial value", 0x6d251e69, 0x44b051e0),
    iv!(Cube, "CubeHash-512 initial value", 0x2aea2a61, 0x50f494d4),
    iv!(Shavite, "SHAvite-512 initial value", 0x72fccdd8, 0x79ca4727),
    iv!(Simd, "SIMD-512 initial value", 0x0ba16b95, 0x72f999ad),
    iv!(Hamsi, "Hamsi-512 initial value", 0x73746565, 0x6c706172),
    iv!(Fugue, "Fugue-512 initial value", 0x8807a57e, 0xe616af75),
    iv!(Shabal, "Shabal-512 initial value", 0x20728dfd, 0x46c0bd53),
    sign!(Means::Sha256, "round constants", &words::<12>(&[0x428a2f98, 0x71374491, 0xb5c0fbcf])),
    sign!(
        Means::HeaderPadding,
        "padding of an 80-byte block header",
        &words::<48>(&[0x8000_0000, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x280])
    ),
    sign!(
        Means::HeaderPadding,
        "padding of a 32-byte digest",
        &words::<32>(&[0x8000_0000, 0, 0, 0, 0, 0, 0, 0x100])
    ),
    person!(b"CPUpower: The number of CPU working"),
    person!(b"LITBpower: The number of LITB working"),
    person!(b"Now I am become Death, the destroyer of worlds"),
    person!(b"Satoshi Nakamoto 31/Oct/2008 Proof-of-work is essentially"),
    person!(b"Iots is committed to the development of IOT"),
    person!(b"LTNCGYES"),
    person!(b"UraniumX"),
];
