//! The command line: one file per subcommand.
//!
//! Every command returns an [`Exit`] or a [`CliError`]; both meet their exit status and their words in `error`.

mod cases;
mod check;
mod completions;
mod doctor;
mod error;
mod events;
mod explain;
mod feed;
mod isolate;
mod man;
mod mode;
mod policy;
mod replay;
mod run;
mod scan;
mod status;
mod table;
mod test;
mod ui;
mod unload;

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, Parser, Subcommand};

pub use error::{CliError, Exit};
use ui::{Color, Output, Ui};

use crate::api::client::Client;

/// Denies connections to mining pools and stops miners, in the kernel
#[derive(Debug, Parser)]
#[command(name = "miner-guard", version, max_term_width = 110, propagate_version = true)]
#[command(after_help = "Exit status: 0 done, 1 found or not as required, 2 usage or configuration, \
    3 not permitted, 4 the kernel cannot.")]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// Options of every command.
#[derive(Clone, Debug, Args)]
pub struct Global {
    /// Control socket of the guard
    #[arg(long, global = true, value_name = "PATH", default_value = "/run/miner-guard/api.sock")]
    pub socket: PathBuf,
    /// Where the guard keeps what must outlive it
    #[arg(long, global = true, value_name = "DIR", default_value = "/var/lib/miner-guard")]
    pub state_dir: PathBuf,
    /// Where programs and tables are pinned, on a BPF file system
    #[arg(long, global = true, value_name = "DIR", default_value = "/sys/fs/bpf/miner-guard")]
    pub pin_dir: PathBuf,
    /// For people, or for programs
    #[arg(short, long, global = true, value_enum, default_value_t = Output::Text)]
    pub output: Output,
    /// Whether to colour; auto: on a terminal, unless NO_COLOR is set
    #[arg(long, visible_alias = "colour", global = true, value_enum, default_value_t = Color::Auto, value_name = "WHEN")]
    pub color: Color,
}

impl Global {
    /// The guard that these options mean.
    #[must_use]
    pub fn client(&self) -> Client {
        Client::new(&self.socket)
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Guard this machine until told to stop
    Run(run::RunArgs),
    /// Show what runs, in which mode, and how much was lost
    Status,
    /// Check a policy as `run` would, without a guard
    Check(check::CheckArgs),
    /// Show the mode, or change it in the running guard
    Mode(mode::ModeArgs),
    /// Show or reload the policy of the running guard
    Policy(policy::PolicyArgs),
    /// Show, take up or check the feeds of indicators
    Feed(feed::FeedArgs),
    /// Say why an address, address:port, domain, path or pid would be stopped, or not
    Explain(explain::ExplainArgs),
    /// Say what the policy would have denied in a capture or in yesterday's events, and by which rule
    Replay(replay::ReplayArgs),
    /// Show what was found about processes: the evidence, what it adds up to, what was done
    Cases(cases::CasesArgs),
    /// Let a cgroup reach protected destinations only
    Isolate(isolate::IsolateArgs),
    /// Let an isolated cgroup reach others again
    Release(isolate::ReleaseArgs),
    /// Show events as they happen
    Events(events::EventsArgs),
    /// Show what this kernel can enforce, proven in a scratch cgroup
    Doctor,
    /// Remove what a guard that was stopped has left in force
    Unload(unload::UnloadArgs),
    /// Set off one harmless example of each verdict and see whether the running guard tells it
    Test,
    /// Look for miners in files, directories and running programs, without a guard
    Scan(scan::ScanArgs),
    /// Print the completions of a shell
    Completions(completions::CompletionsArgs),
    /// Print the manual page, or write those of all commands into a directory
    Man(man::ManArgs),
    /// What `test` runs in its scratch cgroup
    #[command(hide = true)]
    Probe(test::ProbeArgs),
}

/// Parses the arguments, does what they say, and turns the outcome into an exit status.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(e) => {
            // Help and version come this way too. There is nobody left to tell if it cannot be printed.
            let _ = e.print();
            return ExitCode::from(u8::try_from(e.exit_code()).unwrap_or(2));
        }
    };
    let mut ui = Ui::new(cli.global.output, cli.global.color);
    let done = run(&cli, &mut ui).and_then(|exit| {
        ui.finish()?;
        Ok(exit)
    });
    match done {
        Ok(exit) => exit.into(),
        Err(e) => e.tell(cli.global.output),
    }
}

fn run(cli: &Cli, ui: &mut Ui) -> Result<Exit, CliError> {
    let global = &cli.global;
    match &cli.command {
        Command::Run(args) => run::run(global, args),
        Command::Status => status::run(global, ui),
        Command::Check(args) => check::run(global, args, ui),
        Command::Mode(args) => mode::run(global, args, ui),
        Command::Policy(args) => policy::run(global, args, ui),
        Command::Feed(args) => feed::run(global, args, ui),
        Command::Explain(args) => explain::run(global, args, ui),
        Command::Replay(args) => replay::run(global, args, ui),
        Command::Cases(args) => cases::run(global, args, ui),
        Command::Isolate(args) => isolate::isolate(global, args, ui),
        Command::Release(args) => isolate::release(global, args, ui),
        Command::Events(args) => events::run(global, args, ui),
        Command::Doctor => doctor::run(global, ui),
        Command::Unload(args) => unload::run(global, args, ui),
        Command::Test => test::run(global, ui),
        Command::Scan(args) => scan::run(args, ui),
        Command::Completions(args) => completions::run::<Cli>(args, ui),
        Command::Man(args) => man::run::<Cli>(args, ui),
        Command::Probe(args) => test::probe(args, ui),
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
