//! `miner-guard man`

use std::path::PathBuf;

use clap::{Args, CommandFactory};

use super::{CliError, Exit, ui::Ui};

/// Arguments of `man`.
#[derive(Debug, Args)]
pub(super) struct ManArgs {
    /// Write one page per command here instead
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

pub(super) fn run<C: CommandFactory>(args: &ManArgs, ui: &mut Ui) -> Result<Exit, CliError> {
    match &args.dir {
        Some(dir) => clap_mangen::generate_to(C::command(), dir).map_err(|source| CliError::File {
            what: "writing manual pages into",
            path: dir.display().to_string(),
            source,
        })?,
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(C::command()).render(&mut page)?;
            ui.raw(&page)?;
        }
    }
    Ok(Exit::Done)
}
