//! `miner-guard run`

use std::path::PathBuf;

use clap::Args;
use jiff::tz::TimeZone;
use miner_guard_common::abi::verdict::Mode;

use super::{CliError, Exit, Global, mode::parser, ui::Output};
use crate::{
    daemon::{self, RunOptions},
    sinks::{stream::Format, text::line::Line},
};

/// Arguments of `run`.
#[derive(Debug, Args)]
pub(super) struct RunArgs {
    /// Policy file [default: /etc/miner-guard/config.toml if there is one, else the built-in defaults]
    #[arg(long, value_name = "PATH")]
    config: Option<PathBuf>,
    /// audit: report what enforce would have done; enforce: do it [default: what the policy says]
    #[arg(long, value_parser = parser(), value_name = "MODE")]
    mode: Option<Mode>,
    /// Guard this cgroup and those below it [default: the whole host]
    #[arg(long, value_name = "PATH")]
    cgroup: Option<PathBuf>,
}

pub(super) fn run(global: &Global, args: &RunArgs) -> Result<Exit, CliError> {
    let format = match global.output {
        Output::Json => Format::Json,
        Output::Text => Format::Text(Line { colour: global.color.for_stdout(), zone: TimeZone::system() }),
    };
    daemon::run(RunOptions {
        config: args.config.clone(),
        mode: args.mode,
        cgroup: args.cgroup.clone(),
        state_dir: global.state_dir.clone(),
        socket: global.socket.clone(),
        pin_dir: global.pin_dir.clone(),
        format,
    })?;
    Ok(Exit::Done)
}
