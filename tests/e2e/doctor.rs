//! `doctor` proves enforcement on this very kernel, and says which hook it has not and why.

use anyhow::{Context as _, Result, ensure};
use libtest_mimic::Trial;
use miner_guard_tests::{
    case::{Done, case, in_vm},
    cgroup::Cgroup,
    guard::Post,
};
use serde_json::Value;

pub fn cases() -> Vec<Trial> {
    vec![
        case("the_doctor_proves_connect_and_exec_on_this_kernel", the_doctor_proves_both),
        case("the_doctor_says_why_a_hook_is_not_there", the_doctor_says_why_a_hook_is_not_there),
        case("the_doctor_leaves_nothing_behind", the_doctor_leaves_nothing_behind),
    ]
}

fn diagnosis(post: &Post) -> Result<Value> {
    let output = post.run(&["doctor", "-o", "json"])?;
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "doctor: {}\n{stdout}\n{stderr}", output.status);
    serde_json::from_str(&stdout).with_context(|| format!("not JSON: {stdout}"))
}

fn the_doctor_proves_both() -> Result<Done> {
    let found = diagnosis(&Post::at(&Cgroup::new()?, "")?)?;
    for half in ["connect", "exec"] {
        ensure!(found[half]["proven"] == true, "{half}: {}", found[half]["how"]);
    }
    Ok(Done::Passed)
}

fn the_doctor_says_why_a_hook_is_not_there() -> Result<Done> {
    if !in_vm() {
        return Ok(Done::Skipped("whether this kernel has the bpf LSM is not known here".into()));
    }
    let found = diagnosis(&Post::at(&Cgroup::new()?, "")?)?;
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

fn the_doctor_leaves_nothing_behind() -> Result<Done> {
    let cgroup = Cgroup::new()?;
    let post = Post::at(&cgroup, "")?;
    let names = || -> Result<Vec<_>> {
        let root = cgroup.path().parent().context("no parent")?;
        let mut names =
            std::fs::read_dir(root)?.map(|entry| Ok(entry?.file_name())).collect::<Result<Vec<_>>>()?;
        names.sort();
        Ok(names)
    };
    let before = names()?;
    diagnosis(&post)?;
    ensure!(names()? == before, "cgroups before {before:?}, after {:?}", names()?);
    let pins = post.path("bpf/miner-guard");
    ensure!(!pins.exists() || std::fs::read_dir(&pins)?.next().is_none(), "still pinned: {}", pins.display());
    Ok(Done::Passed)
}
