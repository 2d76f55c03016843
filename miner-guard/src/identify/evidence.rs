//! Evidence: one reason, which a person can check. Every identifier yields it, of files, of running processes and of
//! what they say to the network; `event::case` joins it.

use serde::{Deserialize, Serialize};

/// Where evidence was found. Two families that agree are independent witnesses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Family {
    /// In the program: its file, or its image in memory.
    Binary,
    /// In what the process does on this machine.
    Runtime,
    /// In what it says, and to whom.
    Network,
}

impl Family {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Binary, Self::Runtime, Self::Network];

    /// The word in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Binary => "binary",
            Self::Runtime => "runtime",
            Self::Network => "network",
        }
    }
}

/// Declares the kinds with their family and word, as one table.
macro_rules! kinds {
    ($($(#[$m:meta])* $v:ident => $family:ident, $name:literal;)+) => {
        /// What kind of thing a piece of evidence is about.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Kind { $($(#[$m])* #[serde(rename = $name)] $v,)+ }
        impl Kind {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$v,)+];
            /// Where it was found.
            #[must_use]
            pub const fn family(self) -> Family {
                match self { $(Self::$v => Family::$family,)+ }
            }
            /// The word in JSON.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$v => $name,)+ }
            }
        }
    };
}

kinds! {
    /// A proof-of-work algorithm.
    Algorithm => Binary, "algorithm";
    /// A miner's client: what talks to a pool, or to the miner's user.
    Client => Binary, "client";
    /// What a miner does to the machine to mine faster.
    Tuning => Binary, "tuning";
    /// The file is packed.
    Packer => Binary, "packer";
    /// How the file was read.
    Reading => Binary, "reading";
    /// The file as a whole is judged to be a miner: client and algorithm together.
    Miner => Binary, "miner";
    /// A YARA rule of the site matches.
    SiteRule => Binary, "site-rule";
    /// The policy lists the file by its path or hash.
    Listed => Binary, "listed";
    /// RandomX's signature: all four rounding modes, in proportion. Reported anew with each window that shows it: the
    /// case measures for how long it has held. [`Strength::Strong`]: the reporter has seen enough.
    RoundingModes => Runtime, "rounding-modes";
    /// Code of the shape that RandomX's compiler writes.
    JitShape => Runtime, "jit-shape";
    /// A proof-of-work-like mix of instructions, without data when it moves none. Reported anew with each window that
    /// shows it: the case measures for how long it has held. [`Strength::Strong`]: the reporter has measured that
    /// itself, and it has held long enough.
    InstructionMix => Runtime, "instruction-mix";
    /// Scratchpads, datasets, huge pages as miners want them.
    MemoryShape => Runtime, "memory-shape";
    /// Threads as miners run them: one pinned to each core, steady load, idle class.
    ThreadShape => Runtime, "thread-shape";
    /// The machine was set up for mining: model-specific registers written.
    MachineTuning => Runtime, "machine-tuning";
    /// Load on a GPU.
    Gpu => Runtime, "gpu";
    /// Names and arguments, which the process chooses. Never more than [`Strength::Weak`].
    Name => Runtime, "name";
    /// A listed destination was asked for or dialled.
    Contact => Network, "contact";
    /// The protocol of a pool was spoken.
    Protocol => Network, "protocol";
    /// A pool or proxy is served here.
    PoolServer => Network, "pool-server";
    /// How it hides whom it talks to.
    Concealment => Network, "concealment";
}

/// How much a piece of evidence counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Strength {
    /// Honest programs have it too.
    Weak,
    /// Seldom found elsewhere.
    Medium,
    /// Not found elsewhere.
    Strong,
}

/// One reason, which a person can check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// What it is about.
    pub kind: Kind,
    /// How much it counts.
    pub strength: Strength,
    /// What was found, and where: one sentence. Equal findings get equal sentences, so that they are counted, not
    /// repeated: figures that change from one second to the next do not belong here.
    pub text: String,
}

impl Evidence {
    /// A reason.
    pub fn new(kind: Kind, strength: Strength, text: impl Into<String>) -> Self {
        Self { kind, strength, text: text.into() }
    }

    /// Where it was found.
    #[must_use]
    pub const fn family(&self) -> Family {
        self.kind.family()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_read_back_by_the_word_that_is_written() {
        for kind in Kind::ALL {
            let word = serde_json::to_string(kind).unwrap();
            assert_eq!(word, format!("\"{}\"", kind.name()));
            assert_eq!(serde_json::from_str::<Kind>(&word).unwrap(), *kind);
        }
        for family in Family::ALL {
            assert_eq!(serde_json::to_string(&family).unwrap(), format!("\"{}\"", family.name()));
            assert!(Kind::ALL.iter().any(|k| k.family() == family), "{family:?} has no kind");
        }
    }
}
