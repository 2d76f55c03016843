//! `miner-guard feed list`, `update`, `verify`, `learned`, `forget`

use std::{net::IpAddr, path::PathBuf};

use clap::{Args, Subcommand};
use serde::Serialize;

use super::{
    CliError, Exit, Global,
    table::{self, Cell, count, duration, grouped, heading, plain, toned},
    ui::Ui,
};
use crate::{
    api::control::{FeedList, FeedUpdate, LearnedList, UpdateOutcome},
    policy::{self, FeedCheck, LoadRequest},
    sinks::text::colour::{Colour, Tone},
};

/// Arguments of `feed`.
#[derive(Debug, Args)]
pub(super) struct FeedArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Show the feeds in force: age, rows used and refused, hits
    List,
    /// Take up one feed, or all: read its file or directory anew, fetch its URL
    Update {
        /// Id of the feed [default: all]
        id: Option<String>,
        /// Even if it lists nothing any more, or lost more than half of its indicators
        #[arg(long, requires = "id")]
        force: bool,
    },
    /// Show the addresses that denied names and confirmed miners led to
    Learned,
    /// Forget a learned address
    Forget {
        /// The address
        #[arg(required_unless_present = "all")]
        address: Option<IpAddr>,
        /// Forget all of them
        #[arg(long, conflicts_with = "address")]
        all: bool,
    },
    /// Check each feed of a policy, without a guard: can it be read, is it signed, has it expired
    Verify {
        /// Id of the feed [default: all]
        id: Option<String>,
        /// Policy file [default: /etc/miner-guard/config.toml if there is one, else the built-in defaults]
        #[arg(long, value_name = "PATH")]
        config: Option<PathBuf>,
    },
}

pub(super) fn run(global: &Global, args: &FeedArgs, ui: &mut Ui) -> Result<Exit, CliError> {
    match &args.what {
        What::List => {
            ui.show(&global.client().feeds()?, list)?;
            Ok(Exit::Done)
        }
        What::Update { id, force } => {
            let done = global.client().update_feeds(id.as_deref(), *force)?;
            ui.show(&done, updated)?;
            let refused = done.feeds.iter().any(|f| f.outcome == UpdateOutcome::Refused);
            Ok(if refused { Exit::Found } else { Exit::Done })
        }
        What::Learned => {
            ui.show(&global.client().learned()?, learned)?;
            Ok(Exit::Done)
        }
        What::Forget { address, .. } => {
            let forgotten = global.client().forget(*address)?;
            ui.show(&forgotten, |f, _| match f.forgotten {
                1 => "1 address is forgotten\n".to_owned(),
                n => format!("{n} addresses are forgotten\n"),
            })?;
            Ok(Exit::Done)
        }
        What::Verify { id, config } => verify(global, id.as_deref(), config.as_ref(), ui),
    }
}

fn list(list: &FeedList, colour: Colour) -> String {
    let names = ["FEED", "CLASS", "AGE", "USED", "REFUSED", "HITS", "LAST HIT", "SOURCE", ""];
    let mut rows = vec![heading(&names)];
    for f in &list.feeds {
        let age = f.age_s.map_or_else(|| "-".to_owned(), duration);
        let note = match (&f.why, f.copy) {
            (Some(why), true) => toned(format!("its last good copy is used: {why}"), Tone::Trouble),
            (Some(why), false) => toned(why, Tone::Attention),
            (None, _) => plain(""),
        };
        let source = if f.signed { format!("{} (signed)", f.source) } else { f.source.clone() };
        rows.push(vec![
            plain(&f.id),
            plain(&f.class),
            plain(age),
            plain(grouped(f.used)),
            plain(grouped(f.refused)),
            plain(grouped(f.hits)),
            plain(f.last_hit.as_deref().map_or("-", |t| t.split('.').next().unwrap_or(t))),
            plain(source),
            note,
        ]);
    }
    table::rows(&rows, colour)
}

fn learned(list: &LearnedList, colour: Colour) -> String {
    if list.addresses.is_empty() {
        return "no address is learned\n".to_owned();
    }
    let mut rows = vec![heading(&["ADDRESS", "OF", "RULE", "DENIED TO", "UNTIL", "HOW"])];
    let second = |t: &str| plain(t.split('.').next().unwrap_or(t));
    for a in &list.addresses {
        let (first, others) = match a.denied.split_first() {
            Some((first, others)) => ((first.cgroup.as_str(), first.until.as_str()), others),
            None => (("nobody; suspect", a.suspect_until.as_str()), &[][..]),
        };
        rows.push(vec![
            plain(a.address.to_string()),
            plain(&a.cause),
            plain(&a.rule),
            plain(first.0),
            second(first.1),
            plain(&a.chain),
        ]);
        let blank = || plain("");
        rows.extend(
            others
                .iter()
                .map(|d| vec![blank(), blank(), blank(), plain(&d.cgroup), second(&d.until), blank()]),
        );
    }
    table::rows(&rows, colour)
}

fn updated(done: &FeedUpdate, colour: Colour) -> String {
    let rows: Vec<Vec<Cell>> = done
        .feeds
        .iter()
        .map(|f| {
            let (word, tone) = match f.outcome {
                UpdateOutcome::Updated => ("updated", Tone::Calm),
                UpdateOutcome::Unchanged => ("unchanged", Tone::Dim),
                UpdateOutcome::Refused => ("refused", Tone::Trouble),
            };
            let rows = format!("{} used, {} refused", count(f.used, "indicator"), grouped(f.refused));
            let why =
                f.why.as_ref().map(|why| format!("; what was in force stays: {why}")).unwrap_or_default();
            vec![plain(&f.id), toned(word, tone), plain(format!("{rows}{why}"))]
        })
        .collect();
    if rows.is_empty() {
        "the policy has no feeds but the embedded ones\n".to_owned()
    } else {
        table::rows(&rows, colour)
    }
}

/// What `verify` says of one feed.
#[derive(Debug, Serialize)]
struct Verified {
    id: String,
    source: String,
    ok: bool,
    used: u64,
    refused: u64,
    refused_rows: Vec<String>,
    signed: bool,
    expires: Option<String>,
    why: Option<String>,
}

fn verify(
    global: &Global,
    id: Option<&str>,
    config: Option<&PathBuf>,
    ui: &mut Ui,
) -> Result<Exit, CliError> {
    let request = LoadRequest {
        file: config.map(PathBuf::as_path),
        state: Some(&global.state_dir),
        ..LoadRequest::default()
    };
    let checks = policy::check_feeds(&request).map_err(|all| CliError::Policy {
        errors: all.iter().map(ToString::to_string).collect(),
        then: "its feeds were not looked at",
    })?;
    let all: Vec<Verified> =
        checks.iter().filter(|c| id.is_none_or(|id| id == c.report.id)).map(verified).collect();
    if let (Some(id), true) = (id, all.is_empty()) {
        let problem = format!("there is no feed `{id}` in the policy");
        return Err(CliError::Policy { errors: vec![problem], then: "nothing was checked" });
    }
    let ok = all.iter().all(|v| v.ok);
    ui.show(&all, |all, colour| verdicts(all, colour))?;
    Ok(if ok { Exit::Done } else { Exit::Found })
}

fn verified(check: &FeedCheck) -> Verified {
    let r = &check.report;
    let expires = r.origin.signed.and_then(|s| s.expires);
    Verified {
        id: r.id.clone(),
        source: r.source.clone(),
        ok: check.why.is_none(),
        used: r.used as u64,
        refused: r.bad as u64,
        refused_rows: r
            .first_bad
            .iter()
            .map(|b| format!("line {}: {} is {}", b.line, b.text, b.why))
            .collect(),
        signed: r.key.is_some(),
        expires: expires.and_then(|t| jiff::Timestamp::from_second(t).ok()).map(|t| t.to_string()),
        why: check.why.clone(),
    }
}

fn verdicts(all: &[Verified], colour: Colour) -> String {
    let mut rows = Vec::new();
    for v in all {
        let word = if v.ok { toned("good", Tone::Calm) } else { toned("bad", Tone::Trouble) };
        let text = match &v.why {
            Some(why) => why.clone(),
            None => {
                let signed = match (&v.expires, v.signed) {
                    (_, false) => "no key is declared".to_owned(),
                    (Some(end), true) => format!("its signature is good until {end}"),
                    (None, true) => "its signature is good and has no end".to_owned(),
                };
                format!("{}, {} refused; {signed}", count(v.used, "indicator"), grouped(v.refused))
            }
        };
        rows.push(vec![plain(&v.id), word, plain(text)]);
        rows.extend(v.refused_rows.iter().map(|r| vec![plain(""), toned("", Tone::Dim), plain(r)]));
    }
    if rows.is_empty() {
        "the policy has no feeds but the embedded ones\n".to_owned()
    } else {
        table::rows(&rows, colour)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::control::{FeedState, LearnedAddress, LearnedFor};

    #[test]
    fn learned_addresses_are_shown_with_whom_they_are_denied_to() {
        let until = "2026-11-25T20:00:00.5Z".to_owned();
        let whom = |cgroup: &str| LearnedFor { cgroup: cgroup.into(), until: until.clone() };
        let address = |ip: &str, denied| LearnedAddress {
            address: ip.parse().unwrap(),
            cause: "*.pool.example".into(),
            rule: "pools".into(),
            chain: "www.example → eu.pool.example".into(),
            denied,
            suspect_until: until.clone(),
        };
        let addresses =
            vec![address("192.0.2.7", vec![whom("/a"), whom("/b")]), address("2001:db8::7", Vec::new())];
        assert_eq!(
            learned(&LearnedList { addresses, ..LearnedList::default() }, Colour::NEVER),
            "\
ADDRESS      OF              RULE   DENIED TO        UNTIL                HOW
192.0.2.7    *.pool.example  pools  /a               2026-11-25T20:00:00  www.example → eu.pool.example
                                    /b               2026-11-25T20:00:00
2001:db8::7  *.pool.example  pools  nobody; suspect  2026-11-25T20:00:00  www.example → eu.pool.example
"
        );
        assert_eq!(learned(&LearnedList::default(), Colour::NEVER), "no address is learned\n");
    }

    #[test]
    fn the_list_shows_age_rows_hits_and_what_is_wrong() {
        let good = FeedState {
            id: "site".into(),
            source: "/etc/pools.txt".into(),
            used: 1204,
            refused: 2,
            class: "pool".into(),
            age_s: Some(7300),
            signed: true,
            hits: 17,
            last_hit: Some("2026-11-25T20:00:00.5Z".into()),
            ..FeedState::default()
        };
        let bad = FeedState {
            id: "b".into(),
            source: "https://x".into(),
            class: "doh".into(),
            copy: true,
            why: Some("https://x lists nothing".into()),
            ..FeedState::default()
        };
        assert_eq!(
            list(&FeedList { generation: 3, feeds: vec![good, bad] }, Colour::NEVER),
            "\
FEED  CLASS  AGE        USED   REFUSED  HITS  LAST HIT             SOURCE
site  pool   2 h 1 min  1,204  2        17    2026-11-25T20:00:00  /etc/pools.txt (signed)
b     doh    -          0      0        0     -                    https://x                its last good copy is used: https://x lists nothing
"
        );
    }
}
