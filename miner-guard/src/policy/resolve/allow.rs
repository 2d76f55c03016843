//! `[[allow]]`

use super::{Context, ends};
use crate::policy::{
    resolved::{IndicatorClass, RuleSource, TaskAllow, TaskKind},
    written::{ALLOW_KEYS, Allow, At},
};
use miner_guard_common::abi::{policy::Class, verdict::Verdict};
use std::{fs, path::Path};

pub(super) fn allow(cx: &mut Context<'_>, a: &Allow) {
    let (kind, values) = match a.keys.as_slice() {
        [(kind, values)] => (*kind, values),
        [] => {
            if !cx.errors.iter().any(|e| e.key.starts_with(&format!("{}:", a.name))) {
                let remedy = format!("name one of {}", ALLOW_KEYS.join(", "));
                cx.error(a.place, a.name.clone(), "an allow without a match".to_owned(), &remedy);
            }
            return;
        }
        [(first, _), (second, _), ..] => {
            let problem = format!("an allow with both `{first}` and `{second}`");
            cx.error(a.place, a.name.clone(), problem, "write one [[allow]] for each: any of them exempts");
            return;
        }
    };
    let key = format!("{}: `{kind}`", a.name);
    let rule =
        cx.out.add_rule(&a.name, Verdict::Allow, RuleSource::Allow(a.place.line), IndicatorClass::Pool);
    for text in values {
        value(cx, kind, text, &key, rule);
    }
}

fn value(cx: &mut Context<'_>, kind: &str, text: &At<String>, key: &str, rule: u32) {
    match kind {
        "exe" => {
            if let Some(path) = cx.path(text, key) {
                cx.out.allowed.exes.push((path, rule));
            }
        }
        "sha256" => {
            if let Some(hash) = cx.hash(text, key) {
                cx.out.allowed.sha256.push((hash, rule));
            }
        }
        "user" | "group" => {
            let (class, file) = match kind {
                "user" => (Class::Uid, cx.request.system.passwd.clone()),
                _ => (Class::Gid, cx.request.system.group.clone()),
            };
            match text.value.parse().ok().or_else(|| id_of(&file, &text.value)) {
                Some(id) => cx.out.allowed.ids.push((class, u64::from(id), rule)),
                None => {
                    let problem =
                        format!("there is no {kind} \"{}\" in {}", text.value.escape_debug(), file.display());
                    let remedy = format!(
                        "correct the name, or write the numeric id of a {kind} from a directory service"
                    );
                    cx.error(text.place, key.to_owned(), problem, &remedy);
                }
            }
        }
        "cgroup" => task(
            cx,
            TaskKind::Cgroup,
            text,
            key,
            rule,
            |v| v.starts_with('/') && v.len() > 1,
            "write its path from the root of the hierarchy, as /system.slice/x.service",
        ),
        "unit" => task(
            cx,
            TaskKind::Unit,
            text,
            key,
            rule,
            |v| !v.contains('/'),
            "write its name, as monerod.service",
        ),
        "container" => {
            let hex = |v: &str| v.len() >= 12 && v.bytes().all(|b| b.is_ascii_hexdigit());
            task(
                cx,
                TaskKind::Container,
                text,
                key,
                rule,
                hex,
                "write at least the first 12 characters of its id",
            );
        }
        "job_account" => task(
            cx,
            TaskKind::JobAccount,
            text,
            key,
            rule,
            |v| !v.contains(char::is_whitespace),
            "write one account's name",
        ),
        "ip" => {
            if let Some((first, last)) = cx.address(text, key).as_ref().and_then(ends) {
                cx.out.allowed.ranges.push((first, last, rule));
            }
        }
        _ => {
            if let Some((name, below)) = cx.name(text, key) {
                let class = if below { Class::AllowedDomainBelow } else { Class::AllowedDomain };
                cx.out.names.push(name, class, rule);
            }
        }
    }
}

fn task(
    cx: &mut Context<'_>,
    kind: TaskKind,
    text: &At<String>,
    key: &str,
    rule: u32,
    fine: impl Fn(&str) -> bool,
    remedy: &str,
) {
    if text.value.is_empty() || !fine(&text.value) {
        let problem = format!("\"{}\" cannot be matched", text.value.escape_debug());
        return cx.error(text.place, key.to_owned(), problem, remedy);
    }
    cx.out.allowed.tasks.push(TaskAllow { kind, value: text.value.clone(), rule });
}

/// The numeric id of a name in a file of `name:password:id:…` lines.
fn id_of(file: &Path, name: &str) -> Option<u32> {
    let text = fs::read(file).ok()?;
    text.split(|b| *b == b'\n').find_map(|line| {
        let mut fields = line.split(|b| *b == b':');
        if fields.next() != Some(name.as_bytes()) {
            return None;
        }
        str::from_utf8(fields.nth(1)?).ok()?.parse().ok()
    })
}
