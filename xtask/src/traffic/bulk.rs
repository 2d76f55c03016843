//! Bytes in bulk, and connections to the ports of well-known services.

use super::Operation;

pub const OPERATIONS: &[Operation] = &[
    Operation {
        name: "a connection to the port of each of many services",
        part: "ports",
        run: |room, part| room.run(part, "python3 ports.py"),
    },
    Operation {
        name: "iperf3: TCP, eight streams, both directions, UDP",
        part: "iperf3",
        run: |room, part| {
            room.serve(part, 5201, "exec iperf3 -s")?;
            room.run(
                part,
                "for how in '' '-P 8' -R '--bidir' '-u -b 500M'; do
               iperf3 -c iperf.example -t 2 $how --json > iperf; if grep '\"error\"' iperf; then exit 1; fi
               bytes=$(grep -o '\"bytes\":[[:space:]]*[0-9]*' iperf | tail -1 | grep -o '[0-9]*$')
               sum=$((sum + bytes))
             done
             echo $((sum / 1000000000)) GB",
            )
        },
    },
];
