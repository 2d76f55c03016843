//! One number for a rule set: what an operator compares across a thousand nodes.

use super::resolved::Resolved;
use sha2::{Digest as _, Sha256};

/// SHA-256 over everything that decides a verdict, the mode left out. Where the policy was read from does not count.
pub(super) fn of(r: &Resolved) -> [u8; 32] {
    let mut out = Chunked { hash: Sha256::new(), buffer: Vec::with_capacity(BUFFER + 64) };
    for rule in r.rules.iter().skip(1) {
        out.text(&rule.id);
        out.bytes(&[rule.action as u8]);
    }
    // The long list in a short form; its length keeps it apart from what follows.
    out.bytes(&(r.addresses4.len() as u64).to_le_bytes());
    for e in &r.addresses4 {
        let ports = u32::from(e.ports.low) | u32::from(e.ports.high) << 16;
        let [k, rule, ports] = [e.key, e.rule, ports].map(u32::to_le_bytes);
        let [a, b, c, d] = k;
        let [i, j, l, m] = rule;
        let [p, q, s, t] = ports;
        out.bytes(&[a, b, c, d, i, j, l, m, p, q, s, t]);
    }
    for e in &r.prefixes4 {
        out.entry(b'4', u128::from(e.key.0), e.key.1, e.rule, (e.ports.low, e.ports.high));
    }
    for e in &r.addresses6 {
        out.entry(b'6', e.key, 128, e.rule, (e.ports.low, e.ports.high));
    }
    for e in &r.prefixes6 {
        out.entry(b'6', e.key.0, e.key.1, e.rule, (e.ports.low, e.ports.high));
    }
    for e in &r.ports {
        out.entry(b'p', 0, 0, e.rule, (e.ports.low, e.ports.high));
    }
    for (name, class, rule) in r.names.iter() {
        out.text(name);
        out.entry(b'n', 0, class as u8, rule, (0, 0));
    }
    // Small lists: their debug form is complete and unambiguous.
    out.text(&format!("{:?}{:?}", r.files, r.allowed));
    if let Some(yara) = &r.yara {
        out.text("yara");
        out.bytes(yara.digest());
    }
    for p in &r.protected {
        out.entry(b'x', p.first, 0, 0, (0, 0));
        out.entry(b'x', p.last, 0, 0, (0, 0));
    }
    out.flush();
    out.hash.finalize().into()
}

const BUFFER: usize = 1 << 15;

struct Chunked {
    hash: Sha256,
    buffer: Vec<u8>,
}

impl Chunked {
    fn flush(&mut self) {
        self.hash.update(&self.buffer);
        self.buffer.clear();
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= BUFFER {
            self.flush();
        }
    }

    fn text(&mut self, text: &str) {
        self.bytes(&(text.len() as u64).to_le_bytes());
        self.bytes(text.as_bytes());
    }

    fn entry(&mut self, kind: u8, key: u128, len: u8, rule: u32, ports: (u16, u16)) {
        self.buffer.extend_from_slice(&[kind, len]);
        self.buffer.extend_from_slice(&key.to_le_bytes());
        self.buffer.extend_from_slice(&rule.to_le_bytes());
        self.buffer.extend_from_slice(&ports.0.to_le_bytes());
        self.bytes(&ports.1.to_le_bytes());
    }
}
