//! What came of trying a route, as the process that tried says it in one line.

use std::{fmt, io};

/// What came of trying a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// The address was reached.
    Through,
    /// The kernel said no, with this errno.
    Refused(i32),
    /// What was sent on a connection was sent again and again, and did not arrive.
    Dropped,
    /// This kernel has no such route; why.
    Unavailable(String),
}

impl Attempt {
    /// Whether it was refused with EPERM, which is how the guard refuses.
    pub fn is_denied(&self) -> bool {
        *self == Self::Refused(libc::EPERM)
    }

    /// The same for what goes on on a connection: it may also come to nothing, or the connection be taken away.
    pub fn is_stopped(&self) -> bool {
        let ends = [libc::EPERM, libc::ECONNABORTED, libc::ECONNRESET, libc::EPIPE, libc::ECONNREFUSED];
        match self {
            Self::Refused(errno) => ends.contains(errno),
            Self::Dropped => true,
            Self::Through | Self::Unavailable(_) => false,
        }
    }

    /// The line of the process that tried it.
    pub(super) fn line(result: io::Result<()>) -> String {
        match result {
            Ok(()) => "through".to_owned(),
            Err(error) if error.kind() == io::ErrorKind::Unsupported => error.to_string(),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => "dropped".to_owned(),
            Err(error) => error.raw_os_error().map_or_else(|| error.to_string(), |errno| errno.to_string()),
        }
    }

    /// Reads such a line.
    pub(super) fn of_line(line: &str) -> Self {
        match (line, line.parse()) {
            ("through", _) => Self::Through,
            ("dropped", _) => Self::Dropped,
            (_, Ok(errno)) => Self::Refused(errno),
            (why, _) => Self::Unavailable(why.to_owned()),
        }
    }
}

/// For data that the kernel keeps sending in vain.
pub(super) fn dropped() -> io::Error {
    io::ErrorKind::TimedOut.into()
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Through => f.write_str("got through"),
            Self::Refused(errno) => write!(f, "{}", io::Error::from_raw_os_error(*errno)),
            Self::Dropped => f.write_str("did not arrive"),
            Self::Unavailable(why) => write!(f, "unavailable: {why}"),
        }
    }
}
