"""The exchange as a program: on its own for whoever wants to point an engine at it, or as another's child."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import orjson

from tui_feeder.simulator.clock import SimulatedClock, clock_for, rfc3339
from tui_feeder.simulator.exchange import Exchange, PortInUseError
from tui_feeder.simulator.market import Market
from tui_feeder.simulator.recorded import recorded_market
from tui_feeder.simulator.synthetic import synthetic_market


def _make(
    data: Path | None, symbols: Sequence[str] | None, speed: float, start_ms: int | None, seed: int
) -> tuple[Market, SimulatedClock]:
    market: Market
    if data is None:
        market = synthetic_market(symbols, seed, as_of_ms=start_ms)
    else:
        market = recorded_market(data, symbols)
    return market, clock_for(market, start_ms=start_ms, rate=speed)


def run(
    *,
    port: int = 0,
    data: Path | None = None,
    symbols: Sequence[str] | None = None,
    speed: float = 1.0,
    start_ms: int | None = None,
    seed: int = 1,
) -> int:
    """Serves an exchange until SIGINT or SIGTERM; prints the configuration that points an engine at it.

    Args:
        port: 0 for any free one.
        data: folder of monthly zips; None for the synthetic market.
        symbols: what to list; None for all there is.
        speed: exchange seconds in a real second.
        start_ms: exchange time to start at; None for the market's own choice.
        seed: of the synthetic market.

    Returns:
        The exit code, 0.

    Raises:
        PortInUseError: if the port is taken.
        ValueError: for data that cannot be shown or arguments out of range; the message is for the user.
    """
    market, clock = _make(data, symbols, speed, start_ms, seed)
    asyncio.run(_stand_alone(market, clock, port))
    return 0


async def _stand_alone(market: Market, clock: SimulatedClock, port: int) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with Exchange(market, clock, port=port) as exchange:
        sys.stdout.write(introduction(exchange))
        sys.stdout.flush()
        if clock.end_ms is not None:
            wait = clock.real_seconds(clock.end_ms - clock.now())
            loop.call_later(wait, _tell_end, clock.end_ms)
        await stop.wait()


def _tell_end(end: int) -> None:
    sys.stderr.write(f"the recorded data has ended; exchange time stands still at {rfc3339(end)}\n")
    sys.stderr.flush()


def introduction(exchange: Exchange) -> str:
    """How to use a running exchange: a section for config.toml, and the same for the environment."""
    values = {
        "rest_url": f'"{exchange.rest_url}"',
        "stream_url": f'"{exchange.stream_url}"',
        "archive_url": f'"{exchange.archive_url}"',
        "clock_rate": repr(float(exchange.clock.rate)),
    }
    symbols = exchange.market.symbols
    shown = ", ".join(symbols[:12]) + (f" and {len(symbols) - 12} more" if len(symbols) > 12 else "")
    lines = [
        f"# Embedded exchange, its time {rfc3339(exchange.clock.now())}, {len(symbols)} symbols: {shown}",
        *(f"# {note}" for note in exchange.market.notes),
        "# Paste this into config.toml:",
        "[exchange]",
        *(f"{key} = {value}" for key, value in values.items()),
        "# or set this in the environment:",
        *(f"# FEEDER_EXCHANGE__{key.upper()}={value}" for key, value in values.items()),
        "",
    ]
    return "\n".join(lines)


def run_attached(
    *,
    port: int,
    data: Path | None,
    symbols: Sequence[str] | None,
    speed: float,
    start_ms: int | None,
    seed: int,
) -> int:
    """Serves as the child of another process: one JSON line on stdout, then until stdin ends.

    Returns:
        The exit code: 0, or 1 after a line ``{"error": ...}``.
    """
    try:
        market, clock = _make(data, symbols, speed, start_ms, seed)
        asyncio.run(_attached(market, clock, port))
    except (ValueError, OSError) as error:
        _say({"error": str(error)})
        return 1
    return 0


async def _attached(market: Market, clock: SimulatedClock, port: int) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_signal_handler(signal.SIGINT, lambda: None)

    def listen() -> None:
        if not os.read(0, 4096):
            loop.remove_reader(0)
            stop.set()

    loop.add_reader(0, listen)
    async with Exchange(market, clock, port=port) as exchange:
        _say(
            {
                "rest_url": exchange.rest_url,
                "stream_url": exchange.stream_url,
                "archive_url": exchange.archive_url,
                "clock_start": clock.start_ms,
                "rate": clock.rate,
                "symbols": list(market.symbols),
                "notes": list(market.notes),
            }
        )
        await stop.wait()


def _say(line: dict[str, object]) -> None:
    sys.stdout.buffer.write(orjson.dumps(line) + b"\n")
    sys.stdout.buffer.flush()


__all__ = ["PortInUseError", "introduction", "run", "run_attached"]
