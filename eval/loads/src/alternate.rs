//! `loads alternate NAME SECONDS CGROUP CGROUP`: the same work by turns in one cgroup and the other, a quarter of a second at
//! a time, so that what the one costs more than the other shows among all else that goes on.
//!
//! A line for each pair: nanoseconds in the first and in the second.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// Long enough for a sample, short enough that the machine is much the same in both.
const TURN: Duration = Duration::from_millis(250);

/// Does it; what is wrong with the arguments, or why it cannot move.
pub fn main(arguments: &[String]) -> Result<(), String> {
    let [name, seconds, first, second] = arguments else {
        return Err("alternate NAME SECONDS CGROUP CGROUP".into());
    };
    let mut unit = crate::honest::unit(name).ok_or_else(|| format!("{name} has no parts of equal length"))?;
    let seconds: f64 = seconds.parse().map_err(|_| format!("{seconds} is not a number"))?;
    let cgroups = [first, second].map(|c| PathBuf::from(c).join("cgroup.procs"));
    let units = {
        let (start, mut n) = (Instant::now(), 0_u32);
        while start.elapsed() < TURN {
            unit();
            n += 1;
        }
        n
    };
    let end = Instant::now() + Duration::from_secs_f64(seconds);
    let mut order = [0, 1];
    while Instant::now() < end {
        let mut took = [Duration::ZERO; 2];
        for turn in order {
            enter(&cgroups[turn])?;
            // The move itself is not counted, nor what it left in the caches.
            unit();
            let start = Instant::now();
            (0..units).for_each(|_| unit());
            took[turn] = start.elapsed();
        }
        println!("{} {}", took[0].as_nanos(), took[1].as_nanos());
        order.reverse();
    }
    Ok(())
}

fn enter(procs: &Path) -> Result<(), String> {
    fs::write(procs, std::process::id().to_string()).map_err(|e| format!("{}: {e}", procs.display()))
}
