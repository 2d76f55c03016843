//! `miner-guard mode [audit|enforce]`

use clap::{
    Args,
    builder::{PossibleValuesParser, TypedValueParser as _},
};
use miner_guard_common::abi::verdict::Mode;

use super::{CliError, Exit, Global, status::mode_cell, table, ui::Ui};
use crate::{api::control::ModeReply, sinks::text::colour::Colour};

/// Arguments of `mode`.
#[derive(Debug, Args)]
pub(super) struct ModeArgs {
    /// audit: report what enforce would have done; enforce: do it
    #[arg(value_parser = parser(), value_name = "MODE")]
    mode: Option<Mode>,
}

/// Reads a mode by its name; for `run --mode` too.
pub(super) fn parser() -> impl clap::builder::TypedValueParser<Value = Mode> {
    let names = Mode::ALL.iter().map(|mode| mode.name());
    PossibleValuesParser::new(names)
        .map(|name| Mode::ALL.iter().copied().find(|mode| mode.name() == name).unwrap_or(Mode::Audit))
}

pub(super) fn run(global: &Global, args: &ModeArgs, ui: &mut Ui) -> Result<Exit, CliError> {
    let client = global.client();
    let reply = match args.mode {
        Some(mode) => client.set_mode(mode)?,
        None => client.mode()?,
    };
    ui.show(&reply, |reply, colour| text(reply, args.mode.is_some(), colour))?;
    Ok(Exit::Done)
}

fn text(reply: &ModeReply, asked: bool, colour: Colour) -> String {
    let what = match (asked, reply.changed) {
        (false, _) => "".to_owned(),
        (true, true) => format!("in force since generation {}", reply.generation),
        (true, false) => "already; nothing changed".to_owned(),
    };
    table::rows(&[vec![mode_cell(reply.mode), table::plain(what)]], colour)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mode_is_one_word_and_a_change_says_since_when() {
        let reply = ModeReply { mode: Mode::Enforce, generation: 8, changed: true };
        assert_eq!(text(&reply, false, Colour::NEVER), "enforce\n");
        assert_eq!(text(&reply, true, Colour::NEVER), "enforce  in force since generation 8\n");
        let same = ModeReply { changed: false, ..reply };
        assert_eq!(text(&same, true, Colour::NEVER), "enforce  already; nothing changed\n");
    }
}
