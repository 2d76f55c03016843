//! HTTP and HTTPS from nginx, WebSocket through it, and many connections at once.

use anyhow::Result;

use super::{Operation, room::Room};

pub const OPERATIONS: &[Operation] = &[
    Operation { name: "HTTP/1.1, HTTPS, HTTP/2: curl and nginx", part: "http", run: http },
    Operation {
        name: "HTTP load: wrk and nginx",
        part: "wrk",
        run: |room, part| {
            room.run(part, "wrk -t2 -c64 -d3 http://www.example/small | sed -n 's/^ *\\([0-9]*\\) requests in.*/\\1 requests/p'")
        },
    },
    Operation {
        name: "10,000 connections at once to nginx",
        part: "many",
        run: |room, part| room.run(part, "python3 many.py 10000"),
    },
    Operation {
        name: "WebSocket: plain, through nginx, and over TLS",
        part: "websocket",
        run: |room, part| {
            room.serve(part, 8765, "exec python3 websocket.py serve")?;
            let said = room.run(
                part,
                "export SSL_CERT_FILE=/work/ca.pem
                 for url in ws://socket.example:8765/ ws://www.example/socket wss://www.example/socket; do
                   python3 websocket.py talk $url
                 done",
            )?;
            Ok(said.lines().collect::<Vec<_>>().join(", "))
        },
    },
];

fn http(room: &Room, part: &str) -> Result<String> {
    room.run(
        part,
        "n=0
         for i in $(seq 20); do
           curl -sSf http://www.example/small http://www.example:80/small > /dev/null
           for how in --http1.1 --http2 --tlsv1.3 '--tls-max 1.2'; do
             curl -sSf --cacert ca.pem $how https://www.example/small > /dev/null; n=$((n + 1))
           done
           n=$((n + 2))
         done
         for url in http://www.example/large https://www.example/large; do
           curl -sSf --cacert ca.pem $url | cmp - www/large
         done
         head -c 20M /dev/zero | curl -sSf --data-binary @- http://www.example/upload > /dev/null
         curl -sSf -H 'Content-Type: application/json' -d '{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"login\",\"params\":{\"user\":\"a\"}}' \
           http://www.example/upload > /dev/null
         echo \"$n requests, 2 × 64 MB down, 20 MB up\"",
    )
}
