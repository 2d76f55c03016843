use super::*;
use crate::identify::tests::{CLIENT, directory, elf, randomx};
use std::{
    fs,
    os::unix::{ffi::OsStrExt as _, fs::symlink},
    path::Path,
    process::{Command, Stdio},
};

fn miner() -> Vec<u8> {
    elf(&[&[&randomx()[..]], CLIENT].concat())
}

fn run(options: &Options) -> Report {
    scan(&Identifier::new(), options, &Progress::default())
}

fn paths(paths: &[&Path]) -> Options {
    Options { paths: paths.iter().map(|&path| path.to_owned()).collect(), ..Options::default() }
}

#[test]
fn a_miner_deep_in_a_directory_is_found_and_nothing_else() {
    let top = directory("deep");
    let deep = top.join("a/b/c");
    fs::create_dir_all(&deep).unwrap();
    fs::write(deep.join("x"), miner()).unwrap();
    fs::write(deep.join("y"), elf(&[b"hello"])).unwrap();
    fs::write(deep.join("z"), b"text").unwrap();
    let report = run(&paths(&[&top]));
    assert_eq!(report.found.iter().map(|item| item.path.clone()).collect::<Vec<_>>(), [deep.join("x")]);
    assert_eq!((report.files, report.programs, report.skipped_total, report.is_clean()), (3, 2, 0, false));
    fs::remove_dir_all(top).unwrap();
}

#[test]
fn a_loop_of_links_ends() {
    let top = directory("loop");
    symlink(&top, top.join("self")).unwrap();
    symlink("/", top.join("root")).unwrap();
    fs::write(top.join("x"), miner()).unwrap();
    let report = run(&paths(&[&top, &top, &top.join("self")]));
    assert_eq!((report.files, report.found.len()), (1, 1));
    fs::remove_dir_all(top).unwrap();
}

#[test]
fn links_do_not_lead_out_of_a_root() {
    let top = directory("root");
    fs::create_dir_all(top.join("layer/bin")).unwrap();
    fs::write(top.join("layer/bin/x"), miner()).unwrap();
    fs::write(top.join("outside"), miner()).unwrap();
    symlink("/bin", top.join("layer/usr")).unwrap();
    symlink(&top, top.join("layer/out")).unwrap();
    let within = |path: &str| {
        let report = run(&Options { root: Some(top.join("layer")), ..paths(&[Path::new(path)]) });
        let found: Vec<_> = report.found.into_iter().map(|item| item.path).collect();
        (found, report.skipped_total)
    };
    assert_eq!(within("/"), (vec!["/bin/x".into()], 0));
    assert_eq!(within("usr"), (vec!["/usr/x".into()], 0));
    assert_eq!(within("../../bin"), (vec!["/../../bin/x".into()], 0));
    assert_eq!(within("out"), (vec![], 1));
    fs::remove_dir_all(top).unwrap();
}

#[test]
fn what_cannot_be_read_is_told_and_the_rest_goes_on() {
    let top = directory("unread");
    fs::write(top.join("x"), miner()).unwrap();
    let report = run(&paths(&[&top.join("none"), Path::new("/dev/zero"), Path::new("/proc"), &top]));
    assert_eq!(report.found.len(), 1);
    let reasons: Vec<_> = report.skipped.iter().map(|s| (s.path.to_str().unwrap(), &*s.reason)).collect();
    assert_eq!(reasons[0], ("/dev/zero", "not a regular file"));
    assert_eq!(reasons[1], ("/proc", "cannot be entered: proc: files that the kernel makes up"));
    assert!(reasons[2].0.ends_with("none"), "{reasons:?}");
    assert_eq!(reasons.len(), 3);
    fs::remove_dir_all(top).unwrap();
}

#[test]
fn what_may_not_be_read_is_told_and_the_rest_goes_on() {
    let top = directory("forbidden");
    let mode =
        |path: &Path, mode| fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode));
    fs::create_dir(top.join("closed")).unwrap();
    fs::write(top.join("closed/x"), miner()).unwrap();
    fs::write(top.join("secret"), miner()).unwrap();
    fs::write(top.join("open"), miner()).unwrap();
    mode(&top, 0o755).unwrap();
    mode(&top.join("closed"), 0).unwrap();
    mode(&top.join("secret"), 0).unwrap();
    let options = Options { jobs: NonZero::new(1), ..paths(&[&top]) };
    // Root may read everything: another user asks. The threads of the scan inherit from this one.
    let report = thread::spawn(move || {
        if rustix::process::geteuid().is_root() {
            rustix::thread::set_thread_uid(rustix::process::Uid::from_raw(65534)).unwrap();
        }
        run(&options)
    });
    let report = report.join().unwrap();
    let skipped: Vec<_> = report.skipped.iter().map(|s| (s.path.clone(), s.reason.as_str())).collect();
    assert_eq!(skipped[0].0, top.join("closed"));
    assert!(skipped[0].1.starts_with("cannot be entered: Permission denied"), "{skipped:?}");
    assert_eq!(skipped[1].0, top.join("secret"));
    assert!(skipped[1].1.starts_with("cannot be read: Permission denied"), "{skipped:?}");
    assert_eq!((report.found.len(), report.skipped_total), (1, 2));
    fs::remove_dir_all(top).unwrap();
}

#[test]
fn a_name_that_is_not_text_can_be_reported() {
    let top = directory("names");
    fs::write(top.join(std::ffi::OsStr::from_bytes(b"\xff\n")), miner()).unwrap();
    let report = run(&paths(&[&top]));
    assert_eq!(report.found.len(), 1);
    assert!(serde_json::to_string(&report).unwrap().contains("miner-binary"));
    fs::remove_dir_all(top).unwrap();
}

#[test]
fn a_running_program_whose_file_is_gone_is_looked_at() {
    // A copy of sleep with a miner's signs behind it: as good as a miner, for who reads it.
    let top = directory("running");
    let program = top.join("worker");
    let mut bytes = fs::read("/bin/sleep").unwrap();
    bytes.extend(miner());
    fs::write(&program, bytes).unwrap();
    fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let mut child = Command::new(&program).arg("60").stdin(Stdio::null()).spawn().unwrap();
    fs::remove_dir_all(top).unwrap();
    let report = run(&Options { running: true, ..Options::default() });
    child.kill().unwrap();
    child.wait().unwrap();
    let ours = report.found.iter().find(|item| item.pids.contains(&child.id())).unwrap();
    assert_eq!(ours.finding.class, Class::MinerBinary);
    assert!(ours.path.to_string_lossy().ends_with("worker (deleted)"), "{:?}", ours.path);
}
