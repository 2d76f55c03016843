//! The questions of the hooks, asked of a compiled policy on the host: what would the kernel answer?

use super::{
    Resolved,
    compile::{CompileError, CompileRequest, Image},
};
use miner_guard_common::{
    abi::verdict::{Mode, Reason, Verdict},
    table::{self, Answer, Destination, Header, NameHasher, SipKey},
};
use std::{
    hash::{BuildHasher as _, RandomState},
    net::SocketAddr,
};

/// A policy, compiled, and ready to be asked.
pub struct Asker {
    image: Image,
}

impl Asker {
    /// Compiles a policy under a random key, as a guard does.
    ///
    /// # Errors
    /// The policy cannot be laid out.
    pub fn new(policy: &Resolved) -> Result<Self, CompileError> {
        let random = RandomState::new();
        let key = SipKey(random.hash_one(1_u8), random.hash_one(2_u8));
        let request = CompileRequest { generation: 0, mode: Mode::Audit, key, canary: None };
        Ok(Self { image: policy.compile(&request, &[])? })
    }

    /// What is decided on a destination; `None`: nothing lists it, or it is protected or allowed.
    pub fn destination(&self, to: SocketAddr) -> Option<Answer> {
        let blocks = self.image.blocks();
        let header = Header::read(&blocks)?;
        let to = Destination { address: to.ip().into(), port: to.port() };
        let answer = table::destination(&blocks, &header, &to)?;
        table::protected(&blocks, &header, &to).is_none().then_some(answer)
    }

    /// Whether a destination is protected or allowed.
    pub fn is_protected(&self, to: SocketAddr) -> bool {
        let blocks = self.image.blocks();
        let to = Destination { address: to.ip().into(), port: to.port() };
        Header::read(&blocks).is_some_and(|header| table::protected(&blocks, &header, &to).is_some())
    }

    /// What is decided on a name in lower case: the longest suffix that stops, else the longest that is listed.
    pub fn name(&self, name: &[u8]) -> Option<Answer> {
        let blocks = self.image.blocks();
        let header = Header::read(&blocks)?;
        let mut hasher = table::name_hasher(&blocks)?;
        let mut found: Option<Answer> = None;
        let mut allowed = false;
        let mut ask = |hasher: &NameHasher, whole| {
            allowed |= table::allowed_name(&blocks, &header, hasher, whole).is_some();
            // From the shortest suffix on: a later one goes first, unless it is the weaker.
            if let Some(a) = table::name(&blocks, &header, hasher, whole)
                && (a.verdict.stops() || !found.is_some_and(|f| f.verdict.stops()))
            {
                found = Some(a);
            }
        };
        for (i, b) in name.iter().enumerate().rev() {
            hasher.push(*b);
            if i == 0 || name[i - 1] == b'.' {
                ask(&hasher, i == 0);
            }
        }
        found.filter(|_| !allowed)
    }
}

/// What a pool protocol brings, which no rule lists.
pub const PROTOCOL: Answer = Answer { rule: 0, verdict: Verdict::Deny, reason: Reason::Protocol };

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{self, LoadRequest, explain};

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig { cases: 64, ..Default::default() })]

        #[test]
        fn it_answers_as_explain_does(name in "((x|pool|eu|good)\\.){0,3}(b\\.example|x\\.com)") {
            let dir = tempfile::tempdir().unwrap();
            let file = dir.path().join("c.toml");
            std::fs::write(&file, "builtin = false\n[[rule]]\nid = \"a\"\ndomain = [\"*.b.example\", \"x.com\"]\naction = \"alert\"\n\
                [[rule]]\nid = \"d\"\ndomain = [\"pool.b.example\", \"*.pool.b.example\", \"*.x.com\"]\n[[allow]]\ndomain = \"*.good.b.example\"\n").unwrap();
            let policy = policy::load(&LoadRequest { file: Some(&file), ..LoadRequest::default() }).unwrap();
            let asker = Asker::new(&policy).unwrap();
            let e = explain::explain(&policy, &explain::Question::Name(name.clone())).unwrap();
            let got = asker.name(name.as_bytes());
            proptest::prop_assert_eq!(got.map_or(Verdict::Allow, |a| a.verdict), e.verdict);
            if got.is_some() {
                proptest::prop_assert_eq!(got.and_then(|a| policy.rule(a.rule)).cloned(), e.rule);
            }
        }
    }
}
