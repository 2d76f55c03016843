//! What a process calls itself and its arguments cannot break a line of output or a terminal.

use std::{
    ffi::{OsStr, OsString},
    os::unix::{ffi::OsStrExt as _, process::CommandExt as _},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use libtest_mimic::Trial;
use miner_guard_tests::{
    case::{Done, case, in_vm},
    cgroup::Cgroup,
    guard::Post,
    program::{self, Then},
    work,
};

/// Escapes, line ends, a bell, a C1 control, wrong UTF-8, and a character that turns the reading direction.
const HOSTILE: &[u8] = b"\x1b[2J\n\r\x07{\"a\":1}\t\x9b31m\xff\xfe\xc3\xe2\x80\xae\x7f";

pub fn cases() -> Vec<Trial> {
    vec![
        case("hostile_names_cannot_break_a_line_of_json", || hostile("json")),
        case("hostile_names_cannot_break_a_line_of_text", || match in_vm() {
            // What the kernel tells is seen by the test above; this one starts another guard.
            true => Ok(Done::Skipped("how lines of text are written does not differ between kernels".into())),
            false => hostile("text"),
        }),
    ]
}

fn hostile(format: &str) -> Result<Done> {
    let cgroup = Cgroup::new()?;
    let post = Post::at(&cgroup, "")?;
    let name = OsStr::from_bytes(HOSTILE);
    let mut file = OsString::from("program-");
    // A name holds anything but a slash.
    file.push(name);
    let path = post.path("").join(&file);
    program::write(&path, &program::elf("hostile", Then::Exit))?;
    // The program is listed by its hash, for its name cannot be written in the policy.
    let sum = sha256(&program::elf("hostile", Then::Exit));
    post.write_policy(&format!(
        "builtin = false\n[[rule]]\nid = \"denied\"\nip = [\"127.66.66.66\", \"127.66.66.68\"]\naction = \"deny\"\n\
         [[rule]]\nid = \"program\"\nsha256 = [\"{sum}\"]\naction = \"deny\"\n"
    ))?;
    let mut daemon = post.command(&["run", "--mode", "enforce", "-o", format, "--color", "never"]);
    daemon.arg("--cgroup").arg(cgroup.path()).arg("--config").arg(post.path("config.toml"));
    let mut guard = miner_guard_tests::guard::Guard::start(daemon)?;

    // A connect by a hostile name, with a hostile argument and one of 100 kB.
    let mut connect = work::named(&cgroup, name, &["127.66.66.66:3333".parse()?])?;
    let mut long = HOSTILE.repeat(5000);
    long.truncate(100_000);
    connect.arg0(name).arg(OsStr::from_bytes(&long)).arg(name);
    ensure!(work::counted(&mut connect)?.denied == 1, "not denied");
    program::run(start(&cgroup, &path)?.arg(name))?;
    // And something harmless behind them: what came before is then told.
    let mut last = work::named(&cgroup, OsStr::new("last"), &["127.66.66.68:3333".parse()?])?;
    ensure!(work::counted(&mut last)?.denied == 1, "not denied");

    let mut lines = Vec::new();
    let (mut connects, mut execs) = (false, false);
    guard.each_line(|line| {
        connects |= line.contains("127.66.66.68");
        execs |= line.contains("program-");
        lines.push(line);
        connects && execs
    })?;
    ensure!(lines.iter().any(|line| line.contains("127.66.66.66")), "no event of the hostile name");
    for line in &lines {
        harmless(line).with_context(|| format!("in the line {line:?}"))?;
        if format == "json" {
            serde_json::from_str::<serde_json::Value>(line).with_context(|| format!("not JSON: {line}"))?;
        } else {
            ensure!(line.len() > 13 && line.as_bytes()[2] == b':', "no line of an event: {line:?}");
        }
        ensure!(line.len() < 64 << 10, "a line of {} bytes", line.len());
    }
    guard.stop()?;
    Ok(Done::Passed)
}

fn start(cgroup: &Cgroup, path: &std::path::Path) -> Result<Command> {
    let mut command = cgroup.command(path)?;
    command.arg0(OsStr::from_bytes(HOSTILE)).stdin(Stdio::null());
    Ok(command)
}

/// No control character and nothing that turns the reading direction. Wrong UTF-8 was replaced by the reader.
fn harmless(line: &str) -> Result<()> {
    for c in line.chars() {
        let hostile =
            c.is_control() || c == char::REPLACEMENT_CHARACTER || ('\u{202a}'..='\u{202e}').contains(&c);
        ensure!(!hostile, "{c:?}");
    }
    Ok(())
}

fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest as _;
    sha2::Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
