"""A headless Chromium, driven over the pipe of its DevTools protocol: for tests of the report and its pictures.

The browser reads commands on file descriptor 3 and writes answers on 4, JSON ended by a zero byte
(`--remote-debugging-pipe`), so nothing listens on the network. Only the standard library is needed.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import select
import shutil
import signal
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
MACOS = Path("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome")
#: Seconds that one command may take.
BOUND = 120.0
#: The first file descriptor that is none of the pipe's.
_FREE = 10
_FLAGS = (
    "--headless=new", "--remote-debugging-pipe", "--no-first-run", "--disable-gpu", "--no-sandbox", "--mute-audio",
    "--disable-background-networking", "--disable-component-update", "--disable-extensions", "--hide-scrollbars",
    "--disable-dev-shm-usage", "--force-device-scale-factor=1",
)  # fmt: skip
KEYS = {"ArrowLeft": 37, "ArrowRight": 39, "Home": 36, "End": 35, "Tab": 9, "Enter": 13}


class BrowserError(Exception):
    """The browser did not do what it was asked for."""


def find() -> str | None:
    """The browser of this machine."""
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    return found or (str(MACOS) if MACOS.exists() else None)


def missing() -> str | None:
    """Why there is no browser: the reason of a skip, None if there is one."""
    return None if find() else "no-chromium: no Chromium on this machine"


class Browser:
    """One page in a browser of its own, which ends with the `with` block."""

    def __init__(self, width: int = 1400, height: int = 900) -> None:
        path = find()
        if path is None:
            raise BrowserError("no Chromium on this machine")
        self._profile = tempfile.TemporaryDirectory(prefix="chimney-chromium-", ignore_cleanup_errors=True)
        to_read, to_write = os.pipe()
        from_read, from_write = os.pipe()
        ends = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, _FREE) for end in (to_read, from_write)]
        arguments = [path, *_FLAGS, f"--user-data-dir={self._profile.name}", f"--window-size={width},{height}"]
        log = os.path.join(self._profile.name, "log")
        self._process = os.posix_spawn(
            path, [*arguments, "about:blank"], os.environ, setsid=True,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 1, log, os.O_WRONLY | os.O_CREAT, 0o600), (os.POSIX_SPAWN_DUP2, 1, 2),
                (os.POSIX_SPAWN_DUP2, ends[0], 3), (os.POSIX_SPAWN_DUP2, ends[1], 4),
            ],
        )  # fmt: skip
        for end in (*ends, to_read, from_write):
            os.close(end)
        self._to, self._from = to_write, from_read
        self._pending = b""
        self._number = 0
        self._session: str | None = None
        #: What the page complained of: exceptions, errors of the console, refused loads.
        self.complaints: list[str] = []
        #: Addresses that were asked for.
        self.requests: list[str] = []

    def __enter__(self) -> Self:
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")
        self.send("Performance.enable", timeDomain="threadTicks")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for end in (self._to, self._from):
            os.close(end)
        for _ in range(50):  # without its pipe the browser ends by itself
            if os.waitpid(self._process, os.WNOHANG)[0]:
                break
            time.sleep(0.1)
        else:
            os.killpg(self._process, signal.SIGKILL)
            os.waitpid(self._process, 0)
        self._profile.cleanup()

    def send(self, method: str, **parameters: object) -> dict[str, Any]:
        """One command of the DevTools protocol; its result."""
        self._number += 1
        message: dict[str, object] = {"id": self._number, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + BOUND
        while True:
            answer = self._receive(deadline, method)
            if answer.get("id") != self._number:
                self._heed(answer)
            elif "error" in answer:
                raise BrowserError(f"{method}: {answer['error'].get('message')}")
            else:
                result: dict[str, Any] = answer["result"]
                return result

    def _receive(self, deadline: float, method: str) -> dict[str, Any]:
        while b"\0" not in self._pending:
            ready, _, _ = select.select([self._from], [], [], max(0.0, deadline - time.monotonic()))
            data = os.read(self._from, 1 << 20) if ready else b""
            if not data:
                raise BrowserError(f"{method}: " + ("the browser ended" if ready else f"no answer in {BOUND:.0f} s"))
            self._pending += data
        text, _, self._pending = self._pending.partition(b"\0")
        answer: dict[str, Any] = json.loads(text)
        return answer

    def _heed(self, event: Mapping[str, Any]) -> None:
        facts = event.get("params", {})
        if event.get("method") == "Runtime.exceptionThrown":
            details = facts["exceptionDetails"]
            self.complaints.append(details.get("exception", {}).get("description") or details.get("text", "exception"))
        elif event.get("method") == "Runtime.consoleAPICalled" and facts.get("type") in ("error", "assert"):
            self.complaints.append(" ".join(str(one.get("value")) for one in facts.get("args", ())))
        elif event.get("method") == "Log.entryAdded" and facts["entry"].get("level") == "error":
            self.complaints.append(facts["entry"].get("text", ""))
        elif event.get("method") == "Network.requestWillBeSent":
            self.requests.append(facts["request"]["url"])

    def run(self, script: str) -> Any:
        """What an expression gives in the page; a promise is waited for."""
        found = self.send("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in found:
            details = found["exceptionDetails"]
            raise BrowserError(details.get("exception", {}).get("description") or details["text"])
        return found["result"].get("value")

    def wait(self, script: str, seconds: float = BOUND) -> Any:
        """Until an expression is true in the page; its value."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                value = self.run(script)
            except BrowserError as error:  # the page that it was asked of is gone
                if "context" not in str(error):
                    raise
                value = None
            if value:
                return value
            if time.monotonic() > deadline:
                raise BrowserError(f"not within {seconds:.0f} s: {script}; {'; '.join(self.complaints)}")
            time.sleep(0.02)

    def open(self, path: Path) -> float:
        """Open a file and wait until the page says that it is ready; seconds from the command to there."""
        started = time.monotonic()
        self.send("Page.navigate", url=path.absolute().as_uri())
        self.wait("location.protocol === 'file:' && document.documentElement?.dataset.ready")
        return time.monotonic() - started

    def page_seconds(self) -> float:
        """CPU seconds of the page's own thread since it was opened: what it took, whatever else the machine does."""
        metrics = self.send("Performance.getMetrics")["metrics"]
        return float(next(one["value"] for one in metrics if one["name"] == "TaskDuration"))

    def click(self, x: float, y: float) -> None:
        """The left button of the mouse, at a place in the window."""
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            button = "none" if kind == "mouseMoved" else "left"
            self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, button=button, clickCount=1)

    def press(self, key: str) -> None:
        """A key, by its name in the DOM."""
        code = KEYS.get(key, ord(key[0]))
        text = {"text": key} if len(key) == 1 else {}
        for kind in ("keyDown", "keyUp"):
            self.send("Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code, **text)

    def dark(self, *, dark: bool) -> None:
        """What the page takes the desktop to prefer."""
        value = "dark" if dark else "light"
        self.send("Emulation.setEmulatedMedia", media="", features=[{"name": "prefers-color-scheme", "value": value}])

    def size(self, width: int, height: int) -> None:
        """Size of the window in px."""
        self.send(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
        )  # fmt: skip

    def picture(self, path: Path) -> None:
        """The window as PNG."""
        path.write_bytes(base64.b64decode(self.send("Page.captureScreenshot", format="png")["data"]))

    def printed(self) -> bytes:
        """The page as it prints: PDF."""
        return base64.b64decode(self.send("Page.printToPDF", printBackground=True)["data"])
