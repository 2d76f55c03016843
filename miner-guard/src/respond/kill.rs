//! Ends a process, and surely that one.

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// Why a process was not killed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotKilled {
    /// It has ended by itself.
    #[error("it had already ended")]
    Gone,
    /// The number now belongs to something else, or the process runs another program by now.
    #[error("it runs another program by now")]
    Changed,
    /// PID 1, or the guard itself.
    #[error("pid {0} is never killed")]
    Never(u32),
    /// The kernel refused.
    #[error("the kernel refused: {0}")]
    Refused(rustix::io::Errno),
}

/// Kills the whole thread group with SIGKILL, if `still` says that it is the one that was meant.
///
/// `still` is asked after the process is held by a descriptor, so that its number cannot be reused in between.
pub fn kill(pid: u32, still: impl FnOnce() -> bool) -> Result<(), NotKilled> {
    if pid <= 1 || pid == std::process::id() {
        return Err(NotKilled::Never(pid));
    }
    let raw = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(NotKilled::Never(pid))?;
    let gone = |e| if e == rustix::io::Errno::SRCH { NotKilled::Gone } else { NotKilled::Refused(e) };
    let held = pidfd_open(raw, PidfdFlags::empty()).map_err(gone)?;
    if !still() {
        return Err(NotKilled::Changed);
    }
    pidfd_send_signal(&held, Signal::KILL).map_err(gone)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{os::unix::process::ExitStatusExt as _, process::Command};

    #[test]
    fn a_process_is_killed_once_and_then_gone() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        assert_eq!(kill(child.id(), || false), Err(NotKilled::Changed));
        assert_eq!(kill(child.id(), || true), Ok(()));
        assert_eq!(child.wait().unwrap().signal(), Some(9));
        assert_eq!(kill(child.id(), || true), Err(NotKilled::Gone));
    }

    #[test]
    fn init_and_the_guard_itself_are_never_killed() {
        assert_eq!(kill(1, || true), Err(NotKilled::Never(1)));
        assert_eq!(kill(std::process::id(), || true), Err(NotKilled::Never(std::process::id())));
    }
}
