"""Says something to a TCP port and tells what became of it: `say.py PORT TEXT`."""
import socket, sys

s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
s.settimeout(3)
try:
    s.sendall(sys.argv[2].encode() + b"\n")
    print("answered" if s.recv(100) else "closed")
except TimeoutError:
    print("nothing came back")
except OSError as error:
    print(error.strerror)
