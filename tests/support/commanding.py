"""The commands as a user runs them: real processes against an exchange on loopback."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
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
    done = subprocess.run(
        [*COMMAND, *map(str, arguments)],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
        env=environment(None, **env), cwd=cwd, check=False,
    )  # fmt: skip
    return Done(done.returncode, done.stdout, done.stderr)


async def command_at(exchange: Exchange, *arguments: str | Path, cwd: Path, **env: str) -> Done:
    """Run a command against ``exchange``, which goes on serving meanwhile."""
    process = await asyncio.create_subprocess_exec(
        *COMMAND, *map(str, arguments),
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env=environment(exchange, **env), cwd=cwd,
    )  # fmt: skip
    out, err = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode is not None
    return Done(process.returncode, out.decode(), err.decode())


@cache
def recorded(*symbols: str) -> RecordedMarket:
    """The market of real months; skips the test where they are absent."""
    if not KLINES.is_dir():
        pytest.skip("the real candles are not in ../shared/data/klines")
    return recorded_market(KLINES, symbols)


def zips(paths: Sequence[str]) -> list[str]:
    """Names of the zips among the paths served."""
    return [path.rpartition("/")[2] for path in paths if path.endswith(".zip")]
