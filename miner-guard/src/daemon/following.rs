//! Interfaces that come and go, and other network namespaces, are followed on a thread of its own: the kernel may keep
//! whoever hangs something on one waiting.

use std::{
    io,
    os::fd::{AsFd as _, OwnedFd},
    sync::Arc,
    thread::{self, JoinHandle},
};

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};

use super::{DaemonError, start::Guard};
use crate::kernel::{frames::Frames, hooks::Object, load::State};

/// The thread. It ends with this, and hangs nothing on anything any more.
pub struct Following {
    stop: Arc<OwnedFd>,
    thread: Option<JoinHandle<()>>,
}

impl Following {
    fn start(mut frames: Frames, report: impl Fn(State) -> bool + Send + 'static) -> io::Result<Self> {
        let stop = Arc::new(eventfd(0, EventfdFlags::CLOEXEC)?);
        let thread = thread::Builder::new().name("interfaces".into()).spawn({
            let stop = Arc::clone(&stop);
            move || follow(&mut frames, &stop, report)
        })?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        // It cannot be full, and no other error is known.
        let _ = rustix::io::write(&self.stop, &1u64.to_ne_bytes());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn follow(frames: &mut Frames, stop: &OwnedFd, report: impl Fn(State) -> bool) {
    loop {
        // It is seconds, which always fit.
        let wait = Timespec::try_from(frames.wait()).unwrap_or(Timespec { tv_sec: 5, tv_nsec: 0 });
        let (news, end) = (frames.as_fd(), stop.as_fd());
        let mut both = [PollFd::new(&news, PollFlags::IN), PollFd::new(&end, PollFlags::IN)];
        // Interrupted: looked a little earlier.
        let _ = poll(&mut both, Some(&wait));
        if !both[1].revents().is_empty() {
            return;
        }
        match frames.follow() {
            Ok(None) => {}
            Ok(Some(state)) => {
                if !report(state) {
                    return;
                }
            }
            Err(e) => {
                tracing::error!("{e}: frames are not checked on interfaces that come from now on");
                report(State::Unavailable(format!("interfaces that came lately are not covered: {e}")));
                return;
            }
        }
    }
}

impl Guard {
    /// Begins to follow the interfaces, where the hook for them runs. `report` gets the hook's state when it changes.
    pub(super) fn follow_interfaces(
        &mut self,
        report: impl Fn(State) -> bool + Send + 'static,
    ) -> Result<(), DaemonError> {
        let Some(frames) = self.frames.take() else { return Ok(()) };
        let following = Following::start(frames, report);
        self.following =
            Some(following.map_err(|e| DaemonError::Io("starting the thread that follows interfaces", e))?);
        Ok(())
    }

    pub(super) fn hangs_on(&mut self, state: State) {
        if let Some((_, known)) = self.hooks.iter_mut().find(|(h, _)| h.object == Object::Frames) {
            *known = state;
        }
    }
}
