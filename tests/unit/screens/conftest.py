"""Screens run on a loop of virtual time: what the pilot and Textual's timers wait for takes no time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from virtual_time import VirtualTimeLoop


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"virtual_time": VirtualTimeLoop}
