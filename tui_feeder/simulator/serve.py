"""The exchange as a program: on its own, to point an engine at, or as a child process."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson

from tui_feeder.simulator.clock import clock_for, rfc3339
from tui_feeder.simulator.dialect import DIALECTS, USDM
from tui_feeder.simulator.exchange import Exchange, PortInUseError
from tui_feeder.simulator.fault_control import CONTROL
from tui_feeder.simulator.fault_random import GAP, RandomFaults
from tui_feeder.simulator.faults import Event, Fault, Faults
from tui_feeder.simulator.market import Market
from tui_feeder.simulator.other_markets import ListedElsewhere, RecordedContracts, source_name
from tui_feeder.simulator.recorded import recorded_market
from tui_feeder.simulator.synthetic import synthetic_market


@dataclass(frozen=True)
class Setting:
    """What to serve; the attributes are the arguments of :func:`run`."""

    port: int = 0
    data: Path | None = None
    symbols: Sequence[str] | None = None
    speed: float = 1.0
    start_ms: int | None = None
    seed: int = 1
    faults: Sequence[str] = ()
    random_faults: int | None = None
    random_gap: float = GAP
    market: str = "usdm"
    began: float | None = None

    def exchange(self) -> Exchange:
        """The exchange, not yet started; every begin and end of random faults will be a line on stderr.

        Raises:
            ValueError: for data that cannot be shown or arguments out of range; the message is for the user.
        """
        faults = Faults.parse(self.faults)
        drawn = None if self.random_faults is None else RandomFaults(self.random_faults, self.random_gap)
        if drawn is not None:
            faults.listen(_print_fault)
        dialect, market = DIALECTS[self.market], self._market()
        clock = clock_for(market, start_ms=self.start_ms, rate=self.speed, began=self.began)
        return Exchange(market, clock, port=self.port, faults=faults, random_faults=drawn, dialect=dialect)

    def _market(self) -> Market:
        """What is traded, as the chosen market lists it."""
        dialect = DIALECTS[self.market]
        if self.data is not None:
            recorded = recorded_market(self.data, self.symbols)
            return RecordedContracts(recorded) if dialect.counts_contracts else recorded
        names = None if self.symbols is None else [source_name(name, dialect) for name in self.symbols]
        invented = synthetic_market(names, self.seed, as_of_ms=self.start_ms)
        return invented if dialect is USDM else ListedElsewhere(invented, dialect)


def _print_fault(event: Event, fault: Fault) -> None:
    moment = fault.begins if event == "begin" else fault.ended
    line = {"fault": fault.name, "event": event, "at": rfc3339(moment), **fault.shape()}
    sys.stderr.write(orjson.dumps(line).decode() + "\n")
    sys.stderr.flush()


def run(
    *,
    port: int = 0,
    data: Path | None = None,
    symbols: Sequence[str] | None = None,
    speed: float = 1.0,
    start_ms: int | None = None,
    seed: int = 1,
    faults: Sequence[str] = (),
    random_faults: int | None = None,
    random_gap: float = GAP,
    market: str = "usdm",
    began: float | None = None,
) -> int:
    """Serves an exchange until SIGINT or SIGTERM; prints the configuration that points an engine at it.

    Args:
        port: 0 for any free one.
        data: folder of monthly zips; None for the synthetic market.
        symbols: what to list; None for all there is.
        speed: exchange seconds in a real second.
        start_ms: exchange time to start at; None for the market's own choice.
        seed: of the synthetic market.
        faults: those that are on from the beginning, each ``NAME[:SYMBOL][:DURATION]``, see
            :meth:`~tui_feeder.simulator.faults.Faults.parse`.
        random_faults: seed of faults drawn at random, of which each begin and end is a JSON line on stderr;
            None draws none.
        random_gap: mean exchange seconds between two of them.
        market: ``usdm``, ``spot`` or ``coinm``.
        began: when exchange time was ``start_ms``, see :class:`~tui_feeder.simulator.clock.SimulatedClock`.

    Returns:
        The exit code, 0.

    Raises:
        PortInUseError: if the port is taken.
        ValueError: for data that cannot be shown or arguments out of range; the message is for the user.
    """
    setting = Setting(
        port, data, symbols, speed, start_ms, seed, faults, random_faults, random_gap, market, began
    )
    asyncio.run(_stand_alone(setting.exchange()))
    return 0


async def _stand_alone(embedded: Exchange) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    clock = embedded.clock
    async with embedded as exchange:
        sys.stdout.write(introduction(exchange))
        sys.stdout.flush()
        if clock.end_ms is not None:
            wait = clock.real_seconds(clock.end_ms - clock.now())
            loop.call_later(wait, _print_end, clock.end_ms)
        await stop.wait()


def _print_end(end: int) -> None:
    sys.stderr.write(f"the recorded data has ended; exchange time stands still at {rfc3339(end)}\n")
    sys.stderr.flush()


def introduction(exchange: Exchange) -> str:
    """Explains how to use a running exchange: a section for config.toml and environment variables.

    Args:
        exchange: the running exchange.

    Returns:
        Lines to print.
    """
    values = {
        "rest_url": f'"{exchange.rest_url}"',
        "stream_url": f'"{exchange.stream_url}"',
        "archive_url": f'"{exchange.archive_url}"',
    }
    section = exchange.dialect.section
    rate = f"clock_rate = {float(exchange.clock.rate)!r}"
    keys = [f"{key} = {value}" for key, value in values.items()]
    # The clock is one for all markets: its pace is a key of the section above.
    sections = [f"[{section}]", *keys, rate]
    if section != "exchange":
        sections = ["[exchange]", rate, f"[{section}]", *keys]
    variable = f"FEEDER_{section.replace('.', '__').upper()}"
    symbols = exchange.market.symbols
    count = f"{len(symbols)} symbol{'s' * (len(symbols) != 1)}"
    shown = ", ".join(symbols[:12]) + (f" and {len(symbols) - 12} more" if len(symbols) > 12 else "")
    lines = [
        f"# Embedded exchange, its time {rfc3339(exchange.clock.now())}, {count}: {shown}",
        *(f"# {note}" for note in exchange.market.notes),
        "# Paste this into config.toml:",
        *sections,
        "# or set this in the environment:",
        *(f"# {variable}__{key.upper()}={value}" for key, value in values.items()),
        f"# FEEDER_EXCHANGE__CLOCK_RATE={float(exchange.clock.rate)!r}",
        '# Faults are switched on by POST of JSON such as {"name": "silence"}, off by DELETE, at',
        f"# {exchange.rest_url}{CONTROL}",
        *(
            f"# Fault that is on: {fault.name} {fault.symbol or ''}".rstrip()
            for fault in exchange.faults.active()
        ),
        "",
    ]
    return "\n".join(lines)


def run_attached(setting: Setting) -> int:
    """Serves as the child of another process: one JSON line on stdout, then until stdin ends.

    Args:
        setting: the exchange to run.

    Returns:
        The exit code: 0, or 1 after a line ``{"error": ...}``.
    """
    try:
        asyncio.run(_attached(setting.exchange()))
    except (ValueError, OSError) as error:
        _print_line({"error": str(error)})
        return 1
    return 0


async def _attached(embedded: Exchange) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_signal_handler(signal.SIGINT, lambda: None)

    def listen() -> None:
        if not os.read(0, 4096):
            loop.remove_reader(0)
            stop.set()

    loop.add_reader(0, listen)
    async with embedded as exchange:
        _print_line(
            {
                "rest_url": exchange.rest_url,
                "stream_url": exchange.stream_url,
                "archive_url": exchange.archive_url,
                "clock_start": exchange.clock.start_ms,
                "rate": exchange.clock.rate,
                "began": exchange.clock.began,
                "symbols": list(exchange.market.symbols),
                "notes": list(exchange.market.notes),
            }
        )
        await stop.wait()


def _print_line(line: dict[str, object]) -> None:
    sys.stdout.buffer.write(orjson.dumps(line) + b"\n")
    sys.stdout.buffer.flush()


__all__ = ["PortInUseError", "Setting", "introduction", "run", "run_attached"]
