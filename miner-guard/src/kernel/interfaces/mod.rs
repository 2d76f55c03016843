//! Network interfaces: which there are, news of them, and what hangs on them by the older way (`tc` filters).
//!
//! Raw netlink (`rtnetlink`), in the network namespace of the calling thread.

mod wire;

use std::{io, os::fd::OwnedFd};

use rustix::{
    io::Errno,
    net::{self, AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink::SocketAddrNetlink},
};

use super::netlink::{ANSWER, receive};
pub use wire::Interface;
use wire::Said;

/// `RTMGRP_LINK`
const LINKS: u32 = 1;

/// All interfaces.
///
/// # Errors
/// The kernel's, or that its answer makes no sense.
pub fn list() -> io::Result<Vec<Interface>> {
    let mut all = Vec::new();
    ask(&wire::links(), |said| {
        if let Said::Link(link) = said {
            all.push(link);
        }
    })?;
    Ok(all)
}

/// Whether a filter of this handle hangs on the egress side of an interface.
///
/// # Errors
/// The kernel's.
pub fn has_filter(index: u32, handle: u32) -> io::Result<bool> {
    let mut has = false;
    absent_is_fine(ask(&wire::filters(index, wire::EGRESS), |said| has |= said == Said::Filter(handle)))?;
    Ok(has)
}

/// Removes a filter from the egress side of an interface; nothing if there is none.
///
/// # Errors
/// The kernel's.
pub fn remove_filter(index: u32, priority: u16, handle: u32) -> io::Result<()> {
    absent_is_fine(ask(&wire::remove_filter(index, priority, handle), |_| {}))
}

/// Removes the `clsact` of an interface if nothing hangs on it.
///
/// # Errors
/// The kernel's.
pub fn remove_clsact_if_unused(index: u32) -> io::Result<()> {
    let mut used = false;
    for side in [wire::EGRESS, wire::INGRESS] {
        absent_is_fine(ask(&wire::filters(index, side), |said| used |= matches!(said, Said::Filter(_))))?;
    }
    if used { Ok(()) } else { absent_is_fine(ask(&wire::remove_clsact(index), |_| {})) }
}

/// The interface, its `clsact` or the filter is not there.
fn absent_is_fine(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(e) if matches!(e.raw_os_error(), Some(libc::ENODEV | libc::ENOENT | libc::EINVAL)) => Ok(()),
        done => done,
    }
}

fn ask(request: &[u8], mut each: impl FnMut(Said)) -> io::Result<()> {
    let socket = open(SocketFlags::CLOEXEC)?;
    net::send(&socket, request, SendFlags::empty())?;
    let mut buffer = vec![0; ANSWER];
    let mut end = None;
    while end.is_none() {
        let batch = receive(&socket, &mut buffer, RecvFlags::empty())?;
        wire::read(batch, |said| match said {
            Said::Done => end = Some(0),
            Said::Answer(errno) => end = Some(errno),
            said => each(said),
        })
        .map_err(io::Error::other)?;
        if batch.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    match end {
        Some(0) | None => Ok(()),
        Some(errno) => Err(io::Error::from_raw_os_error(errno)),
    }
}

/// Protocol 0 is `NETLINK_ROUTE`.
fn open(flags: SocketFlags) -> io::Result<OwnedFd> {
    Ok(net::socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None)?)
}

/// Hears of interfaces that come and go.
pub struct News(OwnedFd);

impl News {
    /// From now on.
    ///
    /// # Errors
    /// The kernel's.
    pub fn listen() -> io::Result<Self> {
        let socket = open(SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)?;
        net::bind(&socket, &SocketAddrNetlink::new(0, LINKS))?;
        Ok(Self(socket))
    }

    /// Takes what there is. Whether there is an interface that is not `known`, or one less; true also when the kernel had
    /// more to say than it could keep.
    ///
    /// # Errors
    /// The kernel's.
    pub fn take(&self, known: impl Fn(u32) -> bool) -> io::Result<bool> {
        let mut buffer = vec![0; ANSWER];
        let mut changed = false;
        loop {
            match receive(&self.0, &mut buffer, RecvFlags::DONTWAIT) {
                Ok(batch) => {
                    let read = wire::read(batch, |said| match said {
                        Said::Link(link) => changed |= !known(link.index),
                        Said::Gone(_) => changed = true,
                        _ => {}
                    });
                    changed |= read.is_err();
                }
                Err(Errno::WOULDBLOCK) => return Ok(changed),
                Err(Errno::NOBUFS) => changed = true,
                Err(e) => return Err(e.into()),
            }
        }
    }
}

impl std::os::fd::AsFd for News {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_among_the_interfaces_and_no_news() {
        let all = list().unwrap();
        let lo = all.iter().find(|link| link.name == "lo").unwrap();
        assert!(lo.index != 0 && lo.kind == 772);
        assert!(!News::listen().unwrap().take(|_| true).unwrap());
    }

    #[test]
    fn what_is_not_there_is_not_removed_and_no_error() {
        // Nobody has so many interfaces.
        match remove_filter(0x7fff_fff0, 1, 1) {
            Ok(()) => {
                remove_clsact_if_unused(0x7fff_fff0).unwrap();
                assert!(!has_filter(0x7fff_fff0, 1).unwrap());
            }
            // Not root.
            Err(e) => assert_eq!(e.kind(), io::ErrorKind::PermissionDenied),
        }
    }
}
