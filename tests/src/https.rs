//! A web server on loopback, with a certificate of its own authority: what a publisher of feeds is to a guard.

use std::{
    collections::HashMap,
    io::{BufRead as _, BufReader, Write as _},
    net::TcpListener,
    sync::{Arc, Mutex, PoisonError, mpsc},
};

use anyhow::{Context as _, Result};

/// What is served: by path, a version (its ETag) and the content.
type Pages = Arc<Mutex<HashMap<String, (String, String)>>>;

/// A server that lives as long as the test program.
pub struct Https {
    port: u16,
    authority: String,
    pages: Pages,
    asked: mpsc::Receiver<(String, u16)>,
}

impl Https {
    /// Starts it on a free port.
    pub fn start() -> Result<Self> {
        let mut parameters = rcgen::CertificateParams::new(Vec::new())?;
        parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let authority = rcgen::CertifiedIssuer::self_signed(parameters, rcgen::KeyPair::generate()?)?;
        let key = rcgen::KeyPair::generate()?;
        let certificate =
            rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()])?.signed_by(&key, &authority)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                rustls::pki_types::PrivateKeyDer::Pkcs8(key.serialize_der().into()),
            )?;
        let config = Arc::new(config);
        let listener = TcpListener::bind("127.0.0.1:0").context("cannot listen on loopback")?;
        let port = listener.local_addr()?.port();
        let pages = Pages::default();
        let (tell, asked) = mpsc::channel();
        let served = Arc::clone(&pages);
        std::thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                let Ok(connection) = rustls::ServerConnection::new(Arc::clone(&config)) else { return };
                let mut stream = BufReader::new(rustls::StreamOwned::new(connection, socket));
                let mut request = String::new();
                while stream.read_line(&mut request).is_ok_and(|n| n > 2) {}
                let (status, headers, body) = answer(&request, &served);
                let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
                let text = format!(
                    "HTTP/1.1 {status} -\r\nconnection: close\r\n{headers}content-length: {}\r\n\r\n{body}",
                    body.len()
                );
                // A client that goes away is the test's matter.
                let _ = stream.get_mut().write_all(text.as_bytes());
                stream.get_mut().conn.send_close_notify();
                let _ = stream.get_mut().flush();
                if tell.send((path, status)).is_err() {
                    return;
                }
            }
        });
        Ok(Self { port, authority: authority.pem(), pages, asked })
    }

    /// Serves this content from now on, as a new version.
    pub fn serve(&self, path: &str, version: &str, content: &str) {
        let mut pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        pages.insert(path.to_owned(), (format!("\"{version}\""), content.to_owned()));
    }

    /// The address of a path.
    pub fn url(&self, path: &str) -> String {
        format!("https://127.0.0.1:{}{path}", self.port)
    }

    /// The certificate of the authority, PEM.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// Path and status of each request since the last question.
    pub fn asked(&self) -> Vec<(String, u16)> {
        self.asked.try_iter().collect()
    }
}

fn answer(request: &str, pages: &Pages) -> (u16, String, String) {
    let path = request.split(' ').nth(1).unwrap_or_default();
    let pages = pages.lock().unwrap_or_else(PoisonError::into_inner);
    match pages.get(path) {
        None => (404, String::new(), "no such page".to_owned()),
        Some((etag, _)) if request.contains(&format!("{etag}\r\n")) => (304, String::new(), String::new()),
        Some((etag, content)) => (200, format!("etag: {etag}\r\n"), content.clone()),
    }
}
