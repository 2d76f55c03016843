//! The process that does what the guard should see: this program again, as `miner-guard probe`.
//!
//! It moves itself into the scratch cgroup before it does anything, and says on stdout what came of it.

use std::{
    fmt, fs, io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    os::unix::process::{CommandExt as _, ExitStatusExt as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use clap::Args;
use serde::Serialize;

use crate::cli::{CliError, Exit, ui::Ui};

/// Arguments of the hidden `probe`.
#[derive(Debug, Args)]
pub(in crate::cli) struct ProbeArgs {
    /// The `cgroup.procs` of the cgroup to do it in
    #[arg(long)]
    procs: PathBuf,
    #[command(flatten)]
    what: What,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct What {
    /// Connect a UDP socket there; sends nothing
    #[arg(long)]
    connect: Option<SocketAddr>,
    /// Become this program
    #[arg(long)]
    exec: Option<PathBuf>,
}

/// What a probe does.
#[derive(Debug)]
pub(super) enum Probe {
    /// Connects a UDP socket.
    Connect(SocketAddr),
    /// Becomes a program that ends at once.
    Exec(PathBuf),
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Outcome {
    /// It succeeded.
    Done,
    /// EPERM
    Refused,
    /// SIGKILL
    Killed,
    /// Something else, which the guard has nothing to do with.
    Failed(String),
}

const SIGKILL: i32 = 9;
/// Exit status of the example program.
const RAN: i32 = 42;
const DONE: &str = "done";
const REFUSED: &str = "refused";

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done => f.write_str("let through"),
            Self::Refused => f.write_str("refused with EPERM"),
            Self::Killed => f.write_str("killed"),
            Self::Failed(why) => write!(f, "failed: {why}"),
        }
    }
}

/// In the probe: does it.
pub(in crate::cli) fn run(args: &ProbeArgs, ui: &mut Ui) -> Result<Exit, CliError> {
    // "0" is whoever writes it.
    fs::write(&args.procs, "0").map_err(|source| CliError::File {
        what: "entering",
        path: args.procs.display().to_string(),
        source,
    })?;
    let done = match &args.what {
        What { connect: Some(to), .. } => connect(*to),
        // Comes back only with an error.
        What { exec: Some(file), .. } => Err(Command::new(file).exec()),
        What { .. } => Ok(()),
    };
    ui.line(match done {
        Ok(()) => DONE,
        // std calls EPERM and EACCES by the same name.
        Err(e) if e.raw_os_error() == Some(rustix::io::Errno::PERM.raw_os_error()) => REFUSED,
        Err(e) => return Err(CliError::NotAsRequired(e.to_string())),
    })?;
    Ok(Exit::Done)
}

fn connect(to: SocketAddr) -> io::Result<()> {
    let any = if to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    UdpSocket::bind(SocketAddr::new(any, 0))?.connect(to)
}

impl Outcome {
    /// Somebody stopped it.
    pub(super) fn stopped(&self) -> Option<bool> {
        match self {
            Self::Done => Some(false),
            Self::Refused | Self::Killed => Some(true),
            Self::Failed(_) => None,
        }
    }
}

/// Runs a probe to its end.
pub(super) fn spawn(procs: &Path, probe: &Probe) -> Result<(u32, Outcome), CliError> {
    let failed = |source| CliError::File { what: "running", path: "the probe".to_owned(), source };
    let program = std::env::current_exe().map_err(failed)?;
    let mut command = Command::new(program);
    command.arg("probe").arg("--procs").arg(procs);
    match probe {
        Probe::Connect(to) => command.arg("--connect").arg(to.to_string()),
        Probe::Exec(file) => command.arg("--exec").arg(file),
    };
    let child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(failed)?;
    let pid = child.id();
    let output = child.wait_with_output().map_err(failed)?;
    let outcome = match String::from_utf8_lossy(&output.stdout).trim() {
        _ if output.status.signal() == Some(SIGKILL) => Outcome::Killed,
        _ if output.status.code() == Some(RAN) => Outcome::Done,
        DONE => Outcome::Done,
        REFUSED => Outcome::Refused,
        _ => Outcome::Failed(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
    };
    Ok((pid, outcome))
}
