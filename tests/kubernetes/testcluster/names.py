"""The cluster's DNS: names of Services and of their pods, as the DNS specification of Kubernetes has them, served by dnsmasq.

Stands in for CoreDNS. It follows Services and Endpoints by two watches and writes a hosts file: `<service>.<namespace>.svc` with the
Service's address or, when it is headless, the addresses of its pods, and `<pod>.<service>...` for pods with a host name.
"""

import json
import os
import signal
import threading
import time

from localcluster.processes import Process, wait_until

from . import layout
from .client import ApiError, path_of


class NameServer:
    def __init__(self, folder, api):
        self.folder, self.api = folder, api
        self.objects = {"Service": {}, "Endpoints": {}}
        self.lock = threading.Lock()
        self.changed = threading.Event()
        self.ending = False
        self.hosts = folder / "hosts"
        self.written = None
        self.process = None

    def start(self):
        self.hosts.write_text("")
        self.process = Process("dnsmasq", [
            "/usr/sbin/dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--user=root", "--pid-file=",
            "--log-facility=-", "--no-resolv", "--no-hosts", f"--addn-hosts={self.hosts}", f"--local=/{layout.DOMAIN}/",
            f"--listen-address={layout.SERVER_ADDRESS}", "--bind-interfaces", "--local-ttl=2",
        ], self.folder / "logs" / "dnsmasq.log").start()
        # Until then a SIGHUP would end it.
        wait_until(lambda: "started, version" in self.process.log(), 20, lambda: f"dnsmasq does not start: {self.process.log_tail()}")
        for kind in self.objects:
            threading.Thread(target=self._follow, args=(kind,), daemon=True).start()
        threading.Thread(target=self._write, daemon=True).start()
        return self

    def stop(self):
        self.ending = True
        self.changed.set()
        if self.process:
            self.process.stop()

    def _follow(self, kind):
        while not self.ending:
            try:
                listing = self.api.call("GET", path_of(kind))
                with self.lock:
                    self.objects[kind] = {self._key(item): item for item in listing["items"]}
                self.changed.set()
                self._watch(kind, listing["metadata"]["resourceVersion"])
            except (OSError, ApiError, ValueError):
                time.sleep(0.2)  # the API server is away; nothing else ends a watch

    def _watch(self, kind, version):
        query = {"watch": "true", "resourceVersion": version, "timeoutSeconds": 240}
        connection, response = self.api.open("GET", path_of(kind), query=query, timeout=300)
        try:
            for line in response:
                event = json.loads(line)
                if event["type"] == "ERROR":
                    return
                with self.lock:
                    if event["type"] == "DELETED":
                        self.objects[kind].pop(self._key(event["object"]), None)
                    elif event["type"] != "BOOKMARK":
                        self.objects[kind][self._key(event["object"])] = event["object"]
                self.changed.set()
        finally:
            connection.close()

    @staticmethod
    def _key(item):
        return item["metadata"]["namespace"], item["metadata"]["name"]

    def _write(self):
        while not self.ending:
            self.changed.wait()
            self.changed.clear()
            with self.lock:
                text = "".join(f"{address} {name}\n" for address, name in sorted(set(self._records())))
            if text != self.written:
                self.written = text
                new = self.hosts.with_suffix(".new")
                new.write_text(text)
                os.replace(new, self.hosts)
                if not self.process.is_alive:
                    raise RuntimeError(f"dnsmasq has ended: {self.process.log_tail()}")
                self.process.signal(signal.SIGHUP)

    def _records(self):
        for (namespace, name), service in self.objects["Service"].items():
            full = f"{name}.{namespace}.svc.{layout.DOMAIN}"
            address = service["spec"].get("clusterIP", "None")
            if address != "None":
                yield address, full
                continue
            for subset in self.objects["Endpoints"].get((namespace, name), {}).get("subsets", []):
                for one in subset.get("addresses", []):
                    yield one["ip"], full
                    if one.get("hostname"):
                        yield one["ip"], f"{one['hostname']}.{full}"
