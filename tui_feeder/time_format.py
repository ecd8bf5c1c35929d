"""Times and timeframes as people write them."""

from __future__ import annotations

import operator
import re
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import NamedTuple

_MINUTE_MS = 60_000
_DAY_MS = 1_440 * _MINUTE_MS
_DAY_SECONDS = 86_400
_UNITS = {"m": 60, "h": 3_600, "d": 86_400}
_MOMENT = re.compile(
    r"\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?(?:Z|[+-]\d{2}:\d{2})?)?", re.IGNORECASE
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: Instants as numbers: below these one is most likely in seconds, above them in micro- or nanoseconds.
_FIRST_MS, _END_MS = 631_152_000_000, 7_258_118_400_000  # 1990, 2200
_SCALES = (("seconds", 1_000, 1), ("microseconds", 1, 1_000), ("nanoseconds", 1, 1_000_000))


def parse_time(value: object) -> int:
    """Parses a moment.

    Args:
        value: RFC 3339 (``2026-02-21T12:00:00Z``) or a plain date; a date, which begins at midnight UTC; an
            aware or naive datetime, a pandas Timestamp or a numpy datetime64; or a whole number of ms since
            the epoch. What names no time zone is UTC.

    Returns:
        ms since the epoch.

    Raises:
        ValueError: no such moment, or not in the years 1970 to 2199; of a number that is hardly meant in ms
            the message names the unit it may be in. 0 is the beginning of all time.
        TypeError: none of these types.
    """
    if value is None or (isinstance(value, bool | float) and value == value):
        raise _no_type(value)
    if value != value:  # NaN, and the NaT of pandas and numpy
        raise ValueError(f"{value} is not a time")
    if isinstance(value, str):
        if not _MOMENT.fullmatch(value.strip()):
            raise ValueError(f"{value!r} is not a time: write 2026-02-21 or 2026-02-21T12:00:00Z (UTC)")
        try:
            return _of_datetime(datetime.fromisoformat(value.strip().upper()))
        except ValueError as error:
            raise ValueError(f"{value!r} is not a time: {error}") from None
    if isinstance(value, datetime):
        return _of_datetime(value)
    if isinstance(value, date):
        return _of_datetime(datetime.combine(value, time()))
    if type(value).__name__ == "datetime64" and hasattr(value, "astype"):  # numpy, without loading it
        return _within(int(value.astype("datetime64[ms]").astype("int64")), value)
    try:
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise _no_type(value) from None
    if number == 0 or _FIRST_MS <= number < _END_MS:
        return number
    for name, times, per in _SCALES:
        if _FIRST_MS <= number * times // per < _END_MS:
            better = number * times // per
            raise ValueError(
                f"{number} is not a time in ms since the epoch; it looks like {name}: write {better}"
            )
    raise ValueError(f"{number} is not a time in ms since the epoch (0, or of the years 1990 to 2199)")


def _no_type(value: object) -> TypeError:
    return TypeError(f"a time must be text, a date, a datetime or ms since the epoch, not {value!r}")


def _of_datetime(value: datetime) -> int:
    at = value if value.tzinfo is not None else value.replace(tzinfo=UTC)
    return _within(int((at - _EPOCH) // timedelta(milliseconds=1)), value)


def _within(ms: int, value: object) -> int:
    if not 0 <= ms < _END_MS:
        raise ValueError(f"{value} lies outside the years 1970 to 2199")
    return ms


class Anchor(NamedTuple):
    """Where a sum over time begins at zero: once, or again every so often."""

    at: int  # ms
    every: int  # ms; 0: once

    def before(self, moment: int) -> int:
        """Finds the beginning that holds at a moment.

        Args:
            moment: ms.

        Returns:
            ms; the only beginning where it is once, also if it lies after the moment.
        """
        return moment - (moment - self.at) % self.every if self.every else self.at


def parse_anchor(text: str) -> Anchor:
    """Parses where a sum begins.

    Args:
        text: ``day`` for midnight UTC of each day, ``08:00`` for that time of each day, UTC, as a session
            begins, or a moment as :func:`parse_time` takes it.

    Returns:
        The anchor, on a whole minute.

    Raises:
        ValueError: it is none of these.
    """
    if text == "day":
        return Anchor(0, _DAY_MS)
    if found := re.fullmatch(r"([01]\d|2[0-3]):([0-5]\d)", text):
        return Anchor((int(found[1]) * 60 + int(found[2])) * _MINUTE_MS, _DAY_MS)
    try:
        return Anchor(ceil_to_minute(parse_time(int(text) if text.isascii() and text.isdigit() else text)), 0)
    except ValueError as error:
        raise ValueError(f'an anchor is "day", a time of day such as 08:00, or a moment: {error}') from None


def time_zone(name: str) -> tzinfo | None:
    """Finds a time zone.

    Args:
        name: ``UTC``, ``local`` for that of this machine, or a name such as ``Europe/Berlin``.

    Returns:
        The zone; None for this machine's, as :meth:`datetime.datetime.fromtimestamp` understands it.

    Raises:
        ValueError: there is no such zone.
    """
    if name == "UTC":
        return UTC
    if name == "local":
        return None
    from zoneinfo import ZoneInfo  # few need it

    try:
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError) as error:
        raise ValueError(
            f'{name!r} is not a time zone: write "UTC", "local" or a name such as "Europe/Berlin"'
            " (on a small system the package tzdata may be missing)"
        ) from error


def parse_moment(text: str, now: int, zone: tzinfo | None) -> int:
    """Parses what a user types to go to a time.

    Args:
        text: ``14:30`` (the last one), ``02-03``, ``02-03 14:30``, ``2026-02-03``, ``2026-02-03 14:30``, RFC
            3339 with a zone, or ``-4h``, ``-3d``, ``-90m`` before now.
        now: ms.
        zone: of what names none; None for this machine's.

    Returns:
        ms.

    Raises:
        ValueError: none of these, or no such time; the text names the forms.
    """
    text = text.strip()
    if back := re.fullmatch(r"-(\d{1,6})([mhd])", text):
        return now - int(back[1]) * _UNITS[back[2]] * 1000
    found = re.fullmatch(r"(?:(?:(\d{4})-)?(\d{1,2})-(\d{1,2}))?(?:(?:^|[ T])(\d{1,2}):(\d{2}))?", text)
    if not text or found is None:
        try:
            return parse_time(text)
        except ValueError:
            raise ValueError("not a time; write 14:30, 02-03, 2026-02-03 14:30, -4h or -3d") from None
    year, month, day, hour, minute = (None if part is None else int(part) for part in found.groups())
    today = datetime.fromtimestamp(now / 1000, zone)
    try:
        wanted = datetime(
            year or today.year, month or today.month, day or today.day, hour or 0, minute or 0, tzinfo=zone
        )
        at = round(wanted.timestamp() * 1000)
        if at > now and month is None:
            at = round((wanted - timedelta(days=1)).timestamp() * 1000)
        elif at > now and year is None:
            at = round(wanted.replace(year=wanted.year - 1).timestamp() * 1000)
    except (ValueError, OverflowError, OSError) as error:
        raise ValueError(f"{text!r} is not a time: {error}") from error
    return _within(at, text)


def ceil_to_minute(ms: int) -> int:
    """Rounds up to a whole minute.

    Args:
        ms: a moment.

    Returns:
        ms.
    """
    return -(-ms // _MINUTE_MS) * _MINUTE_MS


def format_minute(ms: int) -> str:
    """Formats a whole minute as ``2026-02-21T12:00Z``, which :func:`parse_time` understands.

    Args:
        ms: the minute.

    Returns:
        The text.
    """
    return (_EPOCH + timedelta(milliseconds=ms)).strftime("%Y-%m-%dT%H:%MZ")


def format_second(ms: int) -> str:
    """A moment as ``2026-02-21 12:00:28Z``, for lines of the log.

    Args:
        ms: since the epoch.

    Returns:
        The second in which it lies, UTC.
    """
    return (_EPOCH + timedelta(milliseconds=ms)).strftime("%Y-%m-%d %H:%M:%SZ")


def format_day(ms: int) -> str:
    """Formats the UTC date of a moment as ``2026-02-21``.

    Args:
        ms: the moment.

    Returns:
        The text.
    """
    return (_EPOCH + timedelta(milliseconds=ms)).strftime("%Y-%m-%d")


def parse_timeframe(value: str | float) -> int:
    """Parses a timeframe: ``"5m"``, ``"4h"``, ``"1d"``, or seconds such as 300, of any type of number.

    Args:
        value: the timeframe.

    Returns:
        Seconds.

    Raises:
        ValueError: not a whole number of minutes that divides a day.
    """
    if isinstance(value, str):
        found = re.fullmatch(r"(\d{1,6})([mhd]?)", value.strip())
        seconds = int(found[1]) * _UNITS.get(found[2], 1) if found else 0
    else:  # of numpy and pandas too, and 300.0 as a spreadsheet has it
        try:
            number = 0.0 if isinstance(value, bool) else float(value)
        except (TypeError, ValueError, OverflowError):
            number = 0.0
        seconds = int(number) if number.is_integer() else 0
    if seconds < 60 or seconds % 60 or _DAY_SECONDS % seconds:
        raise ValueError(
            f"{value!r} is not a timeframe: write 1m, 5m, 15m, 1h, 4h, 1d or another that divides a day"
        )
    return seconds
