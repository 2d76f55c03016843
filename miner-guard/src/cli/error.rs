//! Where every failure of a command meets its exit status and its words.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use super::ui::Output;
use crate::{
    api::{client::ClientError, control::FailureKind},
    daemon::DaemonError,
    kernel::KernelError,
    sinks::{json, text::sanitize::clean_bytes},
};

/// Columns of one line of an error.
const LINE: usize = 2000;

/// Exit status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// Found something, or not as required.
    Found = 1,
    /// Usage or configuration.
    Usage = 2,
    /// Not permitted.
    NotPermitted = 3,
    /// The kernel cannot.
    Kernel = 4,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

impl From<DaemonError> for CliError {
    fn from(e: DaemonError) -> Self {
        match e {
            DaemonError::Kernel(e) => Self::Kernel(e),
            e => Self::Daemon(e),
        }
    }
}

/// Why a command was not done.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The running guard was asked in vain.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The kernel side.
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// The guard did not start, or ended otherwise than asked.
    #[error(transparent)]
    Daemon(DaemonError),
    /// The policy has errors, each a text; and what follows from it.
    #[error("{}\n{then}", .errors.join("\n"))]
    Policy {
        /// `file:line:column: key: message; remedy`
        errors: Vec<String>,
        /// Such as that the running policy stays.
        then: &'static str,
    },
    /// Something is not as it must be.
    #[error("{0}")]
    NotAsRequired(String),
    /// The arguments name something that cannot be used.
    #[error("{0}")]
    Usage(String),
    /// A file or a directory could not be used.
    #[error("{what} {path}: {source}")]
    File {
        /// What was tried.
        what: &'static str,
        /// On what.
        path: String,
        /// Why not.
        source: io::Error,
    },
    /// The output could not be written.
    #[error("writing the output: {0}")]
    Output(#[from] io::Error),
}

impl CliError {
    /// The exit status.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::Client(e) => match e {
                ClientError::NoGuard(_)
                | ClientError::TooSlow(..)
                | ClientError::Nonsense { .. }
                | ClientError::Io { .. } => Exit::Found,
                ClientError::NotPermitted(_) | ClientError::Stranger(..) => Exit::NotPermitted,
                ClientError::Refused(failure) => match failure.kind {
                    FailureKind::Policy | FailureKind::Request => Exit::Usage,
                    FailureKind::Kernel => Exit::Kernel,
                    FailureKind::NotPermitted => Exit::NotPermitted,
                    FailureKind::Internal => Exit::Found,
                },
            },
            Self::Kernel(e) => kernel(e),
            Self::Daemon(e) => match e {
                DaemonError::Kernel(e) => kernel(e),
                DaemonError::Policy(_) => Exit::Usage,
                DaemonError::NotProven(_) => Exit::Kernel,
                DaemonError::Socket(_) | DaemonError::Io(..) => Exit::Found,
            },
            Self::Policy { .. } | Self::Usage(_) => Exit::Usage,
            Self::NotAsRequired(_) => Exit::Found,
            Self::File { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                Exit::NotPermitted
            }
            Self::File { .. } => Exit::Found,
            // Whoever closed the pipe has read enough (`miner-guard status | head -1`).
            Self::Output(e) if e.kind() == io::ErrorKind::BrokenPipe => Exit::Done,
            Self::Output(_) => Exit::Found,
        }
    }

    /// The lines that tell it, harmless for a terminal whoever wrote them; and what follows.
    fn lines(&self) -> (Vec<String>, Option<&'static str>) {
        let harmless = |line: &str| unescaped(clean_bytes(line.as_bytes(), LINE));
        match self {
            Self::Policy { errors, then } => (errors.iter().map(|e| harmless(e)).collect(), Some(then)),
            e => (e.to_string().lines().map(harmless).collect(), None),
        }
    }

    /// Tells it on stderr, and gives the exit status.
    pub(super) fn tell(&self, output: Output) -> ExitCode {
        let exit = self.exit();
        if exit != Exit::Done {
            let (errors, then) = self.lines();
            let mut err = io::stderr().lock();
            // Nobody is left to tell if stderr is closed.
            let _ = match output {
                Output::Text => {
                    // A place in a file stands at the beginning of its line, where editors look for it.
                    let name = if then.is_some() { "" } else { "miner-guard: " };
                    let last = then.map(|then| format!("miner-guard: {then}"));
                    let all = errors.iter().map(|e| format!("{name}{e}")).chain(last);
                    all.into_iter().try_for_each(|line| writeln!(err, "{line}"))
                }
                Output::Json => {
                    let told = serde_json::json!({ "errors": errors, "consequence": then, "exit_status": exit as u8 });
                    json::value(&mut err, &told).and_then(|()| writeln!(err))
                }
            };
        }
        exit.into()
    }
}

fn kernel(e: &KernelError) -> Exit {
    match e {
        KernelError::NotPermitted => Exit::NotPermitted,
        KernelError::Unsupported { .. } | KernelError::Refused { .. } => Exit::Kernel,
        KernelError::Io { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
            Exit::NotPermitted
        }
        KernelError::AlreadyRunning { .. } | KernelError::OtherAbi { .. } | KernelError::Io { .. } => {
            Exit::Found
        }
    }
}

/// Errors of a policy quote what stands in the file already escaped: once is enough.
fn unescaped(line: String) -> String {
    line.replace("\\\\", "\\")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        api::control::{CommandError, Failure},
        sinks::text::sanitize::is_hostile,
    };
    use std::path::PathBuf;

    fn refused(e: CommandError) -> CliError {
        CliError::Client(ClientError::Refused(Failure::from(e)))
    }

    #[test]
    fn every_error_has_the_exit_status_of_the_design() {
        let path = || PathBuf::from("/run/x.sock");
        let file =
            |kind: io::ErrorKind| CliError::File { what: "making", path: "/x".into(), source: kind.into() };
        for (error, status) in [
            (CliError::Client(ClientError::NoGuard(path())), 1),
            (CliError::Client(ClientError::NotPermitted(path())), 3),
            (CliError::Client(ClientError::Stranger(path(), 1000)), 3),
            (refused(CommandError::Policy(vec!["a".into()])), 2),
            (refused(CommandError::Request("a".into())), 2),
            (refused(CommandError::Kernel("a".into())), 4),
            (refused(CommandError::Internal("a".into())), 1),
            (KernelError::NotPermitted.into(), 3),
            (KernelError::Unsupported { what: "a".into(), remedy: "b".into() }.into(), 4),
            (KernelError::Refused { what: "a".into(), why: "b".into() }.into(), 4),
            (KernelError::AlreadyRunning { pin_dir: "a".into(), lock: "b".into() }.into(), 1),
            (KernelError::OtherAbi { path: "a".into(), found: "0".into(), own: 1 }.into(), 1),
            (CliError::Policy { errors: vec![], then: "" }, 2),
            (CliError::NotAsRequired("a".into()), 1),
            (CliError::Usage("a".into()), 2),
            (file(io::ErrorKind::PermissionDenied), 3),
            (file(io::ErrorKind::NotFound), 1),
            (CliError::Output(io::ErrorKind::BrokenPipe.into()), 0),
            (CliError::Output(io::ErrorKind::StorageFull.into()), 1),
        ] {
            assert_eq!(error.exit() as u8, status, "{error:?}");
        }
    }

    #[test]
    fn errors_are_lines_that_no_terminal_obeys() {
        let error = refused(CommandError::Policy(vec!["a\u{1b}[2Jb".into(), "second\u{202e}".into()]));
        let (lines, _) = error.lines();
        assert_eq!(lines.len(), 2);
        assert!(!lines.iter().any(|l| l.chars().any(is_hostile)), "{lines:?}");
    }
}
