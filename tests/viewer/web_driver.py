"""A browser for tests: headless Chromium through chromedriver, in W3C WebDriver's own words."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

DRIVER = "chromedriver"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chromium-headless-shell")
_ARGUMENTS = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"]
KEYS = {"left": "\ue012", "right": "\ue014", "home": "\ue011", "end": "\ue010", "shift": "\ue008", "tab": "\ue004"}


def missing() -> str | None:
    """Why there is no browser here; None where there is one."""
    lacks = [] if shutil.which(DRIVER) else [DRIVER]
    lacks += [] if any(map(shutil.which, BROWSERS)) else [BROWSERS[0]]
    told = f"needs {' and '.join(lacks)} (Debian: apt-get install chromium chromium-driver), not found here"
    return told if lacks else None


class Browser:
    """One window. Everything raises AssertionError with the driver's words where it fails."""

    def __init__(self, address: str) -> None:
        self._address = address
        binary = next(path for path in map(shutil.which, BROWSERS) if path)
        wanted = {
            "browserName": "chrome",
            "goog:loggingPrefs": {"browser": "ALL"},
            "goog:chromeOptions": {"args": _ARGUMENTS, "binary": binary},
        }
        self._session = self._call("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})["sessionId"]

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            self._address + path, data, {"Content-Type": "application/json"}, method=method
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{path}: {json.load(error)['value']['message']}") from None

    def _do(self, path: str, **body: Any) -> Any:
        return self._call("POST", f"/session/{self._session}{path}", body)

    def look(self, width: int = 1200, height: int = 900, **media: str) -> None:
        """Set the window's size and media features (prefers_color_scheme="dark") for the pages to come."""
        phone = width < 600
        self._devtools(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=phone
        )
        features = [{"name": name.replace("_", "-"), "value": value} for name, value in media.items()]
        self._devtools("Emulation.setEmulatedMedia", features=features)

    def _devtools(self, command: str, **parameters: Any) -> Any:
        return self._do("/goog/cdp/execute", cmd=command, params=parameters)

    def open(self, page: Path) -> None:
        self._do("/url", url=page.resolve().as_uri())

    def run(self, script: str, *values: Any) -> Any:
        """What the body of a function returns in the page."""
        return self._do("/execute/sync", script=script, args=list(values))

    def wait(self, condition: str) -> None:
        """Until an expression is true; AssertionError after two seconds."""
        script = """const [text, done] = arguments, test = new Function(`return ${text}`), end = Date.now() + 2000;
            (function again() {
              if (test()) done(true); else if (Date.now() > end) done(false); else setTimeout(again, 10); })();"""
        assert self._do("/execute/async", script=script, args=[condition]), f"never came true: {condition}"

    def press(self, *keys: str) -> None:
        """Press keys one after another, by a name in KEYS or as a character; "shift+left" holds the first."""
        for key in keys:
            held, _, last = key.rpartition("+")
            values = [KEYS.get(name, name) for name in (held, last) if name]
            moves = [{"type": "keyDown", "value": value} for value in values]
            moves += [{"type": "keyUp", "value": value} for value in reversed(values)]
            self._do("/actions", actions=[{"type": "key", "id": "keys", "actions": moves}])

    def click(self, selector: str, x: float = 0.5, y: float = 0.5) -> None:
        """Click at a part of an element's width and height."""
        box = self.run(
            "const node = document.querySelector(arguments[0]); node.scrollIntoView({block: 'center'});"
            "const {x, y, width, height} = node.getBoundingClientRect(); return {x, y, width, height};",
            selector,
        )
        place = {"x": round(box["x"] + x * box["width"]), "y": round(box["y"] + y * box["height"])}
        moves = [{"type": "pointerMove", "duration": 0, **place}, {"type": "pointerDown", "button": 0},
                 {"type": "pointerUp", "button": 0}]  # fmt: skip
        self._do("/actions", actions=[{"type": "pointer", "id": "mouse", "actions": moves}])

    def complaints(self) -> list[str]:
        """Errors of the page's scripts, its policy and the network since the last call."""
        entries = self._do("/se/log", type="browser")
        return [entry["message"] for entry in entries if entry["level"] == "SEVERE"]

    def close(self) -> None:
        self._call("DELETE", f"/session/{self._session}")


@contextmanager
def browser() -> Iterator[Browser]:
    """A browser, and its driver, for the length of a with block."""
    driver = subprocess.Popen([DRIVER, "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert driver.stdout is not None
        ports = (re.search(r"started successfully on port (\d+)", line) for line in driver.stdout)
        port = next(found[1] for found in ports if found)
        window = Browser(f"http://127.0.0.1:{port}")
        try:
            yield window
        finally:
            window.close()
    finally:
        driver.terminate()
        driver.wait(timeout=20)
