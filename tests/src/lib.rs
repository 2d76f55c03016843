//! What the end-to-end tests stand on.
//!
//! | module | gives |
//! |---|---|
//! | [`case`] | one test: a sentence, what it needs, what it does |
//! | [`init`] | the same tests as /init of a virtual machine |

pub mod case;
pub mod init;
