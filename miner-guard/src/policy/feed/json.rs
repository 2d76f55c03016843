//! What the readers of JSON share: objects stay text until their turn comes, so that one that is wrong is one refused
//! row, and each knows its line.

use serde_json::value::RawValue;

/// Lines of objects, in the order of the text: each question goes on where the last one ended.
pub(super) struct Lines<'a> {
    text: &'a [u8],
    at: usize,
    line: usize,
}

impl<'a> Lines<'a> {
    pub fn of(text: &'a [u8]) -> Self {
        Self { text, at: 0, line: 1 }
    }

    /// The line on which a part of this text begins. An earlier one, or one of another text, is on the last line asked for.
    pub fn of_part(&mut self, part: &RawValue) -> usize {
        let at = (part.get().as_ptr() as usize).wrapping_sub(self.text.as_ptr() as usize);
        if let Some(between) = self.text.get(self.at..at) {
            self.line += memchr::memchr_iter(b'\n', between).count();
            self.at = at;
        }
        self.line
    }
}

/// What is wrong with a document that is no JSON, with its place.
pub(super) fn broken(e: &serde_json::Error) -> (usize, &'static str) {
    let why = match e.classify() {
        serde_json::error::Category::Eof => "JSON that breaks off",
        serde_json::error::Category::Syntax => "not valid JSON",
        _ => "JSON of another shape than its format wants",
    };
    (e.line(), why)
}
