//! What is done about a finding or a case, beyond what the kernel programs do by themselves.
//!
//! | file | |
//! |---|---|
//! | [`kill`] | ends one process, and surely that one |
//! | [`tree`] | ends a process and all below it |
//! | [`respawn`] | a miner that comes back: how often, and who brings it |
//! | [`root`] | what is known of who brings it: unit, cron entry, parent |
//! | [`sockets`] | Internet sockets of a process |
//! | [`bundle`] | keeps what is needed to trace how it came in |

pub mod bundle;
pub mod kill;
pub mod respawn;
pub mod root;
pub mod sockets;
pub mod tree;
