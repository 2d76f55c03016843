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
    sections: String,
}

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
        println!("{what}: {measured} ({budget}): {kept}");
        self.budgets.push([what.to_owned(), budget.to_owned(), measured, kept.to_owned()]);
    }

    /// A table under a heading, and how to read it.
    pub fn section(&mut self, title: &str, words: &str, table: &Table) {
        println!("\n{title}\n{}", table.markdown());
        // Writing to a String cannot fail.
        let _ = write!(self.sections, "\n## {title}\n\n{words}\n\n{}", table.markdown());
    }

    /// Writes the page.
    pub fn write(&self, path: &Path, about: &str, skipped: &[String]) -> Result<()> {
        let mut budgets = Table::new(&["what", "budget", "measured", "kept"]);
        self.budgets.iter().for_each(|row| budgets.row(row.clone()));
        let mut text = format!(
            "# Benchmarks\n\nWritten by `cargo xtask bench`; not edited by hand. {about}\n\nOnly ratios and differences within \
             one run count: the nanoseconds are one machine's, on one day. No test asserts any of this.\n\n\
             ## Against the budgets\n\n{}{}",
            budgets.markdown(),
            self.sections
        );
        text.push_str("\n## Not measured in this run\n\n");
        for line in skipped {
            text.push_str(&format!("- {line}\n"));
        }
        if skipped.is_empty() {
            text.push_str("Nothing was left out.\n");
        }
        fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
    }
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
}
