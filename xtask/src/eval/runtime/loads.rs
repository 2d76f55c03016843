//! What is run. The programs of `eval/loads` are built here; the others are Debian's.

/// What a load is, and hence what should be said of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// RandomX: `mining`.
    RandomX,
    /// Another proof of work: `hashing-heavy`.
    Pow,
    /// Hashes or encrypts, and honestly so: anything but `mining`.
    Hashes,
    /// Anything else: nothing.
    Honest,
}

impl Kind {
    /// As the page calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::RandomX => "RandomX",
            Self::Pow => "other proof of work",
            Self::Hashes => "honest, hashes or encrypts",
            Self::Honest => "honest",
        }
    }
}

/// A load.
pub struct Load {
    /// Its name on the page.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// A command for `sh -c`; `$LOADS` is the program of `eval/loads`, `$SECONDS_` the time to run.
    pub command: String,
    /// Debian's package that has it, and the program that shows that it is there.
    pub needs: Option<(&'static str, &'static str)>,
}

const RANDOMX: &[(&str, &str)] = &[
    ("randomx-light", "randomx-light"),
    ("randomx-full", "randomx-full"),
    ("randomx-softaes", "randomx-softaes"),
    ("randomx-interpreted", "randomx-interpreted"),
    ("randomx-all-cores", "randomx-light --threads $(nproc)"),
    ("randomx-50", "randomx-light --duty 50"),
    ("randomx-25", "randomx-light --duty 25"),
    ("randomx-10", "randomx-light --duty 10"),
    ("randomx-interpreted-10", "randomx-interpreted --duty 10"),
    ("randomx-processes", "randomx-light --processes 3"),
    ("randomx-forks", "randomx-light --fork 4"),
];

const POW: &[&str] = &[
    "sha256d",
    "sha512",
    "sha1",
    "keccak256",
    "sha3-512",
    "blake2b",
    "blake2s",
    "blake3",
    "groestl512",
    "jh512",
    "skein512",
    "whirlpool",
    "ripemd160",
    "sm3",
    "streebog512",
    "shabal512",
    "k12",
    "x-chain",
    "scrypt",
    "argon2id",
    "argon2d",
    "yescrypt",
    "cryptonight-like",
    "ghostrider-like",
    "ethash-like",
    "cuckoo-like",
];

const OWN_HASHES: &[&str] = &["merkle-tree", "file-hashing"];

const OWN_HONEST: &[&str] = &[
    "interval-up",
    "interval-both",
    "fenv-all-modes",
    "fenv-all-modes-much-memory",
    "mandelbrot",
    "matmul",
    "stream-triad",
    "nbody",
    "json-parse",
    "btree",
    "sort",
    "random-numbers",
    "popcount",
    "regex-like",
];

/// Name, package, program, kind, command. Input is made from what every system has.
const DEBIAN: &[(&str, &str, &str, Kind, &str)] = &[
    ("xz", "xz-utils", "xz", Kind::Honest, "while :; do tar c /usr/share | xz -6 -c > /dev/null; done"),
    ("gzip", "gzip", "gzip", Kind::Honest, "while :; do tar c /usr/share | gzip -9 > /dev/null; done"),
    ("bzip2", "bzip2", "bzip2", Kind::Honest, "while :; do tar c /usr/share | bzip2 > /dev/null; done"),
    ("zstd", "zstd", "zstd", Kind::Honest, "while :; do tar c /usr/share | zstd -q -12 -c > /dev/null; done"),
    (
        "gcc",
        "gcc",
        "cc",
        Kind::Honest,
        "while :; do for f in 1 2 3 4; do echo '#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\nint main(void){return 0;}' | cc -O2 -x c - -o /dev/null; done; done",
    ),
    (
        "g++",
        "g++",
        "g++",
        Kind::Honest,
        "while :; do echo '#include <regex>\n#include <map>\nint main(){std::regex r(\"a*b\");std::map<int,int> m;return m.size();}' | g++ -O2 -x c++ - -o /dev/null; done",
    ),
    (
        "python-pure",
        "python3",
        "python3",
        Kind::Honest,
        "python3 -c 'while True: sum(i*i%7 for i in range(10**6))'",
    ),
    (
        "python-big-integers",
        "python3",
        "python3",
        Kind::Honest,
        "python3 -c 'while True: pow(3,2**4000,10**2000+7)'",
    ),
    (
        "python-json",
        "python3",
        "python3",
        Kind::Honest,
        "python3 -c 'import json\nd=[{\"a\":i,\"b\":str(i)} for i in range(20000)]\nwhile True: json.loads(json.dumps(d))'",
    ),
    (
        "numpy",
        "python3-numpy",
        "f2py3",
        Kind::Honest,
        "/usr/bin/python3 -c 'import numpy as n\nwhile True: n.linalg.svd(n.random.rand(400,400))'",
    ),
    ("perl", "perl", "perl", Kind::Honest, "perl -e 'while(1){my %h;$h{$_%977}.=$_ for 1..200000}'"),
    (
        "awk",
        "mawk",
        "awk",
        Kind::Honest,
        "while :; do awk 'BEGIN{for(i=0;i<9000000;i++)s+=i%3;print s}' > /dev/null; done",
    ),
    ("sort", "coreutils", "sort", Kind::Honest, "while :; do seq 2000000 | sort -R | sort > /dev/null; done"),
    (
        "find-grep",
        "grep",
        "grep",
        Kind::Honest,
        "while :; do grep -rc 'a.*b.*c' /usr/share/doc > /dev/null; done",
    ),
    (
        "git-gc",
        "git",
        "git",
        Kind::Honest,
        "d=$(mktemp -d); cd $d; git init -q .; cp -r /usr/share/perl5 . 2>/dev/null; git add -A; git -c user.name=a -c user.email=a@b commit -qm a; while :; do git repack -adfq; done",
    ),
    (
        "node",
        "nodejs",
        "node",
        Kind::Honest,
        "node -e 'while(1){let m=new Map();for(let i=0;i<1e5;i++)m.set(\"k\"+i,i*1.5);JSON.parse(JSON.stringify([...m]))}'",
    ),
    (
        "node-integers",
        "nodejs",
        "node",
        Kind::Honest,
        "node -e 'let x=1;while(1){for(let i=0;i<1e7;i++){x^=x<<13;x^=x>>>17;x^=x<<5}}'",
    ),
    (
        "java",
        "default-jdk-headless",
        "java",
        Kind::Honest,
        "d=$(mktemp -d); echo 'import java.util.*;class A{public static void main(String[] a){while(true){Map<String,Double> m=new HashMap<>();for(int i=0;i<300000;i++)m.merge(\"k\"+i%999,i*0.5,Double::sum);}}}' > $d/A.java; java $d/A.java",
    ),
    (
        "octave",
        "octave",
        "octave-cli",
        Kind::Honest,
        "octave-cli --eval 'while true, a=rand(300); b=inv(a)*a; end'",
    ),
    (
        "ffmpeg-x264",
        "ffmpeg",
        "ffmpeg",
        Kind::Honest,
        "ffmpeg -v quiet -f lavfi -i testsrc2=size=640x360:rate=30 -c:v libx264 -f null -",
    ),
    (
        "sqlite",
        "sqlite3",
        "sqlite3",
        Kind::Honest,
        "while :; do echo 'create table t(a,b);with recursive c(x) as (select 1 union all select x+1 from c where x<400000) insert into t select x,x*7%1013 from c;select count(*),sum(a) from t group by b%11;' | sqlite3 :memory: > /dev/null; done",
    ),
    ("stress-ng-matrix", "stress-ng", "stress-ng", Kind::Honest, "stress-ng -q --matrix 1 -t $SECONDS_"),
    (
        "stress-ng-fp",
        "stress-ng",
        "stress-ng",
        Kind::Honest,
        "stress-ng -q --cpu 1 --cpu-method double -t $SECONDS_",
    ),
    (
        "stress-ng-bitops",
        "stress-ng",
        "stress-ng",
        Kind::Honest,
        "stress-ng -q --cpu 1 --cpu-method bitops -t $SECONDS_",
    ),
    (
        "stress-ng-all-methods",
        "stress-ng",
        "stress-ng",
        Kind::Honest,
        "stress-ng -q --cpu 1 --cpu-method all -t $SECONDS_",
    ),
    ("stress-ng-vecmath", "stress-ng", "stress-ng", Kind::Honest, "stress-ng -q --vecmath 1 -t $SECONDS_"),
    ("stress-ng-memory", "stress-ng", "stress-ng", Kind::Honest, "stress-ng -q --memthrash 1 -t $SECONDS_"),
    (
        "redis",
        "redis-server",
        "redis-server",
        Kind::Honest,
        "redis-server --port 0 --unixsocket $TMPDIR/redis --save '' > /dev/null & sleep 1; while :; do redis-benchmark -s $TMPDIR/redis -q -n 100000 > /dev/null; done",
    ),
    (
        "qemu-tcg",
        "qemu-system-x86",
        "qemu-system-x86_64",
        Kind::Honest,
        "qemu-system-x86_64 -accel tcg -display none -net none -m 64",
    ),
    (
        "openssl-speed-sha256",
        "openssl",
        "openssl",
        Kind::Hashes,
        "openssl speed -seconds $SECONDS_ -bytes 8192 sha256 > /dev/null 2>&1",
    ),
    (
        "openssl-speed-aes-gcm",
        "openssl",
        "openssl",
        Kind::Hashes,
        "openssl speed -seconds $SECONDS_ -bytes 8192 -evp aes-256-gcm > /dev/null 2>&1",
    ),
    (
        "openssl-speed-rsa",
        "openssl",
        "openssl",
        Kind::Hashes,
        "openssl speed -seconds $SECONDS_ rsa2048 > /dev/null 2>&1",
    ),
    (
        "sha256sum",
        "coreutils",
        "sha256sum",
        Kind::Hashes,
        "while :; do find /usr/lib -type f -size -2000k -print0 | xargs -0 sha256sum > /dev/null; done",
    ),
    (
        "gpg",
        "gpg",
        "gpg",
        Kind::Hashes,
        "while :; do tar c /usr/share | gpg --batch --passphrase x --symmetric -o /dev/null --yes 2>/dev/null; done",
    ),
    ("john", "john", "john", Kind::Hashes, "john --test=$SECONDS_ --format=sha512crypt > /dev/null 2>&1"),
];

/// All of them.
pub fn all() -> Vec<Load> {
    let own = |name: &str, kind, what: &str| Load {
        name: name.to_owned(),
        kind,
        command: format!("exec \"$LOADS\" {what} --seconds $SECONDS_"),
        needs: None,
    };
    let randomx = RANDOMX.iter().map(|(name, what)| own(name, Kind::RandomX, what));
    let pow = POW.iter().map(|name| own(name, Kind::Pow, name));
    let hashes = OWN_HASHES.iter().map(|name| own(name, Kind::Hashes, name));
    let honest = OWN_HONEST.iter().map(|name| own(name, Kind::Honest, name));
    let debian = DEBIAN.iter().map(|(name, package, program, kind, command)| Load {
        name: (*name).to_owned(),
        kind: *kind,
        command: (*command).to_owned(),
        needs: Some((package, program)),
    });
    randomx.chain(pow).chain(hashes).chain(honest).chain(debian).collect()
}
