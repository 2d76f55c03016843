//! One connection is ended, wherever it is.

use std::{
    sync::mpsc::Receiver,
    thread,
    time::{Duration, Instant},
};

use super::NAMESPACES;
use crate::kernel::sockets::{SocketError, SocketId, destroy, destroy_wherever_bound, namespaces};

/// Until nobody sends any more.
pub fn on_request(cut: &Receiver<SocketId>) {
    let mut told = false;
    while let Ok(id) = cut.recv() {
        match reset(&id) {
            // Its program was quicker.
            Ok(()) | Err(SocketError::Gone) => {}
            Err(e @ (SocketError::CannotDestroy | SocketError::CannotList)) => {
                if !std::mem::replace(&mut told, true) {
                    tracing::warn!("connections that are cut hang until their programs give up: {e}");
                }
            }
            Err(e) => tracing::debug!(local = %id.local, remote = %id.remote, "not reset: {e}"),
        }
    }
}

/// First where its process is and where this one is, then in every other network namespace: it may have been passed on.
fn reset(id: &SocketId) -> Result<(), SocketError> {
    let mut outcome = Err(SocketError::Gone);
    if id.pid.is_some() {
        outcome = destroy_wherever_bound(id);
    }
    // The process, and with it the way to its namespace, may be gone.
    if matches!(outcome, Err(SocketError::Gone | SocketError::Io(..))) {
        outcome = destroy_wherever_bound(&SocketId { pid: None, ..*id });
    }
    if !matches!(outcome, Err(SocketError::Gone)) {
        return outcome;
    }
    let start = Instant::now();
    let (all, _) = namespaces(NAMESPACES);
    let others = all.into_iter().filter(Option::is_some);
    let found = others.map(|pid| destroy(&SocketId { pid, ..*id })).find(Result::is_ok);
    // Whoever makes this search happen over and over gets no more of it than a fifth of a processor.
    thread::sleep(start.elapsed().min(Duration::from_secs(1)) * 4);
    found.unwrap_or(outcome)
}
