use super::*;
use crate::policy::{IndicatorClass, Resolved, RuleSource, protect::Protected};
use miner_guard_common::abi::policy::Class;
use proptest::prelude::*;

/// A day, as for the destination of a confirmed miner.
const DESTINATION_NS: u64 = 24 * 3600 * SECOND;

/// Denies `pool.example` and what is below `evil.example`, only reports `seen.example`; 192.0.2.53 is protected.
fn policy() -> Resolved {
    let mut policy = Resolved::default();
    let deny = policy.add_rule("pools", Verdict::Deny, RuleSource::Feed, IndicatorClass::Pool);
    let alert = policy.add_rule("watched", Verdict::Alert, RuleSource::Feed, IndicatorClass::Pool);
    policy.names.push("pool.example", Class::Domain, deny);
    policy.names.push("evil.example", Class::DomainBelow, deny);
    policy.names.push("seen.example", Class::Domain, alert);
    policy.names.push("ok.evil.example", Class::AllowedDomain, alert);
    policy.names.sort();
    let bits = address("::ffff:192.0.2.53");
    let IpAddr::V6(bits) = bits else { panic!("not mapped") };
    policy.protected.push(Protected { first: bits.to_bits(), last: bits.to_bits(), why: "resolver".into() });
    policy.learned_rule =
        policy.add_rule("learned", Verdict::Deny, RuleSource::Learned, IndicatorClass::Pool);
    policy
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn lesson<'a>(listed: &str, addresses: &'a [(IpAddr, u64)], whom: Whom) -> Lesson<'a> {
    let cause = Cause::Name(listed.into());
    Lesson { cause, rule: 1, addresses, whom, chain: format!("www.example → {listed}") }
}

fn cgroups(learned: &Learned) -> Vec<u64> {
    learned.rows().keys().map(|(_, cgroup)| *cgroup).collect()
}

#[test]
fn the_asking_cgroup_is_denied_and_all_others_suspect() {
    let mut learned = Learned::default();
    let to = [(address("198.51.100.7"), 300 * SECOND)];
    let fresh = learned.learn(&lesson("pool.example", &to, Whom::Cgroup(42)), &policy(), 0);
    assert_eq!(fresh, [address("198.51.100.7")]);
    assert_eq!(cgroups(&learned), [42, SUSPECT]);
    // Told once.
    assert!(learned.learn(&lesson("pool.example", &to, Whom::Cgroup(43)), &policy(), 1).is_empty());
    assert_eq!(cgroups(&learned), [42, 43, SUSPECT]);
}

#[test]
fn who_is_not_known_to_have_asked_is_not_denied() {
    let mut learned = Learned::default();
    let to = [(address("198.51.100.7"), 0)];
    for whom in [Whom::Nobody, Whom::Cgroup(EVERYONE), Whom::Cgroup(SUSPECT)] {
        learned.learn(&lesson("pool.example", &to, whom), &policy(), 0);
    }
    assert_eq!(cgroups(&learned), [SUSPECT]);
}

#[test]
fn a_ttl_is_brought_within_a_minute_and_an_hour() {
    let mut learned = Learned::default();
    let to = [(address("198.51.100.1"), 0), (address("198.51.100.2"), u64::MAX / 2)];
    learned.learn(&lesson("pool.example", &to, Whom::Nobody), &policy(), 5);
    let until: Vec<u64> = learned.rows().values().map(|r| r.until_ns).collect();
    assert_eq!(until, [60 * SECOND + 5, 3600 * SECOND + 5]);
    assert!(!learned.expire(60 * SECOND));
    assert!(learned.expire(60 * SECOND + 5));
    assert_eq!(learned.rows().len(), 1);
    learned.expire(u64::MAX);
    assert!(learned.rows().is_empty() && learned.list().is_empty());
}

#[test]
fn protected_and_special_addresses_are_never_learned() {
    let mut learned = Learned::default();
    let all = [
        "192.0.2.53",
        "::ffff:192.0.2.53",
        "64:ff9b::192.0.2.53",
        "127.0.0.1",
        "0.0.0.0",
        "::1",
        "224.0.0.1",
        "fe80::1",
    ];
    let to = all.map(|a| (address(a), SECOND));
    assert!(learned.learn(&lesson("pool.example", &to, Whom::Everyone), &policy(), 0).is_empty());
    assert!(learned.rows().is_empty());
    assert_eq!(learned.counts, Counts { evicted: 0, protected: 3, special: 5 });
}

#[test]
fn a_rule_that_only_reports_teaches_nothing() {
    let mut learned = Learned::default();
    let to = [(address("198.51.100.7"), SECOND)];
    let lesson = Lesson { rule: 2, ..lesson("seen.example", &to, Whom::Everyone) };
    assert!(learned.learn(&lesson, &policy(), 0).is_empty() && learned.rows().is_empty());
}

#[test]
fn a_lying_resolver_gets_no_more_than_sixty_four_addresses_for_a_name() {
    let mut learned = Learned::default();
    for n in 0..200u32 {
        let to = [(std::net::Ipv4Addr::from_bits(0xc633_6400 + n).into(), SECOND)];
        learned.learn(&lesson("*.evil.example", &to, Whom::Cgroup(1)), &policy(), u64::from(n));
    }
    let held: Vec<IpAddr> = learned.list().iter().map(|s| s.known.address).collect();
    assert_eq!(held.len(), PER_CAUSE);
    assert_eq!(held[0], address("198.51.100.136"), "the oldest went first");
    assert_eq!(learned.counts.evicted, 200 - PER_CAUSE as u64);
}

#[test]
fn a_reload_keeps_what_is_still_denied_under_the_rule_s_new_number() {
    let mut learned = Learned::default();
    let to = [(address("198.51.100.7"), SECOND)];
    learned.learn(&lesson("pool.example", &to, Whom::Cgroup(1)), &policy(), 0);
    learned.learn(
        &lesson("*.evil.example", &[(address("198.51.100.8"), SECOND)], Whom::Nobody),
        &policy(),
        0,
    );
    let mut next = Resolved::default();
    next.add_rule("first", Verdict::Deny, RuleSource::Feed, IndicatorClass::Pool);
    let rule = next.add_rule("pools", Verdict::Kill, RuleSource::Feed, IndicatorClass::Pool);
    next.names.push("pool.example", Class::Domain, rule);
    next.names.sort();
    learned.carry_over(&next);
    let rows = learned.rows();
    assert_eq!(rows.len(), 2, "{rows:?}");
    assert!(rows.values().all(|r| (r.rule, r.verdict) == (rule, Verdict::Kill)));
}

#[test]
fn the_destination_of_a_miner_is_denied_to_everyone_for_as_long_as_was_said() {
    let mut learned = Learned::default();
    let policy = policy();
    let to = [(address("198.51.100.7"), DESTINATION_NS)];
    let lesson = Lesson {
        cause: Cause::Case("7".into()),
        rule: 0,
        addresses: &to,
        whom: Whom::Everyone,
        chain: "xmrig (pid 1)".into(),
    };
    learned.learn(&lesson, &policy, 0);
    let rows = learned.rows();
    let row = rows.get(&(address("198.51.100.7"), EVERYONE)).unwrap();
    assert_eq!((row.until_ns, row.rule), (DESTINATION_NS, policy.learned_rule));
    learned.carry_over(&policy);
    assert_eq!(learned.rows(), rows);
}

#[test]
fn one_address_or_all_are_forgotten() {
    let mut learned = Learned::default();
    let to = [(address("198.51.100.7"), SECOND), (address("198.51.100.8"), SECOND)];
    learned.learn(&lesson("pool.example", &to, Whom::Cgroup(1)), &policy(), 0);
    assert_eq!(learned.forget(Some(address("::ffff:198.51.100.7"))), 1);
    assert_eq!(learned.forget(Some(address("198.51.100.7"))), 0);
    assert_eq!(learned.of(address("64:ff9b::198.51.100.8")).len(), 1);
    assert_eq!(learned.forget(None), 1);
    assert!(learned.rows().is_empty());
}

#[test]
fn names_are_found_by_their_suffixes_and_the_allowed_ones_are_not() {
    let policy = policy();
    let listed = |name: &str| policy.name(name).map(|hit| hit.listed);
    assert_eq!(listed("pool.example").as_deref(), Some("pool.example"));
    assert_eq!(listed("a.b.evil.example").as_deref(), Some("*.evil.example"));
    for none in ["www.pool.example", "evil.example", "ok.evil.example", "notevil.example", "example", ""] {
        assert_eq!(listed(none), None, "{none}");
    }
    assert_eq!(policy.listed_name("*.evil.example"), Some(1));
    assert_eq!(policy.listed_name("evil.example"), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4))]

    #[test]
    fn whatever_is_learned_stays_within_the_bounds(
        lessons in prop::collection::vec((0u32..700, 0u32..300, 1u64..100), 600..1200),
    ) {
        let mut policy = policy();
        policy.learned_rule = 1;
        let mut learned = Learned::default();
        for (n, (cause, host, cgroup)) in lessons.into_iter().enumerate() {
            let to = [(std::net::Ipv4Addr::from_bits(0xc633_6400 + host).into(), SECOND)];
            let lesson = Lesson {
                cause: Cause::Case(cause.to_string()),
                rule: 0,
                addresses: &to,
                whom: Whom::Cgroup(cgroup),
                chain: String::new(),
            };
            learned.learn(&lesson, &policy, n as u64);
            prop_assert!(learned.causes.len() <= CAUSES && learned.size() <= ENTRIES);
            prop_assert!(learned.causes.values().all(|l| l.known.len() <= PER_CAUSE));
        }
        prop_assert!(learned.rows().len() <= ENTRIES);
    }
}
