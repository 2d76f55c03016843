//! Hangs the programs on one interface, in the network namespace of the calling thread.

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
    super::{
        KernelError,
        interfaces::{self, Interface},
        links, load,
        pins::Instance,
    },
    LINK,
    note::{Note, PRIORITY},
};

/// How the kernel wants it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Link,
    Filter,
}

/// How it hangs on an interface, or why not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Hung {
    /// By a link that is pinned under this name.
    Link(String),
    /// By a link that the interface brought along from another network namespace.
    Brought,
    /// By a filter.
    Filter,
    /// Not at all.
    Not(String),
}

impl Hung {
    pub(super) fn why_not(&self) -> Option<&str> {
        match self {
            Self::Not(why) => Some(why),
            _ => None,
        }
    }
}

/// The programs.
pub(super) struct Hanger {
    ebpf: Ebpf,
    pub(super) instance: Instance,
    /// Once it is known.
    way: Option<Way>,
    /// What the kernel numbers those by that are loaded.
    ids: Vec<u32>,
    /// How many links were made.
    links: u32,
}

impl Hanger {
    pub(super) fn new(ebpf: Ebpf, instance: &Instance) -> Self {
        Self { ebpf, instance: instance.clone(), way: None, ids: Vec::new(), links: 0 }
    }

    /// Whether it hangs there, where it is `known` how. The number of a network namespace that is gone may be another one's
    /// now, and an interface may have come with what hangs on it: only the kernel knows.
    pub(super) fn holds(&self, known: Option<&Hung>, index: u32) -> bool {
        let hung = known.is_some_and(|hung| hung.why_not().is_none());
        // Where the kernel does not say, it hangs as it did.
        match self.way {
            Some(Way::Link) => links::programs_on(index)
                .map_or(hung, |programs| programs.iter().any(|id| self.ids.contains(id))),
            Some(Way::Filter) if hung => {
                interfaces::has_filter(index, self.instance.number_of_filters()).unwrap_or(true)
            }
            _ => false,
        }
    }

    /// Hangs it on an interface.
    pub(super) fn hang(&mut self, namespace: u64, on: &Interface) -> Result<Hung, KernelError> {
        let refused =
            |e: ProgramError| KernelError::refused(format!("the kernel refused it on {}", on.name), e);
        let name = if on.is_ethernet() { "mg_frame" } else { "mg_frame_bare" };
        let program: &mut SchedClassifier = load::program(&mut self.ebpf, name)?;
        if program.fd().is_err() {
            program.load().map_err(refused)?;
            self.ids.push(program.info().map_err(refused)?.id());
        }
        if self.way != Some(Way::Filter) {
            let order = TcAttachOptions::TcxOrder(LinkOrder::first());
            match program.attach_with_options(&on.name, TcAttachType::Egress, order) {
                Ok(id) => {
                    self.way = Some(Way::Link);
                    let link = FdLink::try_from(program.take_link(id).map_err(refused)?)
                        .map_err(|e| KernelError::refused(format!("keeping the hook on {}", on.name), e))?;
                    // One of the same interface may still hang, which is in another network namespace now.
                    let name = format!("{LINK}{namespace}-{}-{}", on.index, self.links);
                    self.links += 1;
                    load::pin(link, &name, &self.instance)?;
                    return Ok(Hung::Link(name));
                }
                Err(e) if self.way.is_none() && is_too_new(&e) => {}
                Err(e) => return Err(refused(e)),
            }
        }
        let note = Note { namespace, index: on.index, made: true };
        filter(program, on, note, &self.instance).map_err(refused)??;
        self.way = Some(Way::Filter);
        Ok(Hung::Filter)
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
    mut note: Note,
    instance: &Instance,
) -> Result<Result<(), KernelError>, ProgramError> {
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
