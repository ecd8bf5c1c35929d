"""Answers that are none: the exchange's own error codes and words, and the gateway's."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime

import orjson

from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS
from tui_feeder.engine.core.coverage import Coverage
from tui_feeder.errors import InputError

#: Ranges of minutes that a message names.
_NAMED = 3


class RefusalError(InputError):
    """A request is not answered.

    Args:
        status: of HTTP.
        code: of the exchange.
        text: for people.
        headers: beside those of every answer.
    """

    def __init__(self, status: int, code: int, text: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(text)
        self.status = status
        self.code = code
        self.headers = dict(headers or {})

    @property
    def body(self) -> bytes:
        """As the exchange writes it."""
        return orjson.dumps({"code": self.code, "msg": str(self)})


def missing_parameter(name: str) -> RefusalError:
    """A parameter is missing or malformed: the exchange answers the same to both.

    Args:
        name: of the parameter.

    Returns:
        What to raise.
    """
    return RefusalError(
        400, -1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed."
    )


def lookup_too_big() -> RefusalError:
    """More time lies between the first and the last moment than the exchange looks up at once."""
    return RefusalError(400, -1127, "Lookup interval is too big.")


def invalid_interval() -> RefusalError:
    """There is no such interval."""
    return RefusalError(400, -1120, "Invalid interval.")


def invalid_symbol(more: str = "") -> RefusalError:
    """There is no such symbol, or not here: ``more`` states it.

    Args:
        more: behind the words of the exchange.

    Returns:
        What to raise.
    """
    return RefusalError(400, -1121, f"Invalid symbol.{more}")


def invalid_value(name: str) -> RefusalError:
    """A parameter is outside of its bounds.

    Args:
        name: of the parameter.

    Returns:
        What to raise.
    """
    return RefusalError(400, -1130, f"Data sent for parameter '{name}' is not valid.")


def only_utc() -> RefusalError:
    """Bars of another time zone are wanted, which would be other bars."""
    return RefusalError(
        400, -1130, "Data sent for parameter 'timeZone' is not valid: bars are counted in UTC here."
    )


def invalid_combination() -> RefusalError:
    """Parameters exclude each other."""
    return RefusalError(400, -1128, "Combination of optional parameters invalid.")


def illegal_characters(name: str) -> RefusalError:
    """A parameter cannot be read.

    Args:
        name: of the parameter.

    Returns:
        What to raise.
    """
    return RefusalError(400, -1100, f"Illegal characters found in parameter '{name}'.")


def wrong_order() -> RefusalError:
    """StartTime lies after endTime."""
    return RefusalError(400, -1023, "Start time is greater than end time.")


def no_path() -> RefusalError:
    """Nothing is served there."""
    return RefusalError(404, -5000, "Path is invalid")


def later(text: str, seconds: float) -> RefusalError:
    """What is asked for is not there yet: 503, and when to ask again (real seconds).

    Args:
        text: without an end.
        seconds: rounded up, at least one.

    Returns:
        What to raise.
    """
    wait = max(1, math.ceil(seconds))
    return RefusalError(503, -1008, f"{text}, retry in {wait} s", {"Retry-After": str(wait)})


def too_many(text: str, seconds: float) -> RefusalError:
    """A limit is reached: 429, and when to ask again (real seconds).

    Args:
        text: without an end.
        seconds: rounded up, at least one.

    Returns:
        What to raise.
    """
    wait = max(1, math.ceil(seconds))
    return RefusalError(429, -1003, f"{text}, retry in {wait} s", {"Retry-After": str(wait)})


def named(minutes: Coverage, now: int) -> str:
    """Minutes in words: ``minutes 12:03 to 12:05``, with their day where that is not today's.

    Args:
        minutes: at least one.
        now: ms.

    Returns:
        Three ranges at most, and how many more there are.
    """

    def moment(at: int, day: int) -> str:
        form = "%H:%M" if at // DAY_MS == day else "%Y-%m-%d %H:%M"
        return datetime.fromtimestamp(at / 1000, UTC).strftime(form)

    today = now // DAY_MS
    parts = []
    for start, end in minutes.intervals[:_NAMED]:
        first, last = (
            moment(start, today),
            moment(end - MINUTE_MS, today if start // DAY_MS == today else start // DAY_MS),
        )
        parts.append(first if end - start == MINUTE_MS else f"{first} to {last}")
    if (more := len(minutes) - _NAMED) > 0:
        parts.append(f"{more} more ranges")
    return f"minute{'s' if minutes.minutes > 1 else ''} {', '.join(parts)}"
