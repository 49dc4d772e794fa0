"""An API server for cert-init in its pod: over TLS, as the service account finds it, and with the chart's rights only."""

import ssl

from api_server import PATH
from secrets_server import SecretsServer

VERBS = {"GET": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


class ClusterAPI(SecretsServer):
    """`rules(namespace)` are what the only service account may do there."""

    def __init__(self, certificates, rules):
        super().__init__()
        self.rules, self.refused = rules, []
        self.certificates = certificates
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificates.certificate, certificates.key)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)

    @property
    def port(self):
        return self.server.server_address[1]

    def serve(self, method, path, query, body):
        match = PATH.match(path)
        if match and not self.allows(VERBS[method], *match.groups()[1:4]):
            self.refused.append((method, path))
            return self.failure(403, "Forbidden")
        return super().serve(method, path, query, body)

    def allows(self, verb, namespace, resource, name):
        return any("" in rule["apiGroups"] and resource in rule["resources"] and verb in rule["verbs"]
                   and ("resourceNames" not in rule or name in rule["resourceNames"]) for rule in self.rules(namespace))
