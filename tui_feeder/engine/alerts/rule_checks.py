"""How each kind of rule looks at a minute or at the feeder's health. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TypeVar

from tui_feeder.configuration.sections.alerts import AlertKind
from tui_feeder.engine.alerts.level_watch import LevelsBefore, LevelWatch
from tui_feeder.engine.alerts.rules import (
    ON_PAST_DAYS,
    QUIET,
    TROUBLES,
    UNSEEN,
    Alert,
    Condition,
    Finding,
    Health,
    Rule,
    RuleState,
    SavedState,
    alert_for,
)
from tui_feeder.engine.analytics.delta import DIVERGENCE_BARS
from tui_feeder.engine.analytics.message import (
    Message,
    delta_name,
    divergence_name,
    indicator_name,
    span_name,
    trend_name,
)
from tui_feeder.engine.analytics.quantiles import PROBABILITIES
from tui_feeder.engine.core.candle import Candle, timeframe_label

_Found = TypeVar("_Found")
_INSTANT = 0.001  # seconds: of a gap that was found just now
_QUANTILES = tuple(f"q{round(100 * p)}" for p in PROBABILITIES)


class AlertRules:
    """The rules, and what is known of each of their symbols.

    Args:
        rules: each with a name of its own.
        longest: the longest period of the EMAs, which trends rest on; None without EMAs.
    """

    def __init__(self, rules: Sequence[Rule], longest: int | None) -> None:
        self.rules = tuple(rules)
        self.held_back = 0  # changes that came within the cool-down of an alert
        #: Symbols and sinks of which something else is known than when this was emptied.
        self.changed: set[str] = set()
        self._minute_rules = tuple(rule for rule in rules if rule.kind not in TROUBLES)
        self._trouble_rules = tuple(rule for rule in rules if rule.kind in TROUBLES)
        self._longest = longest
        self._of_symbol: dict[str, tuple[tuple[Rule, RuleState], ...]] = {}
        self._troubles: dict[tuple[Rule, str], RuleState] = {}
        self._known: dict[tuple[Rule, str], RuleState] = {}  # not checked yet since they were saved
        self._watches: dict[str, LevelWatch] = {}  # of symbols with rules in ON_PAST_DAYS

    @property
    def watches_health(self) -> bool:
        """Whether there are rules about the feeder itself."""
        return bool(self._trouble_rules)

    def minute(self, candle: Candle, message: Message) -> list[Alert]:
        """Evaluates the rules for the next closed minute of a symbol.

        Args:
            candle: the minute.
            message: its message.

        Returns:
            Alerts, with the minute's close.
        """
        symbol = message.symbol
        states = self._of_symbol.get(symbol)
        if states is None:
            states = self._begin_symbol(symbol)
        watch = self._watches.get(symbol)
        if watch is not None and watch.wanted is not None:
            watch.hold(candle, message)
            now = tuple(item for item in states if item[0].kind not in ON_PAST_DAYS)
            return self._evaluated(now, candle, message)
        if watch is not None:
            watch.add(candle, message)
        return self._evaluated(states, candle, message)

    def _begin_symbol(self, symbol: str) -> tuple[tuple[Rule, RuleState], ...]:
        concerned = [rule for rule in self._minute_rules if rule.concerns(symbol)]
        if any(rule.kind in ON_PAST_DAYS for rule in concerned):
            anchors = sorted({rule.anchor for rule in concerned if rule.anchor is not None})
            self._watches[symbol] = LevelWatch(tuple(anchors), wanted=0)
        states = tuple((rule, self._known.pop((rule, symbol), RuleState())) for rule in concerned)
        self._of_symbol[symbol] = states
        return states

    def _evaluated(
        self, states: Sequence[tuple[Rule, RuleState]], candle: Candle, message: Message
    ) -> list[Alert]:
        found = []
        for rule, state in states:
            before = state.saved()
            seen = _CHECKS[rule.kind](self, rule, state, candle, message)
            found.append(self._alert_for(rule, state, seen, message.symbol, message.timestamp, before))
        return [alert for alert in found if alert is not None]

    def wanting_levels(self) -> list[tuple[str, int, tuple[int, ...]]]:
        """Lists the symbols whose levels of past days are needed.

        Returns:
            Symbol, open time (ms) of the minute before which they are needed, and anchors (ms).
        """
        return [
            (symbol, watch.waiting[0][0].open_time, watch.anchors)
            for symbol, watch in self._watches.items()
            if watch.waiting
        ]

    def begin_levels(self, symbol: str, before: int, levels: LevelsBefore) -> list[Alert]:
        """Takes the levels of past days of a symbol, and evaluates the minutes that waited for them.

        Args:
            symbol: the symbol.
            before: open time (ms) of the minute before which they are.
            levels: what was read.

        Returns:
            Alerts, each with the close of its minute.
        """
        watch = self._watches.get(symbol)
        if watch is None or not watch.waiting or watch.waiting[0][0].open_time != before:
            return []  # the rules, or the minutes that wait, are others meanwhile
        watch.begin(levels)
        states = [item for item in self._of_symbol[symbol] if item[0].kind in ON_PAST_DAYS]
        waiting, watch.waiting = watch.waiting, []
        found = []
        for candle, message in waiting:
            watch.add(candle, message)
            found += self._evaluated(states, candle, message)
        return found

    def health(self, health: Health) -> list[Alert]:
        """Evaluates the rules of health.

        Args:
            health: the feeder's health.

        Returns:
            Alerts.
        """
        found = []
        for rule in self._trouble_rules:
            for subject, seconds in _troubles(rule, health):
                state = self._troubles.get((rule, subject))
                if state is None:
                    state = self._known.pop((rule, subject), None) or RuleState()
                    self._troubles[rule, subject] = state
                before = state.saved()
                seen = _late(rule, state, subject, seconds, health)
                found.append(self._alert_for(rule, state, seen, subject, health.at, before))
        return [alert for alert in found if alert is not None]

    def adopt(self, before: AlertRules) -> None:
        """Takes over the state of rules that stay the same.

        Args:
            before: the rules that are replaced.
        """
        self.held_back, self.changed = before.held_back, set(before.changed)
        rules = set(self.rules)
        for rule, subject, state in before._all_states():
            if rule in rules:
                self._known[rule, subject] = state
            else:
                self.changed.add(subject)

    def forget(self, symbol: str) -> None:
        """Drops a symbol that is no longer tracked.

        Args:
            symbol: the symbol.
        """
        self._of_symbol.pop(symbol, None)
        self._watches.pop(symbol, None)
        for states in (self._troubles, self._known):
            for key in [key for key in states if key[1] == symbol]:
                del states[key]
        self.changed.add(symbol)

    def known_of(self, symbol: str) -> list[tuple[Rule, SavedState]]:
        """Gives what is known of one symbol.

        Args:
            symbol: the symbol.

        Returns:
            Each rule that knows something, and what.
        """
        states = [
            *self._of_symbol.get(symbol, ()),
            *(
                (rule, state)
                for of in (self._troubles, self._known)
                for (rule, at), state in of.items()
                if at == symbol
            ),
        ]
        return [(rule, saved) for rule, state in states if (saved := state.saved()) is not None]

    def known(self) -> dict[str, list[tuple[Rule, SavedState]]]:
        """What is known, by symbol or sink; those of which nothing is are left out."""
        found: dict[str, list[tuple[Rule, SavedState]]] = {}
        for rule, subject, state in self._all_states():
            if (saved := state.saved()) is not None:
                found.setdefault(subject, []).append((rule, saved))
        return found

    def resume(self, rule: Rule, subject: str, saved: SavedState) -> None:
        """Restores what an earlier run knew of a rule and a symbol or sink, before they are evaluated.

        Args:
            rule: the rule.
            subject: the symbol or sink.
            saved: the stored state.
        """
        reported, reported_at, seen, day = saved
        # How long a trouble lasts is counted from the start of a run: it may be older than it seems.
        carried = 0.0 if rule.kind in TROUBLES and reported else None
        self._known[rule, subject] = RuleState(reported, reported_at, seen, day, carried)

    def _all_states(self) -> Iterator[tuple[Rule, str, RuleState]]:
        for symbol, states in self._of_symbol.items():
            for rule, state in states:
                yield rule, symbol, state
        for (rule, subject), state in (*self._troubles.items(), *self._known.items()):
            yield rule, subject, state

    def _alert_for(
        self, rule: Rule, state: RuleState, seen: Finding, subject: str, at: int, before: SavedState | None
    ) -> Alert | None:
        alert, held_back = alert_for(rule, state, seen, subject, at)
        self.held_back += held_back
        if state.saved() != before:
            self.changed.add(subject)
        return alert

    def _trend(self, rule: Rule, state: RuleState, candle: Candle, message: Message) -> Finding:
        if _stale(rule, message):
            return UNSEEN
        trend = message.trends.get(trend_name(rule.timeframe), "Neutral")
        resting = None if self._longest is None else indicator_name("ema", self._longest, rule.timeframe)
        if trend == "Neutral" or resting not in message.indicators or resting in message.warming:
            return UNSEEN
        return Finding(trend, f"{message.symbol}: trend {timeframe_label(rule.timeframe)} turned {trend}")

    def _ema_cross(self, rule: Rule, state: RuleState, candle: Candle, message: Message) -> Finding:
        fast, slow = min(rule.periods), max(rule.periods)
        names = [indicator_name("ema", period, rule.timeframe) for period in (fast, slow)]
        if _stale(rule, message) or any(n not in message.indicators or n in message.warming for n in names):
            return UNSEEN
        value, level = (message.indicators[name] for name in names)
        label = timeframe_label(rule.timeframe)
        crossing = (f"EMA {fast} on {label} at", f"EMA {slow} at")
        return _side(rule, message.symbol, value, level, crossing)

    def _price(self, rule: Rule, state: RuleState, candle: Candle, message: Message) -> Finding:
        if rule.price is not None:
            return _side(rule, message.symbol, candle.close, rule.price, ("price", ""))
        if rule.level == "ema":
            (period,) = rule.periods
            name = indicator_name("ema", period, rule.timeframe)
            if _stale(rule, message) or name not in message.indicators or name in message.warming:
                return UNSEEN
            level = message.indicators[name]
            words = f"EMA {period} on {timeframe_label(rule.timeframe)} at"
        else:
            profile = message.profile
            if profile is None:
                return UNSEEN
            if state.day != profile.day:
                # The levels of a new day are others: that the price lies elsewhere to them is no crossing.
                state.day, state.reported, state.seen = profile.day, None, None
            level = {"poc": profile.poc, "vah": profile.vah, "val": profile.val}[rule.level]
            words = rule.level.upper()
        return _side(rule, message.symbol, candle.close, level, ("price", words))

    def _volume(self, rule: Rule, state: RuleState, candle: Candle, message: Message) -> Finding:
        quartet = (message.quantiles or {}).get(rule.measure)
        if quartet is None or (rule.measure == "avg_trade" and not candle.trades):
            return UNSEEN
        value = _MEASURES[rule.measure](candle)
        threshold = rule.factor * quartet[_QUANTILES.index(rule.quantile)]
        if value > threshold:
            times = "" if rule.factor == 1 else f"{rule.factor:g} x "
            words = f"{rule.measure.replace('_', ' ')} {_number(value)} above {times}{rule.quantile}"
            return Finding("high", f"{message.symbol}: {words} {_number(threshold)}", value, threshold)
        return QUIET if value <= threshold * (1 - rule.hysteresis) else UNSEEN

    def _naked_poc(self, rule: Rule, state: RuleState, candle: Candle, message: Message) -> Finding:
        touched = self._watches[message.symbol].touched
        if not touched:
            return QUIET
        state.reported = state.seen = ""  # each level is another one than that of the minute before
        level = touched[-1]
        day = datetime.fromtimestamp(level.day / 1000, UTC).strftime("%Y-%m-%d")
        more = f" and {len(touched) - 1} older" if len(touched) > 1 else ""
        words = f"price {_number(candle.close)} touched naked POC {_number(level.price)} of {day}{more}"
        return Finding("touched", f"{message.symbol}: {words}", candle.close, level.price)

    def _anchored_vwap(self, rule: Rule, state: RuleState, candle: Candle, message: Message) -> Finding:
        assert rule.anchor is not None
        found = self._watches[message.symbol].anchored.get(rule.anchor)
        level = None if found is None else found.vwap
        if level is None:
            return UNSEEN
        if candle.low <= level <= candle.high:
            since = datetime.fromtimestamp(rule.anchor / 1000, UTC).strftime("%Y-%m-%d %H:%M")
            words = f"price {_number(candle.close)} touched VWAP {_number(level)} since {since}"
            return Finding("touched", f"{message.symbol}: {words}", candle.close, level)
        band = level * rule.hysteresis
        return QUIET if candle.low > level + band or candle.high < level - band else UNSEEN

    def _delta(self, rule: Rule, state: RuleState, candle: Candle, message: Message) -> Finding:
        name = delta_name(rule.timeframe)
        value, volume = message.deltas.get(name), message.volumes.get(name)
        if _stale(rule, message) or value is None or volume is None:
            return UNSEEN
        if rule.delta is not None:
            held, threshold, unit = value, rule.delta, ""
        elif volume > 0:
            held, threshold, unit = value / volume * 100, rule.delta_percent, " %"
        else:
            return QUIET
        above = rule.kind == "delta_above"
        if held > threshold if above else held < threshold:
            shown = _number(round(held, 2) if unit else held)
            words = f"delta {timeframe_label(rule.timeframe)} {shown}{unit}"
            side = f"{'above' if above else 'below'} {_number(threshold)}{unit}"
            return Finding("high" if above else "low", f"{message.symbol}: {words}, {side}", held, threshold)
        return QUIET

    def _divergence(self, rule: Rule, state: RuleState, candle: Candle, message: Message) -> Finding:
        if _stale(rule, message) or delta_name(rule.timeframe) not in message.deltas:
            return UNSEEN
        found = message.divergences.get(divergence_name(rule.timeframe))
        if found is None:
            return QUIET
        words = "high, yet takers sold" if found == "Sell" else "low, yet takers bought"
        label = timeframe_label(rule.timeframe)
        text = f"{message.symbol}: CVD diverges on {label}: close at a {DIVERGENCE_BARS}-bar {words}"
        return Finding(found, text)


def _stale(rule: Rule, message: Message) -> bool:
    """The last bar of the rule's timeframe that was due is absent or lacks minutes."""
    return span_name(rule.timeframe) in message.partial


def _side(rule: Rule, symbol: str, value: float, level: float, names: tuple[str, str]) -> Finding:
    """Above or below the level by more than the hysteresis; the names go before both numbers."""
    band = abs(level) * rule.hysteresis
    side: Condition | None = "above" if value > level + band else "below" if value < level - band else None
    if side is None:
        return UNSEEN
    of_value, of_level = names
    words = f"{of_value} {_number(value)} crossed {side}", of_level, _number(level)
    return Finding(side, f"{symbol}: {' '.join(filter(None, words))}", value, level)


def _troubles(rule: Rule, health: Health) -> Iterable[tuple[str, float]]:
    """What a rule about the feeder looks at: symbol or sink, and seconds, 0 where there is no trouble."""
    if rule.kind == "sink_lag":
        yield from health.lags.items()
    elif rule.kind == "disk_full":
        yield "store", health.paused
    elif rule.kind == "cluster_degraded":
        yield "cluster", health.degraded
    elif rule.kind == "stream_stale":
        yield from _concerned(rule, health.silences)
    else:
        for symbol, (seconds, minutes) in _concerned(rule, health.gaps):
            yield symbol, max(seconds, _INSTANT) if minutes else 0.0


def _concerned(rule: Rule, by_symbol: Mapping[str, _Found]) -> Iterable[tuple[str, _Found]]:
    return ((symbol, found) for symbol, found in by_symbol.items() if rule.concerns(symbol))


def _late(rule: Rule, state: RuleState, subject: str, seconds: float, health: Health) -> Finding:
    """Whether trouble has lasted too long. One reported by an earlier run is over once its time falls."""
    if seconds > rule.seconds:
        state.carried = None
        return Finding("late", _trouble(rule, subject, _span(seconds), health), seconds, rule.seconds)
    if state.carried is not None and 0 < seconds >= state.carried:
        state.carried = seconds
        return UNSEEN
    state.carried = None
    return QUIET


def _trouble(rule: Rule, subject: str, span: str, health: Health) -> str:
    """In words."""
    if rule.kind == "sink_lag":
        return f"{subject}: the oldest message waits for {span}"
    if rule.kind == "disk_full":
        return f"{subject}: disk full, no candle was written for {span}"
    if rule.kind == "cluster_degraded":
        return f"{subject}: the group has not answered, or given partitions are not worked on, for {span}"
    if rule.kind == "stream_stale":
        return f"{subject}: no frame from the stream for {span}"
    minutes = health.gaps[subject][1]
    many = "1 minute" if minutes == 1 else f"{minutes:,} minutes"
    return f"{subject}: {many} missing, looked for since {span}"


def _span(seconds: float) -> str:
    """A time as ``312 s``, ``15 min`` or ``7.5 h``."""
    if seconds < 600:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _number(value: float) -> str:
    """Eight digits at most, thousands marked, never with an exponent."""
    if abs(value) >= 1e7:
        return f"{value:,.0f}"
    if abs(value) >= 1e-4 or not value:
        return f"{value:,.8g}"
    return f"{value:.12f}".rstrip("0")


_MEASURES: Mapping[str, Callable[[Candle], float]] = {
    "volume": lambda candle: candle.volume,
    "taker_buy_volume": lambda candle: candle.taker_buy_volume,
    "avg_trade": lambda candle: candle.volume / candle.trades,
    "trade_count": lambda candle: candle.trades,
}

_CHECKS: Mapping[AlertKind, Callable[[AlertRules, Rule, RuleState, Candle, Message], Finding]] = {
    "trend_flip": AlertRules._trend,
    "ema_cross": AlertRules._ema_cross,
    "price_cross": AlertRules._price,
    "volume_above": AlertRules._volume,
    "naked_poc_touch": AlertRules._naked_poc,
    "anchored_vwap_touch": AlertRules._anchored_vwap,
    "delta_above": AlertRules._delta,
    "delta_below": AlertRules._delta,
    "cvd_divergence": AlertRules._divergence,
}
