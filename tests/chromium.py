"""A headless Chromium for tests, driven over its own DevTools pipe: no port, no driver.

The protocol: https://chromedevtools.github.io/devtools-protocol/
"""

import base64
import json
import os
import select
import shlex
import shutil
import subprocess
import time

FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run "
    "--disable-background-networking --disable-component-update --disable-sync "
    "--disable-extensions --disable-dev-shm-usage --remote-debugging-pipe"
)
TIMEOUT_S = 30


def find() -> str | None:
    """The program, if it is there."""
    return shutil.which("chromium") or shutil.which("chromium-browser")


class Chromium:
    """One page of a Chromium without a network; `events` are all that it told."""

    def __init__(self, profile):
        from_us, self._to = os.pipe()
        self._from, to_us = os.pipe()
        command = f"exec {shlex.quote(find())} {FLAGS} --user-data-dir="
        command += f"{shlex.quote(str(profile))} about:blank 3<&{from_us} 4>&{to_us}"
        self._process = subprocess.Popen(
            ["bash", "-c", command], pass_fds=(from_us, to_us),
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(from_us)
        os.close(to_us)
        self._read, self._number, self._session = b"", 0, None
        self.events: list[dict] = []

    def __enter__(self):
        try:
            self._attach()
        except BaseException:
            self._process.kill()
            raise
        return self

    def _attach(self) -> None:
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call(
            "Target.attachToTarget", targetId=target, flatten=True
        )["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        self.call("Network.emulateNetworkConditions", offline=True, latency=0,
                  downloadThroughput=-1, uploadThroughput=-1)  # fmt: skip

    def __exit__(self, *error):
        self._session = None
        try:
            self.call("Browser.close")
            self._process.wait(TIMEOUT_S)
        finally:
            self._process.kill()
            os.close(self._to)
            os.close(self._from)

    def _receive(self) -> dict:
        end = time.monotonic() + TIMEOUT_S
        while b"\0" not in self._read:
            left = max(0.0, end - time.monotonic())
            if not select.select([self._from], [], [], left)[0]:
                raise TimeoutError("Chromium says nothing")
            piece = os.read(self._from, 1 << 20)
            if not piece:
                raise EOFError("Chromium has ended")
            self._read += piece
        message, _, self._read = self._read.partition(b"\0")
        return json.loads(message)

    def call(self, method: str, **params) -> dict:
        """The result of a command of the protocol."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]
            self.events.append(answer)

    def open(self, path, width: int = 1200) -> None:
        """Load a file in a window of so many pixels; forget the events of before."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=900,
                  deviceScaleFactor=1, mobile=False)  # fmt: skip
        self.events.clear()
        self.call("Page.navigate", url=path.as_uri())
        while not any(e.get("method") == "Page.loadEventFired" for e in self.events):
            self.events.append(self._receive())

    def evaluate(self, expression: str):
        """The value of an expression in JavaScript."""
        result = self.call("Runtime.evaluate", expression=expression,
                           returnByValue=True, awaitPromise=True)  # fmt: skip
        if "exceptionDetails" in result:
            raise RuntimeError(result["exceptionDetails"])
        return result["result"].get("value")

    def named(self, method: str) -> list[dict]:
        """The parameters of all events of one name."""
        return [e["params"] for e in self.events if e.get("method") == method]

    def pdf(self) -> bytes:
        """The page as it is printed."""
        done = self.call(
            "Page.printToPDF", printBackground=False, preferCSSPageSize=True
        )
        return base64.b64decode(done["data"])
