//! `miner-guard unload`

use std::path::Path;

use clap::Args;
use serde::Serialize;

use super::{
    CliError, Exit, Global,
    table::{self, count, plain},
    ui::Ui,
};
use crate::{
    kernel::{KernelError, pins::Pins, preflight},
    sinks::text::colour::Colour,
};

/// Arguments of `unload`.
#[derive(Debug, Args)]
pub(super) struct UnloadArgs {
    /// Also what other versions of the guard have left
    #[arg(long)]
    all: bool,
}

/// What was done.
#[derive(Debug, Serialize)]
struct Unloaded<'a> {
    /// Hooks that were in force.
    hooks: usize,
    pin_dir: &'a Path,
}

pub(super) fn run(global: &Global, args: &UnloadArgs, ui: &mut Ui) -> Result<Exit, CliError> {
    preflight::permitted()?;
    let pins = Pins::at(&global.pin_dir);
    let run_dir = global.socket.parent().unwrap_or(Path::new("/"));
    // The lock: a guard that runs would go on without its hooks and say that it guards.
    let _lock = pins.lock(run_dir).map_err(|e| match e {
        KernelError::AlreadyRunning { pin_dir, .. } => CliError::NotAsRequired(format!(
            "a guard runs on {pin_dir}: stop it first (`systemctl stop miner-guard`, or Ctrl-C where it was started); \
             unload is for what a guard has left behind"
        )),
        e => e.into(),
    })?;
    let unloaded = Unloaded { hooks: pins.remove(args.all)?, pin_dir: &global.pin_dir };
    ui.show(&unloaded, text)?;
    Ok(Exit::Done)
}

fn text(unloaded: &Unloaded<'_>, colour: Colour) -> String {
    let at = unloaded.pin_dir.display();
    let said = match u64::try_from(unloaded.hooks).unwrap_or(u64::MAX) {
        0 => format!("nothing was in force at {at}"),
        n => format!("{} removed from {at}: nothing is checked any more", count(n, "hook")),
    };
    table::rows(&[vec![plain(said)]], colour)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_removed_is_said() {
        let text = |hooks| text(&Unloaded { hooks, pin_dir: Path::new("/p\n") }, Colour::NEVER);
        assert_eq!(text(0), "nothing was in force at /p\\n\n");
        assert_eq!(text(6), "6 hooks removed from /p\\n: nothing is checked any more\n");
    }
}
