//! Who brings a miner back, in words: its unit, its line in a crontab, its parent.

use crate::event::{
    case::{Place, Task},
    decode::split_args,
    enrich::{ancestry::stat_of, exe, proc_root::ProcRoot, redact},
    model::lossy,
};
use std::{fs, path::Path};

/// Bytes of a crontab, and crontabs, that are read.
const CRONTAB: u64 = 256 << 10;
const CRONTABS: usize = 1000;

/// Sentences about who brings it back. `programs`: the files of the miner. Never empty.
#[must_use]
pub fn describe(
    supervisor: Option<Task>,
    place: &Place,
    programs: &[String],
    proc: &ProcRoot,
    etc: &Path,
    spool: &Path,
) -> Vec<String> {
    let mut out = Vec::new();
    if let Some(unit) = place.unit.as_ref().filter(|u| u.ends_with(".service")) {
        out.push(format!(
            "systemd unit {unit}: `systemctl stop {unit}` ends it, `systemctl cat {unit}` shows it"
        ));
    }
    if let Some(container) = &place.container {
        out.push(format!("container {container}"));
    }
    if let Some(task) = supervisor {
        out.push(parent(task, proc));
    }
    out.extend(cron(programs, etc, spool));
    if out.is_empty() {
        out.push("no parent is left but init, and no unit or crontab names it".to_owned());
    }
    out
}

fn parent(task: Task, proc: &ProcRoot) -> String {
    let Some(stat) = stat_of(proc, task.pid).filter(|s| s.start_ticks == task.start) else {
        return format!("process {}, which has ended", task.pid);
    };
    let exe = proc.link(task.pid, "exe").map(|(target, unlinked)| exe::parse(&target, unlinked).path);
    let args = redact::redact(&split_args(&proc.read(task.pid, "cmdline", 4096).unwrap_or_default()));
    let mut out = format!("process {} ({})", task.pid, lossy(&stat.comm));
    if let Some(exe) = exe {
        out.push_str(&format!(" {exe}"));
    }
    if !args.is_empty() {
        out.push_str(&format!(": {}", args.join(" ")));
    }
    out
}

/// Lines of crontabs that name one of the programs.
fn cron(programs: &[String], etc: &Path, spool: &Path) -> Vec<String> {
    let mut files = vec![etc.join("crontab")];
    for dir in [etc.join("cron.d"), spool.join("cron/crontabs"), spool.join("cron")] {
        let entries = fs::read_dir(dir).into_iter().flatten().flatten();
        files.extend(entries.filter(|e| e.file_type().is_ok_and(|t| t.is_file())).map(|e| e.path()));
    }
    // A memfd or a file in nobody's directory has no path that a line could name.
    let programs: Vec<&String> = programs.iter().filter(|p| p.starts_with('/')).collect();
    let mut out = Vec::new();
    for file in files.iter().take(CRONTABS) {
        out.extend(lines(file, &programs));
    }
    out
}

fn lines(file: &Path, programs: &[&String]) -> Vec<String> {
    let text = crate::event::enrich::proc_root::read(file, CRONTAB).unwrap_or_default();
    let text = String::from_utf8_lossy(&text).into_owned();
    let named = |line: &str| {
        let line = line.trim_start();
        !line.starts_with('#') && programs.iter().any(|p| line.contains(p.as_str()))
    };
    let hits = text.lines().zip(1..).filter(|(line, _)| named(line));
    hits.map(|(_, n)| format!("crontab {}:{n}", file.display())).take(4).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unit_crontab_and_parent_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let (etc, spool) = (dir.path().join("etc"), dir.path().join("spool"));
        fs::create_dir_all(etc.join("cron.d")).unwrap();
        fs::create_dir_all(spool.join("cron/crontabs")).unwrap();
        fs::write(etc.join("cron.d/x"), "# /tmp/.x/m\n\n* * * * * root /tmp/.x/m --quiet\n").unwrap();
        fs::write(spool.join("cron/crontabs/alice"), "@reboot /tmp/.x/m\n").unwrap();
        let place = Place { unit: Some("x.service".into()), ..Place::default() };
        let own = std::process::id();
        let proc = ProcRoot::default();
        let own = Task { pid: own, start: stat_of(&proc, own).unwrap().start_ticks };
        let programs = ["/tmp/.x/m".to_owned(), "memfd:x".to_owned()];
        let said = describe(Some(own), &place, &programs, &proc, &etc, &spool);
        assert!(said[0].starts_with("systemd unit x.service"), "{said:?}");
        assert!(said[1].starts_with(&format!("process {} (", own.pid)), "{said:?}");
        assert!(said[2].ends_with("etc/cron.d/x:3") && said[3].ends_with("crontabs/alice:1"), "{said:?}");
        let gone = Task { start: 1, ..own };
        assert!(describe(Some(gone), &Place::default(), &[], &proc, &etc, &spool)[0].contains("has ended"));
        assert!(describe(None, &Place::default(), &[], &proc, &etc, &spool)[0].contains("init"));
    }
}
