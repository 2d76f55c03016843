//! Ends a process, and where it is wanted all that it started.

use super::kill::{NotKilled, kill};
use crate::event::{
    case::Task,
    enrich::{ancestry::stat_of, proc_root::ProcRoot},
};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::collections::{HashMap, HashSet};

/// Looks at the tree before it is given up that it has been seen whole: each one sees a generation more.
const LOOKS: usize = 8;
/// Processes that one kill ends at most.
const MOST: usize = 4096;

/// What came of it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Killed {
    /// Processes that were killed, the miner first.
    pub killed: Vec<u32>,
    /// Those that were not, and why.
    pub not: Vec<(u32, String)>,
}

/// Kills the thread group of `task`; with `below` also every process that descends from it.
///
/// `spare` says why a process must not be killed. The tree is held still before it is killed, so that nobody in it
/// starts another meanwhile; what is spared is let go on.
pub fn kill_tree(task: Task, below: bool, proc: &ProcRoot, spare: &dyn Fn(u32) -> Option<String>) -> Killed {
    let mut out = Killed::default();
    let mut tree = vec![task];
    if let Some(why) = spare(task.pid) {
        out.not.push((task.pid, why));
        return out;
    }
    if below {
        hold(task, proc);
        for _ in 0..LOOKS {
            let more = children(&tree, proc);
            if more.is_empty() || tree.len() >= MOST {
                break;
            }
            for child in more {
                match spare(child.pid) {
                    Some(why) => out.not.push((child.pid, why)),
                    None => hold(child, proc),
                }
                tree.push(child);
            }
        }
    }
    for task in tree {
        if out.not.iter().any(|(pid, _)| *pid == task.pid) {
            continue;
        }
        match kill(task.pid, || is(task, proc)) {
            Ok(()) => out.killed.push(task.pid),
            Err(NotKilled::Gone) => {}
            Err(e) => out.not.push((task.pid, e.to_string())),
        }
    }
    out
}

/// Whether this is still that process. One that had gone before it was looked at is never taken for another.
fn is(task: Task, proc: &ProcRoot) -> bool {
    task.start != 0 && stat_of(proc, task.pid).is_some_and(|s| s.start_ticks == task.start)
}

fn hold(task: Task, proc: &ProcRoot) {
    let raw = i32::try_from(task.pid).ok().and_then(Pid::from_raw);
    // One that has gone needs no holding.
    if let Some(fd) = raw.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok())
        && is(task, proc)
    {
        let _ = pidfd_send_signal(&fd, Signal::STOP);
    }
}

/// Children of these that are not among them yet.
fn children(of: &[Task], proc: &ProcRoot) -> Vec<Task> {
    let parents: HashMap<u32, u64> = of.iter().map(|t| (t.pid, t.start)).collect();
    let known: HashSet<u32> = of.iter().map(|t| t.pid).collect();
    let Ok(dir) = std::fs::read_dir(&proc.0) else { return Vec::new() };
    let pids = dir.flatten().filter_map(|e| e.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| !known.contains(pid))
        .filter_map(|pid| Some((pid, stat_of(proc, pid)?)))
        // A child is not older than its parent: a number that was used again is no parent.
        .filter(|(_, s)| parents.get(&s.ppid).is_some_and(|start| s.start_ticks >= *start))
        .map(|(pid, s)| Task { pid, start: s.start_ticks })
        .take(MOST)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        io::{BufRead as _, BufReader},
        os::unix::process::ExitStatusExt as _,
        process::{Child, Command, Stdio},
    };

    fn task(pid: u32) -> Task {
        let start = stat_of(&ProcRoot::default(), pid).unwrap().start_ticks;
        Task { pid, start }
    }

    /// A shell with a child of its own, whose number it tells.
    fn family() -> (Child, u32) {
        let mut shell = Command::new("sh")
            .args(["-c", "sleep 60 & echo $!; wait"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(shell.stdout.take().unwrap()).read_line(&mut line).unwrap();
        (shell, line.trim().parse().unwrap())
    }

    /// Dead, or waiting to be asked how it ended.
    fn ended(pid: u32) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.is_empty() || stat.contains(") Z")
    }

    #[test]
    fn a_tree_is_killed_whole() {
        let (mut shell, child) = family();
        let done = kill_tree(task(shell.id()), true, &ProcRoot::default(), &|_| None);
        assert_eq!(done, Killed { killed: vec![shell.id(), child], not: Vec::new() });
        assert_eq!(shell.wait().unwrap().signal(), Some(9));
        while !ended(child) {
            std::thread::yield_now();
        }
    }

    #[test]
    fn who_is_spared_lives_on_and_another_with_the_number_is_not_touched() {
        let (mut shell, child) = family();
        let proc = ProcRoot::default();
        let spare = |pid| (pid == child).then(|| "exempt".to_owned());
        let done = kill_tree(task(shell.id()), true, &proc, &spare);
        assert_eq!(done, Killed { killed: vec![shell.id()], not: vec![(child, "exempt".into())] });
        shell.wait().unwrap();
        assert!(!ended(child));
        let other = Task { start: 1, ..task(child) };
        assert!(matches!(kill_tree(other, false, &proc, &|_| None).not.as_slice(), [(_, _)]));
        assert!(!ended(child));
        assert_eq!(kill_tree(task(child), false, &proc, &|_| None).killed, [child]);
    }
}
