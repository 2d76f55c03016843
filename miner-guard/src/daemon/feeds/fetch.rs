//! Fetching a feed by HTTPS: blocking, bounded in bytes and time, and only what is newer than the copy.

use crate::policy::feed::{FeedReport, kept, kept::Meta, signed};
use std::{
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use ureq::{
    Agent, Body,
    http::{Response, StatusCode, header},
    tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem},
};

/// For everything: name, connection, redirections, content, signature.
const PATIENCE: Duration = Duration::from_secs(40);
const REDIRECTIONS: u32 = 4;

/// Where distributions keep the certificates that they trust.
const SYSTEM_CERTIFICATES: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];
/// Largest file of certificates.
const CERTIFICATES: u64 = 16 << 20;

/// What is to be fetched.
#[derive(Clone, Debug)]
pub struct Job {
    /// Its address.
    pub url: String,
    /// Certificates instead of the system's.
    pub ca: Option<PathBuf>,
    /// Whether there has to be a signature beside it.
    pub signed: bool,
    /// Largest content, bytes.
    pub limit: u64,
    /// The copy from before.
    pub known: Option<Meta>,
    /// An empty directory.
    pub into: PathBuf,
}

/// What a fetch gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fetched {
    /// The server has nothing newer.
    Unchanged,
    /// The directory holds it.
    New {
        /// What the server calls this version.
        etag: Option<String>,
        /// When it was changed, in the server's words.
        last_modified: Option<String>,
    },
}

impl Job {
    /// To fetch this feed.
    pub fn of(feed: &FeedReport, known: Option<Meta>, limit: u64, into: PathBuf) -> Self {
        let (url, ca, signed) = (feed.source.clone(), feed.ca.clone(), feed.key.is_some());
        Self { url, ca, signed, limit, known, into }
    }

    /// Does it. Blocks.
    ///
    /// # Errors
    /// What went wrong, for people.
    pub fn run(&self) -> Result<Fetched, String> {
        let agent = agent(self.ca.as_deref())?;
        let mut request = agent.get(&self.url);
        if let Some(known) = &self.known {
            if let Some(etag) = &known.etag {
                request = request.header(header::IF_NONE_MATCH, etag);
            } else if let Some(date) = &known.last_modified {
                request = request.header(header::IF_MODIFIED_SINCE, date);
            }
        }
        let mut response = request.call().map_err(|e| format!("{}: {e}", self.url))?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::NOT_MODIFIED if self.known.is_some() => return Ok(Fetched::Unchanged),
            other => return Err(format!("{}: the server answered {other}", self.url)),
        }
        save(&mut response, &self.url, &self.into.join("0"), self.limit)?;
        if self.signed {
            let url = format!("{}{}", self.url, signed::SUFFIX);
            let mut response = agent.get(&url).call().map_err(|e| format!("{url}: {e}"))?;
            if response.status() != StatusCode::OK {
                return Err(format!("{url}: the server answered {}", response.status()));
            }
            save(&mut response, &url, &kept::signature_in(&self.into), 64 << 10)?;
        }
        let header = |name| response.headers().get(name).and_then(|v| v.to_str().ok()).map(str::to_owned);
        Ok(Fetched::New { etag: header(header::ETAG), last_modified: header(header::LAST_MODIFIED) })
    }
}

fn save(response: &mut Response<Body>, url: &str, to: &Path, limit: u64) -> Result<(), String> {
    let too_large = || format!("{url} is larger than {} MiB: raise feed_mib in [limits]", limit >> 20);
    if response.body().content_length().is_some_and(|n| n > limit) {
        return Err(too_large());
    }
    let mut file = File::create(to).map_err(|e| format!("writing {}: {e}", to.display()))?;
    let body = response.body_mut().with_config().limit(u64::MAX).reader();
    let n = io::copy(&mut body.take(limit + 1), &mut file).map_err(|e| format!("{url}: {e}"))?;
    if n > limit { Err(too_large()) } else { Ok(()) }
}

fn agent(ca: Option<&Path>) -> Result<Agent, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = TlsConfig::builder()
        .root_certs(RootCerts::new_with_certs(&certificates(ca)?))
        .unversioned_rustls_crypto_provider(provider)
        .build();
    let config = Agent::config_builder()
        .tls_config(tls)
        .https_only(true)
        .http_status_as_error(false)
        .max_redirects(REDIRECTIONS)
        .timeout_global(Some(PATIENCE))
        .user_agent(concat!("miner-guard/", env!("CARGO_PKG_VERSION")))
        .build();
    Ok(config.new_agent())
}

fn certificates(ca: Option<&Path>) -> Result<Vec<Certificate<'static>>, String> {
    let system = || SYSTEM_CERTIFICATES.iter().map(Path::new).find(|p| p.is_file());
    let path = ca.or_else(system).ok_or(
        "this system has no file of trusted certificates (install ca-certificates, or name one with `ca`)",
    )?;
    let wrong = |why: &str| format!("the certificates of {}: {why}", path.display());
    let mut pem = Vec::new();
    let file = File::open(path).map_err(|e| wrong(&e.to_string()))?;
    file.take(CERTIFICATES).read_to_end(&mut pem).map_err(|e| wrong(&e.to_string()))?;
    let found = parse_pem(&pem).filter_map(|item| match item {
        Ok(PemItem::Certificate(c)) => Some(c),
        _ => None,
    });
    let found: Vec<_> = found.collect();
    if found.is_empty() { Err(wrong("there is none in it, in PEM form")) } else { Ok(found) }
}

#[cfg(test)]
#[path = "fetch_tests.rs"]
mod tests;
