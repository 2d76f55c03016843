//! Feeds as a guard takes them: a worse one never takes the place of a good one, and each says where it comes from.

use super::*;
use crate::policy::{
    Feeds, IndicatorClass,
    explain::{Question, explain},
    feed::{kept::Kept, signed::tests::Publisher},
};
use miner_guard_common::abi::verdict::Verdict;

const FEED: &str = "builtin = false\n[[feed]]\nid = \"f\"\npath = \"f.txt\"\n";

fn lines(n: u32) -> String {
    (0..n).map(|i| format!("198.51.100.{i}\n")).collect()
}

/// As a guard that starts does, with a state directory.
fn start(site: &Site) -> Result<Resolved, Vec<String>> {
    let state = site.path("state");
    let feeds = Feeds { fall_back: true, ..Feeds::default() };
    let policy = site.load_with(&LoadRequest { state: Some(&state), feeds, ..LoadRequest::default() })?;
    policy.feeds.iter().for_each(|f| Kept::at(&state).keep(f).unwrap());
    Ok(policy)
}

fn places(policy: &Resolved, thing: &str, site: &Site) -> Vec<String> {
    let explanation = explain(policy, &Question::parse(thing).unwrap()).unwrap();
    explanation.matches.iter().map(|m| relative(&m.places.join(" "), site)).collect()
}

#[test]
fn a_feed_that_lost_more_than_half_is_refused_without_force() {
    let site = Site::new(FEED);
    site.write("f.txt", lines(10));
    let before = site.load();
    site.write("f.txt", lines(5));
    assert_eq!(site.load_after(Some(&before)).unwrap().feeds[0].used, 5, "half may go");
    site.write("f.txt", lines(4));
    assert_eq!(
        site.load_after(Some(&before)).unwrap_err(),
        [
            "config.toml:4:8: feed \"f\": `path`: f.txt lists 4 indicators, and listed 10 before: more than half are gone; \
          restore it, or take it up as it is with `miner-guard feed update --force`"
        ]
    );
    let feeds = Feeds { update: Some("f"), force: true, ..Feeds::default() };
    let forced = site.load_with(&LoadRequest { previous: Some(&before), feeds, ..LoadRequest::default() });
    assert_eq!(forced.unwrap().feeds[0].used, 4);
    let feeds = Feeds { update: Some("other"), ..feeds };
    assert!(
        site.load_with(&LoadRequest { previous: Some(&before), feeds, ..LoadRequest::default() }).is_err()
    );
}

#[test]
fn a_feed_that_was_signed_earlier_is_refused_without_force() {
    let publisher = Publisher::new();
    let site = Site::new(&format!("{FEED}key = \"{}\"\n", publisher.key()));
    let write = |comment: &str| {
        site.write("f.txt", lines(10));
        site.write("f.txt.minisig", publisher.sign(lines(10).as_bytes(), comment));
    };
    write("timestamp:1790000000");
    let before = start(&site).unwrap();
    for (comment, said) in [
        (
            "timestamp:1780000000",
            "f.txt was signed at 2026-05-28T20:26:40Z, and the one in force at 2026-09-21T14:13:20Z: this is an older one",
        ),
        (
            "no time at all",
            "f.txt was signed at a time that it does not say, and the one in force at 2026-09-21T14:13:20Z",
        ),
    ] {
        write(comment);
        let refused = site.load_after(Some(&before)).unwrap_err();
        assert!(refused[0].contains(said), "{refused:?}");
        // After a restart the state directory remembers.
        let restarted = start(&site).unwrap();
        assert!(restarted.feeds[0].trouble.as_ref().is_some_and(|t| t.contains("older one")), "{comment}");
    }
    let feeds = Feeds { update: Some("f"), force: true, ..Feeds::default() };
    let forced = site.load_with(&LoadRequest { previous: Some(&before), feeds, ..LoadRequest::default() });
    assert_eq!(forced.unwrap().feeds[0].used, 10);
    for newer in ["timestamp:1790000000", "timestamp:1790000001"] {
        write(newer);
        assert_eq!(site.load_after(Some(&before)).unwrap().feeds[0].used, 10, "{newer}");
    }
}

#[test]
fn after_a_restart_the_last_good_copy_takes_the_place_of_a_worse_file() {
    let site = Site::new(FEED);
    site.write("f.txt", lines(10));
    assert_eq!(start(&site).unwrap().feeds[0].trouble, None);
    for worse in [Some(""), Some("198.51.100.1\n"), Some("<html>\n"), None] {
        match worse {
            Some(text) => drop(site.write("f.txt", text)),
            None => fs::remove_file(site.path("f.txt")).unwrap(),
        }
        let policy = start(&site).unwrap();
        let feed = &policy.feeds[0];
        assert_eq!((feed.used, feed.trouble.is_some()), (10, true), "{worse:?}");
        assert_eq!(policy.addresses4.len(), 10, "nothing of the worse file is left: {worse:?}");
        assert!(policy.warnings[0].ends_with("its last good copy is used"), "{:?}", policy.warnings);
        assert_eq!(places(&policy, "198.51.100.7", &site), ["f.txt:8: 198.51.100.7 (the last good copy)"]);
    }
    // Another file under the same id is another feed.
    site.write("config.toml", FEED.replace("f.txt", "g.txt"));
    site.write("g.txt", lines(1));
    assert_eq!(start(&site).unwrap().feeds[0].used, 1);
    // A good one is taken, and kept.
    site.write("g.txt", lines(3));
    start(&site).unwrap();
    fs::remove_file(site.path("g.txt")).unwrap();
    assert_eq!(start(&site).unwrap().feeds[0].used, 3);
}

#[test]
fn a_feed_that_changes_while_it_is_copied_is_not_kept() {
    let site = Site::new(FEED);
    site.write("f.txt", lines(10));
    let policy = site.load();
    site.write("f.txt", lines(9));
    let kept = Kept::at(&site.path("state"));
    kept.keep(&policy.feeds[0]).unwrap();
    assert_eq!(kept.meta("f", &policy.feeds[0].source), None);
}

#[test]
fn a_directory_is_one_feed_and_each_indicator_names_its_file() {
    let site = Site::new("builtin = false\n[[feed]]\nid = \"d\"\npath = \"d\"\n");
    fs::create_dir(site.path("d")).unwrap();
    let bundle = r#"{"type": "bundle", "id": "bundle--1", "objects": [
{"type": "indicator", "id": "indicator--7", "name": "a pool", "pattern_type": "stix", "pattern": "[ipv4-addr:value = '198.51.100.2']"}]}"#;
    let event = r#"{"Event": {"info": "sightings", "Attribute": [
{"type": "domain", "value": "pool.example.org", "uuid": "u-1", "to_ids": true}]}}"#;
    for (name, text) in [
        ("d/a.txt", "198.51.100.1\nnonsense\n"),
        ("d/b.json", bundle),
        ("d/c.json", event),
        ("d/.hidden", "198.51.100.9\n"),
        ("d/backup.txt~", "198.51.100.9\n"),
        ("d/manifest.json", "{}"),
        ("d/hashes.csv", "d41d8cd98f00b204e9800998ecf8427e,u-1\n"),
    ] {
        site.write(name, text);
    }
    let policy = site.load();
    let feed = &policy.feeds[0];
    assert_eq!((feed.used, feed.bad, feed.origin.files), (3, 1, 3), "{:?}", feed.first_bad);
    assert_eq!(feed.first_bad[0].text, "a.txt: nonsense");
    assert_eq!(places(&policy, "198.51.100.1", &site), ["d/a.txt:1: 198.51.100.1"]);
    assert_eq!(
        places(&policy, "198.51.100.2", &site),
        ["d/b.json:2: indicator--7 [ipv4-addr:value = \\'198.51.100.2\\'] (a pool)"]
    );
    assert_eq!(
        places(&policy, "pool.example.org", &site),
        ["d/c.json:2: domain pool.example.org (attribute u-1, sightings)"]
    );
    start(&site).unwrap();
    fs::remove_dir_all(site.path("d")).unwrap();
    let copy = start(&site).unwrap();
    assert_eq!((copy.feeds[0].used, copy.fingerprint), (3, policy.fingerprint));
}

#[test]
fn with_a_key_only_what_is_signed_and_has_not_expired_is_used() {
    let publisher = Publisher::new();
    let site = Site::new(&format!("{FEED}key = \"{}\"\n", publisher.key()));
    let publish = |text: &str, comment: &str| {
        site.write("f.txt", text);
        site.write("f.txt.minisig", publisher.sign(text.as_bytes(), comment));
    };
    let refused = |what: &str| {
        let errors = site.errors();
        assert!(errors.len() == 1 && errors[0].contains(what), "{what}: {errors:?}");
    };
    site.write("f.txt", lines(10));
    refused("f.txt is not signed: cannot read f.txt.minisig");
    publish(&lines(10), "timestamp:1790000000 expires:2020-01-01");
    refused("f.txt expired at 2020-01-01T00:00:00Z; get a newer one from its publisher");
    publish(&lines(10), "timestamp:1790000000 expires:2999-01-01");
    let good = start(&site).unwrap();
    let signed = good.feeds[0].origin.signed.unwrap();
    assert_eq!((signed.at, good.feeds[0].used), (Some(1_790_000_000), 10));
    site.write("f.txt", lines(11));
    refused("f.txt is not signed by this key, or was changed since");
    // Neither takes the place of the good copy.
    assert_eq!(start(&site).unwrap().feeds[0].used, 10);
    publish(&lines(12), "expires:2020-01-01");
    let policy = start(&site).unwrap();
    assert_eq!((policy.feeds[0].used, policy.feeds[0].trouble.is_some()), (10, true));
    // The copy is checked too.
    site.write("state/feeds/feed-f/data/files/00000", lines(200));
    assert!(start(&site).is_err());

    site.write("minisign.pub", format!("untrusted comment: minisign public key\n{}\n", publisher.key()));
    site.write("config.toml", format!("{FEED}key = \"minisign.pub\"\n"));
    publish(&lines(10), "");
    assert_eq!(site.load().feeds[0].used, 10);
    site.write("config.toml", format!("{FEED}key = \"nonsense\"\n"));
    refused("feed \"f\": `key`: this is not a minisign public key");
}

#[test]
fn hashes_of_a_feed_list_files() {
    let site = Site::new(FEED);
    let hash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    site.write("f.txt", format!(
        "{{\"Event\": {{\"Attribute\": [{{\"type\": \"sha256\", \"value\": \"{hash}\"}}, {{\"type\": \"md5\", \"value\": \"d41d8cd98f00b204e9800998ecf8427e\"}}]}}}}"
    ));
    let policy = site.load();
    assert_eq!((policy.files.len(), policy.counts().files), (2, 2), "either of the two is enough");
    let sha256 = crate::policy::indicator::hex::<32>(hash.as_bytes());
    assert!(
        policy
            .files
            .iter()
            .any(|f| f.matches(Path::new("/x"), || sha256, || None) && f.action == Verdict::Deny)
    );
}

#[test]
fn servers_of_encrypted_dns_alert_unless_the_policy_says_more() {
    let ask = |config: &str, thing: &str| {
        let site = Site::new(config);
        let policy = site.load();
        let e = explain(&policy, &Question::parse(thing).unwrap()).unwrap();
        (e.verdict, e.rule.map(|r| (r.id, r.class)))
    };
    let doh = |id: &str| Some((id.to_owned(), IndicatorClass::Doh));
    assert_eq!(ask("", "1.1.1.1:853"), (Verdict::Alert, doh("builtin-doh")));
    assert_eq!(ask("", "dns.google"), (Verdict::Alert, doh("builtin-doh")));
    assert_eq!(ask("", "1.1.1.1:53").0, Verdict::Allow, "plain DNS is heard");
    assert_eq!(ask("doh = \"deny\"", "dns.google"), (Verdict::Deny, doh("builtin-doh")));
    assert_eq!(ask("doh = \"off\"", "dns.google").0, Verdict::Allow);
    let rule = "builtin = false\n[[rule]]\nid = \"r\"\ndomain = \"a.example\"\nclass = \"doh\"\n";
    assert_eq!(ask(rule, "a.example"), (Verdict::Alert, doh("r")));
    assert_eq!(ask(&format!("{rule}action = \"deny\"\n"), "a.example"), (Verdict::Deny, doh("r")));
}

#[test]
fn a_url_is_https_and_alone_and_nothing_until_it_was_fetched() {
    let url = |line: &str| Site::new(&format!("builtin = false\n[[feed]]\nid = \"f\"\n{line}\n"));
    assert_eq!(
        url("url = \"http://feeds.example/x\"").errors(),
        ["config.toml:4:7: feed \"f\": `url`: \"http://feeds.example/x\" is not an https URL; \
          over plain http anybody on the way can change the list: use https://"]
    );
    assert_eq!(
        url("url = \"https://feeds.example/x\"\npath = \"x\"").errors(),
        [
            "config.toml:2:1: feed \"f\": `url`: a feed with both `path` and `url`; write one feed for each source"
        ]
    );
    assert_eq!(
        url("").errors(),
        ["config.toml:2:1: feed \"f\": `path`: a feed without a source; \
          name the file or directory: path = \"pools.txt\"; or the URL: url = \"https://…\""]
    );
    let site = url("url = \"https://feeds.example/x\"");
    let policy = site.load();
    assert_eq!(policy.warnings, ["feed \"f\": https://feeds.example/x was not fetched yet"]);
    assert_eq!(policy.counts().rules, 1);
}
