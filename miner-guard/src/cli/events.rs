//! `miner-guard events --follow`

use clap::Args;

use super::{CliError, Exit, Global, ui::Ui};
use crate::{api::client::Look, sinks::text::colour::Colour};

/// Arguments of `events`.
#[derive(Debug, Args)]
pub(super) struct EventsArgs {
    /// Show events from now on, until the guard stops
    // Required: without a store there are no events of the past, and an empty answer would look like peace.
    #[arg(short, long, required = true)]
    follow: bool,
    /// Stop after so many events
    #[arg(short = 'n', long, value_name = "N")]
    count: Option<u64>,
}

pub(super) fn run(global: &Global, args: &EventsArgs, ui: &mut Ui) -> Result<Exit, CliError> {
    let look = match (ui.json(), ui.colour()) {
        (true, _) => Look::Json,
        (false, Colour::NEVER) => Look::Text,
        (false, _) => Look::Coloured,
    };
    let mut events = global.client().events(look)?;
    let mut left = args.count;
    while left != Some(0) {
        // The guard made the line harmless; its peer user was checked.
        let Some(line) = events.next(None)? else {
            return Err(CliError::NotAsRequired("the guard has stopped".into()));
        };
        ui.line(&line)?;
        left = left.map(|n| n - 1);
    }
    Ok(Exit::Done)
}
