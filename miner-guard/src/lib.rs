//! miner-guard: denies connections to mining pools and stops miners, in the kernel.
//!
//! Data goes one way: hook (kernel) → record → [`event`] (decode, enrich) → sinks.
//! Nothing calls back upstream except through one door: [`policy`] compiling new tables.
//!
//! | room | what happens there |
//! |---|---|
//! | [`cli`] | one file per subcommand |
//! | [`api`] | the control socket: contract, server, client |
//! | `kernel` | preflight, BTF, load, attach, tables, ring: the only user of aya |
//! | `policy` | as written → resolved → compiled |
//! | `identify` | is this file a miner: each identifier yields evidence |
//! | `event` | decode → enrich → aggregate |
//! | `processor` | what a thread takes of one |
//! | `regular` | opening a file that may be none |
//! | `replay` | captures and event files against the policy |
//! | `respond` | kill |
//! | `sinks` | stdout as text or JSON |

pub mod api;
pub mod cli;
pub mod daemon;
pub mod event;
pub mod identify;
pub mod kernel;
pub mod policy;
mod processor;
mod regular;
pub mod replay;
pub mod respond;
pub mod sinks;
