//! The control API: HTTP over a unix socket that root alone may use.
//!
//! [`control`] is the contract: what the daemon's loop is asked, and what it answers. The [`server`] turns requests
//! into [`control::Command`]s and knows nothing of the daemon; the [`client`] is what the commands use.
//!
//! | path | |
//! |---|---|
//! | `GET /v1/status` | [`control::Status`] |
//! | `GET`, `PUT /v1/mode` | [`control::ModeReply`]; `{"mode": "enforce"}` is sent |
//! | `GET /v1/policy` | [`control::PolicyList`] |
//! | `GET /v1/policy/diff` | [`control::Changes`]: what a reload would change |
//! | `POST /v1/policy/reload` | [`control::ReloadReply`] |
//! | `GET /v1/feeds` | [`control::FeedList`] |
//! | `POST /v1/feeds/update` | [`control::FeedUpdate`]; [`control::FeedUpdateRequest`] is sent |
//! | `GET /v1/explain?thing=…` | [`control::Explanation`] |
//! | `POST /v1/isolate`, `POST /v1/release` | [`control::Isolation`]; `{"target": "/x.slice"}` is sent |
//! | `GET /v1/cases`, `GET /v1/case?id=…` | [`control::CaseList`], [`control::CaseView`] |
//! | `GET /v1/events` | live events without end, a JSON object a line; `?format=text` for people |
//! | `GET /metrics` | the figures of the status, for Prometheus |
//!
//! Whatever fails is answered with [`control::Failure`].

pub mod client;
pub mod control;
pub mod http;
pub mod hub;
mod metrics;
mod names;
#[cfg(test)]
pub(crate) mod samples;
pub mod server;
pub mod socket;
