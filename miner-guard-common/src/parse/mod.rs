//! Parsing of hostile bytes: pure functions and automata that run in the kernel and on the host alike.
//!
//! Nothing here can panic, allocate or loop without a constant bound. An automaton takes one byte at a
//! time and keeps its whole state in a plain record, so that it may rest in socket storage between two
//! segments: where a stream is cut can never change what is found in it.
//!
//! - [`link`], [`ip`], [`tcp`]: where a packet lies in a frame, where it goes, where its payload starts, and what of it is new
//! - [`dns`]: names that are asked for; on the host also what the answers say
//! - [`tls`]: the server name of a ClientHello
//! - [`stratum`]: is a pool spoken to, or does this process speak as one?
//! - [`bytes`], [`cursor`], [`name`]: what these share

pub mod bytes;
pub mod cursor;
pub mod dns;
pub mod ip;
pub mod link;
pub mod name;
pub mod stratum;
pub mod tcp;
pub mod tls;
