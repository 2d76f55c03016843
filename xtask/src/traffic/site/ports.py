"""A few bytes there and back on the port of each service that servers and clusters run."""
import socket, threading

SERVICES = """
    ftp 21, telnet 23, whois 43, kerberos 88, pop3 110, sunrpc 111, ntp 123, imap 143, snmp 161, bgp 179, ldap 389, smtps 465,
    submission 587, ipp 631, ldaps 636, rsync 873, lustre 988, imaps 993, pop3s 995, socks 1080, xrootd 1094, openvpn 1194,
    gpfs 1191, irods 1247, mssql 1433, oracle 1521, radius 1812, nfs 2049, zookeeper 2181, etcd 2379, etcd-peer 2380,
    docker 2375, docker-tls 2376, gridftp 2811, grafana 3000, fuseki 3030, loki 3100, squid 3128, iscsi 3260, mysql 3306,
    rdp 3389, svn 3690, spark-ui 4040, opentsdb 4242, nomad 4646, netconf-call-home 4334, james 4555, flask 5000, sip 5060,
    xmpp 5222, postgres-other 5433, kibana 5601, amqp 5672, couchdb 5984, vnc 5900, winrm 5985, x11 6000, tensorboard 6006,
    qdrant 6333, qdrant-grpc 6334, ray 6379, ovsdb 6640, slurmctld 6817, slurmd 6818, slurmdbd 6819, ceph 6789,
    cassandra 7000, spark 7077, neo4j 7474, http-alt 8000, beegfs 8008, yarn 8088, influxdb 8086, http-proxy 8080, vault 8200,
    consul 8500, solr 8983, dask 8786, jupyter 8888, clickhouse 9001, cassandra-cql 9042, kafka 9092, prometheus 9090,
    node-exporter 9100, elasticsearch 9200, git 9418, hdfs 9870, tika 9998, puppet 8140, zabbix-agent 10050, zabbix 10051,
    ray-client 10001, kubelet 10250, memcached-other 11212, mongodb 27017, minio 9003, rabbitmq 15672, milvus 19530
"""

services = [(name, int(port)) for name, port in (row.split() for row in SERVICES.split(",") )]
for name, port in services:
    try:
        listener = socket.create_server(("127.0.0.1", port))
    except OSError:
        continue  # Another operation's server has it, and is dialled by that one.
    threading.Thread(target=lambda: listener.accept()[0].sendall(b"ready\n"), daemon=True).start()
    with socket.create_connection(("127.0.0.1", port)) as s:
        s.sendall(b"hello " + name.encode() + b"\n")
        assert s.recv(100) == b"ready\n"
print(len(services), "services")
