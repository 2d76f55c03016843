//! One end-to-end test: its sentence, what it needs, what it does.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Result, anyhow};
use libtest_mimic::{Completion, Failed, Trial};

/// How a test ended, if it did not fail.
pub enum Done {
    /// It held.
    Passed,
    /// This machine cannot show it; why.
    Skipped(String),
}

/// A test that is run by name from the list in `e2e/main.rs`.
pub fn case(name: &str, test: impl FnOnce() -> Result<Done> + Send + 'static) -> Trial {
    let sentence = name.to_owned();
    Trial::ignorable_test(name, move || {
        if !is_root() {
            return Ok(Completion::ignored_with("needs root: run `cargo xtask test`"));
        }
        let start = Instant::now();
        let done = test();
        TIMES.lock().unwrap_or_else(PoisonError::into_inner).push((start.elapsed(), sentence));
        match done {
            Ok(Done::Passed) => Ok(Completion::Completed),
            Ok(Done::Skipped(why)) => Ok(Completion::ignored_with(why)),
            Err(error) => Err(Failed::from(format!("{error:#}"))),
        }
    })
}

/// A test of several that share what takes long to make: a guard.
pub type Shared<S> = (&'static str, fn(&mut S) -> Result<Done>);

/// Tests that share one site. The first that is run makes it, and the last that is run ends it; if it cannot be made,
/// each says so. One that fails leaves it to the next as it is.
pub fn sharing<S: Send + 'static>(
    make: fn() -> Result<S>,
    end: fn(S) -> Result<()>,
    tests: &[Shared<S>],
) -> Vec<Trial> {
    let shared: Arc<Mutex<Option<Result<S, String>>>> = Arc::default();
    tests
        .iter()
        .map(|(sentence, test)| {
            let (shared, test) = (Arc::clone(&shared), *test);
            case(sentence, move || {
                let mut slot = shared.lock().unwrap_or_else(PoisonError::into_inner);
                let site = slot.get_or_insert_with(|| make().map_err(|error| format!("{error:#}")));
                let done = site.as_mut().map_err(|error| anyhow!("{error}")).and_then(test);
                // Those that are left out by a filter have let go of it already.
                if Arc::strong_count(&shared) == 1
                    && let Some(Ok(site)) = slot.take()
                {
                    let ended = end(site);
                    return done.and_then(|done| ended.map(|()| done));
                }
                done
            })
        })
        .collect()
}

/// How long each test took. Tests that share a guard: the first pays for it.
static TIMES: Mutex<Vec<(Duration, String)>> = Mutex::new(Vec::new());

/// Says which tests took a second and more, the longest first, and what all took.
pub fn tell_times() {
    let mut times = std::mem::take(&mut *TIMES.lock().unwrap_or_else(PoisonError::into_inner));
    times.sort();
    for (time, sentence) in times.iter().rev().take_while(|(time, _)| time.as_secs() > 0) {
        println!("{:7.1} s  {sentence}", time.as_secs_f64());
    }
    let all: Duration = times.iter().map(|(time, _)| *time).sum();
    println!("{:7.1} s  all {} tests", all.as_secs_f64(), times.len());
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
