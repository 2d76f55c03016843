//! Signatures of feeds: minisign, with the time of signing and an end in the trusted comment.
//!
//! minisign signs its *trusted comment* with the content. Two words of it are read here: `timestamp:SECONDS`, which the
//! tool writes itself, and `expires:WHEN`, which a publisher adds: seconds since 1970, `2027-01-31`, or RFC 3339.

use minisign_verify::{PublicKey, Signature};

/// What a signature file is called: the feed's name and this.
pub const SUFFIX: &str = ".minisig";
/// A signature has four short lines.
pub(super) const LONGEST: u64 = 4096;

/// A publisher's key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    text: String,
}

/// What a good signature says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Signed {
    /// When it was signed, seconds since 1970, if it says so.
    pub at: Option<i64>,
    /// Until when it holds, likewise.
    pub expires: Option<i64>,
}

impl Key {
    /// The second line of a minisign public key file, or the whole file.
    pub fn parse(text: &str) -> Option<Self> {
        let line = text.lines().rfind(|l| !l.trim().is_empty())?.trim();
        PublicKey::from_base64(line).ok()?;
        Some(Self { text: line.to_owned() })
    }

    /// The key, as the policy writes it.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Checks content against its signature file. Whether it has expired is the caller's question.
    ///
    /// # Errors
    /// A phrase that follows the content's name.
    pub fn verify(&self, content: &[u8], signature: &str) -> Result<Signed, &'static str> {
        const OTHER: &str = "is not signed by this key, or was changed since";
        let key = PublicKey::from_base64(&self.text).map_err(|_| OTHER)?;
        let signature = Signature::decode(signature).map_err(|_| "has a signature file that is none")?;
        // Not the legacy form, which signs the content itself and not its hash.
        key.verify(content, &signature, false).map_err(|_| OTHER)?;
        comment(signature.trusted_comment())
    }
}

fn comment(text: &str) -> Result<Signed, &'static str> {
    let mut signed = Signed::default();
    for word in text.split_ascii_whitespace() {
        match word.split_once(':') {
            Some(("timestamp", value)) => signed.at = value.parse().ok(),
            Some(("expires", value)) => {
                // An end that cannot be read must not mean "never".
                let end = moment(value).ok_or("has a trusted comment whose `expires:` cannot be read")?;
                signed.expires = Some(signed.expires.map_or(end, |other| other.min(end)));
            }
            _ => {}
        }
    }
    Ok(signed)
}

fn moment(text: &str) -> Option<i64> {
    if let Ok(seconds) = text.parse() {
        return Some(seconds);
    }
    let day = || text.parse::<jiff::civil::Date>().ok()?.to_zoned(jiff::tz::TimeZone::UTC).ok();
    let whole = text.parse::<jiff::Timestamp>().ok();
    whole.or_else(|| Some(day()?.timestamp())).map(jiff::Timestamp::as_second)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A publisher with a fresh key.
    pub(crate) struct Publisher(minisign::KeyPair);

    impl Publisher {
        pub(crate) fn new() -> Self {
            Self(minisign::KeyPair::generate_unencrypted_keypair().unwrap())
        }

        pub(crate) fn key(&self) -> String {
            self.0.pk.to_base64()
        }

        pub(crate) fn sign(&self, content: &[u8], comment: &str) -> String {
            minisign::sign(Some(&self.0.pk), &self.0.sk, content, Some(comment), None).unwrap().into_string()
        }
    }

    #[test]
    fn a_signature_holds_for_its_content_and_key_and_tells_its_times() {
        let (publisher, other) = (Publisher::new(), Publisher::new());
        let key = Key::parse(&publisher.key()).unwrap();
        let signature =
            publisher.sign(b"192.0.2.1\n", "timestamp:1790000000\tfile:pools.txt expires:2027-01-31");
        let want = Signed { at: Some(1_790_000_000), expires: Some(1_801_353_600) };
        assert_eq!(key.verify(b"192.0.2.1\n", &signature), Ok(want));
        assert!(key.verify(b"192.0.2.2\n", &signature).unwrap_err().starts_with("is not signed by this key"));
        let key = Key::parse(&format!("untrusted comment: x\n{}\n", other.key())).unwrap();
        assert!(key.verify(b"192.0.2.1\n", &signature).is_err());
        // The comment is part of what is signed.
        let forged = signature.replace("expires:2027", "expires:2999");
        let key = Key::parse(&publisher.key()).unwrap();
        assert!(key.verify(b"192.0.2.1\n", &forged).is_err());
        assert_eq!(key.verify(b"", "nonsense"), Err("has a signature file that is none"));
    }

    #[test]
    fn ends_are_read_in_every_form_and_one_that_cannot_be_read_is_an_error() {
        for (text, want) in [
            ("expires:1801353600", Some(1_801_353_600)),
            ("expires:2027-01-31T00:00:00Z", Some(1_801_353_600)),
            ("expires:2027-01-31", Some(1_801_353_600)),
            ("expires:2027-01-31 expires:7", Some(7)),
            ("nothing here", None),
        ] {
            assert_eq!(comment(text).map(|s| s.expires), Ok(want), "{text}");
        }
        assert!(comment("expires:soon").is_err());
        assert_eq!(Key::parse("nonsense"), None);
        assert_eq!(Key::parse(""), None);
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text: String, content: Vec<u8>) {
            let _ = Key::parse(&text);
            let _ = comment(&text);
            let key = Key::parse("RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3");
            if let Some(key) = key {
                let _ = key.verify(&content, &text);
            }
        }
    }
}
