use super::*;
use crate::event::samples::Scratch;
use proptest::prelude::*;

#[test]
fn the_v2_path_is_found_on_pure_and_hybrid_systems() {
    assert_eq!(v2_path(b"0::/system.slice/cron.service\n"), Some(b"/system.slice/cron.service".as_slice()));
    let hybrid = b"9:name=systemd:/docker/x\n4:memory:/docker/x\n0::/\n";
    assert_eq!(v2_path(hybrid), Some(b"/".as_slice()));
    assert_eq!(v2_path(b"9:name=systemd:/docker/x\n"), None);
}

#[test]
fn all_hierarchies_are_listed_with_v2_first_and_colons_in_names_kept() {
    let text = b"9:name=systemd:/a:b\n4:cpu,cpuacct:/c\n0::/v2\ngarbage\n";
    assert_eq!(paths(text), [b"/v2".as_slice(), b"/a:b", b"/c"]);
}

#[test]
fn the_mount_of_the_whole_hierarchy_is_found_and_escapes_are_read() {
    let info = b"30 24 0:26 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n\
        31 30 0:27 /docker/x /a rw,nosuid shared:4 - cgroup2 cgroup2 rw\n\
        42 30 0:28 / /sys/fs/cg\\040roup rw,nosuid shared:5 - cgroup2 cgroup2 rw\n";
    assert_eq!(mount(info), Some("/sys/fs/cg roup".into()));
    assert_eq!(mount(b"nothing here"), None);
}

#[test]
fn a_hint_is_believed_only_when_the_directory_has_the_id() {
    let root = Scratch::new("cgroup-hint");
    fs::create_dir_all(root.path().join("a/b")).unwrap();
    fs::create_dir_all(root.path().join("moved")).unwrap();
    let id = fs::metadata(root.path().join("a/b")).unwrap().ino();

    let mut cgroups = Cgroups::new(Some(root.path().into()));
    assert_eq!(cgroups.path(id, Some(b"/a/b"), 0).unwrap(), b"/a/b");
    let mut cgroups = Cgroups::new(Some(root.path().into()));
    assert_eq!(cgroups.path(id, Some(b"/moved"), 0).unwrap(), b"/a/b", "found by search");
}

#[test]
fn a_process_that_is_gone_still_has_its_cgroup_and_searches_are_rationed() {
    let root = Scratch::new("cgroup-gone");
    fs::create_dir(root.path().join("first")).unwrap();
    let mut cgroups = Cgroups::new(Some(root.path().into()));
    assert_eq!(cgroups.path(u64::MAX, None, 0), None);

    fs::create_dir(root.path().join("later")).unwrap();
    let id = fs::metadata(root.path().join("later")).unwrap().ino();
    assert_eq!(cgroups.path(id, None, SEARCH_NS - 1), None);
    assert_eq!(cgroups.path(id, None, SEARCH_NS).unwrap(), b"/later");

    fs::remove_dir(root.path().join("later")).unwrap();
    assert_eq!(cgroups.path(id, None, 9 * SEARCH_NS).unwrap(), b"/later", "remembered");
}

#[test]
fn without_a_mount_the_process_is_believed() {
    let mut cgroups = Cgroups::new(None);
    assert_eq!(cgroups.path(5, Some(b"/x"), 0).unwrap(), b"/x");
    assert_eq!(cgroups.path(5, None, 0), None);
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in any::<Vec<u8>>(), path in "[\\\\0-9a-z /-]{0,60}") {
        let _ = (paths(&text), v2_path(&text), mount(&text), unescape(&path));
        let _ = mount(format!("1 2 3 / {path} - cgroup2 x").as_bytes());
    }
}
