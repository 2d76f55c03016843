//! Programs that are listed, each by one rule, and a guard that knows the rules.

use std::{collections::BTreeMap, fmt::Write as _, fs, path::Path, process::Command};

use anyhow::{Result, ensure};
use md5::{Digest as _, Md5};
use miner_guard_tests::{
    cgroup::Cgroup,
    guard::{Guard, Post},
    program::{self, Then},
};
use serde_json::Value;
use sha2::Sha256;

/// Which rule lists a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    Path,
    Sha256,
    Md5,
}

impl Rule {
    pub fn id(self) -> &'static str {
        match self {
            Self::Path => "by-path",
            Self::Sha256 => "by-sha256",
            Self::Md5 => "by-md5",
        }
    }

    pub fn key(self) -> &'static str {
        &self.id()[3..]
    }

    pub fn reason(self) -> &'static str {
        if self == Self::Path { "file-path" } else { "file-hash" }
    }

    pub fn value(self, path: &Path, bytes: &[u8]) -> String {
        let hex = |bytes: &[u8]| {
            bytes.iter().fold(String::new(), |mut text, byte| {
                // Writing to a string cannot fail.
                let _ = write!(text, "{byte:02x}");
                text
            })
        };
        match self {
            Self::Path => path.display().to_string(),
            Self::Sha256 => hex(&Sha256::digest(bytes)),
            Self::Md5 => hex(&Md5::digest(bytes)),
        }
    }
}

/// The listed programs: name, rule, what they do.
const LISTED: &[(&str, Rule, Then)] = &[
    ("path", Rule::Path, Then::Exit),
    ("sha256", Rule::Sha256, Then::Wait),
    ("md5", Rule::Md5, Then::Wait),
    ("fexecve", Rule::Sha256, Then::Wait),
    ("execveat", Rule::Sha256, Then::Wait),
    ("interpreter", Rule::Sha256, Then::Wait),
    ("deleted", Rule::Sha256, Then::Wait),
    ("vanishing", Rule::Sha256, Then::Wait),
    ("restless", Rule::Sha256, Then::Wait),
    ("memory", Rule::Sha256, Then::Wait),
    ("loaded", Rule::Sha256, Then::Wait),
    ("copied", Rule::Sha256, Then::Wait),
    ("changed", Rule::Sha256, Then::Wait),
    ("allowed", Rule::Sha256, Then::Exit),
    ("audit-path", Rule::Path, Then::Exit),
    ("audit-sha256", Rule::Sha256, Then::Exit),
    ("audit-md5", Rule::Md5, Then::Exit),
];

/// A program that waits, where there is a loader for it.
pub const SLEEP: &str = "/bin/sleep";

/// The programs that nothing lists.
const UNLISTED: &[&str] = &["unlisted", "in-place"];

pub struct Site {
    pub guard: Guard,
    pub post: Post,
    cgroup: Cgroup,
    enforce: bool,
}

impl Site {
    pub fn new(mode: &str) -> Result<Self> {
        let cgroup = Cgroup::new()?;
        let post = Post::at(&cgroup, "")?;
        let mut lists: BTreeMap<&str, (&str, Vec<String>)> = BTreeMap::new();
        for (name, rule, then) in LISTED {
            // The loader is given an ordinary dynamic program: a static one it would execute, not load.
            let bytes = match fs::read(SLEEP) {
                Ok(mut bytes) if *name == "loaded" => {
                    bytes.extend(name.as_bytes());
                    bytes
                }
                _ => program::elf(name, *then),
            };
            let path = post.path(name);
            program::write(&path, &bytes)?;
            lists.entry(rule.id()).or_insert((rule.key(), Vec::new())).1.push(rule.value(&path, &bytes));
        }
        for name in UNLISTED {
            program::write(&post.path(name), &program::elf(name, Then::Exit))?;
        }
        let mut policy =
            format!("builtin = false\n[[allow]]\nexe = \"{}\"\n", post.path("allowed").display());
        for (id, (key, values)) in &lists {
            write!(policy, "[[rule]]\nid = \"{id}\"\n{key} = {values:?}\naction = \"deny\"\n")?;
        }
        post.write_policy(&policy)?;
        Ok(Self { guard: post.start(mode)?, post, cgroup, enforce: mode == "enforce" })
    }

    pub fn switch(&mut self, mode: &str) -> Result<()> {
        let output = self.post.run(&["mode", mode])?;
        ensure!(output.status.success(), "{mode}: {}", String::from_utf8_lossy(&output.stderr));
        self.enforce = mode == "enforce";
        Ok(())
    }

    pub fn command(&self, program: &Path) -> Result<Command> {
        self.cgroup.command(program)
    }

    /// The next event of an exec of this file, or of one with this content.
    pub fn event(&mut self, inode: u64, sha256: &str) -> Result<Value> {
        let (inode, enforce) = (inode.to_string(), self.enforce);
        let event = self.guard.wait_event(|event| {
            let file = &event["file"];
            file["inode"] == inode || file["hash"]["sha256"] == sha256
        })?;
        let told = &event["miner_guard"];
        ensure!(told["verdict"] == "deny" && told["enforced"] == enforce, "{event}");
        Ok(event)
    }
}
