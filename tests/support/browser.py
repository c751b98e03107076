"""A headless Chromium that tests drive through its debugging protocol. Nothing has to be installed but the browser.

The browser is TKBENCH_CHROMIUM, or one of the usual names on the path. It cannot reach anything: every name resolves to
nowhere, and each request is written down.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "microsoft-edge")
LOCAL = ("file:", "data:", "blob:", "about:")
PATIENCE = 60.0
"""Seconds that anything may take: a busy machine is no fault of the page."""


def find() -> str | None:
    """The browser's program, or None."""
    named = os.environ.get("TKBENCH_CHROMIUM")
    return named or next((path for name in NAMES if (path := shutil.which(name))), None)


class Failed(AssertionError):
    """The page threw, or did not come to what was waited for."""


class Tab:
    """One page. Commands are synchronous; events that tests ask about are kept."""

    def __init__(self, loop: asyncio.AbstractEventLoop, socket: Any) -> None:
        self._loop, self._socket, self._last = loop, socket, 0
        self._loaded = False
        self.requests: list[str] = []
        self.errors: list[str] = []

    def command(self, method: str, **settings: object) -> dict[str, Any]:
        return self._loop.run_until_complete(self._command(method, settings))

    async def _command(self, method: str, settings: dict[str, object]) -> dict[str, Any]:
        self._last += 1
        number = self._last
        await self._socket.write_message(json.dumps({"id": number, "method": method, "params": settings}))
        while True:
            text = await asyncio.wait_for(self._socket.read_message(), PATIENCE)
            assert text is not None, "the browser closed"
            message = json.loads(text)
            if message.get("id") == number:
                if "error" in message:
                    raise Failed(f"{method}: {message['error']['message']}")
                return dict(message["result"])
            self._note(message)

    def _note(self, message: dict[str, Any]) -> None:
        facts = message.get("params", {})
        if message.get("method") == "Network.requestWillBeSent":
            self.requests.append(facts["request"]["url"])
        elif message.get("method") == "Runtime.exceptionThrown":
            details = facts["exceptionDetails"]
            self.errors.append(details.get("exception", {}).get("description", details["text"]))
        elif message.get("method") == "Log.entryAdded" and facts["entry"]["level"] == "error":
            self.errors.append(facts["entry"]["text"])
        elif message.get("method") == "Page.loadEventFired":
            self._loaded = True

    def open(self, path: Path, *, width: int = 1280, height: int = 900, dark: bool = False) -> None:
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.command(f"{domain}.enable")
        self.size(width, height)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.command("Emulation.setEmulatedMedia", features=[scheme])
        self._loaded = False
        self.command("Page.navigate", url=path.resolve().as_uri())
        end = time.monotonic() + PATIENCE
        while not self._loaded:
            self.js("0")
            assert time.monotonic() < end, "the page did not load"

    def size(self, width: int, height: int) -> None:
        self.command(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )

    def js(self, expression: str) -> Any:
        """The value of an expression in the page; a promise is waited for."""
        found = self.command(
            "Runtime.evaluate",
            expression=expression,
            returnByValue=True,
            awaitPromise=True,
            userGesture=True,
        )
        if "exceptionDetails" in found:
            details = found["exceptionDetails"]
            raise Failed(details.get("exception", {}).get("description", details["text"]))
        return found["result"].get("value")

    def wait(self, expression: str, what: str = "") -> Any:
        """Until an expression is true; its value."""
        end = time.monotonic() + PATIENCE
        while not (value := self.js(expression)):
            if time.monotonic() > end:
                raise Failed(f"never came true: {what or expression}")
            time.sleep(0.05)
        return value

    def text(self, selector: str) -> str:
        return str(self.js(f"document.querySelector({json.dumps(selector)}).innerText.trim()"))

    def texts(self, selector: str) -> list[str]:
        """Of all elements that can be seen."""
        return list(
            self.js(
                f"[...document.querySelectorAll({json.dumps(selector)})]"
                ".filter((one) => one.getClientRects().length).map((one) => (one.innerText ?? one.textContent).trim())"
            )
        )

    def click(self, selector: str) -> None:
        """A click of the mouse, in the middle of an element that is scrolled to."""
        x, y = self.js(
            f"(() => {{ const one = document.querySelector({json.dumps(selector)});"
            " one.scrollIntoView({block: 'center', behavior: 'instant'}); const r = one.getBoundingClientRect();"
            " return [r.x + r.width / 2, r.y + r.height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.command("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def choose(self, selector: str, value: str) -> None:
        """Pick an option of a list, or write into a field."""
        self.js(
            f"(() => {{ const one = document.querySelector({json.dumps(selector)}); one.value = {json.dumps(value)};"
            " ['input', 'change'].forEach((name) => one.dispatchEvent(new Event(name, {bubbles: true}))); })()"
        )

    def press(self, key: str, code: int, text: str = "") -> None:
        for kind in ("keyDown", "keyUp"):
            extra = {"text": text} if text and kind == "keyDown" else {}
            self.command(
                "Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code, **extra
            )

    def picture(self, out: Path, *, whole: bool = True) -> Path:
        """A PNG of the page, or of what the window shows."""
        found = self.command("Page.captureScreenshot", captureBeyondViewport=whole, format="png")
        out.write_bytes(base64.b64decode(found["data"]))
        return out

    @property
    def outside(self) -> list[str]:
        """Requests to anywhere but the page's own file."""
        return [url for url in self.requests if not url.startswith(LOCAL)]


@contextmanager
def tab(folder: Path) -> Iterator[Tab]:
    """A browser with a profile of its own in `folder`, and one page in it."""
    program = find()
    assert program is not None
    profile = folder / "profile"
    profile.mkdir(parents=True, exist_ok=True)
    flags = [
        "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--mute-audio", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
        "--disable-extensions", "--host-resolver-rules=MAP * ~NOTFOUND", "--remote-debugging-port=0",
        f"--user-data-dir={profile}",
    ]  # fmt: skip
    process = subprocess.Popen(
        [program, *flags, "about:blank"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    loop = asyncio.new_event_loop()
    try:
        port = _port(profile / "DevToolsActivePort", process)
        yield Tab(loop, loop.run_until_complete(_connect(port)))
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        loop.close()


def _port(file: Path, process: subprocess.Popen[bytes]) -> int:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        assert process.poll() is None, "the browser ended at once"
        if file.is_file() and (lines := file.read_text().split()):
            return int(lines[0])
        time.sleep(0.05)
    raise Failed("the browser opened no port")


async def _connect(port: int) -> Any:
    from tornado.httpclient import AsyncHTTPClient
    from tornado.websocket import websocket_connect

    end = time.monotonic() + PATIENCE
    while True:
        answer = await AsyncHTTPClient().fetch(f"http://127.0.0.1:{port}/json", request_timeout=PATIENCE)
        pages = [one for one in json.loads(answer.body) if one["type"] == "page"]
        if pages:
            break
        assert time.monotonic() < end, "the browser has no page"
        await asyncio.sleep(0.05)
    return await websocket_connect(pages[0]["webSocketDebuggerUrl"], max_message_size=256 << 20)
