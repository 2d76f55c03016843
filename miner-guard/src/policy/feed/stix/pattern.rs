//! STIX patterns, as far as a guard of destinations and files can match them: alternatives of values.
//!
//! A pattern is brought into alternatives, each of which names one thing, perhaps with a port. Whatever says less or
//! more than that (AND of two things, NOT, wildcards, sequences in time) is refused: to use half of a pattern would
//! deny what nobody listed.

use crate::policy::{
    compile::Ports,
    indicator::{self, Indicator, What, Why},
};

/// One alternative.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Term {
    value: Option<(Kind, String)>,
    port: Option<Ports>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// An address, a network, a name or a URL.
    Destination,
    Hash,
}

impl Term {
    /// The indicator that it names.
    pub fn indicator(&self) -> Result<Indicator<'_>, Why> {
        let Some((kind, text)) = &self.value else {
            return Err("a pattern that names no destination or file");
        };
        let found = match kind {
            Kind::Destination => indicator::parse(text.as_bytes())?,
            Kind::Hash => indicator::hash(text.as_bytes())?,
        };
        match (self.port, found.what) {
            (None, _) => Ok(found),
            (Some(ports), What::V4(..) | What::V6(..)) if found.ports == Ports::ANY => {
                Ok(Indicator { ports, ..found })
            }
            _ => Err("a port together with what is no address"),
        }
    }

    fn and(&self, other: &Self) -> Result<Self, Why> {
        const TWO: Why = "a pattern that wants two things at once";
        let value = match (&self.value, &other.value) {
            (Some(a), Some(b)) if a != b => return Err(TWO),
            (a, b) => a.clone().or_else(|| b.clone()),
        };
        let port = match (self.port, other.port) {
            (Some(a), Some(b)) if a != b => return Err(TWO),
            (a, b) => a.or(b),
        };
        Ok(Self { value, port })
    }
}

/// Alternatives of one pattern, and comparisons within parentheses.
const TERMS: usize = 4096;
const DEPTH: u32 = 32;

const NOT_EXACT: Why = "a pattern that this guard cannot match exactly";
const BROKEN: Why = "not a STIX pattern";

/// The alternatives of a pattern; never none.
pub(super) fn read(pattern: &str) -> Result<Vec<Term>, Why> {
    let mut reader = Reader { rest: pattern };
    let terms = reader.observations(DEPTH)?;
    match reader.peek() {
        None if terms.iter().all(|t| t.value.is_some()) => Ok(terms),
        None => Err("a pattern that names no destination or file"),
        // AND, FOLLOWEDBY, WITHIN, REPEATS, START: over time.
        Some(_) => Err(NOT_EXACT),
    }
}

struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    fn peek(&mut self) -> Option<char> {
        self.rest = self.rest.trim_start();
        self.rest.chars().next()
    }

    fn eat(&mut self, c: char) -> bool {
        let there = self.peek() == Some(c);
        if there {
            self.rest = &self.rest[c.len_utf8()..];
        }
        there
    }

    /// A keyword, in capitals as the standard wants them.
    fn word(&mut self, word: &str) -> bool {
        self.peek();
        let there =
            self.rest.strip_prefix(word).filter(|r| !r.starts_with(|c: char| c.is_ascii_alphanumeric()));
        if let Some(rest) = there {
            self.rest = rest;
        }
        there.is_some()
    }

    fn observations(&mut self, depth: u32) -> Result<Vec<Term>, Why> {
        let depth = depth.checked_sub(1).ok_or(NOT_EXACT)?;
        let mut all = Vec::new();
        loop {
            let (close, terms) = match () {
                () if self.eat('[') => (']', self.any(depth)?),
                () if self.eat('(') => (')', self.observations(depth)?),
                () => return Err(BROKEN),
            };
            if !self.eat(close) {
                return Err(if self.peek().is_none() { BROKEN } else { NOT_EXACT });
            }
            add(&mut all, terms)?;
            if !self.word("OR") {
                return Ok(all);
            }
        }
    }

    fn any(&mut self, depth: u32) -> Result<Vec<Term>, Why> {
        let mut all = self.both(depth)?;
        while self.word("OR") {
            let more = self.both(depth)?;
            add(&mut all, more)?;
        }
        Ok(all)
    }

    fn both(&mut self, depth: u32) -> Result<Vec<Term>, Why> {
        let mut all = self.one(depth)?;
        while self.word("AND") {
            let right = self.one(depth)?;
            if all.len().saturating_mul(right.len()) > TERMS {
                return Err(NOT_EXACT);
            }
            let pairs = all.iter().flat_map(|a| right.iter().map(move |b| a.and(b)));
            all = pairs.collect::<Result<_, _>>()?;
        }
        Ok(all)
    }

    fn one(&mut self, depth: u32) -> Result<Vec<Term>, Why> {
        if self.eat('(') {
            let inner = self.any(depth.checked_sub(1).ok_or(NOT_EXACT)?)?;
            return if self.eat(')') { Ok(inner) } else { Err(BROKEN) };
        }
        if self.word("NOT") || self.word("EXISTS") {
            return Err(NOT_EXACT);
        }
        let path = self.path()?;
        let values = if self.eat('=') {
            // `==` is the older spelling.
            self.eat('=');
            vec![self.literal()?]
        } else if self.word("ISSUBSET") {
            vec![self.literal()?]
        } else if self.word("IN") {
            self.list()?
        } else {
            return Err(NOT_EXACT);
        };
        values.iter().map(|v| term(path, v)).collect()
    }

    /// An object path, up to a blank or an operator; quoted parts may hold dashes.
    fn path(&mut self) -> Result<&'a str, Why> {
        self.peek();
        let fine = |c: char| c.is_ascii_alphanumeric() || "-_:.'".contains(c);
        let end = self.rest.find(|c| !fine(c)).unwrap_or(self.rest.len());
        let (path, rest) = self.rest.split_at(end);
        self.rest = rest;
        if path.contains(':') { Ok(path) } else { Err(BROKEN) }
    }

    fn list(&mut self) -> Result<Vec<String>, Why> {
        if !self.eat('(') {
            return Err(BROKEN);
        }
        let mut all = Vec::new();
        loop {
            all.push(self.literal()?);
            if self.eat(')') {
                return Ok(all);
            }
            if !self.eat(',') || all.len() > TERMS {
                return Err(BROKEN);
            }
        }
    }

    /// A string, or a number as its digits.
    fn literal(&mut self) -> Result<String, Why> {
        if !self.eat('\'') {
            let end = self.rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(self.rest.len());
            let (digits, rest) = self.rest.split_at(end);
            self.rest = rest;
            return if digits.is_empty() { Err(NOT_EXACT) } else { Ok(digits.to_owned()) };
        }
        let mut text = String::new();
        let mut characters = self.rest.char_indices();
        while let Some((at, c)) = characters.next() {
            match c {
                '\'' => {
                    self.rest = &self.rest[at + 1..];
                    return Ok(text);
                }
                '\\' => text.push(characters.next().ok_or(BROKEN)?.1),
                c => text.push(c),
            }
        }
        Err(BROKEN)
    }
}

fn add(all: &mut Vec<Term>, more: Vec<Term>) -> Result<(), Why> {
    if all.len() + more.len() > TERMS {
        return Err(NOT_EXACT);
    }
    all.extend(more);
    Ok(())
}

/// What one comparison says.
fn term(path: &str, value: &str) -> Result<Term, Why> {
    let named = |kind| Ok(Term { value: Some((kind, value.to_owned())), port: None });
    match path {
        "ipv4-addr:value"
        | "ipv6-addr:value"
        | "domain-name:value"
        | "url:value"
        | "network-traffic:dst_ref.value" => {
            if value.bytes().all(|b| b.is_ascii_digit()) {
                return Err(BROKEN);
            }
            named(Kind::Destination)
        }
        "file:hashes.'SHA-256'" | "file:hashes.MD5" | "file:hashes.'MD5'" => named(Kind::Hash),
        "network-traffic:dst_port" => {
            let port = indicator::ports(value.as_bytes()).ok_or("a pattern with a bad port")?;
            Ok(Term { value: None, port: Some(port) })
        }
        "network-traffic:dst_ref.type" if matches!(value, "ipv4-addr" | "ipv6-addr" | "domain-name") => {
            // Goes without saying.
            Ok(Term::default())
        }
        _ => Err("a pattern over what this guard does not see"),
    }
}
