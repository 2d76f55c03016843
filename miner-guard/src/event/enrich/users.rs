//! User ids → names, through the system's own resolver (`getpwuid_r`), so that LDAP and SSSD work.
//!
//! (A statically linked build asks `/etc/passwd` only.) The resolver may wait for a directory server: that is why
//! answers are kept, also the answer that there is no such user.

use lru::LruCache;
use nix::unistd::{Uid, User};
use std::num::NonZeroUsize;

const REMEMBERED: usize = 512;
/// How long an answer holds, nanoseconds.
const HOLDS_NS: u64 = 300_000_000_000;

type Lookup = fn(u32) -> Option<String>;

/// Names of users, remembered.
#[derive(Debug)]
pub struct Users {
    lookup: Lookup,
    known: LruCache<u32, (u64, Option<String>)>,
}

impl Default for Users {
    fn default() -> Self {
        Self::with(|uid| User::from_uid(Uid::from_raw(uid)).ok().flatten().map(|u| u.name))
    }
}

impl Users {
    /// With another resolver.
    pub fn with(lookup: Lookup) -> Self {
        Self { lookup, known: LruCache::sparse(NonZeroUsize::new(REMEMBERED).unwrap_or(NonZeroUsize::MIN)) }
    }

    /// The name of a user, if there is one.
    pub fn name(&mut self, uid: u32, now_ns: u64) -> Option<String> {
        match self.known.get(&uid) {
            Some((asked_ns, name)) if now_ns.saturating_sub(*asked_ns) < HOLDS_NS => name.clone(),
            _ => {
                let name = (self.lookup)(uid);
                self.known.put(uid, (now_ns, name.clone()));
                name
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[test]
    fn root_has_a_name_and_a_number_out_of_nowhere_has_none() {
        let mut users = Users::default();
        assert_eq!(users.name(0, 0).as_deref(), Some("root"));
        assert_eq!(users.name(3_999_999_999, 0), None);
    }

    #[test]
    fn the_resolver_is_asked_once_while_the_answer_holds() {
        static ASKED: AtomicU32 = AtomicU32::new(0);
        let mut users = Users::with(|_| {
            ASKED.fetch_add(1, Ordering::Relaxed);
            None
        });
        for now in 0..100 {
            users.name(7, now);
        }
        assert_eq!(ASKED.load(Ordering::Relaxed), 1);
        users.name(7, HOLDS_NS);
        assert_eq!(ASKED.load(Ordering::Relaxed), 2);
    }
}
