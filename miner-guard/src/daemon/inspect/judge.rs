//! What is to be done about a file.

use std::{fs::File, path::Path};

use miner_guard_common::abi::{
    file::{EXEMPT, FileVerdict},
    verdict::{Reason, Verdict},
};

use super::file::open;
use crate::{
    daemon::rules::FileRules,
    event::model::Finding,
    identify::{self, Class, Digests, Evidence, Identifier, Kind, digest::Wanted, hex},
};

/// What was decided of a file.
#[derive(Debug)]
pub struct Judged {
    pub verdict: Verdict,
    pub reason: Reason,
    pub rule: u32,
    pub evidence: Vec<String>,
    pub sha256: Option<String>,
    /// Decided without its hashes, which take longer than all the rest.
    hashes_pending: bool,
}

impl Judged {
    pub fn clean() -> Self {
        Self {
            verdict: Verdict::Allow,
            reason: Reason::None,
            rule: 0,
            evidence: Vec::new(),
            sha256: None,
            hashes_pending: false,
        }
    }

    /// Nothing to tell of it.
    pub fn is_nothing(&self) -> bool {
        self.verdict == Verdict::Allow
    }

    /// It runs, and not because the allowlist says so.
    pub fn lets_go_unnamed(&self) -> bool {
        self.is_nothing() && self.reason != Reason::Exempt
    }

    pub fn to_keep(&self) -> FileVerdict {
        FileVerdict {
            verdict: self.verdict as u8,
            reason: self.reason as u8,
            flags: if self.reason == Reason::Exempt { EXEMPT } else { 0 },
            rule: self.rule,
            version: identify::RULES_VERSION,
            pad: 0,
        }
    }

    /// What to tell of a start of it.
    pub fn into_finding(self, exempt: bool, killed: bool) -> Option<Finding> {
        if self.is_nothing() {
            return None;
        }
        Some(Finding {
            verdict: if exempt { Verdict::Allow } else { self.verdict },
            reason: if exempt { Reason::Exempt } else { self.reason },
            evidence: self.evidence,
            sha256: self.sha256,
            killed,
        })
    }

    /// The same, with the file's SHA-256, and with the rule that lists it, if one does.
    pub fn with_hashes(self, rules: &FileRules, file: &File) -> Self {
        if !self.hashes_pending {
            return self;
        }
        let by_list = listed(rules, file);
        if by_list.verdict.stops() {
            return Self { evidence: [by_list.evidence, self.evidence].concat(), ..by_list };
        }
        let sha256 = Digests::of(file, Wanted::SHA256).ok().and_then(|d| d.sha256).map(|d| hex(&d));
        Self { sha256, hashes_pending: false, ..self }
    }
}

/// What the lists say of a file.
pub fn listed(rules: &FileRules, file: &File) -> Judged {
    // Of the open file: the process may be gone, and with it `/proc/PID/exe`.
    match rules.look_up(&super::file::path(file), file) {
        Some(listed) => Judged {
            verdict: listed.verdict,
            reason: listed.reason,
            rule: listed.rule,
            evidence: vec![listed.evidence],
            sha256: listed.sha256,
            hashes_pending: false,
        },
        None => Judged::clean(),
    }
}

/// Whether rules of the site gave no answer.
fn unfinished(e: &Evidence) -> bool {
    e.kind == Kind::Reading && e.text.contains("YARA")
}

/// What is to be done about a file. A miner is not hashed when no list could spare it: it runs meanwhile.
pub fn judge(identifier: &Identifier, rules: &FileRules, file: &File) -> Judged {
    let path = super::file::path(file);
    let (verdict, reason, evidence) = match identifier.identify_with(file, rules.yara()) {
        Ok(found) => {
            if let Some(e) = found.evidence.iter().find(|e| unfinished(e)) {
                tracing::warn!("{}: {}", path.display(), e.text);
            }
            let (verdict, reason) = match found.class {
                Class::MinerBinary => (Verdict::Deny, Reason::MinerBinary),
                Class::HashingHeavy => (Verdict::Alert, Reason::HashingHeavy),
                // Honest programs are packed too, and honest scripts speak of miners: it runs, unreported.
                Class::Packed | Class::Suspect | Class::Clean => (Verdict::Allow, Reason::None),
            };
            (verdict, reason, found.evidence.into_iter().map(|e| e.text).collect())
        }
        // Not an ELF file, or unreadable: nothing is known, so it runs.
        Err(_) => (Verdict::Allow, Reason::None, Vec::new()),
    };
    if verdict.stops() && !rules.may_spare(&path) {
        return Judged { verdict, reason, evidence, hashes_pending: true, ..Judged::clean() };
    }
    let by_list = listed(rules, file);
    if by_list.verdict != Verdict::Allow || by_list.reason == Reason::Exempt || verdict == Verdict::Allow {
        return by_list;
    }
    Judged { verdict, reason, evidence, hashes_pending: true, ..Judged::clean() }
}

/// What would be decided of a program, and why.
#[derive(Debug)]
pub struct Explained {
    /// What enforce would do.
    pub verdict: Verdict,
    /// Which question decided.
    pub reason: Reason,
    /// Index of the rule, 0 for the guard's own identification.
    pub rule: u32,
    /// Sentences.
    pub evidence: Vec<String>,
}

/// Answers for a file what an inspection would, without consequences.
pub fn explain(rules: &FileRules, path: &Path) -> std::io::Result<Explained> {
    let file = open(path).ok_or_else(|| std::io::Error::other("it cannot be read, or is no regular file"))?;
    let judged = judge(&Identifier::new(), rules, &file).with_hashes(rules, &file);
    let mut evidence = judged.evidence;
    if evidence.is_empty() {
        evidence.push("nothing in it says miner".into());
    }
    Ok(Explained { verdict: judged.verdict, reason: judged.reason, rule: judged.rule, evidence })
}

/// Whether the allowlist names this file, by its path or content.
pub fn exempt(rules: &FileRules, exe: &Path) -> bool {
    let Some(file) = open(exe) else { return false };
    let path = std::fs::read_link(exe).unwrap_or_default();
    rules.look_up(&path, &file).is_some_and(|listed| listed.reason == Reason::Exempt)
}

#[cfg(feature = "yara")]
#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{self, LoadRequest};
    use std::{fs, io::Write as _};

    const ELF: &[u8] = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x3e\0";

    #[test]
    fn a_rule_of_the_site_decides_of_a_program_as_its_meta_section_says() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("config.toml");
        fs::write(&file, "builtin = false\n[identify]\nyara = \"*.yar\"\n").unwrap();
        let mut program = tempfile::tempfile().unwrap();
        program.write_all(&[ELF, &[b'-'; 128], b"the wanted program"].concat()).unwrap();
        let lists = |meaning: &str| {
            let rule = format!("rule a {{ meta: {meaning} strings: $a = \"wanted program\" condition: $a }}");
            fs::write(dir.path().join("a.yar"), rule).unwrap();
            FileRules::of(&policy::load(&LoadRequest { file: Some(&file), ..Default::default() }).unwrap())
        };
        let mut prints = Vec::new();
        for (meaning, verdict, reason) in [
            ("miner_guard = \"miner-binary\"", Verdict::Deny, Reason::MinerBinary),
            ("miner_guard = \"hashing-heavy\"", Verdict::Alert, Reason::HashingHeavy),
            ("miner_guard = \"weak\"", Verdict::Allow, Reason::None),
            ("author = \"x\"", Verdict::Allow, Reason::None),
        ] {
            let lists = lists(meaning);
            let judged = judge(&Identifier::new(), &lists, &program);
            assert_eq!((judged.verdict, judged.reason), (verdict, reason), "{meaning}");
            assert_eq!(judged.evidence.len(), usize::from(verdict != Verdict::Allow), "{judged:?}");
            prints.push(lists.fingerprint());
        }
        // What was found out under one of them is not believed under another.
        prints.push(FileRules::default().fingerprint());
        prints.sort_unstable();
        prints.dedup();
        assert_eq!(prints.len(), 5);
    }
}
