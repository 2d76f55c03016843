//! What is known of files, kept over a restart: else every program would be read again at its next start.
//!
//! Only what the guard found out by itself is kept, with the version of the rules and the lists of files that it was found
//! under; with another of either, nothing is. A file that changed meanwhile has another identity and is looked at anew.

use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use miner_guard_common::abi::{
    file::{FileId, FileVerdict, LOADER},
    verdict::{Reason, Verdict},
};
use sha2::{Digest as _, Sha256};
use zerocopy::{FromBytes as _, IntoBytes as _};

use crate::identify::RULES_VERSION;

/// A file and what is known of it.
pub type Known = (FileId, FileVerdict);

const NAME: &str = "files";
const MAGIC: [u8; 8] = *b"mg-files";
/// Magic, version of the rules (4 bytes, little-endian), fingerprint of the lists of files (32).
const HEADER: usize = 8 + 4 + 32;
const ID: usize = size_of::<FileId>();
const ROW: usize = ID + size_of::<FileVerdict>();
/// SHA-256 of all before it.
const SUM: usize = 32;
/// As many as the kernel's tables hold.
const MOST: usize = 65536 + 32768;
/// How often new knowledge is written while the guard runs; after a crash the rest is found out anew.
const EVERY: Duration = Duration::from_secs(600);

/// Where it is kept, and whether something new is to be written.
#[derive(Debug)]
pub struct Keeper {
    path: PathBuf,
    changed: bool,
    written: Instant,
}

impl Keeper {
    /// In a state directory.
    pub fn at(state_dir: &Path) -> Self {
        Self { path: state_dir.join(NAME), changed: false, written: Instant::now() }
    }

    /// Something new is known.
    pub fn changed(&mut self) {
        self.changed = true;
    }

    /// Whether it is time to write.
    pub fn is_due(&self) -> bool {
        self.changed && self.written.elapsed() >= EVERY
    }

    /// What was kept under these lists; nothing when there is none, or it was kept under another. Damage is told, and
    /// costs no more than looking at the files again.
    pub fn read(&self, fingerprint: &[u8; 32]) -> Vec<Known> {
        const MOST_BYTES: u64 = (HEADER + MOST * ROW + SUM) as u64;
        let bytes = match fs::metadata(&self.path).map(|meta| meta.len()) {
            Ok(len) if len <= MOST_BYTES => fs::read(&self.path),
            Ok(_) => Err(io::Error::other("it is larger than it can be")),
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Vec::new(),
            Err(e) => Err(e),
        };
        match bytes.map(|bytes| parse(&bytes, fingerprint)) {
            Ok(Some(known)) => known,
            Ok(None) => {
                tracing::warn!("{} is damaged: every program is looked at anew", self.path.display());
                Vec::new()
            }
            Err(e) => {
                tracing::warn!("{}: {e}: every program is looked at anew", self.path.display());
                Vec::new()
            }
        }
    }

    /// Writes what is known, in place of what was kept before.
    pub fn write(&mut self, fingerprint: &[u8; 32], known: &[Known]) {
        (self.changed, self.written) = (false, Instant::now());
        if let Err(e) = self.replace(&format(fingerprint, known)) {
            tracing::warn!("{}: {e}: programs will be looked at anew after a restart", self.path.display());
        }
    }

    fn replace(&self, bytes: &[u8]) -> io::Result<()> {
        if let Some(dir) = self.path.parent() {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        }
        // Renamed into place as a whole: a stop in the middle leaves the old one.
        let new = self.path.with_extension("new");
        let mut file = fs::File::options().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        io::Write::write_all(&mut file, bytes)?;
        fs::rename(&new, &self.path)
    }
}

/// Whether the guard found this out by itself, under today's rules: what a policy says is not kept.
fn is_own(verdict: &FileVerdict) -> bool {
    let reason = Reason::from_byte(verdict.reason);
    let agrees = match Verdict::from_byte(verdict.verdict) {
        Some(Verdict::Allow) => reason == Some(Reason::None),
        Some(Verdict::Alert) => reason == Some(Reason::HashingHeavy),
        Some(Verdict::Deny) => reason == Some(Reason::MinerBinary),
        _ => false,
    };
    agrees && verdict.rule == 0 && verdict.flags & !LOADER == 0 && verdict.version == RULES_VERSION
}

fn format(fingerprint: &[u8; 32], known: &[Known]) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER + known.len() * ROW + SUM);
    out.extend(MAGIC);
    out.extend(RULES_VERSION.to_le_bytes());
    out.extend(fingerprint);
    for (id, verdict) in known.iter().filter(|(_, verdict)| is_own(verdict)).take(MOST) {
        out.extend(id.as_bytes());
        out.extend(verdict.as_bytes());
    }
    let sum = Sha256::digest(&out);
    out.extend(sum);
    out
}

/// `None` for damage; an empty list when it was kept under other rules or another policy.
fn parse(bytes: &[u8], fingerprint: &[u8; 32]) -> Option<Vec<Known>> {
    let (content, sum) = bytes.split_last_chunk::<SUM>()?;
    let (header, rows) = content.split_first_chunk::<HEADER>()?;
    let (rows, rest) = rows.as_chunks::<ROW>();
    if !header.starts_with(&MAGIC) || !rest.is_empty() || Sha256::digest(content)[..] != sum[..] {
        return None;
    }
    if header[8..12] != RULES_VERSION.to_le_bytes() || header[12..] != fingerprint[..] {
        return Some(Vec::new());
    }
    rows.iter()
        .map(|row| {
            let (id, verdict) = row.split_at(ID);
            Some((FileId::read_from_bytes(id).ok()?, FileVerdict::read_from_bytes(verdict).ok()?))
        })
        .filter(|row| row.as_ref().is_none_or(|(_, verdict)| is_own(verdict)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LISTS: [u8; 32] = [7; 32];

    fn file(ino: u64) -> FileId {
        FileId { ino, ctime_sec: 1, size: 2, ctime_nsec: 3, dev: 4 }
    }

    fn verdict(verdict: Verdict, reason: Reason) -> FileVerdict {
        FileVerdict {
            verdict: verdict as u8,
            reason: reason as u8,
            version: RULES_VERSION,
            ..FileVerdict::default()
        }
    }

    fn own() -> Vec<Known> {
        vec![
            (file(1), verdict(Verdict::Allow, Reason::None)),
            (file(2), verdict(Verdict::Alert, Reason::HashingHeavy)),
            (file(3), verdict(Verdict::Deny, Reason::MinerBinary)),
            (file(4), FileVerdict { flags: LOADER, ..verdict(Verdict::Allow, Reason::None) }),
        ]
    }

    #[test]
    fn what_was_found_out_is_known_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let mut keeper = Keeper::at(&dir.path().join("state"));
        assert_eq!(keeper.read(&LISTS), []);
        keeper.write(&LISTS, &own());
        assert_eq!(Keeper::at(&dir.path().join("state")).read(&LISTS), own());
    }

    #[test]
    fn under_other_lists_or_other_rules_nothing_is_known() {
        let mut bytes = format(&LISTS, &own());
        assert_eq!(parse(&bytes, &[8; 32]), Some(Vec::new()));
        bytes[8] ^= 1;
        let at = bytes.len() - SUM;
        let sum = Sha256::digest(&bytes[..at]);
        bytes[at..].copy_from_slice(&sum);
        assert_eq!(parse(&bytes, &LISTS), Some(Vec::new()));
    }

    #[test]
    fn what_the_policy_said_is_not_kept() {
        let listed = [
            (file(1), FileVerdict { rule: 3, ..verdict(Verdict::Deny, Reason::FileHash) }),
            (file(2), FileVerdict { flags: 1, ..verdict(Verdict::Allow, Reason::Exempt) }),
            (file(3), FileVerdict { version: RULES_VERSION + 1, ..verdict(Verdict::Allow, Reason::None) }),
        ];
        assert_eq!(parse(&format(&LISTS, &listed), &LISTS), Some(Vec::new()));
    }

    #[test]
    fn a_damaged_file_is_not_believed() {
        let bytes = format(&LISTS, &own());
        for cut in 0..bytes.len() {
            assert_eq!(parse(&bytes[..cut], &LISTS), None, "{cut}");
        }
        for at in 0..bytes.len() {
            let mut bytes = bytes.clone();
            bytes[at] ^= 1;
            assert_eq!(parse(&bytes, &LISTS), None, "{at}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
            prop_assert_eq!(parse(&bytes, &LISTS), None);
        }
    }
}
