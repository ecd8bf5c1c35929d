"""What a run does on SIGHUP."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from tui_feeder import runner
from tui_feeder.config import Config, LoadedConfig, load


@pytest.fixture
def general_level() -> Iterator[Callable[[], str]]:
    before = logging.getLogger().level
    yield lambda: logging.getLevelName(logging.getLogger().level)
    logging.getLogger().setLevel(before)


def configured(level: str) -> LoadedConfig:
    return load(None, environ={"FEEDER_SERVICE__LOG_LEVEL": level}, flags={})


def test_of_two_hangups_at_once_the_configuration_read_last_is_in_force(
    general_level: Callable[[], str],
) -> None:
    engine: Any = SimpleNamespace(
        call=lambda _: None, engine=SimpleNamespace(config=Config(), rule_book=None, alerts=None)
    )
    reads: list[str] = []

    def read() -> LoadedConfig:
        reads.append("error" if not reads else "warning")
        level = reads[-1]
        if len(reads) == 1:  # while this one is followed
            runner._handle_hangup(read, engine)
        return configured(level)

    runner._handle_hangup(read, engine)
    while following := [thread for thread in threading.enumerate() if thread.name == "hangup"]:
        following[0].join()
    assert reads == ["error", "warning"]
    assert general_level() == "WARNING"
