"""Settings: the file, CONFIG GET, SET and REWRITE, and what INFO tells."""

import pytest
from support import ReplyError, eventually

def test_every_setting_of_redis_is_known(pair):
    ours, theirs = ({name.decode() for name in server.call("CONFIG", "GET", "*")[::2]} for server in pair)
    assert theirs - ours == set()


def test_the_defaults_are_those_of_redis(pair):
    def defaults(server):
        flat = server.call("CONFIG", "GET", "*")
        return {name.decode(): value.decode() for name, value in zip(flat[::2], flat[1::2])}

    ours, theirs = map(defaults, pair)
    own = {"port", "dir", "enable-debug-command", "logfile", "pidfile", "tls-port", "proc-title-template", "io-threads", "bind", "save"}
    different = {name: (ours[name], theirs[name]) for name in ours.keys() & theirs.keys()
                 if ours[name] != theirs[name] and name not in own}
    assert different == {}


def test_config_get_takes_patterns_and_several_names(db):
    reply = db.call("CONFIG", "GET", "maxmemory*", "timeout")
    names = set(reply[::2])
    assert {b"maxmemory", b"maxmemory-policy", b"timeout"} <= names
    assert db.call("CONFIG", "GET", "nothing") == []


@pytest.mark.parametrize("name, value, shown", [
    ("maxmemory", "100mb", "104857600"), ("timeout", "7", "7"), ("maxmemory-policy", "allkeys-lru", "allkeys-lru"),
    ("appendfsync", "always", "always"), ("tcp-keepalive", "60", "60"), ("client-output-buffer-limit", "normal 1mb 512kb 5", None),
    ("notify-keyspace-events", "KEA", "AKE"), ("slowlog-log-slower-than", "100", "100"), ("maxclients", "500", "500"),
    ("list-max-listpack-size", "64", "64"), ("hash-max-listpack-entries", "9", "9"), ("save", "3600 1 300 100", "3600 1 300 100"),
    ("min-replicas-to-write", "1", "1"), ("repl-backlog-size", "2mb", "2097152"), ("loglevel", "debug", "debug"),
])
def test_config_set_is_shown_by_config_get(db, name, value, shown):
    assert db.call("CONFIG", "SET", name, value) == "OK"
    if shown is not None:
        assert db.call("CONFIG", "GET", name) == [name.encode(), shown.encode()]


@pytest.mark.parametrize("name, value", [
    ("maxmemory", "lots"), ("timeout", "-1"), ("maxmemory-policy", "never"), ("appendfsync", "sometimes"), ("nothing", "1"),
    ("port", "99999"), ("databases", "5"), ("maxclients", "0"), ("appendonly", "maybe"),
])
def test_config_set_refuses_nonsense_and_changes_nothing(db, name, value):
    before = db.call("CONFIG", "GET", name)
    with pytest.raises(ReplyError):
        db.call("CONFIG", "SET", name, value)
    assert db.call("CONFIG", "GET", name) == before
    with pytest.raises(ReplyError):
        db.call("CONFIG", "SET", "timeout", "5", name, value)
    assert db.call("CONFIG", "GET", "timeout") == [b"timeout", b"0"]


def test_config_rewrite_keeps_comments_and_survives_a_restart(start):
    db = start.make()
    db.write_settings()
    with open(db.settings_path, "a") as file:
        file.write("# a comment that a person wrote\ntimeout 5\n")
    db.launch()
    db.wait_until_ready()
    db.call("CONFIG", "SET", "timeout", "77", "maxmemory", "1gb", "client-output-buffer-limit", "pubsub 1mb 1mb 9")
    db.call("CONFIG", "SET", "requirepass", "with space \"and\" quote")
    with db.client() as client:
        client.call("AUTH", "with space \"and\" quote")
        assert client.call("CONFIG", "REWRITE") == "OK"
        client.call("CONFIG", "SET", "requirepass", "")
    text = open(db.settings_path).read()
    assert "# a comment that a person wrote" in text
    assert text.count("\ntimeout ") == 1
    db.stop()
    db.restart()
    with db.client() as client:
        client.call("AUTH", "with space \"and\" quote")
        assert client.call("CONFIG", "GET", "timeout") == [b"timeout", b"77"]
        assert client.call("CONFIG", "GET", "maxmemory") == [b"maxmemory", b"1073741824"]
        assert b"pubsub 1048576 1048576 9" in client.call("CONFIG", "GET", "client-output-buffer-limit")[1]


def test_config_rewrite_without_a_file_is_refused(start):
    db = start.make()
    db.process = None
    from localcluster import binaries
    from localcluster.processes import Process
    import os
    os.makedirs(db.folder, exist_ok=True)
    db.process = Process("no file", [binaries.ours("dssm-db"), "--port", db.port, "--save", "", "--dir", db.folder],
                         os.path.join(db.folder, "log")).start()
    db.wait_until_ready()
    with pytest.raises(ReplyError, match="without a config file"):
        db.call("CONFIG", "REWRITE")


@pytest.mark.parametrize("line, named", [
    ("no-such-thing yes", "no-such-thing"), ("maxmemory lots", "maxmemory"), ("port 99999", "port"), ('requirepass "open', "quot"),
    ("appendonly perhaps", "appendonly"), ("timeout", "timeout"), ("save 1", "save"),
])
def test_a_wrong_line_stops_the_start_and_is_named(start, line, named):
    db = start.make()
    db.write_settings()
    with open(db.settings_path, "a") as file:
        file.write(line + "\n")
    number = len(open(db.settings_path).read().splitlines())
    db.launch()
    assert db.process.wait(10) == 1
    assert named in db.log()
    assert f":{number}" in db.log() or f"line {number}" in db.log()


def test_config_resetstat_begins_counting_anew(db):
    db.call("SET", "a", "b")
    assert int(db.info("stats")["total_commands_processed"]) > 0
    db.call("CONFIG", "RESETSTAT")
    stats = db.info("stats")
    assert int(stats["total_commands_processed"]) <= 1
    assert int(stats["total_connections_received"]) <= 1


def test_info_has_the_fields_of_redis(pair):
    for server in pair:
        server.call("SET", "key", "value")
        server.call("GET", "key")
    ours, theirs = (set(server.info("everything")) for server in pair)
    own = ("cmdstat_", "latency_percentiles_", "errorstat_")  # which commands were used differs
    assert {name for name in theirs - ours if not name.startswith(own)} == set()
    assert {"cmdstat_set", "latency_percentiles_usec_set"} <= ours


def test_info_memory_adds_up(start):
    db = start(repl_backlog_size="2mb")
    empty = {name: value for name, value in db.info("memory").items()}
    assert int(empty["used_memory_startup"]) <= int(empty["used_memory"])
    with db.client() as client:
        for number in range(2000):
            client.call("SET", f"key:{number}", "x" * 1000)
    memory = {name: int(value) for name, value in db.info("memory").items() if value.lstrip("-").isdigit()}
    assert memory["used_memory"] - memory["used_memory_overhead"] == memory["used_memory_dataset"]
    assert memory["used_memory_dataset"] > 2_000_000
    assert 10_000 < memory["used_memory_overhead"] < 1_000_000
    assert memory["used_memory_peak"] >= memory["used_memory"] > memory["used_memory_startup"]
    assert memory["total_system_memory"] > memory["used_memory_rss"] > memory["used_memory"]
    assert memory["mem_fragmentation_bytes"] == memory["used_memory_rss"] - memory["used_memory"]
    assert memory["allocator_active"] >= memory["used_memory"]
    assert memory["mem_clients_normal"] > 0


def test_info_counts_traffic_and_rates(db):
    before = db.info("stats")
    with db.client() as client:
        client.call("SET", "key", "x" * 1_000_000)
        client.call("GET", "key")
    after = eventually(lambda: (lambda now: now if float(now["instantaneous_input_kbps"]) > 100 else None)(db.info("stats")),
                       "a rate of input")
    assert int(after["total_net_input_bytes"]) - int(before["total_net_input_bytes"]) > 1_000_000
    assert int(after["total_net_output_bytes"]) - int(before["total_net_output_bytes"]) > 1_000_000
    assert float(after["instantaneous_output_kbps"]) > 100
    assert int(after["total_reads_processed"]) > int(before["total_reads_processed"])
    assert int(after["eventloop_cycles"]) > int(before["eventloop_cycles"])
    assert after["total_net_repl_input_bytes"] == "0"


def test_info_counts_expiry_and_memory_over_the_limit(db):
    with db.client() as client:
        for number in range(100):
            client.call("SET", f"key:{number}", "x" * 1000, "PX", 1)
        client.call("SET", "lasting", "x", "PX", 50_000)
    eventually(lambda: db.info("stats")["expired_keys"] == "100", "the expiries")
    assert 10_000 < int(db.info("keyspace")["db0"].rpartition("avg_ttl=")[2]) <= 50_000
    db.call("CONFIG", "SET", "maxmemory", "1")
    eventually(lambda: int(db.info("stats")["current_eviction_exceeded_time"]) > 100, "the excess")
    db.call("CONFIG", "SET", "maxmemory", "0")
    stats = eventually(lambda: (lambda now: now if now["current_eviction_exceeded_time"] == "0" else None)(db.info("stats")),
                       "the end of the excess")
    assert int(stats["total_eviction_exceeded_time"]) > 100


def test_info_has_the_sections_of_redis_in_order(pair):
    def sections(server, *names):
        return [line for line in server.call("INFO", *names).decode().splitlines() if line.startswith("#")]

    ours, theirs = (sections(server) for server in pair)
    assert [name for name in theirs if name not in ("# Modules", "# Cluster")] == [
        name for name in ours if name in theirs and name not in ("# Modules", "# Cluster")]
    assert sections(pair[0], "memory", "cpu") == ["# Memory", "# CPU"]


def test_info_counts_keys_and_expiries(db):
    for number in range(10):
        db.call("SET", f"key:{number}", "x", *(("EX", 100) if number < 4 else ()))
    keyspace = db.info("keyspace")["db0"]
    assert keyspace.startswith("keys=10,expires=4,")


def test_commandstats_count_calls_and_failures(db):
    with db.client() as client:
        for _ in range(5):
            client.call("SET", "a", "b")
        client.call_raw("LPUSH", "a", "x")
        client.call_raw("SET", "a")
    stats = db.info("commandstats")
    assert "calls=5" in stats["cmdstat_set"] and "rejected_calls=1" in stats["cmdstat_set"]
    assert "failed_calls=1" in stats["cmdstat_lpush"]
    assert db.info("errorstats")["errorstat_WRONGTYPE"] == "count=1"


def test_slowlog_records_what_was_slow(start):
    db = start(slowlog_log_slower_than=0, slowlog_max_len=5, enable_debug_command="yes")
    for number in range(10):
        db.call("SET", f"key:{number}", "x")
    assert db.call("SLOWLOG", "LEN") == 5
    entry = db.call("SLOWLOG", "GET", 2)[1]
    assert len(entry) == 6 and entry[3][0].upper() == b"SLOWLOG" or entry[3][0].upper() == b"SET"
    db.call("SLOWLOG", "RESET")


def test_command_count_list_and_info(pair):
    ours, theirs = ({name.decode() for name in server.call("COMMAND", "LIST") if b"|" not in name} for server in pair)
    assert {"get", "set", "hset", "zadd", "lpush", "config", "client", "info"} <= ours
    assert pair[0].call("COMMAND", "COUNT") == len(ours)
    for name in ("GET", "SET", "MSET", "ZUNIONSTORE", "BLPOP", "EVAL" if "eval" in ours else "DEL"):
        mine, other = (server.call("COMMAND", "INFO", name)[0] for server in pair)
        assert mine[:2] == other[:2] and mine[3:6] == other[3:6], name


@pytest.mark.parametrize("command", [
    ("SET", "a", "b"), ("MSET", "a", "1", "b", "2"), ("ZUNIONSTORE", "d", "2", "a", "b"), ("BLPOP", "a", "b", "0"), ("COPY", "a", "b"),
    ("LMPOP", "2", "x", "y", "LEFT"), ("SET", "a"), ("SINTERCARD", "2", "a", "b"), ("DEL", "a", "b", "c"),
])
def test_command_getkeys_answers_like_redis(pair, command):
    with pair[0].client() as one, pair[1].client() as two:
        assert one.call_raw("COMMAND", "GETKEYS", *command) == two.call_raw("COMMAND", "GETKEYS", *command)
