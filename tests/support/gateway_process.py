"""A gateway as a process of its own, beside an engine of the test's process."""

from __future__ import annotations

import asyncio
import contextlib
import re
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
from preloaded import AsyncProcess, start_process

from tui_feeder.attach.server import AttachServer
from tui_feeder.engine.thread import EngineThread

_ADDRESS = re.compile(r"http://(127\.0\.0\.1:\d+)")


class RunningGateway:
    """Asks a gateway."""

    def __init__(self, address: str, session: aiohttp.ClientSession, process: AsyncProcess) -> None:
        self.url = f"http://{address}"
        self.session = session
        self.process = process

    async def get(self, path: str) -> tuple[int, bytes, dict[str, str]]:
        """Status, body and headers of an answer."""
        async with self.session.get(self.url + path) as answer:
            return answer.status, await answer.read(), dict(answer.headers)

    async def until(
        self, path: str, status: int = 200, seconds: float = 60.0
    ) -> tuple[bytes, dict[str, str]]:
        """Ask until it is answered with this status; body and headers."""
        deadline = time.monotonic() + seconds
        while (answer := await self.get(path))[0] != status:
            assert time.monotonic() < deadline, answer
            await asyncio.sleep(0.1)
        return answer[1:]


@contextlib.asynccontextmanager
async def attached(engine: EngineThread, path: Path | None = None) -> AsyncIterator[Path]:
    """The socket of an engine, while inside."""
    with tempfile.TemporaryDirectory(prefix="gw") as folder:  # a socket's path must be short
        path = Path(folder) / "s" if path is None else path
        path.parent.mkdir(exist_ok=True)
        server = await asyncio.to_thread(AttachServer, engine.monitor, path, "tested", engine.live)
        try:
            yield path
        finally:
            await asyncio.to_thread(server.close)


@contextlib.asynccontextmanager
async def running_gateway(socket: Path, config: str = "") -> AsyncIterator[RunningGateway]:
    """Run ``feeder-tui gateway`` on a free port; ``config`` are lines of ``[gateway]``."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "config.toml"
        file.write_text(f"[gateway]\nport = 0\n{config}\n")
        process = await start_process(
            sys.executable, "-m", "tui_feeder", "gateway", "--socket", str(socket), "--config", str(file),
            stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert process.stderr is not None
        said = b""
        try:
            async with asyncio.timeout(30):
                while (found := _ADDRESS.search(said.decode())) is None:
                    line = await process.stderr.readline()
                    said += line
                    assert line, f"the gateway ended: {said.decode()}"
            reading = asyncio.create_task(process.stderr.read())
            async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session:
                yield RunningGateway(found[1], session, process)
            reading.cancel()
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()
