"""A gRPC server with a unary and a streaming method, or calls of both: `grpc_echo.py serve | call`."""
import os, sys
from concurrent import futures
import grpc


def method(kind, run):
    return kind(run, request_deserializer=None, response_serializer=None)


if sys.argv[1] == "serve":
    handlers = {
        "Say": method(grpc.unary_unary_rpc_method_handler, lambda request, _: request),
        "Talk": method(grpc.stream_stream_rpc_method_handler, lambda requests, _: requests),
    }
    server = grpc.server(futures.ThreadPoolExecutor(4))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("echo.Echo", handlers),))
    server.add_insecure_port("127.0.0.1:50051")
    server.start()
    server.wait_for_termination()
else:
    with grpc.insecure_channel("rpc.example:50051") as channel:
        say, talk = channel.unary_unary("/echo.Echo/Say"), channel.stream_stream("/echo.Echo/Talk")
        for i in range(2000):
            assert say(b"job %d" % i) == b"job %d" % i
        big = os.urandom(1 << 20)
        assert say(big) == big
        sent = [os.urandom(1000) for _ in range(2000)]
        assert list(talk(iter(sent))) == sent
    print("2,001 calls, a stream of 2,000 messages")
