//! The policy as the daemon uses it: what is listed of files, and what events say of rules.

use std::{
    cell::OnceCell,
    collections::HashMap,
    fs::File,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use miner_guard_common::abi::verdict::{Reason, Verdict};
use sha2::{Digest as _, Sha256};

use super::script;
use crate::{
    event::rules::{Met, RuleInfo, RuleNames},
    identify::{Digests, digest::Wanted, hex, yara},
    policy::{
        Resolved, RuleSource, explain,
        learned::canonical,
        resolved::{Allowed, FileRule},
    },
};

/// What is listed of files: a copy for the inspecting threads.
#[derive(Debug, Default)]
pub struct FileRules {
    rules: Vec<FileRule>,
    exes: Vec<(PathBuf, u32)>,
    sha256: Vec<([u8; 32], u32)>,
    /// Which digests the lists ask for.
    wanted: Wanted,
    /// Programs that run listed scripts, without links in their paths.
    interpreters: Vec<PathBuf>,
    /// What the site adds to identification.
    yara: Option<Arc<yara::Rules>>,
}

/// Why a file is listed.
#[derive(Debug, PartialEq, Eq)]
pub struct ListedFile {
    /// [`Verdict::Allow`]: its processes are exempt.
    pub verdict: Verdict,
    /// Path, hash, or exempt.
    pub reason: Reason,
    /// Index of the rule.
    pub rule: u32,
    /// A sentence.
    pub evidence: String,
    /// If it was asked for.
    pub sha256: Option<String>,
}

impl FileRules {
    /// Those of a policy.
    pub fn of(policy: &Resolved) -> Self {
        let Allowed { exes, sha256, .. } = &policy.allowed;
        let rules = policy.files.clone();
        let wanted = Wanted {
            sha256: !sha256.is_empty() || rules.iter().any(|r| !r.sha256.is_empty()),
            md5: rules.iter().any(|r| !r.md5.is_empty()),
        };
        let scripts = rules.iter().flat_map(|r| &r.paths);
        let interpreters = scripts.flat_map(|path| script::interpreters(path)).collect();
        let yara = policy.yara.clone();
        Self { rules, exes: exes.clone(), sha256: sha256.clone(), wanted, interpreters, yara }
    }

    /// One number for all that the lists and the site's rules say of files: what was found out under it holds under the same one only.
    pub fn fingerprint(&self) -> [u8; 32] {
        // Small lists: their debug form is complete and unambiguous. The numbers of rules decide nothing.
        let listed = self.rules.iter().map(|r| (r.action, &r.paths, &r.sha256, &r.md5)).collect::<Vec<_>>();
        let exes = self.exes.iter().map(|(path, _)| path).collect::<Vec<_>>();
        let allowed = self.sha256.iter().map(|(hash, _)| hash).collect::<Vec<_>>();
        let yara = self.yara.as_ref().map(|rules| hex(rules.digest())).unwrap_or_default();
        Sha256::digest(format!("{listed:?}{exes:?}{allowed:?}{yara}")).into()
    }

    /// What the site adds to identification.
    pub fn yara(&self) -> Option<&yara::Rules> {
        self.yara.as_deref()
    }

    /// Whether this program runs a listed script.
    pub fn is_interpreter(&self, path: &Path) -> bool {
        self.interpreters.iter().any(|p| p == path)
    }

    /// The programs that run listed scripts.
    pub fn interpreters(&self) -> impl Iterator<Item = &Path> {
        self.interpreters.iter().map(PathBuf::as_path)
    }

    /// Whether a list may let a miner at this path run. Where none may, its content need not be asked for.
    pub fn may_spare(&self, path: &Path) -> bool {
        let milder =
            |r: &FileRule| !r.action.stops() && (r.paths.is_empty() || r.paths.iter().any(|p| p == path));
        !self.sha256.is_empty() || self.exes.iter().any(|(p, _)| p == path) || self.rules.iter().any(milder)
    }

    /// Paths that are listed alone, so that their verdict is known before anybody runs them.
    pub fn paths(&self) -> impl Iterator<Item = (&Path, u32, Verdict)> {
        let listed = self.rules.iter().filter(|r| r.sha256.is_empty() && r.md5.is_empty());
        let listed = listed.flat_map(|r| r.paths.iter().map(|p| (p.as_path(), r.rule, r.action)));
        listed.chain(self.exes.iter().map(|(p, rule)| (p.as_path(), *rule, Verdict::Allow)))
    }

    /// Whether the file is listed. It is read only if a rule asks for its content. The allowlist goes first.
    pub fn look_up(&self, path: &Path, file: &File) -> Option<ListedFile> {
        // Read once, however many rules ask; unreadable content matches nothing.
        let content = OnceCell::new();
        let digests = || *content.get_or_init(|| Digests::of(file, self.wanted).ok());
        let sha256 = || digests().and_then(|d| d.sha256);
        let md5 = || digests().and_then(|d| d.md5);
        let allowed = self
            .exes
            .iter()
            .find(|(p, _)| p == path)
            .map(|(_, rule)| *rule)
            .or_else(|| self.sha256.iter().find(|(h, _)| sha256() == Some(*h)).map(|(_, rule)| *rule));
        if let Some(rule) = allowed {
            return Some(ListedFile {
                verdict: Verdict::Allow,
                reason: Reason::Exempt,
                rule,
                evidence: format!("{} is on the allowlist", path.display()),
                sha256: None,
            });
        }
        let hit = self.rules.iter().find(|r| r.matches(path, sha256, md5))?;
        let by_hash = !hit.sha256.is_empty() || !hit.md5.is_empty();
        let sha256 = if by_hash { sha256() } else { None }.map(|h| hex(&h));
        let evidence = match (&sha256, by_hash) {
            (Some(h), true) if !hit.sha256.is_empty() => format!("its SHA-256 {h} is listed"),
            (_, true) => {
                format!("its MD5 {} is listed", md5().map(|h| hex(&h)).unwrap_or_default())
            }
            _ => format!("its path {} is listed", path.display()),
        };
        let reason = if by_hash { Reason::FileHash } else { Reason::FilePath };
        Some(ListedFile { verdict: hit.action, reason, rule: hit.rule, evidence, sha256 })
    }
}

/// What events say of a policy's rules. Where an indicator is written is looked up in the feed when it is first
/// hit, and remembered: the feed's text is not kept in memory.
#[derive(Debug)]
pub struct RuleBook {
    policy: Arc<Resolved>,
    found: Mutex<HashMap<(u32, Met), RuleInfo>>,
    learned: SharedLearned,
}

/// What led to each learned address, by address and id of the rule: what is listed, and a sentence.
pub type LearnedNames = HashMap<(IpAddr, String), (String, String)>;
/// The same, as the loop and the rule books share it.
pub type SharedLearned = Arc<Mutex<LearnedNames>>;

/// Hits remembered.
const REMEMBERED: usize = 1024;

impl RuleBook {
    /// Of a policy.
    pub fn new(policy: Arc<Resolved>, learned: SharedLearned) -> Self {
        Self { policy, found: Mutex::default(), learned }
    }

    /// The same rules, whose feeds lie elsewhere now.
    pub fn reread(&self, policy: Arc<Resolved>) -> Self {
        Self::new(policy, Arc::clone(&self.learned))
    }

    fn learned(&self, to: SocketAddr, plain: &RuleInfo) -> Option<RuleInfo> {
        let learned = self.learned.lock().unwrap_or_else(PoisonError::into_inner);
        let (listed, chain) = learned.get(&(canonical(to.ip()), plain.id.clone()))?;
        Some(RuleInfo { indicator: Some(listed.clone()), provenance: Some(chain.clone()), ..plain.clone() })
    }
}

impl RuleNames for RuleBook {
    fn rule(&self, _: u64, index: u32, met: Option<Met>) -> Option<RuleInfo> {
        let info = self.policy.rule(index)?;
        let plain = RuleInfo {
            id: info.id.clone(),
            feed: (info.source == RuleSource::Feed).then(|| info.id.clone()),
            indicator: None,
            provenance: None,
            class: (info.source == RuleSource::Feed).then(|| info.class.name()),
            action: info.action,
        };
        let Some(met) = met else { return Some(plain) };
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (index, met);
        if let Some(known) = found.get(&key) {
            return Some(known.clone());
        }
        let hit = explain::of_rule(&self.policy, index, &key.1);
        // Learned addresses come and go: not remembered here.
        if let (None, Met::To(to)) = (&hit, &key.1)
            && let Some(learned) = self.learned(*to, &plain)
        {
            return Some(learned);
        }
        let full = RuleInfo {
            indicator: hit.as_ref().map(|m| m.indicator.clone()),
            provenance: hit.and_then(|m| (!m.places.is_empty()).then(|| m.places.join(", "))),
            ..plain
        };
        if found.len() >= REMEMBERED {
            found.clear();
        }
        found.insert(key, full.clone());
        Some(full)
    }
}
