"""What an Electrum server and its client say to each other, with made-up values: `electrum.py serve | talk [tls]`."""
import asyncio, json, secrets, ssl, sys

ANSWERS = {
    "server.version": lambda p: ["ElectrumX 1.16.0", "1.4"],
    "server.features": lambda p: {"genesis_hash": "00" * 32, "hosts": {}, "protocol_max": "1.4.3", "hash_function": "sha256"},
    "server.banner": lambda p: "Welcome",
    "server.ping": lambda p: None,
    "server.peers.subscribe": lambda p: [["192.0.2.7", "electrum.example", ["v1.4.2", "s50002", "t50001"]]],
    "blockchain.headers.subscribe": lambda p: {"height": 520481, "hex": secrets.token_hex(80)},
    "blockchain.block.header": lambda p: secrets.token_hex(80),
    "blockchain.block.headers": lambda p: {"count": 2016, "hex": secrets.token_hex(80 * 2016), "max": 2016},
    "blockchain.scripthash.subscribe": lambda p: secrets.token_hex(32),
    "blockchain.scripthash.get_history": lambda p: [{"tx_hash": secrets.token_hex(32), "height": 200004}],
    "blockchain.scripthash.get_balance": lambda p: {"confirmed": 103873966, "unconfirmed": 236844},
    "blockchain.scripthash.listunspent": lambda p: [{"tx_pos": 0, "value": 1, "tx_hash": secrets.token_hex(32), "height": 4}],
    "blockchain.transaction.get": lambda p: secrets.token_hex(300),
    "blockchain.estimatefee": lambda p: 0.00101079,
    "mempool.get_fee_histogram": lambda p: [[12, 128812], [4, 92524]],
}


async def answer(reader, writer):
    while line := await reader.readline():
        asked = json.loads(line)
        one = lambda a: {"jsonrpc": "2.0", "id": a["id"], "result": ANSWERS[a["method"]](a.get("params", []))}
        said = [one(a) for a in asked] if isinstance(asked, list) else one(asked)
        writer.write(json.dumps(said).encode() + b"\n")
        if not isinstance(asked, list) and asked["method"] == "blockchain.headers.subscribe":
            told = {"jsonrpc": "2.0", "method": "blockchain.headers.subscribe", "params": [ANSWERS[asked["method"]]([])]}
            writer.write(json.dumps(told).encode() + b"\n")
        await writer.drain()


async def serve():
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain("/work/tls.pem", "/work/tls.key")
    await asyncio.start_server(answer, "127.0.0.1", 50002, ssl=tls)
    await asyncio.start_server(answer, "127.0.0.1", 50001)
    await asyncio.Future()


async def talk(tls):
    context = ssl.create_default_context(cafile="/work/ca.pem") if tls else None
    reader, writer = await asyncio.open_connection("electrum.example", 50002 if tls else 50001, ssl=context, limit=1 << 22)
    n = 0
    for _ in range(20):
        for method in ANSWERS:
            params = ["electrum/4.5.5", "1.4"] if method == "server.version" else [secrets.token_hex(32)] * ("scripthash" in method)
            writer.write(json.dumps({"jsonrpc": "2.0", "method": method, "params": params, "id": n}).encode() + b"\n")
            got = json.loads(await reader.readline())
            assert got["id"] == n, got
            n += 1
            if method == "blockchain.headers.subscribe":
                assert json.loads(await reader.readline())["method"] == method
    writer.write(json.dumps([{"id": i, "method": "server.ping"} for i in range(50)]).encode() + b"\n")
    assert len(json.loads(await reader.readline())) == 50
    writer.close()
    print(n + 50, "calls")


asyncio.run(serve() if sys.argv[1] == "serve" else talk(len(sys.argv) > 2))
