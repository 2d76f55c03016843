use super::*;
use proptest::prelude::*;

const ID: &str = "4f5e2c0b7a9d8e6f1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f7081";

fn at(path: &str) -> Place {
    of(path.replace("ID", ID).as_bytes())
}

fn runtime(path: &str) -> Option<Option<&'static str>> {
    at(path).container.map(|c| {
        assert_eq!(c.id, ID);
        c.runtime
    })
}

#[test]
fn containers_of_every_runtime_are_found() {
    for (path, expect) in [
        ("/docker/ID", Some("docker")),
        ("/system.slice/docker-ID.scope", Some("docker")),
        ("/system.slice/docker-ID.scope/init.scope", Some("docker")),
        ("/machine.slice/libpod-ID.scope/container", Some("podman")),
        ("/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-ID.scope", Some("podman")),
        ("/libpod_parent/ID", Some("podman")),
        (
            "/kubepods.slice/kubepods-pod0f1e2d3c_4b5a_6978_8796_a5b4c3d2e1f0.slice/crio-ID.scope",
            Some("cri-o"),
        ),
        ("/kubepods.slice/x.slice/cri-containerd-ID.scope", Some("containerd")),
        ("/kubepods/burstable/pod0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0/ID", None),
        ("/system.slice/containerd.service/kubepods-besteffort.slice:cri-containerd:ID", Some("containerd")),
        ("/system.slice/nerdctl-ID.scope", Some("containerd")),
        ("/ecs/0123/ID", None),
    ] {
        assert_eq!(runtime(path), Some(expect), "{path}");
    }
}

#[test]
fn what_only_looks_like_a_container_is_none() {
    for path in [
        "/",
        "/machine.slice/libpod-conmon-ID.scope",
        "/kubepods.slice/crio-conmon-ID.scope",
        "/docker/IDff",
        "/docker/abc",
        "/system.slice/docker-IDX.scope",
        "/user.slice/user-1000.slice/session-3.scope",
    ] {
        assert_eq!(at(path).container, None, "{path}");
    }
}

#[test]
fn a_nested_container_is_the_inner_one() {
    let inner = ID.replace('4', "5");
    assert_eq!(at(&format!("/docker/ID/docker/{inner}")).container.unwrap().id, inner);
}

#[test]
fn a_pod_is_named_by_its_uid_however_the_kubelet_writes_it() {
    let uid = Some("0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0".to_owned());
    assert_eq!(at("/kubepods/burstable/pod0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0/ID").pod, uid);
    assert_eq!(
        at("/kubepods.slice/kubepods-besteffort-pod0f1e2d3c_4b5a_6978_8796_a5b4c3d2e1f0.slice/crio-ID.scope")
            .pod,
        uid
    );
    assert_eq!(at("/kubepods.slice/podman.service").pod, None);
}

#[test]
fn the_unit_is_the_innermost_service_or_scope() {
    assert_eq!(at("/system.slice/cron.service").unit.unwrap(), "cron.service");
    assert_eq!(
        at("/user.slice/user-1000.slice/user@1000.service/app.slice/app-x\\x2d1.scope").unit.unwrap(),
        "app-x\\x2d1.scope"
    );
    assert_eq!(at("/user.slice").unit, None);
}

#[test]
fn a_slurm_job_is_found_in_both_cgroup_versions_and_nowhere_else() {
    let job = Some("slurm:8812".to_owned());
    assert_eq!(at("/system.slice/slurmstepd.scope/job_8812/step_0/user/task_0").job, job);
    assert_eq!(at("/system.slice/node7_slurmstepd.scope/job_8812/step_batch").job, job);
    assert_eq!(at("/slurm/uid_1000/job_8812/step_extern").job, job);
    assert_eq!(at("/user.slice/job_8812").job, None);
    assert_eq!(at("/slurm/uid_1000/job_x").job, None);
}

proptest! {
    #[test]
    fn no_path_makes_it_panic(path in any::<Vec<u8>>()) {
        let _ = of(&path);
    }
}
