//! `miner-guard explain THING`

use clap::Args;
use miner_guard_common::abi::verdict::Verdict;

use super::{
    CliError, Exit, Global,
    table::{self, plain, toned},
    ui::Ui,
};
use crate::{
    api::control::Explanation,
    sinks::text::colour::{Colour, Tone},
};

/// Arguments of `explain`.
#[derive(Debug, Args)]
pub(super) struct ExplainArgs {
    /// An address, address:port, domain, path or pid
    thing: String,
}

pub(super) fn run(global: &Global, args: &ExplainArgs, ui: &mut Ui) -> Result<Exit, CliError> {
    ui.show(&global.client().explain(&args.thing)?, text)?;
    Ok(Exit::Done)
}

fn text(e: &Explanation, colour: Colour) -> String {
    let tone = match e.verdict {
        Verdict::Allow => Tone::Calm,
        Verdict::Alert => Tone::Attention,
        _ => Tone::Stopped,
    };
    let outcome = match (e.verdict.stops(), e.enforced) {
        (true, true) => "would be stopped",
        (true, false) => "would be stopped in enforce mode; now it would be reported",
        (false, _) if e.verdict == Verdict::Alert => "would be reported, not stopped",
        (false, _) => "would not be stopped",
    };
    let verdict = format!("{} ({})", e.verdict.name(), e.reason.name());
    let mut head = vec![
        vec![plain(&e.kind), plain(&e.thing)],
        vec![plain("verdict"), toned(verdict, tone)],
        vec![plain("outcome"), plain(outcome)],
    ];
    if let Some(rule) = &e.rule {
        let origin = e.origin.as_deref().map(|origin| format!(", {origin}")).unwrap_or_default();
        head.push(vec![plain("rule"), plain(format!("{rule}{origin}"))]);
    }
    for (at, step) in e.steps.iter().enumerate() {
        head.push(vec![plain(if at == 0 { "because" } else { "" }), plain(step)]);
    }
    let mut out = table::rows(&head, colour);
    if let Some(case) = &e.case {
        out.push('\n');
        out.push_str(&super::cases::show(case, colour));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use miner_guard_common::abi::verdict::Reason;

    #[test]
    fn an_explanation_says_verdict_rule_and_the_questions_asked() {
        let mut e = Explanation {
            thing: "192.0.2.7:3333".into(),
            kind: "address-port".into(),
            verdict: Verdict::Deny,
            reason: Reason::Address,
            enforced: false,
            rule: Some("lab".into()),
            origin: Some("config.toml:3".into()),
            steps: vec!["protected: no".into(), "listed address: yes".into()],
            case: None,
        };
        assert_eq!(
            text(&e, Colour::NEVER),
            "\
address-port  192.0.2.7:3333
verdict       deny (address)
outcome       would be stopped in enforce mode; now it would be reported
rule          lab, config.toml:3
because       protected: no
              listed address: yes
"
        );
        e.enforced = true;
        assert!(text(&e, Colour::NEVER).contains("outcome       would be stopped\n"));
    }
}
