# pgbench against a server that listens on a socket in this directory only.
bin=$(ls -d /usr/lib/postgresql/*/bin | tail -n 1)
chmod 755 "$(dirname "$PWD")"; chown postgres . ; chmod 700 .
as() { setpriv --reuid postgres --regid postgres --clear-groups "$@"; }
as "$bin/initdb" -D data -A trust > /dev/null
as "$bin/postgres" -D data -k "$PWD" -c listen_addresses= -c fsync=off > log 2>&1 &
until as "$bin/psql" -h "$PWD" -c 'select 1' postgres > /dev/null 2>&1; do sleep 0.2; done
as "$bin/pgbench" -h "$PWD" -i -s 5 -q postgres > /dev/null 2>&1
while :; do as "$bin/pgbench" -h "$PWD" -c 4 -T 10 postgres > /dev/null 2>&1; as "$bin/psql" -h "$PWD" -c 'select aid % 977, sum(abalance), md5(string_agg(filler, $$,$$)) from pgbench_accounts group by 1' postgres > /dev/null; done
