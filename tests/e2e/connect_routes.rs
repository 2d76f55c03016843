//! A denied destination is not reached by any route that passes the hooks at connect and sendmsg: each route is tried
//! with the guard away, in place, and away again.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::LazyLock,
};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use libtest_mimic::Trial;
use miner_guard_tests::{
    case::{Done, case},
    cgroup::Cgroup,
    guard::Post,
    listener::Listener,
    route::{Attempt, Route, once_gone},
    sandbox::SECOND_V6_LOOPBACK,
};

const DENIED_V4: Ipv4Addr = Ipv4Addr::new(127, 66, 66, 66);
const ALLOWED_V4: Ipv4Addr = Ipv4Addr::new(127, 66, 66, 67);
const RULE: &str = "denied-by-the-test";

pub fn cases() -> Vec<Trial> {
    let mut cases = Vec::new();
    for (family, ip) in [("v4", IpAddr::from(DENIED_V4)), ("v6", IpAddr::from(SECOND_V6_LOOPBACK))] {
        for route in Route::ALL.iter().copied().filter(|route| route.fits(ip) && route.passes_connect_hooks())
        {
            let name = format!("a_denied_{family}_address_is_not_reached_by_{}", route.name());
            cases.push(case(&name, move || judge(route, ip)));
        }
    }
    cases.push(case("an_address_that_no_rule_names_stays_open", an_address_that_no_rule_names_stays_open));
    cases.push(case("a_denied_connect_is_told_with_its_rule", a_denied_connect_is_told_with_its_rule));
    cases
}

fn policy() -> String {
    format!(
        "[[rule]]\nid = \"{RULE}\"\nip = [\"{DENIED_V4}\", \"{SECOND_V6_LOOPBACK}\"]\naction = \"deny\"\n"
    )
}

/// What each route did before, under and after the guard.
struct Tried {
    route: Route,
    ip: IpAddr,
    attempts: [Attempt; 3],
}

/// All routes share one guard: its start is what takes long in a virtual machine.
static TRIED: LazyLock<Result<Vec<Tried>, String>> =
    LazyLock::new(|| try_all().map_err(|error| format!("{error:#}")));

fn try_all() -> Result<Vec<Tried>> {
    let cgroup = Cgroup::new()?;
    let listeners = [Listener::on(DENIED_V4.into())?, Listener::on(SECOND_V6_LOOPBACK.into())?];
    let all_routes = || -> Result<Vec<(Route, IpAddr, Attempt)>> {
        let mut attempts = Vec::new();
        for to in listeners.iter().map(Listener::address) {
            for route in Route::ALL.iter().copied().filter(|route| route.fits(to.ip())) {
                attempts.push((route, to.ip(), route.from_cgroup(&cgroup, to)?));
            }
        }
        Ok(attempts)
    };
    let before = all_routes().context("before the guard")?;
    let post = Post::at(&cgroup, &policy())?;
    let guard = post.start("enforce")?;
    let under = all_routes().context("under the guard")?;
    let status = guard.stop()?;
    ensure!(status.success(), "the guard ended with {status}");
    once_gone(|| Route::Tcp.from_cgroup(&cgroup, listeners[0].address()))?;
    let after = all_routes().context("after the guard")?;
    Ok(before
        .into_iter()
        .zip(under)
        .zip(after)
        .map(|(((route, ip, before), (.., under)), (.., after))| Tried {
            route,
            ip,
            attempts: [before, under, after],
        })
        .collect())
}

fn judge(route: Route, ip: IpAddr) -> Result<Done> {
    let tried = TRIED.as_ref().map_err(|error| anyhow!("{error}"))?;
    let tried = tried.iter().find(|tried| tried.route == route && tried.ip == ip).context("was not tried")?;
    let [before, under, after] = &tried.attempts;
    match before {
        Attempt::Unavailable(why) => return Ok(Done::Skipped(why.clone())),
        Attempt::Through => {}
        Attempt::Refused(_) => bail!("without a guard: {before}"),
    }
    ensure!(under.is_denied(), "under the guard: {under}");
    ensure!(*after == Attempt::Through, "after the guard: {after}");
    Ok(Done::Passed)
}

fn an_address_that_no_rule_names_stays_open() -> Result<Done> {
    let cgroup = Cgroup::new()?;
    let listener = Listener::on(ALLOWED_V4.into())?;
    let post = Post::at(&cgroup, &policy())?;
    let guard = post.start("enforce")?;
    for route in [Route::Tcp, Route::UdpSendto, Route::TcpMapped] {
        let attempt = route.from_cgroup(&cgroup, listener.address())?;
        ensure!(attempt == Attempt::Through, "{}: {attempt}", route.name());
    }
    listener.next_connection()?;
    guard.stop()?;
    Ok(Done::Passed)
}

fn a_denied_connect_is_told_with_its_rule() -> Result<Done> {
    let cgroup = Cgroup::new()?;
    let listener = Listener::on(DENIED_V4.into())?;
    let post = Post::at(&cgroup, &policy())?;
    let mut guard = post.start("enforce")?;
    let attempt = Route::Tcp.from_cgroup(&cgroup, listener.address())?;
    ensure!(attempt.is_denied(), "{attempt}");
    let event = guard.wait_event(|event| event["destination"]["ip"] == DENIED_V4.to_string())?;
    for (field, wanted) in [
        ("/destination/port", listener.address().port().into()),
        ("/rule/id", RULE.into()),
        ("/miner_guard/verdict", "deny".into()),
        ("/miner_guard/enforced", true.into()),
        ("/miner_guard/mode", "enforce".into()),
    ] {
        let found: Option<&serde_json::Value> = event.pointer(field);
        ensure!(found == Some(&wanted), "{field} should be {wanted}: {event}");
    }
    ensure!(listener.connections() == 0, "somebody got through");
    guard.stop()?;
    Ok(Done::Passed)
}
