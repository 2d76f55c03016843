//! The cases: opened, joined, judged, forgotten. Bounded in every direction; what had to go is counted.

use super::{
    class::{Class, Item, Judgement, judge},
    subject::{Key, Place, Subject, Task},
};
use crate::{
    identify::evidence::{Evidence, Family, Strength},
    policy::CaseSettings,
};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    net::SocketAddr,
};

/// Cases that are open at once: some 10 MB when all are full.
const CASES: usize = 1024;
/// Different pieces of evidence in one case.
const ITEMS: usize = 32;
/// Entries of a timeline, and processes that are named, in one case.
const ENTRIES: usize = 64;
const MEMBERS: usize = 64;
const KEYS: usize = 256;
const DESTINATIONS: usize = 16;
/// Bytes of one sentence.
const TEXT: usize = 512;
/// A case whose evidence has faded below this is closed.
const FADED: f64 = 0.02;

/// What an entry of a timeline is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// Something was found for the first time.
    Evidence,
    /// The class rose.
    Class,
    /// Something was done, or would have been.
    Action,
}

/// An entry of a timeline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Milliseconds since 1970.
    pub at_ms: u64,
    /// What it is about.
    pub what: What,
    /// One sentence.
    pub text: String,
}

/// A process of a case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Which one.
    pub task: Task,
    /// Its name. Chosen by it.
    pub name: String,
    /// The file that it runs.
    pub executable: Option<String>,
    /// Families of its own evidence, a bit each; weak evidence is none of it.
    pub families: u8,
    /// Only its cgroup ties it to the others.
    pub loose: bool,
    /// Something was done about it already.
    pub acted: bool,
    /// Its ancestors, the parent first.
    pub above: Vec<Task>,
}

impl Member {
    /// Whether what is done about a miner is done to this process: it shows more than that it shares a cgroup with one
    /// and reached for the same network, and more than what honest programs show too.
    fn answers_for_itself(&self) -> bool {
        let own = 1 << Family::Binary as u8 | 1 << Family::Runtime as u8;
        self.families & own != 0 || (!self.loose && self.families != 0)
    }
}

/// A case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Case {
    /// Its name: hexadecimal seconds of its beginning, and a number.
    pub id: String,
    /// Opened, milliseconds since 1970.
    pub opened_ms: u64,
    /// Last evidence.
    pub updated_ms: u64,
    /// The worst that it was taken for; it does not fall while the case is open.
    pub class: Option<Class>,
    /// Evidence.
    pub items: Vec<Item>,
    /// What happened.
    pub timeline: VecDeque<Entry>,
    /// Processes.
    pub members: VecDeque<Member>,
    /// Whose.
    pub user: Option<String>,
    /// Where.
    pub place: Place,
    /// Listed destinations that they reached for.
    pub destinations: Vec<SocketAddr>,
    /// Those of them that are surely pools, or proxies of one.
    #[serde(default)]
    pub pools: Vec<SocketAddr>,
    /// A bundle was kept.
    pub bundled: bool,
    /// Evidence, entries and processes that had to go.
    pub lost: u64,
    keys: VecDeque<Key>,
}

impl Case {
    /// What it is taken for now.
    #[must_use]
    pub fn judge(&self, now_ms: u64, settings: &CaseSettings) -> Judgement {
        judge(&self.items, now_ms, settings)
    }

    fn enter(&mut self, at_ms: u64, what: What, text: String) {
        if self.timeline.len() >= ENTRIES {
            self.timeline.pop_front();
            self.lost += 1;
        }
        self.timeline.push_back(Entry { at_ms, what, text });
    }

    fn take(&mut self, evidence: &Evidence, now_ms: u64) {
        let text = cut(&evidence.text);
        let known =
            self.items.iter_mut().find(|i| i.evidence.kind == evidence.kind && i.evidence.text == text);
        if let Some(item) = known {
            item.evidence.strength = item.evidence.strength.max(evidence.strength);
            return item.again(now_ms);
        }
        if self.items.len() >= ITEMS {
            // The one that says least goes: of the weakest, the one not seen for longest.
            let least = self.items.iter().enumerate().min_by_key(|(_, i)| (i.evidence.strength, i.last_ms));
            if let Some(at) = least.map(|(at, _)| at) {
                self.items.swap_remove(at);
                self.lost += 1;
            }
        }
        self.enter(now_ms, What::Evidence, text.to_owned());
        self.items.push(Item::new(Evidence { text: text.to_owned(), ..*evidence }, now_ms));
    }

    fn join(&mut self, subject: &Subject, families: u8, loose: bool) {
        if let Some(known) = self.members.iter_mut().find(|m| m.task == subject.task) {
            known.families |= families;
            known.loose &= loose;
            known.name.clone_from(&subject.name);
            known.executable = subject.executable.clone().or(known.executable.take());
            return;
        }
        if self.members.len() >= MEMBERS {
            self.members.pop_front();
            self.lost += 1;
        }
        self.members.push_back(Member {
            task: subject.task,
            name: subject.name.clone(),
            executable: subject.executable.clone(),
            families,
            loose,
            acted: false,
            above: subject.above.clone(),
        });
    }
}

/// What became of evidence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The case.
    pub id: String,
    /// Its class now.
    pub class: Option<Class>,
    /// The class is worse than before.
    pub rose: bool,
    /// There are processes about which something is to be done.
    pub due: bool,
    /// It reached for a pool that the case did not know.
    pub new_pool: bool,
}

/// All cases.
#[derive(Debug, Default)]
pub struct Book {
    cases: BTreeMap<u64, Case>,
    keys: HashMap<Key, u64>,
    next: u64,
    evicted: u64,
    changed: bool,
}

impl Book {
    /// Joins evidence about a process; `None` if there is none.
    pub fn observe(
        &mut self,
        subject: &Subject,
        evidence: &[Evidence],
        now_ms: u64,
        settings: &CaseSettings,
    ) -> Option<Seen> {
        if evidence.is_empty() {
            return None;
        }
        let found = subject.asks().find_map(|(key, near)| Some((*self.keys.get(&key)?, near)));
        let (at, near) = found.unwrap_or_else(|| (self.open(subject, now_ms), true));
        let case = self.cases.get_mut(&at)?;
        let tells = evidence.iter().filter(|e| e.strength > Strength::Weak);
        let families = tells.fold(0, |all, e| all | 1 << e.family() as u8);
        evidence.iter().for_each(|e| case.take(e, now_ms));
        case.join(subject, families, !near);
        case.updated_ms = case.updated_ms.max(now_ms);
        let new = subject.destination.filter(|d| !case.destinations.contains(d));
        case.destinations.extend(new.filter(|_| case.destinations.len() < DESTINATIONS));
        let pool = subject.destination.filter(|d| subject.pool && !case.pools.contains(d));
        let new_pool = pool.is_some() && case.pools.len() < DESTINATIONS;
        case.pools.extend(pool.filter(|_| new_pool));
        case.user = case.user.take().or_else(|| subject.user.clone());
        for key in subject.answers() {
            // The first case keeps what it answers to.
            if *self.keys.entry(key).or_insert(at) != at || case.keys.contains(&key) {
                continue;
            }
            case.keys.push_back(key);
            if case.keys.len() > KEYS
                && let Some(old) = case.keys.pop_front()
            {
                self.keys.remove(&old);
            }
        }
        let Judgement { class, confidence } = case.judge(now_ms, settings);
        let rose = class > case.class;
        if let Some(class) = class.filter(|_| rose) {
            case.class = Some(class);
            let text = format!("taken for {} (confidence {confidence:.2})", class.name());
            case.enter(now_ms, What::Class, text);
        }
        self.changed = true;
        let due = case.class == Some(Class::Mining)
            && case.members.iter().any(|m| !m.acted && m.answers_for_itself());
        Some(Seen { id: case.id.clone(), class: case.class, rose, due, new_pool })
    }

    fn open(&mut self, subject: &Subject, now_ms: u64) -> u64 {
        if self.cases.len() >= CASES {
            // What matters least: a flood of small cases must not push a miner out.
            let least = self.cases.iter().min_by_key(|(_, c)| (c.class, c.updated_ms)).map(|(at, _)| *at);
            least.into_iter().for_each(|at| self.close(at));
            self.evicted += 1;
        }
        self.next += 1;
        let case = Case {
            id: format!("{:x}-{}", now_ms / 1000, self.next),
            opened_ms: now_ms,
            updated_ms: now_ms,
            class: None,
            items: Vec::new(),
            timeline: VecDeque::new(),
            members: VecDeque::new(),
            user: None,
            place: subject.place.clone(),
            destinations: Vec::new(),
            pools: Vec::new(),
            bundled: false,
            lost: 0,
            keys: VecDeque::new(),
        };
        self.cases.insert(self.next, case);
        self.next
    }

    fn close(&mut self, at: u64) {
        if let Some(case) = self.cases.remove(&at) {
            for key in &case.keys {
                self.keys.remove(key);
            }
            self.changed = true;
        }
    }

    /// Closes the cases whose evidence has faded.
    pub fn fade(&mut self, now_ms: u64, settings: &CaseSettings) {
        let faded = |c: &Case| c.judge(now_ms, settings).confidence < FADED;
        let over: Vec<u64> = self.cases.iter().filter(|(_, c)| faded(c)).map(|(at, _)| *at).collect();
        over.into_iter().for_each(|at| self.close(at));
    }

    /// Processes of a case about which something is to be done; they are given out once.
    pub fn take_due(&mut self, id: &str) -> Vec<Member> {
        let Some(case) = self.cases.values_mut().find(|c| c.id == id && c.class == Some(Class::Mining))
        else {
            return Vec::new();
        };
        let due = case.members.iter_mut().filter(|m| !m.acted && m.answers_for_itself());
        let due: Vec<Member> = due
            .map(|m| {
                m.acted = true;
                m.clone()
            })
            .collect();
        self.changed |= !due.is_empty();
        due
    }

    /// Writes down what was done.
    pub fn note(&mut self, id: &str, now_ms: u64, text: &str) {
        if let Some(case) = self.cases.values_mut().find(|c| c.id == id) {
            case.enter(now_ms, What::Action, cut(text).to_owned());
            self.changed = true;
        }
    }

    /// Mode or policy changed: what was only told may be done now.
    pub fn anew(&mut self) {
        for member in self.cases.values_mut().flat_map(|c| &mut c.members) {
            member.acted = false;
        }
    }

    /// A process of this case was stopped by others already.
    pub fn ended(&mut self, id: &str, task: Task) {
        let case = self.cases.values_mut().find(|c| c.id == id);
        if let Some(m) = case.and_then(|c| c.members.iter_mut().find(|m| m.task == task)) {
            m.acted = true;
        }
    }

    /// A bundle of this case is being kept, or could not be. From the moment it is begun: a second one would write over
    /// the first.
    pub fn bundled(&mut self, id: &str, kept: bool) {
        if let Some(case) = self.cases.values_mut().find(|c| c.id == id) {
            case.bundled = kept;
            self.changed = true;
        }
    }

    /// The case of this name.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<&Case> {
        self.cases.values().find(|c| c.id == id)
    }

    /// The case that this process belongs to.
    #[must_use]
    pub fn of(&self, subject: &Subject) -> Option<&Case> {
        subject.asks().find_map(|(key, _)| self.cases.get(self.keys.get(&key)?))
    }

    /// All cases, the oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Case> {
        self.cases.values()
    }

    /// Cases that had to go for others.
    #[must_use]
    pub const fn evicted(&self) -> u64 {
        self.evicted
    }

    /// Whether anything changed since the last call.
    pub const fn take_changed(&mut self) -> bool {
        std::mem::replace(&mut self.changed, false)
    }

    /// Puts back a case that was kept. `same_boot`: process numbers still mean the same processes.
    pub fn restore(&mut self, mut case: Case, same_boot: bool) {
        if self.cases.len() >= CASES {
            self.evicted += 1;
            return;
        }
        if !same_boot {
            case.keys.clear();
            case.members.clear();
        }
        self.next += 1;
        for key in &case.keys {
            self.keys.insert(*key, self.next);
        }
        self.cases.insert(self.next, case);
    }
}

/// The sentence, not longer than [`TEXT`].
fn cut(text: &str) -> &str {
    text.get(..text.floor_char_boundary(TEXT)).unwrap_or_default()
}

#[cfg(test)]
#[path = "book_tests.rs"]
mod tests;
