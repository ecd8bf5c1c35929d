"""``--demo``: the embedded exchange beside the engine, and a configuration that points at it."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tui_feeder.engine.sinks.registry import SINKS
from tui_feeder.monitor import FaultOption
from tui_feeder.simulator.launch import ChildExchange, ExchangeControlError, launch_blocking

#: Without a speed asked for, a minute of the demo lasts this much less: something closes every 6 s.
DEFAULT_SPEED = 10.0

#: The least a cut or a ban lasts, so that it can be watched: seconds of real time.
_WATCHED = 20.0


class DemoFaults:
    """The faults of the embedded exchange that are worth watching; a ``tui_feeder.monitor.Faults``."""

    def __init__(self, exchange: ChildExchange) -> None:
        self._exchange = exchange
        lasting = max(60.0, _WATCHED * exchange.rate)  # exchange seconds
        real = lasting / exchange.rate
        self._durations = {"refuse-connections": lasting, "rest-418": lasting}
        self._options = (
            FaultOption("refuse-connections", f"cut every connection for {real:.0f} s"),
            FaultOption("silence", "mute {symbol}: its socket lives, no frame comes", of_symbol=True),
            FaultOption("no-close-frame", "drop the closing frames of every minute"),
            FaultOption("rest-418", f"ban this address from REST for {real:.0f} s"),
            FaultOption("corrupt-zip", "corrupt the archives that are read from now on"),
        )

    def options(self) -> tuple[FaultOption, ...]:
        """What can be switched on."""
        return self._options

    def switch_on(self, name: str, symbol: str | None) -> str:
        """See :meth:`tui_feeder.monitor.Faults.switch_on`."""
        option = next(option for option in self._options if option.name == name)
        duration = self._durations.get(name)
        try:
            self._exchange.fault(name, symbol, duration)
        except (ValueError, ExchangeControlError) as error:
            return str(error)
        text = option.text.replace("{symbol}", symbol or "")
        return f"on: {text}" + ("" if duration else "; F h heals")

    def heal(self) -> str:
        """Switch every fault off."""
        try:
            ended = self._exchange.heal()
        except ExchangeControlError as error:
            return str(error)
        return f"healed: {ended} fault{'' if ended == 1 else 's'} ended"


class Demo:
    """A running embedded exchange, its storage, and the settings that follow.

    Args:
        data: folder of monthly zips with real candles; None for the synthetic market.
        symbols: what to list and follow; None for all the market has.
        storage: where the candles are kept between demos; None keeps nothing.

    Raises:
        ExchangeStartError: the exchange cannot start, with the reason.
    """

    def __init__(
        self, data: Path | None, symbols: Sequence[str] | None, speed: float, storage: Path | None
    ) -> None:
        self._scratch: Path | None = None
        if storage is None:
            self._scratch = Path(tempfile.mkdtemp(prefix="feeder-tui-demo-"))
        self.storage = storage or self._scratch
        assert self.storage is not None
        exchange = launch_blocking(data=data, symbols=symbols, speed=speed)
        resumed = _stored_until(self.storage)
        if resumed is not None and resumed > exchange.clock_start:
            # Candles of an earlier demo must not lie in this one's future: go on where it stopped.
            exchange.stop()
            exchange = launch_blocking(data=data, symbols=symbols, speed=speed, start_ms=resumed)
        self.exchange: ChildExchange = exchange
        self.faults = DemoFaults(exchange)

    def flags(self) -> dict[str, Any]:
        """Settings that point the engine at the exchange."""
        urls = self.exchange.urls
        return {
            "exchange.rest_url": urls.rest_url,
            "exchange.stream_url": urls.stream_url,
            "exchange.archive_url": urls.archive_url,
            "exchange.clock_rate": self.exchange.rate,
            "application.storage_path": str(self.storage),
            "application.symbols": list(self.exchange.symbols),
            # Simulated candles must never reach a real topic, table or file.
            **{f"{kind.section}.enabled": False for kind in SINKS},
        }

    def close(self) -> None:
        """Stop the exchange and remove what was kept only for this run."""
        self.exchange.stop()
        if self._scratch is not None:
            shutil.rmtree(self._scratch, ignore_errors=True)


def _stored_until(storage: Path) -> int | None:
    """End of the newest minute in a store, None when there is no store."""
    if not os.path.exists(storage / "data.mdb"):  # nor where that is unknown: the run reports why
        return None
    from tui_feeder.engine.storage.store import Store

    store = Store(storage, read_only=True)
    try:
        return max(
            (store.present(symbol).end for symbol in store.symbols() if store.present(symbol)), default=None
        )
    finally:
        store.close()
