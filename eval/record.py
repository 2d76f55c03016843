#!/usr/bin/env python3
"""Records what a guard sees of a command, as rows for eval/runtime-features.csv.

    python3 eval/record.py GUARD LABEL PROGRAM SECONDS COMMAND...   # as root; prints rows, of windows of 16 samples

The guard runs in audit mode for a cgroup of its own, which the command is started in. Columns of the table that the model
does not learn from stay empty.
"""

import csv
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).parent
FEATURES = ["mix", "branchy", "f_fp", "straight", "f_imul", "f_sha", "f_aes", "f_clmul", "f_load"]
ROOTS = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"]


def main():
    guard, label, program, seconds, *command = sys.argv[1:]
    root = next(pathlib.Path(r) for r in ROOTS if (pathlib.Path(r) / "cgroup.controllers").exists())
    cgroup = root / f"mg-record-{os.getpid()}"
    cgroup.mkdir()
    pins = f"/sys/fs/bpf/{cgroup.name}"
    with tempfile.TemporaryDirectory() as directory:
        place = pathlib.Path(directory)
        (place / "config.toml").write_text("builtin = false\n[respond]\nmining = \"alert\"\n")
        where = ["--config", place / "config.toml", "--socket", place / "api.sock", "--state-dir", place / "state", "--pin-dir", pins]
        log = open(place / "log", "w+")
        environment = {**os.environ, "MINER_GUARD_LOG": "warn,miner_guard::identify::cpu=trace", "NO_COLOR": "1"}
        run = [guard, "run", "-o", "json", "--mode", "audit", "--cgroup", cgroup, *where]
        daemon = subprocess.Popen(run, stdout=subprocess.DEVNULL, stderr=log, env=environment)
        try:
            while "ready\n" not in (place / "log").read_text():
                time.sleep(0.05)
            enter = lambda: (cgroup / "cgroup.procs").write_text("0")
            load = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=enter)
            time.sleep(float(seconds))
            for pid in (cgroup / "cgroup.procs").read_text().split():
                os.kill(int(pid), signal.SIGKILL)
            load.wait()
        finally:
            daemon.terminate()
            daemon.wait()
            for _ in range(50):
                try:
                    cgroup.rmdir()
                    break
                except OSError:
                    time.sleep(0.1)
        text = (place / "log").read_text()
    columns = next(csv.reader(open(HERE / "runtime-features.csv", newline="")))
    out = csv.DictWriter(sys.stdout, columns, lineterminator="\n")
    for features in re.findall(r"window .*?features=\[([^\]]*)\]", text):
        values = dict(zip(FEATURES, (f"{float(v):.4g}" for v in features.split(","))))
        out.writerow({"label": label, "program": program, "nsamp": 16, **values})


if __name__ == "__main__":
    main()
