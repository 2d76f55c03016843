//! Aligned text. Every cell is cleaned here, whoever wrote it, so that no command can forget it.

use crate::sinks::text::{
    colour::{Colour, Tone},
    sanitize::{Padded, clean, columns},
};

/// A cell: what it says and how it is painted.
pub type Cell = (String, Option<Tone>);

/// A cell without colour.
pub fn plain(text: impl Into<String>) -> Cell {
    (text.into(), None)
}

/// A painted cell.
pub fn toned(text: impl Into<String>, tone: Tone) -> Cell {
    (text.into(), Some(tone))
}

/// Lines of aligned cells, two spaces apart, the last cell unpadded. Rows may differ in length.
pub fn rows(rows: &[Vec<Cell>], colour: Colour) -> String {
    let clean: Vec<Vec<(String, Option<Tone>)>> =
        rows.iter().map(|row| row.iter().map(|(text, tone)| (clean(text), *tone)).collect()).collect();
    let mut widths: Vec<usize> = Vec::new();
    for row in &clean {
        // The last cell of a row pushes nothing to the right.
        for (at, (text, _)) in row.iter().enumerate().take(row.len().saturating_sub(1)) {
            if widths.len() <= at {
                widths.push(0);
            }
            if let Some(width) = widths.get_mut(at) {
                *width = columns(text).max(*width);
            }
        }
    }
    let mut out = String::new();
    for row in &clean {
        let mut line = String::new();
        for (at, (text, tone)) in row.iter().enumerate() {
            let last = at + 1 == row.len();
            let width = if last { 0 } else { widths.get(at).copied().unwrap_or(0) };
            let cell = Padded(text, width).to_string();
            line.push_str(&tone.map_or_else(|| cell.clone(), |tone| colour.paint(tone, &cell)));
            if !last {
                line.push_str("  ");
            }
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

/// A heading row.
pub fn heading(names: &[&str]) -> Vec<Cell> {
    names.iter().map(|name| toned(*name, Tone::Dim)).collect()
}

/// 4713 → `4,713`
pub fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `1 domain`, `2 domains`
pub fn count(n: u64, one: &str) -> String {
    format!("{} {one}{}", grouped(n), if n == 1 { "" } else { "s" })
}

/// The two largest units of a time: `3 h 12 min`.
pub fn duration(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, m) => format!("{m} min {} s", seconds % 60),
        (0, h, m) => format!("{h} h {m} min"),
        (d, h, _) => format!("{d} d {h} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_under_each_other_in_any_script() {
        let text = rows(
            &[
                vec![plain("id"), plain("action"), plain("what")],
                vec![plain("挖矿"), plain("deny"), plain("a long last cell")],
                vec![plain("only one")],
            ],
            Colour::NEVER,
        );
        assert_eq!(text, "id    action  what\n挖矿  deny    a long last cell\nonly one\n");
    }

    #[test]
    fn a_hostile_cell_stays_in_its_cell() {
        let text = rows(&[vec![plain("a\nb\x1b[2J"), plain("c")]], Colour::NEVER);
        assert_eq!(text, "a\\nb\\x1b[2J  c\n");
    }

    #[test]
    fn colour_does_not_move_the_columns() {
        let row = vec![vec![toned("ab", Tone::Calm), plain("c")], vec![plain("abcd"), plain("c")]];
        assert_eq!(rows(&row, Colour::ALWAYS), "\x1b[32mab  \x1b[0m  c\nabcd  c\n");
    }

    #[test]
    fn numbers_and_times_are_for_people() {
        assert_eq!(
            ["1", "999", "1,000", "4,713,000"],
            [1, 999, 1000, 4_713_000].map(grouped).each_ref().map(|s| s.as_str())
        );
        assert_eq!(count(1, "rule"), "1 rule");
        assert_eq!(count(0, "rule"), "0 rules");
        let times = [0, 59, 61, 11_530, 200_000].map(duration);
        assert_eq!(
            times.each_ref().map(|s| s.as_str()),
            ["0 s", "59 s", "1 min 1 s", "3 h 12 min", "2 d 7 h"]
        );
    }
}
