//! Is it mining? Evidence is joined, and a class drawn from it, with reasons that a person can check.
//!
//! | file | |
//! |---|---|
//! | [`class`] | evidence with its times → class and confidence: pure |
//! | [`subject`] | which processes belong together |
//! | [`book`] | the cases: bounded, the oldest out, counted |
//! | [`witness`] | what an event says as evidence |
//! | [`view`] | a case as commands show it |
//! | [`store`] | cases kept over a restart of the daemon |
//!
//! Time is given by the caller, milliseconds since 1970. What is done about a case is decided elsewhere (`respond`).

pub mod book;
pub mod class;
pub mod store;
pub mod subject;
pub mod view;
pub mod witness;

pub use book::{Book, Case, Seen};
pub use class::Class;
pub use subject::{Place, Subject, Task};
