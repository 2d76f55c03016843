//! Record → event: decode, and tell.
//!
//! | stage | in → out |
//! |---|---|
//! | [`decode`] | bytes of the ring buffer → [`decode::Record`], every byte checked |
//! | [`model`] | record + process + rule → [`model::Event`], which the sinks write |

pub mod clock;
pub mod decode;
pub mod model;
pub mod rules;
#[cfg(test)]
pub(crate) mod samples;
