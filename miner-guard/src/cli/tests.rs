//! The command line as a whole.

use super::*;
use crate::{api::samples::FakeGuard, sinks::text::colour::Colour};
use clap::{CommandFactory as _, error::ErrorKind};
use miner_guard_common::abi::verdict::Mode;

fn parse(line: &str) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(line.split_whitespace())
}

fn done(guard: &FakeGuard, line: &str) -> Result<Exit, CliError> {
    let line = format!("miner-guard {line} --socket {}", guard.socket().display());
    let cli = parse(&line).unwrap();
    run(&cli, &mut ui(&cli, Box::new(std::io::sink())))
}

fn ui(cli: &Cli, out: Box<dyn std::io::Write>) -> Ui {
    Ui::onto(cli.global.output, Colour::NEVER, out)
}

#[test]
fn the_arguments_are_sound() {
    Cli::command().debug_assert();
}

#[test]
fn global_options_have_their_defaults_and_stand_before_or_after_the_command() {
    let cli = parse("miner-guard status").unwrap();
    assert_eq!(cli.global.socket, PathBuf::from("/run/miner-guard/api.sock"));
    assert_eq!(cli.global.state_dir, PathBuf::from("/var/lib/miner-guard"));
    assert_eq!(cli.global.pin_dir, PathBuf::from("/sys/fs/bpf/miner-guard"));
    assert_eq!(cli.global.output, Output::Text);
    assert_eq!(cli.global.color, Color::Auto);
    for line in ["miner-guard -o json --socket /a policy list", "miner-guard policy list --socket /a -o json"]
    {
        let cli = parse(line).unwrap();
        assert_eq!((cli.global.socket, cli.global.output), (PathBuf::from("/a"), Output::Json), "{line}");
    }
}

#[test]
fn wrong_usage_is_exit_status_2_and_help_is_0() {
    for line in [
        "miner-guard",
        "miner-guard fly",
        "miner-guard mode off",
        "miner-guard status -o yaml",
        "miner-guard policy",
        "miner-guard explain",
        "miner-guard feed",
        "miner-guard feed update --force",
        "miner-guard replay",
        "miner-guard completions",
        "miner-guard events",
        "miner-guard scan",
        "miner-guard scan /tmp -j 0",
        "miner-guard events --follow -n many",
    ] {
        assert_eq!(parse(line).unwrap_err().exit_code(), 2, "{line}");
    }
    for (line, kind) in [
        ("miner-guard --help", ErrorKind::DisplayHelp),
        ("miner-guard --version", ErrorKind::DisplayVersion),
        ("miner-guard policy reload --help", ErrorKind::DisplayHelp),
    ] {
        let e = parse(line).unwrap_err();
        assert_eq!((e.kind(), e.exit_code()), (kind, 0), "{line}");
    }
}

#[test]
fn the_mode_is_read_by_its_name() {
    let cli = parse("miner-guard mode enforce").unwrap();
    assert!(matches!(cli.command, Command::Mode(_)));
    assert!(format!("{:?}", cli.command).contains("Enforce"));
    assert!(format!("{:?}", parse("miner-guard mode").unwrap().command).contains("None"));
}

#[test]
fn commands_end_with_the_exit_status_of_the_design() {
    let guard = FakeGuard::start();
    for line in [
        "status",
        "status -o json",
        "mode",
        "mode enforce",
        "policy list",
        "policy diff",
        "explain 192.0.2.7",
        "feed list",
        "feed list -o json",
        "feed update site --force",
        "completions bash",
        "man",
    ] {
        assert_eq!(done(&guard, line).unwrap(), Exit::Done, "{line}");
    }
    assert_eq!(done(&guard, "policy reload").unwrap_err().exit(), Exit::Usage);
    assert_eq!(done(&guard, "feed update").unwrap(), Exit::Found);
    assert_eq!(done(&guard, "explain ?").unwrap_err().exit(), Exit::Usage);
    assert_eq!(Client::new(&guard.socket()).mode().unwrap().mode, Mode::Enforce);
}

/// A pipe whose reader has gone.
struct Gone;

impl std::io::Write for Gone {
    fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
        Err(std::io::ErrorKind::BrokenPipe.into())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let guard = FakeGuard::start();
    for line in ["status", "status -o json", "completions zsh"] {
        let cli = parse(&format!("miner-guard {line} --socket {}", guard.socket().display())).unwrap();
        assert_eq!(run(&cli, &mut ui(&cli, Box::new(Gone))).unwrap_err().exit(), Exit::Done, "{line}");
    }
}

#[test]
fn without_a_guard_every_command_that_asks_it_ends_with_1() {
    let dir = tempfile::tempdir().unwrap();
    for line in
        ["status", "mode enforce", "policy list", "policy reload", "explain 1.2.3.4", "events -f", "test"]
    {
        let line = format!("miner-guard {line} --socket {}", dir.path().join("none").display());
        let cli = parse(&line).unwrap();
        let e = run(&cli, &mut ui(&cli, Box::new(std::io::sink()))).unwrap_err();
        assert_eq!(e.exit(), Exit::Found, "{line}");
        assert!(e.to_string().contains("miner-guard run"), "{e}");
    }
}

#[test]
fn manual_pages_are_written_for_every_command() {
    let guard = FakeGuard::start();
    let dir = tempfile::tempdir().unwrap();
    done(&guard, &format!("man --dir {}", dir.path().display())).unwrap();
    for page in ["miner-guard.1", "miner-guard-status.1", "miner-guard-policy-reload.1"] {
        assert!(dir.path().join(page).is_file(), "{page}");
    }
}

#[test]
fn every_command_says_what_it_does() {
    fn check(command: &clap::Command) {
        for sub in command.get_subcommands() {
            assert!(sub.get_about().is_some() || sub.is_hide_set(), "{}", sub.get_name());
            check(sub);
        }
    }
    check(&Cli::command());
}
