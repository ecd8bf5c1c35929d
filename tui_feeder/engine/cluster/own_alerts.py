"""What a worker that goes on with its own partition after a kill knows of alerts.

A minute and its alerts are not stored in one transaction: where a worker was killed in between, the minute
has its message and nobody looks at it again. So rules go on from the last checkpoint that was published, with
all alerts up to it, and look at the minutes since once more: what was published since, or waits here, is left
out. None is lost, none comes twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from tui_feeder.engine.alerts.manager import AlertManager
from tui_feeder.engine.analytics.message import Message
from tui_feeder.engine.cluster.handover import read_handover
from tui_feeder.engine.cluster.partition_publisher import ALERTS, Head
from tui_feeder.engine.cluster.records import PartitionState
from tui_feeder.engine.core.candle import MINUTE_MS, Candle
from tui_feeder.engine.core.checksum import ChecksumError
from tui_feeder.engine.storage.store import Store

#: Payloads taken from the outbox in one go, bytes.
_SLICE = 1 << 20


class OwnAlerts(NamedTuple):
    """What the rules knew of a symbol at its last published checkpoint, and what was reported since."""

    minute: int  # of the checkpoint, open time in ms
    rules: bytes | None
    reported: Mapping[str, int]  # by rule, ms


def own_alerts(store: Store, state: PartitionState) -> dict[str, OwnAlerts]:
    """Reads what is known of the alerts of a partition's symbols. Reads the outbox.

    Args:
        store: of this worker.
        state: what was published in the partition.

    Returns:
        By symbol, for those that have a checkpoint.
    """
    waiting: dict[str, dict[str, int]] = {}
    outbox = store.outboxes.get(ALERTS)
    at = 0 if state.position is None else state.position.numbers.get(ALERTS, 0)
    while outbox is not None and (found := outbox.read_after(at, _SLICE)):
        at = found[-1].number
        for message in found:
            waiting.setdefault(message.symbol, {})[Head.of(message.payload).rule] = message.timestamp
    known = {}
    for symbol, progress in state.progress.items():
        try:
            handed = read_handover(state.checkpoints[symbol])
        except (KeyError, ChecksumError):
            continue  # rules go on with what they kept themselves
        known[symbol] = OwnAlerts(handed.minute, handed.alerts, progress.alerted | waiting.get(symbol, {}))
    return known


def look_again(
    alerts: AlertManager, symbol: str, known: OwnAlerts, counted: Sequence[tuple[Candle, Message]]
) -> None:
    """Look at the minutes since the checkpoint once more, if all of them are there.

    Args:
        alerts: of this worker.
        symbol: whose.
        known: of its alerts.
        counted: the minutes after the checkpoint of the store, with their messages.
    """
    if not counted or counted[0][0].open_time > known.minute + MINUTE_MS:
        return
    alerts.take_over(symbol, known.rules)
    for candle, message in counted:
        if candle.open_time > known.minute:
            alerts.catch_up(candle, message, known.reported)
