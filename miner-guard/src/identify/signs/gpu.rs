//! Families that are mostly mined on graphics cards, and on the processor while testing.

use super::{
    Family::{Equihash, Ethash, KHeavyHash, KawPow},
    Means, Sign, sign, words,
};

pub const SIGNS: &[Sign] = &[
    // One letter of "rAVENCOINKAWPOW" in each word.
    sign!(Means::Constant(KawPow), "seed words", &words::<24>(&[0x72, 0x41, 0x56, 0x45, 0x4e, 0x43])),
    sign!(
        Means::Constant(Ethash),
        "magic number of the dataset file",
        &u64::to_le_bytes(0xfee1_dead_badd_cafe)
    ),
    sign!(Means::Constant(Equihash), "personalisation", b"ZcashPoW"),
    sign!(Means::Constant(Equihash), "personalisation", b"BgoldPoW"),
    sign!(Means::Constant(Equihash), "personalisation", b"Beam-PoW"),
    sign!(Means::Constant(Equihash), "personalisation", b"ZERO_PoW"),
    // cSHAKE256 states after absorbing the customisation, as programs precompute them.
    sign!(Means::Constant(KHeavyHash), "state of the first hash", &u64::to_le_bytes(1242148031264380989)),
    sign!(Means::Constant(KHeavyHash), "state of the second hash", &u64::to_le_bytes(4239941492252378377)),
    sign!(Means::Constant(KHeavyHash), "customisation of the first hash", b"ProofOfWorkHash"),
    sign!(Means::Constant(KHeavyHash), "customisation of the second hash", b"HeavyHash"),
];
