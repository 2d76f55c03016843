use super::*;
use crate::identify::evidence::{Kind, Strength};

const START: u64 = 1_793_600_000_000;

fn settings() -> CaseSettings {
    CaseSettings::default()
}

fn task(pid: u32) -> Task {
    Task { pid, start: u64::from(pid) * 10 }
}

fn subject(pid: u32, above: &[u32], group: u32) -> Subject {
    Subject {
        task: task(pid),
        name: "x".into(),
        executable: None,
        user: Some("alice".into()),
        above: above.iter().map(|p| task(*p)).collect(),
        group: Some(task(group)),
        place: Place { cgroup_id: 7, unit: Some("session-1.scope".into()), ..Place::default() },
        destination: None,
        pool: false,
    }
}

fn in_service(mut subject: Subject) -> Subject {
    subject.place.unit = Some("web.service".into());
    subject
}

fn contact() -> Vec<Evidence> {
    vec![Evidence::new(Kind::Contact, Strength::Medium, "reached for 192.0.2.5:3333")]
}

fn listed() -> Vec<Evidence> {
    vec![Evidence::new(Kind::Listed, Strength::Medium, "its SHA-256 is listed")]
}

fn see(book: &mut Book, subject: &Subject, evidence: &[Evidence]) -> Seen {
    book.observe(subject, evidence, START, &settings()).unwrap()
}

#[test]
fn a_process_with_two_families_is_mining_and_given_out_once() {
    let mut book = Book::default();
    let miner = subject(10, &[5], 10);
    let first = see(&mut book, &miner, &contact());
    assert_eq!((first.class, first.rose, first.due), (Some(Class::PoolContact), true, false));
    let again = see(&mut book, &miner, &contact());
    assert_eq!((again.id.clone(), again.rose), (first.id.clone(), false));
    let second = see(&mut book, &miner, &listed());
    assert_eq!((second.class, second.rose, second.due), (Some(Class::Mining), true, true));
    assert_eq!(book.take_due(&first.id).len(), 1);
    assert_eq!(book.take_due(&first.id).len(), 0);
    assert!(!see(&mut book, &miner, &contact()).due);
    book.anew();
    assert!(see(&mut book, &miner, &contact()).due, "of another mode");
    let case = book.get(&first.id).unwrap();
    assert_eq!((case.items.len(), case.items[0].count), (2, 4));
    let told: Vec<_> = case.timeline.iter().map(|e| e.what).collect();
    assert_eq!(told, [What::Evidence, What::Class, What::Evidence, What::Class]);
}

#[test]
fn parent_child_and_job_are_one_case_and_strangers_are_not() {
    let mut book = Book::default();
    let id = see(&mut book, &subject(10, &[5], 10), &contact()).id;
    assert_eq!(see(&mut book, &subject(11, &[10, 5], 11), &listed()).id, id, "its child");
    assert_eq!(see(&mut book, &subject(5, &[], 5), &contact()).id, id, "its parent");
    assert_eq!(see(&mut book, &subject(12, &[99], 10), &contact()).id, id, "of its job");
    assert_ne!(see(&mut book, &subject(20, &[99], 20), &contact()).id, id, "a stranger in the same session");
}

#[test]
fn what_is_in_a_service_is_one_case_but_who_only_reaches_out_is_left_alone() {
    let mut book = Book::default();
    let id = see(&mut book, &in_service(subject(10, &[5], 10)), &listed()).id;
    let neighbour = in_service(subject(20, &[6], 20));
    let seen = see(&mut book, &neighbour, &contact());
    assert_eq!((seen.id.clone(), seen.class), (id, Some(Class::Mining)));
    let due: Vec<u32> = book.take_due(&seen.id).iter().map(|m| m.task.pid).collect();
    assert_eq!(due, [10]);
}

#[test]
fn who_only_keeps_a_gpu_busy_beside_a_miner_is_named_and_left_alone() {
    let busy = [Evidence::new(Kind::Gpu, Strength::Weak, "keeps GPU 0 busy")];
    let mut book = Book::default();
    let miner = subject(10, &[5], 10);
    see(&mut book, &miner, &contact());
    let id = see(&mut book, &miner, &listed()).id;
    assert_eq!(book.take_due(&id).len(), 1);
    for (pid, group, what) in [(20, 10, "of the miner's job"), (21, 21, "started by the miner's parent")] {
        let seen = see(&mut book, &subject(pid, &[5], group), &busy);
        assert_eq!((seen.id == id, seen.due), (group == 10, false), "{what}");
    }
    let neighbour = in_service(subject(30, &[6], 30));
    let other = in_service(subject(31, &[7], 31));
    let id = see(&mut book, &neighbour, &[contact(), listed()].concat()).id;
    assert_eq!(book.take_due(&id).len(), 1);
    let seen = see(&mut book, &other, &busy);
    assert_eq!((seen.id.clone(), seen.due), (id, false), "of the miner's service");
    assert!(see(&mut book, &other, &listed()).due, "it has something of its own now");
}

#[test]
fn a_number_that_is_used_again_is_another_process() {
    let mut book = Book::default();
    let id = see(&mut book, &subject(10, &[5], 10), &contact()).id;
    let mut other = subject(10, &[6], 10);
    (other.task.start, other.group) = (77, Some(Task { pid: 10, start: 77 }));
    assert_ne!(see(&mut book, &other, &contact()).id, id);
}

#[test]
fn cases_and_what_is_in_them_are_bounded_and_counted_and_the_worst_stays() {
    let mut book = Book::default();
    let miner = subject(1_000_000, &[], 1_000_000);
    see(&mut book, &miner, &contact());
    let id = see(&mut book, &miner, &listed()).id;
    for pid in 0..2 * CASES as u32 {
        see(&mut book, &subject(pid + 10, &[], pid + 10), &contact());
    }
    assert_eq!(book.iter().count(), CASES);
    assert_eq!(book.evicted(), CASES as u64 + 1);
    assert!(book.get(&id).is_some());
    assert!(book.keys.len() <= CASES * 4, "{}", book.keys.len());
    let long = "ü".repeat(5000);
    for n in 0..500 {
        let text = format!("{n}{long}");
        see(&mut book, &miner, &[Evidence::new(Kind::Name, Strength::Weak, text)]);
    }
    let case = book.get(&id).unwrap();
    assert_eq!((case.items.len(), case.timeline.len()), (ITEMS, ENTRIES));
    assert!(case.lost > 900 && case.items.iter().all(|i| i.evidence.text.len() <= TEXT));
    assert!(case.items.iter().any(|i| i.evidence.kind == Kind::Listed), "the strong evidence stays");
}

#[test]
fn a_case_is_closed_when_its_evidence_has_faded_and_its_processes_begin_a_new_one() {
    let mut book = Book::default();
    let miner = subject(10, &[5], 10);
    let id = see(&mut book, &miner, &contact()).id;
    let hours = |h: u64| START + h * 3_600_000;
    book.fade(hours(4), &settings());
    assert!(book.get(&id).is_some());
    book.fade(hours(5), &settings());
    assert!(book.get(&id).is_none() && book.keys.is_empty());
    assert_ne!(book.observe(&miner, &contact(), hours(5), &settings()).unwrap().id, id);
}

#[test]
fn after_a_reboot_a_kept_case_claims_no_process() {
    for (same_boot, same) in [(true, true), (false, false)] {
        let mut before = Book::default();
        let miner = subject(10, &[5], 10);
        let id = see(&mut before, &miner, &contact()).id;
        let kept = serde_json::to_string(before.get(&id).unwrap()).unwrap();
        let mut after = Book::default();
        after.restore(serde_json::from_str(&kept).unwrap(), same_boot);
        assert_eq!(see(&mut after, &miner, &contact()).id == id, same);
    }
}
