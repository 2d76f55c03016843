"""A WebSocket server, or a session with it: `websocket.py serve | talk URL`."""
import asyncio, json, os, sys
import websockets


async def serve():
    async def echo(socket, *_):
        async for message in socket:
            await socket.send(message)

    async with websockets.serve(echo, "127.0.0.1", 8765, max_size=None):
        await asyncio.Future()


async def talk(url):
    n = 0
    async with websockets.connect(url, max_size=None) as socket:
        await socket.send(json.dumps({"jsonrpc": "2.0", "id": 1, "method": "login", "params": {"user": "alice", "token": "t"}}))
        json.loads(await socket.recv())
        for i in range(2000):
            message = json.dumps({"id": i, "method": "subscribe", "params": ["prices", {"depth": i % 50}]})
            await socket.send(message)
            assert await socket.recv() == message
            n += 1
        for size in (1, 125, 126, 65535, 65536, 1 << 22):
            message = os.urandom(size)
            await socket.send(message)
            assert await socket.recv() == message
            n += 1
        await (await socket.ping())
    print(n + 1, "messages")


asyncio.run(serve() if sys.argv[1] == "serve" else talk(sys.argv[2]))
