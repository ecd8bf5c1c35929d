"""Times and timeframes as people write them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

_MINUTE_MS = 60_000
_DAY_SECONDS = 86_400
_UNITS = {"m": 60, "h": 3_600, "d": 86_400}
_MOMENT = re.compile(
    r"\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,6})?)?(?:Z|[+-]\d{2}:\d{2})?)?", re.IGNORECASE
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def parse_moment(value: str | int | datetime) -> int:
    """A moment as ms since the epoch.

    Args:
        value: RFC 3339 (``2026-02-21T12:00:00Z``) or a plain date; an aware or naive datetime;
            or ms since the epoch. What names no time zone is UTC.

    Raises:
        ValueError: no such moment.
        TypeError: none of these types.
    """
    if isinstance(value, bool) or not isinstance(value, str | int | datetime):
        raise TypeError(f"a time must be text, a datetime or ms since the epoch, not {value!r}")
    if isinstance(value, int):
        return value
    if isinstance(value, str):
        if not _MOMENT.fullmatch(value.strip()):
            raise ValueError(f"{value!r} is not a time: write 2026-02-21 or 2026-02-21T12:00:00Z (UTC)")
        try:
            value = datetime.fromisoformat(value.strip().upper())
        except ValueError as error:
            raise ValueError(f"{value!r} is not a time: {error}") from None
    at = value if value.tzinfo is not None else value.replace(tzinfo=UTC)
    return (at - _EPOCH) // timedelta(milliseconds=1)


def whole_minute(ms: int) -> int:
    """The first whole minute at or after ``ms``."""
    return -(-ms // _MINUTE_MS) * _MINUTE_MS


def moment_text(ms: int) -> str:
    """A whole minute as ``2026-02-21T12:00Z``, which :func:`parse_moment` understands."""
    return (_EPOCH + timedelta(milliseconds=ms)).strftime("%Y-%m-%dT%H:%MZ")


def day_text(ms: int) -> str:
    """The UTC date of a moment, as ``2026-02-21``."""
    return (_EPOCH + timedelta(milliseconds=ms)).strftime("%Y-%m-%d")


def parse_timeframe(value: str | int) -> int:
    """Seconds of a timeframe: ``"5m"``, ``"4h"``, ``"1d"``, or seconds such as 300.

    Raises:
        ValueError: not a whole number of minutes that divides a day.
    """
    if isinstance(value, str):
        found = re.fullmatch(r"(\d{1,6})([mhd]?)", value.strip())
        seconds = int(found[1]) * _UNITS.get(found[2], 1) if found else 0
    else:
        seconds = value
    if seconds < 60 or seconds % 60 or _DAY_SECONDS % seconds:
        raise ValueError(
            f"{value!r} is not a timeframe: write 1m, 5m, 15m, 1h, 4h, 1d or another that divides a day"
        )
    return seconds
