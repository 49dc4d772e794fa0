"""A Kubernetes API server over plain HTTP: objects of any kind with versions, merge patches, label selectors and short watches.

It knows no schemas and no rights. What a real one does with pods (evictions, controllers) is the tests' to add in `evict`.
"""

import http.server
import itertools
import json
import re
import threading
import time
import urllib.parse

PATH = re.compile(r"/(?:api/v1|apis/([^/]+)/[^/]+)/namespaces/([^/]+)/([a-z]+)(?:/([^/]+))?(?:/([a-z]+))?$")
GROUP = re.compile(r"/apis/[^/]+/[^/]+$")


class ApiServer:
    """Keeps objects by (namespace, resource, name); replaces only what is based on the present version."""

    #: Seconds after which a watch is cut, as servers do from time to time.
    watch_seconds = 1

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
                path, _, query = self.path.partition("?")
                query = dict(urllib.parse.parse_qsl(query))
                if query.get("watch"):
                    return self.watch()
                if not outer.admit(self.command, path):
                    self.close_connection = True
                    return
                with outer.lock:
                    status, result = outer.serve(self.command, path, query, body)
                if not outer.served(self.command, path):
                    self.close_connection = True
                    return
                text = json.dumps(result).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def watch(self):
                """A watch in which nothing is told: who depends on it alone waits for ever."""
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.end_headers()
                self.close_connection = True
                time.sleep(outer.watch_seconds)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer

            def log_message(self, *_):
                pass

        class Listener(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request, client_address):
                """Clients that were killed are part of the tests."""

        self.lock = threading.Lock()
        self.server = Listener(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def stop(self):
        self.server.shutdown()
        self.server.server_close()

    # For tests to override.

    def admit(self, method, path):
        """False: the connection ends, and nothing is done."""
        return True

    def served(self, method, path):
        """False: it is done, and the connection ends without an answer."""
        return True

    def evict(self, namespace, pod):
        raise NotImplementedError

    # Serving.

    def serve(self, method, path, query, body):
        match = PATH.match(path)
        if not match:
            return (200, {"resources": []}) if GROUP.match(path) else self.failure(404, "NotFound")
        _, namespace, resource, name, subresource = match.groups()
        if namespace in self.forbidden:
            return self.failure(403, "Forbidden")
        if method == "GET" and name is None:
            items = [item for key, item in sorted(self.objects.items()) if key[:2] == (namespace, resource)
                     and self.selects(query.get("labelSelector", ""), item)]
            return 200, {"kind": "List", "metadata": {"resourceVersion": str(next(self.versions))}, "items": items}
        name = name or body["metadata"]["name"]
        key, old = (namespace, resource, name), self.objects.get((namespace, resource, name))
        if method != "GET":
            self.writes.append((method, *key))
        if subresource == "eviction":
            return self.evict(namespace, name)
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
            return 200, self.store(key, merged(old, body), {})
        if method == "DELETE":
            return 200, self.objects.pop(key)
        return 200, old

    @staticmethod
    def selects(selector, item):
        labels = item["metadata"].get("labels", {})
        return all(labels.get(term.partition("=")[0]) == term.partition("=")[2] for term in selector.split(",") if term)

    def store(self, key, body, metadata):
        body["metadata"] |= metadata | {"resourceVersion": str(next(self.versions)), "namespace": key[0]}
        self.objects[key] = body
        return body

    @staticmethod
    def failure(status, reason, message=""):
        return status, {"kind": "Status", "status": "Failure", "reason": reason, "message": message or reason.lower(), "code": status}

    def put_object(self, namespace, resource, kind, name, members, **metadata):
        return self.store((namespace, resource, name), {"kind": kind, "metadata": {"name": name} | metadata} | members,
                          {"uid": f"uid-{next(self.versions)}"})


def merged(target, patch):
    """RFC 7396."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), value)
    return result
