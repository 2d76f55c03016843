//! `miner-guard isolate`, `miner-guard release`

use clap::Args;

use super::{
    CliError, Exit, Global,
    table::{self, plain, toned},
    ui::Ui,
};
use crate::{
    api::control::{Isolation, IsolationRequest},
    policy::duration,
    sinks::text::colour::{Colour, Tone},
};

/// Arguments of `isolate`.
#[derive(Debug, Args)]
pub(super) struct IsolateArgs {
    /// A cgroup (its path, from the root of the hierarchy or entire), or a process whose cgroup is meant
    #[arg(value_name = "CGROUP|PID")]
    target: String,
    /// For so long, such as 90s, 10m, 24h or 7d; 0: until it is released [default: the policy's `isolate_for`]
    #[arg(long = "for", value_name = "TIME", value_parser = time)]
    seconds: Option<u64>,
}

/// Arguments of `release`.
#[derive(Debug, Args)]
pub(super) struct ReleaseArgs {
    /// A cgroup (its path, from the root of the hierarchy or entire), or a process whose cgroup is meant
    #[arg(value_name = "CGROUP|PID")]
    target: String,
}

fn time(text: &str) -> Result<u64, String> {
    duration::read(text).ok_or_else(|| format!("it is no duration; {}", duration::FORM))
}

pub(super) fn isolate(global: &Global, args: &IsolateArgs, ui: &mut Ui) -> Result<Exit, CliError> {
    let wanted = IsolationRequest { target: args.target.clone(), seconds: args.seconds };
    ui.show(&global.client().isolate(&wanted)?, text)?;
    Ok(Exit::Done)
}

pub(super) fn release(global: &Global, args: &ReleaseArgs, ui: &mut Ui) -> Result<Exit, CliError> {
    ui.show(&global.client().release(&args.target)?, text)?;
    Ok(Exit::Done)
}

fn text(i: &Isolation, colour: Colour) -> String {
    let (what, tone) = match (i.isolated, i.enforced) {
        (true, true) => ("isolated: it may reach protected destinations only", Tone::Stopped),
        (true, false) => ("would be isolated; in audit mode that is only told", Tone::Attention),
        (false, _) => ("not isolated", Tone::Calm),
    };
    let unchanged = if i.changed { "" } else { " (nothing changed)" };
    table::rows(&[vec![plain(&i.cgroup), toned(format!("{what}{unchanged}"), tone)]], colour)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_said_whether_it_holds_or_is_only_told() {
        let mut i = Isolation {
            cgroup: "/sys/fs/cgroup/x".into(),
            isolated: true,
            enforced: true,
            changed: true,
            all: Vec::new(),
        };
        assert_eq!(
            text(&i, Colour::NEVER),
            "/sys/fs/cgroup/x  isolated: it may reach protected destinations only\n"
        );
        (i.enforced, i.changed) = (false, false);
        assert!(text(&i, Colour::NEVER).ends_with("in audit mode that is only told (nothing changed)\n"));
        i.isolated = false;
        assert!(text(&i, Colour::NEVER).contains("not isolated"));
    }
}
