"""A small client of the API server: JSON in, JSON out, every refusal as an ApiError."""

import http.client
import json
import ssl
import urllib.parse

#: Folder of the API and plural of each kind that the tests touch.
RESOURCES = {
    "ConfigMap": ("api/v1", "configmaps"), "Endpoints": ("api/v1", "endpoints"), "Event": ("api/v1", "events"),
    "Namespace": ("api/v1", "namespaces"), "Node": ("api/v1", "nodes"), "Pod": ("api/v1", "pods"),
    "PersistentVolume": ("api/v1", "persistentvolumes"), "PersistentVolumeClaim": ("api/v1", "persistentvolumeclaims"),
    "Secret": ("api/v1", "secrets"), "Service": ("api/v1", "services"), "ServiceAccount": ("api/v1", "serviceaccounts"),
    "Deployment": ("apis/apps/v1", "deployments"), "StatefulSet": ("apis/apps/v1", "statefulsets"),
    "ReplicaSet": ("apis/apps/v1", "replicasets"), "Job": ("apis/batch/v1", "jobs"),
    "CronJob": ("apis/batch/v1beta1", "cronjobs"), "Lease": ("apis/coordination.k8s.io/v1", "leases"),
    "PodDisruptionBudget": ("apis/policy/v1beta1", "poddisruptionbudgets"),
    "Role": ("apis/rbac.authorization.k8s.io/v1", "roles"),
    "RoleBinding": ("apis/rbac.authorization.k8s.io/v1", "rolebindings"),
    "ClusterRole": ("apis/rbac.authorization.k8s.io/v1", "clusterroles"),
    "ClusterRoleBinding": ("apis/rbac.authorization.k8s.io/v1", "clusterrolebindings"),
    "StorageClass": ("apis/storage.k8s.io/v1", "storageclasses"),
    "CustomResourceDefinition": ("apis/apiextensions.k8s.io/v1", "customresourcedefinitions"),
}


class ApiError(Exception):
    """An answer of 400 or above."""

    def __init__(self, status, reason, message):
        super().__init__(f"{status} {reason}: {message}")
        self.status, self.reason, self.message = status, reason, message


def path_of(kind, name=None, namespace=None, subresource=None):
    folder, plural = RESOURCES[kind]
    parts = [folder] + (["namespaces", namespace] if namespace else []) + [plural]
    parts += [part for part in (name, subresource) if part]
    return "/" + "/".join(parts)


class ApiClient:
    """Each call is a connection of its own, so that it may be used from any thread. Timeouts are in seconds."""

    def __init__(self, host, port, authority, certificate=None, key=None, token=None):
        self.host, self.port, self.token = host, port, token
        self.context = ssl.create_default_context(cafile=str(authority))
        if certificate:
            self.context.load_cert_chain(str(certificate), str(key))

    def open(self, method, path, body=None, content_type="application/json", query=None, timeout=30):
        """The connection and its response, which the caller reads and closes."""
        if query:
            path += "?" + urllib.parse.urlencode(query)
        headers = {"Accept": "application/json"}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        if body is not None:
            headers["Content-Type"] = content_type
        connection = http.client.HTTPSConnection(self.host, self.port, context=self.context, timeout=timeout)
        connection.request(method, path, body=None if body is None else json.dumps(body), headers=headers)
        return connection, connection.getresponse()

    def call(self, method, path, body=None, **options):
        connection, response = self.open(method, path, body, **options)
        try:
            text = response.read().decode()
        finally:
            connection.close()
        if response.status >= 400:
            try:
                answer = json.loads(text)
            except ValueError:
                answer = {}
            raise ApiError(response.status, answer.get("reason", ""), answer.get("message", text[:300]))
        return json.loads(text) if text.startswith("{") else text

    def get(self, kind, name, namespace=None, subresource=None):
        return self.call("GET", path_of(kind, name, namespace, subresource))

    def find(self, kind, name, namespace=None):
        """The object, or None if there is none."""
        try:
            return self.get(kind, name, namespace)
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    def list(self, kind, namespace=None, labels=None):
        query = {"labelSelector": labels} if labels else None
        return self.call("GET", path_of(kind, namespace=namespace), query=query)["items"]

    def create(self, item, namespace=None):
        return self.call("POST", path_of(item["kind"], namespace=namespace), item)

    def update(self, item):
        metadata = item["metadata"]
        return self.call("PUT", path_of(item["kind"], metadata["name"], metadata.get("namespace")), item)

    def patch(self, kind, name, change, namespace=None, subresource=None):
        """A JSON merge patch."""
        return self.call("PATCH", path_of(kind, name, namespace, subresource), change,
                         content_type="application/merge-patch+json")

    def delete(self, kind, name, namespace=None, seconds=None):
        """`seconds`: the grace period; None: the object's own."""
        body = {} if seconds is None else {"gracePeriodSeconds": seconds}
        return self.call("DELETE", path_of(kind, name, namespace), {"propagationPolicy": "Background"} | body)

    def ensure_namespace(self, name):
        try:
            self.create({"kind": "Namespace", "apiVersion": "v1", "metadata": {"name": name}})
        except ApiError as error:
            if error.reason != "AlreadyExists":
                raise

    def evict(self, pod, namespace):
        """Asks for an eviction as `kubectl drain` does; refused with 429 when a budget forbids it."""
        body = {"apiVersion": "policy/v1beta1", "kind": "Eviction", "metadata": {"name": pod, "namespace": namespace}}
        return self.call("POST", path_of("Pod", pod, namespace, "eviction"), body)

    def token_for(self, account, namespace, seconds=3600):
        """A token of a service account."""
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": seconds}}
        answer = self.call("POST", path_of("ServiceAccount", account, namespace, "token"), body)
        return answer["status"]["token"]


def kubeconfig(server, authority, certificate=None, key=None, token=None, namespace="default"):
    """The text of a kubeconfig (JSON is YAML too)."""
    user = {"token": token} if token else {"client-certificate": str(certificate), "client-key": str(key)}
    return json.dumps({
        "apiVersion": "v1", "kind": "Config", "current-context": "test",
        "clusters": [{"name": "test", "cluster": {"server": server, "certificate-authority": str(authority)}}],
        "users": [{"name": "test", "user": user}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test", "namespace": namespace}}]}, indent=1)
