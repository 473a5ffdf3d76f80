"""A headless Chromium, driven through its DevTools protocol over a pair of pipes."""

import json
import os
import subprocess
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

FLAGS = (
    "--headless",
    "--no-sandbox",  # which cannot be had as root
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",  # a container's may be small
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--remote-debugging-pipe",  # commands on descriptor 3, answers on 4
)

LOADED = """new Promise(resolve => document.readyState === "complete"
    ? resolve() : addEventListener("load", () => resolve()))"""


@dataclass(frozen=True, slots=True)
class Browser:
    """One tab; every answer and event is a JSON document that ends in a zero byte."""

    _commands: IO[bytes]
    _answers: IO[bytes]
    _session: str = ""
    events: deque[dict[str, Any]] = field(default_factory=deque)
    """What happened since it was last emptied."""

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One command's result; the parameters are the protocol's, as are their names.

        Raises:
            RuntimeError: the browser refused, or ended.
        """
        message: dict[str, Any] = {"id": 1, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        self._commands.write(json.dumps(message).encode() + b"\0")
        self._commands.flush()
        while "id" not in (answer := self._next()):
            self.events.append(answer)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']['message']}")
        result: dict[str, Any] = answer["result"]
        return result

    def open(self, url: str) -> None:
        """Load a page and wait until its script has run."""
        self.events.clear()
        self.send("Page.navigate", url=url)
        while all(event["method"] != "Page.loadEventFired" for event in self.events):
            self.events.append(self._next())
        self.evaluate(LOADED)  # the event may have been of the page before

    def evaluate(self, expression: str) -> Any:
        """A JavaScript expression's value, awaited."""
        answer = self.send(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        return answer["result"].get("value")

    def show(self, *, width: int, dark: bool) -> None:
        """The window's width in pixels, and the colours that the reader prefers."""
        self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=900,
            deviceScaleFactor=1,
            mobile=False,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.send("Emulation.setEmulatedMedia", features=[scheme])

    def attached(self) -> "Browser":
        """The same browser, talking to a new tab."""
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        tab = Browser(self._commands, self._answers, session)
        for domain in ("Page", "Runtime", "Log", "Network"):
            tab.send(f"{domain}.enable")
        return tab

    def _next(self) -> dict[str, Any]:
        written = bytearray()
        while (byte := self._answers.read(1)) not in (b"\0", b""):
            written += byte
        if not byte:
            raise RuntimeError("the browser ended")
        message: dict[str, Any] = json.loads(written)
        return message


@contextmanager
def start_browser(program: str, profile: Path) -> Iterator[Browser]:
    """A browser with a fresh profile, ended with the block."""
    reads_commands, writes_commands = os.pipe()
    reads_answers, writes_answers = os.pipe()
    arranged = f'exec "$@" 3<&{reads_commands} 4>&{writes_answers}'
    # Not sh: dash knows no descriptors above 9.
    command = ["bash", "-c", arranged, "bash", program, *FLAGS, f"--user-data-dir={profile}"]
    with (
        open(writes_commands, "wb") as commands,
        open(reads_answers, "rb") as answers,
        subprocess.Popen(
            command,
            pass_fds=(reads_commands, writes_answers),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as process,
    ):
        os.close(reads_commands)
        os.close(writes_answers)
        browser = Browser(commands, answers)
        try:
            yield browser.attached()
        finally:
            process.terminate()
