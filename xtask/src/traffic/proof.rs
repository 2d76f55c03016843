//! What must be stopped and told, so that silence about the rest means something.

use anyhow::Result;

use super::room::Room;

/// Its cgroup.
pub const PART: &str = "proof";
const DENIED_NAME: &str = "denied.example";

/// Something that the policy denies.
pub struct Proof {
    /// What was tried.
    pub name: &'static str,
    /// `event.action` of the event that must come.
    pub action: &'static str,
    /// A word of that event.
    pub word: &'static str,
    /// Whether it came to nothing.
    pub stopped: bool,
    /// What the program that tried it saw.
    pub saw: String,
}

/// The embedded feed, and one name of our own.
pub fn policy() -> String {
    format!("builtin = true\n[[rule]]\nid = \"proof\"\ndomain = [\"{DENIED_NAME}\"]\naction = \"deny\"\n")
}

/// Tries all.
pub fn run(room: &Room) -> Result<Vec<Proof>> {
    let name = room.run(PART, &format!("curl -sS --max-time 20 http://{DENIED_NAME}/small 2>&1 || true"))?;
    let opening = room
        .run(PART, "python3 say.py 80 '{\"id\":1,\"method\":\"mining.subscribe\",\"params\":[\"x/1\"]}'")?;
    let tls = room.run(
        PART,
        &format!("curl -sS --max-time 20 --cacert ca.pem --resolve {DENIED_NAME}:443:127.0.0.1 https://{DENIED_NAME}/small 2>&1 || true"),
    )?;
    let of = |name, action, word, saw: String, stopped| Proof {
        name,
        action,
        word,
        saw: saw.trim().to_owned(),
        stopped,
    };
    Ok(vec![
        of(
            "a question for a denied name",
            "dns-question-denied",
            "\"question\"",
            name.clone(),
            name.contains("Could not resolve"),
        ),
        of(
            "a Stratum opening to nginx",
            "connection-denied",
            "stratum",
            opening.clone(),
            !opening.contains("answered"),
        ),
        of("TLS to a denied name", "connection-denied", "\"tls\"", tls.clone(), tls.contains("curl: (")),
    ])
}
