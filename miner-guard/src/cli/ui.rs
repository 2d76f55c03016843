//! What commands print, and how.

use std::io::{self, BufWriter, Write};

use clap::ValueEnum;
use serde::Serialize;

use super::CliError;
use crate::sinks::{json, text::colour::Colour};

/// Who reads the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// People
    Text,
    /// Programs: one JSON object, or one a line
    Json,
}

/// When to colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    /// Even into a file
    Always,
    /// Not at all
    Never,
}

impl Color {
    /// The decision for stdout.
    #[must_use]
    pub fn for_stdout(self) -> Colour {
        match self {
            Self::Auto => Colour::for_stream(&io::stdout()),
            Self::Always => Colour::ALWAYS,
            Self::Never => Colour::NEVER,
        }
    }
}

/// Stdout, as a command uses it. A closed pipe is an error here, never a panic.
pub struct Ui {
    output: Output,
    colour: Colour,
    out: Box<dyn Write>,
}

impl Ui {
    pub(super) fn new(output: Output, color: Color) -> Self {
        Self::onto(output, color.for_stdout(), Box::new(BufWriter::new(io::stdout())))
    }

    pub(super) fn onto(output: Output, colour: Colour, out: Box<dyn Write>) -> Self {
        Self { output, colour, out }
    }

    /// For programs?
    pub(super) fn json(&self) -> bool {
        self.output == Output::Json
    }

    pub(super) fn colour(&self) -> Colour {
        self.colour
    }

    /// The answer of a command, for whoever reads it.
    pub(super) fn show<T: Serialize>(
        &mut self,
        answer: &T,
        text: impl FnOnce(&T, Colour) -> String,
    ) -> Result<(), CliError> {
        if self.json() {
            json::value(&mut self.out, answer)?;
            self.out.write_all(b"\n")?;
        } else {
            let text = text(answer, self.colour);
            self.out.write_all(text.as_bytes())?;
        }
        Ok(())
    }

    /// Bytes as they are: a completion script, a manual page.
    pub(super) fn raw(&mut self, bytes: &[u8]) -> Result<(), CliError> {
        Ok(self.out.write_all(bytes)?)
    }

    /// One clean line, seen at once.
    pub(super) fn line(&mut self, clean: &str) -> Result<(), CliError> {
        writeln!(self.out, "{clean}")?;
        self.finish()
    }

    pub(super) fn finish(&mut self) -> Result<(), CliError> {
        Ok(self.out.flush()?)
    }
}
