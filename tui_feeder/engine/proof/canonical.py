"""The canonical bytes of a symbol's day: one text for equal minutes, whoever writes it. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Decimal
from hashlib import sha256

import numpy as np
import orjson
from numpy.typing import NDArray

from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS, MINUTES_PER_DAY, ROW, Rows
from tui_feeder.engine.core.coverage import Coverage

#: Of a minute that is there with trades, without any, and of those that are not there.
PRESENT, QUIET, NONE_AT_EXCHANGE, UNAVAILABLE, MISSING = "p", "q", "n", "u", "m"
#: The fields of a line after its time.
FIELDS = ("state", *(ROW.names or ())[1:])
_NUMBERS = FIELDS[1:]
_HOURS, _MINUTES = 24, 60
_DIGITS = 4  # hex digits of each digest of a locator
_TIMES = [f"{minute // 60:02}{minute % 60:02}".encode() for minute in range(MINUTES_PER_DAY)]
_EXPONENT = re.compile(rb"[0-9.]+e[-+]?[0-9]+")


def _without_exponent(number: re.Match[bytes]) -> bytes:
    return format(Decimal(number[0].decode()), "f").encode()


def _numbers(rows: Rows) -> list[bytes]:
    """The numbers of each row with commas between them, as shortest decimals.

    The digits are made by one call in C, which holds the interpreter for about half a millisecond a day.
    """
    values: NDArray[np.float64] = np.empty((len(rows), len(_NUMBERS)))
    for at, name in enumerate(_NUMBERS):
        values[:, at] = rows[name]
    values += 0.0  # of a negative zero, zero
    text = orjson.dumps(values, option=orjson.OPT_SERIALIZE_NUMPY)
    if b"e" in text:
        text = _EXPONENT.sub(_without_exponent, text)
    return text.replace(b".0,", b",").replace(b".0]", b"]")[2:-2].split(b"],[")


def canonical_lines(day: int, rows: Rows, absent: Iterable[tuple[str, Coverage]] = ()) -> list[bytes]:
    """Writes a day of minutes as canonical lines.

    Args:
        day: midnight, ms.
        rows: shape (n,), dtype ROW, of that day, sorted, unique.
        absent: states of minutes that have no row; what no state is given for is missing.

    Returns:
        A line a minute, without its newline: ``HHMM,state,open,high,low,close,volume,quote_volume,trades,
        taker_buy_volume,taker_buy_quote_volume``.
    """
    empty = b"," * len(_NUMBERS)
    lines = [b"%b,%b%b" % (time, MISSING.encode(), empty) for time in _TIMES]
    for state, minutes in absent:
        for start, end in minutes.clip(day, day + DAY_MS):
            for at in range((start - day) // MINUTE_MS, (end - day) // MINUTE_MS):
                lines[at] = b"%b,%b%b" % (_TIMES[at], state.encode(), empty)
    if len(rows):
        minutes_of_day = ((rows["open_time"] - day) // MINUTE_MS).tolist()
        states = np.where(rows["trades"] == 0, QUIET.encode(), PRESENT.encode()).tolist()
        for at, state, numbers in zip(minutes_of_day, states, _numbers(rows), strict=True):
            lines[at] = b"%b,%b,%b" % (_TIMES[at], state, numbers)
    return lines


def canonical_bytes(lines: list[bytes]) -> bytes:
    """Joins the lines of a day.

    Args:
        lines: of :func:`canonical_lines`.

    Returns:
        UTF-8, a newline after each line.
    """
    return b"\n".join(lines) + b"\n"


def state_counts(lines: list[bytes]) -> dict[str, int]:
    """Counts the minutes of each state.

    Args:
        lines: of :func:`canonical_lines`.

    Returns:
        By state, those that occur.
    """
    states = b"".join([line[5:6] for line in lines]).decode()
    return {state: states.count(state) for state in sorted(set(states))}


def locator(lines: list[bytes]) -> str:
    """Computes short digests that show where two days differ.

    Of 24 hours, of the same minute of all hours (60), and of each field (10): where one minute differs, one
    of each kind does.

    Args:
        lines: of :func:`canonical_lines`.

    Returns:
        The first four hex digits of each SHA-256, one after the other: 376 characters.
    """
    parts: list[list[bytes]] = [lines[hour * _MINUTES :][:_MINUTES] for hour in range(_HOURS)]
    parts += [lines[minute::_MINUTES] for minute in range(_MINUTES)]
    values, width = b",".join(lines).split(b","), 1 + len(FIELDS)  # one list, not one a line: see gc
    parts += [values[at::width] for at in range(1, width)]
    return "".join(sha256(canonical_bytes(part)).hexdigest()[:_DIGITS] for part in parts)


def differing_places(lines: list[bytes], other: str) -> str:
    """Names where a day differs from another, of which the locator is known.

    Args:
        lines: of :func:`canonical_lines`.
        other: the locator of the other one.

    Returns:
        Minutes (UTC) and fields in words; empty where none differ.
    """
    here = locator(lines)
    odd = [
        at
        for at in range(len(here) // _DIGITS)
        if here[at * _DIGITS :][:_DIGITS] != other[at * _DIGITS :][:_DIGITS]
    ]
    minutes = [at - _HOURS for at in odd if _HOURS <= at < _HOURS + _MINUTES]
    times = [f"{hour:02}:{minute:02}" for hour in odd if hour < _HOURS for minute in minutes]
    fields = [name for at, name in enumerate(FIELDS, _HOURS + _MINUTES) if at in odd]
    if not odd:
        return ""
    more = f" and at most {len(times) - 8} others" if len(times) > 8 else ""
    return f"minute {', '.join(times[:8])}{more}, field {', '.join(fields)}"
