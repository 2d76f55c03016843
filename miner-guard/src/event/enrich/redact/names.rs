//! Which names name a secret.

/// Words that make a name a secret's.
const WORDS: &[&str] = &[
    "pass",
    "passwd",
    "password",
    "passphrase",
    "pwd",
    "secret",
    "secrets",
    "token",
    "apikey",
    "credential",
    "credentials",
    "authorization",
    "cookie",
    "userpass",
];
/// Two words in a row that do.
const PAIRS: &[(&str, &str)] = &[
    ("api", "key"),
    ("access", "key"),
    ("private", "key"),
    ("auth", "key"),
    ("account", "key"),
    ("x", "auth"),
];
/// Ends of a word that do: `dbpassword`, `authtoken`.
const ENDS: &[&str] = &["passwd", "password", "passphrase", "secret", "token", "apikey"];
/// Last words that say that the value is no secret but where to find one, or how.
const HARMLESS: &[&str] =
    &["file", "path", "dir", "fd", "url", "uri", "command", "cmd", "type", "policy", "prompt"];

/// `--password`, `AWS_SECRET_ACCESS_KEY`, `apiKey`, `X-Auth-Token`, `{"pass"`.
pub(super) fn is_secret(name: &str) -> bool {
    // A name is short; a whole script before an equals sign is none.
    if name.len() > 128 {
        return false;
    }
    let words = words(name);
    if words.last().is_none_or(|last| HARMLESS.contains(&last.as_str())) {
        return false;
    }
    // The working directory of a shell.
    if let [only] = words.as_slice()
        && only == "pwd"
    {
        return false;
    }
    words.iter().any(|w| WORDS.contains(&w.as_str()) || ENDS.iter().any(|e| w.ends_with(e)))
        || words.windows(2).any(|w| matches!(w, [a, b] if PAIRS.contains(&(a, b))))
}

/// Options whose value is `user:password`.
pub(super) fn takes_user_password(option: &str) -> bool {
    matches!(option, "u" | "U" | "O" | "user" | "userpass" | "proxy-user" | "username")
}

/// Lower-case words: split at what is not a letter or digit, and where camelCase changes.
fn words(name: &str) -> Vec<String> {
    let mut out = vec![String::new()];
    let mut lower_before = false;
    for c in name.chars() {
        let boundary = !c.is_ascii_alphanumeric() || (c.is_ascii_uppercase() && lower_before);
        if boundary {
            out.push(String::new());
        }
        lower_before = c.is_ascii_lowercase() || c.is_ascii_digit();
        if c.is_ascii_alphanumeric()
            && let Some(word) = out.last_mut()
        {
            word.push(c.to_ascii_lowercase());
        }
    }
    out.retain(|w| !w.is_empty());
    out
}
