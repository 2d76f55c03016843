//! Colour, where it helps and nowhere else.

use std::{env, io::IsTerminal};

/// What a colour says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// Something was stopped.
    Stopped,
    /// Look at this: audit, alert, not stopped.
    Attention,
    /// The guard lost something or failed.
    Trouble,
    /// All is well.
    Calm,
    /// Less important.
    Dim,
    /// The key words of a line.
    Strong,
}

impl Tone {
    const fn code(self) -> &'static str {
        match self {
            Self::Stopped => "\x1b[1;31m",
            Self::Attention => "\x1b[33m",
            Self::Trouble => "\x1b[1;35m",
            Self::Calm => "\x1b[32m",
            Self::Dim => "\x1b[2m",
            Self::Strong => "\x1b[1m",
        }
    }
}

/// Whether to colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Colour(bool);

impl Colour {
    /// Never.
    pub const NEVER: Self = Self(false);
    /// Always.
    pub const ALWAYS: Self = Self(true);

    /// On a terminal that can show it, unless `NO_COLOR` is set to something.
    #[must_use]
    pub fn for_stream(stream: &impl IsTerminal) -> Self {
        Self::decide(stream.is_terminal(), env::var_os("NO_COLOR").as_deref(), env::var_os("TERM").as_deref())
    }

    fn decide(terminal: bool, no_color: Option<&std::ffi::OsStr>, term: Option<&std::ffi::OsStr>) -> Self {
        Self(terminal && no_color.is_none_or(|v| v.is_empty()) && term.is_some_and(|t| t != "dumb"))
    }

    /// Paints a clean string.
    #[must_use]
    pub fn paint(self, tone: Tone, clean: &str) -> String {
        if self.0 { format!("{}{clean}\x1b[0m", tone.code()) } else { clean.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsStr;

    #[test]
    fn colour_needs_a_terminal_that_can_and_a_user_who_does_not_mind() {
        let xterm = Some(OsStr::new("xterm"));
        assert_eq!(Colour::decide(true, None, xterm), Colour::ALWAYS);
        assert_eq!(Colour::decide(true, Some(OsStr::new("")), xterm), Colour::ALWAYS);
        assert_eq!(Colour::decide(true, Some(OsStr::new("1")), xterm), Colour::NEVER);
        assert_eq!(Colour::decide(false, None, xterm), Colour::NEVER);
        assert_eq!(Colour::decide(true, None, Some(OsStr::new("dumb"))), Colour::NEVER);
        assert_eq!(Colour::decide(true, None, None), Colour::NEVER);
    }

    #[test]
    fn paint_closes_what_it_opens() {
        assert_eq!(Colour::ALWAYS.paint(Tone::Dim, "x"), "\x1b[2mx\x1b[0m");
        assert_eq!(Colour::NEVER.paint(Tone::Dim, "x"), "x");
    }
}
