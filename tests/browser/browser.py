"""A headless Chromium, driven over its own pipe: no port is opened and no package is needed.

Spec: the Chrome DevTools Protocol; with --remote-debugging-pipe messages are JSON, each ended by a zero byte, read by the browser
from descriptor 3 and written to descriptor 4.
"""

import base64
import json
import os
import select
import shutil
import subprocess
import time

EXECUTABLE = "chromium-headless-shell"
DEADLINE = 30  # seconds for any one answer; the first takes as long as the browser needs to start


class BrowserError(Exception):
    pass


class Browser:
    """One browser with one page."""

    def __init__(self, folder):
        executable = shutil.which(EXECUTABLE)
        if executable is None:
            raise BrowserError(f"{EXECUTABLE} is not installed: run `make test-browser`, or `tools/setup browser`")
        to_read, self._to = os.pipe()
        self._from, to_write = os.pipe()
        self._log = open(os.path.join(folder, "browser.log"), "wb")
        # The shell moves the two ends to the descriptors that the protocol wants. No sandbox: containers and root have none.
        self._process = subprocess.Popen(
            ["bash", "-c", f'exec "$0" "$@" 3<&{to_read} 4>&{to_write}', executable, "--remote-debugging-pipe", "--no-sandbox",
             "--disable-gpu", "--hide-scrollbars", f"--user-data-dir={folder}/profile", "about:blank"],
            pass_fds=(to_read, to_write), stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log)
        os.close(to_read)
        os.close(to_write)
        self._input, self._number, self._session = b"", 0, None
        self._events = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.call("Page.enable")
        self.call("Network.enable")
        self.call("Log.enable")

    def close(self):
        os.close(self._to)
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._from)
        self._log.close()

    def call(self, method, **parameters):
        """The result of a command of the protocol."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self._to, data):]
        number, end = self._number, time.monotonic() + DEADLINE
        while True:
            answer = self._receive(end)
            if answer.get("id") == number:
                if "error" in answer:
                    raise BrowserError(f"{method}: {answer['error']['message']}")
                return answer["result"]

    def _receive(self, end):
        while b"\0" not in self._input:
            left = end - time.monotonic()
            if left <= 0 or not select.select([self._from], [], [], left)[0]:
                raise BrowserError(f"no answer within {DEADLINE} s")
            data = os.read(self._from, 1 << 20)
            if not data:
                raise BrowserError("the browser has ended")
            self._input += data
        line, _, self._input = self._input.partition(b"\0")
        message = json.loads(line)
        if "method" in message:
            self._events.append(message)
        return message

    def events(self, method):
        """Parameters of the events of one kind since the last `show`."""
        return [event["params"] for event in self._events if event["method"] == method]

    def show(self, path, width, height=900, scheme="light"):
        """Loads a file at a window's width in CSS pixels, with a colour scheme."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600)
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self._events = []
        self.call("Page.navigate", url=f"file://{path}")
        end = time.monotonic() + DEADLINE
        while not self.events("Page.loadEventFired"):
            self._receive(end)

    def evaluate(self, script):
        """The value of a JavaScript expression in the page."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise BrowserError(answer["exceptionDetails"]["exception"].get("description", "a script failed"))
        return answer["result"].get("value")

    def screenshot(self, path):
        """The whole page as a PNG file."""
        data = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)["data"]
        with open(path, "wb") as file:
            file.write(base64.b64decode(data))
