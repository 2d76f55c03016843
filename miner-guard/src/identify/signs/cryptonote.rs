//! RandomX (its specification, sections 3.2 to 3.4 and 7).

use super::{Family::RandomX, Means, Sign, sign, words};

const AES: Means = Means::Constant(RandomX);

// Half of each 16-byte key: a compiler may load the halves one by one, and eight random bytes are enough.
macro_rules! key {
    ($what:expr, $a:expr, $b:expr) => {
        sign!(AES, $what, &words::<8>(&[$a, $b]))
    };
}
macro_rules! quad {
    ($means:expr, $what:expr, $value:expr) => {
        sign!($means, $what, &u64::to_le_bytes($value))
    };
}

pub const SIGNS: &[Sign] = &[
    key!("AesGenerator1R key 0", 0x6daca553, 0x62716609),
    key!("AesGenerator1R key 1", 0x6d7caf07, 0x846a710d),
    key!("AesGenerator1R key 2", 0x3f1262f1, 0x9f947ec6),
    key!("AesGenerator1R key 3", 0x6aef8135, 0xb1ba317c),
    key!("AesGenerator4R key 0", 0x6421aadd, 0xd1833ddb),
    key!("AesGenerator4R key 1", 0xb20e3450, 0xb6913f55),
    key!("AesGenerator4R key 2", 0x5c3ed904, 0x515e7baf),
    key!("AesGenerator4R key 3", 0x85623763, 0xe78f5d08),
    key!("AesGenerator4R key 4", 0xb5826f73, 0xe3d6a7a6),
    key!("AesGenerator4R key 5", 0xc7566bf3, 0x9c10b3d9),
    key!("AesGenerator4R key 6", 0xf273c9e7, 0xf765a38b),
    key!("AesGenerator4R key 7", 0x7a7cd609, 0x915839de),
    key!("AesHash1R state 0", 0x92b52c0d, 0x9fa856de),
    key!("AesHash1R state 1", 0x338d996e, 0x15c7b798),
    key!("AesHash1R state 2", 0x6a770017, 0xae62c7d0),
    key!("AesHash1R state 3", 0x630a240c, 0x07ad828d),
    key!("AesHash1R xkey 0", 0xf6fa8389, 0x8b24949f),
    key!("AesHash1R xkey 1", 0x61b263d1, 0x51f4e03c),
    quad!(AES, "superscalar constant 1", 9298411001130361340),
    quad!(AES, "superscalar constant 2", 12065312585734608966),
    quad!(AES, "superscalar constant 3", 9306329213124626780),
    quad!(AES, "superscalar constant 4", 5281919268842080866),
    quad!(AES, "superscalar constant 5", 10536153434571861004),
    quad!(AES, "superscalar constant 6", 3398623926847679864),
    quad!(AES, "superscalar constant 7", 9549104520008361294),
];
