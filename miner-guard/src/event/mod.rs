//! Record → event: decode, aggregate, enrich.
//!
//! | stage | in → out |
//! |---|---|
//! | [`decode`] | bytes of the ring buffer → [`decode::Record`], every byte checked |
//! | [`aggregate`] | records → those worth telling, with the number of their equals |
//! | [`enrich`] | what `/proc` and the user database know of the process |
//! | [`case`] | evidence of a process group → what it is taken for |
//! | [`model`] | record + process + rule → [`model::Event`], which the sinks write |
//!
//! Enrichment reads files and may ask a directory server for a user's name: it belongs on a thread of its
//! own, behind the aggregation, never on the one that empties the ring buffer.

pub mod aggregate;
pub mod case;
pub mod clock;
pub mod decode;
pub mod enrich;
pub mod model;
pub mod rules;
#[cfg(test)]
pub(crate) mod samples;
