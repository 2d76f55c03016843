//! PostgreSQL, Redis and memcached under their own benchmarks.

use std::fs;

use anyhow::Result;

use super::{Operation, room::Room};

pub const OPERATIONS: &[Operation] = &[
    Operation { name: "PostgreSQL: pgbench, COPY", part: "postgresql", run: postgresql },
    Operation { name: "Redis: redis-benchmark", part: "redis", run: redis },
    Operation {
        name: "memcached",
        part: "memcached",
        run: |room, part| {
            room.serve(part, 11211, "exec memcached -u root -l 127.0.0.1 -p 11211 -U 0")?;
            room.run(part, "python3 memcached.py")
        },
    },
];

fn postgresql(room: &Room, part: &str) -> Result<String> {
    // Whatever its version is.
    let find = "export PATH=$PATH:$(echo /usr/lib/postgresql/*/bin); export PGHOST=db.example PGUSER=postgres PGDATABASE=postgres";
    fs::create_dir_all(room.work().join("postgres"))?;
    room.run(part, "chown postgres:postgres postgres")?;
    room.run_as(
        "postgres:postgres",
        part,
        &format!("{find}; initdb -D postgres/data -A trust --no-sync > /dev/null"),
    )?;
    room.serve_as(
        "postgres:postgres",
        part,
        5432,
        &format!("{find}; exec postgres -D postgres/data -h 127.0.0.1 -k /work/postgres -c fsync=off"),
    )?;
    room.run(
        part,
        &format!(
            "{find}
             until pg_isready -q; do sleep 0.1; done
             pgbench -q -i -s 5 2> /dev/null
             pgbench -c 8 -j 2 -T 3 > tpcb 2> /dev/null
             pgbench -c 8 -j 2 -T 3 -S -M prepared > select 2> /dev/null
             pgbench -c 8 -j 2 -T 2 -S -C > reconnect 2> /dev/null
             psql -qc 'COPY pgbench_accounts TO STDOUT' > copy; test $(wc -l < copy) = 500000
             psql -qc 'CREATE TABLE back (LIKE pgbench_accounts)'; psql -qc 'COPY back FROM STDIN' < copy
             if grep 'failed transactions: [1-9]' tpcb select reconnect; then exit 1; fi
             echo $(($(sed -n 's/^number of transactions actually processed: //p' tpcb select reconnect | paste -sd+)))"
        ),
    )
    .map(|said| format!("{} transactions (TPC-B, prepared selects, a connection each); COPY of 500,000 rows both ways", said.trim()))
}

fn redis(room: &Room, part: &str) -> Result<String> {
    room.serve(part, 6379, "exec redis-server --bind 127.0.0.1 --port 6379 --save '' --appendonly no")?;
    room.run(
        part,
        "redis-benchmark -h redis.example -q -n 20000 -c 50 -t set,get,incr,lpush,hset,mset > rb
         redis-benchmark -h redis.example -q -n 200000 -P 16 -t set,get >> rb
         redis-benchmark -h redis.example -q -n 10000 -k 0 -t ping_mbulk >> rb
         test $(tr '\\r' '\\n' < rb | grep -c 'requests per second, p50') -ge 9
         echo '530,000 requests, also pipelined and with a connection each'",
    )
}
