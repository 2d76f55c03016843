//! `loads NAME --seconds N [--threads N] [--duty PER_CENT] [--fork SECONDS] [--processes N]`: keeps a processor busy.
//!
//! Proof-of-work loads hash made-up input with libraries and throw the result away: no pool, no job, no coin, no target that
//! a hash would have to meet. What ends in `-like` is written here after the shape of an algorithm for which there is no
//! library, to have its instructions and its memory accesses. Ordinary loads do what ordinary programs do.

mod alternate;
mod honest;
mod pow;
mod proof;
mod randomx;

use std::{
    process::{Command, ExitCode},
    time::{Duration, Instant},
};

/// Until when to work, and how much of the time.
#[derive(Clone, Copy)]
pub struct Until {
    end: Instant,
    duty: u32,
    since: Instant,
}

impl Until {
    /// Whether to go on. Rests where the load is throttled: in every 100 ms so many.
    pub fn more(&mut self) -> bool {
        if self.duty < 100 && self.since.elapsed() >= Duration::from_millis(u64::from(self.duty)) {
            std::thread::sleep(Duration::from_millis(u64::from(100 - self.duty)));
            self.since = Instant::now();
        }
        Instant::now() < self.end
    }
}

struct Options {
    seconds: f64,
    threads: usize,
    duty: u32,
    fork: f64,
    processes: usize,
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let Some(name) = arguments.next() else {
        for name in pow::NAMES.iter().chain(randomx::NAMES) {
            println!("pow {name}");
        }
        for name in honest::NAMES {
            println!("honest {name}");
        }
        return ExitCode::SUCCESS;
    };
    if name == "alternate" {
        return match alternate::main(&arguments.collect::<Vec<_>>()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(why) => usage(&why),
        };
    }
    let mut o = Options { seconds: 10.0, threads: 1, duty: 100, fork: 0.0, processes: 1 };
    while let (Some(key), Some(value)) = (arguments.next(), arguments.next()) {
        let number: f64 = match value.parse() {
            Ok(n) => n,
            Err(_) => return usage(&format!("{value} is not a number")),
        };
        match key.as_str() {
            "--seconds" => o.seconds = number,
            "--threads" => o.threads = number as usize,
            "--duty" => o.duty = number as u32,
            "--fork" => o.fork = number,
            "--processes" => o.processes = number as usize,
            _ => return usage(&format!("{key} is not known")),
        }
    }
    if o.fork > 0.0 || o.processes > 1 {
        return spread(&name, &o);
    }
    let work: Box<dyn Fn(Until) + Send + Sync> = match randomx::find(&name, o.seconds) {
        Some(found) => found,
        None => match pow::find(&name).or_else(|| honest::find(&name)) {
            Some(found) => Box::new(found),
            None => return usage(&format!("no load is called {name}")),
        },
    };
    if !randomx::NAMES.contains(&name.as_str()) {
        begins();
    }
    let now = Instant::now();
    let until = Until { end: now + Duration::from_secs_f64(o.seconds), duty: o.duty, since: now };
    std::thread::scope(|scope| {
        for _ in 0..o.threads {
            scope.spawn(|| work(until));
        }
    });
    ExitCode::SUCCESS
}

/// Says so at the first moment of the work itself, not of its preparation.
pub fn begins() {
    static BEGUN: std::sync::Once = std::sync::Once::new();
    BEGUN.call_once(|| println!("begins"));
}

fn usage(why: &str) -> ExitCode {
    eprintln!("{why}; without arguments this lists the loads");
    ExitCode::FAILURE
}

/// The same load by several processes, or by one after another, each for a moment.
fn spread(name: &str, o: &Options) -> ExitCode {
    let end = Instant::now() + Duration::from_secs_f64(o.seconds);
    while Instant::now() < end {
        let seconds = if o.fork > 0.0 { o.fork } else { o.seconds };
        let children: Vec<_> = (0..o.processes)
            .filter_map(|_| {
                Command::new("/proc/self/exe")
                    .args([name, "--seconds", &seconds.to_string(), "--duty", &o.duty.to_string()])
                    .spawn()
                    .ok()
            })
            .collect();
        for mut child in children {
            let _ = child.wait();
        }
    }
    ExitCode::SUCCESS
}
