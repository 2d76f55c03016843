"""Values stored in memcached and read back."""
import os, socket

s = socket.create_connection(("127.0.0.1", 11211))
lines = s.makefile("rb")
for i in range(2000):
    body = os.urandom(1 + i * 7 % 4000)
    s.sendall(b"set key%d 0 0 %d\r\n%s\r\n" % (i, len(body), body))
    assert lines.readline() == b"STORED\r\n"
    s.sendall(b"get key%d\r\n" % i)
    head = lines.readline().split()
    assert lines.read(int(head[3]) + 2)[:-2] == body and lines.readline() == b"END\r\n"
print("2,000 values")
