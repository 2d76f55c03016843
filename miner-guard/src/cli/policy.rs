//! `miner-guard policy list|reload|diff`

use clap::{Args, Subcommand};

use super::{
    CliError, Exit, Global,
    table::{self, Cell, count, heading, plain, toned},
    ui::Ui,
};
use crate::{
    api::{
        client::ClientError,
        control::{Changes, FailureKind, PolicyList, ReloadReply},
    },
    sinks::text::colour::{Colour, Tone},
};

/// Arguments of `policy`.
#[derive(Debug, Args)]
pub(super) struct PolicyArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Show the rules in force
    List,
    /// Read the policy file anew; with an error the running policy stays, entire
    Reload,
    /// Show what a reload would change
    Diff,
}

pub(super) fn run(global: &Global, args: &PolicyArgs, ui: &mut Ui) -> Result<Exit, CliError> {
    let client = global.client();
    match args.what {
        What::List => ui.show(&client.policy()?, list)?,
        What::Reload => {
            let reply =
                client.reload().map_err(|e| with_consequence(e, "the running policy stays, entire"))?;
            ui.show(&reply, reloaded)?;
        }
        What::Diff => {
            let changes = client
                .diff()
                .map_err(|e| with_consequence(e, "a reload would be refused; the running policy stays"))?;
            ui.show(&changes, differences)?;
        }
    }
    Ok(Exit::Done)
}

fn with_consequence(e: ClientError, then: &'static str) -> CliError {
    match e {
        ClientError::Refused(f) if f.kind == FailureKind::Policy => {
            CliError::Policy { errors: f.errors, then }
        }
        e => e.into(),
    }
}

fn action(name: &str) -> Cell {
    let tone = match name {
        "deny" | "kill" | "isolate" => Some(Tone::Stopped),
        "alert" => Some(Tone::Attention),
        "allow" => Some(Tone::Calm),
        _ => None,
    };
    (name.to_owned(), tone)
}

fn list(policy: &PolicyList, colour: Colour) -> String {
    let mut rows = vec![heading(&["RULE", "ACTION", "ORIGIN", "MATCHES"])];
    for rule in &policy.rules {
        rows.push(vec![plain(&rule.id), action(&rule.action), plain(&rule.origin), plain(&rule.matches)]);
    }
    let end = format!(
        "{} in generation {}, mode {}, fingerprint {}",
        count(u64::try_from(policy.rules.len()).unwrap_or(u64::MAX), "rule"),
        policy.generation,
        policy.mode.name(),
        policy.fingerprint
    );
    table::rows(&rows, colour) + &table::rows(&[vec![toned(end, Tone::Dim)]], colour)
}

fn change_rows(changes: &Changes) -> Vec<Vec<Cell>> {
    let kinds = [
        ("+", "added", &changes.added, Tone::Calm),
        ("-", "removed", &changes.removed, Tone::Stopped),
        ("~", "changed", &changes.changed, Tone::Attention),
        ("!", "warning", &changes.warnings, Tone::Trouble),
    ];
    kinds
        .into_iter()
        .flat_map(|(sign, word, ids, tone)| {
            ids.iter().map(move |id| vec![toned(sign, tone), plain(word), plain(id)])
        })
        .collect()
}

fn reloaded(reply: &ReloadReply, colour: Colour) -> String {
    let done = format!(
        "generation {} is in force: {}, fingerprint {}",
        reply.generation,
        count(reply.rules, "rule"),
        reply.fingerprint
    );
    table::rows(&[vec![plain(done)]], colour) + &table::rows(&change_rows(&reply.changes), colour)
}

fn differences(changes: &Changes, colour: Colour) -> String {
    let rows = change_rows(changes);
    if rows.is_empty() { "a reload would change nothing\n".to_owned() } else { table::rows(&rows, colour) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{control::RuleView, samples::FakeGuard};
    use miner_guard_common::abi::verdict::Mode;

    #[test]
    fn rules_are_listed_with_what_they_match_and_where_they_come_from() {
        let rule = |id: &str, action: &str| RuleView {
            id: id.into(),
            action: action.into(),
            matches: "ip 192.0.2.0/24, port 3333".into(),
            origin: "config.toml:3".into(),
        };
        let policy = PolicyList {
            generation: 7,
            fingerprint: "3f2a".into(),
            mode: Mode::Audit,
            rules: vec![rule("lab-pool", "deny"), rule("a", "alert")],
        };
        assert_eq!(
            list(&policy, Colour::NEVER),
            "\
RULE      ACTION  ORIGIN         MATCHES
lab-pool  deny    config.toml:3  ip 192.0.2.0/24, port 3333
a         alert   config.toml:3  ip 192.0.2.0/24, port 3333
2 rules in generation 7, mode audit, fingerprint 3f2a
"
        );
    }

    #[test]
    fn a_reload_tells_what_came_and_what_went() {
        let changes = Changes {
            added: vec!["new".into()],
            removed: vec!["old".into()],
            changed: vec!["lab\n".into()],
            warnings: vec!["pools.txt:7: `?` is no indicator".into()],
        };
        let reply = ReloadReply { generation: 8, rules: 3, fingerprint: "ab".into(), changes };
        assert_eq!(
            reloaded(&reply, Colour::NEVER),
            "\
generation 8 is in force: 3 rules, fingerprint ab
+  added    new
-  removed  old
~  changed  lab\\n
!  warning  pools.txt:7: `?` is no indicator
"
        );
        assert_eq!(differences(&Changes::default(), Colour::NEVER), "a reload would change nothing\n");
    }

    #[test]
    fn a_refused_reload_shows_every_error_and_says_that_the_policy_stays() {
        let guard = FakeGuard::start();
        let client = crate::api::client::Client::new(&guard.socket());
        let e = with_consequence(client.reload().unwrap_err(), "the running policy stays, entire");
        assert_eq!(e.exit(), Exit::Usage);
        let text = e.to_string();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 3);
        assert!(lines[0].starts_with("config.toml:3:1:"));
        assert_eq!(lines[2], "the running policy stays, entire");
    }
}
