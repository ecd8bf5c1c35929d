"""The commands as a user runs them: real processes against an exchange on loopback."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
from preloaded import run_process
from samples import KLINES

from tui_feeder.simulator.exchange import Exchange
from tui_feeder.simulator.recorded import RecordedMarket, recorded_market

COMMAND = [sys.executable, "-m", "tui_feeder"]


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str


def environment(exchange: Exchange | None = None, **more: str) -> dict[str, str]:
    """The environment of a command; with ``exchange`` its configuration points there."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("FEEDER_")}
    if exchange is not None:
        kept["FEEDER_EXCHANGE__REST_URL"] = exchange.rest_url
        kept["FEEDER_EXCHANGE__STREAM_URL"] = exchange.stream_url
        kept["FEEDER_EXCHANGE__ARCHIVE_URL"] = exchange.archive_url
        kept["FEEDER_EXCHANGE__CLOCK_RATE"] = str(exchange.clock.rate)
    return kept | more


def command(*arguments: str | Path, cwd: Path, **env: str) -> Done:
    """Run a command that needs no exchange."""
    return _ended([*COMMAND, *map(str, arguments)], environment(None, **env), cwd)


async def command_at(exchange: Exchange, *arguments: str | Path, cwd: Path, **env: str) -> Done:
    """Run a command against ``exchange``, which goes on serving meanwhile."""
    return await asyncio.to_thread(
        _ended, [*COMMAND, *map(str, arguments)], environment(exchange, **env), cwd
    )


def _ended(words: list[str], env: dict[str, str], cwd: Path) -> Done:
    done = run_process(words, 60, text=True, env=env, cwd=cwd)
    return Done(done.returncode, done.stdout, done.stderr)


@cache
def recorded(*symbols: str) -> RecordedMarket:
    """The market of real months; skips the test where they are absent."""
    if not KLINES.is_dir():
        pytest.skip("the real candles are not in ../shared/data/klines")
    return recorded_market(KLINES, symbols)


def zips(paths: Sequence[str]) -> list[str]:
    """Names of the zips among the paths served."""
    return [path.rpartition("/")[2] for path in paths if path.endswith(".zip")]
