"""One Helm release of the chart on the test cluster, and what its users do with it."""

import base64
import threading
import time

import redis
from localcluster.processes import wait_until

from testcluster import storage
from testcluster.cluster import CHART, is_ready

NAMESPACE = "cnf-gateway"
LABELS = "app in (f5-dssm-db, f5-dssm-sentinel)"
DB_PORT, SENTINEL_PORT = 6379, 26379


def example(name):
    return CHART / "examples" / f"{name}.yaml"


class Release:
    """The release f5-dssm in its namespace. `version`: which Helm."""

    def __init__(self, cluster, version=4, namespace=NAMESPACE):
        self.cluster, self.api, self.version, self.namespace = cluster, cluster.api, version, namespace
        self.api.ensure_namespace(namespace)
        self.folder = cluster.folder / f"clients-{time.monotonic_ns()}"
        self.folder.mkdir()
        self.seconds_to_ready = None

    # MARK: Helm

    def helm(self, *arguments, **options):
        return self.cluster.helm(*arguments, "-n", self.namespace, version=self.version, **{"deadline": 200, **options})

    def install(self, *options, ready=True):
        begin = time.monotonic()
        self.helm("install", "f5-dssm", CHART, *options, "--timeout", "150s")
        if ready:
            self.wait_until_ready()
            self.seconds_to_ready = round(time.monotonic() - begin, 1)
        return self

    def upgrade(self, *options):
        return self.helm("upgrade", "f5-dssm", CHART, *options, "--timeout", "150s")

    def remove(self):
        """Uninstalls it if it is there, and takes away what is left, so that the next one begins anew."""
        self.helm("uninstall", "f5-dssm", "--ignore-not-found", "--wait=false" if self.version == 3 else "--wait=hookOnly",
                  check=False)
        for name in self.cluster.pods(self.namespace):
            self.api.call("DELETE", f"/api/v1/namespaces/{self.namespace}/pods/{name}", {"gracePeriodSeconds": 0})
        self.wait_until_gone()
        for kind in ("PersistentVolumeClaim", "Secret"):
            for item in self.api.list(kind, self.namespace):
                if not item.get("type", "").startswith("kubernetes.io/"):
                    self.api.delete(kind, item["metadata"]["name"], self.namespace)
        wait_until(lambda: not self.api.list("PersistentVolumeClaim", self.namespace), 30, "claims to go", 0.1)
        wait_until(self._volumes_are_released, 30, "volumes to be released", 0.1)
        storage.recycle(self.api, self.cluster.nodes)

    def _volumes_are_released(self):
        return all(one["status"]["phase"] != "Bound" for one in self.api.list("PersistentVolume"))

    # MARK: Pods

    def pods(self, app=None):
        return self.cluster.pods(self.namespace, f"app=f5-dssm-{app}" if app else LABELS)

    def ready(self, app=None):
        return sorted(name for name, pod in self.pods(app).items() if is_ready(pod))

    def wait_until_ready(self, seconds=180):
        """All six pods Ready, and of the newest revision."""
        wait_until(self._is_settled, seconds, lambda: "not all pods are ready\n" + self.cluster.describe(self.namespace), 0.1)

    def _is_settled(self):
        for name in ("f5-dssm-db", "f5-dssm-sentinel"):
            one = self.api.find("StatefulSet", name, self.namespace)
            status = one.get("status", {}) if one else {}
            if not one or status.get("observedGeneration") != one["metadata"]["generation"] \
                    or status.get("currentRevision") != status.get("updateRevision"):
                return False
        return len(self.ready("db")) == 3 and len(self.ready("sentinel")) == 3

    def wait_until_gone(self, seconds=90):
        wait_until(lambda: not self.cluster.pods(self.namespace), seconds,
                   lambda: "pods stay\n" + self.cluster.describe(self.namespace), 0.1)

    # MARK: Clients

    def secret(self, name, namespace=None):
        found = self.api.find("Secret", name, namespace or self.namespace)
        return found and {item: base64.b64decode(value) for item, value in found.get("data", {}).items()}

    def credentials(self, namespace=None):
        """Certificate, key and CA of the Secrets as a client's files, as they are now."""
        paths = []
        for secret, item in (("dssm-certs-secret", "dssm-cert.crt"), ("dssm-keys-secret", "dssm-key.key"),
                             ("dssm-certs-secret", "dssm-ca.crt")):
            path = self.folder / item
            path.write_bytes(self.secret(secret, namespace)[item])
            paths.append(path)
        return paths

    def client(self, host, port, seconds=5, **options):
        certificate, key, authority = self.credentials()
        return redis.Redis(host, port, ssl=True, ssl_certfile=str(certificate), ssl_keyfile=str(key),
                           ssl_ca_certs=str(authority), ssl_check_hostname=False, socket_timeout=seconds,
                           socket_connect_timeout=seconds, decode_responses=True, retry=None, **options)

    def address(self, pod):
        return self.pods()[pod]["status"]["podIP"]

    def service_address(self, name):
        return self.api.get("Service", name, self.namespace)["spec"]["clusterIP"]

    def db(self, number):
        return self.client(self.address(f"f5-dssm-db-{number}"), DB_PORT)

    def sentinel(self, number):
        return self.client(self.address(f"f5-dssm-sentinel-{number}"), SENTINEL_PORT)

    def through_service(self, **options):
        """A client of the sentinels' Service, for any command."""
        return self.client(self.service_address("f5-dssm-sentinel"), SENTINEL_PORT, **options)

    def redis_cli(self, host, port, *command, check=True):
        certificate, key, authority = self.credentials()
        arguments = ["redis-cli", "-h", host, "-p", str(port), "--tls", "--cert", certificate, "--key", key, "--cacert",
                     authority, *command]
        return self.cluster.run(arguments, deadline=30, check=check).stdout.strip()

    # MARK: Roles

    def roles(self):
        """Role of each db pod that answers."""
        roles = {}
        for name in self.pods("db"):
            try:
                roles[name] = self.client(self.address(name), DB_PORT, seconds=2).execute_command("ROLE")[0]
            except (redis.RedisError, KeyError):
                roles[name] = None
        return roles

    def primary(self):
        """Name of the one primary's pod, or None."""
        primaries = [name for name, role in self.roles().items() if role == "master"]
        return primaries[0] if len(primaries) == 1 else None

    def wait_for_roles(self, seconds=60, dbs=3):
        """The primary's pod, when it is the only one and the other dbs follow it with a link that is up."""
        def settled():
            primary = self.primary()
            if primary is None:
                return None
            try:
                information = self.client(self.address(primary), DB_PORT).info("replication")
            except (redis.RedisError, KeyError):
                return None
            online = [one for key, one in information.items()
                      if key.startswith("slave") and isinstance(one, dict) and one["state"] == "online"]
            return primary if len(online) == dbs - 1 else None
        return wait_until(settled, seconds, lambda: f"roles do not settle: {self.roles()}\n"
                          + self.cluster.describe(self.namespace), 0.1)


class Writer:
    """Writes numbered keys through the sentinels' Service without pause, as TMM does, and remembers which were acknowledged."""

    def __init__(self, release, prefix):
        self.release, self.prefix = release, prefix
        self.acknowledged, self.refused = [], []
        self.longest_gap = 0.0
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self._write, daemon=True)

    def __enter__(self):
        self.thread.start()
        wait_until(lambda: self.acknowledged, 10, lambda: f"no write is acknowledged: {self.refused[-3:]}")
        return self

    def __exit__(self, *_):
        self.ending.set()
        self.thread.join(30)

    def _write(self):
        client, number, last = self.release.through_service(seconds=10), 0, time.monotonic()
        while not self.ending.is_set():
            try:
                client.set(f"{self.prefix}:{number}", number)
                self.acknowledged.append(number)
                time.sleep(0.003)  # some hundred a second: the machine is shared with three nodes
                self.longest_gap = max(self.longest_gap, time.monotonic() - last)
                last = time.monotonic()
            except redis.RedisError as error:
                self.refused.append(str(error))
                time.sleep(0.02)
            number += 1

    def lost(self):
        """Acknowledged writes that the primary does not have, read when it is over."""
        client = self.release.through_service()
        missing = []
        for begin in range(0, len(self.acknowledged), 1000):
            numbers = self.acknowledged[begin:begin + 1000]
            values = client.mget([f"{self.prefix}:{number}" for number in numbers])
            missing += [number for number, value in zip(numbers, values) if value != str(number)]
        return missing
