//! What an event says as evidence.

use crate::{
    event::model::{Event, Finding},
    identify::evidence::{Evidence, Kind, Strength},
};
use miner_guard_common::abi::verdict::{Reason, Verdict};

/// Evidence of a record's event; none of what was allowed.
#[must_use]
pub fn of_event(event: &Event, verdict: Verdict, reason: Reason, finding: Option<&Finding>) -> Vec<Evidence> {
    let Some((kind, strength)) = weigh(verdict, reason) else { return Vec::new() };
    let finding = finding.map(|f| f.evidence.as_slice()).unwrap_or_default();
    let text = match kind.family() {
        crate::identify::evidence::Family::Network => reached(event, reason),
        _ if finding.is_empty() => known(event, reason),
        _ => return finding.iter().map(|text| Evidence::new(kind, strength, text)).collect(),
    };
    vec![Evidence::new(kind, strength, text)]
}

fn weigh(verdict: Verdict, reason: Reason) -> Option<(Kind, Strength)> {
    use {Kind::*, Strength::*};
    if verdict == Verdict::Allow {
        return None;
    }
    let stops = verdict.stops();
    match reason {
        Reason::AddressPort
        | Reason::Address
        | Reason::Prefix
        | Reason::Learned
        | Reason::Port
        | Reason::Domain => Some((Contact, if stops { Medium } else { Weak })),
        // To open a session is to mine; who only follows a coin's blocks is told of, and no more.
        Reason::Protocol => Some((Protocol, if stops { Strong } else { Weak })),
        // Told of, and no more: whoever runs a pool's server may well hold the hash function that it checks shares with.
        Reason::PoolServer => Some((PoolServer, Weak)),
        Reason::NoServerName => Some((Concealment, Weak)),
        Reason::MinerBinary => Some((Miner, Strong)),
        Reason::FileHash => Some((Listed, if stops { Strong } else { Medium })),
        // A name that the file was given, unlike what is in it.
        Reason::FilePath => Some((Listed, if stops { Medium } else { Weak })),
        Reason::HashingHeavy => Some((Algorithm, Strong)),
        _ => None,
    }
}

/// The same for every process that did it: no process is named.
fn reached(event: &Event, reason: Reason) -> String {
    let to = match (&event.dns, &event.tls, &event.destination) {
        (Some(dns), ..) => format!("asked for {}", dns.question.name),
        (_, Some(tls), _) => format!("asked for {} in TLS", tls.client.server_name),
        (.., Some(to)) => format!("reached for {}", std::net::SocketAddr::new(to.ip, to.port)),
        _ => "reached out".to_owned(),
    };
    let rule = event.rule.as_ref().map(|r| format!(", listed by {}", r.id)).unwrap_or_default();
    let indicator = event.threat.as_ref().and_then(|t| t.indicator.description.as_ref());
    let place = indicator.map(|d| format!(" ({d})")).unwrap_or_default();
    match reason {
        Reason::Protocol => {
            let spoken = event.network.as_ref().and_then(|n| n.protocol);
            format!("spoke a mining protocol ({}): {to}", spoken.unwrap_or("unknown"))
        }
        // The other end is whoever asked, another one each time.
        Reason::PoolServer => "handed out work as a mining pool or proxy does".to_owned(),
        Reason::NoServerName => format!("named no server in TLS: {to}"),
        _ => format!("{to}{rule}{place}"),
    }
}

fn known(event: &Event, reason: Reason) -> String {
    let path = event.file.as_ref().map(|f| f.path.clone());
    let path = path.or_else(|| event.process.as_ref().and_then(|p| p.executable.clone()));
    let why = match reason {
        Reason::MinerBinary => "known to be a miner by its content",
        Reason::FileHash => "listed by its hash",
        Reason::FilePath => "listed by its path",
        _ => "known for a proof-of-work algorithm in it",
    };
    let rule = event.rule.as_ref().map(|r| format!(" (rule {})", r.id)).unwrap_or_default();
    format!("{} was started, {why}{rule}", path.unwrap_or_else(|| "a program".into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{case::subject::Subject as Who, enrich::proc_root::ProcRoot, samples};
    use miner_guard_common::{
        abi::packet::Subject,
        parse::stratum::{Dialect, Role},
    };
    use zerocopy::IntoBytes as _;

    fn event(bytes: &[u8]) -> Event {
        let record = crate::event::decode::decode(bytes).unwrap();
        Event::of_record(crate::event::model::Told {
            record: &record,
            suppressed: 0,
            scope: crate::event::model::Scope::Same,
            source: crate::event::model::Source { gone: true, ..Default::default() },
            rule: None,
            finding: None,
            at: jiff::Timestamp::UNIX_EPOCH,
            host: None,
        })
    }

    #[test]
    fn a_denied_connect_is_a_contact_and_an_allowed_one_is_nothing() {
        let event = event(samples::connect("192.0.2.5:3333").as_bytes());
        let said = of_event(&event, Verdict::Deny, Reason::Address, None);
        assert_eq!(said, [Evidence::new(Kind::Contact, Strength::Medium, "reached for 192.0.2.5:3333")]);
        assert_eq!(of_event(&event, Verdict::Allow, Reason::Protected, None), []);
        assert_eq!(of_event(&event, Verdict::Alert, Reason::Port, None)[0].strength, Strength::Weak);
    }

    fn packet(subject: Subject, dialect: Option<Dialect>, name: &str) -> Event {
        let mut packet = samples::packet(subject, "192.0.2.5:443", name);
        if let Some(dialect) = dialect {
            (packet.dialect, packet.role) = (dialect as u8, Role::Opening as u8);
        }
        event(packet.as_bytes())
    }

    #[test]
    fn what_a_packet_told_is_evidence_of_the_network_and_what_only_alerts_is_weak() {
        let asked = packet(Subject::DnsQuestion, None, "pool.example");
        assert_eq!(
            of_event(&asked, Verdict::Deny, Reason::Domain, None),
            [Evidence::new(Kind::Contact, Strength::Medium, "asked for pool.example")]
        );
        let named = packet(Subject::ServerName, None, "pool.example");
        assert_eq!(
            of_event(&named, Verdict::Deny, Reason::Domain, None),
            [Evidence::new(Kind::Contact, Strength::Medium, "asked for pool.example in TLS")]
        );
        let spoken = packet(Subject::Protocol, Some(Dialect::ALL[0]), "");
        let said = of_event(&spoken, Verdict::Deny, Reason::Protocol, None);
        assert_eq!((said[0].kind, said[0].strength), (Kind::Protocol, Strength::Strong));
        assert!(said[0].text.contains(Dialect::ALL[0].name()), "{said:?}");
        for (reason, kind) in [
            (Reason::Protocol, Kind::Protocol),
            (Reason::PoolServer, Kind::PoolServer),
            (Reason::NoServerName, Kind::Concealment),
        ] {
            let said = of_event(&spoken, Verdict::Alert, reason, None);
            assert_eq!((said[0].kind, said[0].strength), (kind, Strength::Weak));
        }
    }

    #[test]
    fn a_packet_of_a_process_that_is_not_known_has_no_subject() {
        let mut packet = samples::packet(Subject::DnsQuestion, "192.0.2.5:53", "pool.example");
        packet.head.pid = 0;
        assert!(Who::of_event(&event(packet.as_bytes()), &ProcRoot("/nonexistent".into())).is_none());
    }

    #[test]
    fn a_known_program_is_named_and_a_new_one_says_what_was_found() {
        let event = event(samples::exec(b"/tmp/x", &[b"x"]).as_bytes());
        let said = of_event(&event, Verdict::Deny, Reason::MinerBinary, None);
        assert_eq!(said[0].text, "/tmp/x was started, known to be a miner by its content");
        let finding = Finding {
            verdict: Verdict::Deny,
            reason: Reason::MinerBinary,
            evidence: vec!["one".into(), "two".into()],
            sha256: None,
            killed: false,
        };
        let said = of_event(&event, Verdict::Deny, Reason::MinerBinary, Some(&finding));
        assert_eq!(said.iter().map(|e| e.text.as_str()).collect::<Vec<_>>(), ["one", "two"]);
    }

    #[test]
    fn a_process_that_is_gone_is_still_a_subject() {
        let subject = Who::of_event(
            &event(samples::connect("192.0.2.5:3333").as_bytes()),
            &ProcRoot("/nonexistent".into()),
        );
        let subject = subject.unwrap();
        assert_eq!((subject.task.pid, subject.task.start, subject.place.cgroup_id), (4242, 0, 99));
    }
}
