//! One end-to-end test: its sentence, what it needs, what it does.

use libtest_mimic::{Completion, Failed, Trial};

/// How a test ended, if it did not fail.
pub enum Done {
    /// It held.
    Passed,
    /// This machine cannot show it; why.
    Skipped(String),
}

/// A test that is run by name from the list in `e2e/main.rs`.
pub fn case(name: &str, test: impl FnOnce() -> anyhow::Result<Done> + Send + 'static) -> Trial {
    Trial::ignorable_test(name, move || {
        if !is_root() {
            return Ok(Completion::ignored_with("needs root: run `cargo xtask test`"));
        }
        match test() {
            Ok(Done::Passed) => Ok(Completion::Completed),
            Ok(Done::Skipped(why)) => Ok(Completion::ignored_with(why)),
            Err(error) => Err(Failed::from(format!("{error:#}"))),
        }
    })
}

/// Whether this process may load programs and make cgroups.
pub fn is_root() -> bool {
    // SAFETY: geteuid takes nothing, touches no memory of ours and cannot fail.
    unsafe { libc::geteuid() == 0 }
}

/// Whether these tests run inside a virtual machine that they have to themselves.
pub fn in_vm() -> bool {
    std::env::var_os(crate::init::IN_VM).is_some()
}
