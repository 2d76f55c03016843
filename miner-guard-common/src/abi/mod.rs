//! Layouts that cross the border between kernel and daemon.
//!
//! Host byte order, unless a field says otherwise. Every layout has explicit padding, so that no
//! uninitialised kernel byte can leave the kernel. The padding is a number, never an array: the compiler clears an
//! odd array by calling `memset`, which the verifier refuses.

pub mod answer;
pub mod connect;
pub mod exec;
pub mod file;
pub mod learned;
pub mod offsets;
pub mod packet;
pub mod policy;
pub mod record;
pub mod runtime;
pub mod socket;
pub mod verdict;

/// Version of everything in this module. It names the pin directory (`…/v4/`): a daemon never
/// touches pins of another version.
pub const ABI: u32 = 4;
