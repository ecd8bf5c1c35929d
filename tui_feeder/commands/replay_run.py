"""``feeder-tui replay``: the messages of stored minutes, made again."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import BinaryIO

from tui_feeder.commands.damaged_days import report_damaged_days
from tui_feeder.commands.symbols import stored_symbols
from tui_feeder.config import Config
from tui_feeder.engine.analytics.message import Message, encode
from tui_feeder.engine.derived.replay import replay, stored_span
from tui_feeder.engine.storage.store import Store
from tui_feeder.errors import UsageError
from tui_feeder.time_format import format_minute

_BLOCK = 64 << 10  # bytes written at once while there is no pace to keep


def run(
    config: Config, names: list[str] | None, start: int | None, end: int | None, speed: float | None
) -> int:
    """Writes the messages to standard output, one a line.

    Args:
        config: whose analysis settings shape the messages.
        names: symbols or patterns; None for all that are stored.
        start: ms of the first minute; None for the first stored.
        end: ms, exclusive; None for the end of the last stored minute.
        speed: exchange seconds in a real second; None for as fast as possible.

    Returns:
        The exit code.

    Raises:
        StoreError: there is no store.
        UsageError: a symbol is not stored, or no minute lies in the range.
    """
    store = Store(config.application.storage_path, read_only=True)
    try:
        symbols, low, high = replay_range(store, names, start, end)
        messages: Iterable[Message] = replay(store, config, symbols, low, high)
        if speed is not None:
            messages = throttle(messages, speed, time.monotonic, time.sleep)
        code = _write(messages, sys.stdout.buffer, at_once=speed is not None)
        damaged = {symbol: days for symbol, days in store.damaged_days().items() if symbol in symbols}
        return report_damaged_days(damaged) or code
    finally:
        store.close()


def replay_range(
    store: Store, names: list[str] | None, start: int | None, end: int | None
) -> tuple[list[str], int, int]:
    """Selects symbols and the part of a range that is stored.

    Args:
        store: the store.
        names: symbols or patterns; None for all that are stored.
        start: ms, inclusive; None for the beginning.
        end: ms, exclusive; None for the end.

    Returns:
        Symbols, first minute and exclusive end, ms.

    Raises:
        UsageError: a symbol is not stored, or no minute lies in the range.
    """
    symbols = stored_symbols(store, names)
    if not symbols:
        raise UsageError(f"no candles in {store.path}")
    first, last = stored_span(store, symbols)
    low, high = first if start is None else max(start, first), last if end is None else min(end, last)
    if high <= low:
        there = f"{format_minute(first)} to {format_minute(last)}"
        raise UsageError(f"no minute is stored in this range: the store has {there}")
    return symbols, low, high


def throttle(
    messages: Iterable[Message], speed: float, now: Callable[[], float], sleep: Callable[[float], None]
) -> Iterator[Message]:
    """Delays messages by the time between their minutes, divided by a speed; the first comes at once.

    Args:
        messages: messages in order.
        speed: exchange seconds per real second.
        now: gives real time, s.
        sleep: waits so many seconds.

    Yields:
        The messages.
    """
    began: float | None = None
    first = 0
    for message in messages:
        if began is None:
            began, first = now(), message.timestamp
        wait = began + (message.timestamp - first) / 1000 / speed - now()
        if wait > 0:
            sleep(wait)
        yield message


def _write(messages: Iterable[Message], out: BinaryIO, *, at_once: bool) -> int:
    """Write lines until the end."""
    waiting: list[bytes] = []
    size = 0
    for message in messages:
        line = encode(message)
        waiting.append(line)
        size += len(line)
        if at_once or size >= _BLOCK:
            out.write(b"\n".join(waiting) + b"\n")
            waiting.clear()
            size = 0
            if at_once:
                out.flush()
    if waiting:
        out.write(b"\n".join(waiting) + b"\n")
    out.flush()
    return 0
