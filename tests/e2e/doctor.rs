//! `doctor` proves enforcement on this very kernel, and says which hook it has not and why.

use std::{ffi::OsString, path::Path};

use anyhow::{Context as _, Result, ensure};
use libtest_mimic::Trial;
use miner_guard_tests::{
    case::{Done, in_vm, sharing},
    cgroup::Cgroup,
    guard::Post,
    scratch,
};
use serde_json::Value;

pub fn cases() -> Vec<Trial> {
    sharing(
        Visit::new,
        |_| Ok(()),
        &[
            ("the_doctor_proves_connect_and_exec_on_this_kernel", the_doctor_proves_both),
            ("the_doctor_says_whether_open_connections_can_be_ended", the_doctor_tells_of_open_connections),
            ("the_doctor_says_why_a_hook_is_not_there", the_doctor_says_why_a_hook_is_not_there),
            ("the_doctor_leaves_nothing_behind", the_doctor_leaves_nothing_behind),
        ],
    )
}

/// What the doctor said, and what there was before and after it came.
struct Visit {
    found: Value,
    cgroups: [Vec<OsString>; 2],
    pins: Vec<OsString>,
}

impl Visit {
    fn new() -> Result<Self> {
        let cgroup = Cgroup::new()?;
        let post = Post::at(&cgroup, "")?;
        let root = cgroup.path().parent().context("no parent")?;
        let before = names(root)?;
        let found = diagnosis(&post)?;
        let pins = post.path("bpf/miner-guard");
        let pins = if pins.exists() { names(&pins)? } else { Vec::new() };
        Ok(Self { found, cgroups: [before, names(root)?], pins })
    }
}

fn names(directory: &Path) -> Result<Vec<OsString>> {
    let mut names =
        std::fs::read_dir(directory)?.map(|entry| Ok(entry?.file_name())).collect::<Result<Vec<_>>>()?;
    // Another run of these tests makes and removes its own meanwhile.
    names.retain(|name: &OsString| name.to_str().is_none_or(|name| scratch::owner(name).is_none()));
    names.sort();
    Ok(names)
}

fn diagnosis(post: &Post) -> Result<Value> {
    let output = post.run(&["doctor", "-o", "json"])?;
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "doctor: {}\n{stdout}\n{stderr}", output.status);
    serde_json::from_str(&stdout).with_context(|| format!("not JSON: {stdout}"))
}

fn the_doctor_proves_both(visit: &mut Visit) -> Result<Done> {
    let found = &visit.found;
    for half in ["connect", "exec"] {
        ensure!(found[half]["proven"] == true, "{half}: {}", found[half]["how"]);
    }
    Ok(Done::Passed)
}

fn the_doctor_tells_of_open_connections(visit: &mut Visit) -> Result<Done> {
    let open = &visit.found["open"];
    let how = open["how"].as_str().unwrap_or_default();
    let wanted = if open["proven"] == true { "sock_diag" } else { "this kernel cannot" };
    ensure!(how.contains(wanted), "{open}");
    // What this machine lacks is its own affair; the virtual ones have the module.
    ensure!(open["proven"] == true || !in_vm(), "{open}");
    Ok(Done::Passed)
}

fn the_doctor_says_why_a_hook_is_not_there(visit: &mut Visit) -> Result<Done> {
    if !in_vm() {
        return Ok(Done::Skipped("whether this kernel has the bpf LSM is not known here".into()));
    }
    let found = &visit.found;
    let bpf_lsm = found["lsm"].as_str().is_some_and(|list| list.split(',').any(|name| name == "bpf"));
    let hooks = found["hooks"].as_array().context("no hooks")?;
    ensure!(!hooks.is_empty(), "no hooks");
    for hook in hooks {
        let (name, attached) = (hook["name"].as_str().unwrap_or_default(), hook["state"] == "attached");
        // Every other hook is there on each kernel of the matrix.
        let is_lsm = name.contains("lsm") || name.contains("bprm");
        ensure!(attached == (bpf_lsm || !is_lsm), "bpf LSM active: {bpf_lsm}, yet {hook}");
        ensure!(attached || hook["why"].as_str().is_some_and(|why| !why.is_empty()), "no reason: {hook}");
    }
    Ok(Done::Passed)
}

fn the_doctor_leaves_nothing_behind(visit: &mut Visit) -> Result<Done> {
    let [before, after] = &visit.cgroups;
    ensure!(before == after, "cgroups before {before:?}, after {after:?}");
    ensure!(visit.pins.is_empty(), "still pinned: {:?}", visit.pins);
    Ok(Done::Passed)
}
