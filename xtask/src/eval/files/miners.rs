//! Every miner that Debian and crates.io hold, or that builds from them.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

use super::{Sample, Truth, builder::Builder};
use crate::{
    apt::{Apt, Lists},
    corpus, shell,
};

/// Miners written in Rust: the crate, its version, and what it needs besides a compiler.
const CRATES: &[(&str, &str, Option<&str>)] =
    &[("kaspa-miner", "0.2.7", Some("protoc")), ("ministo", "0.1.1", Some("cmake"))];

/// A program that hashes made-up input, linked with Debian's library; it is built, and never run.
const SHARED: &str = r#"
#include <randomx.h>
int main(void) {
    randomx_flags flags = randomx_get_flags();
    randomx_cache *cache = randomx_alloc_cache(flags);
    randomx_init_cache(cache, "key", 3);
    randomx_vm *vm = randomx_create_vm(flags, cache, 0);
    char hash[RANDOMX_HASH_SIZE];
    randomx_calculate_hash(vm, "input", 5, hash);
    return hash[0];
}
"#;
/// The same in Rust, with the library inside.
const INSIDE: [(&str, &str); 2] = [
    (
        "Cargo.toml",
        "[package]\nname = \"linked\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\
         [dependencies]\nrandomx-rs = \"1\"\n[workspace]\n",
    ),
    (
        "src/main.rs",
        "use randomx_rs::{RandomXCache, RandomXFlag, RandomXVM};\n\
         fn main() {\n\
         let flags = RandomXFlag::get_recommended_flags();\n\
         let hash = RandomXCache::new(flags, b\"key\")\n\
         .and_then(|cache| RandomXVM::new(flags, Some(cache), None))\n\
         .and_then(|vm| vm.calculate_hash(b\"input\"));\n\
         println!(\"{hash:?}\");\n}\n",
    ),
];

/// Debian has this library as a shared one only: the three functions of it that xmrig calls, from its headers.
const FMT: &str = r"
#define FMT_HEADER_ONLY
#include <fmt/format.h>
std::string (*vformat)(fmt::string_view, fmt::format_args) = &fmt::vformat;
bool (*is_printable)(uint32_t) = &fmt::detail::is_printable;
void (*throw_format_error)(const char *) = &fmt::detail::throw_format_error;
";

/// All that can be had here, and what cannot, with the reason.
pub fn all(builder: &Builder, dir: &Path) -> Result<(Vec<Sample>, Vec<String>)> {
    let made = dir.join("miners");
    fs::create_dir_all(&made).with_context(|| format!("cannot create {}", made.display()))?;
    let (mut samples, mut missing) = (Vec::new(), Vec::new());
    let mut take = |name: &str, truth, foreign, path: Result<PathBuf>| match path {
        Ok(path) => samples.push(Sample { name: name.to_owned(), path, truth, foreign }),
        Err(error) => missing.push(format!("{name}: {error:#}")),
    };

    let debian = corpus::miners()?;
    for suite in corpus::SUITES {
        let path = debian
            .as_ref()
            .map(|dir| dir.join(suite).join("usr/bin/xmrig"))
            .filter(|path| path.is_file())
            .context("could not be fetched");
        take(&format!("xmrig of {suite}"), Truth::Miner, false, path);
    }
    take("xmrig of trixie, arm64", Truth::Miner, true, arm64(&made));
    take("xmrig, static", Truth::Miner, false, xmrig(builder, &made));
    take("RandomX linked, crate", Truth::Algorithm, false, inside(&made));
    take("RandomX linked, shared", Truth::Algorithm, false, shared(builder, &made));
    take("librandomx.so", Truth::Algorithm, false, library(builder));
    for (name, version, needs) in CRATES {
        take(name, Truth::Miner, false, rust(name, version, *needs, &made));
    }
    Ok((samples, missing))
}

fn arm64(made: &Path) -> Result<PathBuf> {
    let path = made.join("xmrig-arm64");
    if !path.is_file() {
        let apt = Apt::open_lists(Lists { suites: &["trixie"], architecture: "arm64", sources: false })?;
        fs::copy(apt.unpack("xmrig")?.join("usr/bin/xmrig"), &path)?;
    }
    Ok(path)
}

/// xmrig from Debian's source package, with everything in one file.
fn xmrig(builder: &Builder, made: &Path) -> Result<PathBuf> {
    let path = made.join("xmrig-static");
    if path.is_file() {
        return Ok(path);
    }
    eprintln!("eval: building xmrig from Debian's source package, to be analysed (once, some minutes)");
    let work = builder.work().join("xmrig");
    if work.exists() {
        fs::remove_dir_all(&work)?;
    }
    let apt = Apt::open_lists(Lists { suites: &["sid"], architecture: "amd64", sources: true })?;
    apt.source("xmrig", &work)?;
    fs::write(work.join("fmt.cpp"), FMT)?;
    builder.script(
        "cd /work/xmrig; g++ -O2 -c fmt.cpp; ar crs libfmt.a fmt.o; mkdir src; tar -C src --strip-components=1 -xf *.orig.tar.xz; \
         tar -C src -xf *.debian.tar.xz; cd src; \
         for p in $(cat debian/patches/series); do patch -s -p1 <debian/patches/$p; done; \
         ln -s /usr/include/fmt src/3rdparty/fmt; ln -s /usr/include/rapidjson src/3rdparty/rapidjson; \
         mkdir build; cd build; \
         cmake .. -DCMAKE_EXE_LINKER_FLAGS=-L/work/xmrig -DCMAKE_BUILD_TYPE=Release -DBUILD_STATIC=ON -DWITH_HWLOC=OFF -DWITH_TLS=OFF \
         -DWITH_KAWPOW=OFF -DWITH_OPENCL=OFF -DWITH_CUDA=OFF -DWITH_NVML=OFF >log; \
         make -j$(nproc) >>log",
    )?;
    let built = fs::read_dir(work.join("src/build"))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("xmrig")))
        .context("make left no program")?;
    fs::copy(built, &path)?;
    fs::remove_dir_all(&work)?;
    Ok(path)
}

fn shared(builder: &Builder, made: &Path) -> Result<PathBuf> {
    let path = made.join("randomx-shared");
    if !path.is_file() {
        fs::write(builder.work().join("linked.c"), SHARED)?;
        builder.script("cd /work; gcc -O2 linked.c -o linked -lrandomx")?;
        fs::copy(builder.work().join("linked"), &path)?;
    }
    Ok(path)
}

fn inside(made: &Path) -> Result<PathBuf> {
    let path = made.join("randomx-inside");
    if path.is_file() {
        return Ok(path);
    }
    shell::find("cmake").context("needs cmake, which is not on PATH")?;
    eprintln!("eval: building a program with the crate randomx-rs, to be analysed (once)");
    let dir = made.join("linked");
    fs::create_dir_all(dir.join("src"))?;
    for (name, text) in INSIDE {
        fs::write(dir.join(name), text)?;
    }
    let mut build = shell::cargo();
    build.args(["build", "--quiet", "--release"]).current_dir(&dir);
    shell::run(build.env("CARGO_TARGET_DIR", dir.join("target")))?;
    fs::copy(dir.join("target/release/linked"), &path)?;
    fs::remove_dir_all(&dir)?;
    Ok(path)
}

fn library(builder: &Builder) -> Result<PathBuf> {
    let path = builder.file("usr/lib/x86_64-linux-gnu/librandomx.so");
    path.canonicalize().with_context(|| format!("no {}", path.display()))
}

fn rust(name: &str, version: &str, needs: Option<&str>, made: &Path) -> Result<PathBuf> {
    let path = made.join("bin").join(name);
    if path.is_file() {
        return Ok(path);
    }
    if let Some(tool) = needs {
        shell::find(tool).with_context(|| format!("needs {tool}, which is not on PATH"))?;
    }
    eprintln!("eval: building the crate {name} {version}, to be analysed (once, some minutes)");
    let mut install = shell::cargo();
    install.args(["install", "--quiet", "--locked", "--root"]).arg(made);
    install.args([name, "--version", &format!("={version}")]);
    shell::run(install.env("CARGO_TARGET_DIR", made.join("target")))?;
    fs::remove_dir_all(made.join("target"))?;
    Ok(path)
}
