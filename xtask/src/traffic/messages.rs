//! Mail and message brokers.

use super::Operation;

pub const OPERATIONS: &[Operation] = &[
    Operation {
        name: "SMTP",
        part: "smtp",
        run: |room, part| {
            room.serve(part, 25, "exec python3 mail.py serve")?;
            room.run(part, "python3 mail.py send")
        },
    },
    Operation {
        name: "MQTT: mosquitto",
        part: "mqtt",
        run: |room, part| {
            room.serve(part, 1883, "exec mosquitto -p 1883")?;
            room.run(
                part,
                "mosquitto_sub -h mqtt.example -t 'job/#' -C 1000 -W 60 > heard & sub=$!
                 for i in $(seq 20); do mosquitto_pub -h mqtt.example -t job/ready -r -m yes; done
                 until test -s heard; do sleep 0.05; done
                 seq 1200 | sed 's/.*/{\"method\":\"job\",\"id\":&,\"params\":{\"worker\":\"a\"}}/' | mosquitto_pub -h mqtt.example -t job/new -l
                 wait $sub; test $(wc -l < heard) = 1000; echo '1,000 messages'",
            )
        },
    },
    Operation {
        name: "NATS",
        part: "nats",
        run: |room, part| {
            room.serve(part, 4222, "exec nats-server -a 127.0.0.1 -p 4222")?;
            room.run(part, "python3 nats.py")
        },
    },
];
