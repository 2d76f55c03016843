//! From evidence to a class.
//!
//! Every piece weighs by its strength, and less as time goes by. What is left of it speaks for one of three things:
//! that something *hashes*, that it *mines*, that it talks to *pools*. Two families that speak make `mining`, unless all
//! they say is that something hashes: a password cracker has the hash functions in its file and does hash.

use crate::{
    identify::evidence::{Evidence, Family, Kind, Strength},
    policy::CaseSettings,
};
use serde::{Deserialize, Serialize};

/// What a process group is taken for. A later one is worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// A listed destination was asked for or dialled, or the protocol of a pool spoken.
    PoolContact,
    /// It hashes as proof of work does, or can. On its own this never kills.
    HashingHeavy,
    /// The program is a miner, or listed as one.
    MinerBinary,
    /// It mines: two independent families of evidence say so, or RandomX was seen at work.
    Mining,
}

impl Class {
    /// All of them, the least first.
    pub const ALL: [Self; 4] = [Self::PoolContact, Self::HashingHeavy, Self::MinerBinary, Self::Mining];

    /// The word in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::PoolContact => "pool-contact",
            Self::HashingHeavy => "hashing-heavy",
            Self::MinerBinary => "miner-binary",
            Self::Mining => "mining",
        }
    }
}

/// What a piece must still weigh to speak: a medium one does for one half-life, a strong one for nearly two.
const SPEAKS: f64 = 0.25;

/// A piece of evidence in a case, and when it was seen. Times in milliseconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// What was found.
    #[serde(flatten)]
    pub evidence: Evidence,
    /// First seen.
    pub first_ms: u64,
    /// Last seen.
    pub last_ms: u64,
    /// How often.
    pub count: u64,
}

impl Item {
    /// Seen for the first time.
    #[must_use]
    pub const fn new(evidence: Evidence, now_ms: u64) -> Self {
        Self { evidence, first_ms: now_ms, last_ms: now_ms, count: 1 }
    }

    /// Seen again. A clock that was set back does not make it younger.
    pub fn again(&mut self, now_ms: u64) {
        self.last_ms = self.last_ms.max(now_ms);
        self.count = self.count.saturating_add(1);
    }

    /// What it still weighs, 0 to 1.
    #[must_use]
    pub fn weight(&self, now_ms: u64, settings: &CaseSettings) -> f64 {
        let fresh = match self.evidence.strength {
            Strength::Weak => 0.1,
            Strength::Medium => 0.5,
            Strength::Strong => 0.9,
        };
        let age_s = now_ms.saturating_sub(self.last_ms) as f64 / 1000.0;
        fresh * (-age_s / settings.half_life_s.max(1) as f64).exp2()
    }

    /// What it says at this time; weak evidence says nothing, however much there is of it.
    fn claim(&self, now_ms: u64, settings: &CaseSettings) -> Option<Claim> {
        if self.evidence.strength == Strength::Weak || self.weight(now_ms, settings) < SPEAKS {
            return None;
        }
        let strong = self.evidence.strength == Strength::Strong;
        match self.evidence.kind {
            Kind::Miner | Kind::Listed => Some(Claim::Mines),
            Kind::Contact | Kind::Protocol | Kind::PoolServer => Some(Claim::Pools),
            // Whoever reports these as strong has watched for long enough (`[runtime] sustain`).
            Kind::RoundingModes => Some(if strong { Claim::Mines } else { Claim::Hashes }),
            Kind::InstructionMix | Kind::Algorithm | Kind::MemoryShape | Kind::MachineTuning | Kind::Gpu
                if strong =>
            {
                Some(Claim::Hashes)
            }
            _ => None,
        }
    }
}

/// What a family of evidence says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Claim {
    Hashes,
    Pools,
    Mines,
}

/// What evidence adds up to.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Judgement {
    /// The class, if there is enough for one.
    pub class: Option<Class>,
    /// 0 to 1: how much independent evidence there is, faded as it is.
    pub confidence: f64,
}

/// Judges all evidence of a case at a time.
#[must_use]
pub fn judge<'a>(
    items: impl IntoIterator<Item = &'a Item>,
    now_ms: u64,
    settings: &CaseSettings,
) -> Judgement {
    let mut claims: [Option<Claim>; 3] = [None; 3];
    let mut weights = [0.0_f64; Kind::ALL.len()];
    let (mut modes, mut jit) = (false, false);
    for item in items {
        let family = item.evidence.family() as usize;
        claims[family] = claims[family].max(item.claim(now_ms, settings));
        let weight = item.weight(now_ms, settings);
        // Many findings of one kind are no more than the best of them.
        let best = &mut weights[item.evidence.kind as usize];
        *best = best.max(weight);
        let live = item.evidence.strength > Strength::Weak && weight >= SPEAKS;
        modes |= live && item.evidence.kind == Kind::RoundingModes;
        jit |= live && item.evidence.kind == Kind::JitShape;
    }
    let doubt: f64 = weights.iter().map(|w| 1.0 - w).product();
    Judgement { class: class(claims, modes && jit), confidence: 1.0 - doubt }
}

fn class(claims: [Option<Claim>; 3], randomx: bool) -> Option<Class> {
    let [binary, runtime, network] =
        [Family::Binary, Family::Runtime, Family::Network].map(|f| claims[f as usize]);
    let speaking = claims.iter().flatten().count();
    let only_hashing = claims.iter().flatten().all(|c| *c == Claim::Hashes);
    if randomx || runtime == Some(Claim::Mines) || (speaking >= 2 && !only_hashing) {
        Some(Class::Mining)
    } else if binary == Some(Claim::Mines) {
        Some(Class::MinerBinary)
    } else if binary.or(runtime).is_some() {
        Some(Class::HashingHeavy)
    } else {
        network.map(|_| Class::PoolContact)
    }
}

#[cfg(test)]
#[path = "class_tests.rs"]
mod tests;
