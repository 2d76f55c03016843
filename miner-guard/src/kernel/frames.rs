//! What is hung on network interfaces: on each of this network namespace, and on those that come.
//!
//! From 6.6 on by a link (tcx), pinned like the other hooks' as `frame-<index>`. Before that by a filter of `clsact`, which
//! no pin ends: a directory in the instance says where each one is, so that whoever removes the instance finds it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::PathBuf,
};

use aya::{
    Ebpf,
    programs::{
        LinkOrder, ProgramError, SchedClassifier, TcAttachType,
        links::FdLink,
        tc::{self, NlOptions, TcAttachOptions, TcError, TcHandle},
    },
    sys::SyscallError,
};

use super::{
    KernelError, detach,
    interfaces::{self, Interface, News},
    load::{self, State},
    pins::Instance,
    sockets,
};

/// How the names of its links begin.
pub const LINK: &str = "frame-";
/// Before others: one that decides would keep later ones from being asked.
const PRIORITY: u16 = 1;
/// Network namespaces that are looked at for one that filters were left in.
const NAMESPACES: usize = 4096;

/// How the kernel wants it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Link,
    Filter,
}

/// The programs, and where they hang.
pub struct Frames {
    ebpf: Ebpf,
    instance: Instance,
    news: News,
    /// Once it is known.
    way: Option<Way>,
    /// By the interface's index: why not, if not.
    on: BTreeMap<u32, Option<String>>,
    /// Those that are in another network namespace now.
    gone: BTreeSet<u32>,
}

impl Frames {
    /// Hangs them on every interface.
    ///
    /// # Errors
    /// When interfaces cannot be listed, or the programs hang on none.
    pub(super) fn attach(ebpf: Ebpf, instance: &Instance) -> Result<Self, KernelError> {
        let unlisted = |e| KernelError::refused("listening for network interfaces", e);
        // First, so that none that comes meanwhile is missed.
        let news = News::listen().map_err(unlisted)?;
        let instance = instance.clone();
        let mut frames = Self { ebpf, instance, news, way: None, on: BTreeMap::new(), gone: BTreeSet::new() };
        frames.sync()?;
        let mut why = frames.on.values();
        match (frames.on.values().any(Option::is_none), why.next()) {
            (false, Some(Some(why))) => {
                Err(KernelError::Refused { what: "hanging a hook on interfaces".into(), why: why.clone() })
            }
            _ => Ok(frames),
        }
    }

    /// Where they hang, in words.
    #[must_use]
    pub fn state(&self) -> State {
        let failed: Vec<_> = self.on.iter().filter_map(|(index, why)| Some((index, why.as_ref()?))).collect();
        let text = match self.on.len() - failed.len() {
            1 => "on 1 interface".to_owned(),
            n => format!("on {n} interfaces"),
        };
        State::AttachedTo(match failed.first() {
            None => text,
            Some((index, why)) => format!("{text}, not on {}, as number {index}: {why}", failed.len()),
        })
    }

    /// Takes news of interfaces. The state, if it is another one now.
    ///
    /// # Errors
    /// The kernel's.
    pub fn follow(&mut self) -> Result<Option<State>, KernelError> {
        let known = |index| self.on.contains_key(&index);
        let changed = self.news.take(known);
        if !changed.map_err(|e| KernelError::refused("reading news of network interfaces", e))? {
            return Ok(None);
        }
        let before = self.state();
        self.sync()?;
        let now = self.state();
        Ok((now != before).then_some(now))
    }

    fn sync(&mut self) -> Result<(), KernelError> {
        let now = interfaces::list().map_err(|e| KernelError::refused("listing network interfaces", e))?;
        let gone: Vec<u32> =
            self.on.keys().copied().filter(|known| !now.iter().any(|link| link.index == *known)).collect();
        self.gone.extend(gone);
        for index in std::mem::take(&mut self.gone) {
            self.on.remove(&index);
            if !self.forget(index)? {
                self.gone.insert(index);
            }
        }
        for link in &now {
            if self.on.get(&link.index).is_some_and(Option::is_none) {
                continue;
            }
            let why = self.hang(link).err().map(|e| e.to_string());
            if let Some(why) = &why {
                tracing::warn!("frames of packet sockets are not checked on {}: {why}", link.name);
            }
            self.on.insert(link.index, why);
        }
        Ok(())
    }

    /// An interface is gone, and what was hung on it with it; unless it went into another network namespace, where a link
    /// goes on. Whether there is nothing more to look after.
    fn forget(&self, index: u32) -> Result<bool, KernelError> {
        let name = format!("{LINK}{index}");
        if self.way == Some(Way::Link) {
            if detach::hangs_on_an_interface(&self.instance.link(&name)) {
                return Ok(false);
            }
            self.instance.unlink(&name)?;
        }
        for note in self.instance.notes()?.iter().filter(|n| n.index == index) {
            note.remove(&self.instance)?;
        }
        Ok(true)
    }

    fn hang(&mut self, on: &Interface) -> Result<(), KernelError> {
        let refused =
            |e: ProgramError| KernelError::refused(format!("the kernel refused it on {}", on.name), e);
        let name = if on.is_ethernet() { "mg_frame" } else { "mg_frame_bare" };
        let program = self.ebpf.program_mut(name).ok_or_else(|| KernelError::Refused {
            what: format!("the program {name}"),
            why: "the object does not hold it: this build is damaged".into(),
        })?;
        let program: &mut SchedClassifier = program.try_into().map_err(refused)?;
        if program.fd().is_err() {
            program.load().map_err(refused)?;
        }
        if self.way != Some(Way::Filter) {
            let order = TcAttachOptions::TcxOrder(LinkOrder::first());
            match program.attach_with_options(&on.name, TcAttachType::Egress, order) {
                Ok(id) => {
                    self.way = Some(Way::Link);
                    let link = FdLink::try_from(program.take_link(id).map_err(refused)?)
                        .map_err(|e| KernelError::refused(format!("keeping the hook on {}", on.name), e))?;
                    let name = format!("{LINK}{}", on.index);
                    // Of one that had this number before, and is in another network namespace now.
                    self.instance.unlink(&name)?;
                    self.gone.remove(&on.index);
                    return load::pin(link, &name, &self.instance);
                }
                Err(e) if self.way.is_none() && is_too_new(&e) => {}
                Err(e) => return Err(refused(e)),
            }
        }
        filter(program, on, &self.instance).map_err(refused)??;
        self.way = Some(Way::Filter);
        Ok(())
    }
}

impl std::os::fd::AsFd for Frames {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.news.as_fd()
    }
}

/// Whether the kernel does not know such links.
fn is_too_new(e: &ProgramError) -> bool {
    let ProgramError::SyscallError(SyscallError { io_error, .. }) = e else { return false };
    matches!(io_error.raw_os_error(), Some(libc::EINVAL | libc::E2BIG | libc::EOPNOTSUPP))
}

fn filter(
    program: &mut SchedClassifier,
    on: &Interface,
    instance: &Instance,
) -> Result<Result<(), KernelError>, ProgramError> {
    let mut note = match sockets::namespace(None) {
        Ok(namespace) => Note { namespace, index: on.index, made: true },
        Err(e) => return Ok(Err(KernelError::refused("reading the network namespace", e))),
    };
    match tc::qdisc_add_clsact(&on.name) {
        Ok(()) => {}
        // Somebody else's, or a guard's before this one.
        Err(e) if errno(&e) == Some(libc::EEXIST) => note.made = instance.others_noted(&note),
        Err(e) => return Err(e.into()),
    }
    // First: what is noted and not there does no harm.
    if let Err(e) = note.make(instance) {
        return Ok(Err(e));
    }
    let handle = instance.number_of_filters();
    let mut hang = || {
        let options = NlOptions { priority: PRIORITY, handle: TcHandle::from(handle), classid: None };
        program.attach_with_options(&on.name, TcAttachType::Egress, TcAttachOptions::Netlink(options))
    };
    let id = match hang() {
        // Whoever left it took away its pins and not the filter.
        Err(ProgramError::TcError(e)) if errno(&e) == Some(libc::EEXIST) => {
            interfaces::remove_filter(on.index, PRIORITY, handle).map_err(TcError::IoError)?;
            hang()?
        }
        done => done?,
    };
    // It stays when this process ends.
    std::mem::forget(program.take_link(id)?);
    Ok(Ok(()))
}

fn errno(e: &TcError) -> Option<i32> {
    match e {
        TcError::NetlinkError(e) => e.raw_os_error(),
        TcError::IoError(e) => e.raw_os_error(),
        _ => None,
    }
}

/// Says that there is a filter of an instance's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Note {
    /// Inode of the network namespace.
    namespace: u64,
    index: u32,
    /// The guard also made the `clsact` that it hangs on.
    made: bool,
}

impl Note {
    /// `4026531840-2-made`
    pub(super) fn parse(name: &str) -> Option<Self> {
        let mut parts = name.split('-');
        let (namespace, index) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        let made = match parts.next() {
            None => false,
            Some("made") => true,
            Some(_) => return None,
        };
        parts.next().is_none().then_some(Self { namespace, index, made })
    }

    pub(super) fn name(&self) -> String {
        format!("{}-{}{}", self.namespace, self.index, if self.made { "-made" } else { "" })
    }

    fn path(&self, instance: &Instance) -> PathBuf {
        instance.filters().join(self.name())
    }

    fn make(&self, instance: &Instance) -> Result<(), KernelError> {
        let path = self.path(instance);
        fs::create_dir_all(&path).map_err(|e| KernelError::io("creating", &path, e))
    }

    fn remove(&self, instance: &Instance) -> Result<(), KernelError> {
        let path = self.path(instance);
        match fs::remove_dir(&path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(KernelError::io("removing", &path, e)),
            _ => Ok(()),
        }
    }

    /// Removes what it speaks of, in the network namespace of the calling thread.
    fn clear(&self, handle: u32) -> io::Result<()> {
        interfaces::remove_filter(self.index, PRIORITY, handle)?;
        if self.made { interfaces::remove_clsact_if_unused(self.index) } else { Ok(()) }
    }
}

/// Removes all filters of an instance, and the notes of them; how many there were.
pub(super) fn clear(instance: &Instance) -> Result<usize, KernelError> {
    let notes = instance.notes()?;
    let handle = instance.number_of_filters();
    let refused = |e: io::Error| KernelError::refused("removing a filter from an interface", e);
    let here = sockets::namespace(None).ok();
    let mut processes: Option<BTreeMap<u64, u32>> = None;
    for note in &notes {
        if Some(note.namespace) == here {
            note.clear(handle).map_err(refused)?;
        } else {
            let all = processes.get_or_insert_with(|| {
                let all = sockets::namespaces(NAMESPACES).0.into_iter().flatten();
                all.filter_map(|pid| Some((sockets::namespace(Some(pid)).ok()?, pid))).collect()
            });
            // Without a process in it there is no way into it; mostly it is gone, and the filters with it.
            let pid = all.get(&note.namespace).copied();
            match pid.map(|pid| sockets::within(Some(pid), || note.clear(handle))) {
                Some(Ok(done)) => done.map_err(refused)?,
                Some(Err(e)) => return Err(KernelError::refused("removing a filter", e)),
                None => tracing::debug!("the network namespace of the filter {} is gone", note.name()),
            }
        }
        note.remove(instance)?;
    }
    Ok(notes.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_says_where_a_filter_is() {
        let notes = [
            Note { namespace: 4_026_531_840, index: 2, made: true },
            Note { namespace: 4_026_531_840, index: 12, made: false },
        ];
        for note in notes {
            assert_eq!(Note::parse(&note.name()), Some(note));
        }
        for wrong in ["", "1", "1-", "1-2-", "1-2-made-3", "a-2", "1-2-else"] {
            assert_eq!(Note::parse(wrong), None, "{wrong}");
        }
    }
}
