"""A real browser without a window, driven by its debugging protocol."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import subprocess
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import aiohttp


class Chromium:
    """A page of a real browser, driven by its debugging protocol."""

    def __init__(self, websocket: aiohttp.ClientWebSocketResponse, pid: int) -> None:
        self.pid = pid  # of the browser
        self._websocket = websocket
        self._number = 0
        self.drawn = b""  # what the feeder sent to the page
        self.asked: list[str] = []  # addresses that the page loads from

    async def call(self, method: str, **parameters: object) -> dict[str, object]:
        self._number += 1
        await self._websocket.send_json({"id": self._number, "method": method, "params": parameters})
        while True:
            told = await self._hear()
            if told.get("id") == self._number:
                assert "error" not in told, told
                result = told["result"]
                assert isinstance(result, dict)
                return result

    async def _hear(self) -> dict[str, object]:
        told = await self._websocket.receive_json()
        if told.get("method") == "Network.webSocketFrameReceived":
            frame = told["params"]["response"]
            if frame["opcode"] == 2:
                self.drawn += base64.b64decode(frame["payloadData"])
        if told.get("method") == "Network.requestWillBeSent":
            self.asked.append(told["params"]["request"]["url"])
        if told.get("method") == "Network.webSocketCreated":
            self.asked.append(told["params"]["url"])
        assert isinstance(told, dict)
        return told

    async def until(self, seen: Callable[[], bool], seconds: float = 60.0) -> None:
        async with asyncio.timeout(seconds):
            while not seen():
                await self._hear()

    async def show(self, address: str) -> None:
        """Go there, and keep what comes from then on."""
        await self.call("Network.enable")
        await self.call("Page.enable")
        await self.call("Page.navigate", url=address)

    async def click(self, x: int, y: int) -> None:
        """Click there, in pixels from the top left."""
        await self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
        for kind, held in (("mousePressed", 1), ("mouseReleased", 0)):
            await self.call(
                "Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", buttons=held, clickCount=1
            )


@contextlib.asynccontextmanager
async def chromium(program: str, folder: Path) -> AsyncIterator[Chromium]:
    """An empty page of a browser that keeps its things in ``folder``."""
    process = await asyncio.create_subprocess_exec(
        program, "--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0",
        "--remote-allow-origins=*", f"--user-data-dir={folder}", "--window-size=1200,760", "about:blank",
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        told = folder / "DevToolsActivePort"
        for _ in range(600):
            if told.exists() and told.read_text().count("\n"):
                break
            await asyncio.sleep(0.1)
        port = told.read_text().splitlines()[0]
        async with aiohttp.ClientSession() as session:
            async with session.get(f"http://127.0.0.1:{port}/json") as answer:
                pages = [one for one in await answer.json() if one["type"] == "page"]
            address = pages[0]["webSocketDebuggerUrl"]
            async with session.ws_connect(address, max_msg_size=0) as websocket:
                yield Chromium(websocket, process.pid)
    finally:
        process.terminate()
        await asyncio.wait_for(process.wait(), 20)
