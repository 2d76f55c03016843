//! `miner-guard completions SHELL`

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::{CliError, Exit, ui::Ui};

/// Arguments of `completions`.
#[derive(Debug, Args)]
pub(super) struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

pub(super) fn run<C: CommandFactory>(args: &CompletionsArgs, ui: &mut Ui) -> Result<Exit, CliError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut C::command(), "miner-guard", &mut script);
    ui.raw(&script)?;
    Ok(Exit::Done)
}
