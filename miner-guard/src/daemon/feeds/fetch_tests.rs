//! Fetching, from a TLS server on loopback with its own authority.

use super::*;
use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::TcpListener,
    sync::mpsc,
};

/// A server that answers each request with the next of its answers, and says what it was asked.
struct Server {
    port: u16,
    ca: tempfile::NamedTempFile,
    asked: mpsc::Receiver<String>,
    into: tempfile::TempDir,
}

impl Server {
    fn answering(answers: Vec<Vec<u8>>) -> Self {
        let authority_key = rcgen::KeyPair::generate().unwrap();
        let mut parameters = rcgen::CertificateParams::new(Vec::new()).unwrap();
        parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let authority = rcgen::CertifiedIssuer::self_signed(parameters, authority_key).unwrap();
        let key = rcgen::KeyPair::generate().unwrap();
        let names = vec!["127.0.0.1".to_owned(), "localhost".to_owned()];
        let certificate = rcgen::CertificateParams::new(names).unwrap().signed_by(&key, &authority).unwrap();
        let mut ca = tempfile::NamedTempFile::new().unwrap();
        ca.write_all(authority.pem().as_bytes()).unwrap();

        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                rustls::pki_types::PrivateKeyDer::Pkcs8(key.serialize_der().into()),
            )
            .unwrap();
        let config = Arc::new(config);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (tell, asked) = mpsc::channel();
        std::thread::spawn(move || {
            for answer in answers {
                let Ok((socket, _)) = listener.accept() else { return };
                let Ok(connection) = rustls::ServerConnection::new(Arc::clone(&config)) else { return };
                let mut stream = BufReader::new(rustls::StreamOwned::new(connection, socket));
                let mut request = String::new();
                // A client that does not trust us never sends one.
                while stream.read_line(&mut request).is_ok_and(|n| n > 2) {}
                let _ = tell.send(request);
                let _ = stream.get_mut().write_all(&answer);
                stream.get_mut().conn.send_close_notify();
                let _ = stream.get_mut().flush();
            }
        });
        Self { port, ca, asked, into: tempfile::tempdir().unwrap() }
    }

    fn job(&self) -> Job {
        Job {
            url: format!("https://127.0.0.1:{}/pools.txt", self.port),
            ca: Some(self.ca.path().to_owned()),
            signed: false,
            limit: 1 << 20,
            known: None,
            into: self.into.path().to_owned(),
        }
    }
}

fn answer(status: &str, headers: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {}\r\n{headers}\r\n{body}", body.len())
        .into_bytes()
}

#[test]
fn a_feed_is_fetched_with_its_signature_and_version_and_not_again_while_it_is_the_same() {
    let server = Server::answering(vec![
        answer("200 OK", "etag: \"v1\"\r\nlast-modified: Mon, 23 Nov 2026 00:00:00 GMT\r\n", "192.0.2.1\n"),
        answer("200 OK", "", "untrusted comment: x\n"),
        answer("304 Not Modified", "", ""),
        answer("304 Not Modified", "", ""),
    ]);
    let job = Job { signed: true, ..server.job() };
    let fetched = job.run().unwrap();
    let (etag, date) = (Some("\"v1\"".to_owned()), Some("Mon, 23 Nov 2026 00:00:00 GMT".to_owned()));
    assert_eq!(fetched, Fetched::New { etag: etag.clone(), last_modified: date.clone() });
    assert_eq!(fs::read(job.into.join("0")).unwrap(), b"192.0.2.1\n");
    assert_eq!(fs::read(job.into.join("0.minisig")).unwrap(), b"untrusted comment: x\n");
    assert!(server.asked.recv().unwrap().starts_with("GET /pools.txt HTTP/1.1\r\n"));
    assert!(server.asked.recv().unwrap().starts_with("GET /pools.txt.minisig HTTP/1.1\r\n"));
    let known = Meta { etag, last_modified: date, ..Meta::default() };
    let again = Job { known: Some(known.clone()), ..job };
    assert_eq!(again.run(), Ok(Fetched::Unchanged));
    assert!(server.asked.recv().unwrap().to_lowercase().contains("if-none-match: \"v1\"\r\n"));
    let by_date = Job { known: Some(Meta { etag: None, ..known }), ..again };
    assert_eq!(by_date.run(), Ok(Fetched::Unchanged));
    assert!(server.asked.recv().unwrap().to_lowercase().contains("if-modified-since: mon, 23 nov 2026"));
}

#[test]
fn a_server_that_is_not_signed_by_the_authority_is_not_believed() {
    let (server, other) =
        (Server::answering(vec![answer("200 OK", "", "192.0.2.1\n")]), Server::answering(vec![]));
    let job = Job { ca: Some(other.ca.path().to_owned()), ..server.job() };
    let why = job.run().unwrap_err();
    assert!(why.contains("certificate"), "{why}");
    assert!(!job.into.join("0").exists());
    let job = Job { ca: Some("/nonexistent".into()), ..server.job() };
    assert!(job.run().unwrap_err().contains("/nonexistent"));
}

#[test]
fn what_is_too_large_is_not_taken_whether_it_says_so_or_not() {
    let body = "x".repeat(4096);
    let endless = format!("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{body}").into_bytes();
    let server = Server::answering(vec![answer("200 OK", "", &body), endless]);
    let job = Job { limit: 1000, ..server.job() };
    for _ in 0..2 {
        let why = job.run().unwrap_err();
        assert!(why.contains("is larger than") && why.contains("feed_mib"), "{why}");
    }
}

#[test]
fn an_error_a_missing_signature_and_a_way_out_of_https_are_told() {
    let server = Server::answering(vec![
        answer("404 Not Found", "", "no"),
        answer("200 OK", "", "192.0.2.1\n"),
        answer("404 Not Found", "", "no"),
        answer("302 Found", "location: http://127.0.0.1:1/x\r\n", ""),
        answer("304 Not Modified", "", ""),
    ]);
    assert!(server.job().run().unwrap_err().contains("404"));
    let why = Job { signed: true, ..server.job() }.run().unwrap_err();
    assert!(why.contains(".minisig: the server answered 404"), "{why}");
    assert!(server.job().run().is_err());
    assert!(server.job().run().unwrap_err().contains("304"));
}
