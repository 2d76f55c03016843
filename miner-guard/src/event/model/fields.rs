//! The objects of the Elastic Common Schema that events use.

use super::{action::Action, optional_rfc3339};
use jiff::Timestamp;
use serde::Serialize;
use std::net::IpAddr;

/// `ecs.*`
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Ecs {
    /// Version of the schema whose names these are.
    pub version: &'static str,
}

impl Default for Ecs {
    fn default() -> Self {
        Self { version: "8.17.0" }
    }
}

/// `event.*`
#[derive(Clone, Debug, Serialize)]
pub struct About {
    /// What happened, in one word.
    pub action: Action,
    /// `alert`, `event`, `pipeline_error`.
    pub kind: &'static str,
    /// `network`, `process`, `malware`, `configuration`, `host`.
    pub category: &'static [&'static str],
    /// `connection`, `start`, `end`, `denied`, `allowed`, `change`, `info`, `error`.
    #[serde(rename = "type")]
    pub types: &'static [&'static str],
    /// `success` or `failure` of what the process (or the guard) tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<&'static str>,
    /// Always `miner-guard`.
    pub provider: &'static str,
}

/// `host.*`
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Host {
    /// Name of the machine.
    pub name: String,
}

/// `process.*`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Process {
    /// Process (thread group).
    pub pid: u32,
    /// Name of the program as the kernel shows it; chosen by the process.
    pub name: String,
    /// File that it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub executable: Option<String>,
    /// Arguments, secrets redacted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
    /// Number of arguments there were.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub args_count: Option<usize>,
    /// Arguments in one line, secrets redacted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command_line: Option<String>,
    /// When it was started (10 ms steps).
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "optional_rfc3339")]
    pub start: Option<Timestamp>,
    /// The thread that did it.
    pub thread: Thread,
    /// Who started it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent: Option<ProcessRef>,
}

/// `process.thread.*`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Thread {
    /// Thread id.
    pub id: u32,
    /// Name of the thread; chosen by the process.
    pub name: String,
}

/// A process that is named, not told in full: a parent, an ancestor.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ProcessRef {
    /// Process.
    pub pid: u32,
    /// Name, if it was still there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// File that it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub executable: Option<String>,
    /// When it was started.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "optional_rfc3339")]
    pub start: Option<Timestamp>,
}

/// `user.*`
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct User {
    /// Number, as a string (so ECS wants it).
    pub id: String,
    /// Name in the user database.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// `group.*`
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Group {
    /// Number, as a string.
    pub id: String,
}

/// `destination.*`, `source.*`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Destination {
    /// Address.
    pub ip: IpAddr,
    /// Port.
    pub port: u16,
}

/// `network.*`
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Network {
    /// The mining protocol that was recognised: `stratum-v1`, `cryptonote` …
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<&'static str>,
    /// `tcp`, `udp` …
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transport: Option<&'static str>,
    /// `ipv4` or `ipv6`.
    #[serde(rename = "type")]
    pub family: &'static str,
    /// Protocol number, as a string.
    pub iana_number: String,
    /// Always `egress`.
    pub direction: &'static str,
}

/// `dns.*`
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Dns {
    /// What was asked.
    pub question: Name,
    /// Addresses of the answer.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub resolved_ip: Vec<IpAddr>,
}

/// `dns.question.*`
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Name {
    /// The name that was asked for.
    pub name: String,
}

/// `tls.*`
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Tls {
    /// The client's side.
    pub client: TlsClient,
}

/// `tls.client.*`
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TlsClient {
    /// Server name indication.
    pub server_name: String,
}

/// `file.*`: the program file of an exec.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct File {
    /// Path as given to `execve`.
    pub path: String,
    /// Inode number, as a string.
    pub inode: String,
    /// `major:minor` of the file system's device.
    pub device: String,
    /// Bytes.
    pub size: u64,
    /// Change time.
    #[serde(serialize_with = "super::rfc3339")]
    pub ctime: Timestamp,
    /// Hashes, once computed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hash: Option<Hash>,
}

/// `file.hash.*`
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Hash {
    /// SHA-256 in hex.
    pub sha256: String,
}

/// `rule.*`
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Rule {
    /// Id of the rule or feed in the policy.
    pub id: String,
}

/// `threat.*`
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Threat {
    /// The indicator that was met.
    pub indicator: Indicator,
}

/// `threat.indicator.*`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Indicator {
    /// `ipv4-addr`, `ipv6-addr`, `domain-name`, `file`.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<&'static str>,
    /// The indicator as written in the policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip: Option<IpAddr>,
    /// Port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// The feed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// Where the indicator stands and who says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// `container.*`
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Container {
    /// The runtime's id.
    pub id: String,
    /// `docker`, `containerd`, `podman`, `crio`, if the cgroup tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runtime: Option<&'static str>,
}
