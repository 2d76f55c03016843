use super::*;
use proptest::prelude::*;

fn line(args: &[&str]) -> String {
    redact(&args.iter().map(|a| a.as_bytes().to_vec()).collect::<Vec<_>>()).join(" ")
}

const XMR: &str =
    "48edfHu7V9Z84YzzMa6fUueoELZ9ZRXq9VetWzYGzKt52XU5xvqgzYnDK9URnRoJMk1j8nLwEVsaSWJ4fhdUyZijBGUicoD";

#[test]
fn a_miners_command_line_keeps_what_traces_it() {
    assert_eq!(
        line(&["./xmrig", "-o", "pool.example:3333", "-u", XMR, "-p", "worker7", "--tls"]),
        "./xmrig -o pool.example:3333 -u 48edfH…UicoD -p [redacted] --tls".replace("UicoD", "GUicoD")
    );
    assert_eq!(
        line(&[
            "ethminer",
            "-P",
            "stratum1+ssl://0x0123456789abcdef0123456789abcdef01234567.rig:secret@p.example:5555"
        ]),
        "ethminer -P stratum1+ssl://0x0123…234567.rig:[redacted]@p.example:5555"
    );
    assert_eq!(line(&["minerd", "-O", "wallet.worker:hunter2"]), "minerd -O wallet.worker:[redacted]");
    assert_eq!(line(&["minerd", "--userpass=wallet:hunter2"]), "minerd --userpass=wallet:[redacted]");
}

#[test]
fn values_of_secret_options_are_gone() {
    for args in [
        ["x", "--password", "hunter2"],
        ["x", "--api-token", "hunter2"],
        ["x", "-pass", "hunter2"],
        ["x", "--secret-access-key", "hunter2"],
        ["x", "-p", "hunter2"],
        ["x", "--pass", "-hunter2"],
        ["x", "--db-pwd", "hunter2"],
        ["x", "--dbPassword", "hunter2"],
    ] {
        assert_eq!(line(&args), format!("x {} [redacted]", args[1]));
    }
    assert_eq!(line(&["x", "--password=hunter2"]), "x --password=[redacted]");
    assert_eq!(line(&["mysql", "-phunter2", "-uroot"]), "mysql -p[redacted] -uroot");
    assert_eq!(line(&["sshpass", "-phunter2", "ssh", "h"]), "sshpass -p[redacted] ssh h");
}

#[test]
fn what_is_no_secret_stays_readable() {
    for args in [
        vec!["mkdir", "-p", "/var/lib/x"],
        vec!["docker", "run", "-p", "8080:80", "-u", "1000:1000", "img"],
        vec!["nginx", "-p", "8080"],
        vec!["x", "-p", "--verbose"],
        vec!["x", "--password-file", "/etc/x/pw", "--token-url=https://h/x"],
        vec!["env", "PWD=/home/alice", "PATH=/bin:/usr/bin"],
        vec!["python3", "-m", "tokenizer", "--tokenizers=4", "--bypass=1", "--compass=n"],
        vec!["cat", "/var/lib/docker/overlay2/4f5e2c0b7a9d8e6f1a2b3c4d5e6f7081/merged"],
        vec![
            "x",
            "x86_64-unknown-linux-gnu",
            "averylongwordwithoutanydigits",
            "20261102120307123456789012345678",
        ],
        vec!["sudo", "-u", "alice", "id"],
        vec!["rsync", "host:/path", "user@host:/path"],
        vec!["x", "--password", "--verbose"],
    ] {
        assert_eq!(line(&args), args.join(" "));
    }
}

#[test]
fn urls_lose_their_password_and_their_secret_parameters() {
    assert_eq!(
        line(&["git", "clone", "https://bob:hunter2@h/r.git"]),
        "git clone https://bob:[redacted]@h/r.git"
    );
    assert_eq!(
        line(&["curl", "https://h/?a=1&token=hunter2&b=2"]),
        "curl https://h/?a=1&token=[redacted]&b=2"
    );
    assert_eq!(
        line(&["x", "amqp://a:b@h1,amqp://c:d@h2/v"]),
        "x amqp://a:[redacted]@h1,amqp://c:[redacted]@h2/v"
    );
    assert_eq!(
        line(&["git", "clone", "https://ghp_0123456789abcdefghijklmnopqrstuvwxyz@h/r"]),
        "git clone https://ghp_012345…uvwxyz@h/r"
    );
}

#[test]
fn environment_headers_and_json_are_read() {
    assert_eq!(
        line(&["env", "AWS_SECRET_ACCESS_KEY=hunter2", "DB_PASS=x", "-e", "--env=API_KEY=x"]),
        "env AWS_SECRET_ACCESS_KEY=[redacted] DB_PASS=[redacted] -e --env=API_KEY=[redacted]"
    );
    assert_eq!(
        line(&["curl", "-H", "Authorization: Bearer hunter2", "-H", "X-Api-Key: hunter2"]),
        "curl -H Authorization: Bearer [redacted] -H X-Api-Key: [redacted]"
    );
    assert_eq!(line(&["x", r#"{"user":"a","pass":"hunter2"}"#]), r#"x {"user":"a","pass":[redacted]"#);
}

#[test]
fn a_script_in_one_argument_is_read_like_a_command_line() {
    assert_eq!(
        line(&["sh", "-c", "./xmrig -o h:1 -p hunter2 &&\n  curl -u bob:hunter2 https://h"]),
        "sh -c ./xmrig -o h:1 -p [redacted] &&\n  curl -u bob:[redacted] https://h"
    );
}

#[test]
fn an_argument_that_is_not_utf8_is_told_in_hex() {
    assert_eq!(redact(&[b"x\xff".to_vec()]), ["x\\xff"]);
}

proptest! {
    #[test]
    fn no_arguments_make_it_panic_or_change_their_number(
        args in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 0..12),
    ) {
        prop_assert_eq!(redact(&args).len(), args.len());
    }

    #[test]
    fn a_password_after_its_option_never_shows(
        secret in "[A-Za-z0-9]{8,40}",
        how in prop::sample::select(vec!["--password {}", "--token={}", "PASSWORD={}", "https://u:{}@h/", "-u a:{}"]),
    ) {
        let text = how.replace("{}", &secret);
        let args: Vec<Vec<u8>> = ["x"].into_iter().chain(text.split(' ')).map(|a| a.as_bytes().to_vec()).collect();
        let shown = redact(&args).join(" ");
        prop_assert!(!shown.contains(&secret), "{}", shown);
        let script = redact(&[b"sh".to_vec(), b"-c".to_vec(), format!("x {text} y").into_bytes()]).join(" ");
        prop_assert!(!script.contains(&secret), "{}", script);
    }
}
