//! apt from a mirror that is made here: packages of our own, their index, and nginx.

use super::Operation;

pub const OPERATIONS: &[Operation] = &[Operation {
    name: "apt: update and download from a mirror",
    part: "apt",
    run: |room, part| {
        room.run(
            part,
            "mkdir -p www/mirror apt/lists/partial apt/archives/partial apt/etc
             : > apt/status
             for i in 1 2 3; do
               p=apt/tree-$i; mkdir -p $p/DEBIAN $p/usr/share/made-up-$i
               printf 'Package: made-up-%s\\nVersion: 1.%s\\nArchitecture: all\\nMaintainer: Nobody <nobody@example.org>\\nDescription: nothing\\n' \
                 $i $i > $p/DEBIAN/control
               head -c 8M /dev/urandom > $p/usr/share/made-up-$i/data
               dpkg-deb --root-owner-group -Znone --build $p www/mirror/made-up-$i.deb > /dev/null
             done
             cd www/mirror
             for deb in *.deb; do
               dpkg-deb -f $deb; echo \"Filename: ./$deb\"; echo \"Size: $(wc -c < $deb)\"
               echo \"SHA256: $(sha256sum $deb | cut -d' ' -f1)\"; echo
             done > Packages
             gzip -k Packages; cd ../..
             echo 'deb [trusted=yes] http://mirror.example/mirror ./' > apt/etc/sources.list
             own='-o Dir::Etc=/work/apt/etc -o Dir::State=/work/apt -o Dir::State::status=/work/apt/status
                  -o Dir::Cache=/work/apt -o Dir::Log=/work/apt -o APT::Sandbox::User=root -o Acquire::Languages=none'
             apt-get $own -q update > apt/said 2>&1 || { cat apt/said; exit 1; }
             apt-get $own -q -y --download-only install made-up-1 made-up-2 made-up-3 >> apt/said 2>&1 || { cat apt/said; exit 1; }
             for i in 1 2 3; do cmp apt/archives/made-up-${i}_1.${i}_all.deb www/mirror/made-up-$i.deb; done
             echo '3 packages of 8 MB'",
        )
    },
}];
