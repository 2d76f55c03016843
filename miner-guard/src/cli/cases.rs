//! `miner-guard cases list|show`

use clap::{Args, Subcommand};

use super::{
    CliError, Exit, Global,
    table::{self, Cell, count, heading, plain, toned},
    ui::Ui,
};
use crate::{
    event::case::{
        Class,
        book::What,
        view::{CaseList, CaseRow, CaseView},
    },
    sinks::text::colour::{Colour, Tone},
};

/// Arguments of `cases`.
#[derive(Debug, Args)]
pub(super) struct CasesArgs {
    #[command(subcommand)]
    command: CasesCommand,
}

#[derive(Debug, Subcommand)]
enum CasesCommand {
    /// All open cases, the newest evidence first
    List,
    /// One case: its class, the evidence for it, what happened and what was done
    Show {
        /// Its id, as `cases list` and events tell it
        id: String,
    },
}

pub(super) fn run(global: &Global, args: &CasesArgs, ui: &mut Ui) -> Result<Exit, CliError> {
    let client = global.client();
    match &args.command {
        CasesCommand::List => ui.show(&client.cases()?, list)?,
        CasesCommand::Show { id } => ui.show(&client.case(id)?, show)?,
    }
    Ok(Exit::Done)
}

fn class(class: Option<Class>) -> Cell {
    let Some(class) = class else { return plain("-") };
    let tone = match class {
        Class::Mining | Class::MinerBinary => Tone::Stopped,
        Class::HashingHeavy | Class::PoolContact => Tone::Attention,
    };
    toned(class.name(), tone)
}

/// To the second: `2026-11-02 12:03:07`, UTC.
fn time(rfc3339: &str) -> String {
    rfc3339.get(..19).unwrap_or(rfc3339).replace('T', " ")
}

fn list(all: &CaseList, colour: Colour) -> String {
    if all.cases.is_empty() {
        return "no open case\n".to_owned();
    }
    let mut rows =
        vec![heading(&["case", "class", "confidence", "last (UTC)", "user", "program", "where", "done"])];
    rows.extend(all.cases.iter().map(|c| {
        vec![
            plain(&c.id),
            class(c.class),
            plain(format!("{:.2}", c.confidence)),
            plain(time(&c.updated)),
            plain(c.user.as_deref().unwrap_or("-")),
            plain(&c.program),
            plain(c.place.as_deref().unwrap_or("-")),
            plain(c.done.as_deref().unwrap_or("-")),
        ]
    }));
    let mut out = table::rows(&rows, colour);
    if all.evicted > 0 {
        out.push_str(&format!(
            "{} had to go, because there were too many at once\n",
            count(all.evicted, "case")
        ));
    }
    out
}

/// The whole case; `explain PID` shows it too.
pub(super) fn show(c: &CaseView, colour: Colour) -> String {
    let CaseRow { id, confidence, opened, updated, user, place, .. } = &c.row;
    let mut head = vec![
        vec![plain("case"), plain(id)],
        vec![plain("class"), class(c.row.class)],
        vec![plain("confidence"), plain(format!("{confidence:.2}"))],
        vec![plain("opened"), plain(format!("{} UTC, last evidence {}", time(opened), time(updated)))],
    ];
    head.extend(user.iter().map(|u| vec![plain("user"), plain(u)]));
    head.extend(place.iter().map(|p| vec![plain("where"), plain(p)]));
    for (at, p) in c.processes.iter().enumerate() {
        let exe = p.executable.as_deref().unwrap_or("");
        let what = format!("{} {} {exe}", p.pid, p.name);
        head.push(vec![plain(if at == 0 { "processes" } else { "" }), plain(what.trim_end())]);
    }
    let mut out = table::rows(&head, colour);
    let mut reasons = vec![heading(&["evidence", "kind", "weight", "seen", "what"])];
    reasons.extend(c.reasons.iter().map(|r| {
        let cells = [r.family.clone(), r.kind.clone(), format!("{:.2}", r.weight), format!("{} ×", r.count)];
        cells.into_iter().chain([r.text.clone()]).map(plain).collect()
    }));
    out.push('\n');
    out.push_str(&table::rows(&reasons, colour));
    let mut timeline = vec![heading(&["when (UTC)", "", "what happened"])];
    timeline.extend(c.timeline.iter().map(|e| {
        let (word, tone) = match e.what {
            What::Evidence => ("evidence", None),
            What::Class => ("class", Some(Tone::Attention)),
            What::Action => ("action", Some(Tone::Stopped)),
        };
        vec![plain(time(&e.at)), (word.to_owned(), tone), plain(&e.text)]
    }));
    out.push('\n');
    out.push_str(&table::rows(&timeline, colour));
    if c.lost > 0 {
        out.push_str(&format!("{} left out, because there was too much\n", count(c.lost, "entry")));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::case::view::{EntryView, ProcessView, ReasonView};

    fn view() -> CaseView {
        let at = |s: &str| format!("2026-11-02T12:03:{s}.123Z");
        CaseView {
            row: CaseRow {
                id: "6ae8a1f3-7".into(),
                class: Some(Class::Mining),
                confidence: 0.75,
                opened: at("07"),
                updated: at("09"),
                user: Some("alice".into()),
                program: "/tmp/.x/xmrig".into(),
                place: Some("cron.service".into()),
                evidence: 1,
                done: Some("killed xmrig (pid 4242)".into()),
            },
            processes: vec![ProcessView {
                pid: 4242,
                name: "xm\nrig".into(),
                executable: Some("/tmp/.x/xmrig".into()),
            }],
            reasons: vec![ReasonView {
                family: "network".into(),
                kind: "contact".into(),
                strength: crate::identify::Strength::Medium,
                text: "reached for 192.0.2.5:3333".into(),
                weight: 0.5,
                first: at("07"),
                last: at("09"),
                count: 3,
            }],
            timeline: vec![EntryView {
                at: at("09"),
                what: What::Action,
                text: "killed xmrig (pid 4242)".into(),
            }],
            lost: 0,
        }
    }

    #[test]
    fn a_list_has_a_line_for_each_case() {
        let all = CaseList { cases: vec![view().row], evicted: 2 };
        assert_eq!(
            list(&all, Colour::NEVER),
            "\
case        class   confidence  last (UTC)           user   program        where         done
6ae8a1f3-7  mining  0.75        2026-11-02 12:03:09  alice  /tmp/.x/xmrig  cron.service  killed xmrig (pid 4242)
2 cases had to go, because there were too many at once
"
        );
        assert_eq!(list(&CaseList::default(), Colour::NEVER), "no open case\n");
    }

    #[test]
    fn a_case_is_told_with_its_reasons_and_what_was_done_and_no_name_breaks_a_line() {
        assert_eq!(
            show(&view(), Colour::NEVER),
            "\
case        6ae8a1f3-7
class       mining
confidence  0.75
opened      2026-11-02 12:03:07 UTC, last evidence 2026-11-02 12:03:09
user        alice
where       cron.service
processes   4242 xm\\nrig /tmp/.x/xmrig

evidence  kind     weight  seen  what
network   contact  0.50    3 ×   reached for 192.0.2.5:3333

when (UTC)                   what happened
2026-11-02 12:03:09  action  killed xmrig (pid 4242)
"
        );
    }
}
