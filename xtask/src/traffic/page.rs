//! `docs/traffic.md`.

use std::{fmt::Write as _, process::Command};

use super::{Outcome, proof::Proof, root, told::Told};
use crate::shell;

/// The page, in Markdown.
pub fn page(outcomes: &[Outcome], proofs: &[Proof], told: &Told) -> String {
    let line = |program: &str, argument: &str| {
        shell::capture(Command::new(program).arg(argument)).unwrap_or_default()
    };
    let mut text = format!(
        "# Ordinary traffic\n\n\
         Written by `cargo xtask traffic`; not edited by hand. Debian {}'s servers and clients talk to each other over loopback in\n\
         a cgroup that the guard watches in enforce mode with the embedded feed. Each operation checks its own result. It ends\n\
         with an error if one fails, if anything at all is told of it (a lost record counts), or if what must be told is not. NFS is left\n\
         out: its client and server are parts of the kernel, and not confined to a cgroup.\n\n\
         This run: {}, kernel {}. {} events in all, {} of them false alarms.\n\n\
         | protocol | what was done | s | works | told of it |\n|---|---|---|---|---|\n",
        root::SUITE,
        line("date", "+%Y-%m-%d").trim(),
        line("uname", "-r").trim(),
        told.events,
        told.alarms.len(),
    );
    // Writing to a String cannot fail.
    for o in outcomes {
        let (what, works) = match &o.done {
            Ok(what) => (what.trim(), "yes"),
            Err(why) => (why.lines().next().unwrap_or(""), "**no**"),
        };
        let told = match told.of(o.part) {
            0 => "nothing".to_owned(),
            n => format!("**{n} events**"),
        };
        let _ = writeln!(text, "| {} | {what} | {:.0} | {works} | {told} |", o.name, o.took.as_secs_f64());
    }
    text.push_str(
        "\n## What must be told\n\nDone in the same run, after all of the above, so that a guard that hears nothing is not taken for \
         one that has nothing to tell.\n\n| tried | what the program saw | stopped | told |\n|---|---|---|---|\n",
    );
    let yes = |done| if done { "yes" } else { "**no**" };
    for p in proofs {
        let _ = writeln!(text, "| {} | `{}` | {} | {} |", p.name, p.saw, yes(p.stopped), yes(told.has(p)));
    }
    for alarm in &told.alarms {
        let _ = writeln!(text, "\n- false alarm: {alarm}");
    }
    text
}
