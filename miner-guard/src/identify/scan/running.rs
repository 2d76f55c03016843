//! Every program that runs, once, through `/proc/PID/exe`: that link leads to the file itself, also when its name is
//! gone or it never had one.

use super::{Found, Job, Skipped};
use crate::identify::Skip;
use std::{
    collections::BTreeMap,
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

/// Processes that run the same program and are listed; a bound, not a limit that matters.
const PIDS: usize = 64;

/// Gives each distinct program to `each`, with the processes that run it.
pub fn programs(each: &mut dyn FnMut(Found)) {
    let mut programs: BTreeMap<(u64, u64), Job> = BTreeMap::new();
    let entries = match fs::read_dir("/proc") {
        Ok(entries) => entries,
        Err(e) => return each(skipped("/proc".into(), e)),
    };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    for pid in pids {
        let open = Path::new("/proc").join(pid.to_string()).join("exe");
        match fs::metadata(&open) {
            Ok(meta) => {
                let job = programs.entry((meta.dev(), meta.ino())).or_insert_with(|| Job {
                    path: fs::read_link(&open).unwrap_or_else(|_| open.clone()),
                    open,
                    pids: Vec::new(),
                });
                if job.pids.len() < PIDS {
                    job.pids.push(pid);
                }
            }
            // A kernel thread has no program; a process may have ended meanwhile.
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => each(skipped(open, e)),
        }
    }
    programs.into_values().for_each(|job| each(Found::File(job)));
}

fn skipped(path: PathBuf, error: io::Error) -> Found {
    Found::Skipped(Skipped { path, reason: Skip::Unreadable(error).to_string() })
}
