"""Where the public archive keeps its files, and when each is published. Pure."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

from tui_feeder.engine.core.archive_file import File, FileKind
from tui_feeder.engine.core.candle import MINUTE_MS

#: Observed: files appear at 08:32 to 08:40 UTC. Earlier tries would only collect 404s.
_PUBLISHED_MS = (8 * 60 + 40) * MINUTE_MS


def archive_path(folder: str, file: File, symbol: str) -> str:
    """Path of a zip of minutes below the archive's address; names percent-encoded UTF-8.

    Args:
        folder: of the market, below ``/data``.
        file: which.
        symbol: whose.

    Returns:
        Such as ``/data/futures/um/daily/klines/BTCUSDT/1m/BTCUSDT-1m-2024-02-29.zip``.
    """
    start = datetime.fromtimestamp(file.start / 1000, UTC)
    kind, stamp = ("monthly", "%Y-%m") if file.kind is FileKind.MONTH else ("daily", "%Y-%m-%d")
    name = quote(f"{symbol}-1m-{start:{stamp}}", safe="")
    return f"/data/{folder}/{kind}/klines/{quote(symbol, safe='')}/1m/{name}.zip"


def trades_path(folder: str, day: int, symbol: str) -> str:
    """Path of a zip of a day's aggregated trades below the archive's address.

    Args:
        folder: of the market, below ``/data``.
        day: midnight UTC, ms.
        symbol: whose.

    Returns:
        Such as ``/data/futures/um/daily/aggTrades/BTCUSDT/BTCUSDT-aggTrades-2024-02-29.zip``.
    """
    name = quote(f"{symbol}-aggTrades-{datetime.fromtimestamp(day / 1000, UTC):%Y-%m-%d}", safe="")
    return f"/data/{folder}/daily/aggTrades/{quote(symbol, safe='')}/{name}.zip"


def path_in(folder: str) -> Callable[[File, str], str]:
    """Makes what finds the path of a file by the name that its symbol has here.

    Args:
        folder: of the market, below ``/data``.

    Returns:
        See :attr:`~tui_feeder.engine.exchanges.base.MarketFacts.archive_path`.
    """
    return lambda file, symbol: archive_path(folder, file, symbol.rpartition(":")[2])


def published(file: File) -> int:
    """When a file can be expected: a day's on the next morning, a month's on the first Monday after it.

    Args:
        file: which.

    Returns:
        Exchange time, ms.
    """
    end = file.end
    if file.kind is FileKind.MONTH:
        after = datetime.fromtimestamp(end / 1000, UTC)
        monday = after + timedelta(days=(7 - after.weekday()) % 7)
        end = int(monday.timestamp() * 1000)
    return end + _PUBLISHED_MS
