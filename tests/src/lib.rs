//! What the end-to-end tests stand on.
//!
//! | module | gives |
//! |---|---|
//! | [`case`] | one test: a sentence, and what it does |
//! | [`sandbox`] | namespaces around all tests |
//! | [`init`] | the same tests as /init of a virtual machine |
//! | [`cgroup`] | scratch cgroups: the only place where enforcement reaches |
//! | [`guard`] | the guard as an operator starts it |
//! | [`dialogue`] | ordinary conversations on loopback |
//! | [`https`] | a publisher of feeds on loopback |
//! | [`program`] | a harmless program that a test makes up and starts in every way |
//! | [`listener`] | a peer on loopback that accepts and closes |
//! | [`malformed`] | packets that no honest program sends, and what became of them |
//! | [`coverage`] | what each route came to, for docs/coverage.md |
//! | [`route`] | every way of a program to reach an address, each in a process of its own |
//! | [`busy`] | processes that keep a processor busy, with a miner's signature or without |
//! | [`work`] | connecting over and over, or by a chosen name, in a process of its own |
//! | [`sys`] | the system calls that std does not have: most of the unsafe code is there |

pub mod busy;
pub mod case;
pub mod cgroup;
pub mod coverage;
pub mod dialogue;
pub mod guard;
pub mod https;
pub mod init;
pub mod listener;
pub mod malformed;
pub mod options;
pub mod program;
pub mod questions;
pub mod route;
pub mod sandbox;
pub mod scratch;
pub mod sys;
pub mod work;

/// How long anything that must happen may take: a slow virtual machine on a busy host, and not a moment to sleep for.
pub const PATIENCE: std::time::Duration = std::time::Duration::from_secs(180);
