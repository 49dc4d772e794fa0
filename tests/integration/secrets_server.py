"""A Kubernetes API server that knows Secrets and Events only: enough for dssm-cert-init as a process."""

import base64
import http.server
import itertools
import json
import re
import threading

PATH = re.compile(r"/api/v1/namespaces/([^/]+)/(secrets|events)(?:/([^/]+))?$")


class SecretsServer:
    """Keeps objects by (namespace, resource, name); replaces only what is based on the present version."""

    def __init__(self):
        self.objects, self.versions, self.writes, self.tokens = {}, itertools.count(1), [], set()
        self.forbidden = set()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def answer(self):
                length = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(length)) if length else None
                outer.tokens.add(self.headers.get("Authorization"))
                with outer.lock:
                    status, result = outer.serve(self.command, self.path.split("?")[0], body)
                text = json.dumps(result).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer

            def log_message(self, *_):
                pass

        self.lock = threading.Lock()
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def stop(self):
        self.server.shutdown()
        self.server.server_close()

    def serve(self, method, path, body):
        match = PATH.match(path)
        if not match:
            return self.failure(404, "NotFound")
        namespace, resource, name = match.groups()
        if namespace in self.forbidden:
            return self.failure(403, "Forbidden")
        name = name or body["metadata"]["name"]
        key, old = (namespace, resource, name), self.objects.get((namespace, resource, name))
        if method != "GET":
            self.writes.append((method, *key))
        if method == "POST":
            if old:
                return self.failure(409, "AlreadyExists")
            return 201, self.store(key, body, {"uid": f"uid-{next(self.versions)}"})
        if old is None:
            return self.failure(404, "NotFound")
        if method == "PUT":
            if body["metadata"].get("resourceVersion") not in (None, old["metadata"]["resourceVersion"]):
                return self.failure(409, "Conflict")
            return 200, self.store(key, body, {"uid": old["metadata"]["uid"]})
        if method == "PATCH":
            return 200, self.store(key, {**old, **{n: v for n, v in body.items() if n != "metadata"}}, {})
        if method == "DELETE":
            return 200, self.objects.pop(key)
        return 200, old

    def store(self, key, body, metadata):
        body["metadata"] |= metadata | {"resourceVersion": str(next(self.versions)), "namespace": key[0]}
        self.objects[key] = body
        return body

    @staticmethod
    def failure(status, reason):
        return status, {"kind": "Status", "status": "Failure", "reason": reason, "message": reason.lower(), "code": status}

    def data(self, namespace, name):
        """The items of a Secret as bytes; None when it is not there."""
        secret = self.objects.get((namespace, "secrets", name))
        return secret and {item: base64.b64decode(value) for item, value in secret.get("data", {}).items()}

    def put(self, namespace, name, items, labels=None):
        data = {item: base64.b64encode(value).decode() for item, value in items.items()}
        self.store((namespace, "secrets", name), {
            "apiVersion": "v1", "kind": "Secret", "type": "Opaque", "data": data,
            "metadata": {"name": name, "labels": labels or {}}}, {"uid": f"uid-{next(self.versions)}"})
