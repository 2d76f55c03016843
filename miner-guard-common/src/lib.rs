//! What the kernel side and the daemon say to each other, and the parsing of hostile bytes.
//!
//! - [`abi`]: every record and table layout, one file each. Both sides use these and no others.
//! - [`parse`]: network headers, names and first payloads, on the wire and in the kernel alike.
//! - [`table`]: the questions asked of a compiled policy. The same code answers in the kernel and on the host.
#![cfg_attr(not(test), no_std)]
#![deny(unsafe_code)]

pub mod abi;
pub mod parse;
pub mod table;
