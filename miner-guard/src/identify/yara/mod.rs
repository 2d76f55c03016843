//! YARA rules of the site: it knows programs that this one does not. Only where this was built with the feature `yara`;
//! elsewhere rules are refused, and nothing is linked.
//!
//! `files` (which, and what is in them) → [`Rules`] (compiled by `engine`) → evidence of a program that they match.
//!
//! What a match amounts to is the rule's to say, by a line in its `meta` section:
//!
//! | `miner_guard =` | class | in enforce mode |
//! |---|---|---|
//! | `"miner-binary"` | [`Class::MinerBinary`] | not run, or killed |
//! | `"hashing-heavy"` | [`Class::HashingHeavy`] | runs, and is told |
//! | `"weak"`, or no such line | [`Class::Suspect`] | runs; `scan` shows it |

#[cfg(feature = "yara")]
mod engine;
#[cfg(not(feature = "yara"))]
#[path = "absent.rs"]
mod engine;
mod files;
#[cfg(feature = "yara")]
#[cfg(test)]
mod tests;

use super::{Class, Evidence, Kind, Strength};
use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

pub use files::named;

/// Whether this program can use rules.
pub const BUILT: bool = cfg!(feature = "yara");
/// What is said where it cannot, and what to do.
pub const NOT_BUILT: (&str, &str) = (
    "this miner-guard was built without YARA",
    "build it with `cargo build --release -p miner-guard --features yara`, or leave the rules out",
);

/// The first bytes of a program, or of what UPX packed in it, that rules see.
pub(super) const MOST: usize = 64 << 20;

/// What is wrong with rules, where, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// The rule file.
    pub file: PathBuf,
    /// From 1; 0: the whole file.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// What is wrong.
    pub problem: String,
    /// What to do.
    pub remedy: String,
}

impl Trouble {
    fn of(file: &Path, problem: impl Into<String>, remedy: &str) -> Self {
        Self { file: file.to_owned(), line: 0, column: 0, problem: problem.into(), remedy: remedy.to_owned() }
    }
}

/// Rules, ready to be matched by many threads.
pub struct Rules {
    engine: engine::Engine,
    digest: [u8; 32],
    files: Vec<PathBuf>,
    warnings: Vec<String>,
}

impl fmt::Debug for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rules").field("files", &self.files).finish_non_exhaustive()
    }
}

/// One rule that matched.
struct Match {
    rule: String,
    file: String,
    class: Class,
    strength: Strength,
    /// What its author says of it.
    description: Option<String>,
    /// Names of its strings, and where each was found.
    strings: Vec<(String, Vec<usize>)>,
}

impl Rules {
    /// Reads and compiles rule files. Those that are what `before` was made of are not compiled again.
    ///
    /// # Errors
    /// Everything that is wrong with them; that this program cannot use rules.
    pub fn load(files: &[PathBuf], before: Option<&Arc<Self>>) -> Result<Arc<Self>, Vec<Trouble>> {
        if !BUILT {
            let first = files.first().map(PathBuf::as_path).unwrap_or(Path::new(""));
            return Err(vec![Trouble::of(first, NOT_BUILT.0, NOT_BUILT.1)]);
        }
        let texts = files::read(files)?;
        let digest = files::digest(&texts);
        if let Some(before) = before.filter(|b| b.digest == digest) {
            return Ok(Arc::clone(before));
        }
        let (engine, warnings) = engine::Engine::compile(&texts)?;
        Ok(Arc::new(Self { engine, digest, files: files.to_vec(), warnings }))
    }

    /// SHA-256 over the names and contents of the files: another one, another set of rules.
    #[must_use]
    pub const fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    /// The files.
    #[must_use]
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// What is no error and should be known, such as a pattern that makes matching slow.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// What the rules say of a program's bytes. `image` says which bytes, when they are not the file's own
    /// (` in the unpacked image`).
    pub(super) fn judge(&self, bytes: &[u8], image: &str) -> (Class, Vec<Evidence>) {
        let bytes = bytes.get(..MOST).unwrap_or(bytes);
        let matches = match self.engine.look(bytes) {
            Ok(matches) => matches,
            Err(why) => {
                let text = format!("the site's YARA rules {why}{image}: whether they match is not known");
                return (Class::Suspect, vec![Evidence::new(Kind::Reading, Strength::Weak, text)]);
            }
        };
        let class = matches.iter().map(|m| m.class).max().unwrap_or(Class::Clean);
        let evidence =
            matches.iter().map(|m| Evidence::new(Kind::SiteRule, m.strength, m.sentence(image))).collect();
        (class, evidence)
    }
}

impl Match {
    /// `rule x of /etc/rules/a.yar: $a at 0x1f0 and 0x200, $b at 0x7`.
    fn sentence(&self, image: &str) -> String {
        /// Strings that are named, and places of each.
        const SHOWN: usize = 4;
        let mut out = format!("rule {} of {}", self.rule, self.file);
        if let Some(description) = &self.description {
            out.push_str(&format!(" ({description})"));
        }
        for (n, (name, places)) in self.strings.iter().take(SHOWN).enumerate() {
            out.push_str(if n == 0 { ": " } else { ", " });
            let first: Vec<_> = places.iter().take(SHOWN).map(|at| format!("{at:#x}")).collect();
            out.push_str(&format!("{name} at {}", first.join(" and ")));
            if places.len() > SHOWN {
                out.push_str(" and more");
            }
        }
        if self.strings.len() > SHOWN {
            out.push_str(&format!(" and {} more strings", self.strings.len() - SHOWN));
        }
        out.push_str(image);
        out
    }
}
