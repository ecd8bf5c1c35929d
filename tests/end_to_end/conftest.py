"""Fixtures of tests that need a whole feeder."""

from __future__ import annotations

import asyncio
import tempfile
import threading
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
from feed import NOON, configured
from serving import SYMBOLS, exchange_at, serving

from tui_feeder.simulator import synthetic


@pytest.fixture(scope="session", autouse=True)
def days_of_the_market_are_made_once() -> None:
    """A day of a synthetic symbol is always the same: the markets of all tests of a process share it."""
    make: Callable[..., Any] = synthetic._make_day

    def unchangeable(*of: Any) -> Any:  # noqa: ANN401 - as the function's
        block = make(*of)
        block.flags.writeable = False
        return block

    vars(synthetic)["_make_day"] = lru_cache(512)(unchangeable)


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A folder whose path leaves room for the name of a Unix socket, which has at most 100 bytes."""
    with tempfile.TemporaryDirectory(prefix="run-") as folder:
        yield Path(folder)


@pytest.fixture(scope="module")
def feeder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, int]]:
    """A served feeder for a test that is no coroutine, on a loop of another thread."""
    storage = tmp_path_factory.mktemp("served")
    up, over = threading.Event(), threading.Event()
    found: list[tuple[str, int]] = []

    async def serve() -> None:
        async with exchange_at(NOON, 1.0) as exchange, serving(configured(exchange, SYMBOLS), storage) as one:
            await one.until_ready(True)
            found.append(one.service.address)
            up.set()
            await asyncio.to_thread(over.wait)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert up.wait(60)
    yield found[0]
    over.set()
    thread.join(60)
