//! `miner-guard check`: the road of `run`, up to the tables of a generation, and no further.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use clap::Args;
use miner_guard_common::{abi::verdict::Mode, table::SipKey};
use serde::Serialize;

use super::{
    CliError, Exit, Global,
    status::mode_cell,
    table::{self, count, grouped, plain, toned},
    ui::Ui,
};
use crate::{
    policy::{self, LoadRequest, Resolved, compile::CompileRequest},
    sinks::text::colour::{Colour, Tone},
};

/// Arguments of `check`.
#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    /// Policy file [default: /etc/miner-guard/config.toml if there is one, else the built-in defaults]
    #[arg(long, value_name = "PATH")]
    config: Option<PathBuf>,
}

/// A policy without errors.
#[derive(Debug, Serialize)]
struct Sound {
    file: Option<String>,
    #[serde(serialize_with = "mode")]
    mode: Mode,
    rules: u64,
    indicators: BTreeMap<&'static str, u64>,
    feeds: Vec<Feed>,
    /// Files of YARA rules.
    yara: Vec<String>,
    warnings: Vec<String>,
    /// What is accepted and takes no effect yet.
    notes: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Feed {
    id: String,
    path: String,
    used: u64,
    refused: u64,
    /// The first refused lines.
    refused_lines: Vec<String>,
}

fn mode<S: serde::Serializer>(mode: &Mode, s: S) -> Result<S::Ok, S::Error> {
    s.serialize_str(mode.name())
}

/// The policy that `run` would use; what was fetched for its feeds lies in the state directory.
pub(super) fn load(state: Option<&Path>, config: Option<&PathBuf>) -> Result<Resolved, CliError> {
    let then = "no guard would start with this policy, and a running one would keep the one it has";
    let request = LoadRequest { file: config.map(PathBuf::as_path), state, ..LoadRequest::default() };
    policy::load(&request)
        .map_err(|all| CliError::Policy { errors: all.iter().map(ToString::to_string).collect(), then })
}

pub(super) fn run(global: &Global, args: &CheckArgs, ui: &mut Ui) -> Result<Exit, CliError> {
    let policy = load(Some(&global.state_dir), args.config.as_ref())?;
    // A key of its own: only whether the tables can be laid out matters.
    let request =
        CompileRequest { generation: 1, mode: policy.settings.mode, key: SipKey(0, 0), canary: None };
    policy.compile(&request, &[]).map_err(|e| CliError::Policy {
        errors: vec![e.to_string()],
        then: "the policy cannot be laid out in kernel tables",
    })?;
    ui.show(&sound(&policy), text)?;
    Ok(Exit::Done)
}

fn sound(policy: &Resolved) -> Sound {
    let n = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
    let counts = policy.counts();
    Sound {
        file: policy.file.as_ref().map(|file| file.display().to_string()),
        mode: policy.settings.mode,
        rules: n(counts.rules),
        indicators: [
            ("addresses", n(counts.addresses)),
            ("prefixes", n(counts.prefixes)),
            ("ports", n(counts.ports)),
            ("domains", n(counts.names)),
            ("files", n(counts.files)),
        ]
        .into(),
        feeds: policy
            .feeds
            .iter()
            .map(|feed| Feed {
                id: feed.id.clone(),
                path: feed.source.clone(),
                used: n(feed.used),
                refused: n(feed.bad),
                refused_lines: feed
                    .first_bad
                    .iter()
                    .map(|bad| format!("line {}: `{}` is {}", bad.line, bad.text, bad.why))
                    .collect(),
            })
            .collect(),
        yara: policy.yara.iter().flat_map(|y| y.files()).map(|f| f.display().to_string()).collect(),
        warnings: policy.warnings.clone(),
        notes: policy.pending(),
    }
}

fn text(s: &Sound, colour: Colour) -> String {
    let file = s.file.as_deref().unwrap_or("the built-in defaults");
    let total = s.indicators.values().fold(0_u64, |sum, n| sum.saturating_add(*n));
    let kinds: Vec<String> = s
        .indicators
        .iter()
        .filter(|(_, n)| **n > 0)
        .map(|(kind, n)| format!("{kind} {}", grouped(*n)))
        .collect();
    let mut rows = vec![
        vec![plain("sound"), toned(file, Tone::Calm)],
        vec![plain("mode"), mode_cell(s.mode)],
        vec![plain("rules"), plain(grouped(s.rules))],
        vec![plain("indicators"), plain(format!("{} {}", grouped(total), in_brackets(&kinds)))],
    ];
    for feed in &s.feeds {
        let refused = match feed.refused {
            0 => String::new(),
            n => format!(", {} refused", count(n, "line")),
        };
        rows.push(vec![
            plain("feed"),
            plain(format!("{}: {}{refused}", feed.id, count(feed.used, "indicator"))),
        ]);
        for line in &feed.refused_lines {
            rows.push(vec![plain(""), toned(format!("{} {line}", feed.path), Tone::Attention)]);
        }
    }
    if !s.yara.is_empty() {
        rows.push(vec![plain("yara"), plain(count(s.yara.len() as u64, "rule file"))]);
    }
    for warning in &s.warnings {
        rows.push(vec![plain("warning"), toned(warning, Tone::Attention)]);
    }
    for note in &s.notes {
        rows.push(vec![plain("note"), toned(note, Tone::Attention)]);
    }
    table::rows(&rows, colour)
}

fn in_brackets(parts: &[String]) -> String {
    if parts.is_empty() { String::new() } else { format!("({})", parts.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(config: &str) -> Result<String, CliError> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("config.toml");
        std::fs::write(&file, config).unwrap();
        let policy = load(None, Some(&file))?;
        Ok(text(&sound(&policy), Colour::NEVER).replace(&file.display().to_string(), "config.toml"))
    }

    #[test]
    fn a_sound_policy_is_summed_up_and_nothing_is_pretended_to_wait() {
        let text = check(
            "builtin = false\n[[rule]]\nid = \"lab\"\nip = [\"192.0.2.7\", \"198.51.100.0/28\"]\naction = \"deny\"\n\
             [[rule]]\nid = \"names\"\ndomain = [\"pool.example.net\"]\naction = \"deny\"\n",
        )
        .unwrap();
        assert!(text.starts_with("sound       config.toml\nmode        audit\nrules       2\n"), "{text}");
        assert!(text.contains("indicators  3 (addresses 1, domains 1, prefixes 1)\n"), "{text}");
        assert!(!text.lines().any(|l| l.starts_with("note")), "{text}");
    }

    #[test]
    fn every_error_of_a_policy_is_told_with_its_place_and_the_exit_status_is_2() {
        let e = check("[[rule]]\nid = \"a\"\nip = [\"192.0.2.300\"]\naction = \"deny\"\n[[rule]]\nid = \"a\"\nport = [0]\naction = \"fly\"\n")
            .unwrap_err();
        assert_eq!(e.exit(), Exit::Usage);
        let text = e.to_string();
        assert!(text.contains("config.toml:3:"), "{text}");
        assert!(text.lines().count() > 2, "{text}");
    }

    #[test]
    fn a_policy_that_is_not_there_is_an_error() {
        let e = load(None, Some(&PathBuf::from("/nowhere/config.toml"))).unwrap_err();
        assert_eq!(e.exit(), Exit::Usage);
        assert!(e.to_string().contains("/nowhere/config.toml"), "{e}");
    }
}
