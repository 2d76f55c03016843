//! `cargo xtask eval static`: rebuilds its inputs from Debian's packages and from crates, lets the guard's `scan` judge
//! them, and writes docs/detection-static.md. What is fetched and built is kept in the cache; no miner is ever run.

mod builder;
mod debian;
mod disguise;
mod miners;
mod page;
mod speed;
mod verdicts;

use std::{fs, path::PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::{build, cache, shell};
use builder::Builder;
use page::Page;
use speed::ROUNDS;

/// Arguments of `cargo xtask eval static`.
#[derive(clap::Args)]
pub struct Args {
    /// Only the miners and their disguises; the page is then printed and not written
    #[arg(long)]
    miners: bool,
    /// In a few minutes: UPX packs with -9 instead of --best, and the speed is measured once; the page says so
    #[arg(long)]
    quick: bool,
    /// The guard that judges, instead of a release build
    #[arg(long, value_name = "FILE")]
    guard: Option<PathBuf>,
}

/// What a file is known to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Truth {
    /// A miner: client and algorithm together.
    Miner,
    /// A proof-of-work algorithm without a client.
    Algorithm,
}

/// A program that must be found.
pub struct Sample {
    /// What it is called on the page.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
    /// What it is.
    pub truth: Truth,
    /// For another machine: what only the native tools can do to it is left out.
    pub foreign: bool,
}

/// Fetches, builds, disguises, scans, and writes the page. Fails when a miner is missed or an honest program accused.
pub fn main(args: &Args) -> Result<()> {
    if !shell::is_root() {
        bail!(
            "this needs root: the tools that build and pack are run in a root directory of their own (chroot)"
        );
    }
    let dir = cache::dir()?.join("eval");
    let guard = build::given(args.guard.as_ref())?;
    let builder = Builder::open(&dir.join("builder"))?;
    let mut page = Page::default();

    let (samples, missing) = miners::all(&builder, &dir)?;
    page.missing(&missing);
    if args.quick {
        page.quick();
    }
    let disguised = dir.join("disguised");
    if disguised.exists() {
        fs::remove_dir_all(&disguised).with_context(|| format!("cannot remove {}", disguised.display()))?;
    }
    let mut variants = Vec::new();
    for sample in &samples {
        variants.extend(disguise::all(&builder, sample, &disguised, args.quick)?);
    }
    let verdicts = verdicts::scan(&guard, &[&disguised])?;
    let missed = page.matrix(&samples, &variants, &verdicts);

    if args.miners {
        println!("{}", page.markdown());
    } else {
        let tree = debian::unpack(&dir.join("debian"))?;
        let verdicts = verdicts::scan(&guard, &[&tree.path])?;
        let accused = page.honest(&tree, &verdicts);
        speed::compare(&builder, &guard, &tree, &mut page, if args.quick { 1 } else { ROUNDS })?;
        page.write(&shell::root().join("docs/detection-static.md"))?;
        if accused > 0 {
            bail!("{accused} honest programs are taken for miners");
        }
    }
    if missed > 0 {
        bail!("{missed} of {} disguised programs are missed", variants.len());
    }
    Ok(())
}
