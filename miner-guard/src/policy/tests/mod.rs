//! Policies as operators write them, good and bad.

mod bad_input;
mod feeds;
mod good;
mod yara;

use super::{LoadRequest, Resolved, SystemFiles, load};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

/// A directory with a policy, its feeds, and the system files that it sees.
struct Site(PathBuf);

impl Site {
    fn new(config: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("miner-guard-policy-{}-{n}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let site = Self(dir);
        site.write("config.toml", config);
        site.write("resolv.conf", "nameserver 192.0.2.53\n");
        site.write("passwd", "root:x:0:0:root:/root:/bin/sh\nminer:x:1234:5:::\n");
        site.write("group", "hpc:x:77:\n");
        site
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, text).unwrap();
        path
    }

    fn system(&self) -> SystemFiles {
        SystemFiles {
            resolv_conf: self.0.join("resolv.conf"),
            route: self.0.join("none"),
            ipv6_route: self.0.join("none"),
            passwd: self.0.join("passwd"),
            group: self.0.join("group"),
        }
    }

    fn load_after(&self, previous: Option<&Resolved>) -> Result<Resolved, Vec<String>> {
        self.load_with(&LoadRequest { previous, ..LoadRequest::default() })
    }

    /// Any request, about this site's policy.
    fn load_with(&self, request: &LoadRequest<'_>) -> Result<Resolved, Vec<String>> {
        let file = self.0.join("config.toml");
        load(&LoadRequest { file: Some(&file), system: self.system(), ..request.clone() }).map_err(|all| {
            let dir = format!("{}/", self.0.display());
            all.iter().map(|e| e.to_string().replace(&dir, "")).collect()
        })
    }

    fn load(&self) -> Resolved {
        self.load_after(None).unwrap_or_else(|e| panic!("{e:#?}"))
    }

    fn errors(&self) -> Vec<String> {
        self.load_after(None).err().unwrap_or_default()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn relative(text: &str, site: &Site) -> String {
    text.replace(&format!("{}/", site.0.display()), "")
}

#[test]
fn a_policy_that_is_not_there_is_an_error_and_none_at_all_is_the_default() {
    let none = load(&LoadRequest { file: Some(Path::new("/nonexistent/x.toml")), ..LoadRequest::default() });
    let text = none.unwrap_err()[0].to_string();
    assert_eq!(
        text,
        "/nonexistent/x.toml: cannot read /nonexistent/x.toml: No such file or directory (os error 2); \
         name a readable policy file with --config, or move long lists into a feed"
    );
}
