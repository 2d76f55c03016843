//! `miner-guard status`

use std::collections::BTreeMap;

use miner_guard_common::abi::verdict::Mode;

use super::{
    CliError, Exit, Global,
    table::{self, Cell, count, duration, grouped, plain, toned},
    ui::Ui,
};
use crate::{
    api::control::{Attachment, HookState, Proof, Status},
    sinks::text::colour::{Colour, Tone},
};

pub(super) fn run(global: &Global, ui: &mut Ui) -> Result<Exit, CliError> {
    let status = global.client().status()?;
    ui.show(&status, text)?;
    Ok(if status.canary.state == Proof::Failed { Exit::Found } else { Exit::Done })
}

/// The mode as a cell.
pub(super) fn mode_cell(mode: Mode) -> Cell {
    match mode {
        Mode::Enforce => toned("enforce", Tone::Stopped),
        Mode::Audit => toned("audit", Tone::Attention),
    }
}

/// `deny 3, alert 10`; the figures that are 0 left out.
fn figures(map: &BTreeMap<String, u64>) -> String {
    let told: Vec<String> =
        map.iter().filter(|(_, n)| **n > 0).map(|(name, n)| format!("{name} {}", grouped(*n))).collect();
    if told.is_empty() { "none".to_owned() } else { told.join(", ") }
}

fn proof(s: &Status) -> Cell {
    let at = s.canary.at.as_deref().map(|at| format!(" at {at}")).unwrap_or_default();
    let why = s.canary.why.as_deref().map(|why| format!(": {why}")).unwrap_or_default();
    match s.canary.state {
        Proof::Proven => toned(format!("enforcement proven{at}"), Tone::Calm),
        Proof::Failed => toned(format!("enforcement does not work{at}{why}"), Tone::Trouble),
        Proof::NotTried => toned(format!("enforcement not proven{why}"), Tone::Attention),
    }
}

/// A row for each hook, as `doctor` shows them too.
pub(super) fn hook_rows(hooks: &[HookState]) -> Vec<Vec<Cell>> {
    hooks
        .iter()
        .map(|hook| {
            let state = match hook.state {
                Attachment::Attached => toned("attached", Tone::Calm),
                Attachment::Unavailable => toned("unavailable", Tone::Attention),
            };
            vec![plain("  ".to_owned() + &hook.name), state, plain(hook.why.clone().unwrap_or_default())]
        })
        .collect()
}

fn text(s: &Status, colour: Colour) -> String {
    let total = s.indicators.values().fold(0_u64, |sum, n| sum.saturating_add(*n));
    let policy = format!(
        "generation {}, {}, {}: {}",
        s.generation,
        count(s.rules, "rule"),
        count(total, "indicator"),
        figures(&s.indicators)
    );
    let said = format!("{} (ABI {}), pid {}, up {}", s.version, s.abi, s.pid, duration(s.uptime_s));
    let mut losses = s.losses.clone();
    // Counted in a later event: told, not lost.
    let aggregated = losses.remove("aggregated").unwrap_or(0);
    let lost = figures(&losses);
    let tone = (lost != "none").then_some(Tone::Trouble);

    let mut head = vec![
        vec![plain("miner-guard"), plain(said)],
        vec![plain("mode"), mode_cell(s.mode)],
        vec![plain("proof"), proof(s)],
        vec![plain("cgroup"), plain(&s.cgroup)],
        vec![plain("policy"), plain(policy)],
        vec![plain("fingerprint"), plain(&s.fingerprint)],
        vec![plain("config"), plain(s.config.as_deref().unwrap_or("built-in defaults"))],
        vec![plain("events"), plain(figures(&s.events))],
        vec![plain("lost"), (lost, tone)],
    ];
    if aggregated > 0 {
        head.push(vec![
            plain("aggregated"),
            plain(format!("{} (counted in other events)", grouped(aggregated))),
        ]);
    }
    head.push(vec![plain("pins"), plain(&s.pin_dir)]);
    head.push(vec![plain("kernel"), plain(format!("{}, LSMs {}", s.kernel, s.lsm))]);
    head.push(vec![plain("gpu"), plain(&s.gpu)]);
    for i in &s.isolated {
        let until =
            i.until.as_ref().map_or_else(|| "until it is released".to_owned(), |t| format!("until {t}"));
        head.push(vec![
            plain("isolated"),
            toned(format!("{} {until} ({})", i.cgroup, i.why), Tone::Attention),
        ]);
    }
    if let Some(note) = &s.domains_note {
        head.push(vec![plain("note"), toned(note, Tone::Attention)]);
    }
    let mut out = table::rows(&head, colour);
    out.push_str("hooks\n");
    out.push_str(&table::rows(&hook_rows(&s.hooks), colour));
    if !s.feeds.is_empty() {
        out.push_str("feeds\n");
        out.push_str(&table::rows(&feed_rows(s), colour));
    }
    out
}

fn feed_rows(s: &Status) -> Vec<Vec<Cell>> {
    s.feeds
        .iter()
        .map(|feed| {
            let refused = match feed.refused {
                0 => plain(""),
                n => toned(format!("{} refused", count(n, "line")), Tone::Attention),
            };
            let why = feed.why.clone().map_or_else(|| plain(""), |why| toned(why, Tone::Trouble));
            let used = plain(count(feed.used, "indicator"));
            vec![plain("  ".to_owned() + &feed.id), used, refused, plain(&feed.source), why]
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{api::samples, sinks::text::sanitize::is_hostile};

    #[test]
    fn the_status_reads_as_a_table() {
        assert_eq!(
            text(&samples::status(), Colour::NEVER),
            "\
miner-guard  0.1.0 (ABI 1), pid 4711, up 3 h 12 min
mode         enforce
proof        enforcement proven at 2026-01-02T03:04:05Z
cgroup       /sys/fs/cgroup
policy       generation 7, 12 rules, 4,713 indicators: addresses 4,600, domains 113
fingerprint  3f2a9c0d
config       built-in defaults
events       alert 10, deny 3
lost         ring-connect 2
aggregated   9 (counted in other events)
pins         /sys/fs/bpf/miner-guard
kernel       6.1.0, LSMs lockdown,apparmor
gpu          no GPU
note         113 domains take no effect yet
hooks
  connect4  attached
  lsm-exec  unavailable  `bpf` is not among the active LSMs
feeds
  builtin  4,713 indicators    built in
"
        );
    }

    #[test]
    fn a_status_without_losses_says_so() {
        let mut status = samples::status();
        status.losses.clear();
        let text = text(&status, Colour::NEVER);
        assert!(text.contains("\nlost         none\n"), "{text}");
        assert!(!text.contains("aggregated"), "{text}");
    }

    #[test]
    fn a_failed_proof_is_told_with_its_reason() {
        let mut status = samples::status();
        status.canary.state = Proof::Failed;
        status.canary.why = Some("connect() succeeded".into());
        assert!(
            text(&status, Colour::NEVER)
                .contains("enforcement does not work at 2026-01-02T03:04:05Z: connect() succeeded")
        );
    }

    #[test]
    fn hostile_strings_in_a_status_are_shown_escaped() {
        let mut status = samples::status();
        status.cgroup = "/sys/fs/cgroup/\x1b]0;x\x07\nmode  audit".into();
        status.lsm = "\u{202e}".into();
        let text = text(&status, Colour::NEVER);
        assert!(!text.chars().any(|c| c != '\n' && is_hostile(c)), "{text}");
        assert_eq!(text.lines().filter(|l| l.starts_with("mode")).count(), 1);
    }
}
