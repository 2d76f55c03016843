//! What is run. The programs of `eval/loads` are built here; the others are Debian's ([`debian`]), or built from
//! `eval/programs` with its libraries.

mod debian;

/// What a load is, and hence what should be said of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// RandomX: `mining`.
    RandomX,
    /// Another proof of work: `hashing-heavy`.
    Pow,
    /// Hashes or encrypts, and honestly so: anything but `mining`.
    Hashes,
    /// Anything else: nothing.
    Honest,
}

impl Kind {
    /// As the page calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::RandomX => "RandomX",
            Self::Pow => "other proof of work",
            Self::Hashes => "honest, hashes or encrypts",
            Self::Honest => "honest",
        }
    }
}

/// A load.
pub struct Load {
    /// Its name on the page.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// A command for `sh -c`, in a directory of its own; `$LOADS` is the program of `eval/loads`, `$PROGRAMS` the folder
    /// `eval/programs`, `$SECONDS_` the time to run.
    pub command: String,
    /// Debian's packages that have it, and the program or file that shows that they are there.
    pub needs: Option<(&'static str, &'static str)>,
    /// Nothing else runs beside it, and it may use every CPU: its times are told, or it has several processes.
    pub alone: bool,
}

const RANDOMX: &[(&str, &str)] = &[
    ("randomx-light", "randomx-light"),
    ("randomx-full", "randomx-full"),
    ("randomx-softaes", "randomx-softaes"),
    ("randomx-interpreted", "randomx-interpreted"),
    ("randomx-light-all-cores", "randomx-light --threads $(nproc)"),
    ("randomx-full-all-cores", "randomx-full --threads $(nproc)"),
    ("randomx-interpreted-all-cores", "randomx-interpreted --threads $(nproc)"),
    ("randomx-50", "randomx-light --duty 50"),
    ("randomx-25", "randomx-light --duty 25"),
    ("randomx-10", "randomx-light --duty 10"),
    ("randomx-softaes-10", "randomx-softaes --duty 10"),
    ("randomx-interpreted-50", "randomx-interpreted --duty 50"),
    ("randomx-interpreted-25", "randomx-interpreted --duty 25"),
    ("randomx-interpreted-10", "randomx-interpreted --duty 10"),
    ("randomx-processes", "randomx-light --processes 3"),
    ("randomx-forks", "randomx-light --fork 4"),
];

const POW: &[&str] = &[
    "sha256d",
    "sha512",
    "sha1",
    "keccak256",
    "sha3-512",
    "blake2b",
    "blake2s",
    "blake3",
    "groestl512",
    "jh512",
    "skein512",
    "whirlpool",
    "ripemd160",
    "sm3",
    "streebog512",
    "shabal512",
    "k12",
    "x-chain",
    "scrypt",
    "argon2id",
    "argon2d",
    "yescrypt",
    "yescrypt-libxcrypt",
    "cryptonight-like",
    "ghostrider-like",
    "ethash-like",
    "cuckoo-like",
];

const OWN_HASHES: &[&str] = &["merkle-tree", "file-hashing"];

const OWN_HONEST: &[&str] = &[
    "interval-up",
    "interval-both",
    "fenv-all-modes",
    "fenv-all-modes-much-memory",
    "mandelbrot",
    "matmul",
    "stream-triad",
    "nbody",
    "json-parse",
    "btree",
    "sort-integers",
    "random-numbers",
    "popcount",
    "regex-like",
    "zk-proof",
];

/// All of them.
pub fn all() -> Vec<Load> {
    let own = |name: &str, kind, what: &str| Load {
        name: name.to_owned(),
        kind,
        command: format!("exec \"$LOADS\" {what} --seconds $SECONDS_"),
        needs: None,
        alone: kind == Kind::RandomX,
    };
    let randomx = RANDOMX.iter().map(|(name, what)| own(name, Kind::RandomX, what));
    let pow = POW.iter().map(|name| own(name, Kind::Pow, name));
    let hashes = OWN_HASHES.iter().map(|name| own(name, Kind::Hashes, name));
    let honest = OWN_HONEST.iter().map(|name| own(name, Kind::Honest, name));
    randomx.chain(pow).chain(hashes).chain(honest).chain(debian::loads()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What came of a load is kept by its name, which is its cgroup's too.
    #[test]
    fn no_two_loads_have_one_name() {
        let mut names: Vec<String> = all().into_iter().map(|load| load.name).collect();
        names.sort();
        let twice: Vec<_> = names.windows(2).filter(|w| w[0] == w[1]).collect();
        assert!(twice.is_empty(), "{twice:?}");
    }
}
