//! Against a stand-in for the driver's library, built here: there is no GPU in this test.

use super::*;
use std::process::Command;

const FAKE: &str = r#"
#include <string.h>
typedef struct { unsigned pid; unsigned long long mem; unsigned a, b; } info;
typedef struct { unsigned pid; unsigned long long t; unsigned sm, mem, enc, dec; } sample;
int nvmlInit_v2(void) { return STATUS; }
int nvmlDeviceGetCount_v2(unsigned *n) { *n = 1; return 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned n, void **d) { static int x; *d = &x; return n; }
int nvmlDeviceGetName(void *d, char *s, unsigned n) { strncpy(s, "Fake GPU", n); return 0; }
int nvmlDeviceGetComputeRunningProcesses_v3(void *d, unsigned *n, info *i) {
  if (*n < 2) return 7;
  i[0] = (info){ 100, 1024, 0, 0 }; i[1] = (info){ 200, ~0ULL, 0, 0 }; *n = 2; return 0;
}
int nvmlDeviceGetProcessUtilization(void *d, sample *s, unsigned *n, unsigned long long since) {
  s[0] = (sample){ 100, 5, 98, 1, 0, 0 }; s[1] = (sample){ 100, 6, 40, 1, 0, 0 };
  s[2] = (sample){ 0 }; *n = 3; return 0;
}
"#;

/// The stand-in; `None` without a C compiler.
fn fake(status: i32) -> Option<(tempfile::TempDir, Gpus)> {
    let dir = tempfile::tempdir().unwrap();
    let (source, library) = (dir.path().join("fake.c"), dir.path().join("libfake.so"));
    std::fs::write(&source, FAKE).unwrap();
    let define = format!("-DSTATUS={status}");
    let built =
        Command::new("cc").args(["-shared", "-fPIC", &define, "-o"]).arg(&library).arg(&source).status();
    if !built.is_ok_and(|s| s.success()) {
        eprintln!("no C compiler here: not tested");
        return None;
    }
    let gpus = Gpus::from(&library);
    Some((dir, gpus))
}

#[test]
fn what_processes_do_on_a_gpu_is_read_and_told_once() {
    let Some((_dir, mut gpus)) = fake(0) else { return };
    assert_eq!(gpus.describe(), "Fake GPU");
    let expected = [
        Use { pid: 100, device: 0, busy: 98, memory: 1024 },
        Use { pid: 200, device: 0, busy: 0, memory: 0 },
    ];
    assert_eq!(gpus.uses(), expected);
    assert_eq!(gpus.uses()[0].busy, 0, "the samples were seen already");
    let text = expected[0].evidence().unwrap().text;
    assert_eq!(text, "keeps GPU 0 busy for more than 75 % of the time");
    assert_eq!(expected[1].evidence(), None);
}

#[test]
fn without_a_library_or_a_driver_there_is_no_gpu_and_a_reason() {
    let mut none = Gpus::from(Path::new("/nonexistent/libnvidia-ml.so.1"));
    assert!(
        none.describe().starts_with("no GPU: /nonexistent/libnvidia-ml.so.1 is not there"),
        "{}",
        none.describe()
    );
    assert!(none.uses().is_empty() && !none.there());
    let Some((_dir, gpus)) = fake(9) else { return };
    assert_eq!(gpus.describe(), "no GPU: the driver answers with status 9");
}
