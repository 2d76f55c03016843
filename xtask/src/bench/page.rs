//! `docs/benchmarks.md`: written by the bench, never by hand.

use std::{fmt::Write as _, fs, path::Path};

use anyhow::{Context as _, Result};

/// Nanoseconds, as people read them.
pub fn ns(value: f64) -> String {
    if value < 10_000.0 { format!("{value:.0} ns") } else { format!("{:.1} µs", value / 1000.0) }
}

/// A Markdown table.
pub struct Table {
    columns: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// With these columns.
    pub fn new(columns: &[&str]) -> Self {
        Self { columns: columns.iter().map(|c| (*c).to_owned()).collect(), rows: Vec::new() }
    }

    /// One column more.
    pub fn column(&mut self, title: &str) {
        self.columns.push(title.to_owned());
    }

    /// One row more.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    fn markdown(&self) -> String {
        let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
        let rule = vec!["---".to_owned(); self.columns.len()];
        let rows: String = self.rows.iter().map(|row| line(row)).collect();
        format!("{}{}{rows}", line(&self.columns), line(&rule))
    }
}

/// The page as it grows.
#[derive(Default)]
pub struct Page {
    budgets: Vec<[String; 4]>,
    /// Title and text.
    sections: Vec<(String, String)>,
}

const BUDGETS: &str = "Against the budgets";
const SKIPPED: &str = "Not measured in the last run";

impl Page {
    /// A figure beside its budget. `most` is the highest value that keeps it. A figure that cannot be (NaN) is told
    /// as not measured.
    pub fn budget(&mut self, what: &str, budget: &str, measured: f64, most: f64, unit: &str) {
        let kept = match () {
            () if measured.is_nan() => "not measured",
            () if measured <= most => "yes",
            () => "**no**",
        };
        let measured = match measured.abs() {
            m if m.is_nan() => "–".to_owned(),
            m if m < 10.0 => format!("{measured:.3} {unit}"),
            _ => format!("{measured:.1} {unit}"),
        };
        self.row(what, budget, measured, kept);
    }

    /// A ratio with its interval beside the least that keeps the budget. An interval on both sides of it says neither yes nor no.
    pub fn least(&mut self, what: &str, budget: &str, (ratio, low, high): (f64, f64, f64), least: f64) {
        let kept = match () {
            () if low >= least => "yes",
            () if high < least => "**no**",
            () => "not clear: noise",
        };
        self.row(what, budget, format!("{ratio:.3} [{low:.3} … {high:.3}] ×"), kept);
    }

    fn row(&mut self, what: &str, budget: &str, measured: String, kept: &str) {
        println!("{what}: {measured} ({budget}): {kept}");
        self.budgets.push([what.to_owned(), budget.to_owned(), measured, kept.to_owned()]);
    }

    /// A table under a heading, and how to read it.
    pub fn section(&mut self, title: &str, words: &str, table: &Table) {
        println!("\n{title}\n{}", table.markdown());
        self.sections.push((title.to_owned(), format!("{words}\n\n{}", table.markdown())));
    }

    /// Writes the page. `about` says when and where this run measured; what an earlier run measured and this one did not
    /// stays on the page.
    pub fn write(&self, path: &Path, about: &str, skipped: &[String]) -> Result<()> {
        let earlier = fs::read_to_string(path).unwrap_or_default();
        fs::write(path, self.over(&earlier, about, skipped))
            .with_context(|| format!("cannot write {}", path.display()))
    }

    /// The page's text, over that of an earlier run.
    fn over(&self, earlier: &str, about: &str, skipped: &[String]) -> String {
        let mut parts = earlier.split("\n## ");
        parts.next();
        let mut sections: Vec<(String, String)> = parts
            .filter_map(|part| part.split_once("\n\n"))
            .map(|(title, text)| (title.to_owned(), text.trim_end().to_owned()))
            .collect();
        let at = sections.iter().position(|(title, _)| title == BUDGETS);
        let rows = at.map(|at| sections.remove(at).1).unwrap_or_default();
        sections.retain(|(title, _)| !title.starts_with("Not measured"));
        let mut budgets: Vec<[String; 4]> = rows.lines().skip(2).filter_map(row).collect();
        for new in &self.budgets {
            match budgets.iter_mut().find(|old| old[..2] == new[..2]) {
                Some(old) => old.clone_from(new),
                None => budgets.push(new.clone()),
            }
        }
        for (title, text) in &self.sections {
            let new = (title.clone(), format!("{}\n\n{about}", text.trim_end()));
            match sections.iter_mut().find(|(old, _)| old == title) {
                Some(old) => *old = new,
                None => sections.push(new),
            }
        }
        let mut table = Table::new(&["what", "budget", "measured", "kept"]);
        budgets.into_iter().for_each(|cells| table.row(cells));
        let mut text = format!(
            "# Benchmarks\n\nWritten by `cargo xtask bench`; not edited by hand. Each part says when it was measured.\n\n\
             Only ratios and differences within one run count: the nanoseconds are one machine's, on one day; the rows marked \
             A/A show what else ran on it. No test asserts any of this.\n\n## {BUDGETS}\n\n{}",
            table.markdown(),
        );
        for (title, section) in sections {
            // Writing to a String cannot fail.
            let _ = write!(text, "\n## {title}\n\n{section}\n");
        }
        if !skipped.is_empty() {
            let _ = write!(text, "\n## {SKIPPED}\n\n");
            skipped.iter().for_each(|line| text.push_str(&format!("- {line}\n")));
        }
        text
    }
}

/// The cells of a row of the table of budgets.
fn row(line: &str) -> Option<[String; 4]> {
    let cells: Vec<_> = line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
    cells.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_that_is_missed_is_told_as_missed() {
        let mut page = Page::default();
        page.budget("a", "≤ 1", 1.5, 1.0, "×");
        page.budget("b", "≤ 1", 0.5, 1.0, "×");
        page.budget("c", "≤ 1", f64::NAN, 1.0, "×");
        let kept: Vec<_> = page.budgets.iter().map(|b| b[3].as_str()).collect();
        assert_eq!(kept, ["**no**", "yes", "not measured"]);
    }

    #[test]
    fn a_table_is_markdown() {
        let mut table = Table::new(&["a", "b"]);
        table.row(["1".to_owned(), "2".to_owned()]);
        assert_eq!(table.markdown(), "| a | b |\n| --- | --- |\n| 1 | 2 |\n");
    }

    #[test]
    fn what_an_earlier_run_measured_stays_until_it_is_measured_again() {
        let mut table = Table::new(&["x"]);
        table.row(["1".to_owned()]);
        let mut first = Page::default();
        first.budget("a", "≤ 1", 0.5, 1.0, "×");
        first.least("b", "≥ 2", (3.0, 2.0, 4.0), 2.0);
        first.section("A", "of a", &table);
        first.section("B", "of b", &table);
        let text = first.over("", "Measured on Monday.", &["c: not here".into()]);
        let mut second = Page::default();
        second.least("b", "≥ 2", (1.0, 0.5, 1.5), 2.0);
        second.least("c", "≥ 2", (1.9, 1.5, 2.5), 2.0);
        second.section("B", "of b", &table);
        let text = second.over(&text, "Measured on Tuesday.", &[]);
        assert!(text.contains("| a | ≤ 1 | 0.500 × | yes |\n| b | ≥ 2 | 1.000 [0.500 … 1.500] × | **no** |\n| c | ≥ 2 | 1.900 [1.500 … 2.500] × | not clear"), "{text}");
        assert!(text.contains("of a\n\n| x |\n| --- |\n| 1 |\n\nMeasured on Monday.\n\n## B"), "{text}");
        assert!(
            text.ends_with("Measured on Tuesday.\n") && text.matches("Measured on").count() == 2,
            "{text}"
        );
    }
}
