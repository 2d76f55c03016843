//! Where all tests run: namespaces of their own, so that nothing of them reaches the host or outlives them.

use std::{net::Ipv6Addr, path::Path};

use anyhow::{Context as _, Result};

use crate::{case, sys};

/// An IPv6 loopback address besides ::1, so that a test can deny one and not the other.
pub const SECOND_V6_LOOPBACK: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x6d67, 0, 0, 0, 0, 0, 0x66);

/// Gives this process, which must have one thread, a network namespace with nothing but `lo`, and a mount namespace:
/// what is mounted and pinned in it goes away with the last process in it, however that ends. A virtual machine is ours
/// anyway. Without root nothing is done: the tests then say that they need it.
pub fn enter() -> Result<()> {
    if !case::is_root() || case::in_vm() {
        return Ok(());
    }
    sys::unshare(libc::CLONE_NEWNS | libc::CLONE_NEWNET).context("cannot make namespaces")?;
    sys::make_mounts_private().context("cannot keep mounts private")?;
    // The guard's and the tests' files of run time: the host keeps what it has there.
    sys::mount("tmpfs", Path::new("/run"), "tmpfs").context("cannot mount /run")?;
    loopback()
}

/// Brings up `lo` with all addresses that the tests use.
pub fn loopback() -> Result<()> {
    sys::net::loopback_up().context("cannot bring lo up")?;
    sys::net::add_loopback_address(SECOND_V6_LOOPBACK).context("cannot add an address to lo")
}
