"""CLIENT and the other commands about the connection itself."""

import pytest
from support import ConnectionClosed, ReplyError, eventually


def fields(line):
    return dict(pair.split("=", 1) for pair in line.split(" "))


def test_client_list_shows_name_address_and_last_command(db):
    with db.client() as one, db.client() as two:
        one.call("CLIENT", "SETNAME", "first")
        two.call("GET", "x")
        rows = [fields(line) for line in one.call("CLIENT", "LIST").decode().splitlines()]
        assert len(rows) == 2
        mine = next(row for row in rows if row["name"] == "first")
        assert mine["cmd"] == "client|list"
        assert mine["addr"] == "127.0.0.1:%d" % one.socket.getsockname()[1]
        assert mine["id"] == str(one.call("CLIENT", "ID"))
        assert next(row for row in rows if row is not mine)["cmd"] == "get"


def test_client_list_has_the_fields_of_redis(pair):
    def names(server):
        with server.client() as client:
            return set(fields(client.call("CLIENT", "INFO").decode().strip()))

    ours, theirs = map(names, pair)
    assert theirs - ours == set()


def test_client_kill_by_id_and_by_address(db):
    with db.client() as one, db.client() as two, db.client() as three:
        assert one.call("CLIENT", "KILL", "ID", two.call("CLIENT", "ID")) == 1
        with pytest.raises((ConnectionClosed, OSError)):
            two.call("PING")
        assert one.call("CLIENT", "KILL", "127.0.0.1:%d" % three.socket.getsockname()[1]) == "OK"
        with pytest.raises((ConnectionClosed, OSError)):
            three.call("PING")
        with pytest.raises(ReplyError, match="No such client"):
            one.call("CLIENT", "KILL", "1.2.3.4:5")


def test_client_pause_holds_writes_back_until_unpause(db):
    with db.client() as one, db.client() as two:
        assert one.call("CLIENT", "PAUSE", 60000, "WRITE") == "OK"
        assert two.call("GET", "key") is None
        two.send(b"SET key value\r\n")
        assert one.call("EXISTS", "key") == 0
        assert one.call("CLIENT", "UNPAUSE") == "OK"
        assert two.reply() == "OK"


def test_client_pause_ends_by_itself(db):
    with db.client() as one, db.client() as two:
        one.call("CLIENT", "PAUSE", 100)
        assert two.call("SET", "key", "value") == "OK"


def test_client_reply_off_and_skip(db):
    with db.client() as client:
        client.send(b"CLIENT REPLY OFF\r\nSET a 1\r\nPING\r\nCLIENT REPLY ON\r\nCLIENT REPLY SKIP\r\nPING\r\nGET a\r\n")
        assert client.reply() == "OK"
        assert client.reply() == b"1"


def test_client_no_evict_and_no_touch_answer(db):
    with db.client() as client:
        assert client.call("CLIENT", "NO-EVICT", "on") == "OK"
        assert client.call("CLIENT", "NO-TOUCH", "on") == "OK"
        assert client.call("CLIENT", "SETINFO", "LIB-NAME", "mylib") == "OK"
        assert b"lib-name=mylib" in client.call("CLIENT", "INFO")
        with pytest.raises(ReplyError):
            client.call("CLIENT", "SETNAME", "with space")


def test_reset_returns_a_connection_to_its_first_state(db):
    with db.client() as client:
        client.call("SELECT", 3)
        client.call("CLIENT", "SETNAME", "name")
        client.call("MULTI")
        assert client.call("RESET") == "RESET"
        assert client.call("CLIENT", "GETNAME") is None
        assert b"db=0" in client.call("CLIENT", "INFO")
        with pytest.raises(ReplyError, match="EXEC without MULTI"):
            client.call("EXEC")


def test_hello_switches_the_protocol(db):
    with db.client() as client:
        answer = client.call("HELLO", 3, "SETNAME", "me")
        assert answer[b"proto"] == 3 and answer[b"role"] == b"master" and answer[b"mode"] == b"standalone"
        assert client.call_raw("GET", "missing") == b"_\r\n"
        assert client.call("CLIENT", "GETNAME") == b"me"
        assert isinstance(client.call("HELLO", 2), list)
        assert client.call_raw("GET", "missing") == b"$-1\r\n"
        with pytest.raises(ReplyError, match="NOPROTO"):
            client.call("HELLO", 4)


def test_a_password_is_asked_for(start):
    db = start(requirepass="secret")
    with db.client() as client:
        for command in (("GET", "x"), ("SET", "x", "y"), ("INFO",), ("CONFIG", "GET", "*")):
            with pytest.raises(ReplyError, match="NOAUTH"):
                client.call(*command)
        with pytest.raises(ReplyError, match="WRONGPASS"):
            client.call("AUTH", "wrong")
        assert client.call("AUTH", "secret") == "OK"
        assert client.call("SET", "x", "y") == "OK"
    with db.client() as client:
        assert client.call("HELLO", 3, "AUTH", "default", "secret")[b"proto"] == 3
    assert db.redis(password="secret").get("x") == b"y"
    assert "secret" not in db.log()


def test_a_client_that_has_not_authenticated_may_send_little(start):
    db = start(requirepass="secret")
    with db.client() as client:
        client.send(b"*11\r\n")
        assert client.raw_reply() == b"-ERR Protocol error: unauthenticated multibulk length\r\n"
    with db.client() as client:
        client.send(b"*2\r\n$4\r\nAUTH\r\n$20000\r\n")
        assert client.raw_reply() == b"-ERR Protocol error: unauthenticated bulk length\r\n"


def test_the_number_of_clients_is_followed(db):
    clients = [db.client() for _ in range(20)]
    for client in clients:
        client.call("PING")
    assert int(db.info("clients")["connected_clients"]) == 21
    for client in clients:
        client.close()
    eventually(lambda: int(db.info("clients")["connected_clients"]) == 1, "their end")
