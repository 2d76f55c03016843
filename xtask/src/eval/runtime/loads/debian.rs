//! Ordinary programs of Debian.

use super::{Kind, Load};

/// Name, package, program, kind, command. Input is made from what every system has.
const COMMANDS: &[(&str, &str, &str, Kind, &str)] = &[
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
    (
        "r",
        "r-base-core",
        "R",
        Kind::Honest,
        "R --vanilla --quiet -e 'repeat { m <- matrix(rnorm(90000), 300); svd(m); sort(runif(1e6)); table(sample(letters, 1e5, TRUE)) }' > /dev/null",
    ),
    (
        "ruby",
        "ruby",
        "ruby",
        Kind::Honest,
        "ruby -e 'loop { h = Hash.new(0); 300_000.times { |i| h[(i * 7919 % 1013).to_s] += 1 } }'",
    ),
    (
        "php",
        "php-cli",
        "php",
        Kind::Honest,
        "php -r 'while (1) { $a = []; for ($i = 0; $i < 300000; $i++) $a[] = ($i * 7919) % 1013; sort($a); }'",
    ),
    (
        "luajit-bits",
        "luajit",
        "luajit",
        Kind::Honest,
        "luajit -e 'local b=require(\"bit\") local n=0 while true do for i=1,1e7 do n=n+b.band(b.rshift(i,3),7) end end'",
    ),
    (
        "pypy",
        "pypy3",
        "pypy3",
        Kind::Honest,
        "pypy3 -c 'while True: d={}; [d.__setitem__(i*7919%1013, i) for i in range(10**6)]'",
    ),
    (
        "imagemagick",
        "imagemagick",
        "convert",
        Kind::Honest,
        "while :; do convert -limit thread 1 -size 3000x3000 plasma:red-blue -blur 0x20 -resize 50% null:; done",
    ),
    (
        "povray",
        "povray",
        "povray",
        Kind::Honest,
        "printf 'camera{location <0,1,-4> look_at 0} light_source{<9,9,-9> rgb 1} plane{y,-1 pigment{checker rgb 0 rgb 1}} sphere{0,1 finish{reflection .5} pigment{granite}}' > s.pov; while :; do povray +Is.pov -D -GA -O/dev/null +W3200 +H2400 +A0.1 +WT1 2> /dev/null > /dev/null; done",
    ),
    (
        "ghostscript",
        "ghostscript",
        "gs",
        Kind::Honest,
        "echo '%!PS\n/f {newpath 300 300 moveto 300 { rand 600 mod rand 800 mod lineto } repeat eofill} def 400 {f rand 256 mod 255 div setgray showpage} repeat' > s.ps; while :; do gs -q -dBATCH -dNOPAUSE -sDEVICE=ppmraw -r150 -sOutputFile=/dev/null s.ps; done",
    ),
    (
        "go",
        "golang-go",
        "go",
        Kind::Honest,
        "while :; do GOCACHE=$TMPDIR/c GOMAXPROCS=1 go build -a go/types; done",
    ),
    ("perl", "perl", "perl", Kind::Honest, "perl -e 'while(1){my %h;$h{$_%977}.=$_ for 1..200000}'"),
    (
        "awk",
        "mawk",
        "awk",
        Kind::Honest,
        "while :; do awk 'BEGIN{for(i=0;i<9000000;i++)s+=i%3;print s}' > /dev/null; done",
    ),
    (
        "sort-lines",
        "coreutils",
        "sort",
        Kind::Honest,
        "while :; do seq 2000000 | sort -R | sort > /dev/null; done",
    ),
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
        "git init -q .; cp -r /usr/share/perl5 . 2>/dev/null; git add -A; git -c user.name=a -c user.email=a@b commit -qm a; while :; do git repack -adfq; done",
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
        "d=$PWD; echo 'import java.util.*;class A{public static void main(String[] a){while(true){Map<String,Double> m=new HashMap<>();for(int i=0;i<300000;i++)m.merge(\"k\"+i%999,i*0.5,Double::sum);}}}' > $d/A.java; java $d/A.java",
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
        "ffmpeg-x265",
        "ffmpeg",
        "ffmpeg",
        Kind::Honest,
        "ffmpeg -v quiet -f lavfi -i testsrc2=size=640x360:rate=30 -c:v libx265 -x265-params log-level=none:pools=1 -f null -",
    ),
    (
        "fftw",
        "libfftw3-bin",
        "fftw-wisdom",
        Kind::Honest,
        "while :; do fftw-wisdom -n -o w cof65536 rib48000 cof300x200; rm -f w; done",
    ),
    (
        "sqlite",
        "sqlite3",
        "sqlite3",
        Kind::Honest,
        "while :; do echo 'create table t(a,b);with recursive c(x) as (select 1 union all select x+1 from c where x<400000) insert into t select x,x*7%1013 from c;select count(*),sum(a) from t group by b%11;' | sqlite3 :memory: > /dev/null; done",
    ),
    ("stress-ng-matrix", "stress-ng", "stress-ng", Kind::Honest, "stress-ng -q --matrix 1 -t $SECONDS_"),
    ("stress-ng-vecmath", "stress-ng", "stress-ng", Kind::Honest, "stress-ng -q --vecmath 1 -t $SECONDS_"),
    ("stress-ng-vecwide", "stress-ng", "stress-ng", Kind::Honest, "stress-ng -q --vecwide 1 -t $SECONDS_"),
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
    ("john", "john", "john", Kind::Hashes, "john --test=$SECONDS_ --format=md5crypt > /dev/null 2>&1"),
];

/// Methods of stress-ng's CPU load: `all` of them in turn, and some alone, among them those that come nearest to hashing.
const METHODS: &[&str] = &[
    "all",
    "double",
    "int64",
    "bitops",
    "gray",
    "hamming",
    "parity",
    "queens",
    "crc16",
    "fletcher16",
    "lfsr32",
    "rand48",
    "sieve",
    "idct",
    "dither",
    "union",
    "jmp",
];

/// The same of what is longer than a line: the commands are `eval/programs/NAME.sh`.
const SCRIPTS: &[(&str, &str, &str, Kind)] = &[
    ("hpcc", "hpcc", "hpcc", Kind::Honest),
    ("lammps", "lammps", "lmp", Kind::Honest),
    ("gromacs", "gromacs", "gmx", Kind::Honest),
    ("minimap2", "minimap2", "minimap2", Kind::Honest),
    ("clustalo", "clustalo", "clustalo", Kind::Honest),
    ("scipy", "python3-scipy", "/usr/lib/python3/dist-packages/scipy/__init__.py", Kind::Honest),
    ("blast", "ncbi-blast+", "blastn", Kind::Honest),
    ("samtools", "samtools", "samtools", Kind::Honest),
    ("rust", "rustc", "rustc", Kind::Honest),
    ("postgres", "postgresql", "/usr/lib/postgresql", Kind::Honest),
    ("boost-interval", "libboost-dev g++", "/usr/include/boost/numeric/interval.hpp", Kind::Honest),
    ("cgal-interval", "libcgal-dev g++", "/usr/include/CGAL/Interval_nt.h", Kind::Honest),
    ("bullet", "libbullet-dev g++", "/usr/include/bullet/btBulletDynamicsCommon.h", Kind::Honest),
    ("tls-server", "nginx-light apache2-utils openssl", "ab", Kind::Hashes),
    ("age", "age", "age", Kind::Hashes),
    ("borg", "borgbackup", "borg", Kind::Hashes),
    ("restic", "restic", "restic", Kind::Hashes),
];

pub fn loads() -> impl Iterator<Item = Load> {
    let load = |name: &str, needs, kind, command: String| Load {
        name: name.to_owned(),
        kind,
        command,
        needs: Some(needs),
        alone: name == "hpcc",
    };
    let commands = COMMANDS.iter().map(move |(name, packages, program, kind, command)| {
        load(name, (*packages, *program), *kind, (*command).to_owned())
    });
    let scripts = SCRIPTS.iter().map(move |(name, packages, program, kind)| {
        load(name, (*packages, *program), *kind, format!("exec sh \"$PROGRAMS/{name}.sh\""))
    });
    let methods = METHODS.iter().map(move |method| {
        let command = format!("stress-ng -q --cpu 1 --cpu-method {method} -t $SECONDS_");
        load(&format!("stress-ng-{method}"), ("stress-ng", "stress-ng"), Kind::Honest, command)
    });
    commands.chain(scripts).chain(methods)
}
