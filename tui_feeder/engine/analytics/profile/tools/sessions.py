"""Trading sessions: named hours of the UTC day, which may go past midnight."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS

_FORM = re.compile(r"(?P<name>\S(?:.*\S)?) (?P<begin>\d\d:\d\d)-(?P<end>\d\d:\d\d)")
_DAY_MINUTES = DAY_MS // MINUTE_MS
#: The session that is always there: the whole UTC day.
UTC_DAY = "UTC"


class Session(NamedTuple):
    """Named hours of the UTC day."""

    name: str
    begin: int  # minute of the day
    end: int  # minute of the day, exclusive; at or before ``begin``: of the next day


class SessionSpan(NamedTuple):
    """A session of one day."""

    name: str
    start: int  # ms
    end: int  # ms, exclusive


def parse_session(text: str) -> Session:
    """Parses ``London 08:00-16:30``.

    Args:
        text: name, then hours in UTC.

    Returns:
        The session.

    Raises:
        ValueError: it is none; the message states the form.
    """
    match = _FORM.fullmatch(text)
    if match is None or match["name"] == UTC_DAY:
        raise ValueError(
            f"a session is a name other than {UTC_DAY} and hours in UTC, such as London 08:00-16:30, "
            f"not {text!r}"
        )
    return Session(match["name"], _minute(match["begin"], text), _minute(match["end"], text))


def _minute(clock: str, text: str) -> int:
    hours, minutes = int(clock[:2]), int(clock[3:])
    if minutes > 59 or hours * 60 + minutes > _DAY_MINUTES:
        raise ValueError(f"{clock} of the session {text!r} is no time of day: 00:00 to 24:00")
    return hours * 60 + minutes


def sessions_of(day: int, sessions: Sequence[Session]) -> list[SessionSpan]:
    """Lists the sessions that begin on a day, the whole UTC day first.

    Args:
        day: midnight UTC, ms.
        sessions: the named ones.

    Returns:
        Their spans, in the order given.
    """
    spans = [SessionSpan(UTC_DAY, day, day + DAY_MS)]
    for session in sessions:
        length = (session.end - session.begin) % _DAY_MINUTES or _DAY_MINUTES
        start = day + session.begin * MINUTE_MS
        spans.append(SessionSpan(session.name, start, start + length * MINUTE_MS))
    return spans
