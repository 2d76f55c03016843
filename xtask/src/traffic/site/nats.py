"""A client of NATS without a library: its opening is a line with JSON that says `user` and `pass`."""
import socket

s = socket.create_connection(("nats.example", 4222))
lines = s.makefile("rb")
assert lines.readline().startswith(b"INFO ")
s.sendall(b'CONNECT {"verbose":false,"pedantic":false,"user":"worker","pass":"x","lang":"python","name":"job","protocol":1}\r\nSUB job.* 1\r\nPING\r\n')
assert lines.readline() == b"PONG\r\n"
for i in range(1000):
    body = b'{"job_id":"%d","nonce":"%08x","result":"ok"}' % (i, i)
    s.sendall(b"PUB job.submit %d\r\n%s\r\n" % (len(body), body))
for i in range(1000):
    head = lines.readline().split()
    assert head[:2] == [b"MSG", b"job.submit"], head
    lines.read(int(head[3]) + 2)
print("1,000 messages")
