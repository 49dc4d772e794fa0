"""What a server tells about its commands, and about what has been slow."""

import pytest
from support import ReplyError, eventually

# What 7.2 has changed of 7.0: WITHSCORE made ZRANK's number of arguments variable; WAIT may be used by scripts.
CHANGED_SINCE_7_0 = {"zrank", "zrevrank", "wait"}


def texts(value):
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, (list, tuple)):
        return [texts(element) for element in value]
    return sorted(map(texts, value)) if isinstance(value, (set, frozenset)) else value


def pairs(flat):
    return dict(zip(flat[::2], flat[1::2]))


def described(entry):
    """COMMAND INFO of one command in a form that can be compared; notes are Redis's own words."""
    name, arity, flags, first, last, step, categories, tips, specs, _ = entry
    keys = []
    for spec in map(pairs, specs):
        keys.append((sorted(spec["flags"]), pairs(spec["begin_search"]), pairs(spec["find_keys"])))
    return {"arity": arity, "flags": set(flags), "keys": (first, last, step), "categories": set(categories),
            "tips": set(tips), "key specs": keys, "name": name}


def all_commands(server):
    found = {}
    for entry in texts(server.call("COMMAND")):
        for one in [entry, *entry[9]]:
            found[one[0]] = described(one)
    return found


def test_commands_are_described_as_redis_does(pair):
    ours, theirs = map(all_commands, pair)
    different = {name: {key: (ours[name][key], theirs[name][key]) for key in ours[name] if ours[name][key] != theirs[name][key]}
                 for name in ours.keys() & theirs.keys() - CHANGED_SINCE_7_0}
    assert {name: what for name, what in different.items() if what} == {}
    assert len(ours.keys() & theirs.keys()) > 230


def test_the_list_of_commands_and_its_filters(pair):
    ours, theirs = ({server.kind: server for server in pair}[kind] for kind in ("ours", "redis"))
    known = set(ours.call("COMMAND", "LIST"))
    for words in ((), ("FILTERBY", "ACLCAT", "read"), ("FILTERBY", "ACLCAT", "BLOCKING"), ("FILTERBY", "PATTERN", "C*|set"),
                  ("FILTERBY", "PATTERN", "h*"), ("FILTERBY", "MODULE", "nothing"), ("FILTERBY", "ACLCAT", "nothing")):
        mine, other = (set(server.call("COMMAND", "LIST", *words)) for server in (ours, theirs))
        since = {b"waitaof", b"client|no-touch", b"client|setinfo", b"dssm"}
        assert mine - since == other & known, words


def arguments(docs):
    """The arguments of a command or of an argument as comparable values."""
    result = []
    for argument in map(pairs, docs.get("arguments", [])):
        argument["flags"] = sorted(argument.get("flags", []))
        argument["arguments"] = arguments(argument)
        result.append(argument)
    return result


def test_every_command_has_documentation(pair):
    ours, theirs = (pairs(texts(server.call("COMMAND", "DOCS"))) for server in pair)
    assert set(ours) == {name.decode() for name in pair[0].call("COMMAND", "LIST") if b"|" not in name}
    for name in ours.keys() & theirs.keys():
        mine, other = pairs(ours[name]), pairs(theirs[name])
        assert mine["summary"] and {key: mine[key] for key in ("since", "group")} == {key: other[key] for key in ("since", "group")}, name
        assert mine.get("deprecated_since") == other.get("deprecated_since"), name
        assert mine.get("doc_flags") == other.get("doc_flags"), name
        assert arguments(mine) == arguments(other), name
        mine_below, other_below = (pairs(docs.get("subcommands", [])) for docs in (mine, other))
        for child in mine_below.keys() & other_below.keys():
            assert arguments(pairs(mine_below[child])) == arguments(pairs(other_below[child])), child
    assert texts(pair[0].call("COMMAND", "DOCS", "config|get"))[0] == "config|get"
    assert pair[0].call("COMMAND", "DOCS", "nothing") == []


@pytest.mark.parametrize("command", [
    ("SET", "a", "b"), ("SET", "a", "b", "GET"), ("MSET", "a", "1", "b", "2"), ("ZUNIONSTORE", "d", "2", "a", "b"), ("BLPOP", "a", "b", "0"),
    ("LMPOP", "2", "x", "y", "LEFT"), ("SORT", "a", "STORE", "b"), ("SORT", "a", "BY", "STORE", "GET", "x", "STORE", "c"), ("PING",),
    ("OBJECT", "ENCODING", "a"), ("OBJECT", "HELP"), ("OBJECT", "NOTHING", "x"), ("NOTHING",), ("MEMORY", "USAGE", "a"), ("GET",),
    ("SINTERCARD", "9", "a"), ("ZINTER", "x", "a", "b"), ("SUBSCRIBE", "a"), ("SPUBLISH", "a", "b"), ("EVAL",), ("RENAME", "a", "b"),
])
@pytest.mark.parametrize("form", ["GETKEYS", "GETKEYSANDFLAGS"])
def test_keys_of_command_lines_are_found_like_in_redis(pair, form, command):
    one, two = (server.client().call_raw("COMMAND", form, *command) for server in pair)
    if command[0] != "EVAL":
        assert one == two


# MARK: Latency

def test_latency_events_are_recorded_over_the_threshold(start):
    db = start(enable_debug_command="yes", latency_monitor_threshold=10)
    db.call("DEBUG", "SLEEP", "0.03")
    db.call("DEBUG", "SLEEP", "0.001")
    (name, seconds, latest, longest), = db.call("LATENCY", "LATEST")
    assert name == b"command" and 30 <= latest == longest < 1000
    assert db.call("LATENCY", "HISTORY", "command") == [[seconds, latest]]
    assert db.call("LATENCY", "HISTORY", "nothing") == []
    graph = db.call("LATENCY", "GRAPH", "command").decode().splitlines()
    assert graph[0] == f"command - high {latest} ms, low {latest} ms (all time high {latest} ms)" and graph[2] == "_"
    with pytest.raises(ReplyError, match="No samples available for event 'nothing'"):
        db.call("LATENCY", "GRAPH", "nothing")
    assert b"command: 1 sampled" in db.call("LATENCY", "DOCTOR")
    assert db.call("LATENCY", "RESET", "nothing", "command") == 1
    assert db.call("LATENCY", "LATEST") == []


def test_nothing_is_recorded_without_a_threshold(start):
    db = start(enable_debug_command="yes")
    db.call("DEBUG", "SLEEP", "0.02")
    assert db.call("LATENCY", "LATEST") == []
    assert b"latency-monitor-threshold" in db.call("LATENCY", "DOCTOR")


def test_slow_slices_of_a_snapshot_are_latency_events(start):
    db = start(latency_monitor_threshold=1, enable_debug_command="yes")
    with db.client() as client:
        client.call("DEBUG", "POPULATE", 200000)
        for number in range(20):  # a large value cannot be walked in pieces
            client.send(b"RPUSH large " + b" ".join(b"element%d" % i for i in range(1500)) + b"\r\n")
            client.reply()
        client.call("BGSAVE")
        eventually(lambda: db.info("persistence")["rdb_bgsave_in_progress"] == "0", "the snapshot")
    assert b"snapshot-slice" in {event[0] for event in db.call("LATENCY", "LATEST")}


def test_latency_histogram_and_percentiles_know_commands_and_subcommands(start):
    db = start()
    with db.client() as client:
        for _ in range(300):
            client.call("SET", "key", "value")
        client.call("CONFIG", "GET", "port")
    histogram = pairs(texts(db.call("LATENCY", "HISTOGRAM", "set", "config")))
    assert set(histogram) == {"set", "config|get"}
    calls = pairs(histogram["set"])
    counts = pairs(calls["histogram_usec"])
    assert max(counts.values()) == calls["calls"] and sorted(counts) == list(counts)
    assert all(limit & (limit - 1) == 0 for limit in counts)
    parts = dict(part.split("=") for part in db.info("latencystats")["latency_percentiles_usec_set"].split(","))
    assert list(parts) == ["p50", "p99", "p99.9"] and 0 < float(parts["p50"]) <= float(parts["p99.9"])
    db.call("CONFIG", "SET", "latency-tracking-info-percentiles", "10 100")
    assert "p10=" in db.info("latencystats")["latency_percentiles_usec_set"]
    db.call("CONFIG", "SET", "latency-tracking", "no")
    assert db.info("latencystats") == {}


# MARK: Memory

def test_memory_stats_has_the_fields_of_redis(pair):
    for server in pair:
        server.call("SET", "key", "value")
    ours, theirs = (set(texts(server.call("MEMORY", "STATS")[::2])) for server in pair)
    assert theirs - ours == set()
    assert pair[0].call("MEMORY", "PURGE") == "OK"
    assert b"nothing to diagnose" in pair[0].call("MEMORY", "DOCTOR")
