"""``--demo``: the embedded exchange beside the engine, and a configuration that points at it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tui_feeder.config import Config
from tui_feeder.configuration.forms import MARKETS
from tui_feeder.engine.sinks.registry import SINKS
from tui_feeder.monitor import FaultOption
from tui_feeder.simulator.launch import (
    ChildExchange,
    ExchangeControlError,
    ExchangeStartError,
    launch_blocking,
)
from tui_feeder.symbol_name import market_of

#: Without a speed asked for, a minute of the demo lasts this much less: something closes every 6 s.
DEFAULT_SPEED = 10.0

#: The least a cut or a ban lasts, so that it can be watched: seconds of real time.
_WATCHED = 20.0
_USDM = MARKETS[0]
#: How names of folders begin that a demo makes for itself, and the file in them that it holds locked.
_SCRATCH, _HELD = "feeder-tui-demo-", "demo.lock"


class Scratch:
    """A temporary folder for a demo that keeps nothing, marked as in use until its process ends."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix=_SCRATCH))
        self._held = -1
        new = self.path / f"{_HELD}.new"
        with contextlib.suppress(
            OSError
        ):  # a file system without locks: the folder is never taken for a left one
            self._held = os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            new.rename(self.path / _HELD)  # there is no moment in which it has the name and is not locked

    def remove(self) -> None:
        """Remove the folder and all that is in it."""
        shutil.rmtree(self.path, ignore_errors=True)
        if self._held >= 0:
            os.close(self._held)
            self._held = -1


def remove_left_scratch() -> None:
    """Remove what demos of this user have left whose process was killed; what is locked is in use."""
    for path in Path(tempfile.gettempdir()).glob(f"{_SCRATCH}*"):
        with contextlib.suppress(OSError):
            found = path.lstat()
            if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
                continue
            held = os.open(path / _HELD, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path, ignore_errors=True)
            finally:
                os.close(held)


def left_out(config: Config) -> str | None:
    """Names what a demo does not use of a configuration.

    Args:
        config: as it was read, before the demo's own settings.

    Returns:
        A line for people; None where nothing is left out.
    """
    sections = [f"[{kind.section}]" for kind in SINKS if kind.enabled(config)]
    if not sections:
        return None
    names = ", ".join(sections)
    return f"{names} left out: candles of a demo are simulated, and go to no real topic, table or file"


class DemoFaults:
    """The faults of the embedded exchanges that are worth watching; a ``tui_feeder.monitor.Faults``.

    Args:
        exchanges: by market; what is of no symbol happens to all of them.
    """

    def __init__(self, exchanges: Mapping[str, ChildExchange]) -> None:
        self._exchanges = exchanges
        rate = next(iter(exchanges.values())).rate
        lasting = max(60.0, _WATCHED * rate)  # exchange seconds
        real = lasting / rate
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
        bare = None if symbol is None else symbol.rpartition(":")[2]
        concerned = (
            self._exchanges.values() if symbol is None else [self._exchanges[market_of(symbol) or _USDM]]
        )
        try:
            for exchange in concerned:
                exchange.fault(name, bare, duration)
        except (ValueError, ExchangeControlError) as error:
            return str(error)
        text = option.text.replace("{symbol}", symbol or "")
        return f"on: {text}" + ("" if duration else "; F h heals")

    def heal(self) -> str:
        """Switch every fault off."""
        try:
            ended = sum(exchange.heal() for exchange in self._exchanges.values())
        except ExchangeControlError as error:
            return str(error)
        return f"healed: {ended} fault{'' if ended == 1 else 's'} ended"


class Demo:
    """A running embedded exchange for each market, their storage, and the settings that follow.

    Args:
        data: folder of monthly zips with real candles of USD-M futures; None for synthetic markets.
        symbols: what to list and follow, each after its market; None for all that USD-M futures have.
        storage: where the candles are kept between demos; None keeps nothing.

    Raises:
        ExchangeStartError: the exchange cannot start, with the reason.
    """

    def __init__(
        self, data: Path | None, symbols: Sequence[str] | None, speed: float, storage: Path | None
    ) -> None:
        self._scratch: Scratch | None = None
        if storage is None:
            remove_left_scratch()
            self._scratch = Scratch()
            storage = self._scratch.path
        self.storage = storage
        listed = _by_market(symbols)
        if data is not None and listed.keys() != {_USDM}:
            raise ExchangeStartError(
                "recorded candles are shown as USD-M futures alone: leave out the others"
            )
        self.exchanges: dict[str, ChildExchange] = {}
        try:
            self._start(data, listed, speed, _stored_until(self.storage))
        except BaseException:
            self.close()
            raise
        self.faults = DemoFaults(self.exchanges)

    def _start(
        self, data: Path | None, listed: Mapping[str, Sequence[str] | None], speed: float, stored: int | None
    ) -> None:
        """Start the exchanges, all on the clock of the first."""
        for market, names in listed.items():
            first = next(iter(self.exchanges.values()), None)
            start, began = (None, None) if first is None else (first.clock_start, first.began)
            made = launch_blocking(
                data=data, symbols=names, speed=speed, market=market, start_ms=start, began=began
            )
            if first is None and stored is not None and stored > made.clock_start:
                # Candles of an earlier demo must not lie in this one's future: go on where it stopped.
                made.stop()
                made = launch_blocking(data=data, symbols=names, speed=speed, market=market, start_ms=stored)
            self.exchanges[market] = made

    @property
    def notes(self) -> list[str]:
        """What a user must know about the markets."""
        return [note for exchange in self.exchanges.values() for note in exchange.notes]

    def flags(self) -> dict[str, Any]:
        """Settings that point the engine at the exchanges."""
        first = next(iter(self.exchanges.values()))
        # A market without symbols is not asked: its address, too, must not be that of the real exchange.
        sections = {"exchange": self.exchanges.get(_USDM, first)}
        for market, exchange in self.exchanges.items():
            if market != _USDM:
                sections[f"exchange.{market}"] = exchange
        return {
            **{
                f"{section}.{name}": url
                for section, exchange in sections.items()
                for name, url in _urls(exchange).items()
            },
            "exchange.clock_rate": first.rate,
            "application.storage_path": str(self.storage),
            "application.symbols": [
                name if market == _USDM else f"{market}:{name}"
                for market, exchange in self.exchanges.items()
                for name in exchange.symbols
            ],
            # Simulated candles must never reach a real topic, table or file.
            **{f"{kind.section}.enabled": False for kind in SINKS},
        }

    def close(self) -> None:
        """Stop the exchanges and remove what was kept only for this run."""
        for exchange in self.exchanges.values():
            exchange.stop()
        if self._scratch is not None:
            self._scratch.remove()


def _by_market(symbols: Sequence[str] | None) -> dict[str, list[str] | None]:
    """The names to list by market, USD-M futures first; None for all that it has."""
    if symbols is None:
        return {_USDM: None}
    found: dict[str, list[str] | None] = {}
    for market in MARKETS:
        names = [name for name in symbols if (market_of(name) or _USDM) == market]
        if names:
            found[market] = [name.rpartition(":")[2] for name in names]
    return found


def _urls(exchange: ChildExchange) -> dict[str, str]:
    urls = exchange.urls
    return {"rest_url": urls.rest_url, "stream_url": urls.stream_url, "archive_url": urls.archive_url}


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
