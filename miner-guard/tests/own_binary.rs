//! The guard must not find itself: it holds every sign of a miner that it looks for.

#![allow(missing_docs, reason = "a test has no readers of its documentation")]

use miner_guard::identify::{Class, Identifier};

#[test]
fn the_guard_itself_is_clean() {
    let own = std::path::Path::new(env!("CARGO_BIN_EXE_miner-guard"));
    let finding = Identifier::new().identify_path(own, None).unwrap();
    assert_eq!(finding.class, Class::Clean, "{:#?}", finding.evidence);
}
