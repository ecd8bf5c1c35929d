"""After a kill a worker finds the alert that it had not stored, and none that it had."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any
from unittest import mock

import orjson
from stores import minute

from tui_feeder.engine.cluster import own_alerts as module
from tui_feeder.engine.cluster.own_alerts import OwnAlerts, look_again, own_alerts
from tui_feeder.engine.cluster.records import PartitionState, Position, Progress
from tui_feeder.engine.core.checksum import ChecksumError
from tui_feeder.engine.storage.store import Store

SYMBOL, MINUTE = "BTCUSDT", 60_000


class Handed:
    minute, alerts = minute(3), b"what the rules knew"


class Alerts:
    """Notes what it is asked to do."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, bytes | None]] = []
        self.looked_at: list[int] = []

    def take_over(self, symbol: str, block: bytes | None) -> None:
        self.taken.append((symbol, block))

    def catch_up(self, candle: Any, _message: object, reported: Mapping[str, int]) -> None:  # noqa: ANN401
        assert reported == {"volume": 7}
        self.looked_at.append(candle.open_time)


class Minute:
    def __init__(self, number: int) -> None:
        self.open_time = minute(number)


def looked_at(first: int) -> tuple[list[tuple[str, bytes | None]], list[int]]:
    alerts: Any = Alerts()
    counted: Any = [(Minute(n), None) for n in range(first, 7)]
    look_again(alerts, SYMBOL, OwnAlerts(minute(3), b"known", {"volume": 7}), counted)
    return alerts.taken, alerts.looked_at


def test_minutes_since_the_checkpoint_are_looked_at_once_more_if_all_are_there() -> None:
    again = [(SYMBOL, b"known")], [minute(n) for n in (4, 5, 6)]
    assert looked_at(2) == looked_at(4) == again
    assert looked_at(5) == looked_at(7) == ([], [])


async def test_what_was_published_and_what_waits_is_known(tmp_path: Path) -> None:
    with closing(Store(tmp_path, exchange="a test")) as store:
        store.open_outbox(["kafka"], 16, "alerts")
        for number, rule in enumerate(("volume", "trend", "volume"), start=1):
            payload = orjson.dumps({"rule": rule, "kind": "x", "symbol": SYMBOL})
            await asyncio.wrap_future(store.send("alerts", SYMBOL, minute(number), payload))
        state = PartitionState()
        state.position = Position("store", "worker", 1, {"alerts": 1}, 1)
        state.progress = {
            name: Progress(minute(2), 1, b"", (), {"volume": minute(1), "poc": minute(0)})
            for name in (SYMBOL, "ETHUSDT", "SOLUSDT")
        }
        state.checkpoints = {SYMBOL: b"good", "SOLUSDT": b"damaged"}

        def read(block: bytes) -> type[Handed]:
            if block == b"damaged":
                raise ChecksumError
            return Handed

        with mock.patch.object(module, "read_handover", read):
            found = own_alerts(store, state)
    assert found == {
        SYMBOL: OwnAlerts(
            minute(3), Handed.alerts, {"volume": minute(3), "trend": minute(2), "poc": minute(0)}
        )
    }
