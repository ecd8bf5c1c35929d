"""The processes beside a measured gateway: an exchange that counts its requests, and answers from memory.

python -m benchmarks._gateway_helpers exchange PORT SPEED COUNTS SYMBOLS
python -m benchmarks._gateway_helpers memory PORT FOLDER
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from urllib.parse import unquote

from aiohttp import web

from tui_feeder.simulator.clock import SimulatedClock
from tui_feeder.simulator.exchange import Exchange
from tui_feeder.simulator.synthetic import synthetic_market


async def exchange(port: int, speed: float, counts: Path, symbols: list[str]) -> None:
    """Serve an exchange; its requests by kind stand in a file, at most a tenth of a second old."""
    now = int(time.time() * 1000)
    market = await asyncio.to_thread(synthetic_market, symbols, as_of_ms=now)
    async with Exchange(market, SimulatedClock(now, speed), port=port) as served:
        while True:
            draft = counts.with_suffix(".new")
            draft.write_text(json.dumps(served.requests))
            draft.rename(counts)
            await asyncio.sleep(0.1)


async def memory(port: int, folder: Path) -> None:
    """Answer with the bytes of files, by the path that is asked for: as little code as aiohttp allows."""
    bodies = await asyncio.to_thread(
        lambda: {unquote(path.name): path.read_bytes() for path in folder.iterdir()}
    )

    async def answer(request: web.Request) -> web.Response:
        return web.Response(body=bodies[request.path_qs], content_type="application/json")

    app = web.Application()
    app.add_routes([web.get("/fapi/v1/klines", answer)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    if sys.argv[1] == "exchange":
        asyncio.run(exchange(int(sys.argv[2]), float(sys.argv[3]), Path(sys.argv[4]), sys.argv[5].split(",")))
    else:
        asyncio.run(memory(int(sys.argv[2]), Path(sys.argv[3])))
