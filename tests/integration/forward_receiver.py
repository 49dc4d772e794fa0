"""A receiver of Fluentd's forward protocol with faults on request, on an independent MessagePack codec.

It is strict where Fluentd or Fluent Bit are: what either of them would refuse is noted in `complaints`.
"""

import base64
import gzip
import hashlib
import os
import socket
import ssl
import threading
import time

import msgpack


def event_time(code, data):
    if code != 0 or len(data) != 8:
        return msgpack.ExtType(code, data)
    return int.from_bytes(data[:4], "big"), int.from_bytes(data[4:], "big")


def decoded(value):
    """The same with texts for bytes."""
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, dict):
        return {decoded(key): decoded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [decoded(item) for item in value]
    return value


def digest(*parts):
    return hashlib.sha512(b"".join(part if isinstance(part, bytes) else part.encode() for part in parts)).hexdigest()


class Receiver:
    """Listens on loopback, or on `host`. `kind` is whose HELO it sends: fluentd (nonce as bin) or fluent-bit (nonce as str)."""

    def __init__(self, port, kind="fluentd", shared_key=None, users=None, tls=None, keepalive=True, host="127.0.0.1"):
        self.host = host
        self.port, self.kind, self.shared_key, self.users, self.tls = port, kind, shared_key, users, tls
        self.keepalive = keepalive
        self.acks = True  # whether chunks are acknowledged
        self.ack_delay = 0
        self.records = []  # (tag, (seconds, nanoseconds), record), repetitions included
        self.chunks = []  # (chunk id, tag, options, kind of the entries)
        self.pings = []
        self.complaints = []
        self.connections = 0
        self.lock = threading.Lock()
        self.sockets = set()
        self.listener = None

    def start(self):
        self.listener = socket.create_server((self.host, self.port), backlog=64)
        threading.Thread(target=self._accept, args=(self.listener,), daemon=True).start()
        return self

    def stop(self):
        listener, self.listener = self.listener, None
        if listener is not None:
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        with self.lock:
            sockets, self.sockets = self.sockets, set()
        for one in sockets:
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            one.close()

    def _accept(self, listener):
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.tls is not None:
                connection = self.tls.wrap_socket(connection, server_side=True)
            with self.lock:
                self.connections += 1
                self.sockets.add(connection)
            unpacker = msgpack.Unpacker(raw=True, ext_hook=event_time, max_buffer_size=64 << 20)
            if self.shared_key is not None and not self._shake_hands(connection, unpacker):
                return
            while True:
                for message in unpacker:
                    self._take(connection, message)
                    if not self.keepalive:
                        return
                data = connection.recv(1 << 18)
                if not data:
                    return
                unpacker.feed(data)
        except (OSError, ssl.SSLError):
            pass
        except Exception as error:  # what the forwarder sent is wrong: the test must see it
            self.complaints.append(repr(error))
        finally:
            with self.lock:
                self.sockets.discard(connection)
            try:
                connection.close()
            except OSError:
                pass

    def _next(self, connection, unpacker):
        while True:
            for message in unpacker:
                return message
            data = connection.recv(1 << 16)
            if not data:
                raise OSError("closed")
            unpacker.feed(data)

    def _shake_hands(self, connection, unpacker):
        nonce = os.urandom(15) + b"\xff"
        salt = os.urandom(15) + b"\xfe" if self.users else b""
        if self.kind == "fluentd":
            helo = msgpack.packb(["HELO", {"nonce": nonce, "auth": salt, "keepalive": self.keepalive}], use_bin_type=True)
        else:
            helo = msgpack.packb([b"HELO", {b"nonce": nonce, b"auth": salt, b"keepalive": self.keepalive}],
                                 use_bin_type=False)
        # In two pieces: a client must not take each receive for a message.
        connection.sendall(helo[:7])
        time.sleep(0.02)
        connection.sendall(helo[7:])
        raw = self._next(connection, unpacker)
        kind, hostname, client_salt, key_digest, user, password_digest = raw
        self.pings.append(raw)
        if kind != b"PING":
            self.complaints.append(f"not PING: {raw}")
        good = key_digest.decode() == digest(client_salt, hostname, nonce, self.shared_key)
        reason = "" if good else "shared_key mismatch"
        if good and self.users:
            good = digest(salt, user, self.users.get(user.decode(), "")) == password_digest.decode()
            good = good and user.decode() in self.users
            reason = "" if good else "username/password mismatch"
        pong = ["PONG", good, reason, "receiver.test" if good else "",
                digest(client_salt, "receiver.test", nonce, self.shared_key) if good else ""]
        connection.sendall(msgpack.packb(pong))
        return good

    def _take(self, connection, message):
        tag, entries, options = message
        if isinstance(entries, list):
            kind, entries = "forward", decoded(entries)
        elif options.get(b"compressed") == b"gzip":
            kind, entries = "compressed", gzip.decompress(entries)
        else:
            kind = "packed"
        if not isinstance(entries, list):
            unpacker = msgpack.Unpacker(raw=False, ext_hook=event_time, max_buffer_size=64 << 20)
            unpacker.feed(entries)
            entries = list(unpacker)
        if options[b"size"] != len(entries):
            self.complaints.append(f"size says {options[b'size']}, there are {len(entries)}")
        chunk = options[b"chunk"].decode()
        if len(base64.b64decode(chunk)) != 16:
            self.complaints.append(f"chunk {chunk}")
        if any(not isinstance(moment, tuple) for moment, _ in entries):
            self.complaints.append("a time that is no EventTime")
        with self.lock:
            self.records += [(tag.decode(), moment, record) for moment, record in entries]
            self.chunks.append((chunk, tag.decode(), options, kind))
        if self.acks:
            if self.ack_delay:
                time.sleep(self.ack_delay)
            connection.sendall(msgpack.packb({"ack": chunk}))

    # MARK: Observation

    def lines(self):
        """The texts of what passed through unparsed, as a set."""
        with self.lock:
            records = list(self.records)
        return {record["log"] for _, _, record in records if "log" in record}

    def count(self):
        with self.lock:
            return len(self.records)


def tls_context(certificates, client_authority=None):
    """A server's side of mutual TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.certificate, certificates.key)
    context.load_verify_locations(client_authority or certificates.authority)
    context.verify_mode = ssl.CERT_REQUIRED
    return context
