"""Calendar of an exchange, and the listings it has besides the perpetuals in trading."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

from tui_feeder.simulator.market import DAY, HOUR, Instrument

#: A coin that has left: its perpetual is still listed, with status SETTLING.
LEAVING = "SRMUSDT"


def midnight(day: date) -> int:
    """Gives the beginning of a day.

    Args:
        day: a UTC day.

    Returns:
        ms since the epoch.
    """
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1000


def next_month(day: date) -> date:
    """Gives the first day of the next month.

    Args:
        day: any day of a month.

    Returns:
        The first day of the month after it.
    """
    return date(day.year + day.month // 12, day.month % 12 + 1, 1)


def quarter_end(day: date) -> date:
    """Gives the delivery day of the current quarter's contract.

    Args:
        day: the day to look from.

    Returns:
        The last Friday of the quarter of ``day``, or of the next quarter if that has passed.
    """
    after = next_month(date(day.year, 3 * ((day.month - 1) // 3) + 3, 1))
    friday = after - timedelta(days=(after.weekday() - 5) % 7 + 1)
    return friday if friday > day else quarter_end(after)


def quarterly(perpetual: Instrument, as_of: date) -> Instrument:
    """Makes the contract on the same pair that is delivered at the end of the quarter.

    Args:
        perpetual: the perpetual on the pair.
        as_of: the day the listing is made for.

    Returns:
        The quarterly contract.
    """
    end = quarter_end(as_of)
    return replace(
        perpetual,
        symbol=f"{perpetual.symbol}_{end:%y%m%d}",
        contract="CURRENT_QUARTER",
        delivery=midnight(end) + 8 * HOUR,
    )


def settling(like: Instrument, as_of: date) -> Instrument:
    """Makes a perpetual that stopped trading some weeks earlier.

    Args:
        like: a perpetual to copy the other properties of.
        as_of: the day the listing is made for.

    Returns:
        The contract, with status SETTLING.
    """
    return replace(
        like,
        symbol=LEAVING,
        base=LEAVING.removesuffix(like.quote),
        status="SETTLING",
        delivery=midnight(as_of.replace(day=1)) - 40 * DAY,
    )
