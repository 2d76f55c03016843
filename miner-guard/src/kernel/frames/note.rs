//! Where filters are: no pin ends one, so a directory in the instance says where each hangs.

use std::{collections::BTreeMap, fs, io, path::PathBuf};

use super::super::{
    KernelError, interfaces,
    namespaces::{self, Door},
    pins::Instance,
};

/// Before others: one that decides would keep later ones from being asked.
pub(super) const PRIORITY: u16 = 1;
/// Network namespaces that are looked at for one that filters were left in.
const NAMESPACES: usize = 1 << 16;

/// Says that there is a filter of an instance's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::kernel) struct Note {
    /// Inode of the network namespace.
    pub(super) namespace: u64,
    pub(super) index: u32,
    /// The guard also made the `clsact` that it hangs on.
    pub(super) made: bool,
}

impl Note {
    /// `4026531840-2-made`
    pub(in crate::kernel) fn parse(name: &str) -> Option<Self> {
        let mut parts = name.split('-');
        let (namespace, index) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        let made = match parts.next() {
            None => false,
            Some("made") => true,
            Some(_) => return None,
        };
        parts.next().is_none().then_some(Self { namespace, index, made })
    }

    pub(in crate::kernel) fn name(&self) -> String {
        format!("{}-{}{}", self.namespace, self.index, if self.made { "-made" } else { "" })
    }

    fn path(&self, instance: &Instance) -> PathBuf {
        instance.filters().join(self.name())
    }

    pub(super) fn make(&self, instance: &Instance) -> Result<(), KernelError> {
        let path = self.path(instance);
        fs::create_dir_all(&path).map_err(|e| KernelError::io("creating", &path, e))
    }

    pub(super) fn remove(&self, instance: &Instance) -> Result<(), KernelError> {
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

/// Removes all filters of an instance, and the notes of them; how many there were. What cannot be removed keeps its
/// note, and nothing else there.
pub(in crate::kernel) fn clear(instance: &Instance) -> Result<usize, KernelError> {
    let notes = instance.notes()?;
    let handle = instance.number_of_filters();
    let here = namespaces::namespace(None).ok();
    let mut doors = None;
    let mut outcome = Ok(());
    for note in &notes {
        let done = if Some(note.namespace) == here {
            note.clear(handle)
        } else {
            elsewhere(note, handle, &mut doors)
        };
        let done = done.map_err(|e| KernelError::refused("removing a filter from an interface", e));
        if let Err(e) = done.and_then(|()| note.remove(instance)) {
            outcome = Err(e);
        }
    }
    outcome.map(|()| notes.len())
}

/// `doors`: once they are known.
fn elsewhere(note: &Note, handle: u32, doors: &mut Option<BTreeMap<u64, Door>>) -> io::Result<()> {
    // The process that was the way in may have ended since, and others may be there.
    for _ in 0..2 {
        let all = doors.get_or_insert_with(|| {
            namespaces::doors(NAMESPACES).0.into_iter().map(|door| (door.namespace, door)).collect()
        });
        match all.get(&note.namespace).map(|door| door.within(|| note.clear(handle))) {
            Some(Ok(done)) => return done,
            Some(Err(e)) if e.kind() == io::ErrorKind::NotFound => *doors = None,
            Some(Err(e)) => return Err(e),
            None => break,
        }
    }
    // Mostly it is gone, and the filters with it.
    tracing::debug!("there is no way into the network namespace of the filter {}", note.name());
    Ok(())
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
