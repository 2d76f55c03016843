//! Where the hook hangs, in words.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use super::{Key, NAMESPACES, hang::Hung};

/// `here`: the guard's own network namespace. `not_in`: others that could not be looked at, and why; `too_many`: there are
/// more than are looked at.
pub(super) fn state(
    here: u64,
    on: &BTreeMap<Key, Hung>,
    not_in: &BTreeMap<u64, String>,
    too_many: bool,
) -> String {
    let (own, others): (Vec<_>, Vec<_>) =
        on.iter().filter(|(_, hung)| hung.why_not().is_none()).partition(|((n, _), _)| *n == here);
    let mut text = format!("on {}", count(own.len(), "interface"));
    let namespaces: BTreeSet<u64> = others.iter().map(|((n, _), _)| *n).collect();
    // Writing to a string does not fail.
    if !namespaces.is_empty() {
        let (interfaces, namespaces) =
            (count(others.len(), "interface"), count(namespaces.len(), "other network namespace"));
        let _ = write!(text, ", and on {interfaces} of {namespaces}");
    }
    let mut not = on.iter().filter_map(|(key, hung)| Some((key, hung.why_not()?)));
    if let Some(((namespace, index), why)) = not.next() {
        let of = if *namespace == here { String::new() } else { format!(" of {namespace}") };
        let _ = write!(text, "; not on {}, as number {index}{of}: {why}", not.count() + 1);
    }
    if let Some((namespace, why)) = not_in.first_key_value() {
        let all = count(not_in.len(), "other network namespace");
        let _ = write!(text, "; not everywhere in {all}, as {namespace}: {why}");
    }
    if too_many {
        let _ = write!(text, "; only {NAMESPACES} network namespaces are looked at, and there are more");
    }
    text
}

/// Whether a packet socket may leave out the queue, and with it the hook.
pub(super) fn queue(hung: Option<&Result<(), String>>) -> String {
    match hung {
        None => String::new(),
        Some(Ok(())) => "; there was a packet socket, and none may pass it by".into(),
        Some(Err(why)) => format!("; a packet socket may pass it by: {why}"),
    }
}

fn count(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: u64 = 20;

    fn said(on: &[(Key, Hung)], not_in: &[(u64, &str)], too_many: bool) -> String {
        let not_in = not_in.iter().map(|(n, why)| (*n, (*why).to_owned())).collect();
        state(HERE, &on.iter().cloned().collect(), &not_in, too_many)
    }

    #[test]
    fn own_interfaces_come_first_and_those_of_others_after_them() {
        let mut on = vec![((HERE, 1), Hung::Filter)];
        assert_eq!(said(&on, &[], false), "on 1 interface");
        on.push(((10, 1), Hung::Brought));
        assert_eq!(said(&on, &[], false), "on 1 interface, and on 1 interface of 1 other network namespace");
        on.extend([((HERE, 2), Hung::Filter), ((30, 1), Hung::Filter), ((30, 9), Hung::Link("x".into()))]);
        assert_eq!(
            said(&on, &[], false),
            "on 2 interfaces, and on 3 interfaces of 2 other network namespaces"
        );
    }

    #[test]
    fn what_is_not_covered_is_said() {
        let not = |why: &str| Hung::Not(why.into());
        let on = [((HERE, 1), Hung::Filter), ((30, 2), not("no tc")), ((30, 3), not("no tc"))];
        assert_eq!(said(&on, &[], false), "on 1 interface; not on 2, as number 2 of 30: no tc");
        assert_eq!(
            said(&on[..1], &[(40, "entering it: refused")], true),
            "on 1 interface; not everywhere in 1 other network namespace, as 40: entering it: refused; only 1024 \
             network namespaces are looked at, and there are more"
        );
        assert_eq!(
            said(&[((HERE, 7), not("no tc"))], &[], false),
            "on 0 interfaces; not on 1, as number 7: no tc"
        );
    }
}
