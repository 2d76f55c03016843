//! Against a stand-in for the driver's library, built here: there is no GPU in this test.

use super::*;
use std::{
    process::Command,
    time::{Duration, Instant},
};

const FAKE: &str = r#"
#include <string.h>
#include <unistd.h>
static int opened;
typedef struct { unsigned pid; unsigned long long mem; unsigned a, b; } info;
typedef struct { unsigned pid; unsigned long long t; unsigned sm, mem, enc, dec; } sample;
int nvmlInit_v2(void) { usleep(SLOW); opened += STATUS == 0; return STATUS; }
int nvmlShutdown(void) { return opened-- ? 0 : 1; }
int nvmlDeviceGetCount_v2(unsigned *n) { *n = 1; return opened == 1 ? 0 : 1; }
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

/// The stand-in; `None` without a C compiler. Opening it gives this status, after so many microseconds.
fn fake(status: i32, slow: u32) -> Option<(tempfile::TempDir, Gpus)> {
    let dir = tempfile::tempdir().unwrap();
    let (source, library) = (dir.path().join("fake.c"), dir.path().join("libfake.so"));
    std::fs::write(&source, FAKE).unwrap();
    let mut cc = Command::new("cc");
    cc.args([format!("-DSTATUS={status}"), format!("-DSLOW={slow}")]).args(["-shared", "-fPIC", "-o"]);
    if !cc.arg(&library).arg(&source).status().is_ok_and(|s| s.success()) {
        eprintln!("no C compiler here: not tested");
        return None;
    }
    let gpus = Gpus::of(&library);
    Some((dir, gpus))
}

#[test]
fn what_processes_do_on_a_gpu_is_read_and_told_once() {
    let Some((_dir, mut gpus)) = fake(0, 0) else { return };
    assert_eq!(gpus.describe(), "Fake GPU");
    let expected = [
        Use { pid: 100, device: 0, busy: 98, memory: 1024 },
        Use { pid: 200, device: 0, busy: 0, memory: 0 },
    ];
    assert_eq!(gpus.look().1, expected);
    assert_eq!(gpus.look().1[0].busy, 0, "the samples were seen already");
    let text = expected[0].evidence().unwrap().text;
    assert_eq!(text, "keeps GPU 0 busy for more than 75 % of the time");
    assert_eq!(expected[1].evidence(), None);
    for (memory, holds) in
        [(300 << 20, "256 MiB"), (5 << 30, "4 GiB"), ((8 << 30) - 1, "4 GiB"), (u64::MAX, "8589934592 GiB")]
    {
        let text = Use { memory, ..expected[0] }.evidence().unwrap().text;
        assert!(text.ends_with(&format!(" of the time and holds more than {holds} of its memory")), "{text}");
    }
}

#[test]
fn a_driver_that_takes_its_time_holds_nobody_up() {
    let Some((_dir, gpus)) = fake(0, 900_000) else { return };
    let begun = Instant::now();
    let mut asker = Asker::start(gpus).unwrap();
    assert_eq!(asker.described(), "the driver has not answered yet");
    asker.ask();
    asker.ask();
    assert!(asker.take().is_empty() && begun.elapsed() < Duration::from_millis(900));
    let uses = std::iter::repeat_with(|| asker.take()).inspect(|_| std::thread::yield_now());
    assert_eq!(
        uses.take_while(|_| begun.elapsed().as_secs() < 30).find(|u| !u.is_empty()).unwrap()[0].pid,
        100
    );
    assert_eq!(asker.described(), "Fake GPU");
}

#[test]
fn a_library_that_comes_later_is_found() {
    let Some((dir, _)) = fake(0, 0) else { return };
    let later = dir.path().join("later.so");
    let mut gpus = Gpus::of(&later);
    assert!(gpus.look().1.is_empty());
    std::fs::rename(dir.path().join("libfake.so"), &later).unwrap();
    assert_eq!(gpus.look().1.len(), 2);
}

#[test]
fn without_a_library_or_a_driver_there_is_no_gpu_and_a_reason() {
    let mut none = Gpus::of(Path::new("/nonexistent/libnvidia-ml.so.1"));
    assert!(
        none.describe().starts_with("no GPU: /nonexistent/libnvidia-ml.so.1 is not there"),
        "{}",
        none.describe()
    );
    assert!(none.look().1.is_empty());
    let Some((_dir, mut gpus)) = fake(9, 0) else { return };
    assert_eq!(gpus.describe(), "no GPU: the driver answers with status 9");
}
