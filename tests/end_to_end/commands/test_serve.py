"""The screens in a browser: a real one sees them and types; pages of others are kept out."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import importlib.util
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from browsers import chromium
from places import ROOT
from ports import free_port
from preloaded import AsyncProcess, start_process

from tui_feeder.errors import UsageError

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("textual_serve") is None, reason="textual-serve is not installed"
)


@contextlib.asynccontextmanager
async def served(folder: Path, runtime: Path) -> AsyncIterator[tuple[str, AsyncProcess]]:
    """A demo in the browser; its address."""
    port = free_port()
    kept = {k: v for k, v in os.environ.items() if not k.startswith("FEEDER_")}
    process = await start_process(
        sys.executable, "-m", "tui_feeder", "serve", "--demo", "--symbols", "BTCUSDT", "--port", str(port),
        stdin=subprocess.DEVNULL, stderr=(folder / "log").open("wb"), cwd=folder,
        start_new_session=True,
        env={
            **kept, "XDG_RUNTIME_DIR": str(runtime), "XDG_STATE_HOME": str(folder),
            "FEEDER_TECHNICAL_ANALYSIS__MIN_HISTORY_DAYS": "2",
        },
    )  # fmt: skip
    try:
        for _ in range(600):
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port)).close()
                break
            assert process.returncode is None, (folder / "log").read_text()
            await asyncio.sleep(0.1)
        yield f"127.0.0.1:{port}", process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        await asyncio.wait_for(process.wait(), 30)


async def test_a_page_shows_the_feeder_and_ends_with_its_connection(tmp_path: Path, short_path: Path) -> None:
    async with served(tmp_path, short_path) as (address, process), aiohttp.ClientSession() as session:
        async with session.get(f"http://{address}/") as page:
            assert page.status == 200
            text = await page.text()
            assert f"ws://{address}/ws" in text
            assert set(re.findall(r"\b(?:https?|wss?):?//([^/\"']+)", text)) == {address}
            assert "default-src 'self'" in page.headers["Content-Security-Policy"]
        drawn = b""
        async with session.ws_connect(f"http://{address}/ws?width=80&height=24", max_msg_size=0) as websocket:
            async with asyncio.timeout(60):
                while b"BTCUSDT" not in drawn or b"LIVE" not in drawn:
                    message = await websocket.receive()
                    if message.type is aiohttp.WSMsgType.BINARY:
                        drawn += message.data
        assert process.returncode is None
    log = (tmp_path / "log").read_text()
    assert "shut down cleanly" in log  # the feeder that was started for the pages
    assert "Traceback" not in log


async def test_the_end_of_the_server_ends_an_open_page(tmp_path: Path, short_path: Path) -> None:
    async with (
        served(tmp_path, short_path) as (address, process),
        aiohttp.ClientSession() as session,
        session.ws_connect(f"http://{address}/ws?width=80&height=24", max_msg_size=0) as page,
    ):
        # It comes while the process of the page starts, as where fonts of the page are loaded late.
        await page.send_json(["resize", {"width": 100, "height": 31}])
        await drawn_until(page, b"\x1b[31;1H")
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(30):
            assert await process.wait() == 0
    log = (tmp_path / "log").read_text()
    assert "shut down cleanly" in log
    assert "internal error" not in log


async def drawn_until(page: aiohttp.ClientWebSocketResponse, text: bytes) -> None:
    """Returns once the page has been sent the text."""
    drawn = b""
    async with asyncio.timeout(60):
        while text not in drawn:
            message = await page.receive()
            if message.type is aiohttp.WSMsgType.BINARY:
                drawn += message.data


def texts(drawn: bytes) -> bytes:
    """What is drawn without places and styles, which may cut a text anywhere."""
    return re.sub(rb"\x1b\[[0-9;?<>=]*[A-Za-z]", b"", drawn)


async def test_pages_of_others_and_other_methods_are_refused(tmp_path: Path, short_path: Path) -> None:
    async with served(tmp_path, short_path) as (address, _), aiohttp.ClientSession() as session:
        port = address.split(":")[1]
        refused: list[tuple[str, str, dict[str, str]]] = [
            ("GET", "/ws", {"Origin": "http://evil.example"}),
            ("GET", "/ws", {"Origin": "null"}),
            ("GET", "/", {"Host": f"evil.example:{port}"}),
            ("GET", "/ws", {"Host": f"evil.example:{port}", "Origin": f"http://evil.example:{port}"}),
        ]
        for method, path, headers in refused:
            async with session.request(method, f"http://{address}{path}", headers=headers) as answer:
                assert answer.status == 403, (path, headers)
                if headers.get("Host", "").startswith("evil"):
                    assert 'add "evil.example" to --allow-host' in await answer.text()
        for method in ("POST", "PUT", "DELETE"):
            async with session.request(method, f"http://{address}/") as answer:
                assert answer.status == 405
        async with session.get(
            f"http://localhost:{port}/", headers={"Origin": f"http://localhost:{port}"}
        ) as ok:
            assert ok.status == 200


async def test_a_real_browser_shows_the_screens_and_takes_keys(tmp_path: Path, short_path: Path) -> None:
    program = shutil.which("chromium")
    if program is None:
        assert "CI" not in os.environ, "CI installs chromium"
        pytest.skip("chromium is not installed")
    async with served(tmp_path, short_path) as (address, _), chromium(program, tmp_path / "browser") as page:
        await page.show(f"http://{address}/")
        await page.until(lambda: b"BTCUSDT" in page.drawn and b"LIVE" in page.drawn)
        assert any(one.endswith(".ttf") for one in page.asked)
        # Nothing is loaded from elsewhere, where somebody could see who looks at a feeder, or change it.
        own = (f"http://{address}/", f"ws://{address}/", "data:,")
        assert [one for one in page.asked if not one.startswith(own)] == []
        await page.click(600, 300)
        assert b"volume at price" not in page.drawn
        await page.call("Input.dispatchKeyEvent", type="keyDown", key="3", text="3", windowsVirtualKeyCode=51)
        await page.call("Input.dispatchKeyEvent", type="keyUp", key="3", windowsVirtualKeyCode=51)
        await page.until(lambda: b"volume at price" in page.drawn)
        await page.call("Input.dispatchKeyEvent", type="keyDown", key="1", text="1", windowsVirtualKeyCode=49)
        await page.call("Input.dispatchKeyEvent", type="keyUp", key="1", windowsVirtualKeyCode=49)
        await page.until(lambda: page.drawn.rfind(b"SYMBOL") > page.drawn.rfind(b"volume at price"))
        assert b"Timeframes, each" not in texts(page.drawn)
        await page.click(200, 52)  # the third line: the selected symbol, of which a press shows everything
        await page.until(lambda: b"Timeframes, each" in texts(page.drawn))
        async with asyncio.timeout(60):
            picture = b""
            while len(picture) <= 20_000:  # an empty page is a third of that
                picture = base64.b64decode(str((await page.call("Page.captureScreenshot"))["data"]))
        assert picture.startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("own", "demo", "named"),
    [
        (["--storage", "candles"], False, "--storage candles"),
        ([], True, "--demo"),
        (["--symbols", "BTCUSDT"], True, "--demo --symbols BTCUSDT"),
    ],
)
def test_options_of_a_feeder_that_is_started_are_refused_where_one_runs(
    short_path: Path, own: list[str], demo: bool, named: str
) -> None:
    from tui_feeder.commands import serve_run  # imports textual-serve

    path = short_path / "feeder.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as feeder:
        feeder.bind(str(path))
        feeder.listen()
        with pytest.raises(UsageError, match=f"^{named}: has no effect on the feeder that runs at"):
            serve_run.run(path, "127.0.0.1", 8000, (), own, demo=demo)


#: The command, which gets a signal while its feeder is being started; the process id of that goes to a file.
SIGNALLED = """
import os, signal, subprocess, sys
class Popen(subprocess.Popen):
    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        if arguments[0][:3] == [sys.executable, "-m", "tui_feeder"]:
            open("pid", "w").write(str(self.pid))
            os.kill(os.getpid(), signal.Signals[os.environ["WITH"]])
subprocess.Popen = Popen
from tui_feeder.cli import main
main()
"""


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_while_the_feeder_is_started_leaves_none_behind(
    tmp_path: Path, short_path: Path, name: str
) -> None:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("FEEDER_")}
    words = ("serve", "--demo", "--symbols", "BTCUSDT", "--port", str(free_port()))
    done = subprocess.run(
        [sys.executable, "-c", SIGNALLED, *words],
        env=kept | {"XDG_RUNTIME_DIR": str(short_path), "XDG_STATE_HOME": str(tmp_path), "WITH": name,
                    "PYTHONPATH": str(ROOT)},
        cwd=tmp_path, timeout=60, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    feeder = int((tmp_path / "pid").read_text())
    with pytest.raises(ProcessLookupError):
        os.kill(feeder, 0)


async def test_an_interrupt_of_the_whole_group_lets_the_feeder_end_cleanly(
    tmp_path: Path, short_path: Path
) -> None:
    async with served(tmp_path, short_path) as (_, process):
        os.killpg(process.pid, signal.SIGINT)
        assert await asyncio.wait_for(process.wait(), 60) == 0
    assert (tmp_path / "log").read_text().count("shut down cleanly") == 1
