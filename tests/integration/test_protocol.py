"""Hostile and broken input: answered like Redis does, or the connection closed; never a crash, never growth without bound."""

import random
import resource
import socket

import pytest
from localcluster.resp import encode
from support import Client, ConnectionClosed, eventually

BROKEN = [
    b"*abc\r\n", b"*-2\r\n", b"*2147483648\r\n", b"*99999999999999999999\r\n", b"*1\r\n:1\r\n", b"*1\r\n+PING\r\n",
    b"*1\r\n$-1\r\n", b"*1\r\n$-5\r\n", b"*1\r\n$abc\r\n", b"*1\r\n$536870913\r\n", b"*1\r\n$9223372036854775808\r\n",
    b"*1\r\n$99999999999999999999\r\n", b"*1\r\n\r\n", b"*\r\n", b"*1\r\n$\r\n", b"GET 'unbalanced\r\n", b'GET "x"y\r\n',
    b"*01\r\n$4\r\nPING\r\n", b"*1\r\n$04\r\nPING\r\n", b"*+1\r\n$4\r\nPING\r\n", b"* 1\r\n$4\r\nPING\r\n",
    b"*1\r\n$ 4\r\nPING\r\n", b"$4\r\nPING\r\n", b"+PING\r\n", b":1\r\n",
]


def answer(server, data):
    """All that the server says to some bytes and then the end of our side, and whether it closed before that end."""
    with server.client(timeout=5) as client:
        try:
            client.send(data)
            client.send(encode("ECHO", "the end"))
        except OSError:
            pass
        received = b""
        try:
            while not received.endswith(b"$7\r\nthe end\r\n"):
                part = client.socket.recv(1 << 16)
                if not part:
                    return received, True
                received += part
        except ConnectionResetError:
            return received, True
        except TimeoutError:
            return received, False
        return received, False


@pytest.mark.parametrize("data", BROKEN, ids=lambda data: repr(data[:24]))
def test_broken_requests_are_answered_like_redis_does(pair, data):
    ours, theirs = (answer(server, data) for server in pair)
    assert ours == theirs
    assert pair[0].call("PING") == "PONG"


@pytest.mark.parametrize("data", [b"A" * 70000, b"*" + b"1" * 70000, b"*1\r\n$" + b"1" * 70000], ids=["inline", "array", "bulk"])
def test_a_line_without_end_is_refused(pair, data):
    def refusal(server):
        with server.client() as client:
            client.send(data)
            return client.raw_reply(), client.socket.recv(10)

    ours, theirs = map(refusal, pair)
    assert ours == theirs


def test_more_than_a_million_arguments_are_taken_and_two_thousand_millions_are_not(pair):
    count = 1_100_000
    for server in pair:
        with server.client(timeout=30) as client:
            client.send(b"*%d\r\n$5\r\nRPUSH\r\n$1\r\nl\r\n" % (count + 2) + b"$1\r\nx\r\n" * count)
            assert client.raw_reply() == b":%d\r\n" % count
        reply, closed = answer(server, b"*2147483648\r\n")
        assert (reply, closed) == (b"-ERR Protocol error: invalid multibulk length\r\n", True)


def test_a_tls_hello_on_a_plaintext_port_does_no_harm(db):
    hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)) * 2
    with db.client() as client:
        client.send(hello)
    assert db.call("PING") == "PONG"


@pytest.mark.parametrize("request_line", [b"POST / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nHost: here\r\n"], ids=["POST", "Host:"])
def test_a_browser_that_is_tricked_into_sending_commands_is_cut_off(db, request_line):
    with db.client() as client:
        client.send(request_line + b"\r\nSET key value\r\n")
        received = b""
        while part := client.socket.recv(1000):
            received += part
    assert b"OK" not in received
    assert db.call("EXISTS", "key") == 0
    db.wait_for_log("(?i)possible.*attack|cross protocol")


def test_every_truncation_of_a_request_is_survived(db):
    whole = encode("SET", "key", "value" * 3)
    for end in range(len(whole)):
        with db.client() as client:
            client.send(whole[:end])
    assert db.call("PING") == "PONG"
    assert db.call("EXISTS", "key") == 0


def test_random_bytes_are_survived(db, seed):
    source = random.Random(seed)
    alphabet = [b"*", b"$", b"\r\n", b"-", b"1", b"3", b"99", b"PING", b"SET", b"\x00", b"\xff", b" ", b"'", b'"', b"key", b"\n", b"\r"]
    for _ in range(300):
        data = b"".join(source.choices(alphabet, k=source.randint(1, 60)))
        with db.client() as client:
            try:
                client.send(data)
            except OSError:
                pass
    assert db.process.is_alive, f"seed {seed}"
    assert db.call("PING") == "PONG"


def test_a_closed_reading_side_is_survived(db):
    for _ in range(50):
        with db.client() as client:
            client.send(encode("SET", "key", "x" * 100000) + encode("GET", "key") * 50)
            client.socket.shutdown(socket.SHUT_RD)
    assert db.call("PING") == "PONG"


def test_announced_but_unsent_data_takes_no_memory(start):
    """A hundred clients announce 500 MB each and send nothing of it."""
    db = start()
    before = db.resident_bytes()
    clients = [db.client() for _ in range(100)]
    for client in clients:
        client.send(b"*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$500000000\r\nabc")
    assert db.call("PING") == "PONG"
    assert db.resident_bytes() - before < 32 << 20
    for client in clients:
        client.close()


def test_a_query_buffer_over_its_limit_closes_the_client(start):
    db = start(client_query_buffer_limit="1mb")
    with db.client() as client, pytest.raises((OSError, ConnectionClosed)):
        client.send(b"*2\r\n$4\r\nECHO\r\n$20000000\r\n" + b"x" * 15_000_000)
        client.raw_reply()
    db.wait_for_log("query buffer")


def test_a_slow_reader_is_closed_at_its_output_limit(start):
    db = start(client_output_buffer_limit="normal 8mb 0 0")
    db.call("SET", "big", "x" * 1_000_000)
    before = db.resident_bytes()
    with Client(db.port, timeout=10) as client:
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.send(encode("GET", "big") * 200)
        eventually(lambda: int(db.info("clients")["connected_clients"]) == 1, "the slow reader's end")
    db.wait_for_log("output buffer")
    assert db.resident_bytes() - before < 64 << 20


def test_a_slow_subscriber_is_closed_at_its_output_limit(start):
    db = start(client_output_buffer_limit="pubsub 1mb 0 0")
    with Client(db.port) as slow, db.client() as publisher:
        slow.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.call("SUBSCRIBE", "channel")

        def publish():
            return publisher.call("PUBLISH", "channel", "x" * 100_000) == 0

        eventually(publish, "the slow subscriber's end")
        assert int(db.info("clients")["pubsub_clients" if "pubsub_clients" in db.info("clients") else "connected_clients"]) <= 2


def test_ten_thousand_idle_connections_cost_little(start):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    count = min(10_000, (hard if hard != resource.RLIM_INFINITY else 1 << 20) - 500)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, count + 200), hard))
    try:
        db = start(maxclients=count + 50, tcp_backlog=4096)
        before = db.resident_bytes()
        clients = []
        try:
            for _ in range(count):
                clients.append(socket.create_connection(("127.0.0.1", db.port), timeout=10))
            eventually(lambda: int(db.info("clients")["connected_clients"]) == count + 1, "all the connections", 30)
            clients[0].sendall(b"PING\r\n")
            assert clients[0].recv(100) == b"+PONG\r\n"
            each = (db.resident_bytes() - before) / count
            assert each < 8192, f"{each:.0f} bytes for each idle connection of {count}"
        finally:
            for client in clients:
                client.close()
        eventually(lambda: int(db.info("clients")["connected_clients"]) == 1, "their end", 30)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_more_clients_than_maxclients_are_refused_with_a_reply(start):
    db = start(maxclients=5)
    clients = [db.client() for _ in range(5)]
    for client in clients:
        assert client.call("PING") == "PONG"
    with db.client() as extra:
        assert extra.raw_reply() == b"-ERR max number of clients reached\r\n"
        assert extra.socket.recv(10) == b""
    clients.pop().close()
    eventually(lambda: _accepts(db), "a free place")
    for client in clients:
        client.close()


def _accepts(server):
    try:
        return server.call("PING") == "PONG"
    except (OSError, ConnectionClosed, Exception) as error:
        if "max number of clients" in str(error) or isinstance(error, (OSError, ConnectionClosed)):
            return False
        raise


def test_an_idle_client_is_closed_after_the_timeout(start):
    db = start(timeout=1)
    with db.client() as client:
        assert client.call("PING") == "PONG"
        client.socket.settimeout(5)
        assert client.socket.recv(10) == b""
