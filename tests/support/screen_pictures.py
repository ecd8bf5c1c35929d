"""Pictures of every screen in every size and look: ``python -m tests.support.screen_pictures FOLDER``.

Each screen is a file of its own; ``sheet-SIZE-LOOK.svg`` has all screens of a size and look. SVG files become
PNG files by ``rsvg-convert``. About two minutes.
"""

from __future__ import annotations

import argparse
import asyncio
from dataclasses import replace
from pathlib import Path

from textual.geometry import Size

from tests.support.fake_monitor import MINUTE_MS, NOON, FakeMonitor, clustered, with_troubles
from tui_feeder.app import FeederApp, UiSettings
from tui_feeder.monitor import AlertView, Event
from tui_feeder.screens.base import FeederScreen
from tui_feeder.widgets.picture import svg

SIZES = ((80, 24), (120, 40), (200, 60))
LOOKS = {
    "dark": UiSettings(symbol_set="braille", colors="truecolor"),
    "light": UiSettings(symbol_set="braille", colors="truecolor", theme="feeder-light"),
    "none": UiSettings(symbol_set="braille", colors="none"),
    "ascii": UiSettings(symbol_set="ascii", colors="none"),
}
#: Name of each picture and the keys that lead to it from the overview.
SCREENS = {
    "1-overview": "1",
    "1-sorted-and-filtered": "1 slash v o l greater_than_sign 5 0 M enter s 2 4 enter",
    "1-typing-a-filter": "1 slash n e a r",
    "1-two-symbols": "1 v down",
    "2-chart": "2",
    "2-crosshair-compared": "2 C e t h enter l left left left left",
    "2-delta": "2 d",
    "2-levels": "2 n",
    "2-marks": "2 shift+left shift+left m shift+right right right right m end",
    "2-composite-of-days": "2 right_square_bracket right_square_bracket right_square_bracket "
    "shift+left shift+left m shift+right right right right m end",
    "3-profile": "3",
    "4-gaps": "4",
    "4-data": "4 d",
    "5-sources": "5",
    "6-log": "6",
    "7-cluster": "7",
    "8-footprint": "8",
    "0-map": "0",
    "help": "question_mark",
    "detail-of-a-symbol": "1 enter",
    "detail-of-a-gap": "4 enter",
    "where-from": "w",
    "alerts": "a",
    "new-alert": "A",
    "palette": "colon",
    "quit": "q",
}


def monitor_of(symbols: int) -> FakeMonitor:
    """Symbols with every kind of trouble, one of them in spot too, alerts and a log.

    Args:
        symbols: how many.

    Returns:
        The monitor; its clock stands still.
    """
    monitor = with_troubles(FakeMonitor(symbols))
    future = monitor.views["BTCUSDT"]
    assert future.price is not None
    monitor.views["spot:BTCUSDT"] = replace(future, symbol="spot:BTCUSDT", price=future.price / 1.0007)
    for (symbol, timeframe), rows in list(monitor._bars.items()):
        if symbol == "BTCUSDT":
            monitor._bars["spot:BTCUSDT", timeframe] = lower = rows.copy()
            lower["close"] /= 1.0007 + 0.0003 * (lower["close"] / lower["close"].mean() - 1)
    minute = NOON - NOON % MINUTE_MS
    monitor.alerts = (
        AlertView(1, minute - 3 * 3_600_000, "poc", "price_cross", "BTCUSDT", "BTCUSDT crossed its POC",
                  future.poc),
        AlertView(2, minute - 4 * MINUTE_MS, "volume", "volume_above", "ETHUSDT",
                  "ETHUSDT traded 8.1 times its usual volume"),
    )  # fmt: skip
    monitor.events = (
        *(Event(minute - n * MINUTE_MS, "info", None, f"minute closed: {symbols} of {symbols} symbols")
          for n in range(90, 20, -1)),
        *monitor.events,
        Event(minute + 1_000, "error", "XRPUSDT", "a candle was refused: high 0.5930 is below close 0.5934"),
    )  # fmt: skip
    return monitor


async def pictures(folder: Path, size: tuple[int, int], look: str, symbols: int) -> None:
    """Draws every screen in one size and look.

    Args:
        folder: where the files go.
        size: columns and rows.
        look: one of :data:`LOOKS`.
        symbols: how many.
    """
    drawn: list[str] = []
    whole = Size(*size)
    for name, keys in SCREENS.items():
        monitor = monitor_of(symbols)
        if name == "7-cluster":
            clustered(monitor)
        app = FeederApp(monitor, replace(LOOKS[look], refresh_hz=0.2), title="feeder-tui")
        async with app.run_test(size=size) as pilot:
            await pilot.press(*keys.split())
            for _ in range(5):
                await pilot.pause()
            app.tick()
            await pilot.pause()
            screen = app.screen
            assert isinstance(screen, FeederScreen)
            title = f"{name} {size[0]}x{size[1]} {look}"
            picture = svg(screen.shown_panels(), whole, app.palette.background, title)
        (folder / f"{name}-{size[0]}x{size[1]}-{look}.svg").write_text(picture)
        drawn.append(picture)
    (folder / f"sheet-{size[0]}x{size[1]}-{look}.svg").write_text(_sheet(drawn, size[0]))


def _sheet(drawn: list[str], columns: int) -> str:
    """Several pictures beside and below each other in one."""
    box = drawn[0].split('viewBox="0 0 ', 1)[1].split('"', 1)[0].split()
    width, height = float(box[0]), float(box[1])
    across = 3 if columns >= 200 else 4
    placed = [
        picture.replace(
            "<svg ",
            f'<svg x="{at % across * width}" y="{at // across * height}" width="{width}" height="{height}" ',
            1,
        )
        for at, picture in enumerate(drawn)
    ]
    rows = -(-len(drawn) // across)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {across * width} {rows * height}">'
        + "".join(placed)
        + "</svg>\n"
    )


def main() -> None:
    """Draw what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--symbols", type=int, default=20)
    parser.add_argument("--size", action="append", help="as 120x40; all three if left out")
    parser.add_argument("--look", action="append", choices=LOOKS, help="all if left out")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    sizes = [tuple(map(int, size.split("x"))) for size in options.size or ()] or SIZES
    for size in sizes:
        for look in options.look or LOOKS:
            asyncio.run(pictures(options.folder, size, look, options.symbols))
            print(f"{size[0]}x{size[1]} {look}")


if __name__ == "__main__":
    main()
