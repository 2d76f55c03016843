//! `miner-guard replay FILE`

use std::{
    fs::File,
    io::{self, BufReader},
    path::PathBuf,
};

use clap::Args;
use serde::Serialize;

use super::{
    CliError, Exit, Global,
    table::{self, grouped, plain, toned},
    ui::Ui,
};
use crate::{
    replay::{
        self, ReplayError, Summary,
        judge::{Finding, Judge},
    },
    sinks::text::colour::{Colour, Tone},
};

/// Arguments of `replay`.
#[derive(Debug, Args)]
pub(super) struct ReplayArgs {
    /// A capture (pcap, pcapng), or events as `run -o json` writes them
    file: PathBuf,
    /// Policy file [default: /etc/miner-guard/config.toml if there is one, else the built-in defaults]
    #[arg(long, value_name = "PATH")]
    config: Option<PathBuf>,
}

/// The last line of the JSON output.
#[derive(Serialize)]
struct Last<'a> {
    summary: &'a Summary,
}

pub(super) fn run(global: &Global, args: &ReplayArgs, ui: &mut Ui) -> Result<Exit, CliError> {
    let failed =
        |source: io::Error| CliError::File { what: "reading", path: args.file.display().to_string(), source };
    let policy = super::check::load(Some(&global.state_dir), args.config.as_ref())?;
    let mut judge = Judge::new(&policy).map_err(|e| CliError::Policy {
        errors: vec![e.to_string()],
        then: "the policy cannot be laid out in kernel tables",
    })?;
    let file = BufReader::with_capacity(1 << 16, File::open(&args.file).map_err(failed)?);
    let mut output = None;
    let summary = replay::replay(file, &mut judge, |finding| {
        ui.show(finding, line).map_err(|e| {
            output = Some(e);
            io::Error::other("the output")
        })
    });
    if let Some(e) = output {
        return Err(e);
    }
    let summary = summary.map_err(|e| match e {
        ReplayError::Io(e) => failed(e),
        ReplayError::Unknown => CliError::Usage(format!("{}: {e}", args.file.display())),
    })?;
    if ui.json() {
        ui.show(&Last { summary: &summary }, |_, _| String::new())?;
    } else {
        ui.show(&summary, closing)?;
    }
    Ok(if summary.denied > 0 { Exit::Found } else { Exit::Done })
}

fn line(f: &Finding, colour: Colour) -> String {
    let tone = if f.stops { Tone::Stopped } else { Tone::Attention };
    let word = if f.stops { format!("would {}", f.verdict) } else { f.verdict.to_owned() };
    let rule = f.rule.as_deref().map_or_else(String::new, |r| format!(", rule {r}"));
    let places = if f.places.is_empty() { String::new() } else { format!(": {}", f.places.join("; ")) };
    table::rows(
        &[vec![
            plain(f.at.as_deref().unwrap_or("-")),
            toned(word, tone),
            plain(f.kind),
            plain(&f.what),
            plain(&f.who),
            plain(format!("({}{rule}{places})", f.reason)),
        ]],
        colour,
    )
}

fn closing(s: &Summary, colour: Colour) -> String {
    let what = if s.format == "events" { "events" } else { "packets" };
    let mut text = format!(
        "{} {what} of a {} file: {} would be stopped, {} reported; {} repeated, {} without anything to judge",
        grouped(s.read),
        s.format,
        grouped(s.denied),
        grouped(s.alerted),
        grouped(s.repeated),
        grouped(s.passed_over),
    );
    if let Some(why) = &s.broken {
        text.push_str(&format!("; not read to its end: {why}"));
    }
    table::rows(&[vec![toned(text, Tone::Dim)]], colour)
}
