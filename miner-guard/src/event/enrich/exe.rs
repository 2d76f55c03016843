//! The program that a process runs, from the link `/proc/PID/exe`.

use crate::event::model::lossy;

const DELETED: &[u8] = b" (deleted)";

/// A program file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exe {
    /// Its path, without the kernel's remark; `memfd:NAME` for a file that lives in memory only.
    pub path: String,
    /// It has no name any more, or never had one.
    pub unlinked: bool,
}

/// Reads the target of the link. The kernel adds ` (deleted)` to a file without a name, but a file may be named so:
/// only when the file itself says that it has no name is it taken for a remark.
#[must_use]
pub fn parse(target: &[u8], unlinked: bool) -> Exe {
    let path = match target.strip_suffix(DELETED) {
        Some(path) if unlinked => path,
        _ => target,
    };
    let path = match path.strip_prefix(b"/") {
        Some(memfd) if unlinked && memfd.starts_with(b"memfd:") => memfd,
        _ => path,
    };
    Exe { path: lossy(path), unlinked }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deleted_program_keeps_its_last_path() {
        assert_eq!(
            parse(b"/tmp/.x/xmrig (deleted)", true),
            Exe { path: "/tmp/.x/xmrig".into(), unlinked: true }
        );
    }

    #[test]
    fn a_file_that_is_named_deleted_is_not_taken_for_one() {
        assert_eq!(parse(b"/tmp/x (deleted)", false).path, "/tmp/x (deleted)");
        assert_eq!(parse(b"/tmp/x (deleted) (deleted)", true).path, "/tmp/x (deleted)");
    }

    #[test]
    fn a_program_in_memory_says_so_and_a_directory_cannot_pretend_to_be_one() {
        assert_eq!(parse(b"/memfd:kworker (deleted)", true).path, "memfd:kworker");
        assert_eq!(parse(b"/memfd:kworker", false).path, "/memfd:kworker");
    }
}
