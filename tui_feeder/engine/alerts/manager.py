"""Where alerts come together: reported in the log, kept for the screen, handed to whoever is to be called."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

import orjson

from tui_feeder.engine.alerts.level_watch import LevelsBefore
from tui_feeder.engine.alerts.rule_checks import AlertRules
from tui_feeder.engine.alerts.rules import OF_NO_SYMBOL, TROUBLES, Alert, Health
from tui_feeder.engine.alerts.state_store import AlertStateStore
from tui_feeder.engine.analytics.message import Message
from tui_feeder.engine.core.candle import MINUTE_MS, Candle
from tui_feeder.engine.core.clock import ExchangeClock
from tui_feeder.engine.core.journal import Journal
from tui_feeder.engine.core.supervisor import heartbeat
from tui_feeder.errors import FeederError
from tui_feeder.monitor import AlertView, ReceiverView

log = logging.getLogger(__name__)

_RECENT_ALERTS = 50
_CHECK_SECONDS = 1.0
_POLL_SECONDS = 0.05
#: An alert about a minute so long ago calls nobody: the feeder is catching up.
_PAST_MS = 5 * MINUTE_MS


#: Name of the output whose alerts sinks publish.
TOPIC = "topic"


class Output(Protocol):
    """Somebody to be called. Used on the engine's loop."""

    name: str

    @property
    def waiting(self) -> int:
        """Alerts that are not handed over."""
        ...

    @property
    def trouble(self) -> str:
        """What is wrong with the receiver, for people; "" where nothing is known to be."""
        ...

    def send(self, alert: Alert, payload: bytes) -> None:
        """Takes an alert; returns at once, and reports what does not get through.

        Args:
            alert: the alert.
            payload: its JSON object.
        """
        ...

    async def run(self) -> None:
        """Work until cancelled."""
        ...


class LevelHistory(Protocol):
    """Reads what levels rest on; from a thread beside the engine's loop."""

    def before(self, symbol: str, end: int, anchors: Sequence[int]) -> LevelsBefore:
        """Reads the naked points of control and the anchored VWAPs at a moment.

        Args:
            symbol: a stored symbol.
            end: open time (ms) of the first minute that does not count.
            anchors: where VWAPs begin, ms.

        Returns:
            The levels.

        Raises:
            FeederError: stored minutes cannot be read.
        """
        ...


def encode(alert: Alert) -> bytes:
    """Encodes an alert as JSON: ``rule kind symbol timestamp condition text value threshold``.

    Args:
        alert: the alert.

    Returns:
        One JSON object, UTF-8.
    """
    fields = {
        "rule": alert.rule,
        "kind": alert.kind,
        "symbol": alert.symbol,
        "timestamp": alert.at,
        "condition": alert.condition,
        "text": alert.text,
        "value": alert.value,
        "threshold": alert.threshold,
    }
    return orjson.dumps({name: value for name, value in fields.items() if value is not None})


class AlertManager:
    """Takes minutes and health, applies the rules, and passes on what they find. Runs on the engine's loop.

    Args:
        state_store: keeps what the rules know and what was shown, and has that of the run before.
        level_history: reads the levels that rest on past days.
        bell: whether the screen should ring for them.
        publishes_past: whether the topic gets alerts about the past too. In a cluster it does, so that it has
            what one undisturbed feeder would publish, whichever worker finds them.
    """

    def __init__(
        self,
        rules: AlertRules,
        outputs: Sequence[Output],
        journal: Journal,
        clock: ExchangeClock,
        state_store: AlertStateStore,
        level_history: LevelHistory,
        *,
        bell: bool,
        publishes_past: bool = False,
    ) -> None:
        self.recent: deque[AlertView] = deque(state_store.resume(rules), maxlen=_RECENT_ALERTS)
        self.outputs = tuple(outputs)
        self._rules = rules
        self._journal = journal
        self._clock = clock
        self._state_store = state_store
        self._level_history = level_history
        self._bell = bell
        self._publishes_past = publishes_past
        self._number = self.recent[-1].number if self.recent else 0
        self._shown_changed = False
        self._held_back = 0
        #: By symbol and rule the time (ms) of the last alert that an output has taken.
        self._reported: dict[str, dict[str, int]] = {}

    def minute(self, candle: Candle, message: Message) -> None:
        """Evaluates the rules for a stored minute; a rule that fails is reported and stops nothing.

        Args:
            candle: the minute.
            message: its message.
        """
        try:
            self._report(self._rules.minute(candle, message))
        except Exception as error:
            log.debug("alert rules", exc_info=True)
            self._journal.fault("alert_rules_failed", repr(error), message.symbol)

    def saved(self, symbol: str) -> bytes | None:
        """Encodes what the rules know of a symbol.

        Args:
            symbol: the symbol.

        Returns:
            For :meth:`take_over` elsewhere; None for nothing.
        """
        return self._state_store.saved(self._rules, symbol)

    def reported(self, symbol: str) -> Mapping[str, int]:
        """Gives the last alerts of a symbol that were handed over since it is followed here.

        Args:
            symbol: the symbol.

        Returns:
            By rule the time (ms) that the alert is about.
        """
        return dict(self._reported.get(symbol, {}))

    def take_over(self, symbol: str, block: bytes | None) -> None:
        """Goes on with what the rules of another feeder knew of a symbol.

        Args:
            symbol: whose.
            block: what :meth:`saved` returned there; None: nothing.
        """
        self._state_store.take_over(self._rules, symbol, block)

    def catch_up(self, candle: Candle, message: Message, reported: Mapping[str, int]) -> None:
        """Looks at a minute that another feeder has published, and reports what that has not.

        Args:
            candle: the minute.
            message: of the minute.
            reported: by rule, the time (ms) of the last alert of this symbol that was published.
        """
        try:
            found = self._rules.minute(candle, message)
        except Exception as error:
            log.debug("alert rules", exc_info=True)
            self._journal.fault("alert_rules_failed", repr(error), message.symbol)
            return
        self._report([alert for alert in found if alert.at > reported.get(alert.rule, -1)])

    def replace_rules(self, rules: AlertRules) -> None:
        """Replaces the rules; those that stay the same keep their state.

        Args:
            rules: the new rules.
        """
        rules.adopt(self._rules)
        self._rules = rules

    def forget(self, symbol: str) -> None:
        """Drops a symbol that is no longer tracked.

        Args:
            symbol: the symbol.
        """
        self._rules.forget(symbol)
        self._reported.pop(symbol, None)

    async def watch(self, health: Callable[[], Health]) -> None:
        """Evaluates the rules of health every second and stores the state, until cancelled.

        Args:
            health: gives the feeder's health.
        """
        while True:
            heartbeat(_CHECK_SECONDS)
            await asyncio.sleep(_CHECK_SECONDS)
            if self._rules.watches_health:
                self._report(self._rules.health(health()))
            await self.read_levels()
            self.keep()

    async def read_levels(self) -> None:
        """Reads levels of past days that rules wait for, one symbol after the other, in a thread."""
        for symbol, before, anchors in self._rules.wanting_levels():
            try:
                levels = await asyncio.to_thread(self._level_history.before, symbol, before, anchors)
            except FeederError as error:
                self._journal.fault("alert_levels_unread", str(error), symbol)
                levels = LevelsBefore((), {})
            heartbeat(_CHECK_SECONDS)
            self._report(self._rules.begin_levels(symbol, before, levels))

    def keep(self, *, last: bool = False) -> None:
        """Stores the state of the rules and the alerts shown.

        Args:
            last: the store is closed after this.
        """
        self._state_store.keep(self._rules, self.recent, shown_changed=self._shown_changed, last=last)
        self._shown_changed = False

    def receivers(self) -> dict[str, ReceiverView]:
        """Describes who is called for alerts.

        Returns:
            By name of the output.
        """
        return {output.name: ReceiverView(output.waiting, output.trouble) for output in self.outputs}

    async def queued(self, seconds: float) -> None:
        """Waits until the outbox has the alerts that go through sinks.

        Args:
            seconds: how long at most.
        """
        until = time.monotonic() + seconds
        topics = [output for output in self.outputs if output.name == TOPIC]
        while any(output.waiting for output in topics) and time.monotonic() < until:  # noqa: ASYNC110
            await asyncio.sleep(_POLL_SECONDS)

    async def hand_over(self, seconds: float) -> None:
        """Waits until every output has delivered its alerts; those left are reported.

        Args:
            seconds: how long at most.
        """
        until = time.monotonic() + seconds
        # Of several receivers, once at a stop: looking now and then is simpler than an event in each.
        while (left := sum(output.waiting for output in self.outputs)) and time.monotonic() < until:  # noqa: ASYNC110
            await asyncio.sleep(_POLL_SECONDS)
        if left:
            self._journal.count("alerts_undelivered", left)
            self._journal.note("error", f"{left} alerts were not handed over when the time to stop was over")

    def acknowledge(self, number: int | None = None) -> None:
        """Acknowledges alerts; a restart remembers it.

        Args:
            number: of the alert; None for all.
        """
        for at, view in enumerate(self.recent):
            if number in (None, view.number) and not view.acknowledged:
                self.recent[at] = replace(view, acknowledged=True)
                self._shown_changed = True

    def _report(self, alerts: Sequence[Alert]) -> None:
        for alert in alerts:
            past = self._clock.now() - alert.at > self._clock.at_least(_PAST_MS, 30.0)
            self._number += 1
            self._shown_changed = True
            self.recent.append(
                AlertView(
                    self._number,
                    alert.at,
                    alert.rule,
                    alert.kind,
                    None if alert.kind in OF_NO_SYMBOL else alert.symbol,
                    alert.text,
                    price=alert.value if alert.kind == "price_cross" else None,
                    rings=self._bell and not past,
                )
            )
            self._journal.count("alerts")
            level = "warning" if alert.kind in TROUBLES else "info"
            self._journal.note(level, f"alert {alert.rule}: {alert.text}")
            called = [out for out in self.outputs if not past or (self._publishes_past and out.name == TOPIC)]
            if len(called) < len(self.outputs):
                self._journal.count("past_alerts_not_sent")
            if called:
                payload = encode(alert)
                for output in called:
                    output.send(alert, payload)
                if alert.kind not in OF_NO_SYMBOL:
                    self._reported.setdefault(alert.symbol, {})[alert.rule] = alert.at
        if (held := self._rules.held_back) > self._held_back:
            self._journal.count("alerts_held_back", held - self._held_back)
            self._held_back = held
