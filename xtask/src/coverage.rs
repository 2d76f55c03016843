//! `cargo xtask coverage`: docs/coverage.md, from what the end-to-end tests last saw on each machine.
//!
//! The tests judge; this only puts their words into tables. [`keep`] is called after each whole run of a machine.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use crate::{shell, vm};

/// How a line of the tests begins on a console. The same text is in tests/src/coverage.rs.
const MARK: &str = "coverage: ";
/// The variable that names the file to which the tests on this kernel add their lines.
pub const FILE: &str = "MINER_GUARD_COVERAGE";
/// The machine that these tests run on.
const NATIVE: &str = "native";

const INTRODUCTION: &str = "\
# Coverage

Written by `cargo xtask coverage` from what the end-to-end tests saw; not edited by hand. Which routes of an evader are
closed, and on which kernels. *Stopped*: `connect` or the send fails with EPERM, the connection comes to nothing, or the
program is refused or killed before its first user instruction. *Detected*: it is reported, or killed by the daemon soon
after. *Open*: named here so that nobody relies on it. *–*: this kernel has no such route. A test fails when a route that
a hook in force should stop is open, and also when one that is called open is not.

The numbers are Debian's kernels in virtual machines, *lsm* with `bpf` in the list of active LSMs; *native* is the kernel
of the machine that the tests ran on, {native}.
";

/// The tables: what the tests call them, their titles, and a word on them.
const TABLES: [(&str, &str, &str); 3] = [
    ("destination", "To a denied destination", "IPv4 and IPv6 both; the worse counts."),
    (
        "content",
        "To an address that nobody lists, by what is said there",
        "A denied name, or the opening words of a miner.",
    ),
    (
        "program",
        "A miner's program",
        "Found by its path, its hash or its content; renamed, stripped and packed with UPX make no difference to the \
         last, which the tests of `miner-guard/src/identify` show.",
    ),
];

#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    Kernel { kernel: String },
    Route(Told),
}

#[derive(Clone, Deserialize)]
struct Told {
    table: String,
    route: String,
    outcome: Outcome,
    why: String,
}

/// Worst last.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Outcome {
    Absent,
    Stopped,
    Detected,
    Open,
}

/// Arguments of `cargo xtask coverage`.
#[derive(clap::Args)]
pub struct Args {
    /// Write nothing; fail when the page says something else of the virtual machines than their tests saw
    #[arg(long)]
    check: bool,
}

/// Writes the page, or checks it.
pub fn main(args: &Args) -> Result<()> {
    if args.check {
        return check();
    }
    let page = page()?;
    let path = path();
    fs::write(&path, page).with_context(|| format!("cannot write {}", path.display()))?;
    eprintln!("coverage: wrote {}", path.display());
    Ok(())
}

/// What this machine's own kernel does is not compared: it may be another one.
fn check() -> Result<()> {
    let path = path();
    let there = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    if without_native(&there) != without_native(&page()?) {
        bail!(
            "{} is not what the tests saw: run `cargo xtask coverage` and look at the difference",
            path.display()
        );
    }
    Ok(())
}

/// Where the tests on this kernel put their lines; what an earlier run put there is gone.
pub fn native_file() -> Result<PathBuf> {
    let file = file_of(NATIVE)?;
    if file.exists() {
        fs::remove_file(&file)?;
    }
    Ok(file)
}

/// Keeps the lines that a virtual machine wrote on its console.
pub fn keep(machine: &str, console: &str) -> Result<()> {
    let lines: String =
        console.lines().filter_map(|line| line.strip_prefix(MARK)).map(|line| format!("{line}\n")).collect();
    fs::write(file_of(machine)?, lines).with_context(|| format!("cannot keep what {machine} saw"))
}

fn path() -> PathBuf {
    shell::root().join("docs/coverage.md")
}

fn file_of(machine: &str) -> Result<PathBuf> {
    let dir = shell::target_dir().join("coverage");
    fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
    Ok(dir.join(format!("{machine}.jsonl")))
}

fn page() -> Result<String> {
    let mut machines = vec![(NATIVE.to_owned(), Machine::read(NATIVE)?)];
    for name in vm::names() {
        let machine = Machine::read(&name)?;
        machines.push((name, machine));
    }
    Ok(render(&machines))
}

/// What one machine saw.
#[derive(Default)]
struct Machine {
    kernel: String,
    told: Vec<Told>,
}

impl Machine {
    fn read(name: &str) -> Result<Self> {
        let file = file_of(name)?;
        let text = fs::read_to_string(&file).unwrap_or_default();
        if text.is_empty() {
            bail!(
                "the tests have not run on {name}: run `cargo xtask test` (or `vm`) without a filter first"
            );
        }
        Self::parse(&text, &file)
    }

    fn parse(text: &str, file: &Path) -> Result<Self> {
        let mut machine = Self::default();
        for line in text.lines() {
            let line = serde_json::from_str(line)
                .with_context(|| format!("{} holds a line that no test wrote: {line}", file.display()))?;
            match line {
                Line::Kernel { kernel } => machine.kernel = kernel,
                Line::Route(told) => machine.told.push(told),
            }
        }
        Ok(machine)
    }

    /// The worst that is told of a route.
    fn worst(&self, table: &str, route: &str) -> Option<&Told> {
        // The first of equals, so that the reason does not depend on the order of families.
        self.told
            .iter()
            .filter(|told| told.table == table && told.route == route)
            .reduce(|worst, told| if told.outcome > worst.outcome { told } else { worst })
    }
}

fn render(machines: &[(String, Machine)]) -> String {
    let native = machines.first().map_or("", |(_, machine)| machine.kernel.as_str());
    let mut page = INTRODUCTION.replace("{native}", native);
    for (table, title, words) in TABLES {
        let mut routes: Vec<&str> = Vec::new();
        for told in machines.iter().flat_map(|(_, machine)| &machine.told).filter(|told| told.table == table)
        {
            if !routes.contains(&told.route.as_str()) {
                routes.push(&told.route);
            }
        }
        if routes.is_empty() {
            continue;
        }
        // Writing to a string cannot fail.
        let _ = write!(page, "\n## {title}\n\n{words}\n\n| route |");
        for (name, _) in machines {
            let _ = write!(page, " {} |", name.replace("-lsm-off", "").replace("-lsm-on", " lsm"));
        }
        let _ = write!(page, "\n|{}\n", "---|".repeat(machines.len() + 1));
        let mut notes = Notes::default();
        for route in routes {
            let _ = write!(page, "| {route} |");
            for (_, machine) in machines {
                let _ = write!(
                    page,
                    " {} |",
                    machine.worst(table, route).map_or("not run".into(), |t| notes.cell(t))
                );
            }
            page.push('\n');
        }
        page.push_str(&notes.text());
    }
    page
}

/// Reasons below a table, each once.
#[derive(Default)]
struct Notes(BTreeMap<String, usize>);

impl Notes {
    fn cell(&mut self, told: &Told) -> String {
        let word = match told.outcome {
            Outcome::Stopped => return "stopped".to_owned(),
            Outcome::Detected => "detected",
            Outcome::Open => "open",
            Outcome::Absent => "–",
        };
        let next = self.0.len() + 1;
        format!("{word} ({})", self.0.entry(told.why.clone()).or_insert(next))
    }

    fn text(&self) -> String {
        let mut notes: Vec<_> = self.0.iter().map(|(why, number)| (number, why)).collect();
        notes.sort();
        let lines: String = notes.iter().map(|(number, why)| format!("{number}. {why}\n")).collect();
        if lines.is_empty() { lines } else { format!("\n{lines}") }
    }
}

/// The page's rows without the column of this machine's kernel and without the numbers of the reasons.
fn without_native(page: &str) -> Vec<Vec<String>> {
    let word = |cell: &str| cell.split(" (").next().unwrap_or_default().trim().to_owned();
    page.lines()
        .filter(|line| line.starts_with('|'))
        .map(|line| {
            let cells: Vec<&str> = line.trim_matches('|').split('|').collect();
            // The route's own name may have brackets in it.
            let route = cells.first().map(|cell| cell.trim().to_owned());
            route.into_iter().chain(cells.iter().skip(2).map(|cell| word(cell))).collect()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(lines: &[(&str, &str, &str)]) -> Machine {
        let mut text = String::from("{\"kernel\":\"6.0\"}\n");
        for (route, outcome, why) in lines {
            writeln!(
                text,
                "{{\"table\":\"destination\",\"route\":\"{route}\",\"outcome\":\"{outcome}\",\"why\":\"{why}\"}}"
            )
            .unwrap();
        }
        Machine::parse(&text, Path::new("test")).unwrap()
    }

    fn two(native: &[(&str, &str, &str)], vm: &[(&str, &str, &str)]) -> String {
        render(&[("native".into(), machine(native)), ("6.1-lsm-on".into(), machine(vm))])
    }

    #[test]
    fn the_worse_of_two_families_is_what_the_table_says() {
        let page =
            two(&[("a (b)", "stopped", ""), ("a (b)", "open", "no hook")], &[("a (b)", "stopped", "")]);
        assert!(page.contains("| route | native | 6.1 lsm |"), "{page}");
        assert!(page.contains("| a (b) | open (1) | stopped |\n\n1. no hook\n"), "{page}");
    }

    #[test]
    fn a_difference_counts_in_a_virtual_machine_and_not_on_this_kernel() {
        let base = two(&[("a (b)", "stopped", "")], &[("a (b)", "stopped", "")]);
        let native = two(&[("a (b)", "open", "no hook")], &[("a (b)", "stopped", "")]);
        let virtual_one = two(&[("a (b)", "stopped", "")], &[("a (b)", "detected", "late")]);
        assert_eq!(without_native(&base), without_native(&native));
        assert_ne!(without_native(&base), without_native(&virtual_one));
    }

    #[test]
    fn a_route_that_was_not_run_is_said_to_be_not_run() {
        let page = two(&[("a", "stopped", ""), ("b", "absent", "no such socket")], &[("a", "stopped", "")]);
        assert!(page.contains("| b | – (1) | not run |"), "{page}");
    }

    #[test]
    fn a_line_that_no_test_wrote_is_an_error() {
        assert!(Machine::parse("{\"route\":1}\n", Path::new("test")).is_err());
    }
}
