//! What is hung on network interfaces: on each of every network namespace in which a process runs, and on those that come.
//!
//! From 6.6 on by a link (tcx), pinned like the other hooks' as `frame-<namespace>-<index>-<number>`. Before that by a
//! filter of `clsact`, which no pin ends: [`note`] says where each one is, so that whoever removes the instance finds it.
//!
//! The guard's own namespace tells of its interfaces itself. Others are looked at from time to time ([`pace`]): to listen
//! there would keep them alive.

mod hang;
mod note;
mod pace;
mod words;

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    time::{Duration, Instant},
};

use aya::Ebpf;

use super::{
    KernelError,
    interfaces::{self, News},
    links,
    load::State,
    namespaces::{self, Door},
    pins::Instance,
    queues::{self, Queues},
};
use hang::{Hanger, Hung};
pub(super) use note::{Note, clear};
use pace::Pace;

use crate::processor;

/// How the names of its links begin.
pub const LINK: &str = "frame-";
/// Network namespaces that are looked at.
const NAMESPACES: usize = 1024;
/// Interfaces of another network namespace than the guard's that it is hung on: who may make one may make many.
const INTERFACES: usize = 256;

/// An interface: the inode of its network namespace, and its index there.
type Key = (u64, u32);

/// The programs, and where they hang.
pub struct Frames {
    hanger: Hanger,
    news: News,
    pace: Pace,
    /// The network namespace of the guard.
    here: u64,
    on: BTreeMap<Key, Hung>,
    /// Other network namespaces that could not be looked at, or not wholly, and why.
    not_in: BTreeMap<u64, String>,
    /// There are more of them than are looked at.
    too_many: bool,
    /// Links of interfaces that are in another network namespace now.
    gone: BTreeSet<String>,
    queues: Queues,
}

impl Frames {
    /// Hangs them on every interface.
    ///
    /// # Errors
    /// When the guard's own interfaces cannot be listed, or the programs hang on none of them.
    pub(super) fn attach(ebpf: Ebpf, instance: &Instance, queues: Queues) -> Result<Self, KernelError> {
        let unlisted = |e| KernelError::refused("listening for network interfaces", e);
        // First, so that none that comes meanwhile is missed.
        let news = News::listen().map_err(unlisted)?;
        let here = namespaces::namespace(None).map_err(unlisted)?;
        let mut frames = Self {
            hanger: Hanger::new(ebpf, instance),
            news,
            pace: Pace::new(Instant::now()),
            here,
            on: BTreeMap::new(),
            not_in: BTreeMap::new(),
            too_many: false,
            gone: BTreeSet::new(),
            queues,
        };
        frames.sync(here, usize::MAX)?;
        let mut why = frames.on.values().map(Hung::why_not);
        match (frames.on.values().any(|hung| hung.why_not().is_none()), why.next()) {
            (false, Some(Some(why))) => {
                Err(KernelError::Refused { what: "hanging a hook on interfaces".into(), why: why.into() })
            }
            _ => {
                frames.look();
                Ok(frames)
            }
        }
    }

    /// Where they hang, in words.
    #[must_use]
    pub fn state(&self) -> State {
        let mut words = words::state(self.here, &self.on, &self.not_in, self.too_many);
        words += &words::queue(self.queues.hung());
        State::AttachedTo(words)
    }

    /// When to [`Self::follow`] though there is no news.
    #[must_use]
    pub fn wait(&self) -> Duration {
        self.pace.wait(Instant::now())
    }

    /// Takes news of interfaces, and looks at other network namespaces when it is time. The state, if it is another one
    /// now.
    ///
    /// # Errors
    /// The kernel's about the guard's own network namespace.
    pub fn follow(&mut self) -> Result<Option<State>, KernelError> {
        let known = |index| self.on.contains_key(&(self.here, index));
        let changed = self.news.take(known);
        let changed = changed.map_err(|e| KernelError::refused("reading news of network interfaces", e))?;
        let before = self.state();
        if changed {
            self.sync(self.here, usize::MAX)?;
            self.pace.heard();
        }
        if self.pace.is_due(Instant::now()) {
            self.look();
        }
        self.tidy();
        let now = self.state();
        Ok((now != before).then_some(now))
    }

    /// Looks at all other network namespaces. What is wrong with one is said, and the others are looked at all the same.
    fn look(&mut self) {
        let begun = processor::taken();
        let (doors, all) = namespaces::doors(NAMESPACES - 1);
        let mut there = Duration::ZERO;
        let mut sockets = packet_sockets();
        for door in &doors {
            there += self.look_at(door, &mut sockets);
        }
        self.queues.keep(&sockets);
        self.too_many = !all;
        if all {
            let still = |namespace: u64| {
                namespace == self.here || doors.iter().any(|door| door.namespace == namespace)
            };
            self.not_in.retain(|namespace, _| still(*namespace));
            let gone: Vec<Key> =
                self.on.keys().copied().filter(|(namespace, _)| !still(*namespace)).collect();
            gone.into_iter().for_each(|key| self.forget(key));
        }
        let took = processor::taken().saturating_sub(begun) + there;
        tracing::debug!(?took, "looked at {} other network namespaces", doors.len());
        self.pace.looked(Instant::now(), took);
    }

    /// Adds the packet sockets there. The processor time that it took.
    fn look_at(&mut self, door: &Door, sockets: &mut BTreeSet<u64>) -> Duration {
        let done = door.within(|| {
            sockets.append(&mut packet_sockets());
            (self.sync(door.namespace, INTERFACES), processor::taken())
        });
        let (why, took) = match done {
            Ok((Ok(0), took)) => (None, took),
            Ok((Ok(more), took)) => {
                (Some(format!("it has {more} interfaces more than the {INTERFACES} that are covered")), took)
            }
            Ok((Err(e), took)) => (Some(e.to_string()), took),
            // It may be gone, too: the next look will tell.
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Duration::ZERO,
            Err(e) => (Some(format!("entering it: {e}")), Duration::ZERO),
        };
        match why {
            None => drop(self.not_in.remove(&door.namespace)),
            Some(why) if self.not_in.get(&door.namespace) == Some(&why) => {}
            Some(why) => {
                tracing::warn!(
                    "frames of packet sockets are not checked everywhere in the network namespace {}: {why}",
                    door.namespace
                );
                self.not_in.insert(door.namespace, why);
            }
        }
        took
    }

    /// Hangs it on each interface of a network namespace, which the calling thread is in, but on no more than `most`; how
    /// many are left.
    fn sync(&mut self, namespace: u64, most: usize) -> Result<usize, KernelError> {
        let list = || interfaces::list().map_err(|e| KernelError::refused("listing network interfaces", e));
        let mut now = list()?;
        now.sort_by_key(|link| link.index);
        let left = now.len().saturating_sub(most);
        now.truncate(most);
        let is_there = |index: &u32| now.binary_search_by_key(index, |link| link.index).is_ok();
        let known = self.on.range(of(namespace)).map(|((_, index), _)| *index);
        let gone: Vec<u32> = known.filter(|index| !is_there(index)).collect();
        gone.into_iter().for_each(|index| self.forget((namespace, index)));
        let mut failed = Vec::new();
        for link in &now {
            let key = (namespace, link.index);
            let known = self.on.get(&key);
            if self.hanger.holds(known, link.index) {
                if known.is_none_or(|hung| hung.why_not().is_some()) {
                    self.on.insert(key, Hung::Brought);
                }
                continue;
            }
            let before = known.and_then(Hung::why_not).map(ToOwned::to_owned);
            if before.is_none() {
                self.forget(key);
            }
            let hung = self.hanger.hang(namespace, link).unwrap_or_else(|e| Hung::Not(e.to_string()));
            if hung.why_not().is_some_and(|why| before.as_deref() != Some(why)) {
                failed.push(link);
            }
            self.on.insert(key, hung);
        }
        // One that went meanwhile is no failure.
        let still = if failed.is_empty() { Vec::new() } else { list()? };
        for link in failed {
            let key = (namespace, link.index);
            if still.iter().any(|s| s.index == link.index) {
                let why = self.on.get(&key).and_then(Hung::why_not).unwrap_or_default();
                tracing::warn!("frames of packet sockets are not checked on {}: {why}", link.name);
            } else {
                self.forget(key);
            }
        }
        Ok(left)
    }

    /// An interface is gone, and what was hung on it with it; unless it went into another network namespace, where a link
    /// goes on.
    fn forget(&mut self, key: Key) {
        match self.on.remove(&key) {
            Some(Hung::Link(name)) => {
                self.gone.insert(name);
            }
            Some(Hung::Filter | Hung::Not(_)) => {
                for made in [true, false] {
                    let note = Note { namespace: key.0, index: key.1, made };
                    if let Err(e) = note.remove(&self.hanger.instance) {
                        tracing::warn!("{e}");
                    }
                }
            }
            Some(Hung::Brought) | None => {}
        }
    }

    /// Unpins links that hang nowhere any more.
    fn tidy(&mut self) {
        let instance = &self.hanger.instance;
        self.gone.retain(|name| {
            if links::hangs_on_an_interface(&instance.link(name)) {
                return true;
            }
            if let Err(e) = instance.unlink(name) {
                tracing::warn!("{e}");
            }
            false
        });
    }
}

impl std::os::fd::AsFd for Frames {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.news.as_fd()
    }
}

/// All interfaces of a network namespace.
fn of(namespace: u64) -> std::ops::RangeInclusive<Key> {
    (namespace, 0)..=(namespace, u32::MAX)
}

/// Those of the network namespace that the calling thread is in; none where the kernel knows no such sockets.
fn packet_sockets() -> BTreeSet<u64> {
    queues::open().unwrap_or_default()
}
