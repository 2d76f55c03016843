//! Names, packed: a feed may hold millions, and a `String` each would cost four times their text.

use miner_guard_common::abi::policy::Class;

#[derive(Clone, Copy, Debug)]
struct Name {
    at: u32,
    len: u8,
    class: Class,
    rule: u32,
}

/// A set of names, each with what it is listed as and by which rule.
#[derive(Clone, Debug, Default)]
pub struct Names {
    text: String,
    names: Vec<Name>,
}

impl Names {
    /// Adds a name of at most 253 characters, lower-cased. `false` if there is no room: 4 GiB of names.
    pub fn push(&mut self, name: &str, class: Class, rule: u32) -> bool {
        let (Ok(at), Ok(len)) = (u32::try_from(self.text.len()), u8::try_from(name.len())) else {
            return false;
        };
        self.text.extend(name.chars().map(|c| c.to_ascii_lowercase()));
        self.names.push(Name { at, len, class, rule });
        true
    }

    /// Takes out all but the first `len` that were added. Not after [`Self::sort`].
    pub fn truncate(&mut self, len: usize) {
        self.names.truncate(len);
        self.text.truncate(self.names.last().map_or(0, |n| n.at as usize + usize::from(n.len)));
    }

    /// Sorts, and drops what is there twice.
    pub fn sort(&mut self) {
        let text = std::mem::take(&mut self.text);
        let of = |n: &Name| (slice(&text, n), n.class as u8, n.rule);
        self.names.sort_unstable_by(|a, b| of(a).cmp(&of(b)));
        self.names.dedup_by(|a, b| of(a) == of(b));
        self.text = text;
        self.names.shrink_to_fit();
        self.text.shrink_to_fit();
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// The rules that list exactly this text (lower case) as this class, first one first. The names must be sorted.
    pub fn rules(&self, name: &str, class: Class) -> impl Iterator<Item = u32> {
        let wanted = (name, class as u8);
        let of = |n: &Name| (slice(&self.text, n), n.class as u8);
        let from = self.names.partition_point(|n| of(n) < wanted);
        let rest = self.names.get(from..).unwrap_or_default();
        rest.iter().take_while(move |n| (slice(&self.text, n), n.class as u8) == wanted).map(|n| n.rule)
    }

    /// Name, class and rule of each.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Class, u32)> {
        self.names.iter().map(|n| (slice(&self.text, n), n.class, n.rule))
    }
}

fn slice<'a>(text: &'a str, n: &Name) -> &'a str {
    text.get(n.at as usize..n.at as usize + usize::from(n.len)).unwrap_or_default()
}
