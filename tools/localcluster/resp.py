"""A small blocking RESP client over plaintext or mTLS. It keeps replies as the bytes that came, for comparisons."""

import socket
import ssl


class ReplyError(Exception):
    """An error reply."""


class ConnectionClosed(Exception):
    """The server ended the connection."""


class Credentials:
    """The three files of a client."""

    def __init__(self, certificate, key, authority):
        self.certificate, self.key, self.authority = str(certificate), str(key), str(authority)

    def context(self, check_hostname=False):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = check_hostname
        context.load_verify_locations(self.authority)
        if self.certificate != "None":
            context.load_cert_chain(self.certificate, self.key)
        return context

    def cli_options(self):
        return ["--tls", "--cert", self.certificate, "--key", self.key, "--cacert", self.authority]


def encode(*arguments):
    """A request as a RESP array of bulk strings."""
    parts = [b"*%d\r\n" % len(arguments)]
    for argument in arguments:
        data = argument if isinstance(argument, bytes) else str(argument).encode()
        parts.append(b"$%d\r\n%s\r\n" % (len(data), data))
    return b"".join(parts)


class Client:
    """One connection. Not thread-safe."""

    def __init__(self, port, credentials=None, host="127.0.0.1", timeout=5.0):
        self.socket = socket.create_connection((host, port), timeout=timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if credentials is not None:
            try:
                self.socket = credentials.context().wrap_socket(self.socket, server_hostname="localhost")
            except BaseException:
                self.socket.close()
                raise
        self.buffer = bytearray()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def _fill(self):
        data = self.socket.recv(1 << 16)
        if not data:
            raise ConnectionClosed("the server closed the connection")
        self.buffer += data

    def _take_line(self):
        start = 0
        while (end := self.buffer.find(b"\r\n", start)) < 0:
            start = max(0, len(self.buffer) - 1)
            self._fill()
        line = bytes(self.buffer[: end + 2])
        del self.buffer[: end + 2]
        return line

    def _take(self, count):
        while len(self.buffer) < count:
            self._fill()
        data = bytes(self.buffer[:count])
        del self.buffer[:count]
        return data

    def raw_reply(self):
        """The bytes of the next complete reply."""
        line = self._take_line()
        kind, rest = line[:1], line[1:-2]
        if kind in b"$!=" and rest != b"-1":
            return line + self._take(int(rest) + 2)
        if kind in b"*~>%|":
            count = int(rest) * (2 if kind in b"%|" else 1)
            if kind == b"|":
                count += 1  # an attribute precedes the reply that it belongs to
            return line + b"".join(self.raw_reply() for _ in range(max(0, count)))
        if kind not in b"$!=+-:_#,(":
            raise ValueError(f"not a RESP reply: {line!r}")
        return line

    def reply(self):
        """The next reply as Python values; error replies as ReplyError objects inside."""
        value, rest = parse(self.raw_reply())
        assert not rest
        return value

    def call_raw(self, *arguments):
        self.send(encode(*arguments))
        return self.raw_reply()

    def call(self, *arguments):
        self.send(encode(*arguments))
        value = self.reply()
        if isinstance(value, ReplyError):
            raise value
        return value


def parse(data):
    """(value, rest) of the reply at the beginning of `data`, which must be complete."""
    line, _, rest = data.partition(b"\r\n")
    kind, text = line[:1], line[1:]
    if kind == b"+":
        return text.decode(errors="replace"), rest
    if kind == b"-":
        return ReplyError(text.decode(errors="replace")), rest
    if kind == b":":
        return int(text), rest
    if kind == b",":
        return float(text), rest
    if kind == b"#":
        return text == b"t", rest
    if kind == b"(":
        return int(text), rest
    if kind == b"_":
        return None, rest
    if kind in b"$!=":
        length = int(text)
        if length < 0:
            return None, rest
        value = rest[:length]
        return (ReplyError(value.decode(errors="replace")) if kind == b"!" else value), rest[length + 2:]
    count = int(text)
    if count < 0:
        return None, rest
    items = []
    for _ in range(count * (2 if kind in b"%|" else 1)):
        item, rest = parse(rest)
        items.append(item)
    if kind == b"%":
        return dict(zip(map(_hashable, items[::2]), items[1::2])), rest
    if kind == b"|":
        return parse(rest)
    return items, rest


def _hashable(value):
    return tuple(map(_hashable, value)) if isinstance(value, list) else value


def parse_info(text):
    """INFO's lines as a dictionary of strings."""
    if isinstance(text, bytes):
        text = text.decode(errors="replace")
    pairs = (line.split(":", 1) for line in text.splitlines() if line and not line.startswith("#") and ":" in line)
    return {name: value for name, value in pairs}
