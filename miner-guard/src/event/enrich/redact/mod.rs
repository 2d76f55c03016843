//! Arguments without their secrets.
//!
//! Events travel: to log servers, tickets, mail. What is replaced by [`REDACTED`]:
//!
//! - the value after an option that names a secret (`--password X`, `--token=X`, `-pass X`; `-p X` too, unless the
//!   value is a port or an option, or the program is one whose `-p` is something else: `mkdir`, `ssh` …)
//! - the part after the colon of `-u`, `--user`, `-U`, `-O`, `--userpass` values, and of `user:password@` in URLs
//! - `NAME=value`, `Name: value` and `"name":"value"` where the name names a secret, also inside a URL's query
//! - `Bearer X`, `Basic X`
//!
//! Runs of 26 or more letters and digits mixed (wallets, keys, tokens) keep their first and last six characters:
//! enough to find the wallet in a pool's public statistics, not enough to use a key. An argument with blanks
//! (`sh -c "…"`) is read as a command line of its own. It errs on the side of redacting.

mod names;

use crate::event::model::lossy;
use names::{is_secret, takes_user_password};

/// Stands for a secret.
pub const REDACTED: &str = "[redacted]";

/// A wallet is at least this long (the shortest Bitcoin address).
const WALLET: usize = 26;
const KEPT: usize = 6;

/// Redacts an argument list; the first argument is the program's name.
#[must_use]
pub fn redact(args: &[Vec<u8>]) -> Vec<String> {
    let args: Vec<String> = args.iter().map(|a| lossy(a)).collect();
    let mut reader = Reader::of(args.first().map_or("", String::as_str));
    args.iter().map(|a| reader.argument(a)).collect()
}

/// What the next word is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    Anything,
    /// After an option that names a secret.
    Secret,
    /// After `-p`.
    Perhaps,
    /// After `-u`.
    UserPassword,
}

struct Reader {
    next: Next,
    /// `-p` of this program takes a password, for all we know.
    p_is_password: bool,
    /// The password follows `-p` without a blank.
    p_is_glued: bool,
}

impl Reader {
    fn of(program: &str) -> Self {
        let name = program.rsplit('/').next().unwrap_or(program);
        let starts = |list: &[&str]| list.iter().any(|p| name.starts_with(p));
        Self {
            next: Next::Anything,
            p_is_password: !["mkdir", "cp", "tar", "ssh", "docker", "podman", "kubectl", "install", "ps"]
                .contains(&name),
            p_is_glued: starts(&["mysql", "mariadb", "sshpass"]),
        }
    }

    fn argument(&mut self, arg: &str) -> String {
        if self.next != Next::Anything || !arg.contains(char::is_whitespace) {
            return self.word(arg);
        }
        // A command line, a header, a script: words with the blanks between them kept.
        let mut inner = Self::of(arg.split_whitespace().next().unwrap_or(""));
        let mut out = String::with_capacity(arg.len());
        for piece in arg.split_inclusive(char::is_whitespace) {
            let word = piece.trim_end_matches(char::is_whitespace);
            if !word.is_empty() {
                out.push_str(&inner.word(word));
            }
            out.push_str(piece.get(word.len()..).unwrap_or_default());
        }
        out
    }

    fn word(&mut self, word: &str) -> String {
        match std::mem::replace(&mut self.next, Next::Anything) {
            Next::Secret if is_scheme(word) => {
                self.next = Next::Secret;
                return word.to_owned();
            }
            Next::Secret if !word.starts_with("--") => return REDACTED.to_owned(),
            Next::Perhaps if !(word.starts_with('-') || is_port(word)) => return REDACTED.to_owned(),
            Next::UserPassword if !word.starts_with('-') => return user_password(word),
            _ => {}
        }
        if let Some(option) = word.strip_prefix('-') {
            return self.option(word, option);
        }
        if is_scheme(word) {
            self.next = Next::Secret;
            return word.to_owned();
        }
        if let Some(name) = word.strip_suffix([':', '=']).filter(|n| is_secret(n)) {
            self.next = Next::Secret;
            return format!("{name}{}", word.get(name.len()..).unwrap_or_default());
        }
        plain(word)
    }

    fn option(&mut self, word: &str, option: &str) -> String {
        let name = option.strip_prefix('-').unwrap_or(option);
        match name.split_once('=') {
            Some((name, value)) if takes_user_password(name) => {
                return format!("{}{}", before(word, value), user_password(value));
            }
            Some(_) => return plain(word),
            None => {}
        }
        if name == "p" {
            self.next = if self.p_is_password { Next::Perhaps } else { Next::Anything };
        } else if takes_user_password(name) {
            self.next = Next::UserPassword;
        } else if is_secret(name) {
            self.next = Next::Secret;
        } else if self.p_is_glued && option.starts_with('p') {
            return format!("-p{REDACTED}");
        }
        plain(word)
    }
}

fn is_scheme(word: &str) -> bool {
    let word = word.trim_start_matches(['"', '\'']);
    ["bearer", "basic"].iter().any(|s| word.eq_ignore_ascii_case(s))
}

fn is_port(word: &str) -> bool {
    let word = word.trim_end_matches("/tcp").trim_end_matches("/udp");
    !word.is_empty() && word.len() <= 21 && word.bytes().all(|b| b.is_ascii_digit() || b".:,-".contains(&b))
}

/// `user:password`, a URL, `uid:gid`, or only a user.
fn user_password(word: &str) -> String {
    match word.split_once(':') {
        Some((_, rest)) if rest.starts_with("//") => plain(word),
        Some(_) if is_port(word) || word.starts_with('/') => word.to_owned(),
        Some((user, _)) => format!("{}:{REDACTED}", shorten(user)),
        None => plain(word),
    }
}

/// A word of no special meaning: names with values, URLs, wallets.
fn plain(word: &str) -> String {
    let word = userinfo(word);
    let mut out = String::with_capacity(word.len());
    for part in word.split_inclusive(['&', ',', ';', '?', '#']) {
        let end = part.trim_end_matches(['&', ',', ';', '?', '#']);
        let tail = part.get(end.len()..).unwrap_or_default();
        match named_secret(end) {
            Some(head) => {
                out.push_str(head);
                out.push_str(REDACTED);
            }
            None => out.push_str(end),
        }
        out.push_str(tail);
    }
    shorten(&out)
}

/// `NAME=value` or `"name":"value"` with a secret's name: the part up to the value.
fn named_secret(part: &str) -> Option<&str> {
    let (at, sign) = part.char_indices().find(|(_, c)| matches!(c, '=' | ':'))?;
    let value = part.get(at + sign.len_utf8()..)?;
    let secret = !value.is_empty() && !value.starts_with("//") && is_secret(last_name(part.get(..at)?));
    if secret {
        return part.get(..=at);
    }
    // `--env=TOKEN=x`, `{"a":{"token":"x"`: the name may stand further in.
    let inner = named_secret(value)?;
    part.get(..at + sign.len_utf8() + inner.len())
}

/// The name right before the sign: `pass` of `{"pass"`, `X` of `http://h/X`.
fn last_name(text: &str) -> &str {
    let text = text.trim_end_matches(['"', '\'', '\\', ']']);
    let start = text.rfind(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '_' | '-' | '.'));
    start.and_then(|at| text.get(at..)).unwrap_or(text)
}

/// `scheme://user:password@host` → without the password.
fn userinfo(word: &str) -> String {
    let (mut out, mut rest) = (String::with_capacity(word.len()), word);
    while let Some((scheme, after)) = rest.split_once("://") {
        out.push_str(scheme);
        out.push_str("://");
        let end = after.find(['/', '?', '#', '"', '\'']).unwrap_or(after.len());
        // In `a://b@c,d://e@f` the next scheme's colon is not this authority's.
        let next = after.find("://").unwrap_or(after.len());
        let (authority, tail) = after.split_at(end.min(next));
        // The wallet of a pool URL stands here: the run of characters behind `//` is no path.
        match authority.rsplit_once('@') {
            Some((user, host)) => match user.split_once(':') {
                Some((user, _)) => out.push_str(&format!("{}:{REDACTED}@{host}", shorten(user))),
                None => out.push_str(&format!("{}@{host}", shorten(user))),
            },
            None => out.push_str(authority),
        }
        rest = tail;
    }
    out.push_str(rest);
    out
}

/// Shortens wallet-like runs. A run that is a directory's name stays: it is where the file is.
fn shorten(word: &str) -> String {
    let (mut out, mut rest, mut before) = (String::with_capacity(word.len()), word, ' ');
    while !rest.is_empty() {
        let len = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
        let (run, tail) = rest.split_at(len);
        let mixed = run.bytes().any(|b| b.is_ascii_digit()) && run.bytes().any(|b| b.is_ascii_alphabetic());
        match (run.get(..KEPT), run.get(len.saturating_sub(KEPT)..)) {
            (Some(head), Some(end)) if len >= WALLET && mixed && before != '/' => {
                out.push_str(&format!("{head}…{end}"));
            }
            _ => out.push_str(run),
        }
        let Some(c) = tail.chars().next() else { break };
        out.push(c);
        before = c;
        rest = tail.get(c.len_utf8()..).unwrap_or_default();
    }
    out
}

fn before<'a>(word: &'a str, value: &str) -> &'a str {
    word.get(..word.len().saturating_sub(value.len())).unwrap_or_default()
}

#[cfg(test)]
mod tests;
