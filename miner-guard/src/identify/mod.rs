//! Is this file, or this process, a miner? Each identifier yields evidence.
//!
//! A file goes through here in one direction: `source` (read without trust) → `elf` (what would run) → `matcher` (one
//! pass for all `signs`) → `judge` (class and reasons). A packed file is unpacked (`upx`) and goes through again. What the
//! site knows besides, [`yara`] rules tell.
//! [`scan`] does this with whole directories. What runs is identified by what it does: [`cpu`].

pub mod cpu;
pub mod digest;
mod elf;
pub mod evidence;
pub mod gpu;
mod judge;
mod matcher;
mod memory;
mod packed;
pub mod scan;
mod signs;
mod source;
#[cfg(test)]
mod tests;
mod upx;
pub mod yara;

pub use digest::{Digests, hex};
use elf::Elf;
pub use evidence::{Evidence, Kind, Strength};
use matcher::{Matcher, is_randomx};
use serde::Serialize;
use source::Source;
use std::{fmt, fs::File, io, path::Path};

/// Moves whenever signs or judgement change: a verdict of another version is made anew.
pub const RULES_VERSION: u32 = 2;

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// Nothing found.
    Clean,
    /// A script with a miner's words, or a rule of the site that says no more. Weak: so have those that look for miners.
    Suspect,
    /// Packed so that nothing can be said of it. Weak: honest programs are packed too.
    Packed,
    /// A proof-of-work algorithm is in the file, but no miner's client: a node, a wallet, a library.
    HashingHeavy,
    /// A miner: client and algorithm together.
    MinerBinary,
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Clean => "clean",
            Self::Suspect => "suspect",
            Self::Packed => "packed",
            Self::HashingHeavy => "hashing-heavy",
            Self::MinerBinary => "miner-binary",
        })
    }
}

/// What is known of a file after reading it.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// What it is.
    pub class: Class,
    /// Why.
    pub evidence: Vec<Evidence>,
    /// Its size in bytes.
    pub size: u64,
    /// False when the file was too large to be read whole.
    pub complete: bool,
    /// Whether its change time moved while it was read. What a process runs cannot be written to, but be deleted or
    /// have its mode changed; of any other file this may be about a mixture of two states.
    #[serde(skip)]
    pub changed: bool,
}

/// Why a file was not identified.
#[derive(Debug, thiserror::Error)]
pub enum Skip {
    /// A directory, a device, a FIFO, a socket.
    #[error("not a regular file")]
    NotRegular,
    /// No bytes, as far as its size says; so are the files of `/proc`.
    #[error("empty")]
    Empty,
    /// Another kind of file.
    #[error("not an ELF file")]
    NotElf,
    /// The memory of a dead process: it cannot be run.
    #[error("a core dump")]
    Core,
    /// It may have been written to meanwhile; a verdict would be about neither state.
    #[error("the file changed while it was read")]
    Changed,
    /// The process has ended.
    #[error("the process has ended")]
    Gone,
    /// The operating system refused.
    #[error("cannot be read: {0}")]
    Unreadable(#[from] io::Error),
}

impl Skip {
    fn from_errno(errno: rustix::io::Errno) -> Self {
        Self::Unreadable(errno.into())
    }
}

/// At most this much of one file is read. Larger ones are read where they would be mapped.
const MOST: u64 = 512 << 20;
/// Scripts are shorter; what is longer carries data behind its first line, and is no script of a miner's.
const SCRIPT: u64 = 1 << 20;

/// Identifies files. Built once; shared by all threads.
#[derive(Debug)]
pub struct Identifier {
    matcher: Matcher,
}

impl Default for Identifier {
    fn default() -> Self {
        Self::new()
    }
}

impl Identifier {
    /// Builds the tables: some 20 KiB, in well under a millisecond.
    pub fn new() -> Self {
        Self { matcher: Matcher::new() }
    }

    /// Opens and identifies a file by its name. Nobody may be running it: one that changed meanwhile is a miner or
    /// [`Skip::Changed`].
    ///
    /// # Errors
    /// Every reason not to give an answer, see [`Skip`].
    pub fn identify_path(&self, path: &Path, rules: Option<&yara::Rules>) -> Result<Finding, Skip> {
        match self.identify_with(&source::open(path)?, rules)? {
            Finding { changed: true, class, .. } if class != Class::MinerBinary => Err(Skip::Changed),
            finding => Ok(finding),
        }
    }

    /// The same for what a process runs, by its `/proc/PID/exe`: its bytes cannot be written to meanwhile.
    ///
    /// # Errors
    /// Every reason not to give an answer, see [`Skip`].
    pub fn identify_program(&self, exe: &Path, rules: Option<&yara::Rules>) -> Result<Finding, Skip> {
        self.identify_with(&source::open(exe)?, rules)
    }

    /// Identifies an open file. Its offset does not matter, and is not kept.
    ///
    /// # Errors
    /// Every reason not to give an answer, see [`Skip`].
    pub fn identify(&self, file: &File) -> Result<Finding, Skip> {
        self.identify_with(file, None)
    }

    /// The same, with the rules of the site. What is a miner without them is not shown to them.
    ///
    /// # Errors
    /// Every reason not to give an answer, see [`Skip`].
    pub fn identify_with(&self, file: &File, rules: Option<&yara::Rules>) -> Result<Finding, Skip> {
        let source = Source::new(file)?;
        if source.head().starts_with(b"#!") {
            return self.script(&source, rules);
        }
        let source = source.program()?;
        let elf = Elf::read(source.head()).ok_or(Skip::NotElf)?;
        if elf.kind == 4 {
            return Err(Skip::Core);
        }
        let mut hits = self.matcher.no_hits();
        let complete = read(&source, &elf, |at, bytes| self.matcher.feed(at, bytes, &mut hits))?;
        let (mut class, mut evidence) = judge::judge(&self.matcher, &hits, "");
        // Whoever is a miner by its words need not be read again: it may be running.
        if class != Class::MinerBinary && self.matcher.found(&hits).any(|(sign, _)| is_randomx(sign)) {
            read(&source, &elf, |at, bytes| self.matcher.feed_registers(at, bytes, &mut hits))?;
            (class, evidence) = judge::judge(&self.matcher, &hits, "");
        }
        let rules = rules.filter(|_| class != Class::MinerBinary);
        let (inner, more) = self.packed(&source, &elf, rules)?;
        // The original says more than what packing left of it.
        if inner > Class::Packed && inner >= class {
            evidence.clear();
        }
        class = class.max(inner);
        evidence.extend(more);
        if let Some(rules) = rules.filter(|_| class != Class::MinerBinary) {
            let (by_rule, more) = rules.judge(&source.bytes(0, yara::MOST)?, "");
            class = class.max(by_rule);
            evidence.extend(more);
        }
        if !complete {
            evidence.push(Evidence {
                kind: Kind::Reading,
                strength: Strength::Weak,
                text: format!(
                    "of {} bytes only those were read that are mapped, at most {MOST}",
                    source.size()
                ),
            });
        }
        Ok(Finding { class, evidence, size: source.size(), complete, changed: source.changed()? })
    }

    /// A script is told only when its words are those of a miner's, or a rule of the site matches.
    fn script(&self, source: &Source<'_>, rules: Option<&yara::Rules>) -> Result<Finding, Skip> {
        if source.size() > SCRIPT {
            return Err(Skip::NotElf);
        }
        let mut hits = self.matcher.no_hits();
        source.read(0, source.size(), SCRIPT, |at, bytes| self.matcher.feed(at, bytes, &mut hits))?;
        let (mut class, mut evidence) = judge::judge_script(&self.matcher, &hits);
        if let Some(rules) = rules {
            let (by_rule, more) = rules.judge(&source.bytes(0, yara::MOST)?, " in a script");
            class = class.max(by_rule);
            evidence.extend(more);
        }
        match (class, evidence) {
            (Class::Clean, _) => Err(Skip::NotElf),
            (class, evidence) => {
                let changed = source.changed()?;
                Ok(Finding { class, evidence, size: source.size(), complete: true, changed })
            }
        }
    }

    /// What a packed file holds. `Packed` when that cannot be said.
    fn packed(
        &self,
        source: &Source<'_>,
        elf: &Elf,
        rules: Option<&yara::Rules>,
    ) -> Result<(Class, Vec<Evidence>), Skip> {
        const IMAGE: &str = " in the unpacked image";
        let mut hits = self.matcher.no_hits();
        let mut image = Vec::new();
        let unpacked = upx::unpack(source, elf, |at, bytes| {
            self.matcher.feed(at, bytes, &mut hits);
            self.matcher.feed_registers(at, bytes, &mut hits);
            if rules.is_some() {
                image.extend(bytes.iter().take(yara::MOST.saturating_sub(image.len())));
            }
        })?;
        let (mut class, mut evidence) = judge::judge(&self.matcher, &hits, IMAGE);
        if let Some(rules) = rules.filter(|_| unpacked.is_some() && class != Class::MinerBinary) {
            let (by_rule, more) = rules.judge(&image, IMAGE);
            class = class.max(by_rule);
            evidence.extend(more);
        }
        let sign = match unpacked {
            Some(u) => {
                if !u.whole {
                    class = class.max(Class::Packed);
                }
                let part = if u.whole { "" } else { ", not all of it" };
                Some(format!(
                    "packed with UPX ({}) from {:#x}; {} bytes were unpacked{part}",
                    u.method, u.at, u.len
                ))
            }
            None => packed::sign(source, elf)?.inspect(|_| class = class.max(Class::Packed)),
        };
        evidence.extend(sign.map(|text| Evidence { kind: Kind::Packer, strength: Strength::Weak, text }));
        Ok((class, evidence))
    }
}

/// Gives the file's bytes to `each`. False when the file is too large to be read whole.
fn read(source: &Source<'_>, elf: &Elf, mut each: impl FnMut(u64, &[u8])) -> Result<bool, Skip> {
    if source.size() <= MOST {
        source.read(0, source.size(), MOST, &mut each)?;
        return Ok(true);
    }
    // Code first, then what else is mapped, then the rest: a sparse file of any size may hold little.
    let mut ranges: Vec<_> = elf.segments.iter().map(|s| (!s.executable, s.offset, s.len)).collect();
    ranges.sort_unstable();
    ranges.push((true, 0, source.size()));
    let mut left = MOST;
    for (_, start, len) in ranges {
        left = left.saturating_sub(source.read(start, start.saturating_add(len), left, &mut each)?);
    }
    Ok(left > 0)
}
