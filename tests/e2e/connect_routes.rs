//! A denied destination is not reached by any route that a hook in force closes, and the coverage table tells the truth
//! about the others: each route is tried with the guard away, in place, and away again.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::LazyLock,
};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use libtest_mimic::Trial;
use miner_guard_tests::{
    case::{Done, case},
    cgroup::Cgroup,
    coverage::{self, Outcome},
    guard::{Guard, Post},
    listener::Listener,
    options,
    route::{Attempt, Closer, NAME, Route},
    sandbox::SECOND_V6_LOOPBACK,
};
use serde_json::Value;

use crate::options::judge as judge_options;

const DENIED_V4: Ipv4Addr = Ipv4Addr::new(127, 66, 66, 66);
const ALLOWED_V4: Ipv4Addr = Ipv4Addr::new(127, 66, 66, 67);
const RULE: &str = "denied-by-the-test";

pub fn cases() -> Vec<Trial> {
    let mut cases = Vec::new();
    for (route, ip) in plan() {
        let family = if ip.is_ipv4() { "v4" } else { "v6" };
        let name = match route.closer() {
            Closer::Connect => format!("a_denied_{family}_address_is_not_reached_by_{}", route.name()),
            _ => format!("the_coverage_table_is_true_about_{}_{family}", route.name()),
        };
        cases.push(case(&name, move || judge(route, ip)));
    }
    cases.push(case("an_address_that_no_rule_names_stays_open", an_address_that_no_rule_names_stays_open));
    cases.push(case("a_denied_connect_is_told_with_its_rule", a_denied_connect_is_told_with_its_rule));
    cases.push(case(
        "options_are_set_as_without_the_guard_and_frames_do_not_leave_the_queue_out",
        options_are_set_and_frames_stay_in_the_queue,
    ));
    cases
}

/// Every route to every address that it can lead to.
fn plan() -> Vec<(Route, IpAddr)> {
    let mut plan = Vec::new();
    for ip in [IpAddr::from(DENIED_V4), SECOND_V6_LOOPBACK.into()] {
        plan.extend(Route::ALL.iter().filter(|route| route.fits(ip)).map(|route| (*route, ip)));
    }
    plan
}

fn policy() -> String {
    format!(
        "builtin = false\n\
         [[rule]]\nid = \"{RULE}\"\nip = [\"{DENIED_V4}\", \"{SECOND_V6_LOOPBACK}\"]\naction = \"deny\"\n\
         [[rule]]\nid = \"name\"\ndomain = [\"{NAME}\"]\naction = \"deny\"\n"
    )
}

/// What each route did before, under and after the guard.
struct Tried {
    route: Route,
    ip: IpAddr,
    attempts: [Attempt; 3],
}

/// All that one guard was asked.
struct Findings {
    tried: Vec<Tried>,
    status: Value,
    /// The event of a denied connect, and its port.
    event: Value,
    port: u16,
    /// What became of options of sockets before the guard and under it.
    options: [Vec<String>; 2],
    /// Ways to the address that nobody lists.
    allowed: Vec<(Route, Attempt)>,
}

/// All tests share one guard: its start is what takes long in a virtual machine.
static FINDINGS: LazyLock<Result<Findings, String>> =
    LazyLock::new(|| try_all().map_err(|error| format!("{error:#}")));

fn findings() -> Result<&'static Findings> {
    FINDINGS.as_ref().map_err(|error| anyhow!("{error}"))
}

/// Peers that keep connections open: what is sent on one must be acknowledged.
struct Peers {
    denied: [Listener; 2],
    allowed: Listener,
    resolver: Listener,
}

impl Peers {
    fn new() -> Result<Self> {
        let at = |ip: IpAddr, port| Listener::that_keeps(SocketAddr::new(ip, port));
        Ok(Self {
            denied: [at(DENIED_V4.into(), 0)?, at(SECOND_V6_LOOPBACK.into(), 0)?],
            allowed: at(ALLOWED_V4.into(), 0)?,
            resolver: at(ALLOWED_V4.into(), 53)?,
        })
    }

    fn of(&self, route: Route, ip: IpAddr) -> SocketAddr {
        match route {
            _ if route.is_dns() => self.resolver.address(),
            _ if route.is_about_content() => self.allowed.address(),
            _ => self.denied[usize::from(ip.is_ipv6())].address(),
        }
    }
}

fn try_all() -> Result<Findings> {
    let cgroup = Cgroup::new()?;
    let peers = Peers::new()?;
    let plan = plan();
    let each = |(route, ip): &(Route, IpAddr)| route.from_cgroup(&cgroup, peers.of(*route, *ip));
    let before: Vec<_> = plan.iter().map(each).collect::<Result<_>>().context("before the guard")?;
    // These are connected before the guard comes, and go on under it.
    let mut held = plan
        .iter()
        .map(|(route, ip)| route.is_held().then(|| route.start(&cgroup, peers.of(*route, *ip))).transpose())
        .collect::<Result<Vec<_>>>()?;

    let options = options::set(&cgroup)?;
    let post = Post::at(&cgroup, &policy())?;
    let mut guard = post.start("enforce")?;
    let status = post.run(&["status", "-o", "json"])?;
    let status = serde_json::from_slice(&status.stdout).context("status is not JSON")?;
    let (port, event) = denied_connect(&mut guard, &cgroup, &peers)?;
    let under: Vec<_> = plan
        .iter()
        .zip(&mut held)
        .map(|(row, held)| held.take().map_or_else(|| each(row), |started| started.finish()))
        .collect::<Result<_>>()
        .context("under the guard")?;
    let options = [options, options::set(&cgroup)?];
    let allowed = [Route::Tcp, Route::UdpSendto, Route::TcpMapped]
        .into_iter()
        .map(|route| Ok((route, route.from_cgroup(&cgroup, peers.allowed.address())?)))
        .collect::<Result<_>>()?;
    let ended = guard.stop()?;
    ensure!(ended.success(), "the guard ended with {ended}");
    let after: Vec<_> = plan.iter().map(each).collect::<Result<_>>().context("after the guard")?;

    let tried = plan
        .into_iter()
        .zip(before.into_iter().zip(under).zip(after))
        .map(|((route, ip), ((before, under), after))| Tried { route, ip, attempts: [before, under, after] })
        .collect();
    Ok(Findings { tried, status, event, port, options, allowed })
}

/// Before any other, so that nothing else of this process or address can be meant by the event.
fn denied_connect(guard: &mut Guard, cgroup: &Cgroup, peers: &Peers) -> Result<(u16, Value)> {
    let to = peers.denied[0].address();
    let attempt = Route::Tcp.from_cgroup(cgroup, to)?;
    ensure!(attempt.is_denied(), "{attempt}");
    Ok((to.port(), guard.wait_event(|event| event["destination"]["ip"] == DENIED_V4.to_string())?))
}

impl Findings {
    /// Whether the guard says that what closes this route is in force; if not, why not.
    fn in_force(&self, closer: Closer) -> Result<(), String> {
        let attached = |name: &str| {
            let hooks = self.status["hooks"].as_array().map(Vec::as_slice).unwrap_or_default();
            match hooks.iter().find(|hook| hook["name"] == name) {
                Some(hook) if hook["state"] == "attached" => Ok(()),
                Some(hook) => Err(format!("the {name} hook is not there: {}", hook["why"])),
                None => Err(format!("needs the hook {name}")),
            }
        };
        let egress = || attached("egress");
        match closer {
            Closer::Connect => Ok(()),
            Closer::Egress | Closer::Payload => egress(),
            Closer::Names if self.status["domains_note"].is_string() => {
                Err("names are accepted and checked, and not yet in force".to_owned())
            }
            Closer::Names => egress(),
            Closer::Frames => attached("frame"),
        }
    }
}

fn judge(route: Route, ip: IpAddr) -> Result<Done> {
    let findings = findings()?;
    let tried = findings
        .tried
        .iter()
        .find(|tried| tried.route == route && tried.ip == ip)
        .context("was not tried")?;
    let [before, under, after] = &tried.attempts;
    let table = if route.is_about_content() { "content" } else { "destination" };
    match before {
        Attempt::Unavailable(why) => {
            coverage::tell(table, route.title(), Outcome::Absent, why);
            return Ok(Done::Skipped(why.clone()));
        }
        Attempt::Through => {}
        _ => bail!("without a guard: {before}"),
    }
    match findings.in_force(route.closer()) {
        Ok(()) if route.closer() == Closer::Connect => ensure!(under.is_denied(), "under the guard: {under}"),
        // The errno of every frame that does not leave.
        Ok(()) if route.closer() == Closer::Frames => {
            ensure!(*under == Attempt::Refused(libc::ENOBUFS), "under the guard: {under}");
        }
        Ok(()) => ensure!(under.is_stopped(), "under the guard, whose hook is in force: {under}"),
        Err(why) => ensure!(*under == Attempt::Through, "under the guard: {under}, although: {why}"),
    }
    ensure!(*after == Attempt::Through, "after the guard: {after}");
    match findings.in_force(route.closer()) {
        Ok(()) => coverage::tell(table, route.title(), Outcome::Stopped, &under.to_string()),
        Err(why) => coverage::tell(table, route.title(), Outcome::Open, &why),
    }
    Ok(Done::Passed)
}

fn an_address_that_no_rule_names_stays_open() -> Result<Done> {
    for (route, attempt) in &findings()?.allowed {
        ensure!(*attempt == Attempt::Through, "{}: {attempt}", route.name());
    }
    Ok(Done::Passed)
}

/// One of the routes holds a packet socket from before the guard came: with that the hook is there.
fn options_are_set_and_frames_stay_in_the_queue() -> Result<Done> {
    let Findings { options: [before, under], status, .. } = findings()?;
    judge_options(before, under, status)
}

fn a_denied_connect_is_told_with_its_rule() -> Result<Done> {
    let Findings { event, port, .. } = findings()?;
    for (field, wanted) in [
        ("/destination/port", (*port).into()),
        ("/rule/id", RULE.into()),
        ("/miner_guard/verdict", "deny".into()),
        ("/miner_guard/enforced", true.into()),
        ("/miner_guard/mode", "enforce".into()),
    ] {
        let found: Option<&Value> = event.pointer(field);
        ensure!(found == Some(&wanted), "{field} should be {wanted}: {event}");
    }
    Ok(Done::Passed)
}
