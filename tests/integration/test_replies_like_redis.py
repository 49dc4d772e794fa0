"""Replies to generated command sequences are those of redis-server, byte for byte."""

import pytest
from differential import Comparison, as_bytes, same
from generators import (HASHES, KEYS, LEXICAL_RANGES, LISTS, NOT_CALLED, SETS, SORTED_SETS, STRINGS, sequence, typed_keys,
                        wrong_calls)

COMMANDS = 3000

FAMILIES = {
    "strings": STRINGS, "keys": KEYS + STRINGS[:4], "hashes": HASHES, "lists": LISTS, "sets": SETS,
    "sorted-sets": SORTED_SETS, "lexical-ranges": LEXICAL_RANGES,
    "mixed": STRINGS + KEYS + HASHES + LISTS + SETS + SORTED_SETS,
}


@pytest.mark.parametrize("family", FAMILIES)
def test_generated_commands_get_the_same_replies(pair, family, seed):
    with Comparison(pair, seed) as comparison:
        comparison.check_all(sequence(seed, COMMANDS, FAMILIES[family]))
        comparison.check_state()


# Their replies say what is particular to each server, or 7.2 takes what 7.0 refuses.
OWN_REPLIES = {"TIME", "INFO", "LASTSAVE", "ROLE", "DUMP", "RANDOMKEY"}
OWN_SUBCOMMANDS = {("CLIENT", "ID"), ("CLIENT", "INFO"), ("CLIENT", "LIST"), ("COMMAND", "COUNT"), ("COMMAND", "LIST"), ("SLOWLOG", "GET"),
                   ("SLOWLOG", "LEN"), ("LATENCY", "DOCTOR"), ("LATENCY", "HISTOGRAM"), ("MEMORY", "DOCTOR"), ("MEMORY", "MALLOC-STATS"),
                   ("MEMORY", "STATS"), ("MEMORY", "USAGE"), ("CONFIG", "GET"), ("OBJECT", "REFCOUNT"), ("OBJECT", "ENCODING")}
TIMEOUTS = (b"-ERR timeout is negative\r\n", b"-ERR timeout is out of range\r\n")  # 7.0 takes infinity for a negative time


def differs(command, ours, theirs):
    name, is_error = command[0].decode().upper(), [reply[:1] == b"-" for reply in (ours, theirs)]
    if ours == theirs or name in ("ZRANK", "ZREVRANK") and all(is_error) or {ours, theirs} == set(TIMEOUTS):
        return False
    own = name in OWN_REPLIES or len(command) > 1 and (name, command[1].decode("latin-1").upper()) in OWN_SUBCOMMANDS
    if any(is_error):
        return True
    # A cursor other than 0 means another thing to each server, and HELP is in words of our own.
    cursors = name.endswith("SCAN") and command[1 if name == "SCAN" else 2] not in (b"0", b"", b"-0")
    unordered = name in ("SORT", "SORT_RO") and b"BY" in command
    return not (own or cursors or unordered or command[1:2] == [b"HELP"] or same(command, ours, theirs))


def test_wrong_calls_get_the_same_errors(pair, seed):
    known = [{name.decode() for name in server.call("COMMAND", "LIST")} for server in pair]
    containers = {name.split("|")[0] for name in known[0] if "|" in name}
    names = sorted(known[0] & known[1] - containers - NOT_CALLED)
    differences = {}
    clients = [server.client() for server in pair]
    for number, words in enumerate(wrong_calls(seed, 6000, names)):
        if number % 40 == 0:
            for client in clients:
                client.call("FLUSHALL")
                for command in typed_keys():
                    client.call(*command)
        command = [as_bytes(word) for word in words]
        ours, theirs = (client.call_raw(*command) for client in clients)
        if differs(command, ours, theirs):
            differences.setdefault(command[0], (number, command, ours[:200], theirs[:200]))
    assert not differences, f"seed {seed}\n" + "\n".join(map(str, differences.values()))


WRONG = [
    ("SCAN", "-1"), ("SCAN", "x"), ("SCAN", "99999999999999999999999"), ("SCAN", ""), ("SCAN", "0", "COUNT", "0"), ("BLPOP", "key", "-inf"),
    ("BLPOP", "key", "nan"), ("LOLWUT", "VERSION", "x"), ("DEBUG", "nothing"), ("DEBUG",), ("ZMPOP", "1", "zset", "MIN", "COUNT", "0"),
    ("ZMPOP", "1", "zset", "MIN", "COUNT", "0", "COUNT", "1"), ("BZMPOP", "x", "1", "zset", "MID"), ("BLMPOP", "x", "0", "list", "LEFT"),
    ("COMMAND", "GETKEYS"), ("COMMAND", "GETKEYS", "GET"), ("COMMAND", "GETKEYS", "PING", "x"), ("COMMAND", "INFO", "nothing"),
    ("COMMAND", "LIST", "FILTERBY"), ("COMMAND", "LIST", "FILTERBY", "COLOUR", "red"), ("COMMAND", "NOTHING"), ("COMMAND", "COUNT", "x"),
    ("RESTORE", "new", "x", "y"), ("RESTORE", "new", "0", "y"), ("RESTORE", "new", "-1", "y"), ("RESTORE", "text", "0", "y"),
    ("RESTORE", "new", "0", "y", "IDLETIME", "-1"), ("RESTORE", "new", "0", "y", "FREQ", "256"), ("RESTORE", "new", "0", "y", "FREQ"),
    ("RESTORE", "new", "0", "y", "COLOUR"), ("RESTORE", "new", "0", "x" * 11), ("RESTORE", "new", "0", ""), ("DUMP", "missing"), ("DUMP",),
    ("CLIENT", "KILL"), ("CLIENT", "KILL", "nobody"), ("CLIENT", "KILL", "ID", "x"), ("CLIENT", "KILL", "ID", "0"), ("CLIENT", "KILL", "TYPE", "x"),
    ("CLIENT", "KILL", "COLOUR", "x"), ("CLIENT", "KILL", "SKIPME", "x"), ("CLIENT", "KILL", "USER", "nobody"), ("CLIENT", "KILL", "ID", "1", "ID"),
    ("CLIENT", "PAUSE", "x"), ("CLIENT", "PAUSE", "-1"), ("CLIENT", "PAUSE", "1", "SOME"), ("CLIENT", "PAUSE", "1", "ALL", "x"),
    ("CLIENT", "REPLY", "x"), ("CLIENT", "NO-EVICT", "x"), ("CLIENT", "UNBLOCK", "x"), ("CLIENT", "UNBLOCK", "9999", "x"), ("CLIENT", "UNBLOCK", "9999"),
    ("CLIENT", "SETNAME", "with space"), ("CLIENT", "LIST", "TYPE", "x"), ("CLIENT", "LIST", "ID", "x"), ("CLIENT", "LIST", "x"),
    ("CLIENT", "NOTHING"), ("CLIENT",), ("CONFIG", "SET", "nothing", "1"), ("CONFIG", "SET", "timeout"), ("CONFIG", "SET", "timeout", "x"),
    ("CONFIG", "SET", "timeout", "1", "timeout"), ("CONFIG", "SET", "timeout", "1", "timeout", "2"), ("CONFIG", "SET", "databases", "3"),
    ("CONFIG", "SET", "maxmemory", "x"), ("CONFIG", "SET", "maxmemory-policy", "x"), ("CONFIG", "SET", "appendonly", "x"),
    ("CONFIG", "SET", "timeout", "-1"), ("CONFIG", "SET", "hz", "999999999999"), ("CONFIG", "SET", "save", "x"), ("CONFIG", "SET", "dir", "/nowhere"),
    ("CONFIG", "SET", "client-output-buffer-limit", "x 1 2 3"), ("CONFIG", "SET", "client-output-buffer-limit", "normal 1 2"),
    ("CONFIG", "SET", "notify-keyspace-events", "?"), ("CONFIG", "SET", "latency-tracking-info-percentiles", "200"),
    ("CONFIG", "SET", "oom-score-adj", "perhaps"), ("CONFIG", "SET", "list-compress-depth", "-1"), ("CONFIG", "SET", "activerehashing", "x"),
    ("CONFIG", "GET"), ("CONFIG", "NOTHING"), ("CONFIG", "RESETSTAT", "x"), ("CONFIG", "REWRITE", "x"),
    ("OBJECT", "NOTHING", "x"), ("OBJECT", "FREQ", "text"), ("OBJECT", "ENCODING", "missing"), ("MEMORY", "USAGE", "text", "SAMPLES", "x"),
    ("MEMORY", "USAGE", "text", "SAMPLES", "-1"), ("MEMORY", "USAGE", "text", "SAMPLES"), ("MEMORY", "NOTHING"), ("SLOWLOG", "GET", "x"),
    ("SLOWLOG", "GET", "-2"), ("SLOWLOG", "GET", "1", "2"), ("SLOWLOG", "NOTHING"), ("LATENCY", "GRAPH", "nothing"), ("LATENCY", "NOTHING"),
    ("PUBSUB", "CHANNELS", "a", "b"), ("PUBSUB", "NUMPAT", "x"), ("PUBSUB", "NOTHING"), ("AUTH", "x"), ("AUTH", "x", "y", "z"), ("AUTH", "nobody", "x"),
    ("HELLO", "x"), ("HELLO", "4"), ("HELLO", "2", "COLOUR"), ("HELLO", "2", "AUTH", "x"), ("HELLO", "2", "SETNAME", "a b"), ("SELECT", "x"),
    ("SELECT", "99"), ("SWAPDB", "x", "1"), ("SWAPDB", "0", "99"), ("SWAPDB", "0", "x"), ("MOVE", "text", "x"), ("MOVE", "text", "99"), ("MOVE", "text", "0"),
    ("FLUSHALL", "x"), ("FLUSHDB", "SYNC", "x"), ("BGSAVE", "x"), ("SHUTDOWN", "x"), ("SHUTDOWN", "ABORT"), ("WAIT", "x", "1"), ("WAIT", "0", "x"),
    ("WAIT", "0", "-1"), ("REPLICAOF", "host", "x"), ("EXEC",), ("DISCARD",), ("RESET", "x"), ("PING", "a", "b"), ("ECHO",), ("NOTHING", "a", "b"),
    ("REPLCONF", "x"), ("REPLCONF", "x", "y"), ("PSYNC", "x"), ("READONLY",), ("QUIT", "x", "y"),
]


@pytest.mark.parametrize("command", WRONG, ids=lambda command: " ".join(command)[:40])
def test_a_wrong_call_gets_the_same_reply(pair, command):
    replies = []
    for server in pair:
        with server.client() as client:
            for preparation in typed_keys():
                client.call(*preparation)
            replies.append(client.call_raw(*command))
    assert not differs([as_bytes(word) for word in command], *replies), replies


# Their values are the two servers' own, or setting them again would open sockets anew.
OWN_SETTINGS = {"bind", "port", "tls-port", "unixsocket", "logfile", "pidfile"}
# Set only as a whole that fits: any text is wrong for Redis, or right for us, for reasons of their own.
FREE_TEXT = {"oom-score-adj-values", "proc-title-template", "maxmemory-clients", "shutdown-on-sigint", "shutdown-on-sigterm"}


def test_settings_take_and_refuse_the_same_values(pair):
    clients = [server.client() for server in pair]
    both = []
    for client in clients:
        flat = client.call("CONFIG", "GET", "*")
        both.append(dict(zip(flat[::2], flat[1::2])))
    different = {}
    for name in sorted(both[0].keys() & both[1].keys()):
        if name.decode() in OWN_SETTINGS or name.startswith(b"tls-"):
            continue
        for value in (None, "-3", "nonsense"):
            replies = [client.call_raw("CONFIG", "SET", name, own[name] if value is None else value) for client, own in zip(clients, both)]
            for client, own in zip(clients, both):
                client.call_raw("CONFIG", "SET", name, own[name])
            if replies[0] != replies[1] and not (value and name.decode() in FREE_TEXT):
                different.setdefault(name, (value, *(reply[:200] for reply in replies)))
    assert not different, "\n".join(f"{name}: {what}" for name, what in different.items())
