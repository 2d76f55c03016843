//! The ring buffer, as bytes.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use aya::maps::{MapData, RingBuf};

use super::{KernelError, pins::Instance, tables};

/// The reader of the records.
pub struct Ring(RingBuf<MapData>);

impl Ring {
    /// Opens the ring of an instance.
    pub fn open(instance: &Instance) -> Result<Self, KernelError> {
        tables::open(instance, "RING", aya::maps::Map::RingBuf).map(Self)
    }

    /// Opens the ring of what name servers answer.
    pub fn answers(instance: &Instance) -> Result<Self, KernelError> {
        tables::open(instance, "ANSWERS", aya::maps::Map::RingBuf).map(Self)
    }

    /// The next record, if one is there. Its bytes stay in the ring until it is dropped.
    #[expect(clippy::should_implement_trait, reason = "each record borrows the ring")]
    pub fn next(&mut self) -> Option<aya::maps::ring_buf::RingBufItem<'_>> {
        self.0.next()
    }
}

impl AsRawFd for Ring {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

impl AsFd for Ring {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the ring owns its descriptor, and the borrow ends before it.
        unsafe { BorrowedFd::borrow_raw(self.0.as_raw_fd()) }
    }
}
