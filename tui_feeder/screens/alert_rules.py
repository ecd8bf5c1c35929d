"""Rules of alerts on the screen: the list of them, and the form in which one is made or changed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import partial
from itertools import combinations

from tui_feeder.monitor import RulePlace, RuleValue, RuleView, Snapshot, SymbolView, timeframe_label
from tui_feeder.scanner.measures import delta_percent, level_price, timeframe_of
from tui_feeder.screens.host import ScreenHost
from tui_feeder.widgets import cells
from tui_feeder.widgets.form import Form, FormField
from tui_feeder.widgets.palette import Part, Role
from tui_feeder.widgets.popup import Choice, Popup

_WIDEST = 100
_KINDS = (
    ("price_cross", "price crosses"),
    ("trend_flip", "trend turns"),
    ("ema_cross", "EMAs cross"),
    ("volume_above", "volume above"),
    ("naked_poc_touch", "naked POC touched"),
    ("anchored_vwap_touch", "anchored VWAP touched"),
    ("delta_above", "delta above"),
    ("delta_below", "delta below"),
    ("cvd_divergence", "CVD diverges"),
    ("gap_open", "minutes missing"),
    ("stream_stale", "no frames"),
)
#: Kinds about the feeder itself, which concern no symbol; they are changed here, and made by hand.
_FEEDER_KINDS = (
    ("sink_lag", "sink behind"),
    ("disk_full", "disk full"),
    ("cluster_degraded", "no cluster group"),
)
#: Kinds that look at bars and at no EMA.
_ON_BARS_ALONE = ("trend_flip", "delta_above", "delta_below", "cvd_divergence")
_LEVELS = (("price", "a price"), ("poc", "POC"), ("vah", "VAH"), ("val", "VAL"), ("ema", "an EMA"))
_QUANTILES = tuple((name, name) for name in ("q90", "q75", "q50", "q25"))
_MEASURES = (
    ("volume", "volume"),
    ("taker_buy_volume", "taker buy volume"),
    ("avg_trade", "average trade"),
    ("trade_count", "trades"),
)
#: Fields that hold a number, by the key of the rule that they are.
_NUMBERS = {
    "price": "price",
    "hysteresis": "hysteresis_percent",
    "cooldown": "cooldown_seconds",
    "factor": "factor",
    "percent": "delta_percent",
    "delta": "delta",
    "seconds": "seconds",
}
#: Why a rule of the configuration stays as it is where no file is written into.
_NOT_WRITTEN = "it is of the configuration, which is not written here: a new one can be kept in the store"
_TEXTS = ("kind", "level", "quantile", "measure", "anchor")
_NAME = re.compile(r"[^A-Za-z0-9_]+")


def rules_list(host: ScreenHost) -> Popup:
    """The rules, those on the selected symbol first: Enter changes one, Delete deletes it.

    Args:
        host: whose snapshot has them.

    Returns:
        The list.
    """
    known, symbol = host.snapshot.alert_rules, host.grid.selected
    rules = sorted(known.rules, key=lambda rule: symbol is None or not rule.concerns(symbol))
    choices = []
    if not known.locked:
        about = f" on {symbol}" if symbol is not None else ""
        choices.append(Choice("+", f"new alert{about}", partial(_open_form, host, None)))
    for rule in rules:
        edit = partial(host.show_note, known.locked, 5.0)
        delete = edit
        if not known.locked:
            edit = partial(_open_form, host, rule)
            delete = partial(_ask_to_delete, host, rule)
        if _is_not_written(host, rule):
            delete = partial(host.show_note, f"rule {rule.name} stays: {_NOT_WRITTEN}", 5.0)
        choices.append(Choice("!" if rule.fault else " ", _rule_line(rule), edit, on_delete=delete))
    text = [("", known.locked)] if known.locked else []
    foot = " esc " if known.locked else " enter changes, del deletes, esc "
    title = f"Rules of alerts, {len(rules)}"
    return Popup(title, choices, searched=True, text=text, widest=_WIDEST, foot=foot, empty="there is none")


def rule_text(rule: RuleView) -> str:
    """Describes what a rule watches.

    Args:
        rule: the rule.

    Returns:
        Words such as ``price crosses 100,000``.
    """
    keys = rule.keys
    frame = keys.get("timeframe")
    on = f" on {timeframe_label(int(frame))}" if isinstance(frame, int | float) else ""
    periods = keys.get("periods", ())
    names = " ".join(map(str, periods)) if isinstance(periods, tuple | list) else ""
    match rule.kind:
        case "price_cross":
            price = keys.get("price")
            if isinstance(price, int | float):
                return f"price crosses {_plain(price)}"
            level = str(keys.get("level", ""))
            return f"price crosses EMA {names}{on}" if level == "ema" else f"price crosses {level.upper()}"
        case "trend_flip":
            return f"trend{on} turns"
        case "ema_cross":
            return f"EMA {names or 'shortest and longest'} cross{on}"
        case "naked_poc_touch":
            return "naked POC touched"
        case "anchored_vwap_touch":
            return f"VWAP since {keys.get('anchor')} touched"
        case "volume_above":
            measure = str(keys.get("measure", "volume")).replace("_", " ")
            return f"{measure} above {keys.get('factor', 1)} x {keys.get('quantile', 'q90')}"
        case "delta_above" | "delta_below":
            side = rule.kind.removeprefix("delta_")
            if isinstance(delta := keys.get("delta"), int | float):
                return f"delta{on} {side} {_plain(delta)}"
            return f"delta{on} {side} {keys.get('delta_percent', 50 if side == 'above' else -50)} %"
        case "cvd_divergence":
            return f"CVD diverges{on}"
    words = dict(_KINDS + _FEEDER_KINDS).get(rule.kind, rule.kind)
    seconds = keys.get("seconds")
    return f"{words} for {seconds:g} s" if isinstance(seconds, int | float) else words


def _rule_line(rule: RuleView) -> str:
    symbols = "" if rule.kind in dict(_FEEDER_KINDS) else f" · {', '.join(rule.symbols)}"
    fault = f" · not in force: {rule.fault}" if rule.fault else ""
    return f"{rule.name}  {rule_text(rule)}{symbols} · {rule.place}{fault}"


def _open_form(host: ScreenHost, rule: RuleView | None) -> None:
    host.open_overlay(rule_form(host, rule))


def _ask_to_delete(host: ScreenHost, rule: RuleView) -> None:
    def delete() -> None:
        host.when_done(host.monitor.delete_rule(rule), done)

    def done(fault: str) -> None:
        host.show_note(fault or f"deleted: rule {rule.name}", 8.0 if fault else 2.0)

    where = host.snapshot.alert_rules.file if rule.place == "configuration" else "the store"
    choices = [Choice("y", f"delete it from {where}", delete), Choice("n", "keep it", lambda: None)]
    host.open_overlay(Popup(f"Delete the rule {rule.name}?", choices, text=[("", rule_text(rule))]))


def rule_form(host: ScreenHost, rule: RuleView | None) -> Form:
    """The form for a new rule on the selected symbol, or for one there is.

    Args:
        host: whose monitor saves it.
        rule: to change; None for a new one.

    Returns:
        The form, which closes itself once the rule is saved.
    """
    symbol = host.grid.selected or ""
    if rule is not None and not rule.concerns(symbol):
        named = next((view.symbol for view in host.snapshot.symbols if rule.concerns(view.symbol)), "")
        symbol = named or symbol

    def take(values: Mapping[str, str]) -> None:
        try:
            made = _rule_of(values, host.snapshot, symbol, rule)
        except ValueError as fault:
            form.refuse(str(fault))
            return
        if rule is not None and _is_not_written(host, rule):
            form.refuse(f"cannot be changed: {_NOT_WRITTEN}")
            return
        host.when_done(host.monitor.save_rule(made, "" if rule is None else rule.name), partial(done, made))

    def done(made: RuleView, fault: str) -> None:
        if fault:
            form.refuse(fault)
            host.show_note(fault, 5.0)  # the form may have been closed
            return
        host.close_overlay(form)
        host.show_note(f"saved: {made.name}, {rule_text(made)}")

    form = Form(
        f"New alert on {symbol}" if rule is None else f"Rule {rule.name}",
        lambda values: _fields(values, host.snapshot, symbol, rule),
        _first_values(rule, _view_of(host.snapshot, symbol), symbol, host.timeframe),
        lambda: _now_lines(host, symbol),
        take,
    )
    if rule is not None and rule.fault:
        form.refuse(f"not in force: {rule.fault}")
    elif rule is not None and _is_not_written(host, rule):
        form.refuse(f"cannot be changed: {_NOT_WRITTEN}")
    return form


def _is_not_written(host: ScreenHost, rule: RuleView) -> bool:
    """Whether the rule is of a configuration that rules are not written into, as in a demo."""
    return rule.place == "configuration" and not host.snapshot.alert_rules.file


def _view_of(snapshot: Snapshot, symbol: str) -> SymbolView | None:
    return next((view for view in snapshot.symbols if view.symbol == symbol), None)


def _first_values(
    rule: RuleView | None, view: SymbolView | None, symbol: str, timeframe: int
) -> dict[str, str]:
    """The values of the fields when the form opens."""
    price = "" if view is None or view.price is None else f"{view.price:.{view.price_decimals}f}"
    if rule is None:
        return {"price": price, "timeframe": str(timeframe), "hysteresis": "0.1", "symbols": symbol}
    keys = rule.keys
    values = {name: _plain(keys[key]) for name, key in _NUMBERS.items() if key in keys}
    values |= {name: str(keys[name]) for name in _TEXTS if name in keys}
    if "price" in keys:
        values["level"] = "price"
    values["timeframe"] = str(keys.get("timeframe", timeframe))
    periods = keys.get("periods", ())
    values["periods"] = " ".join(map(str, periods)) if isinstance(periods, tuple | list) else str(periods)
    return {"price": price} | values | {"symbols": ", ".join(rule.symbols), "name": rule.name}


def _fields(
    values: Mapping[str, str], snapshot: Snapshot, symbol: str, rule: RuleView | None
) -> list[FormField]:
    """The fields that the kind and the level need."""
    known = snapshot.alert_rules
    view = _view_of(snapshot, symbol)
    kind, level = values.get("kind", "price_cross"), values.get("level", "price")
    of_feeder = rule is not None and rule.kind in dict(_FEEDER_KINDS)
    kinds = tuple(item for item in _FEEDER_KINDS if rule is not None and item[0] == rule.kind)
    fields = [FormField("kind", "alert when", kinds if of_feeder else _KINDS)]
    if kind == "price_cross":
        fields.append(FormField("level", "level", _LEVELS, beside=_level_text(view, level)))
        if level == "price":
            fields.append(FormField("price", "price", most=24, beside=_distance_text(view, values)))
    if kind in (*_ON_BARS_ALONE, "ema_cross") or (kind == "price_cross" and level == "ema"):
        fields += _bar_fields(values, snapshot, view, kind)
    if kind in ("delta_above", "delta_below"):
        usual = "50" if kind == "delta_above" else "-50"
        fields += [
            FormField("percent", "delta", most=12, beside=f"% of the bar's volume; empty: {usual}"),
            FormField("delta", "or", most=16, beside="in the base asset"),
        ]
    if kind == "volume_above":
        rvol = "" if view is None or view.relative_volume is None else cells.ratio_text(view.relative_volume)
        fields += [
            FormField("measure", "measure", _MEASURES, beside="of a closed minute"),
            FormField("quantile", "quantile", _QUANTILES, beside="of the look-back window"),
            FormField("factor", "times", most=12, beside=f"RVOL now {rvol}" if rvol else "empty: 1"),
        ]
    if kind == "anchored_vwap_touch":
        fields.append(FormField("anchor", "since", most=24, beside="a date or time (UTC): 2026-01-01"))
    if kind in ("gap_open", "stream_stale") or of_feeder:
        fields.append(FormField("seconds", "for", most=12, beside=_seconds_text(snapshot, view, kind)))
    if kind in ("price_cross", "ema_cross", "volume_above", "anchored_vwap_touch"):
        fields.append(FormField("hysteresis", "hysteresis", most=12, beside=_hysteresis_text(view, values)))
    fields.append(FormField("cooldown", "cool-down", most=12, beside=f"s; empty: {known.cooldown_seconds:g}"))
    if not of_feeder:
        fields.append(FormField("symbols", "symbols", most=2_000, beside="names, patterns, ALL"))
    places: list[RulePlace] = [rule.place] if rule is not None else ["store"]
    if rule is None and known.file:
        places.insert(0, "configuration")
    in_file = values.get("place", places[0]) == "configuration"
    fields.append(
        FormField(
            "place",
            "keep in",
            tuple((place, place) for place in places),
            beside="/".join(known.file.split("/")[-2:]) if in_file else "survives restarts",
            hint=known.file if in_file else "the store of the feeder, not in the configuration",
        )
    )
    automatic = "" if values.get("name") else f"empty: {_automatic_name(values, known.rules, symbol)}"
    return [*fields, FormField("name", "name", most=64, beside=automatic)]


def _bar_fields(
    values: Mapping[str, str], snapshot: Snapshot, view: SymbolView | None, kind: str
) -> list[FormField]:
    """Timeframe, and the EMAs of it."""
    frames = tuple((str(frame), timeframe_label(frame)) for frame in snapshot.timeframes)
    state = timeframe_of(view, _whole(values.get("timeframe", "0"))) if view is not None else None
    now = ""
    if state is not None and kind == "trend_flip":
        now = f"now {state.trend or 'unknown'}"
    elif state is not None and kind.startswith("delta_"):
        now = f"now {cells.percent_text(delta_percent(state.delta, state.volume)).strip()} %"
    elif state is not None and kind == "cvd_divergence":
        now = f"now {state.divergence or 'none'}"
    elif state is not None and view is not None:
        emas = [(i.label, value) for i, value in snapshot.values_of(state) if i.kind == "ema"]
        now = "  ".join(f"{label} {cells.price_text(value, view.price_decimals)}" for label, value in emas)
    fields = [FormField("timeframe", "bars", frames, beside=now)]
    if kind not in _ON_BARS_ALONE:
        groups = combinations(snapshot.ema_periods, 2 if kind == "ema_cross" else 1)
        periods = tuple(
            (" ".join(map(str, group)), "EMA " + " and ".join(map(str, group))) for group in groups
        )
        fields.append(FormField("periods", "EMA", periods or (("", "none is computed"),)))
    return fields


def _level_text(view: SymbolView | None, level: str) -> str:
    if view is None or level in ("price", "ema"):
        return ""
    value = level_price(view, level)
    if value is None:
        return "not known yet"
    return f"{cells.price_text(value, view.price_decimals)}{_percent_from(view, value)}"


def _percent_from(view: SymbolView, level: float) -> str:
    """How far the price is from a level, in percent of the level."""
    if view.price is None or not level:
        return ""
    return f", price {cells.percent_text((view.price - level) / level * 100).strip()}% from it"


def _distance_text(view: SymbolView | None, values: Mapping[str, str]) -> str:
    if view is None or view.price is None:
        return "no price yet"
    now = f"now {cells.price_text(view.price, view.price_decimals).strip()}"
    try:
        wanted = _number("price", values.get("price", ""))
    except ValueError:
        return now
    return (
        now
        if not wanted
        else now + f", {cells.percent_text((wanted - view.price) / view.price * 100).strip()}%"
    )


def _hysteresis_text(view: SymbolView | None, values: Mapping[str, str]) -> str:
    try:
        percent = _number("hysteresis", values.get("hysteresis", ""))
    except ValueError:
        percent = None
    text = "% of the level; empty: 0.1"
    if percent is None or view is None or view.price is None or values.get("kind") == "volume_above":
        return text
    size = cells.price_text(view.price * percent / 100, view.price_decimals).strip()
    return f"% of the level, here {size}"


def _seconds_text(snapshot: Snapshot, view: SymbolView | None, kind: str) -> str:
    if view is not None and kind == "gap_open":
        return f"s; missing now {view.missing_minutes} min; empty: 300"
    if view is not None and kind == "stream_stale" and view.last_frame is not None:
        return f"s; last frame {cells.age_text(snapshot.exchange_time - view.last_frame)} s ago; empty: 300"
    return "s; empty: 300" if kind in ("gap_open", "stream_stale") else "s"


def _now_lines(host: ScreenHost, symbol: str) -> list[list[Part]]:
    """What is true of the symbol now: price, levels, EMAs and trends of every timeframe."""
    snapshot = host.snapshot
    view = _view_of(snapshot, symbol)
    if view is None or view.price is None:
        return []
    digits = view.price_decimals
    price = cells.price_text(view.price, digits).strip()
    first: list[Part] = [(f"now {symbol} ", Role.MUTED), (price, Role.STRONG)]
    for name in ("poc", "vah", "val", "vwap"):
        if (value := level_price(view, name)) is not None:
            first += [
                (f"  {name.upper()} ", Role.MUTED),
                (cells.price_text(value, digits).strip(), Role.TEXT),
            ]
    lines = [first]
    signs = {"Buy": (host.palette.glyphs.buy, Role.UP), "Sell": (host.palette.glyphs.sell, Role.DOWN),
             "Neutral": (host.palette.glyphs.neutral, Role.FLAT)}  # fmt: skip
    for state in view.timeframes:
        sign, role = signs.get(state.trend or "", ("?", Role.MUTED))
        parts: list[Part] = [(f"{timeframe_label(state.timeframe):>3} ", Role.MUTED),
                             (f"{sign} {state.trend or 'unknown':<8}", role)]  # fmt: skip
        for indicator, value in snapshot.values_of(state):
            if indicator.on_price:
                parts += [(f" {indicator.label} ", Role.MUTED), (cells.price_text(value, digits), Role.TEXT)]
        lines.append(parts)
    return lines


def _rule_of(values: Mapping[str, str], snapshot: Snapshot, symbol: str, before: RuleView | None) -> RuleView:
    """The rule that the values state.

    Raises:
        ValueError: one of them is no number, or there is no symbol.
    """
    kind, level = values["kind"], values.get("level", "")
    shown = {field.name for field in _fields(values, snapshot, symbol, before)}
    keys: dict[str, RuleValue] = {"kind": kind}
    if "symbols" in shown:
        symbols = tuple(dict.fromkeys(re.split(r"[\s,]+", values.get("symbols", "").strip(" ,"))))
        if symbols == ("",):
            raise ValueError("symbols: name at least one, or ALL")
        keys["symbols"] = symbols
    if "level" in shown and level != "price":
        keys["level"] = level
    if "timeframe" in shown:
        keys["timeframe"] = int(values["timeframe"])
    if "periods" in shown and values["periods"]:
        keys["periods"] = tuple(map(int, values["periods"].split()))
    keys |= {name: values[name] for name in ("quantile", "measure") if name in shown}
    if "anchor" in shown:
        if not (anchor := values.get("anchor", "").strip()):
            raise ValueError("since: state where the VWAP begins")
        keys["anchor"] = anchor
    for name, key in _NUMBERS.items():
        if name in shown and (number := _number(name, values.get(name, ""))) is not None:
            keys[key] = number
    if "price" in shown and "price" not in keys:
        raise ValueError("price: state the price to cross")
    name = values.get("name", "").strip() or _automatic_name(values, snapshot.alert_rules.rules, symbol)
    place: RulePlace = "store" if values["place"] == "store" else "configuration"
    return RuleView(name, keys, place)


def _automatic_name(values: Mapping[str, str], rules: Sequence[RuleView], symbol: str) -> str:
    """A name made of what is watched, that no rule has yet."""
    kind, level = values.get("kind", "price_cross"), values.get("level", "price")
    words = {"price_cross": level, "trend_flip": "trend", "volume_above": "volume", "gap_open": "gap",
             "cvd_divergence": "divergence"}  # fmt: skip
    words |= {"naked_poc_touch": "naked-poc", "anchored_vwap_touch": "vwap"}
    parts = [symbol, words.get(kind, kind)]
    if kind in (*_ON_BARS_ALONE, "ema_cross") or (kind == "price_cross" and level == "ema"):
        parts.append(timeframe_label(_whole(values.get("timeframe", "60")) or 60))
    name = "-".join(part for part in (_NAME.sub("-", part).strip("-") for part in parts) if part)[:60]
    taken = {rule.name for rule in rules}
    return next(
        made for n in range(1, len(taken) + 2) if (made := name if n == 1 else f"{name}-{n}") not in taken
    )


def _number(name: str, text: str) -> float | None:
    """The number in a field; None where it is empty.

    Raises:
        ValueError: it is none; the message names the field.
    """
    plain = text.replace(",", "").replace("_", "").strip()
    if not plain:
        return None
    try:
        return float(plain)
    except ValueError:
        raise ValueError(f"{name}: {text!r} is no number, as 100000 or 0.25") from None


def _whole(text: str) -> int:
    return int(text) if text.isdecimal() else 0


def _plain(value: object) -> str:
    """A number as people type it."""
    if isinstance(value, float):
        text = format(Decimal(repr(value)), "f")
        return text.removesuffix(".0")
    return str(value)
