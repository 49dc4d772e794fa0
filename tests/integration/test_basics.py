"""The commands that every client begins with, over plaintext and mTLS, with three kinds of client."""

import pytest
import redis
from localcluster.resp import encode


@pytest.fixture(params=["plaintext", "mtls"])
def transport(request, tls_db):
    """A function that opens a raw connection, and the same for redis-py and redis-cli."""
    tls = request.param == "mtls"

    class Transport:
        db = tls_db
        open = tls_db.tls_client if tls else tls_db.client

        @staticmethod
        def py(**options):
            return tls_db.redis(tls=tls, **options)

        @staticmethod
        def cli(*arguments, **options):
            return tls_db.cli(*arguments, tls=tls, **options)

    return Transport


def test_redis_py_sets_and_gets(transport):
    client = transport.py()
    assert client.ping()
    assert client.set("key", "value", ex=100)
    assert client.get("key") == b"value"
    assert 98 <= client.ttl("key") <= 100
    assert client.delete("key") == 1
    assert client.get("key") is None


def test_redis_py_speaks_resp3(transport):
    client = transport.py(protocol=3)
    client.hset("hash", mapping={"a": "1", "b": "2"})
    assert client.hgetall("hash") == {b"a": b"1", b"b": b"2"}
    assert client.get("missing") is None


def test_redis_cli_sets_gets_and_scans(transport):
    assert transport.cli("SET", "key", "value").stdout == "OK\n"
    assert transport.cli("GET", "key").stdout == "value\n"
    for number in range(50):
        transport.cli("SET", f"scan:{number}", number) if number < 3 else None
    assert sorted(transport.cli("--scan", "--pattern", "scan:*").stdout.split()) == ["scan:0", "scan:1", "scan:2"]


def test_redis_cli_pipes_a_file_of_commands(transport):
    text = "".join(f"SET piped:{number} {number}\n" for number in range(1000))
    result = transport.cli(text=text)
    assert result.stdout.count("OK") == 1000
    assert transport.cli("DBSIZE").stdout.strip() == "1000"


def test_binary_keys_and_values_come_back_as_they_went(transport):
    key, value = bytes(range(256)), bytes(reversed(range(256))) * 20
    with transport.open() as client:
        assert client.call("SET", key, value) == "OK"
        assert client.call("GET", key) == value
        assert client.call("KEYS", "*") == [key]


@pytest.mark.parametrize("size", [0, 1, 43, 44, 45, 63, 64, 65, 1000, 4095, 16383, 16384, 65536, 1 << 20, 20 << 20])
def test_values_of_every_size_class_round_trip(transport, size):
    value = bytes(number * 7 % 251 for number in range(min(size, 100000))) * (size // 100000 or 1)
    with transport.open() as client:
        assert client.call("SET", "key", value) == "OK"
        assert client.call("STRLEN", "key") == len(value)
        assert client.call("GET", "key") == value


def test_a_long_pipeline_is_answered_in_order(transport):
    with transport.open() as client:
        count = 20000
        client.send(b"".join(encode("SET", f"key:{n}", n) + encode("GET", f"key:{n}") for n in range(1000)))
        for number in range(1000):
            assert client.reply() == "OK"
            assert client.reply() == str(number).encode()
        client.send(encode("INCR", "counter") * count)
        assert [client.reply() for _ in range(count)] == list(range(1, count + 1))


def test_a_request_may_come_byte_by_byte(transport):
    with transport.open() as client:
        for byte in encode("SET", "key", "value") + encode("GET", "key") + b"PING\r\n":
            client.send(bytes([byte]))
        assert [client.reply() for _ in range(3)] == ["OK", b"value", "PONG"]


def test_inline_commands_work_with_quotes(transport):
    with transport.open() as client:
        client.send(b"SET key \"a b\\x41\\n\"\r\nGET key\n\r\n\r\nPING 'single \\' quoted'\r\n")
        assert [client.reply() for _ in range(3)] == ["OK", b"a bA\n", b"single ' quoted"]


def test_quit_answers_and_closes(transport):
    with transport.open() as client:
        client.send(encode("QUIT") + encode("SET", "key", "never"))
        assert client.raw_reply() == b"+OK\r\n"
        assert client.socket.recv(100) == b""
    with transport.open() as client:
        assert client.call("EXISTS", "key") == 0


def test_an_empty_array_is_ignored(db):
    with db.client() as client:
        client.send(b"*0\r\n*-1\r\n" + encode("PING"))
        assert client.reply() == "PONG"


def test_databases_are_separate(db):
    with db.client() as client:
        client.call("SET", "key", "zero")
        client.call("SELECT", 5)
        assert client.call("GET", "key") is None
        client.call("SET", "key", "five")
        assert client.call("SWAPDB", 0, 5) == "OK"
        assert client.call("GET", "key") == b"zero"
        assert client.call("FLUSHDB") == "OK"
        assert client.call("DBSIZE") == 0
        client.call("SELECT", 0)
        assert client.call("GET", "key") == b"five"


def test_a_key_is_gone_the_moment_it_expires(db):
    with db.client() as client:
        client.call("SET", "key", "value", "PX", 60)
        while (left := client.call("PTTL", "key")) > 0:
            assert client.call("EXISTS", "key") == 1 or client.call("PTTL", "key") == -2
        assert left in (0, -2)
        while client.call("PTTL", "key") != -2:
            pass
        assert client.call("GET", "key") is None
        assert client.call("DBSIZE") == 0


def test_keys_expire_without_being_touched(db):
    with db.client() as client:
        client.send(b"".join(encode("SET", f"short:{n}", n, "PX", 50 + n % 100) for n in range(5000)))
        assert all(client.reply() == "OK" for _ in range(5000))
    from support import eventually
    eventually(lambda: db.call("DBSIZE") == 0, lambda: f"an empty database; {db.call('DBSIZE')} keys are left")
    assert int(db.info("stats")["expired_keys"]) == 5000


def test_redis_py_reports_a_wrong_type_as_such(transport):
    client = transport.py()
    client.set("key", "value")
    with pytest.raises(redis.ResponseError, match="WRONGTYPE|wrong kind of value"):
        client.lpush("key", "x")
