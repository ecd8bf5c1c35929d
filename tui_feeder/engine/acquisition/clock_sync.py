"""Keeps the engine's clock with the exchange's, and reports when either clock has changed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from tui_feeder.engine.core.candle import DAY_MS
from tui_feeder.engine.core.clock import Step
from tui_feeder.engine.core.journal import Journal
from tui_feeder.engine.core.supervisor import OUTSIDE_SECONDS, heartbeat
from tui_feeder.engine.exchanges.base import Exchange, RestError

_EVERY_SECONDS = 20.0
#: While REST cannot be reached: its clock is what shows first that it can be again, s.
_REFUSED_EVERY_SECONDS = 5.0
_CHECK_SECONDS = 1.0
#: After a frame that does not fit the clock, so long for others to confirm it, s.
_OTHERS_SECONDS = 0.25
#: Between two measurements, however much is in doubt, s.
_PAUSE_SECONDS = 2.0
_SKEW_MS = 1_000


class ClockSync:
    """Measures the exchange's time now and then, and at once when something does not fit it.

    Args:
        stepped_back: called after the clock was found to have been ahead, with the exchange ms since when
            nothing had confirmed it, and the time it showed: what was taken for over may not have been.
    """

    def __init__(
        self,
        exchange: Exchange,
        journal: Journal,
        stepped_back: Callable[[int, int], None],
    ) -> None:
        self._clock = exchange.clock
        self._exchange = exchange
        self._journal = journal
        self._stepped_back = stepped_back
        self._skew_logged = 0.0

    async def run(self) -> None:
        """Keep the clock until cancelled."""
        self.log_skew()
        measured, every = time.monotonic(), _EVERY_SECONDS
        while True:
            heartbeat(_CHECK_SECONDS, OUTSIDE_SECONDS, unless=lambda: self._exchange.status().silenced)
            disagreed = await self._clock.wait_for_disagreement(_CHECK_SECONDS)
            if moved := self._clock.wall_step():
                self._journal.count("local_clock_steps")
                self._journal.note(
                    "warning", f"this machine's clock stepped by {moved:+.1f} s: the exchange's is followed"
                )
            elif not disagreed and time.monotonic() - measured < every:
                continue
            await asyncio.sleep(_OTHERS_SECONDS if disagreed else 0.0)
            try:
                step = await self._exchange.sync_clock()
                every = _EVERY_SECONDS
            except RestError as error:
                self._journal.fault("clock_measurements_failed", str(error))
                step = self._clock.measure([])
                every = _REFUSED_EVERY_SECONDS
            measured = time.monotonic()
            self._log_step(step)
            if disagreed:
                await asyncio.sleep(_PAUSE_SECONDS)

    def _log_step(self, step: Step) -> None:
        if disputed := self._clock.disputed_ms:
            self._journal.fault(
                "exchange_clocks_disagree",
                f"its clock is {disputed / 1000:+.1f} s off the stamps of its frames, which are used",
            )
        if abs(step.ms) > self._clock.tolerance_ms:
            self._journal.count("exchange_clock_steps")
            self._journal.note("warning", f"exchange time stepped by {step.ms / 1000:+.1f} s")
            if step.ms < 0:
                self._stepped_back(step.unsure_since, self._clock.now() - int(step.ms))
        self.log_skew()

    def log_skew(self) -> None:
        """Report by how much this machine's clock is wrong, when that is new."""
        skew = self._clock.offset_ms
        # Of a simulated exchange that runs faster, or on another day, there is nothing to report.
        if self._clock.rate != 1.0 or abs(skew) > DAY_MS or abs(skew - self._skew_logged) < _SKEW_MS:
            return
        self._skew_logged = skew
        if abs(skew) < _SKEW_MS:
            self._journal.note("info", "this machine's clock is right again")
            return
        way = "behind" if skew > 0 else "ahead of"
        text = f"this machine's clock is {abs(skew) / 1000:.1f} s {way} the exchange's, which is followed"
        self._journal.note("warning", text)
