//! DNS: the names that are asked for, in the kernel; answers, on the host.

pub mod answer;
pub mod plain;
pub mod question;
pub mod refuse;

pub use question::{Event, Questions};

/// Record types.
pub mod kind {
    /// An IPv4 address
    pub const A: u16 = 1;
    /// Another name
    pub const CNAME: u16 = 5;
    /// An IPv6 address
    pub const AAAA: u16 = 28;
    /// A service binding
    pub const SVCB: u16 = 64;
    /// A service binding for HTTPS
    pub const HTTPS: u16 = 65;
}
