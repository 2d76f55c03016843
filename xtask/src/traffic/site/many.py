"""Connections that are open at the same time, each asking for a page twice: `many.py COUNT`."""
import asyncio, resource, sys

COUNT = int(sys.argv[1])
ASK = b"GET /small HTTP/1.1\r\nHost: www.example\r\n\r\n"
resource.setrlimit(resource.RLIMIT_NOFILE, (COUNT + 1000, max(COUNT + 1000, resource.getrlimit(resource.RLIMIT_NOFILE)[1])))


async def ask(reader, writer):
    writer.write(ASK)
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200"), head
    length = next(int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length"))
    await reader.readexactly(length)


async def main():
    some = asyncio.Semaphore(200)

    async def begin():
        async with some:
            pair = await asyncio.open_connection("127.0.0.1", 80)
            await ask(*pair)
            return pair

    pairs = await asyncio.gather(*(begin() for _ in range(COUNT)))
    # All are open now.
    await asyncio.gather(*(ask(*pair) for pair in pairs))
    for _, writer in pairs:
        writer.close()
    print(f"{len(pairs):,} connections at once, {2 * len(pairs):,} answers")


asyncio.run(main())
