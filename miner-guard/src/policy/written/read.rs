//! TOML values with their places, and the errors that go with them.

use super::At;
use crate::policy::{
    compile::Ports,
    duration,
    error::{Place, PolicyError},
};
use serde_spanned::Spanned;
use std::{cell::RefCell, path::Path};
use toml::de::{DeTable, DeValue};

/// The text of a policy file, and what was found wrong in it so far.
pub(super) struct Source<'a> {
    pub file: &'a Path,
    pub text: &'a str,
    pub errors: RefCell<Vec<PolicyError>>,
}

impl Source<'_> {
    /// Line and column of a byte of the text.
    pub fn place(&self, byte: usize) -> Place {
        let before = self.text.get(..byte).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |i| i + 1);
        Place {
            line: before.bytes().filter(|b| *b == b'\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }

    pub fn error(&self, place: Place, key: &str, problem: String, remedy: &str) {
        self.errors.borrow_mut().push(PolicyError {
            file: self.file.to_owned(),
            place,
            key: key.to_owned(),
            problem,
            remedy: remedy.to_owned(),
        });
    }
}

/// One table of the file. Every key that is asked for is known; [`Self::finish`] refuses the others.
pub(super) struct Table<'s, 'a> {
    source: &'s Source<'a>,
    entries: &'s DeTable<'s>,
    known: RefCell<Vec<&'static str>>,
    pub name: String,
    pub place: Place,
}

impl<'s, 'a> Table<'s, 'a> {
    pub fn new(source: &'s Source<'a>, entries: &'s DeTable<'s>, start: usize, name: String) -> Self {
        Self { source, entries, known: RefCell::default(), name, place: source.place(start) }
    }

    fn take(&self, key: &'static str) -> Option<&'s Spanned<DeValue<'s>>> {
        self.known.borrow_mut().push(key);
        self.entries.iter().find(|(k, _)| k.get_ref() == key).map(|(_, v)| v)
    }

    fn at(&self, value: &Spanned<DeValue<'_>>) -> Place {
        self.source.place(value.span().start)
    }

    /// `rule "x": key` or just `key`.
    pub fn key(&self, key: &str) -> String {
        if self.name.is_empty() { format!("`{key}`") } else { format!("{}: `{key}`", self.name) }
    }

    pub fn error(&self, place: Place, key: &str, problem: String, remedy: &str) {
        self.source.error(place, &self.key(key), problem, remedy);
    }

    fn wrong_type(&self, key: &str, value: &Spanned<DeValue<'_>>, remedy: &str) {
        let problem = format!("this is {}", a(value.get_ref().type_str()));
        self.error(self.at(value), key, problem, remedy);
    }

    pub fn string(&self, key: &'static str) -> Option<At<String>> {
        let value = self.take(key)?;
        match value.get_ref() {
            DeValue::String(s) => Some(At { value: s.to_string(), place: self.at(value) }),
            _ => {
                self.wrong_type(key, value, "write it in quotes");
                None
            }
        }
    }

    pub fn boolean(&self, key: &'static str) -> Option<bool> {
        let value = self.take(key)?;
        if let DeValue::Boolean(b) = value.get_ref() {
            return Some(*b);
        }
        self.wrong_type(key, value, "write true or false, without quotes");
        None
    }

    pub fn number(&self, key: &'static str, least: u64, most: u64) -> Option<u64> {
        let value = self.take(key)?;
        let DeValue::Integer(i) = value.get_ref() else {
            self.wrong_type(key, value, "write a number, without quotes");
            return None;
        };
        let n = u64::from_str_radix(i.as_str(), i.radix()).ok().filter(|n| (least..=most).contains(n));
        if n.is_none() {
            let problem = format!("{} is out of range", i.as_str());
            self.error(self.at(value), key, problem, &format!("write a number from {least} to {most}"));
        }
        n
    }

    /// Seconds: [`duration`], or a number of them.
    pub fn duration(&self, key: &'static str, least: u64, most: u64) -> Option<u64> {
        let value = self.take(key)?;
        let (text, seconds) = match value.get_ref() {
            DeValue::Integer(i) => (i.as_str(), u64::from_str_radix(i.as_str(), i.radix()).ok()),
            DeValue::String(s) => match duration::read(s) {
                Some(seconds) => (s.as_ref(), Some(seconds)),
                None => {
                    let problem = format!("\"{}\" is no duration", s.escape_debug());
                    self.error(self.at(value), key, problem, duration::FORM);
                    return None;
                }
            },
            _ => {
                self.wrong_type(key, value, duration::FORM);
                return None;
            }
        };
        let seconds = seconds.filter(|n| (least..=most).contains(n));
        if seconds.is_none() {
            let span = format!("write a duration from {} to {}", duration::text(least), duration::text(most));
            self.error(self.at(value), key, format!("{text} is out of range"), &span);
        }
        seconds
    }

    /// One value or an array of them.
    fn each(&self, key: &'static str) -> Vec<&'s Spanned<DeValue<'s>>> {
        let Some(value) = self.take(key) else { return Vec::new() };
        match value.get_ref() {
            DeValue::Array(values) if values.is_empty() => {
                let problem = "the list is empty".to_owned();
                self.error(self.at(value), key, problem, "list at least one value, or leave the key out");
                Vec::new()
            }
            DeValue::Array(values) => values.iter().collect(),
            _ => vec![value],
        }
    }

    pub fn strings(&self, key: &'static str) -> Vec<At<String>> {
        let mut all = Vec::new();
        for value in self.each(key) {
            match value.get_ref() {
                DeValue::String(s) => all.push(At { value: s.to_string(), place: self.at(value) }),
                _ => self.wrong_type(key, value, "write each value in quotes"),
            }
        }
        all
    }

    /// Ports: numbers, or spans as `"3333-3340"`.
    pub fn ports(&self, key: &'static str) -> Vec<At<Ports>> {
        const REMEDY: &str = "write a number from 1 to 65535, or a span as \"3333-3340\"";
        let mut all = Vec::new();
        for value in self.each(key) {
            let (text, ports) = match value.get_ref() {
                DeValue::Integer(i) => {
                    (i.as_str(), u16::from_str_radix(i.as_str(), i.radix()).ok().map(Ports::one))
                }
                DeValue::String(s) => (s.as_ref(), crate::policy::indicator::ports(s.as_bytes())),
                _ => {
                    self.wrong_type(key, value, REMEDY);
                    continue;
                }
            };
            match ports.filter(|p| p.low > 0) {
                Some(ports) => all.push(At { value: ports, place: self.at(value) }),
                None => {
                    let problem = format!("\"{}\" is not a port", text.escape_debug());
                    self.error(self.at(value), key, problem, REMEDY);
                }
            }
        }
        all
    }

    /// One of a few words.
    pub fn choice<T: Copy>(&self, key: &'static str, words: &[(&str, T)]) -> Option<T> {
        let text = self.string(key)?;
        let found = words.iter().find(|(w, _)| *w == text.value).map(|(_, v)| *v);
        if found.is_none() {
            let list: Vec<String> = words.iter().map(|(w, _)| format!("\"{w}\"")).collect();
            let problem = format!("\"{}\" is not known here", text.value.escape_debug());
            self.error(text.place, key, problem, &format!("write {}", list.join(" or ")));
        }
        found
    }

    /// The tables under a key: `[[key]]`, or `[key]` once.
    pub fn tables(&self, key: &'static str, single: bool) -> Vec<(&'s DeTable<'s>, usize)> {
        let Some(value) = self.take(key) else { return Vec::new() };
        let remedy =
            if single { "write a section [key]" } else { "write sections [[key]]" }.replace("key", key);
        let mut all = Vec::new();
        match value.get_ref() {
            DeValue::Table(t) if single => all.push((t, value.span().start)),
            DeValue::Array(values) if !single => {
                for v in values.iter() {
                    match v.get_ref() {
                        DeValue::Table(t) => all.push((t, v.span().start)),
                        _ => self.wrong_type(key, v, &remedy),
                    }
                }
            }
            _ => self.wrong_type(key, value, &remedy),
        }
        all
    }

    /// Refuses the keys that nobody asked for.
    pub fn finish(&self) {
        let known = self.known.borrow();
        for (key, _) in self.entries.iter().filter(|(k, _)| !known.contains(&k.get_ref().as_ref())) {
            let near = known.iter().map(|k| (distance(k, key.get_ref()), k)).min();
            let remedy = match near {
                Some((d, k)) if d <= 2 => format!("did you mean `{k}`?"),
                _ => format!("known here: {}", known.join(", ")),
            };
            let shown = key.get_ref().escape_debug().to_string();
            self.error(self.source.place(key.span().start), &shown, "unknown key".to_owned(), &remedy);
        }
    }
}

fn a(kind: &str) -> String {
    let article = if kind.starts_with(['a', 'i']) { "an" } else { "a" };
    format!("{article} {kind}")
}

/// Edits between two words; words longer than any key are far from all of them.
fn distance(a: &str, b: &str) -> usize {
    if b.len() > 32 {
        return usize::MAX;
    }
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let next = (diagonal + usize::from(x != y)).min(row[j] + 1).min(row[j + 1] + 1);
            diagonal = row[j + 1];
            row[j + 1] = next;
        }
    }
    row[b.len()]
}
