//! What a machine's console says: did it boot, did the tests pass, and if not, which.

use std::time::Duration;

/// The line with which /init ends; its exit status follows. The same text is in tests/src/init.rs.
const MARKER: &str = "miner-guard-e2e: exit ";

/// A machine's run.
pub struct Ran {
    /// How it ended.
    pub outcome: Outcome,
    /// What it used of the processors.
    pub processor: Duration,
    /// All that the tests wrote.
    pub console: String,
}

impl Ran {
    /// QEMU did not start; why.
    pub fn unstarted(why: String) -> Self {
        Self { outcome: Outcome::Unstarted(why), processor: Duration::ZERO, console: String::new() }
    }
}

/// How a machine ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All tests passed; the closing line of the tests.
    Passed(String),
    /// The tests ended with a status other than 0.
    Failed {
        /// The closing line.
        closing: String,
        /// The tests that failed, as libtest lists them.
        tests: Vec<String>,
        /// The output that explains it.
        why: String,
    },
    /// It was still running when its time was over; the last lines of the tests.
    TimedOut(String),
    /// It ended before /init wrote a line; the last lines of the kernel.
    Unbooted(String),
    /// It ended without the closing marker; the last lines of the kernel.
    Died(String),
    /// QEMU did not start.
    Unstarted(String),
}

/// Judges by what the tests and the kernel wrote. Unless `filtered`, a run of no test at all is a failure.
pub fn judge(tests: &str, kernel: &str, timed_out: bool, filtered: bool) -> Outcome {
    let status = tests.lines().rev().find_map(|line| line.strip_prefix(MARKER)).map(str::trim);
    let closing =
        tests.lines().rev().find(|line| line.starts_with("test result:")).unwrap_or_default().to_owned();
    match status {
        // A run without the closing line did not run the tests, whatever its status.
        Some("0")
            if closing.starts_with("test result: ok.") && (filtered || !closing.contains(" 0 passed")) =>
        {
            Outcome::Passed(closing)
        }
        Some(_) => Outcome::Failed { closing, tests: failed(tests), why: failures(tests) },
        None if timed_out && tests.is_empty() => Outcome::TimedOut(format!(
            "it never reached /init; the kernel's last lines:\n{}",
            tail(kernel, 30)
        )),
        None if timed_out => Outcome::TimedOut(tail(tests, 30)),
        None if tests.is_empty() => Outcome::Unbooted(tail(kernel, 40)),
        None => Outcome::Died(format!("{}\nthe kernel's last lines:\n{}", tail(tests, 30), tail(kernel, 40))),
    }
}

/// Prints one machine's result. What failed, in a line, when it did not pass.
pub fn report(name: &str, ran: &Ran, took: Duration) -> Option<String> {
    let (seconds, processor) = (took.as_secs(), ran.processor.as_secs());
    let short = match &ran.outcome {
        Outcome::Passed(closing) => {
            println!("vm {name} ({seconds} s, {processor} s of processor time): {closing}");
            return None;
        }
        Outcome::Failed { closing, tests, why } => {
            println!(
                "vm {name} ({seconds} s, {processor} s of processor time): FAILED {closing}\n{}",
                indent(why)
            );
            tests.join(", ")
        }
        Outcome::TimedOut(last) => {
            println!("vm {name}: still running after {seconds} s, killed\n{}", indent(last));
            "still running".into()
        }
        Outcome::Unbooted(last) => {
            println!("vm {name}: the kernel died before /init ran\n{}", indent(last));
            "did not boot".into()
        }
        Outcome::Died(last) => {
            println!("vm {name}: died after {seconds} s, before its tests ended\n{}", indent(last));
            "died".into()
        }
        Outcome::Unstarted(why) => {
            println!("vm {name}: not started: {why}");
            format!("not started: {why}")
        }
    };
    Some(format!("{name}: {short}"))
}

/// From the first "failures:" on, which is where a libtest program explains; else the last lines.
/// The closing line is where that ends: what /init copies out after it explains nothing.
fn failures(tests: &str) -> String {
    let Some(at) = tests.find("\nfailures:") else { return tail(tests, 60) };
    let explained = &tests[at..];
    explained.split_once("\ntest result:").map_or(explained, |(before, _)| before).trim().to_owned()
}

/// The names in libtest's closing list, which is its second "failures:".
fn failed(tests: &str) -> Vec<String> {
    let list = tests.rsplit_once("\nfailures:\n").map_or("", |(_, list)| list);
    list.lines().map_while(|line| line.strip_prefix("    ")).map(str::to_owned).collect()
}

fn tail(text: &str, lines: usize) -> String {
    let all: Vec<_> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

fn indent(text: &str) -> String {
    text.lines().map(|line| format!("    {line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str =
        "running 2 tests\ntest a ... ok\n\ntest result: ok. 2 passed; 0 failed\nminer-guard-e2e: exit 0\n";

    #[test]
    fn a_machine_passes_by_its_marker_and_its_closing_line() {
        assert_eq!(
            judge(GOOD, "", false, false),
            Outcome::Passed("test result: ok. 2 passed; 0 failed".into())
        );
    }

    #[test]
    fn a_machine_that_says_zero_but_ran_no_tests_has_failed() {
        assert!(matches!(judge("miner-guard-e2e: exit 0\n", "", false, false), Outcome::Failed { .. }));
        let none = "test result: ok. 0 passed; 0 failed\nminer-guard-e2e: exit 0\n";
        assert!(matches!(judge(none, "", false, false), Outcome::Failed { .. }));
        assert!(matches!(judge(none, "", false, true), Outcome::Passed(..)));
    }

    #[test]
    fn a_failure_is_told_with_its_name_and_its_explanation_only() {
        let text = "test a ... FAILED\n\nfailures:\n\n---- a ----\nbecause\n\nfailures:\n    a\n    b::c\n\n\
                    test result: FAILED. 0 passed; 2 failed\ncoverage: {}\nminer-guard-e2e: exit 101\n";
        let Outcome::Failed { closing, tests, why } = judge(text, "", false, false) else {
            panic!("not failed")
        };
        assert_eq!(closing, "test result: FAILED. 0 passed; 2 failed");
        assert_eq!(tests, ["a", "b::c"]);
        assert!(
            why.starts_with("failures:") && why.contains("because") && !why.contains("coverage"),
            "{why}"
        );
    }

    #[test]
    fn a_panic_is_told_with_the_kernels_last_lines() {
        let outcome = judge("test a ... ", "Kernel panic - not syncing", false, false);
        assert!(matches!(outcome, Outcome::Died(text) if text.contains("Kernel panic")));
        let outcome = judge("", "Kernel panic - not syncing", false, false);
        assert!(matches!(outcome, Outcome::Unbooted(text) if text.contains("Kernel panic")));
    }

    #[test]
    fn a_machine_that_never_came_up_says_so() {
        let outcome = judge("", "Linux version", true, false);
        assert!(matches!(outcome, Outcome::TimedOut(text) if text.contains("never reached /init")));
    }
}
