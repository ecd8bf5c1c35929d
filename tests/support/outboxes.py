"""An outbox with messages that wait in it."""

from __future__ import annotations

from pathlib import Path

from store_child import candle_of
from stores import BTC, EVER, minute

from tui_feeder.engine.core.candle import Source
from tui_feeder.engine.storage.outbox import Outbox
from tui_feeder.engine.storage.store import Store


def opened(path: Path, *sinks: str, max_mb: float = 512) -> tuple[Store, Outbox]:
    store = Store(path, exchange="a test")
    return store, store.open_outbox(sinks or ("kafka",), max_mb)


def make(store: Store, first: int, count: int, size: int = 10) -> None:
    made = [
        store.append(BTC, candle_of(minute(n), Source.REST), Source.REST, payload=f"{n:0{size}}".encode())
        for n in range(first, first + count)
    ]
    for one in made:
        one.result()


def numbers(outbox: Outbox, after: int = 0) -> list[int]:
    return [int(one.payload) for one in outbox.read_after(after, EVER)]
