"""Messages of growing size between two processes, and a sum over both."""
from mpi4py import MPI

world = MPI.COMM_WORLD
other = 1 - world.rank
for size in [1 << n for n in range(21)] * 20:
    message = bytes(size)
    if world.rank == 0:
        world.send(message, other)
        assert world.recv() == message
    else:
        world.send(world.recv(), other)
assert world.allreduce(world.rank + 1) == 3
if world.rank == 0:
    print("840 messages of 1 byte to 1 MiB")
