//! From what was found to a class, with a sentence for each reason.

use super::{
    Class, Evidence, Kind, Strength,
    matcher::{Hits, Matcher},
    signs::{Client, Family, Hash, Means, Sign},
};
use std::{collections::BTreeMap, fmt::Write as _};

/// Of RandomX's 25 constants. Eight random bytes each: no chance meeting, but a compiler may fold a few away.
const RANDOMX: usize = 6;
/// Of kHeavyHash's four: its words alone may stand in a program that knows another proof of work, as tor does.
const KHEAVYHASH: usize = 2;
/// Names of a library and its functions that make it linked: one alone is a word.
const LINKED: usize = 2;
/// Rare hash functions in one file that make a chain. General hash libraries carry two or three.
const CHAIN: usize = 6;
/// What a client must weigh, see [`weight`], and from how many sides it must be seen.
const CLIENT: usize = 4;
const CLIENT_SIDES: usize = 2;
/// What it must weigh when the algorithm is known by name only.
const CLIENT_ALONE: usize = 7;
const NAMED: usize = 2;
/// Coins share no more than two families: a node has one, Monero's two, Raptoreum's two.
const FAMILIES: usize = 3;

struct Found<'h> {
    at: &'h [(&'static Sign, u64)],
    image: &'h str,
}

impl Found<'_> {
    fn of(&self, want: impl Fn(Means) -> bool) -> Vec<(&'static Sign, u64)> {
        self.at.iter().filter(|(sign, _)| want(sign.means)).copied().collect()
    }

    /// `"AesGenerator1R key 0" at 0x1f0, …`: enough to look it up with a hex viewer.
    fn list(&self, signs: &[(&'static Sign, u64)]) -> String {
        let mut out = String::new();
        for (i, (sign, at)) in signs.iter().take(4).enumerate() {
            let comma = if i == 0 { "" } else { ", " };
            // Writing to a String cannot fail.
            let _ = match sign.what {
                "" => write!(out, "{comma}{:?} at {at:#x}", String::from_utf8_lossy(&sign.bytes())),
                what => write!(out, "{comma}{what} at {at:#x}"),
            };
        }
        if signs.len() > 4 {
            let _ = write!(out, " and {} more", signs.len() - 4);
        }
        out.push_str(self.image);
        out
    }
}

/// How much a part of the client counts, and the most that it may: many settings are no more than a few.
fn weight(part: Client) -> (usize, usize) {
    match part {
        Client::Scheme => (2, 2),
        Client::Method => (1, 3),
        Client::Setting => (1, 3),
        Client::Interface => (1, 2),
        Client::Name => (1, 1),
    }
}

/// Class and evidence of what was found. `image` says where, when it was not in the file itself
/// (` in the unpacked image`).
pub fn judge(matcher: &Matcher, hits: &Hits, image: &str) -> (Class, Vec<Evidence>) {
    let at: Vec<_> = matcher.found(hits).collect();
    let found = Found { at: &at, image };
    let mut evidence = Vec::new();

    let families = families(&found, &mut evidence);
    let registers = tuning(hits, &families, image, &mut evidence);
    let (weight, client) = client(&found, &mut evidence);
    let named = named(&found, weight, &mut evidence);

    let settled = !families.is_empty() && (client || registers || unrelated(&families));
    let class = if settled || (named && client && weight >= CLIENT_ALONE) {
        Class::MinerBinary
    } else if families.is_empty() {
        Class::Clean
    } else {
        Class::HashingHeavy
    };
    if class == Class::MinerBinary && !client && unrelated(&families) {
        let names: Vec<_> = families.iter().map(ToString::to_string).collect();
        evidence.push(Evidence {
            kind: Kind::Client,
            strength: Strength::Strong,
            text: format!("no coin uses all of these together, only a miner does: {}", names.join(", ")),
        });
    }
    (class, evidence)
}

/// What the words of a script amount to. Anybody may write these words, an installer, a monitor or a rule for finding
/// miners among them: weak evidence, never more.
pub fn judge_script(matcher: &Matcher, hits: &Hits) -> (Class, Vec<Evidence>) {
    let at: Vec<_> = matcher.found(hits).collect();
    let found = Found { at: &at, image: " in a script" };
    let mut evidence = Vec::new();
    let (_, speaks) = client(&found, &mut evidence);
    for evidence in &mut evidence {
        evidence.strength = Strength::Weak;
    }
    (if speaks { Class::Suspect } else { Class::Clean }, evidence)
}

/// Whether the families belong to no single coin.
fn unrelated(families: &[Family]) -> bool {
    let others = families.iter().filter(|f| !matches!(f, Family::RandomX | Family::CryptoNight)).count();
    families.len() >= FAMILIES || (families.contains(&Family::RandomX) && others > 0)
}

fn families(found: &Found<'_>, evidence: &mut Vec<Evidence>) -> Vec<Family> {
    let mut families = Vec::new();
    let mut constants: BTreeMap<Family, Vec<_>> = BTreeMap::new();
    for (sign, at) in found.at {
        if let Means::Constant(family) = sign.means {
            constants.entry(family).or_default().push((*sign, *at));
        }
    }
    for (family, signs) in constants {
        let needed = match family {
            Family::RandomX => RANDOMX,
            Family::KHeavyHash => KHEAVYHASH,
            _ => 1,
        };
        if signs.len() >= needed {
            families.push(family);
            evidence.push(algorithm(format!(
                "{} constants of {family}: {}",
                signs.len(),
                found.list(&signs)
            )));
        }
    }

    let mut linked: BTreeMap<Family, Vec<_>> = BTreeMap::new();
    for (sign, at) in found.at {
        if let Means::Linked(family) = sign.means {
            linked.entry(family).or_default().push((*sign, *at));
        }
    }
    for (family, signs) in linked {
        if signs.len() >= LINKED && !families.contains(&family) {
            families.push(family);
            evidence.push(algorithm(format!("linked with a library for {family}: {}", found.list(&signs))));
        }
    }

    let mut hashes: BTreeMap<Hash, (&'static Sign, u64)> = BTreeMap::new();
    for (sign, at) in found.at {
        if let Means::Hash(hash) = sign.means {
            hashes.entry(hash).or_insert((sign, *at));
        }
    }
    let list = |only: &[Hash]| {
        let names: Vec<_> = hashes
            .iter()
            .filter(|(hash, _)| only.is_empty() || only.contains(hash))
            .map(|(hash, (sign, at))| format!("{hash:?} ({}, {at:#x})", sign.what))
            .collect();
        names.join(", ") + found.image
    };
    let finals = [Hash::Groestl, Hash::Jh, Hash::Skein];
    if finals.iter().all(|hash| hashes.contains_key(hash)) {
        families.push(Family::CryptoNight);
        evidence
            .push(algorithm(format!("the final hash functions of CryptoNight together: {}", list(&finals))));
    }
    if hashes.len() >= CHAIN {
        families.push(Family::HashChain);
        evidence.push(algorithm(format!("{} rare hash functions in one file: {}", hashes.len(), list(&[]))));
    }
    families
}

fn algorithm(text: String) -> Evidence {
    Evidence { kind: Kind::Algorithm, strength: Strength::Strong, text }
}

/// Miners switch AMD's prefetchers off for RandomX; nothing else with RandomX in it names these registers.
fn tuning(hits: &Hits, families: &[Family], image: &str, evidence: &mut Vec<Evidence>) -> bool {
    let Some(at) = hits.registers().filter(|_| families.contains(&Family::RandomX)) else { return false };
    evidence.push(Evidence {
        kind: Kind::Tuning,
        strength: Strength::Strong,
        text: format!(
            "model-specific registers 0xc0011020, 21 and 22 of AMD's prefetchers are named together at \
             {at:#x}{image}: a miner sets them for RandomX"
        ),
    });
    true
}

/// The client's weight, and whether it is one.
fn client(found: &Found<'_>, evidence: &mut Vec<Evidence>) -> (usize, bool) {
    let (mut total, mut sides, mut speaks) = (0, 0, false);
    for part in [Client::Scheme, Client::Method, Client::Setting, Client::Interface, Client::Name] {
        let signs = found.of(|means| means == Means::Client(part));
        if signs.is_empty() {
            continue;
        }
        let (each, most) = weight(part);
        total += (signs.len() * each).min(most);
        sides += 1;
        // A node knows a miner's words too, but does not speak to pools.
        speaks |= match part {
            Client::Scheme => true,
            Client::Method => signs.len() >= 2,
            Client::Setting => signs.len() >= 3,
            Client::Interface | Client::Name => false,
        };
        let what = match part {
            Client::Scheme => "the scheme of a pool's address",
            Client::Method => "words of the protocol with a pool",
            Client::Setting => "a miner's settings",
            Client::Interface => "what a miner tells its user",
            Client::Name => "the name of a miner",
        };
        evidence.push(Evidence {
            kind: Kind::Client,
            strength: if part == Client::Name { Strength::Weak } else { Strength::Medium },
            text: format!("{what}: {}", found.list(&signs)),
        });
    }
    (total, speaks && total >= CLIENT && sides >= CLIENT_SIDES)
}

/// Whether the mining algorithm is known by its name, or is SHA-256 laid out for block headers.
fn named(found: &Found<'_>, client: usize, evidence: &mut Vec<Evidence>) -> bool {
    let names = found.of(|means| means == Means::AlgorithmName);
    let padding = found.of(|means| means == Means::HeaderPadding);
    let sha256 = !found.of(|means| means == Means::Sha256).is_empty();
    if client > 0 && !names.is_empty() {
        evidence.push(Evidence {
            kind: Kind::Algorithm,
            strength: Strength::Medium,
            text: format!("names of mining algorithms: {}", found.list(&names)),
        });
    }
    if !padding.is_empty() {
        evidence.push(Evidence {
            kind: Kind::Algorithm,
            strength: Strength::Medium,
            text: format!("SHA-256 laid out for block headers: {}", found.list(&padding)),
        });
    }
    names.len() >= NAMED || (sha256 && !names.is_empty()) || !padding.is_empty()
}
