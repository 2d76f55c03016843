//! SHA-256 and MD5 of a file, for lists of known miners.

use super::{Skip, source::Source};
use md5::Md5;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use std::{fmt::Write as _, fs::File};

/// Digests of a file, from one reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Digests {
    /// SHA-256, if it was wanted.
    pub sha256: Option<[u8; 32]>,
    /// MD5, if it was wanted: many lists of malware know no other.
    pub md5: Option<[u8; 16]>,
    /// Whether the file's change time moved while it was read: unless a process ran it all the while, these may be of
    /// a mixture of two states.
    #[serde(skip)]
    pub changed: bool,
}

/// Which digests to make. MD5 takes several times as long as SHA-256 where the processor has instructions for that.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// SHA-256
    pub sha256: bool,
    /// MD5
    pub md5: bool,
}

impl Wanted {
    /// Only SHA-256.
    pub const SHA256: Self = Self { sha256: true, md5: false };
    /// Both.
    pub const BOTH: Self = Self { sha256: true, md5: true };
}

impl Digests {
    /// Reads a file. It may be larger than what identification reads: a list may name any.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn of(file: &File, wanted: Wanted) -> Result<Self, Skip> {
        let source = Source::new(file)?;
        let (mut sha256, mut md5) = (wanted.sha256.then(Sha256::new), wanted.md5.then(Md5::new));
        source.read_all(|bytes| {
            if let Some(sha256) = &mut sha256 {
                sha256.update(bytes);
            }
            if let Some(md5) = &mut md5 {
                md5.update(bytes);
            }
        })?;
        Ok(Self {
            sha256: sha256.map(|d| d.finalize().into()),
            md5: md5.map(|d| d.finalize().into()),
            changed: source.changed()?,
        })
    }
}

/// A digest as people write it.
pub fn hex(digest: &[u8]) -> String {
    digest.iter().fold(String::new(), |mut out, byte| {
        // Writing to a String cannot fail.
        let _ = write!(out, "{byte:02x}");
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    #[test]
    fn digests_are_those_of_the_standards() {
        let mut file = File::from(rustix::fs::memfd_create("abc", rustix::fs::MemfdFlags::CLOEXEC).unwrap());
        file.write_all(b"abc").unwrap();
        let digests = Digests::of(&file, Wanted::BOTH).unwrap();
        assert_eq!(
            hex(&digests.sha256.unwrap()),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert_eq!(hex(&digests.md5.unwrap()), "900150983cd24fb0d6963f7d28e17f72");
    }

    #[test]
    fn zeros_in_a_hole_count_as_any_other_bytes() {
        let file = File::from(rustix::fs::memfd_create("hole", rustix::fs::MemfdFlags::CLOEXEC).unwrap());
        file.set_len(1 << 20).unwrap();
        let mut whole = Sha256::new();
        whole.update(vec![0; 1 << 20]);
        let digests = Digests::of(&file, Wanted::SHA256).unwrap();
        assert_eq!(digests.sha256, Some(<[u8; 32]>::from(whole.finalize())));
        assert_eq!(digests.md5, None);
    }
}
