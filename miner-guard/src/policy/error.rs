//! What is wrong with a policy, where, and what to do about it.

use crate::identify::yara;
use std::{fmt, path::PathBuf};

/// A place in a file; both count from 1, columns in characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Line; 0 if the whole file is meant.
    pub line: usize,
    /// Column.
    pub column: usize,
}

/// One error in a policy. Its text is one line: `file:line:column: key: problem; remedy`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyError {
    /// The file as the operator named it.
    pub file: PathBuf,
    /// Where in it.
    pub place: Place,
    /// The key, with the rule or feed that holds it; empty for syntax errors.
    pub key: String,
    /// What is wrong.
    pub problem: String,
    /// What to do.
    pub remedy: String,
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display().to_string().escape_debug())?;
        if self.place.line > 0 {
            write!(f, ":{}:{}", self.place.line, self.place.column)?;
        }
        write!(f, ": ")?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        write!(f, "{}; {}", self.problem, self.remedy)
    }
}

impl std::error::Error for PolicyError {}

impl From<yara::Trouble> for PolicyError {
    fn from(t: yara::Trouble) -> Self {
        let place = Place { line: t.line, column: t.column };
        Self { file: t.file, place, key: String::new(), problem: t.problem, remedy: t.remedy }
    }
}
