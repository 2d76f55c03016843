//! yara-x: compiles rules, and matches them.

use super::{Class, Match, Strength, Trouble, files::Text};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};
use yara_x::{Compiler, MetaValue, Scanner, SourceCode, errors::CompileError, warnings::Warning};

/// Key of a rule's `meta` section.
const META: &str = "miner_guard";
/// Its values, the class and strength that each gives.
const MEANINGS: [(&str, Class, Strength); 3] = [
    ("miner-binary", Class::MinerBinary, Strength::Strong),
    ("hashing-heavy", Class::HashingHeavy, Strength::Medium),
    ("weak", Class::Suspect, Strength::Weak),
];
/// So long rules may look at one program. Counted in whole seconds.
pub const TIME: Duration = Duration::from_secs(5);
/// Matches of one string that are looked for.
const MATCHES: usize = 64;
/// Warnings and errors that are told.
const TOLD: usize = 16;
/// Characters of a rule's description.
const DESCRIPTION: usize = 120;

/// Compiled rules.
pub struct Engine(yara_x::Rules);

impl Engine {
    /// Each file is a namespace of its own, called by its path: two files may have rules of one name.
    pub fn compile(texts: &[Text]) -> Result<(Self, Vec<String>), Vec<Trouble>> {
        let mut compiler = Compiler::new();
        // What is not listed is not read: its changes would not be noticed.
        compiler.enable_includes(false);
        for Text { file, text } in texts {
            let name = file.display().to_string();
            compiler.new_namespace(&name);
            // Told below, with all others.
            let _ = compiler.add_source(SourceCode::from(text.as_slice()).with_origin(name));
        }
        let mut troubles: Vec<_> = compiler.errors().iter().take(TOLD).map(trouble).collect();
        if !troubles.is_empty() {
            return Err(troubles);
        }
        let warnings = compiler.warnings().iter().take(TOLD).map(warning).collect();
        let rules = compiler.build();
        for rule in rules.iter() {
            let file = rule.namespace();
            for (_, value) in rule.metadata().filter(|(key, _)| *key == META) {
                if meaning(&value).is_none() {
                    let text = texts.iter().find(|t| t.file.display().to_string() == file);
                    troubles.extend(text.map(|t| no_meaning(t, rule.identifier(), &value)));
                }
            }
        }
        troubles.truncate(TOLD);
        if troubles.is_empty() { Ok((Self(rules), warnings)) } else { Err(troubles) }
    }

    /// The rules that match; or, in words, that they came to no end.
    pub fn look(&self, bytes: &[u8]) -> Result<Vec<Match>, String> {
        // Whatever a hostile file brings about in there ends with this file.
        let looked = catch_unwind(AssertUnwindSafe(|| {
            let mut scanner = Scanner::new(&self.0);
            scanner.set_timeout(TIME).max_matches_per_pattern(MATCHES);
            let results = scanner.scan(bytes)?;
            Ok(results.matching_rules().map(|rule| found(&rule)).collect())
        }));
        match looked {
            Ok(Ok(matches)) => Ok(matches),
            Ok(Err(yara_x::ScanError::Timeout)) => {
                Err(format!("did not come to an end in {} s", TIME.as_secs()))
            }
            Ok(Err(_)) | Err(_) => Err("failed".to_owned()),
        }
    }
}

fn found(rule: &yara_x::Rule<'_, '_>) -> Match {
    let mut out = Match {
        rule: rule.identifier().to_owned(),
        file: rule.namespace().to_owned(),
        class: Class::Suspect,
        strength: Strength::Weak,
        description: None,
        strings: Vec::new(),
    };
    for (key, value) in rule.metadata() {
        if key == META {
            (out.class, out.strength) = meaning(&value).unwrap_or((Class::Suspect, Strength::Weak));
        } else if let ("description", MetaValue::String(text)) = (key, value) {
            out.description = Some(text.chars().take(DESCRIPTION).collect());
        }
    }
    for pattern in rule.patterns() {
        let places: Vec<_> = pattern.matches().map(|m| m.range().start).collect();
        if !places.is_empty() {
            out.strings.push((pattern.identifier().to_owned(), places));
        }
    }
    out
}

fn meaning(value: &MetaValue<'_>) -> Option<(Class, Strength)> {
    let MetaValue::String(text) = value else { return None };
    MEANINGS.iter().find(|(word, ..)| word == text).map(|(_, class, strength)| (*class, *strength))
}

fn no_meaning(text: &Text, rule: &str, value: &MetaValue<'_>) -> Trouble {
    let value = serde_json::to_string(value).unwrap_or_default();
    let line = line_of(&String::from_utf8_lossy(&text.text), rule);
    let words: Vec<_> = MEANINGS.iter().map(|(word, ..)| format!("\"{word}\"")).collect();
    Trouble {
        line,
        column: usize::from(line > 0),
        ..Trouble::of(
            &text.file,
            format!("rule {rule}: `{META}` is {value}, which is not known here"),
            &format!("write {}", words.join(" or ")),
        )
    }
}

/// The line of a rule's `miner_guard`, as far as a look at the text tells: the first after the rule's name.
fn line_of(text: &str, rule: &str) -> usize {
    let is_name = |word: &str| word.trim_end_matches(['{', ':']) == rule;
    let lines = || text.lines().zip(1_usize..);
    let start = lines().find(|(line, _)| {
        let mut words = line.split_whitespace().skip_while(|word| *word != "rule");
        words.next().is_some() && words.next().is_some_and(is_name)
    });
    let Some((_, start)) = start else { return 0 };
    lines().skip(start - 1).find(|(line, _)| line.contains(META)).map_or(start, |(_, n)| n)
}

fn trouble(error: &CompileError) -> Trouble {
    let told = serde_json::to_value(error).unwrap_or_default();
    let at = |key| told[key].as_u64().and_then(|n| usize::try_from(n).ok()).unwrap_or(0);
    let label = &told["labels"][0];
    let mut problem = error.title().to_owned();
    if let Some(more) = label["text"].as_str().filter(|text| !text.is_empty()) {
        problem = format!("{problem}: {more}");
    }
    let remedy = match error {
        CompileError::IncludeNotAllowed(_) => "name each rule file in the policy, or by --rules",
        CompileError::UnknownModule(_) => "the modules elf, hash, math and string can be used here",
        _ => "correct the rule, or leave its file out",
    };
    Trouble {
        line: at("line"),
        column: at("column"),
        ..Trouble::of(label["code_origin"].as_str().unwrap_or_default().as_ref(), problem, remedy)
    }
}

fn warning(warning: &Warning) -> String {
    let told = serde_json::to_value(warning).unwrap_or_default();
    let file = told["labels"][0]["code_origin"].as_str().unwrap_or_default();
    format!("{file}:{}:{}: {}", told["line"], told["column"], warning.title())
}
