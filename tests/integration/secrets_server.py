"""A Kubernetes API server with Secrets, for dssm-cert-init as a process."""

import base64

from api_server import ApiServer


class SecretsServer(ApiServer):
    def data(self, namespace, name):
        """The items of a Secret as bytes; None when it is not there."""
        secret = self.objects.get((namespace, "secrets", name))
        return secret and {item: base64.b64decode(value) for item, value in secret.get("data", {}).items()}

    def put(self, namespace, name, items, labels=None):
        data = {item: base64.b64encode(value).decode() for item, value in items.items()}
        self.put_object(namespace, "secrets", "Secret", name, {"apiVersion": "v1", "type": "Opaque", "data": data}, labels=labels or {})
