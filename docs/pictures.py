"""Makes the pictures of the README from a demo: ``python docs/pictures.py``, about two minutes.

A still picture of each screen, and ``healing.svg``: the connection is cut, the gap is seen, filled and gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from textual.geometry import Size

from tui_feeder.app import FeederApp, UiSettings
from tui_feeder.config import load
from tui_feeder.demo import Demo
from tui_feeder.engine.storage.store import Store
from tui_feeder.engine.thread import EngineThread
from tui_feeder.screens.base import FeederScreen
from tui_feeder.widgets.picture import drawing, in_window

_FOLDER = Path(__file__).resolve().parent
_SCREENS = {"1": "overview", "2": "chart", "3": "profile", "4": "gaps"}
_SECONDS = 0.8  # between two frames of the film
_LOOK = UiSettings(symbol_set="braille", colors="truecolor", refresh_hz=4.0)


async def until(happened: Callable[[], bool], seconds: float) -> None:
    """Wait for something to happen."""
    end = time.monotonic() + seconds
    while not happened():
        if time.monotonic() > end:
            raise TimeoutError("it did not happen")
        await asyncio.sleep(0.1)


async def stills(engine: EngineThread, demo: Demo) -> None:
    """A picture of each screen at 120x40."""
    app = FeederApp(engine.monitor, _LOOK, title="feeder-tui", faults=demo.faults)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(lambda: engine.monitor.snapshot().state == "live", 120)
        await asyncio.sleep(20)  # a few minutes of the exchange
        for key, name in _SCREENS.items():
            await pilot.press(key)
            await asyncio.sleep(1.5)
            assert isinstance(app.screen, FeederScreen)
            (_FOLDER / f"{name}.svg").write_text(app.screen.picture(f"feeder-tui --demo: {name}"))


async def film(engine: EngineThread, demo: Demo) -> None:
    """The connection is cut and comes back, frame by frame."""
    app = FeederApp(engine.monitor, _LOOK, title="feeder-tui", faults=demo.faults)
    size = Size(80, 24)
    frames: list[str] = []

    def healed() -> bool:
        now = engine.monitor.snapshot()
        return now.state == "live" and all(gap.state == "filled" for gap in now.gaps)

    async with app.run_test(size=(size.width, size.height)) as pilot:

        async def shoot(seconds: float, over: Callable[[], bool] = lambda: False) -> None:
            end = time.monotonic() + seconds
            while time.monotonic() < end and not over():
                await asyncio.sleep(_SECONDS)
                assert isinstance(app.screen, FeederScreen)
                frames.append(drawing(app.screen.shown_panels(), size, app.palette.background))

        await shoot(3)
        await pilot.press("F")
        await shoot(2)
        await pilot.press("1")
        await shoot(8)
        await pilot.press("4")
        still = len(frames)  # what is shown where nothing moves
        await shoot(60, healed)
        await shoot(4)
        await pilot.press("1")
        await shoot(3)
    total = len(frames) * _SECONDS
    style = "".join(f"#f{i}{{animation-delay:{i * _SECONDS - total:.1f}s}}" for i in range(len(frames))) + (
        f"g.f{{visibility:hidden;animation:f {total:.1f}s step-end infinite}}"
        f"@keyframes f{{0%{{visibility:visible}}{100 / len(frames):.3f}%{{visibility:hidden}}}}"
        f"#f{still}{{visibility:visible}}"
    )
    body = "".join(f'<g class="f" id="f{i}">{frame}</g>' for i, frame in enumerate(frames))
    (_FOLDER / "healing.svg").write_text(
        in_window(body, size, app.palette.background, "feeder-tui --demo: cut and healed", style)
    )


async def main() -> None:
    """All pictures."""
    with (
        tempfile.TemporaryDirectory() as scratch,
        contextlib.chdir(scratch),
        contextlib.closing(Demo(None, None, 10.0, Path("lmdb_data"))) as demo,
    ):
        loaded = load(None, environ={}, flags=demo.flags())
        store = Store(loaded.config.application.storage_path, exchange="a simulated exchange")
        engine = EngineThread(loaded.config, store, [], on_end=threading.Event().set)
        try:
            await stills(engine, demo)
            await film(engine, demo)
        finally:
            engine.request_stop()
            engine.join(20)


if __name__ == "__main__":
    os.environ.pop("SSH_CONNECTION", None)
    asyncio.run(main())
