//! The commands' side of the API: one blocking request per connection.

use std::{
    io::{self, BufRead as _, BufReader, Read, Write as _},
    net::{IpAddr, Shutdown},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use miner_guard_common::abi::verdict::Mode;
use rustix::net::sockopt::socket_peercred;
use serde::de::DeserializeOwned;

use super::{
    control::{
        CaseList, CaseView, Changes, Explanation, Failure, FailureKind, FeedList, FeedUpdate,
        FeedUpdateRequest, Forgotten, Isolation, IsolationRequest, LearnedList, ModeReply, ModeRequest,
        PolicyList, ReloadReply, Status,
    },
    http::{self, Body},
    socket::trusted,
};

/// Longest wait for one whole answer; more than the server's own.
const ANSWER: Duration = Duration::from_secs(65);
/// Bytes of an answer.
const BODY: u64 = 64 << 20;
/// Bytes of one event.
const LINE: u64 = 1 << 20;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens.
    #[error("no guard answers at {0}: start it with `miner-guard run`, or name its socket with --socket")]
    NoGuard(PathBuf),
    /// The socket is root's.
    #[error("{0} is for root alone: use sudo")]
    NotPermitted(PathBuf),
    /// Somebody else's program listens there.
    #[error("the program at {0} runs as user {1}, not as root: it is not asked")]
    Stranger(PathBuf, u32),
    /// It said no.
    #[error("{}", .0.errors.join("\n"))]
    Refused(Failure),
    /// It does not answer in time.
    #[error("the guard at {0} did not answer within {1} s")]
    TooSlow(PathBuf, u64),
    /// What it said makes no sense.
    #[error("the answer of {path} cannot be read: {why}; is it a miner-guard of another version?")]
    Nonsense {
        /// The socket.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The connection failed.
    #[error("talking to {path}: {source}")]
    Io {
        /// The socket.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// A guard's API.
#[derive(Clone, Debug)]
pub struct Client {
    socket: PathBuf,
}

impl Client {
    /// The guard at this socket. Nothing is opened yet.
    #[must_use]
    pub fn new(socket: &Path) -> Self {
        Self { socket: socket.to_owned() }
    }

    /// What runs.
    ///
    /// # Errors
    /// See [`ClientError`]; the same for all requests.
    pub fn status(&self) -> Result<Status, ClientError> {
        self.json("GET", "/v1/status", None)
    }

    /// The mode in force.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn mode(&self) -> Result<ModeReply, ClientError> {
        self.json("GET", "/v1/mode", None)
    }

    /// Changes the mode.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn set_mode(&self, mode: Mode) -> Result<ModeReply, ClientError> {
        let body = serde_json::to_string(&ModeRequest { mode }).map_err(|e| self.nonsense(e))?;
        self.json("PUT", "/v1/mode", Some(&body))
    }

    /// The rules in force.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn policy(&self) -> Result<PolicyList, ClientError> {
        self.json("GET", "/v1/policy", None)
    }

    /// What a reload would change.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn diff(&self) -> Result<Changes, ClientError> {
        self.json("GET", "/v1/policy/diff", None)
    }

    /// Reads the policy anew.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn reload(&self) -> Result<ReloadReply, ClientError> {
        self.json("POST", "/v1/policy/reload", None)
    }

    /// The feeds in force.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn feeds(&self) -> Result<FeedList, ClientError> {
        self.json("GET", "/v1/feeds", None)
    }

    /// Takes up one feed, or all.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn update_feeds(&self, id: Option<&str>, force: bool) -> Result<FeedUpdate, ClientError> {
        let request = FeedUpdateRequest { id: id.map(str::to_owned), force };
        let body = serde_json::to_string(&request).map_err(|e| self.nonsense(e))?;
        self.json("POST", "/v1/feeds/update", Some(&body))
    }

    /// Why would this be stopped?
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn explain(&self, thing: &str) -> Result<Explanation, ClientError> {
        self.json("GET", &format!("/v1/explain?thing={}", percent(thing)), None)
    }

    /// Isolates a cgroup.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn isolate(&self, wanted: &IsolationRequest) -> Result<Isolation, ClientError> {
        let body = serde_json::to_string(wanted).map_err(|e| self.nonsense(e))?;
        self.json("POST", "/v1/isolate", Some(&body))
    }

    /// Releases the cgroup of this path or pid.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn release(&self, target: &str) -> Result<Isolation, ClientError> {
        let request = IsolationRequest { target: target.to_owned(), seconds: None };
        let body = serde_json::to_string(&request).map_err(|e| self.nonsense(e))?;
        self.json("POST", "/v1/release", Some(&body))
    }

    /// All open cases.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn cases(&self) -> Result<CaseList, ClientError> {
        self.json("GET", "/v1/cases", None)
    }

    /// One case.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn case(&self, id: &str) -> Result<CaseView, ClientError> {
        self.json("GET", &format!("/v1/case?id={}", percent(id)), None)
    }

    /// The addresses that were learned.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn learned(&self) -> Result<LearnedList, ClientError> {
        self.json("GET", "/v1/learned", None)
    }

    /// Forgets one learned address, or all.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn forget(&self, address: Option<IpAddr>) -> Result<Forgotten, ClientError> {
        let query = address.map(|a| format!("?address={}", percent(&a.to_string()))).unwrap_or_default();
        self.json("DELETE", &format!("/v1/learned{query}"), None)
    }

    /// The figures, in the text format of Prometheus.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn metrics(&self) -> Result<String, ClientError> {
        let bytes = self.whole("GET", "/metrics", None)?;
        String::from_utf8(bytes).map_err(|e| self.nonsense(e))
    }

    /// What happens from now on: an event that is set off after this returns is among them.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn events(&self, look: Look) -> Result<Events, ClientError> {
        let target = match look {
            Look::Json => "/v1/events",
            Look::Text => "/v1/events?format=text",
            Look::Coloured => "/v1/events?format=text&colour=true",
        };
        let (body, status) = self.request("GET", target, None)?;
        if status == 200 {
            Ok(Events { lines: BufReader::new(body), socket: self.socket.clone() })
        } else {
            Err(self.refusal(self.read_all(body)?))
        }
    }

    fn json<T: DeserializeOwned>(
        &self,
        method: &str,
        target: &str,
        body: Option<&str>,
    ) -> Result<T, ClientError> {
        serde_json::from_slice(&self.whole(method, target, body)?).map_err(|e| self.nonsense(e))
    }

    fn whole(&self, method: &str, target: &str, body: Option<&str>) -> Result<Vec<u8>, ClientError> {
        let (reply, status) = self.request(method, target, body)?;
        let bytes = self.read_all(reply)?;
        if status == 200 { Ok(bytes) } else { Err(self.refusal(bytes)) }
    }

    fn read_all(&self, body: Body<BufReader<Timed>>) -> Result<Vec<u8>, ClientError> {
        let mut bytes = Vec::new();
        body.take(BODY + 1).read_to_end(&mut bytes).map_err(|e| broken(&self.socket, e))?;
        if u64::try_from(bytes.len()).is_ok_and(|n| n <= BODY) {
            Ok(bytes)
        } else {
            Err(self.nonsense(format!("it is longer than {BODY} bytes")))
        }
    }

    fn refusal(&self, bytes: Vec<u8>) -> ClientError {
        match serde_json::from_slice::<Failure>(&bytes) {
            Ok(f) if f.kind == FailureKind::NotPermitted => ClientError::NotPermitted(self.socket.clone()),
            Ok(failure) => ClientError::Refused(failure),
            Err(e) => self.nonsense(e),
        }
    }

    fn nonsense(&self, why: impl ToString) -> ClientError {
        ClientError::Nonsense { path: self.socket.clone(), why: why.to_string() }
    }

    fn request(
        &self,
        method: &str,
        target: &str,
        body: Option<&str>,
    ) -> Result<(Body<BufReader<Timed>>, u16), ClientError> {
        let stream = UnixStream::connect(&self.socket).map_err(|e| match e.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                ClientError::NoGuard(self.socket.clone())
            }
            io::ErrorKind::PermissionDenied => ClientError::NotPermitted(self.socket.clone()),
            _ => broken(&self.socket, e),
        })?;
        // Whatever a stranger answers would be printed as the guard's word.
        let peer = socket_peercred(&stream).map_err(|e| broken(&self.socket, e.into()))?;
        if !trusted(peer.uid.as_raw()) {
            return Err(ClientError::Stranger(self.socket.clone(), peer.uid.as_raw()));
        }
        let mut stream = Timed { stream, until: Some(Instant::now() + ANSWER) };
        let body = body.unwrap_or_default();
        let request = format!(
            "{method} {target} HTTP/1.1\r\nhost: miner-guard\r\nconnection: close\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.send(request.as_bytes()).map_err(|e| broken(&self.socket, e))?;
        let mut reader = BufReader::new(stream);
        let head = http::head(&mut reader).map_err(|e| broken(&self.socket, e))?;
        Ok((Body::new(reader, head.framing), head.status))
    }
}

fn broken(socket: &Path, e: io::Error) -> ClientError {
    match e.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
            ClientError::TooSlow(socket.to_owned(), ANSWER.as_secs())
        }
        io::ErrorKind::InvalidData => ClientError::Nonsense { path: socket.to_owned(), why: e.to_string() },
        _ => ClientError::Io { path: socket.to_owned(), source: e },
    }
}

/// Everything but `[A-Za-z0-9-._~]` as `%XX`.
fn percent(text: &str) -> String {
    let mut out = String::new();
    for b in text.bytes() {
        match b {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(b)),
            _ => out.push_str(&format!("%{b:02X}")),
        }
    }
    out
}

/// A stream whose reads end at a moment, however slowly the bytes drip.
#[derive(Debug)]
struct Timed {
    stream: UnixStream,
    until: Option<Instant>,
}

impl Timed {
    fn left(&self) -> io::Result<Option<Duration>> {
        let Some(until) = self.until else { return Ok(None) };
        match until.checked_duration_since(Instant::now()) {
            Some(left) if !left.is_zero() => Ok(Some(left)),
            _ => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.set_write_timeout(self.left()?)?;
        match self.stream.write_all(bytes) {
            // Whoever closes early has perhaps said why: it is there to be read.
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            done => done,
        }
    }
}

impl Read for Timed {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(self.left()?)?;
        self.stream.read(into)
    }
}

/// How events are to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// A JSON object each.
    Json,
    /// A line each, for people.
    Text,
    /// The same, with colours for a terminal.
    Coloured,
}

/// Live events, a line each.
#[derive(Debug)]
pub struct Events {
    lines: BufReader<Body<BufReader<Timed>>>,
    socket: PathBuf,
}

impl Events {
    /// The next event, for as long as it takes, or no later than `until`. None when the guard has gone.
    ///
    /// # Errors
    /// [`ClientError::TooSlow`] once `until` has passed: then this stream is of no more use.
    pub fn next(&mut self, until: Option<Instant>) -> Result<Option<String>, ClientError> {
        self.lines.get_mut().inner_mut().get_mut().until = until;
        let mut line = Vec::new();
        match (&mut self.lines).take(LINE).read_until(b'\n', &mut line) {
            Ok(0) => return Ok(None),
            Ok(_) => {}
            // The guard was stopped, or died.
            Err(e) if matches!(e.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset) => {
                return Ok(None);
            }
            Err(e) => return Err(broken(&self.socket, e)),
        }
        if line.pop() != Some(b'\n') {
            let why = "an event breaks off".to_owned();
            return Err(ClientError::Nonsense { path: self.socket.clone(), why });
        }
        let nonsense = |e: std::string::FromUtf8Error| ClientError::Nonsense {
            path: self.socket.clone(),
            why: e.to_string(),
        };
        String::from_utf8(line).map(Some).map_err(nonsense)
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        // Tells the guard at once that nobody watches any more.
        let _ = self.lines.get_ref().inner().get_ref().stream.shutdown(Shutdown::Both);
    }
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
