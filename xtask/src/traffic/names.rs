//! DNS: over UDP and TCP, plain and with EDNS, many kinds of record, names that resemble those of pools.

use super::Operation;

pub const OPERATIONS: &[Operation] = &[Operation {
    name: "DNS: libc, dig over UDP and TCP",
    part: "dns",
    run: |room, part| {
        room.run(
            part,
            "names='github.com deb.debian.org pypi.org registry.npmjs.org crates.io pool.ntp.org 2.debian.pool.ntp.org \
                    login.example pool.example worker-pool.example data-mining.example mining.example xmrig.example \
                    stratum.example GitHub.COM swimming-pool.example a.very.long.chain.of.many.labels.in.one.name.example'
             n=0
             for name in $names; do
               getent ahosts $name > /dev/null
               for how in '' +tcp +noedns '+bufsize=4096 +dnssec'; do
                 dig $how @127.0.0.1 $name A $name AAAA +short > dig.out; test -s dig.out
               done
               for kind in TXT MX HTTPS SVCB SRV ANY; do dig @127.0.0.1 $name $kind > /dev/null; done
               n=$((n + 16))
             done
             test \"$(dig @127.0.0.1 TeXt.ExAmPlE TXT +short)\" = '\"hello\"'
             echo \"$n questions\"",
        )
    },
}];
