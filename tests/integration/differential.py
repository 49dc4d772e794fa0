"""Holds our replies against redis-server's, byte for byte, over generated command sequences.

A generator yields commands from a seeded random source over a few keys, so that commands meet each other's values, wrong
types and missing keys. A difference is shown with the seed and the latest commands on the same keys, which is usually all
that is needed to see it.
"""

from localcluster.resp import ReplyError, parse

# The elements of these replies come in no defined order.
UNORDERED = {b"KEYS", b"SMEMBERS", b"SINTER", b"SUNION", b"SDIFF", b"HKEYS", b"HVALS", b"SPOP"}
UNORDERED_PAIRS = {b"HGETALL"}
# A random choice: only the kind of reply is compared (the generators ask for all elements or none, so no state differs).
RANDOM = {b"SRANDMEMBER", b"HRANDFIELD", b"ZRANDMEMBER", b"RANDOMKEY"}
# Values that depend on when the command came: allowed to differ by this much.
TIME_REPLIES = {b"TTL": 1, b"EXPIRETIME": 1, b"PTTL": 400, b"PEXPIRETIME": 400}


def as_bytes(argument):
    return argument if isinstance(argument, bytes) else str(argument).encode()


def same(command, ours, theirs):
    """True if two raw replies mean the same for this command."""
    if ours == theirs:
        return True
    name = command[0].upper()
    if ours[:1] != theirs[:1]:
        return False
    if name in (b"ZRANK", b"ZREVRANK") and len(command) > 3:
        return ours[:1] == b"-"  # 7.2 has an option here (WITHSCORE), 7.0 a fixed number of arguments
    if name == b"DBSIZE":
        return int(ours[1:]) <= int(theirs[1:])  # redis-server counts expired keys until it comes across them
    if name in TIME_REPLIES and ours[:1] == b":":
        return abs(int(ours[1:]) - int(theirs[1:])) <= TIME_REPLIES[name] and int(ours[1:]) >= 0
    if name in RANDOM:
        return ours[:1] != b"-"
    if name[:1] == b"Z" and name != b"ZSCAN":
        return same_scores(parse(ours)[0], parse(theirs)[0])
    if name in UNORDERED or name in UNORDERED_PAIRS:
        return normal_form(name, parse(ours)[0]) == normal_form(name, parse(theirs)[0])
    if name in (b"SCAN", b"HSCAN", b"SSCAN", b"ZSCAN"):
        mine, other = parse(ours)[0], parse(theirs)[0]
        if isinstance(mine, ReplyError) or isinstance(other, ReplyError):
            return str(mine) == str(other)
        pairs = name in (b"HSCAN", b"ZSCAN")
        kind = b"HGETALL" if pairs else b"SMEMBERS"
        return mine[0] == other[0] and same_scores(normal_form(kind, mine[1]), normal_form(kind, other[1]))
    return False


def same_scores(ours, theirs):
    """Equal but for the spelling of scores: since 7.2 Redis writes the shortest form (9.55), 7.0 writes 17 digits."""
    if isinstance(ours, (list, tuple)) and isinstance(theirs, (list, tuple)):
        return len(ours) == len(theirs) and all(map(same_scores, ours, theirs))
    if isinstance(ours, ReplyError) or isinstance(theirs, ReplyError):
        return str(ours) == str(theirs) and type(ours) is type(theirs)
    if ours == theirs:
        return True
    try:
        return float(ours) == float(theirs)
    except (TypeError, ValueError):
        return False


def normal_form(name, value):
    if isinstance(value, ReplyError):
        return str(value)
    if not isinstance(value, list):
        return value
    if name in UNORDERED_PAIRS:
        return sorted(zip(value[::2], value[1::2]))
    return sorted(value)


class Comparison:
    """Sends the same commands to both servers. `pair` is (ours, redis)."""

    def __init__(self, pair, seed=None):
        self.seed = seed
        self.clients = [server.client() for server in pair]
        self.history = []
        self.differences = {}  # command name: the first difference that it showed
        for client in self.clients:
            client.call("FLUSHALL")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for client in self.clients:
            client.close()

    def check(self, *arguments):
        """Compares one command's replies and returns ours, parsed."""
        difference, reply = self.compare(*arguments)
        assert difference is None, difference
        return reply

    def compare(self, *arguments):
        """(what differs or None, our reply parsed)."""
        command = [as_bytes(argument) for argument in arguments]
        ours, theirs = (client.call_raw(*command) for client in self.clients)
        self.history.append(command)
        difference = None if same(command, ours, theirs) else self.explain(command, ours, theirs)
        return difference, parse(ours)[0]

    def explain(self, command, ours, theirs):
        words = set(command[1:])
        related = [c for c in self.history[:-1] if words & set(c[1:])][-12:]
        shown = "\n".join("  " + b" ".join(c).decode("latin-1") for c in related)
        return (f"seed {self.seed}, command {len(self.history)}: {b' '.join(command).decode('latin-1')!r}\n"
                f"ours:  {ours[:400]!r}\nredis: {theirs[:400]!r}\nbefore it, on the same keys or values:\n{shown}")

    def check_all(self, commands):
        """Compares a whole sequence. After a difference both start empty again, so that each command's first one shows."""
        for command in commands:
            difference, _ = self.compare(*command)
            if difference is not None:
                self.differences.setdefault(command[0].upper(), difference)
                for client in self.clients:
                    client.call("SELECT", 0)
                    client.call("FLUSHALL")
                self.history.clear()
        assert not self.differences, "\n\n".join(self.differences.values())

    def check_state(self):
        """Compares everything that is stored, with its TTL."""
        keys = sorted(self.check("KEYS", "*"))
        for key in keys:
            kind = self.check("TYPE", key)
            self.check("PTTL", key)
            read = {"string": ("GET", key), "hash": ("HGETALL", key), "set": ("SMEMBERS", key),
                    "list": ("LRANGE", key, 0, -1), "zset": ("ZRANGE", key, 0, -1, "WITHSCORES")}[kind]
            self.check(*read)
