"""A headless Chromium spoken to over a pipe (Chrome DevTools Protocol): evaluate, photograph, print; no dependency."""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

BROWSER = os.environ.get("TRESET_CHROMIUM") or next(
    filter(None, map(shutil.which, ("chromium", "google-chrome"))), None
)
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--remote-debugging-pipe",
)  # fmt: skip


class Browser:
    """One page in one browser, closed with the block."""

    def __init__(self, width: int = 1366, height: int = 768) -> None:
        self.folder = tempfile.mkdtemp()
        read_here, write_there = os.pipe()
        read_there, write_here = os.pipe()
        # Chromium reads commands from descriptor 3 and answers on 4; dash cannot copy descriptors above 9
        script = f'exec "$@" 3<&{read_there} 4>&{write_there}'
        command = ["bash", "-c", script, "bash", str(BROWSER), *FLAGS, f"--user-data-dir={self.folder}"]
        command += [f"--window-size={width},{height}"]
        self.process = subprocess.Popen(
            command, pass_fds=(read_there, write_there), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        os.close(read_there)
        os.close(write_there)
        self.reader, self.writer = read_here, write_here
        self.waiting = b""
        self.number = 0
        self.session = ""
        self.console: list[str] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.process.terminate()
        self.process.wait(timeout=20)
        os.close(self.reader)
        os.close(self.writer)
        shutil.rmtree(self.folder, ignore_errors=True)

    def call(self, method: str, timeout: float = 60, **parameters: Any) -> dict[str, Any]:
        """Send a command and give its answer."""
        self.number += 1
        message: dict[str, Any] = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.writer, json.dumps(message).encode() + b"\0")
        end = time.monotonic() + timeout
        while True:
            answer = self._next(end)
            if answer.get("id") == self.number:
                assert "error" not in answer, (method, answer["error"])
                return answer["result"]

    def _next(self, end: float) -> dict[str, Any]:
        while b"\0" not in self.waiting:
            left = end - time.monotonic()
            assert left > 0 and select.select([self.reader], [], [], left)[0], "Chromium does not answer"
            self.waiting += os.read(self.reader, 1 << 20)
        text, _, self.waiting = self.waiting.partition(b"\0")
        found = json.loads(text)
        if found.get("method") == "Runtime.exceptionThrown":
            self.console.append(str(found["params"]["exceptionDetails"]))
        if found.get("method") == "Runtime.consoleAPICalled":
            self.console.append(str(found["params"]["args"]))
        if found.get("method") == "Log.entryAdded":
            self.console.append(str(found["params"]["entry"].get("text")))
        return found

    def open(self, page: Path, ready: str = "document.readyState === 'complete'", timeout: float = 60) -> None:
        """Load a file and wait until an expression holds."""
        self.call("Page.navigate", url=page.as_uri())
        self.wait(f"location.href.startsWith({json.dumps(page.as_uri())}) && ({ready})", timeout)

    def wait(self, expression: str, timeout: float = 60) -> None:
        """Wait until an expression holds."""
        end = time.monotonic() + timeout
        while not self.value(expression):
            assert time.monotonic() < end, f"never true: {expression}"
            time.sleep(0.02)

    def value(self, expression: str) -> Any:
        """Evaluate JavaScript in the page (a promise is awaited)."""
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def photograph(self, path: Path, selector: str = "") -> Path:
        """Write a PNG of what is seen, or of one element in full."""
        more: dict[str, Any] = {}
        if selector:
            box = self.value(
                f"(() => {{ const b = document.querySelector({json.dumps(selector)}).getBoundingClientRect();"
                " return {x: b.x + scrollX, y: b.y + scrollY, width: b.width, height: b.height}; })()"
            )
            more = {"clip": {**box, "height": min(box["height"], 6000), "scale": 1}, "captureBeyondViewport": True}
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png", **more)["data"]))
        return path

    def print(self, path: Path) -> Path:
        """Write the page as PDF, as the browser prints it."""
        found = self.call("Page.printToPDF", timeout=120, preferCSSPageSize=True, printBackground=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64decode(found["data"]))
        return path
