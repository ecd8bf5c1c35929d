"""Days, minutes and incidents of a symbol as the store knows them."""

from __future__ import annotations

from tui_feeder.day_evidence import DayState, DayView, Incident, MinuteValue, MinuteView
from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS, Candle, Source, to_candles
from tui_feeder.engine.core.coverage import Coverage, span
from tui_feeder.engine.core.trade_ids import Link
from tui_feeder.engine.storage.evidence import links_of
from tui_feeder.engine.storage.live_agreement import Publication
from tui_feeder.engine.storage.minute_states import minute_states
from tui_feeder.engine.storage.store_reader import StoreReader

#: Days asked for at once, at most: a year and the days that fill its first and last week.
MOST_DAYS = 380
#: Minutes of a day that are listed, at most.
MOST_NOTED = 300
_HOUR_MS = 60 * MINUTE_MS
_PUBLISHED = {
    Publication.NONE: "",
    Publication.STOOD: "live",
    Publication.CORRECTED: "corrected",
    Publication.LATE: "late",
}


def days_of(store: StoreReader, symbol: str, start: int, end: int, now: int) -> tuple[DayView, ...]:
    """Describes the days of a symbol.

    Args:
        store: the store.
        symbol: the symbol.
        start: midnight, ms.
        end: midnight, ms, exclusive; at most :data:`MOST_DAYS` later.
        now: exchange ms: later minutes are not due.

    Returns:
        A view a day, ascending.
    """
    end = min(end, start + MOST_DAYS * DAY_MS)
    present, certified = store.present(symbol).clip(start, end), store.certified(symbol).clip(start, end)
    omitted, damaged = store.omitted(symbol), store.damaged_missing(symbol)
    unavailable = Coverage([(known.start, known.end) for known in store.unavailable(symbol)])
    low, high = (
        store.listed(symbol) or 0,
        min(now // MINUTE_MS * MINUTE_MS, store.delivery(symbol) or 1 << 53),
    )
    found = []
    for day in range(start, end, DAY_MS):
        due = Coverage([(a, b)] if (a := max(day, low)) < (b := min(day + DAY_MS, high)) else [])
        there, none = present.clip(day, day + DAY_MS), omitted.intersect(due)
        left = due.subtract(there).subtract(none)
        gone = damaged.intersect(left)
        hopeless = unavailable.intersect(left.subtract(gone))
        sure = certified.clip(day, day + DAY_MS).intersect(there).minutes
        agreement = store.live_agreement(symbol, day) if there else None
        missing = left.minutes - gone.minutes - hopeless.minutes
        if not due.subtract(none):
            state = DayState.NONE
        elif not there:
            state = DayState.UNKNOWN
        elif left:
            state = DayState.LACKING
        elif agreement is not None and agreement.corrected:
            state = DayState.CORRECTED
        else:
            state = DayState.CERTIFIED if sure == there.minutes else DayState.LIVE
        counts = (due.minutes, there.minutes, sure, none.minutes, hopeless.minutes, gone.minutes, missing)
        found.append(DayView(day, state, *counts, *(agreement or (0,) * 7)))
    return tuple(found)


def minute_of(store: StoreReader, symbol: str, open_time: int) -> MinuteView:
    """Describes a minute with every value it had.

    Args:
        store: the store.
        symbol: of which something is stored.
        open_time: of the minute, ms.

    Returns:
        What is known of it.
    """
    end = open_time + MINUTE_MS
    rows, sources = store.read_sourced(symbol, open_time, end)
    spans = minute_states(store, symbol, open_time, end, store.damaged(symbol))
    state = spans[0].state if spans else "missing"
    if len(rows) and not rows["trades"][0]:
        state = "quiet"
    values = [
        _value(old.candle, old.source, old.replaced_at) for old in store.replaced_values(symbol, open_time)
    ]
    values += [_value(now, int(source), None) for now, source in zip(to_candles(rows), sources, strict=True)]
    # An end is judged by what lies on both sides of it.
    ids = store.trade_ids(symbol, open_time - _HOUR_MS, end + _HOUR_MS)
    link, own = links_of(ids).get(open_time), ids.get(open_time)
    day = open_time // DAY_MS * DAY_MS
    published = Publication(store.publications(symbol, day)[(open_time - day) // MINUTE_MS])
    traded = own is not None and not own.quiet
    return MinuteView(
        open_time, state, open_time in store.certified(symbol), _PUBLISHED[published],
        own.first if own is not None and traded else None, own.last if own is not None and traded else None,
        "" if link is None else link.value, tuple(values),
    )  # fmt: skip


def noted_minutes_of(store: StoreReader, symbol: str, day: int) -> tuple[int, ...]:
    """Lists the minutes of a day that were corrected or came late, or whose trade ids did not join.

    Args:
        store: the store.
        symbol: the symbol.
        day: midnight, ms.

    Returns:
        Open times (ms), ascending, at most :data:`MOST_NOTED`.
    """
    noted = {Publication.CORRECTED, Publication.LATE}
    states = store.publications(symbol, day)
    found = {day + at * MINUTE_MS for at, state in enumerate(states) if state in noted}
    links = links_of(store.trade_ids(symbol, day - _HOUR_MS, day + DAY_MS + _HOUR_MS))
    found |= {at for at, link in links.items() if link is Link.BROKEN and day <= at < day + DAY_MS}
    return tuple(sorted(found)[:MOST_NOTED])


def _value(candle: Candle, source: int, until: int | None) -> MinuteValue:
    return MinuteValue._make((*candle.as_tuple()[1:], Source(source).name.lower(), until))


def incidents_of(store: StoreReader, symbol: str, start: int, end: int) -> list[Incident]:
    """Lists what happened to the minutes of a symbol.

    Args:
        store: the store.
        symbol: of which something is stored.
        start: ms, inclusive.
        end: ms, exclusive.

    Returns:
        By time; broken trade ids of the newest ten days.
    """
    found = [
        Incident(symbol, kind, a, b, text)
        for kind, minutes, text in (
            ("damaged", store.damaged_missing(symbol), "lost with a damaged day, not read again yet"),
            ("none_at_exchange", store.omitted(symbol), "archive and REST both skip them, for good"),
            ("outage", store.outages(symbol), "without a trade, as REST confirmed"),
        )
        for a, b in minutes.clip(start, end)
    ]
    for known in store.unavailable(symbol):
        found += [
            Incident(symbol, "unavailable", a, b, f"{known.reason}; {known.tries} tries")
            for a, b in span(known.start, known.end).clip(start, end)
        ]
    for correction in store.corrections(symbol):
        a, b = max(start, correction.start), min(end, correction.end)
        if a < b:
            text = "stored after later minutes, or with other values than before"
            found.append(Incident(symbol, "correction", a, b, text))
    certified = store.certified(symbol)
    for at, link in links_of(store.trade_ids(symbol, start - _HOUR_MS, end + _HOUR_MS)).items():
        if link is Link.BROKEN and start <= at < end:
            exact = "REST has confirmed it since" if at in certified else "nothing has confirmed it yet"
            text = f"the trades after it do not follow on its last one; {exact}"
            found.append(Incident(symbol, "trade_ids", at, at + MINUTE_MS, text))
    return sorted(found, key=lambda incident: (incident.start, incident.kind))
