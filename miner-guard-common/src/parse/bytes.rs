//! Bytes that are read in place, wherever they are: a slice on the host, a packet in the kernel.

/// Something of which a few bytes at an offset can be had.
pub trait Bytes {
    /// The `N` bytes at `at`; `None` if they are not all there.
    fn array<const N: usize>(&self, at: usize) -> Option<[u8; N]>;
}

impl Bytes for [u8] {
    #[inline(always)]
    fn array<const N: usize>(&self, at: usize) -> Option<[u8; N]> {
        self.get(at..at.checked_add(N)?)?.try_into().ok()
    }
}
