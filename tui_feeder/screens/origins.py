"""Where values come from: those of a symbol from its candles, those of the configuration from its file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import tzinfo
from functools import partial

from tui_feeder.monitor import (
    DAY_MS,
    MINUTE_MS,
    PATIENCE_SECONDS,
    ConfiguredValue,
    ProfileView,
    Snapshot,
    SymbolView,
    TimeframeView,
    timeframe_label,
)
from tui_feeder.scanner.measures import (
    alignment,
    delta_percent,
    indicator_measures,
    level_price,
    range_percent,
    timeframe_of,
    value_position,
)
from tui_feeder.screens.details import value_sheet
from tui_feeder.screens.host import ScreenHost
from tui_feeder.widgets import cells
from tui_feeder.widgets.palette import Glyphs, Part, Role
from tui_feeder.widgets.popup import Choice, Popup
from tui_feeder.widgets.sheet import Sheet

#: Minutes by source in ``[start, end)`` as of the last closed minute.
Sources = Callable[[int, int, int | None], Mapping[str, int]]

_NAME, _VALUE = 10, 13  # cells
_ORIGIN = 16
_RULES = {"closes_vs_ema": "its last two closes against e{slow}", "ema_cross": "e{fast} against e{slow}"}
_PLACES = {"hi": "above the value area", "in": "inside the value area", "lo": "below the value area"}


def origins_sheet(host: ScreenHost) -> Sheet:
    """Describes each value of the selected symbol: what it is computed from, how old, what is missing.

    Args:
        host: the app.

    Returns:
        The popup.
    """
    view = host.grid.view
    assert view is not None
    symbol = view.symbol
    read: dict[tuple[int, int, int | None], Mapping[str, int]] = {}

    def sources(start: int, end: int, closed: int | None) -> Mapping[str, int]:
        key = (start, end, closed)
        if key not in read:
            if len(read) > 8:
                read.clear()
            read[key] = host.monitor.sources(symbol, start, end)
        return read[key]

    profiles: dict[object, ProfileView | None] = {}

    def profile(view: SymbolView) -> ProfileView | None:
        key = (view.last_closed, view.stored)  # an attached feeder answers a moment later
        if profiles.get(key) is None:
            profiles.clear()
            profiles[key] = host.monitor.profile(symbol, patience=PATIENCE_SECONDS)
        return profiles[key]

    stored: list[object] = []  # the state of the store that ``read`` belongs to

    def lines() -> list[list[Part]]:
        now = next((view for view in host.snapshot.symbols if view.symbol == symbol), None)
        if now is None:
            return [[(f"{symbol} is no longer followed", Role.WARN)]]
        if stored != [now.stored]:
            stored[:] = [now.stored]
            read.clear()
        configured = {c.key: c.value.strip('"') for c in host.configuration}
        rule = configured.get("technical_analysis.trend_rule", "")
        zone = host.palette.zone
        rows = _live(now, host.snapshot, zone)
        rows += _trends(now, host.snapshot, rule, host.palette.glyphs, zone)
        rows += _scanned(now, zone)
        rows += _indicators(now, host.snapshot, host.timeframe, zone)
        of_trades = now.poc is not None and configured.get("volume_profile.source") != "candles"
        rows += _profile(now, profile(now) if of_trades else None, zone)
        rows += _minutes(now, host.timeframe, sources, zone)
        return rows

    return Sheet(f"Where the values of {symbol} come from", lines, indent=_NAME + _VALUE + 1, copy=host.copy)


def _line(name: str, value: str, text: str, role: Role = Role.STRONG, mark: str = "") -> list[Part]:
    return [
        (cells.fit(name, _NAME), Role.MUTED), (cells.fit(value, _VALUE) + " ", role), (text, Role.TEXT),
        (f"  {mark}" if mark else "", Role.WARN),
    ]  # fmt: skip


def _live(view: SymbolView, snapshot: Snapshot, zone: tzinfo | None) -> list[list[Part]]:
    decimals, closed = view.price_decimals, cells.clock_text(view.last_closed, zone=zone)
    if view.forming is not None and view.last_frame is not None:
        age = cells.age_text(snapshot.exchange_time - view.last_frame, tenths=False)
        minute = cells.clock_text(view.forming.open_time, zone=zone)
        price = f"stream: minute {minute} in progress, frame {age} s old"
    else:
        price = f"close of minute {closed}; no newer frame" if view.last_closed else "no candle yet"
    state = view.reason or "frames arrive, minutes close"
    return [
        _line("state", view.state.value, state, Role.STRONG),
        _line("price", cells.price_text(view.price, decimals), price),
        _line("1m%", cells.percent_text(view.change_1m), f"price against the close of minute {closed}"),
        _line("24h%", cells.percent_text(view.change_24h), f"price against the close 24 h before {closed}"),
    ]


def _marks(state: TimeframeView) -> str:
    return " ".join(filter(None, ("warming~" if state.warming else "", "partial*" if state.partial else "")))


def _lacking(state: TimeframeView) -> str:
    if state.bars_lacking:
        return f"{state.bars_lacking:,} {'bar' if state.bars_lacking == 1 else 'bars'} after it missing"
    return f"{state.minutes_lacking} of its minutes missing"


def _trends(
    view: SymbolView, snapshot: Snapshot, rule: str, glyphs: Glyphs, zone: tzinfo | None
) -> list[list[Part]]:
    periods = snapshot.ema_periods
    basis = _RULES.get(rule, "by technical_analysis.trend_rule").format(
        fast=periods[0] if periods else "", slow=periods[-1] if periods else ""
    )
    signs = {"Buy": (glyphs.buy, Role.UP), "Sell": (glyphs.sell, Role.DOWN),
             "Neutral": (glyphs.neutral, Role.FLAT)}  # fmt: skip
    rows = []
    for state in view.timeframes:
        sign, role = signs.get(state.trend or "", ("?", Role.MUTED))
        value = f"{sign} {state.trend or 'unknown'}"
        closed = cells.clock_text(state.bar_time, zone=zone)
        text = f"closed bar {closed}: {basis}" if state.bar_time else "no bar yet"
        rows.append(_line(f"trend {timeframe_label(state.timeframe)}", value, text, role, _marks(state)))
        if state.partial:
            rows.append(_line("", "", _lacking(state)))
    return rows


def _scanned(view: SymbolView, zone: tzinfo | None) -> list[list[Part]]:
    """What the scanner makes of them: alignment, relative volume, range."""
    rows = []
    found = alignment(view)
    if found is not None:
        since = (
            "a trend changed before the stored history"
            if found.since is None
            else (f"no trend changed since {cells.moment_text(found.since, zone)}")
        )
        known = "" if found.complete else f" ({found.known} of {found.total} trends known)"
        rows.append(_line("alignment", f"{found.score:+d}", f"trends Buy less trends Sell{known}; {since}"))
    if view.relative_volume is not None:
        rows.append(_line("rvol", cells.ratio_text(view.relative_volume),
                          "last 15 min, in times of the median at that time of day, 14 days"))  # fmt: skip
    if (share := delta_percent(view.cvd_day, view.day_volume)) is not None:
        rows.append(_line("CVD day", cells.percent_text(share) + "%",
                          "takers bought less sold on the UTC day, of its volume"))  # fmt: skip
    if (reach := range_percent(view)) is not None:
        low, high = (cells.price_text(level_price(view, end), view.price_decimals) for end in ("low", "high"))
        rows.append(_line("range 24h", f"{reach:.2f}%", f"{low} to {high}, the price now included"))
    return rows


def _indicators(
    view: SymbolView, snapshot: Snapshot, timeframe: int, zone: tzinfo | None
) -> list[list[Part]]:
    state = timeframe_of(view, timeframe)
    if state is None or state.bar_time is None:
        return []
    label = timeframe_label(timeframe)
    rows = []
    for indicator, value in snapshot.values_of(state):
        text = f"closes of {label} bars up to {cells.clock_text(state.bar_time, zone=zone)}"
        text += "; too few bars so far" if value is None else ""
        digits = view.price_decimals if indicator.on_price else 2
        rows.append(_line(f"{indicator.label} {label}", cells.price_text(value, digits), text,
                          mark="warming~: its seed or gaps show" if state.warming else ""))  # fmt: skip
    for measure in indicator_measures(snapshot.indicators):
        if measure.percent and (distance := measure.value(view, timeframe)) is not None:
            first, last = (snapshot.indicators[place].label for place in measure.places)
            rows.append(_line(measure.heading, cells.percent_text(distance) + "%",
                              f"{first} against {last}, in percent of {last}"))  # fmt: skip
    return rows


def _profile(view: SymbolView, profile: ProfileView | None, zone: tzinfo | None) -> list[list[Part]]:
    if view.poc is None:
        return [_line("POC VWAP", cells.UNKNOWN, "no profile yet")]
    closed = view.last_closed or 0
    note: list[list[Part]] = []
    if view.profile_note:
        what, _, remedy = view.profile_note.partition(": ")
        note = [_line("rows", "!", what, Role.WARN), _line("", "", remedy)]
    label = cells.zone_text(closed, zone).removeprefix("Z")
    day = f"{cells.date_text(closed)} UTC up to {cells.clock_text(closed, zone=zone)}{label}"
    place = value_position(view)
    return [
        _line("POC", cells.price_text(view.poc, view.price_decimals),
              f"price row of most volume; {_basis(profile)} of {day}"),
        _line("VWAP", cells.price_text(view.vwap, view.price_decimals), "quote volume / volume of the same"),
        _line("VA", place or cells.UNKNOWN, f"{cells.price_text(view.val, view.price_decimals)} to "
              f"{cells.price_text(view.vah, view.price_decimals)}, price {_PLACES.get(place or '', '')}"),
        *note,
    ]  # fmt: skip


def _basis(profile: ProfileView | None) -> str:
    """What a profile is made of, and the share of each."""
    if profile is None or profile.bought is None or not profile.known_share:
        return "1m candles"
    known = cells.known_text(profile.exact_share, profile.known_share)
    if known == "exact":
        return "trades, exact,"
    return f"trades for {known} of the volume, 1m candles for the rest,"


def _minutes(view: SymbolView, timeframe: int, sources: Sources, zone: tzinfo | None) -> list[list[Part]]:
    if view.last_closed is None:
        return []
    closed = view.last_closed
    until, midnight = closed + MINUTE_MS, closed // DAY_MS * DAY_MS
    rows = []
    state = timeframe_of(view, timeframe)
    if state is not None and state.bar_time is not None:
        end = state.bar_time + timeframe * 1000
        rows.append(_counted(f"bar {cells.clock_text(state.bar_time, zone=zone)}", timeframe // 60,
                             sources(state.bar_time, end, closed)))  # fmt: skip
    rows.append(_counted("today", (until - midnight) // MINUTE_MS, sources(midnight, until, closed)))
    if view.revisions:
        text = "published minutes were corrected since the start, each as a new revision"
        rows.append(_line("revised", f"{view.revisions:,}", text))
    else:
        rows.append(_line("revised", "0", "no published minute was corrected since the start"))
    return rows


def _counted(name: str, wanted: int, found: Mapping[str, int]) -> list[Part]:
    there = sum(found.values())
    text = ", ".join(f"{count:,} {source}" for source, count in found.items()) or "not known"
    lacking = f"{wanted - there:,} missing" if found and there < wanted else ""
    return _line(name, f"{there:,}/{wanted:,}", f"minutes from {text}" if found else text, mark=lacking)


def configuration_list(host: ScreenHost) -> Popup:
    """Lists every value in force with its origin; Enter opens a sheet of one.

    Args:
        host: the app.

    Returns:
        The list.
    """

    def open_sheet(value: ConfiguredValue) -> None:
        host.open_overlay(value_sheet(host, value))

    choices = [
        Choice(cells.fit(_short(value.origin), _ORIGIN).rstrip(), f"{value.key} = {value.value}",
               partial(open_sheet, value))
        for value in host.configuration
    ]  # fmt: skip
    return Popup("Configuration", choices, searched=True)


def _short(origin: str) -> str:
    """``config.toml:12``, ``--symbols``, the variable without what they all begin with, ``default``."""
    kind, _, rest = origin.partition(" ")
    return rest.rpartition("/")[2] if kind == "file" and rest else rest or kind
