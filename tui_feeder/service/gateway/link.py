"""The feeder in another process, reached at its socket."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from tui_feeder.attach.asking import Asking, NotAnsweredError
from tui_feeder.engine.core.candle import Candle
from tui_feeder.engine.core.coverage import Coverage
from tui_feeder.live_access import FeederState, Forwarded, GatewayFigures, MinutesInProgress
from tui_feeder.monitor import SymbolState
from tui_feeder.service.gateway.feeder import FeederGoneError, FollowedSymbol

log = logging.getLogger(__name__)

#: Between two looks at minutes in progress and at the feeder's state, real seconds.
_MINUTES_SECONDS, _STATE_SECONDS = 0.2, 1.0
#: All minutes are asked for again after so many looks: the exchange's clock may have been set back.
_ALL_AGAIN = 50
#: What was read holds so long.
_HOLDS_SECONDS = 10.0
#: Between two tries to reach a feeder that does not answer.
_AGAIN_SECONDS = 1.0
_FORWARD_SECONDS = 30.0
_FORWARDING = 4
_LIVE = (SymbolState.LIVE, SymbolState.LATE)


class FeederLink:
    """The :class:`~tui_feeder.service.gateway.feeder.Feeder` behind a socket.

    Args:
        find: finds the socket.

    Attributes:
        figures: what is reported to the feeder, once something is served.
    """

    def __init__(self, find: Callable[[], Path]) -> None:
        self.figures: Callable[[], GatewayFigures] | None = None
        self._find = find
        self._last_state_at = float("-inf")
        self._now, self._rate = 0, 1.0
        self._candles: dict[str, Candle] = {}
        self._followed: dict[str, FollowedSymbol] = {}
        self._state: FeederState | None = None
        self._traded: frozenset[str] = frozenset()
        self._wanted: asyncio.Queue[str] = asyncio.Queue(maxsize=64)
        self._forwarders: asyncio.LifoQueue[Asking] = asyncio.LifoQueue()
        for _ in range(_FORWARDING):
            self._forwarders.put_nowait(Asking(find))

    # --- what the gateway asks -----------------------------------------------------------------

    def now(self) -> int:
        """See :meth:`tui_feeder.service.gateway.feeder.Feeder.now`.

        Returns:
            Exchange ms.
        """
        age = time.monotonic() - self._last_state_at
        if age > _HOLDS_SECONDS:
            raise FeederGoneError(
                "the feeder does not answer: its clock and minutes in progress are not known"
            )
        return self._now + round(age * self._rate * 1000)

    def rate(self) -> float:
        """See :meth:`tui_feeder.service.gateway.feeder.Feeder.rate`.

        Returns:
            Exchange seconds in a real one.
        """
        return self._rate

    def followed(self) -> Mapping[str, FollowedSymbol]:
        """See :meth:`tui_feeder.service.gateway.feeder.Feeder.followed`.

        Returns:
            By name.
        """
        if self._state is None:
            raise FeederGoneError("the feeder has not answered yet")
        return self._followed

    def knows_listing(self) -> bool:
        """See :meth:`tui_feeder.service.gateway.feeder.Feeder.knows_listing`.

        Returns:
            True once it follows symbols: its state may be a moment older than the list.
        """
        return bool(self._traded and self._followed)

    def is_traded(self, symbol: str) -> bool:
        """See :meth:`tui_feeder.service.gateway.feeder.Feeder.is_traded`.

        Args:
            symbol: any text.

        Returns:
            Whether the exchange trades it.
        """
        return symbol in self._followed or symbol in self._traded

    def forming(self, symbol: str) -> Candle | None:
        """See :meth:`tui_feeder.service.gateway.feeder.Feeder.forming`.

        Args:
            symbol: whose.

        Returns:
            The newest minute that the stream delivered.
        """
        return self._candles.get(symbol)

    def recovery_seconds(self, symbol: str, minutes: Coverage) -> float | None:
        """See :meth:`tui_feeder.service.gateway.feeder.Feeder.recovery_seconds`.

        Args:
            symbol: whose.
            minutes: that are missing.

        Returns:
            Of the gap or the reading of history that takes longest.
        """
        if self._state is None:
            return None
        now, waits = self.now(), []
        for gap in self._state.gaps:
            if gap.symbol == symbol and minutes.clip(gap.start, gap.end):
                if gap.eta_seconds is not None:
                    waits.append(gap.eta_seconds)
                elif gap.next_try is not None:
                    waits.append(max(0, gap.next_try - now) / 1000 / self._rate + 1.0)
        waits += [
            state.eta_seconds
            for state in self._state.symbols
            if state.symbol == symbol and state.eta_seconds is not None
        ]
        return max(waits, default=None)

    def follow(self, symbol: str) -> None:
        """See :meth:`tui_feeder.service.gateway.feeder.Feeder.follow`.

        Args:
            symbol: that the exchange trades.
        """
        with contextlib.suppress(asyncio.QueueFull):
            self._wanted.put_nowait(symbol)

    async def forward(self, name: str, parameters: Sequence[tuple[str, str]]) -> Forwarded:
        """See :meth:`tui_feeder.service.gateway.feeder.Feeder.forward`.

        Args:
            name: of the call.
            parameters: of its query.

        Returns:
            The exchange's answer.

        Raises:
            FeederGoneError: the feeder does not answer.
        """
        asking = await self._forwarders.get()
        try:
            flat = [part for pair in parameters for part in pair]
            return msgspec.convert(
                await asking.ask("forward", name, *flat, seconds=_FORWARD_SECONDS), Forwarded
            )
        except (NotAnsweredError, msgspec.ValidationError) as error:
            raise FeederGoneError(str(error)) from error
        finally:
            self._forwarders.put_nowait(asking)

    # --- the other side ------------------------------------------------------------------------

    async def first_state(self) -> FeederState:
        """The state of a feeder that is attached to for the first time.

        Returns:
            What it follows, and where its store is.

        Raises:
            NotAnsweredError: it does not answer, or is of another version.
        """
        asking = Asking(self._find)
        try:
            self._take_state(await asking.ask("feeder state"))
            self._take_minutes(await asking.ask("minutes in progress", 0))
        finally:
            asking.close()
        assert self._state is not None
        return self._state

    async def run(self) -> None:
        """Read from the feeder, for ever; one that goes away is looked for until it is back."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._read_minutes())
            group.create_task(self._read_state())

    async def _read_minutes(self) -> None:
        asking, stamp, looks = Asking(self._find), 0, 0
        while True:
            try:
                looks += 1
                since = stamp if looks % _ALL_AGAIN else 0
                stamp = self._take_minutes(await asking.ask("minutes in progress", since))
                await asyncio.sleep(_MINUTES_SECONDS)
            except NotAnsweredError:
                stamp = 0
                await asyncio.sleep(_AGAIN_SECONDS)

    async def _read_state(self) -> None:
        asking, gone = Asking(self._find), False
        while True:
            try:
                self._take_state(await asking.ask("feeder state"))
                if self.figures is not None:
                    await asking.ask("gateway figures", msgspec.json.encode(self.figures()).decode())
                while not self._wanted.empty():
                    await asking.ask("add_symbol", self._wanted.get_nowait())
                if gone:
                    log.info("the feeder answers again")
                gone = False
                await asyncio.sleep(_STATE_SECONDS)
            except NotAnsweredError as error:
                if not gone:
                    log.warning("%s; looking for it until it is back", error)
                gone = True
                await asyncio.sleep(_AGAIN_SECONDS)

    def _take_minutes(self, value: object) -> int:
        try:
            found = msgspec.convert(value, MinutesInProgress)
        except msgspec.ValidationError as error:
            raise NotAnsweredError(f"no minutes: {error}") from error
        self._now, self._rate, self._last_state_at = found.now, found.rate, time.monotonic()
        for symbol, values in found.candles:
            candle = Candle(*values)
            if self._candles.get(symbol) != candle:
                self._candles[symbol] = candle
        return found.stamp

    def _take_state(self, value: object) -> None:
        try:
            state = msgspec.convert(value, FeederState)
        except msgspec.ValidationError as error:
            raise NotAnsweredError(f"no state: {error}") from error
        self._state, self._traded = state, frozenset(state.traded)
        self._followed = {
            found.symbol: FollowedSymbol(found.symbol, found.state in _LIVE, found.start, found.reason)
            for found in state.symbols
        }
        for symbol in self._candles.keys() - self._followed.keys():
            del self._candles[symbol]
