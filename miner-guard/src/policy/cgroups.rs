//! Which cgroups an `[[allow]]` means, on the running system. They come and go: ask again when one was made.

use super::resolved::{TaskAllow, TaskKind};
use std::{
    fs,
    os::unix::{ffi::OsStrExt as _, fs::MetadataExt as _},
    path::Path,
};

/// Directories that are looked at: more than any sound system has, so that a hostile one cannot hold the daemon.
const MOST: usize = 200_000;

/// The v2 ids (inodes) of exempt cgroups below `root`, each with its rule. What cannot be read is not exempt.
pub fn find(root: &Path, tasks: &[TaskAllow]) -> Vec<(u64, u32)> {
    let tasks: Vec<&TaskAllow> = tasks.iter().filter(|t| t.kind != TaskKind::JobAccount).collect();
    let mut found = Vec::new();
    if tasks.is_empty() {
        return found;
    }
    let mut left = vec![root.to_owned()];
    let mut seen = 0;
    while let Some(dir) = left.pop() {
        for entry in fs::read_dir(&dir).into_iter().flatten().flatten() {
            if seen >= MOST || !entry.file_type().is_ok_and(|t| t.is_dir()) {
                continue;
            }
            seen += 1;
            let path = entry.path();
            let matching = tasks.iter().filter(|t| matches(t, root, &path));
            if let Some(id) = entry.metadata().ok().map(|m| m.ino()) {
                found.extend(matching.map(|t| (id, t.rule)));
            }
            left.push(path);
        }
    }
    found.sort_unstable();
    found
}

fn matches(task: &TaskAllow, root: &Path, path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().as_bytes();
    let value = task.value.as_bytes();
    match task.kind {
        TaskKind::Cgroup => {
            path.strip_prefix(root).is_ok_and(|p| p == Path::new(task.value.trim_matches('/')))
        }
        TaskKind::Unit => {
            name == value || (!task.value.contains('.') && name.strip_suffix(b".service") == Some(value))
        }
        TaskKind::Container => {
            // docker-<id>.scope, cri-containerd-<id>.scope, libpod-<id>.scope, or the bare id.
            let id = name.strip_suffix(b".scope").unwrap_or(name);
            let id = id.rsplit(|b| *b == b'-').next().unwrap_or_default();
            id.len() == 64
                && id.iter().all(u8::is_ascii_hexdigit)
                && id.starts_with(&value.to_ascii_lowercase())
        }
        TaskKind::JobAccount => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cgroups_units_and_containers_are_found_and_look_alikes_are_not() {
        let root = std::env::temp_dir().join(format!("miner-guard-cgroups-{}", std::process::id()));
        let id = "0123456789abcdef".repeat(4);
        for dir in [
            "a/b",
            "x/b",
            "system.slice/monerod.service",
            &format!("system.slice/docker-{id}.scope"),
            "0123456789ab",
        ] {
            fs::create_dir_all(root.join(dir)).unwrap();
        }
        let allow = |kind, value: &str, rule| TaskAllow { kind, value: value.to_owned(), rule };
        let tasks = [
            allow(TaskKind::Cgroup, "/a/b", 1),
            allow(TaskKind::Unit, "monerod", 2),
            allow(TaskKind::Container, "0123456789AB", 3),
            allow(TaskKind::JobAccount, "a", 4),
        ];
        let found = find(&root, &tasks);
        let ino = |dir: &str| fs::metadata(root.join(dir)).unwrap().ino();
        let mut want = vec![
            (ino("a/b"), 1),
            (ino("system.slice/monerod.service"), 2),
            (ino(&format!("system.slice/docker-{id}.scope")), 3),
        ];
        want.sort_unstable();
        fs::remove_dir_all(&root).unwrap();
        assert_eq!(found, want);
    }
}
