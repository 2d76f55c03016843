//! What a miner cannot do without: constants of its hash functions and words of its protocol.
//!
//! The bytes are kept inverted in this program, and turned back when the matcher is built: otherwise every
//! identifier, this one included, would find the signs of a miner in its own executable file.

mod client;
mod cryptonote;
mod gpu;
mod hashes;
mod linked;

use std::fmt;

/// A proof-of-work family. No program but a miner, a coin's node or a wallet has a use for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    /// Monero and its forks.
    RandomX,
    /// Monero until 2019, and many small coins.
    CryptoNight,
    /// Chains of rare hash functions: X11, X16R, GhostRider.
    HashChain,
    /// Ravencoin's ProgPow.
    KawPow,
    /// Ethereum until 2022, Ethereum Classic.
    Ethash,
    /// Zcash and its forks.
    Equihash,
    /// Kaspa.
    KHeavyHash,
    /// yespower with a coin's own personalisation.
    Yespower,
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::RandomX => "RandomX",
            Self::CryptoNight => "CryptoNight",
            Self::HashChain => "a chain of rare hash functions (X11, X16R, GhostRider)",
            Self::KawPow => "KawPow",
            Self::Ethash => "Ethash",
            Self::Equihash => "Equihash",
            Self::KHeavyHash => "kHeavyHash",
            Self::Yespower => "yespower",
        })
    }
}

/// A hash function that ordinary libraries do not carry; several in one file make a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Hash {
    /// Final hash of CryptoNight; part of every chain.
    Groestl,
    /// Final hash of CryptoNight; part of every chain.
    Jh,
    /// Final hash of CryptoNight; part of every chain. Also in some general libraries.
    Skein,
    /// Blue Midnight Wish.
    Bmw,
    /// Luffa.
    Luffa,
    /// CubeHash.
    Cube,
    /// SHAvite-3.
    Shavite,
    /// SIMD.
    Simd,
    /// Hamsi.
    Hamsi,
    /// Fugue.
    Fugue,
    /// Shabal.
    Shabal,
}

/// Which part of a miner's client a word belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Client {
    /// The scheme of a pool's address.
    Scheme,
    /// A method or key of the protocol between miner and pool.
    Method,
    /// A setting that only miners have.
    Setting,
    /// What a miner tells its user.
    Interface,
    /// The name of a miner.
    Name,
}

/// What a sign says, once found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Means {
    /// One of several constants of a family: how many must be there is the judge's to say.
    Constant(Family),
    /// One of the rare hash functions.
    Hash(Hash),
    /// The name of a library that computes a family, or of one of its functions: linked, not contained.
    Linked(Family),
    /// The round constants of SHA-256: every TLS library has them.
    Sha256,
    /// The padding of an 80-byte block header, or of its first hash: SHA-256 laid out for mining.
    HeaderPadding,
    /// The miner's own side: what talks to a pool or to the user.
    Client(Client),
    /// The name of a mining algorithm, as in a setting or on the wire.
    AlgorithmName,
}

/// One sign: what it means, and its bytes.
#[derive(Clone, Copy)]
pub struct Sign {
    /// What it says.
    pub means: Means,
    /// What a constant is called by those who know the algorithm. Empty for a word, which speaks for itself.
    pub what: &'static str,
    inverted: &'static [u8],
}

impl Sign {
    /// The bytes to look for.
    pub fn bytes(&self) -> Vec<u8> {
        self.inverted.iter().map(|b| !b).collect()
    }
}

/// All signs, in a fixed order.
pub fn all() -> impl Iterator<Item = &'static Sign> {
    cryptonote::SIGNS.iter().chain(hashes::SIGNS).chain(gpu::SIGNS).chain(linked::SIGNS).chain(client::SIGNS)
}

/// Inverts every byte. Evaluated when this program is compiled.
const fn inverted<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut out = [0; N];
    let mut i = 0;
    while i < N {
        out[i] = !bytes[i];
        i += 1;
    }
    out
}

/// Up to four 32-bit words, as a little-endian machine stores them.
const fn words<const N: usize>(words: &[u32]) -> [u8; N] {
    let mut out = [0; N];
    let mut i = 0;
    while i < N {
        out[i] = words[i / 4].to_le_bytes()[i % 4];
        i += 1;
    }
    out
}

/// `sign!(means, what, bytes)`: the bytes must be a constant expression and do not reach the program.
macro_rules! sign {
    ($means:expr, $what:expr, $bytes:expr) => {{
        const BYTES: &[u8] = $bytes;
        const INVERTED: [u8; BYTES.len()] = crate::identify::signs::inverted(BYTES);
        crate::identify::signs::Sign { means: $means, what: $what, inverted: &INVERTED }
    }};
}
use sign;
