"""Numbers, ages and sizes as short texts that never exceed their cells.

Every function takes None for *unknown* and gives the unknown sign for it, never 0.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime, tzinfo

from rich.cells import cell_len, set_cell_size

UNKNOWN = "–"


def fit(text: str, width: int, right: bool = False) -> str:
    """Fits a text into cells, cut with an ellipsis; wide characters count two.

    Args:
        text: the text.
        width: cells.
        right: align at the right.

    Returns:
        A text of exactly ``width`` cells.
    """
    size = len(text) if text.isascii() else cell_len(text)
    if size > width:
        text = set_cell_size(text, width - 1) + "…" if width > 0 else ""
        size = width
    return " " * (width - size) + text if right else text + " " * (width - size)


def price_text(value: float | None, decimals: int, width: int = 10) -> str:
    """Formats a price with fewer decimals where they do not fit, scientific where none would be left.

    Args:
        value: the price; None if unknown.
        decimals: digits after the point.
        width: cells at most.

    Returns:
        The text.
    """
    if value is None:
        return UNKNOWN
    text = f"{value:.{decimals}f}"
    if len(text) <= width:
        return text
    if not value:
        return "0"
    whole = len(f"{value:.0f}")
    if whole + 2 <= width and value >= 10.0 ** (whole + 4 - width):
        return f"{value:.{width - whole - 1}f}"
    if whole <= width and value >= 10_000:
        return f"{value:.0f}"
    for digits in range(6, -1, -1):
        mantissa, exponent = f"{value:.{digits}e}".split("e")
        text = f"{mantissa}e{int(exponent)}"
        if len(text) <= width:
            break
    return text


def percent_text(value: float | None, width: int = 6) -> str:
    """Formats a percentage such as ``+0.12``; only what rounds to ``0.00`` has no sign.

    Args:
        value: percent; None if unknown.
        width: cells at most.

    Returns:
        The text, without a percent sign.
    """
    if value is None:
        return UNKNOWN
    if abs(value) < 0.005:
        return "0.00"
    for digits in (2, 1, 0):
        text = f"{value:+z.{digits}f}"
        if len(text) <= width:
            return text
    return (">" if value > 0 else "<") + f"{9 * 10 ** (width - 3):+.0f}"[: width - 1]


def age_text(milliseconds: int | None, tenths: bool = True) -> str:
    """Formats an age in at most four cells: ``0.3``, ``42``, ``17m``, ``2h``, ``5d``.

    Args:
        milliseconds: the age; None if unknown.
        tenths: show tenths of seconds below ten.

    Returns:
        The text.
    """
    if milliseconds is None:
        return UNKNOWN
    seconds = max(0, milliseconds) / 1000
    if seconds < 10 and tenths:
        return f"{seconds:.1f}"
    if seconds < 1000:
        return f"{seconds:.0f}"
    for size, unit in ((60, "m"), (3_600, "h"), (86_400, "d")):
        if seconds < 100 * size:
            return f"{seconds / size:.0f}{unit}"
    return f"{min(999, seconds / 86_400):.0f}d"


def minutes_text(milliseconds: int) -> str:
    """Writes a time that has passed, in at most four cells: ``12m``, ``2h``, ``3d``.

    Args:
        milliseconds: of it.

    Returns:
        The text.
    """
    minutes = max(0, milliseconds) // 60_000
    if minutes < 100:
        return f"{minutes}m"
    return f"{minutes // 60}h" if minutes < 6_000 else f"{min(999, minutes // 1_440)}d"


def ratio_text(value: float) -> str:
    """Writes how many times, in at most five cells: ``0.31``, ``3.2``, ``140``.

    Args:
        value: not negative.

    Returns:
        The text.
    """
    return f"{value:.2f}" if value < 0.995 else f"{value:.1f}" if value < 99.95 else count_text(value)


def duration_text(seconds: float | None) -> str:
    """Formats a time to wait: ``12s``, ``1m20s``, ``2h05m``, ``3d04h``.

    Args:
        seconds: the time; None if unknown.

    Returns:
        The text.
    """
    if seconds is None:
        return UNKNOWN
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole}s"
    if whole < 3_600:
        return f"{whole // 60}m{whole % 60:02d}s"
    if whole < 86_400:
        return f"{whole // 3_600}h{whole % 3_600 // 60:02d}m"
    return f"{whole // 86_400}d{whole % 86_400 // 3_600:02d}h"


def count_text(value: float | None) -> str:
    """Formats a count or volume in at most five cells: ``0.035``, ``812``, ``58.2k``, ``1.3M``, ``240B``.

    Args:
        value: the number; None if unknown.

    Returns:
        The text.
    """
    if value is None:
        return UNKNOWN
    for size, unit in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if value >= size * 0.9995:
            scaled = value / size
            return f"{scaled:.1f}{unit}" if scaled < 99.95 else f"{scaled:.0f}{unit}"
    if value >= 99.95 or value == int(value):
        return f"{value:.0f}"
    # Of a dear coin a minute's volume is a fraction.
    digits = 1 if value >= 9.995 else 2 if value >= 0.9995 else 3
    return f"{value:.{digits}f}" if value >= 0.0005 else "<.001"


def signed_text(value: float) -> str:
    """Formats a delta in at most six cells.

    Args:
        value: base asset; NaN if unknown.

    Returns:
        A short number with its sign, such as ``+12.3k``.
    """
    if math.isnan(value):
        return UNKNOWN
    return f"{'-' if value < 0 else '+'}{count_text(abs(value))}"


def known_text(exact_share: float, known_share: float) -> str:
    """Describes how volume at price is known, in at most five cells.

    Args:
        exact_share: of the volume that is of minutes whose trades are all there, 0..1.
        known_share: of the volume that is known by price, 0..1.

    Returns:
        ``exact``, ``97 %``, ``<1 %``, or ``~`` where all of it is guessed of candles.
    """
    if exact_share >= 1:
        return "exact"
    if known_share <= 0:
        return "~"
    return f"{min(99, int(known_share * 100))} %" if known_share >= 0.01 else "<1 %"


def bytes_text(value: int) -> str:
    """Formats a size: ``812 B``, ``58 kB``, ``31 MB``, ``1.2 GB``.

    Args:
        value: bytes.

    Returns:
        The text.
    """
    if value < 1_000:
        return f"{value} B"
    if value < 1_000_000:
        return f"{value / 1e3:.0f} kB"
    if value < 1_000_000_000:
        return f"{value / 1e6:.0f} MB"
    return f"{value / 1e9:.1f} GB"


def clock_text(milliseconds: int | None, seconds: bool = False, zone: tzinfo | None = UTC) -> str:
    """Formats a time of day, ``13:41`` or ``13:41:07``.

    Args:
        milliseconds: the moment, ms; None if unknown.
        seconds: show seconds.
        zone: time zone; None for this machine's.

    Returns:
        The text.
    """
    if milliseconds is None:
        return UNKNOWN
    moment = datetime.fromtimestamp(milliseconds / 1000, zone)
    return moment.strftime("%H:%M:%S" if seconds else "%H:%M")


def date_text(milliseconds: int, zone: tzinfo | None = UTC) -> str:
    """Formats a date, ``2026-02-03``.

    Args:
        milliseconds: the moment, ms.
        zone: time zone; None for this machine's.

    Returns:
        The text.
    """
    return datetime.fromtimestamp(milliseconds / 1000, zone).strftime("%Y-%m-%d")


def moment_text(milliseconds: int, zone: tzinfo | None = UTC, seconds: bool = False) -> str:
    """Formats day and time, ``02-03 13:41``.

    Args:
        milliseconds: the moment, ms.
        zone: time zone; None for this machine's.
        seconds: show seconds.

    Returns:
        The text.
    """
    moment = datetime.fromtimestamp(milliseconds / 1000, zone)
    return moment.strftime("%m-%d %H:%M:%S" if seconds else "%m-%d %H:%M")


def zone_offset(milliseconds: int, zone: tzinfo | None) -> int:
    """Computes how far the clocks of a zone are ahead of UTC.

    Args:
        milliseconds: the moment, ms: of summer time or not.
        zone: time zone; None for this machine's.

    Returns:
        ms; below 0 west of Greenwich.
    """
    if zone is UTC:
        return 0
    moment = datetime.fromtimestamp(milliseconds / 1000, zone)
    offset = (moment if zone is not None else moment.astimezone()).utcoffset()
    return 0 if offset is None else round(offset.total_seconds() * 1000)


def zone_text(milliseconds: int, zone: tzinfo | None) -> str:
    """Names a time zone in at most six cells: ``Z`` for UTC, ``CET``, ``+0530``.

    Args:
        milliseconds: the moment, ms: of summer time or not.
        zone: time zone; None for this machine's.

    Returns:
        What follows a time of day.
    """
    if zone is UTC:
        return "Z"
    moment = datetime.fromtimestamp(milliseconds / 1000, zone)
    name = (moment if zone is not None else moment.astimezone()).tzname() or ""
    if name in ("UTC", "GMT"):
        return "Z"
    return f" {name}" if name.isascii() and len(name) <= 5 else f" {moment.astimezone(zone):%z}"


def range_text(first: int, shown: int, total: int) -> str:
    """Describes which part of a list is in sight, ``31-52 of 600``.

    Args:
        first: index of the first line in sight, from 0.
        shown: lines in sight.
        total: lines there are.

    Returns:
        The text; empty where everything is in sight.
    """
    return f"{first + 1:,}-{first + shown:,} of {total:,}" if shown < total else ""
