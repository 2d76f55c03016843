//! docs/detection-static.md: written by the evaluation, never by hand.

use std::{collections::BTreeMap, fmt::Write as _, fs, path::Path};

use anyhow::{Context as _, Result};

use super::{
    Sample, Truth,
    debian::Tree,
    disguise::{self, Variant},
    verdicts::Verdicts,
};

/// Packages in which `hashing-heavy` is right, as a person who looked agrees: the beginning of the name, and why.
const AGREED: &[(&str, &str)] = &[
    ("monero", "Monero's node, wallets and tests compute CryptoNight and RandomX"),
    ("feather-wallet", "a Monero wallet: it checks CryptoNight blocks"),
    ("librandomx", "the RandomX library"),
    ("john", "a password cracker: it has nearly every hash function there is"),
    ("hashcat", "a password cracker"),
];
/// Ordinary class of a file that is listed by nobody.
const CLASSES: [&str; 5] = ["miner-binary", "hashing-heavy", "packed", "suspect", "clean"];

/// The page as it grows.
#[derive(Default)]
pub struct Page {
    text: String,
    rows: BTreeMap<&'static str, BTreeMap<String, usize>>,
}

/// Whether a class is what must be said of a disguised sample.
fn right(truth: Truth, variant: &Variant, class: &str) -> bool {
    match (truth, variant.reworded()) {
        (Truth::Miner, false) => class == "miner-binary",
        // Where every word is gone no client is left in the file: its algorithm must be found.
        (Truth::Miner, true) | (Truth::Algorithm, _) => matches!(class, "miner-binary" | "hashing-heavy"),
    }
}

impl Page {
    /// Names what could not be had.
    pub fn missing(&mut self, missing: &[String]) {
        for what in missing {
            eprintln!("eval: left out: {what}");
        }
        if !missing.is_empty() {
            let _ = writeln!(self.text, "Left out, as it could not be fetched or built:\n");
            for what in missing {
                let line = what.lines().next().unwrap_or_default();
                let _ = writeln!(self.text, "- {line}");
            }
            self.text.push('\n');
        }
    }

    /// Says what a quick run left out.
    pub fn quick(&mut self) {
        self.text.push_str(
            "This was a quick run (`--quick`): UPX packed with -9 where --best is named, and the speed was measured once.\n\n",
        );
    }

    /// The table of samples and disguises; gives how many are missed.
    pub fn matrix(&mut self, samples: &[Sample], variants: &[Variant], verdicts: &Verdicts) -> usize {
        let mut missed = 0;
        let out = &mut self.text;
        let _ = writeln!(out, "## Miners, and programs with a miner's algorithm\n");
        let _ = writeln!(
            out,
            "M: `miner-binary`. H: `hashing-heavy`. P: `packed`. –: the tool refuses this kind of file. **bold**: missed.\n"
        );
        let _ = writeln!(out, "| program | is | {} |", disguise::ALL.join(" | "));
        let _ = writeln!(out, "|---|---|{}", "---|".repeat(disguise::ALL.len()));
        for sample in samples {
            let is = if sample.truth == Truth::Miner { "miner" } else { "algorithm" };
            let mut line = format!("| {} | {is} |", sample.name);
            for disguise in 0..disguise::ALL.len() {
                let variant = variants.iter().find(|v| v.sample == sample.name && v.disguise == disguise);
                let Some(variant) = variant else {
                    line.push_str(" – |");
                    continue;
                };
                let class = verdicts.class(&variant.path);
                let truth =
                    if sample.truth == Truth::Miner { "a miner" } else { "an algorithm without a client" };
                *self.rows.entry(truth).or_default().entry(class.to_owned()).or_default() += 1;
                let short = match class {
                    "miner-binary" => "M",
                    "hashing-heavy" => "H",
                    "packed" => "P",
                    other => other,
                };
                if right(sample.truth, variant, class) {
                    let _ = write!(line, " {short} |");
                } else {
                    missed += 1;
                    let _ = write!(line, " **{short}** |");
                    eprintln!("eval: missed: {}, {}: {class}", sample.name, disguise::ALL[disguise]);
                }
            }
            let _ = writeln!(out, "{line}");
        }
        let _ = writeln!(
            out,
            "\nReworded: every string that has one of some sixty words of miners in it is overwritten from end to end. \
             {} copies, {missed} missed.\n",
            variants.len()
        );
        missed
    }

    /// What is said of Debian's files; gives how many are taken for miners, or for algorithms without a person agreeing.
    pub fn honest(&mut self, tree: &Tree, verdicts: &Verdicts) -> usize {
        let mut accused = 0;
        let counts = self.rows.entry("an honest program or library").or_default();
        let mut heavy: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
        for (path, verdict) in &verdicts.found {
            let inside = path.strip_prefix(&tree.path).unwrap_or(path).display().to_string();
            *counts.entry(verdict.class.clone()).or_default() += 1;
            let package = inside.split('/').nth(1).unwrap_or_default().to_owned();
            match verdict.class.as_str() {
                "miner-binary" => {
                    accused += 1;
                    eprintln!("eval: accused: {inside}: {}", verdict.why);
                    heavy
                        .entry(package)
                        .or_default()
                        .push((format!("**{inside}: miner-binary**"), verdict.why.clone()));
                }
                "hashing-heavy" => heavy.entry(package).or_default().push((inside, verdict.why.clone())),
                _ => {}
            }
        }
        let flagged: usize = counts.iter().filter(|(class, _)| *class != "suspect").map(|(_, n)| n).sum();
        counts.insert(
            "clean".to_owned(),
            usize::try_from(verdicts.programs).unwrap_or(0).saturating_sub(flagged),
        );
        let out = &mut self.text;
        let _ = writeln!(out, "## Programs and libraries of Debian\n");
        let _ = writeln!(
            out,
            "{} packages, {} files, of which {} are ELF files; {} could not be read.\n",
            tree.packages, verdicts.files, verdicts.programs, verdicts.skipped
        );
        let _ = writeln!(
            out,
            "`hashing-heavy`, with the package, the first file and why, and whether a person agrees:\n"
        );
        let _ = writeln!(out, "| package | files | for example | because of | right? |");
        let _ = writeln!(out, "|---|---|---|---|---|");
        for (package, files) in &heavy {
            let agreed = AGREED.iter().find(|(name, _)| package.starts_with(name)).map(|(_, why)| *why);
            if agreed.is_none() {
                accused += files.len();
                for (file, why) in files {
                    eprintln!("eval: hashing-heavy, and nobody agrees: {file}: {why}");
                }
            }
            let (file, why) = &files[0];
            let file = file.rsplit('/').next().unwrap_or(file);
            let why = why.split(" at 0x").next().unwrap_or(why).replace('|', "/");
            let why: String = why.chars().take(120).collect();
            let agreed = agreed.map_or("**no**".to_owned(), |why| format!("yes: {why}"));
            let _ = writeln!(out, "| {package} | {} | {file} | {why} | {agreed} |", files.len());
        }
        out.push('\n');
        if !tree.absent.is_empty() {
            let _ = writeln!(out, "Not in the archive any more, and left out: {}.\n", tree.absent.join(", "));
        }
        accused
    }

    /// The scan beside yara: seconds by the clock and of processor time.
    pub fn speed(&mut self, bytes: u64, threads: usize, rounds: usize, ours: [f64; 2], yara: [f64; 2]) {
        let _ = writeln!(self.text, "## Speed\n");
        let _ = writeln!(
            self.text,
            "The same {} MB in memory, {threads} threads, the best of {rounds} rounds each. yara's rules \
             (`xtask/src/eval/files/miners.yar`) look for the same constants and words.\n",
            bytes / 1_000_000
        );
        let _ = writeln!(self.text, "| | by the clock | processor time |\n|---|---|---|");
        let _ = writeln!(self.text, "| `miner-guard scan` | {:.2} s | {:.2} s |", ours[0], ours[1]);
        let _ = writeln!(self.text, "| yara | {:.2} s | {:.2} s |", yara[0], yara[1]);
        let _ = writeln!(self.text, "| ratio | {:.1} | {:.1} |\n", yara[0] / ours[0], yara[1] / ours[1]);
    }

    /// The whole page.
    pub fn markdown(&self) -> String {
        let mut out = String::from(
            "# Detection: files\n\nWritten by `cargo xtask eval static`, which rebuilds its inputs from Debian's packages and \
             from crates. No miner is run.\n\n",
        );
        let _ = writeln!(out, "## Confusion matrix\n\n| is | {} |", CLASSES.join(" | "));
        let _ = writeln!(out, "|---|{}", "---|".repeat(CLASSES.len()));
        for (truth, counts) in &self.rows {
            let cells: Vec<_> =
                CLASSES.iter().map(|class| counts.get(*class).copied().unwrap_or(0).to_string()).collect();
            let _ = writeln!(out, "| {truth} | {} |", cells.join(" | "));
        }
        out.push('\n');
        out.push_str(self.text.trim_end());
        out.push('\n');
        out
    }

    /// Prints and writes it.
    pub fn write(&self, path: &Path) -> Result<()> {
        let text = self.markdown();
        println!("{text}");
        fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
    }
}
