use super::*;
use proptest::prelude::*;

const START: u64 = 1_793_600_000_000;

fn settings() -> CaseSettings {
    CaseSettings::default()
}

fn seen(kind: Kind, strength: Strength) -> Item {
    Item::new(Evidence::new(kind, strength, "x"), START)
}

fn class_of(items: &[Item]) -> Option<Class> {
    let now = items.iter().map(|i| i.last_ms).max().unwrap_or(START);
    judge(items, now, &settings()).class
}

#[test]
fn each_class_needs_what_the_design_says() {
    use {Kind::*, Strength::*};
    let contact = || seen(Contact, Medium);
    assert_eq!(class_of(&[]), None);
    assert_eq!(class_of(&[contact()]), Some(Class::PoolContact));
    assert_eq!(class_of(&[seen(Algorithm, Strong)]), Some(Class::HashingHeavy));
    assert_eq!(class_of(&[seen(Miner, Strong)]), Some(Class::MinerBinary));
    assert_eq!(class_of(&[seen(Listed, Medium)]), Some(Class::MinerBinary));
    assert_eq!(class_of(&[seen(Listed, Medium), contact()]), Some(Class::Mining));
    assert_eq!(class_of(&[seen(Algorithm, Strong), contact()]), Some(Class::Mining));
    assert_eq!(class_of(&[seen(RoundingModes, Medium), seen(JitShape, Medium)]), Some(Class::Mining));
    assert_eq!(class_of(&[seen(RoundingModes, Medium), seen(Protocol, Strong)]), Some(Class::Mining));
}

#[test]
fn rounding_modes_alone_are_mining_when_they_are_strong() {
    assert_eq!(class_of(&[seen(Kind::RoundingModes, Strength::Medium)]), Some(Class::HashingHeavy));
    assert_eq!(class_of(&[seen(Kind::RoundingModes, Strength::Strong)]), Some(Class::Mining));
}

#[test]
fn an_instruction_mix_must_be_strong_and_is_never_more_than_hashing_heavy() {
    let mix = |strength| seen(Kind::InstructionMix, strength);
    assert_eq!(class_of(&[mix(Strength::Medium)]), None);
    assert_eq!(class_of(&[mix(Strength::Strong)]), Some(Class::HashingHeavy));
    // A password cracker: the functions in its file, and at work.
    let cracker = [mix(Strength::Strong), seen(Kind::Algorithm, Strength::Strong)];
    assert_eq!(class_of(&cracker), Some(Class::HashingHeavy));
}

#[test]
fn families_that_do_not_speak_at_the_same_time_are_not_joined() {
    let contact = seen(Kind::Contact, Strength::Medium);
    let listed = |at| Item::new(Evidence::new(Kind::Listed, Strength::Medium, "x"), at);
    let later = |h: u64| START + h * settings().half_life_s * 1000;
    let class = |now| judge([&contact, &listed(now)], now, &settings()).class;
    assert_eq!(class(later(1)), Some(Class::Mining));
    assert_eq!(class(later(1) + 1000), Some(Class::MinerBinary));
}

fn items() -> impl Strategy<Value = Vec<Item>> {
    let strengths = [Strength::Weak, Strength::Medium, Strength::Strong];
    let kinds = proptest::sample::select(Kind::ALL);
    let item = (kinds, proptest::sample::select(strengths.to_vec()), 0..200_000_u64, 0..600_000_u64);
    proptest::collection::vec(
        item.prop_map(|(kind, strength, first, held)| {
            let mut i = Item::new(Evidence::new(kind, strength, "x"), START + first);
            i.last_ms += held;
            i
        }),
        0..12,
    )
}

proptest! {
    #[test]
    fn more_evidence_is_never_less(all in items(), n in 0..12_usize) {
        let now = START + 900_000;
        let (some, all) = (judge(all.iter().take(n), now, &settings()), judge(&all, now, &settings()));
        prop_assert!(some.class <= all.class && some.confidence <= all.confidence + 1e-9);
    }

    #[test]
    fn the_order_does_not_matter(mut all in items()) {
        let now = START + 900_000;
        let before = judge(&all, now, &settings());
        all.reverse();
        let after = judge(&all, now, &settings());
        prop_assert_eq!(before.class, after.class);
        prop_assert!((before.confidence - after.confidence).abs() < 1e-9);
    }

    #[test]
    fn time_only_takes_away(all in items(), later in 0..10_000_000_u64) {
        let now = START + 900_000;
        let (before, after) = (judge(&all, now, &settings()), judge(&all, now + later, &settings()));
        prop_assert!(after.class <= before.class && after.confidence <= before.confidence + 1e-9);
        prop_assert!((0.0..=1.0).contains(&after.confidence));
    }

    #[test]
    fn weak_evidence_has_no_class(mut all in items()) {
        all.iter_mut().for_each(|i| i.evidence.strength = Strength::Weak);
        prop_assert_eq!(judge(&all, START + 900_000, &settings()).class, None);
    }

    #[test]
    fn what_only_hashes_is_never_taken_for_mining(all in items()) {
        use Kind::*;
        let hashes = [Algorithm, InstructionMix, MemoryShape, ThreadShape, MachineTuning, Gpu, Name, Packer, Client];
        let all = all.iter().filter(|i| hashes.contains(&i.evidence.kind));
        prop_assert!(judge(all, START + 900_000, &settings()).class < Some(Class::MinerBinary));
    }
}
