//! `miner-guard scan PATH…`, `miner-guard scan --running`

use std::{
    fmt::Write as _,
    io::{self, IsTerminal as _},
    num::NonZero,
    path::PathBuf,
    sync::{Arc, atomic::Ordering, mpsc},
    thread,
    time::Duration,
};

use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{CliError, Exit, table::grouped, ui::Ui};
use crate::{
    identify::{
        Class, Identifier,
        scan::{self, Item, Options, Progress, Report},
        yara::{self, Rules},
    },
    policy::PolicyError,
    sinks::text::{
        colour::{Colour, Tone},
        sanitize::{clean, clean_bytes},
    },
};

/// Arguments of `scan`.
#[derive(Debug, Args)]
pub(super) struct ScanArgs {
    /// Files and directories; links within them are not followed
    #[arg(value_name = "PATH", required_unless_present_any = ["running", "root"])]
    paths: Vec<PathBuf>,
    /// Every program that runs, deleted and anonymous ones included
    #[arg(long)]
    running: bool,
    /// Treat DIR as /: a container's layer, a mounted disk
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// Stay on the file system where each path begins
    #[arg(short = 'x', long)]
    one_file_system: bool,
    /// YARA rules that are matched too; may be given more than once, and with `*` in a file's name
    #[arg(long, value_name = "FILE")]
    rules: Vec<PathBuf>,
    /// Threads that read [default: all cores]
    #[arg(short, long, value_name = "N")]
    jobs: Option<NonZero<usize>>,
}

/// Columns of a path and of a sentence.
const LINE: usize = 2000;
/// Skipped files that the text shows.
const SHOWN: usize = 10;
const TICK: Duration = Duration::from_millis(100);

pub(super) fn run(args: &ScanArgs, ui: &mut Ui) -> Result<Exit, CliError> {
    let mut paths = args.paths.clone();
    if paths.is_empty() && args.root.is_some() {
        paths.push("/".into());
    }
    let options = Options {
        paths,
        root: args.root.clone(),
        running: args.running,
        one_file_system: args.one_file_system,
        rules: rules(&args.rules)?,
        jobs: args.jobs,
    };
    let report = watched(&options);
    ui.show(&report, text)?;
    Ok(if report.is_clean() { Exit::Done } else { Exit::Found })
}

/// The rules that were named; `None` for none.
fn rules(named: &[PathBuf]) -> Result<Option<Arc<Rules>>, CliError> {
    if named.is_empty() {
        return Ok(None);
    }
    let wrong = |errors| CliError::Policy { errors, then: "nothing was scanned" };
    if !yara::BUILT {
        return Err(wrong(vec![format!("--rules: {}; {}", yara::NOT_BUILT.0, yara::NOT_BUILT.1)]));
    }
    let (mut files, mut errors) = (Vec::new(), Vec::new());
    for path in named {
        match yara::named(path) {
            Ok(found) => files.extend(found),
            Err(problem) => errors.push(format!("--rules: {problem}; name an existing file")),
        }
    }
    if !errors.is_empty() {
        return Err(wrong(errors));
    }
    let all = |troubles: Vec<_>| troubles.into_iter().map(|t| PolicyError::from(t).to_string()).collect();
    let rules = Rules::load(&files, None).map_err(|troubles| wrong(all(troubles)))?;
    for warning in rules.warnings() {
        tracing::warn!("{warning}");
    }
    Ok(Some(rules))
}

/// Scans, and shows how far it is where somebody looks on.
fn watched(options: &Options) -> Report {
    let (progress, identifier) = (Progress::default(), Identifier::new());
    if !io::stderr().is_terminal() {
        return scan::scan(&identifier, options, &progress);
    }
    let (done, end) = mpsc::channel::<()>();
    let shown = &progress;
    thread::scope(|scope| {
        scope.spawn(move || {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            if let Ok(style) =
                ProgressStyle::with_template("{elapsed_precise} {wide_bar} {pos}/{len} files {msg}")
            {
                bar.set_style(style);
            }
            // A closed channel ends the waiting at once.
            while end.recv_timeout(TICK) == Err(mpsc::RecvTimeoutError::Timeout) {
                bar.set_length(shown.files.load(Ordering::Relaxed));
                bar.set_position(shown.done.load(Ordering::Relaxed));
                let all = shown.all_found.load(Ordering::Relaxed);
                bar.set_message(if all { "" } else { "so far" });
            }
            bar.finish_and_clear();
        });
        let report = scan::scan(&identifier, options, &progress);
        drop(done);
        report
    })
}

fn text(report: &Report, colour: Colour) -> String {
    let mut out = String::new();
    for item in &report.found {
        out.push_str(&self::item(item, colour));
    }
    for skipped in report.skipped.iter().take(SHOWN) {
        let _ = writeln!(
            out,
            "{}",
            colour.paint(Tone::Dim, &format!("skipped {}: {}", path(&skipped.path), clean(&skipped.reason)))
        );
    }
    let more = report.skipped_total.saturating_sub(SHOWN as u64);
    if more > 0 {
        let _ = writeln!(out, "{}", colour.paint(Tone::Dim, &format!("and {} more skipped", grouped(more))));
    }
    let _ = write!(out, "{} files, {} programs: ", grouped(report.files), grouped(report.programs));
    let tally: Vec<_> = scan::tally(report)
        .iter()
        .rev()
        .map(|(class, n)| format!("{} {class}", grouped(*n as u64)))
        .collect();
    out.push_str(&if tally.is_empty() { "nothing found".to_owned() } else { tally.join(", ") });
    if report.skipped_total > 0 {
        let _ = write!(out, "; {} could not be looked at", grouped(report.skipped_total));
    }
    out.push('\n');
    out
}

fn item(item: &Item, colour: Colour) -> String {
    let tone = match item.finding.class {
        Class::MinerBinary => Tone::Stopped,
        Class::HashingHeavy => Tone::Attention,
        Class::Packed | Class::Suspect | Class::Clean => Tone::Dim,
    };
    let class = colour.paint(tone, &format!("{:13}", item.finding.class));
    let mut out = format!("{class} {}", path(&item.path));
    if !item.pids.is_empty() {
        let pids: Vec<_> = item.pids.iter().map(ToString::to_string).collect();
        let _ = write!(out, " (run by {})", pids.join(", "));
    }
    out.push('\n');
    for evidence in &item.finding.evidence {
        let _ = writeln!(out, "    {}", clean_bytes(evidence.text.as_bytes(), LINE));
    }
    out
}

fn path(path: &std::path::Path) -> String {
    use std::os::unix::ffi::OsStrExt as _;
    clean_bytes(path.as_os_str().as_bytes(), LINE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identify::{Evidence, Finding, Kind, Strength};
    use std::path::Path;

    #[test]
    fn a_report_names_the_file_the_reason_and_the_sum() {
        let finding = Finding {
            class: Class::MinerBinary,
            evidence: vec![Evidence {
                kind: Kind::Client,
                strength: Strength::Medium,
                text: "the scheme of a pool's address: \"x\" at 0x10".to_owned(),
            }],
            size: 1,
            complete: true,
            changed: false,
        };
        let report = Report {
            files: 4713,
            programs: 12,
            found: vec![Item { path: Path::new("/tmp/a\nclean").to_owned(), pids: vec![7], finding }],
            ..Report::default()
        };
        assert_eq!(
            text(&report, Colour::NEVER),
            "miner-binary  /tmp/a\\nclean (run by 7)\n    the scheme of a pool's address: \"x\" at 0x10\n\
             4,713 files, 12 programs: 1 miner-binary\n"
        );
    }

    #[test]
    fn an_empty_report_says_that_nothing_was_found() {
        assert_eq!(text(&Report::default(), Colour::NEVER), "0 files, 0 programs: nothing found\n");
    }
}
