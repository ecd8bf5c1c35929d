"""What a unit test must not do: open a socket, start a process, or wait for real time."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest
from virtual_time import VirtualTimeLoop

#: Audit events of the interpreter that a unit test must not cause.
FORBIDDEN = frozenset(
    {"socket.connect", "socket.bind", "subprocess.Popen", "os.fork", "os.posix_spawn", "os.system", "os.exec"}
)


class Forbidden(BaseException):
    """Something that only a test in tests/end_to_end may do. No handler of the program may swallow it."""


class _Guard:
    """The audit hook, which cannot be removed: it acts only while a unit test runs."""

    def __init__(self) -> None:
        self.active = False
        self.found: list[str] = []
        sys.addaudithook(self._audit)

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.active and event in FORBIDDEN:
            self.forbid(event)

    def forbid(self, what: str) -> None:
        self.found.append(what)
        raise Forbidden(f"{what} in a unit test: move the test to tests/end_to_end")


_guard = _Guard()
_sleep, _sleep_async = time.sleep, asyncio.sleep


def _checked_sleep(seconds: float) -> None:
    if seconds > 0:
        _guard.forbid("time.sleep")
    _sleep(seconds)


async def _checked_sleep_async(delay: float, result: Any = None) -> Any:  # noqa: ANN401 - as asyncio's
    if delay > 0 and not isinstance(asyncio.get_running_loop(), VirtualTimeLoop):
        _guard.forbid("asyncio.sleep")
    return await _sleep_async(delay, result)


@pytest.fixture(autouse=True)
def no_sockets_processes_or_sleeps(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fail a test that opens a socket, starts a process or sleeps, also where the error is swallowed.

    Textual binds asyncio's own ``sleep`` when it is imported: its timers go on working.
    """
    monkeypatch.setattr(time, "sleep", _checked_sleep)
    monkeypatch.setattr(asyncio, "sleep", _checked_sleep_async)
    _guard.found.clear()
    _guard.active = True
    yield
    _guard.active = False
    assert not _guard.found, f"a unit test must not use {', '.join(sorted(set(_guard.found)))}"
