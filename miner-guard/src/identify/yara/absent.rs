//! In place of `engine` where this was built without the feature `yara`: there are no rules.

use super::{Match, NOT_BUILT, Trouble, files::Text};

/// None can be made.
pub enum Engine {}

impl Engine {
    pub fn compile(texts: &[Text]) -> Result<(Self, Vec<String>), Vec<Trouble>> {
        Err(texts.iter().map(|t| Trouble::of(&t.file, NOT_BUILT.0, NOT_BUILT.1)).collect())
    }

    pub fn look(&self, _: &[u8]) -> Result<Vec<Match>, String> {
        match *self {}
    }
}
