//! An isolated cgroup reaches protected destinations and nothing else, until it is released.

mod borders;

use std::{fs, process::Output};

use anyhow::{Context as _, Result, ensure};
use libtest_mimic::Trial;
use miner_guard_tests::{
    case::{Done, case},
    cgroup::Cgroup,
    guard::Post,
    listener::Listener,
    program::{self, Then},
    route::{Attempt, Route},
};
use serde_json::Value;

const POLICY: &str = "builtin = false\nprotected = [\"127.77.0.1\"]\n\
    [[rule]]\nid = \"confine\"\nip = [\"127.66.66.66\"]\naction = \"isolate\"\n";
const PROTECTED: &str = "127.77.0.1:3333";
const OTHER: &str = "127.77.0.2:3333";

pub fn cases() -> Vec<Trial> {
    vec![
        case("an_isolated_cgroup_reaches_protected_destinations_only_until_it_is_released", by_command),
        case("a_rule_that_isolates_confines_who_breaks_it", by_rule),
        case("in_audit_isolation_is_told_and_confines_nobody", in_audit),
        case("isolation_outlives_the_daemon", outlives),
        case("an_isolation_ends_when_its_time_is_over", time_is_over),
        case("the_time_of_an_isolation_goes_on_while_no_daemon_runs", over_a_crash),
        case("who_leaves_an_isolated_cgroup_takes_no_socket_along", borders::leaving),
        case("a_socket_made_outside_is_the_named_way_into_an_isolated_cgroup", borders::entering),
        case("the_guard_and_the_whole_host_are_not_isolated", refused),
        case("every_road_out_of_an_isolated_cgroup_is_closed", roads),
        case("a_program_that_a_rule_isolates_runs_and_reaches_nothing", program_by_rule),
    ]
}

/// Whether a UDP connect from the cgroup is let through.
fn reaches(cgroup: &Cgroup, to: &str) -> Result<bool> {
    let attempt = Route::UdpConnect.from_cgroup(cgroup, to.parse()?)?;
    ensure!(attempt.is_denied() || attempt == Attempt::Through, "{to}: {attempt}");
    Ok(!attempt.is_denied())
}

fn confined(cgroup: &Cgroup) -> Result<()> {
    ensure!(reaches(cgroup, PROTECTED)?, "the protected destination is not reached");
    ensure!(!reaches(cgroup, OTHER)?, "another destination is reached");
    Ok(())
}

fn free(cgroup: &Cgroup) -> Result<()> {
    ensure!(reaches(cgroup, PROTECTED)? && reaches(cgroup, OTHER)?, "it is confined");
    Ok(())
}

fn isolate(post: &Post, command: &str, cgroup: &Cgroup, more: &[&str]) -> Result<Value> {
    let path = cgroup.path().display().to_string();
    let output: Output = post.run(&[&[command, &path, "-o", "json"], more].concat())?;
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "{command}: {}: {stderr}", output.status);
    serde_json::from_slice(&output.stdout).context("not JSON")
}

fn by_command() -> Result<Done> {
    let cgroup = Cgroup::new()?;
    let post = Post::at(&cgroup, POLICY)?;
    let mut guard = post.start("enforce")?;
    free(&cgroup)?;
    let done = isolate(&post, "isolate", &cgroup, &[])?;
    ensure!(done["isolated"] == true && done["enforced"] == true && done["changed"] == true, "{done}");
    guard.wait_event(|e| e["event"]["action"] == "cgroup-isolated")?;
    confined(&cgroup)?;
    let event = guard.wait_event(|e| e["miner_guard"]["reason"] == "isolated")?;
    let about = &event["miner_guard"];
    ensure!(about["verdict"] == "isolate" && about["enforced"] == true, "{event}");
    ensure!(event["destination"]["ip"] == "127.77.0.2", "{event}");
    let reload = post.run(&["policy", "reload"])?;
    ensure!(reload.status.success(), "reload: {}", reload.status);
    confined(&cgroup)?;
    let again = isolate(&post, "isolate", &cgroup, &[])?;
    ensure!(again["changed"] == false, "{again}");
    let done = isolate(&post, "release", &cgroup, &[])?;
    ensure!(done["isolated"] == false && done["changed"] == true, "{done}");
    guard.wait_event(|e| e["event"]["action"] == "cgroup-released")?;
    free(&cgroup)?;
    guard.stop()?;
    Ok(Done::Passed)
}

fn by_rule() -> Result<Done> {
    let cgroup = Cgroup::new()?;
    let post = Post::at(&cgroup, POLICY)?;
    let mut guard = post.start("enforce")?;
    free(&cgroup)?;
    ensure!(!reaches(&cgroup, "127.66.66.66:3333")?, "the listed destination is reached");
    guard.wait_event(|e| e["event"]["action"] == "cgroup-isolated")?;
    confined(&cgroup)?;
    isolate(&post, "release", &cgroup, &[])?;
    free(&cgroup)?;
    guard.stop()?;
    Ok(Done::Passed)
}

fn in_audit() -> Result<Done> {
    let cgroup = Cgroup::new()?;
    let post = Post::at(&cgroup, POLICY)?;
    let mut guard = post.start("audit")?;
    let done = isolate(&post, "isolate", &cgroup, &[])?;
    ensure!(done["isolated"] == true && done["enforced"] == false, "{done}");
    free(&cgroup)?;
    let event = guard.wait_event(|e| e["miner_guard"]["reason"] == "isolated")?;
    ensure!(event["miner_guard"]["enforced"] == false, "{event}");
    guard.stop()?;
    Ok(Done::Passed)
}

fn outlives() -> Result<Done> {
    let cgroup = Cgroup::new()?;
    let post = Post::at(&cgroup, POLICY)?;
    let guard = post.start("enforce")?;
    isolate(&post, "isolate", &cgroup, &[])?;
    guard.stop()?;
    free(&cgroup)?;
    let guard = post.start("enforce")?;
    confined(&cgroup)?;
    let status = String::from_utf8(post.run(&["status"])?.stdout)?;
    ensure!(status.contains(&cgroup.path().display().to_string()), "{status}");
    guard.stop()?;
    Ok(Done::Passed)
}

/// Until when, as `status` says.
fn until(post: &Post) -> Result<Option<String>> {
    let status: Value = serde_json::from_slice(&post.run(&["status", "-o", "json"])?.stdout)?;
    Ok(status["isolated"][0]["until"].as_str().map(str::to_owned))
}

fn is_over(event: &Value) -> bool {
    event["event"]["action"] == "cgroup-released"
        && event["message"].as_str().is_some_and(|text| text.ends_with("its time is over"))
}

fn time_is_over() -> Result<Done> {
    let cgroup = Cgroup::new()?;
    let post = Post::at(&cgroup, &format!("{POLICY}[respond]\nisolate_for = \"1h\"\n"))?;
    let mut guard = post.start("enforce")?;
    isolate(&post, "isolate", &cgroup, &[])?;
    confined(&cgroup)?;
    // A person says how long: a shorter time counts too.
    isolate(&post, "isolate", &cgroup, &["--for", "1s"])?;
    guard.wait_event(is_over)?;
    free(&cgroup)?;
    ensure!(until(&post)?.is_none(), "`status` lists it still");
    // Without an end it stays until it is released, whatever came before.
    let done = isolate(&post, "isolate", &cgroup, &["--for", "0"])?;
    ensure!(done["all"][0]["until"].is_null() && done["changed"] == true, "{done}");
    confined(&cgroup)?;
    for bad in ["a day", "-1h", "1.5h"] {
        let output = post.run(&["isolate", "/", "--for", bad])?;
        ensure!(output.status.code() == Some(2), "--for {bad}: {}", output.status);
    }
    guard.stop()?;
    Ok(Done::Passed)
}

fn over_a_crash() -> Result<Done> {
    let cgroup = Cgroup::new()?;
    let post = Post::at(&cgroup, POLICY)?;
    let guard = post.start("enforce")?;
    isolate(&post, "isolate", &cgroup, &["--for", "2h"])?;
    let before = until(&post)?.context("no end")?;
    guard.kill()?;
    confined(&cgroup)?;
    let guard = post.start("enforce")?;
    confined(&cgroup)?;
    ensure!(until(&post)?.as_ref() == Some(&before), "it had {before}, and has {:?}", until(&post)?);
    // This time it ends while nobody is there to end it.
    isolate(&post, "isolate", &cgroup, &["--for", "5s"])?;
    guard.kill()?;
    confined(&cgroup)?;
    let mut guard = post.start("enforce")?;
    guard.wait_event(is_over)?;
    free(&cgroup)?;
    guard.stop()?;
    Ok(Done::Passed)
}

fn refused() -> Result<Done> {
    let cgroup = Cgroup::new()?;
    let post = Post::at(&cgroup, POLICY)?;
    let guard = post.start("enforce")?;
    let own = guard.pid().to_string();
    for target in ["/", &own, "/no/such/cgroup"] {
        let output = post.run(&["isolate", target])?;
        ensure!(output.status.code() == Some(2), "isolate {target}: {}", output.status);
    }
    ensure!(!fs::exists(post.path("state/isolated.json"))?, "something was kept");
    free(&cgroup)?;
    guard.stop()?;
    Ok(Done::Passed)
}

fn roads() -> Result<Done> {
    let cgroup = Cgroup::new()?;
    let post = Post::at(&cgroup, POLICY)?;
    let guard = post.start("enforce")?;
    let listener = Listener::that_keeps("127.77.0.3:0".parse()?)?;
    let to = listener.address();
    let held: Vec<_> = [Route::TcpBefore, Route::UdpBefore, Route::PassedBefore]
        .into_iter()
        .map(|route| route.start(&cgroup, to).map(|started| (route, started)))
        .collect::<Result<_>>()?;
    let roads = [
        Route::Tcp,
        Route::TcpNonblocking,
        Route::TcpMapped,
        Route::FastOpenSendto,
        Route::UdpConnect,
        Route::UdpSendto,
        Route::UdpSendmsg,
        Route::UdpMapped,
        Route::NewCgroup,
        Route::RawHeader,
    ];
    isolate(&post, "isolate", &cgroup, &[])?;
    for (route, started) in held {
        let attempt = started.finish()?;
        ensure!(attempt.is_stopped(), "{}: {attempt}", route.title());
    }
    for route in roads {
        let attempt = route.from_cgroup(&cgroup, to)?;
        ensure!(
            attempt.is_stopped() || matches!(attempt, Attempt::Unavailable(_)),
            "{}: {attempt}",
            route.title()
        );
    }
    isolate(&post, "release", &cgroup, &[])?;
    for route in roads {
        let attempt = route.from_cgroup(&cgroup, to)?;
        ensure!(!attempt.is_stopped(), "after the release: {}: {attempt}", route.title());
    }
    guard.stop()?;
    Ok(Done::Passed)
}

fn program_by_rule() -> Result<Done> {
    let cgroup = Cgroup::new()?;
    let post = Post::at(&cgroup, POLICY)?;
    let file = post.path("confined");
    program::write(&file, &program::elf("confined", Then::Exit))?;
    post.write_policy(&format!(
        "{POLICY}[[rule]]\nid = \"by-path\"\npath = [{:?}]\naction = \"isolate\"\n",
        file.display().to_string()
    ))?;
    let mut guard = post.start("enforce")?;
    let run = program::run(&mut cgroup.command(&file)?)?;
    ensure!(run.was_let_go(), "it was stopped: {run:?}");
    let event = guard.wait_event(|e| e["event"]["action"] == "cgroup-isolated")?;
    ensure!(event["miner_guard"]["evidence"][0] == "by rule by-path", "{event}");
    confined(&cgroup)?;
    guard.stop()?;
    Ok(Done::Passed)
}
