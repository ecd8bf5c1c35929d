"""What is worth an alert. Pure: closed minutes with their messages, and the feeder's health, in; alerts out.

Every rule watches something of each of its symbols that is in one of a few conditions: a price above or
below a level, a gap open or none. An alert is due where the condition differs from the one last reported and
the cool-down since then is over. So what flaps gives one alert a cool-down, and what changed during one and
stayed so is reported at its end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import msgspec

from tui_feeder.configuration.sections.alerts import HEALTH_KINDS, AlertKind
from tui_feeder.symbol_name import matches

#: What can be seen; "" stands for nothing, which is never reported.
Condition: TypeAlias = Literal["Buy", "Sell", "above", "below", "high", "low", "touched", "late", ""]
#: Of a state: reported, reported_at, seen, day.
SavedState: TypeAlias = tuple[Condition | None, int | None, Condition | None, int | None]
#: Kinds whose levels rest on past days.
ON_PAST_DAYS: frozenset[AlertKind] = frozenset({"naked_poc_touch", "anchored_vwap_touch"})
#: Kinds whose conditions are two sides, neither of them quiet.
TWO_SIDED: frozenset[AlertKind] = frozenset({"trend_flip", "ema_cross", "price_cross"})
#: Kinds about the feeder itself, not the market.
TROUBLES: frozenset[AlertKind] = frozenset(HEALTH_KINDS)
#: Of them those that are about no symbol.
OF_NO_SYMBOL: frozenset[AlertKind] = frozenset({"sink_lag", "disk_full", "cluster_degraded"})


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing to watch; fields a kind does not use keep their defaults."""

    name: str
    kind: AlertKind
    symbols: tuple[str, ...] = ("ALL",)  # names and patterns
    cooldown_ms: int = 300_000  # between two alerts about the same symbol
    timeframe: int = 60  # seconds
    level: str = ""  # of price_cross: poc, vah, val, ema; "" where a price is stated
    periods: tuple[int, ...] = ()  # of EMAs: two of ema_cross, one of the level ema
    quantile: str = "q90"
    measure: str = "volume"  # what is held against the quantile
    factor: float = 1.0  # times the quantile
    delta: float | None = None  # base asset, of delta_above and delta_below
    delta_percent: float = 50.0  # where no delta is stated: of the bar's volume
    seconds: float = 300.0  # of the kinds in TROUBLES
    hysteresis: float = 0.0  # fraction of the level that must be passed, too
    price: float | None = field(default=None, repr=False)  # of price_cross, in the place of a level
    anchor: int | None = field(default=None, repr=False)  # ms, of anchored_vwap_touch

    def concerns(self, symbol: str) -> bool:
        """Checks whether the rule watches a symbol.

        Args:
            symbol: the symbol.

        Returns:
            True if it does; ``ALL`` alone is every symbol of every market.
        """
        return any(name == "ALL" or matches(name, symbol) for name in self.symbols)


class Alert(msgspec.Struct, frozen=True):
    """Something a rule found. ``rule``, ``symbol`` and ``at`` together are unique."""

    rule: str
    kind: AlertKind
    symbol: str  # of a sink_lag: the sink; of disk_full: "store", of cluster_degraded: "cluster"
    at: int  # exchange ms: the close of the minute, or when health was looked at
    condition: Condition  # what is true now
    text: str  # for people, one line
    value: float | None = None  # what was held against the threshold
    threshold: float | None = None


class Finding(msgspec.Struct, frozen=True):
    """What a rule sees at one moment.

    ``condition`` None: there is nothing to see, or it lies inside the hysteresis, so nothing changes.
    """

    condition: Condition | None
    text: str = ""
    value: float | None = None
    threshold: float | None = None


UNSEEN = Finding(None)
QUIET = Finding("")


@dataclass(slots=True)
class RuleState:
    """What is known of one rule and one symbol."""

    reported: Condition | None = None  # the condition last reported, or found at the beginning
    reported_at: int | None = None  # exchange ms of the last alert
    seen: Condition | None = None  # the last condition seen
    day: int | None = None  # ms; profile levels are compared within one UTC day
    carried: float | None = (
        None  # of trouble reported by an earlier run, until this one knows: its last seconds
    )

    def saved(self) -> SavedState | None:
        """What would be lost with it; None where a new state would do the same."""
        if not self.reported and self.reported_at is None:
            return None
        return self.reported, self.reported_at, self.seen, self.day


@dataclass(frozen=True, slots=True)
class Health:
    """How the feeder is at one moment; seconds are of exchange time, but for sinks."""

    at: int  # exchange ms
    gaps: Mapping[str, tuple[float, int]] = field(default_factory=dict)
    """By live symbol: seconds since its oldest open gap was found, minutes missing in all; or zeros."""
    silences: Mapping[str, float] = field(default_factory=dict)
    """By live symbol: seconds since its last frame."""
    lags: Mapping[str, float] = field(default_factory=dict)
    """By sink: seconds since the oldest message that waits for it was made."""
    paused: float = 0.0  # seconds for which the store has taken nothing
    degraded: float = 0.0
    """Seconds for which the group has not answered, or partitions that it gave are not worked on."""


def alert_for(
    rule: Rule, state: RuleState, found: Finding, symbol: str, at: int
) -> tuple[Alert | None, bool]:
    """Decides whether a finding is an alert.

    Conditions that are never quiet (above and below, Buy and Sell) are taken as the initial state when seen
    first.

    Args:
        rule: the rule.
        state: its state, updated.
        found: what the rule found.
        symbol: the symbol.
        at: end of the minute, ms.

    Returns:
        The alert or None, and whether one was suppressed by the cool-down just now.
    """
    condition = found.condition
    if condition is None:
        return None, False
    changed, state.seen = condition != state.seen, condition
    if condition == "" or (state.reported is None and rule.kind in TWO_SIDED):
        state.reported = condition
        return None, False
    if condition == state.reported:
        return None, False
    # A clock that was far ahead when it was reported must not silence the rule until then.
    if state.reported_at is not None and abs(at - state.reported_at) < rule.cooldown_ms:
        return None, changed
    state.reported, state.reported_at = condition, at
    return Alert(rule.name, rule.kind, symbol, at, condition, found.text, found.value, found.threshold), False
