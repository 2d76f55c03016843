//! Where events go.
//!
//! | file | |
//! |---|---|
//! | `stream` | stdout, or anything that takes bytes; knows when its reader has gone |
//! | `json` | an event as one line of JSON that no terminal obeys |
//! | `text` | an event as one line that a person reads, and the escaping that all of the CLI uses |

pub mod json;
pub mod stream;
pub mod text;

#[cfg(test)]
mod docs_tests;
