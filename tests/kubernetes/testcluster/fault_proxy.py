"""A proxy in front of the API server that answers, delays, hangs or cuts on request.

It ends TLS with a certificate of the cluster's CA and speaks HTTP/1.1 with one request per connection, so that each request can be
decided on alone. Clients authenticate by bearer token, which is passed on. A rule takes the first requests that match it.
"""

import asyncio
import dataclasses
import json
import re
import ssl
import threading

from . import layout

PORT = 7443


@dataclasses.dataclass
class Rule:
    """What happens to requests whose method and path (with query) match. `times`: how often; None: until `clear`.

    action: "answer" with `status` instead of passing on; "hang": nothing comes back; "reset": the connection is closed at once;
    "lose-answer": the server does what was asked, but its answer is lost; "delay": passed on after `seconds`; "cut": the answer
    ends after `seconds`, which is for watches.
    """

    action: str
    method: str = ".*"
    path: str = ".*"
    times: int | None = 1
    status: int = 500
    seconds: float = 0
    headers: dict = dataclasses.field(default_factory=dict)
    taken: int = 0

    def matches(self, method, path):
        return (self.times is None or self.taken < self.times) and re.fullmatch(self.method, method) \
            and re.search(self.path, path)


class FaultProxy:
    def __init__(self, authority, address="127.0.0.1", port=PORT):
        authority.issue("fault-proxy", "fault-proxy", addresses=[address, layout.SERVER_ADDRESS])
        self.authority, self.address, self.port = authority, address, port
        self.url = f"https://{address}:{port}"
        self.rules, self.requests = [], []  # requests: (method, path)
        self.open = set()  # writers of connections to clients, with the path asked for
        self.lock = threading.Lock()
        self.loop = asyncio.new_event_loop()
        self.started = threading.Event()
        self.thread = threading.Thread(target=self._serve, daemon=True)

    def start(self):
        self.thread.start()
        if not self.started.wait(10):
            raise RuntimeError("the fault proxy does not start")
        return self

    def stop(self):
        self.loop.call_soon_threadsafe(self._end)
        self.thread.join(10)

    def _end(self):
        tasks = asyncio.all_tasks(self.loop)
        for task in tasks:
            task.cancel()
        self.loop.create_task(self._stop_after(tasks))

    async def _stop_after(self, tasks):
        await asyncio.gather(*tasks, return_exceptions=True)
        self.loop.stop()

    # MARK: Faults

    def add(self, action, **options):
        rule = Rule(action, **options)
        with self.lock:
            self.rules.append(rule)
        return rule

    def clear(self):
        with self.lock:
            self.rules.clear()

    def cut_watches(self):
        """Ends every watch that is under way; how many."""
        with self.lock:
            watches = [writer for writer, path in self.open if "watch=" in path]
        for writer in watches:
            self.loop.call_soon_threadsafe(writer.transport.abort)
        return len(watches)

    def count(self, method=".*", path=".*"):
        with self.lock:
            return sum(1 for one in self.requests if re.fullmatch(method, one[0]) and re.search(path, one[1]))

    # MARK: Connections

    def _serve(self):
        asyncio.set_event_loop(self.loop)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(str(self.authority.certificate("fault-proxy")), str(self.authority.key("fault-proxy")))
        context.set_alpn_protocols(["http/1.1"])
        self.upstream = ssl.create_default_context(cafile=str(self.authority.certificate("ca")))
        self.loop.run_until_complete(asyncio.start_server(self._client, self.address, self.port, ssl=context))
        self.started.set()
        self.loop.run_forever()

    async def _client(self, reader, writer):
        entry = None
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            method, path, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
            body = await self._body(reader, writer, head)
            rule, entry = self._decide(method, path), (writer, path)
            with self.lock:
                self.open.add(entry)
            await self._act(rule, method, head, body, writer)
        except (OSError, EOFError, ssl.SSLError):
            pass  # the client went away
        finally:
            with self.lock:
                self.open.discard(entry)
            writer.transport.abort() if entry is None else writer.close()

    def _decide(self, method, path):
        with self.lock:
            self.requests.append((method, path))
            for rule in self.rules:
                if rule.matches(method, path):
                    rule.taken += 1
                    return rule
        return None

    async def _body(self, reader, writer, head):
        fields = {name.lower(): value.strip() for name, _, value in
                  (line.partition(b":") for line in head.split(b"\r\n")[1:] if line)}
        if fields.get(b"expect", b"").lower() == b"100-continue":
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if b"chunked" in fields.get(b"transfer-encoding", b""):
            body = b""
            while True:
                line = await reader.readline()
                body += line + await reader.readexactly(int(line, 16) + 2)
                if int(line, 16) == 0:
                    return body
        return await reader.readexactly(int(fields.get(b"content-length", b"0")))

    async def _act(self, rule, method, head, body, writer):
        action = rule.action if rule else "pass"
        if action == "reset":
            writer.transport.abort()
            return
        if action == "hang":
            await asyncio.sleep(3600)
        if action == "answer":
            self._answer(rule, writer)
            await writer.drain()
            return
        if action == "delay":
            await asyncio.sleep(rule.seconds)
        relay = self._pass_on(head, body, writer, lose=action == "lose-answer")
        if action == "cut":
            try:
                await asyncio.wait_for(relay, rule.seconds)
            except asyncio.TimeoutError:
                writer.transport.abort()
        else:
            await relay

    @staticmethod
    def _answer(rule, writer):
        content = json.dumps({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": rule.status,
                              "reason": "", "message": "made by the fault proxy"}).encode()
        fields = {"Content-Type": "application/json", "Content-Length": len(content), "Connection": "close"} | rule.headers
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        writer.write(f"HTTP/1.1 {rule.status} Fault\r\n{lines}\r\n".encode() + content)

    async def _pass_on(self, head, body, writer, lose):
        upstream_reader, upstream = await asyncio.open_connection(layout.SERVER_ADDRESS, layout.SERVER_PORT, ssl=self.upstream)
        try:
            lines = [line for line in head.split(b"\r\n") if line and not line.lower().startswith((b"connection:", b"expect:"))]
            upstream.write(b"\r\n".join(lines + [b"Connection: close", b"", b""]) + body)
            await upstream.drain()
            while data := await upstream_reader.read(1 << 16):
                if lose:
                    continue
                writer.write(data)
                await writer.drain()
            if lose:
                writer.transport.abort()
        finally:
            upstream.close()
