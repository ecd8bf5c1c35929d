"""Calendar of an exchange, and the listings it has besides the perpetuals in trading."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

from tui_feeder.simulator.market import DAY, HOUR, Instrument

#: A coin that has left: its perpetual is still listed, with status SETTLING.
LEAVING = "SRMUSDT"


def midnight(day: date) -> int:
    """The beginning of ``day`` in UTC, ms."""
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1000


def next_month(day: date) -> date:
    """First day of the month after the one in which ``day`` lies."""
    return date(day.year + day.month // 12, day.month % 12 + 1, 1)


def quarter_end(day: date) -> date:
    """The last Friday of the quarter in which ``day`` is, or of the next one if that has come."""
    after = next_month(date(day.year, 3 * ((day.month - 1) // 3) + 3, 1))
    friday = after - timedelta(days=(after.weekday() - 5) % 7 + 1)
    return friday if friday > day else quarter_end(after)


def quarterly(perpetual: Instrument, as_of: date) -> Instrument:
    """The contract on the same pair that is delivered at the end of the quarter."""
    end = quarter_end(as_of)
    return replace(
        perpetual,
        symbol=f"{perpetual.symbol}_{end:%y%m%d}",
        contract="CURRENT_QUARTER",
        delivery=midnight(end) + 8 * HOUR,
    )


def settling(like: Instrument, as_of: date) -> Instrument:
    """A perpetual that ceased to trade some weeks before the month of ``as_of``."""
    return replace(
        like,
        symbol=LEAVING,
        base=LEAVING.removesuffix(like.quote),
        status="SETTLING",
        delivery=midnight(as_of.replace(day=1)) - 40 * DAY,
    )
