"""The guard of the unit tests: sockets, processes and sleeps fail a test, virtual time does not."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import threading
import time

import pytest
from virtual_time import in_virtual_time

from tests.unit.conftest import Forbidden, _guard


def checked(event: str) -> None:
    """The guard has seen ``event`` and nothing else; forget it, so that this test passes."""
    assert _guard.found == [event]
    _guard.found.clear()


def test_a_socket_is_refused() -> None:
    with socket.socket() as client, pytest.raises(Forbidden, match=r"^socket\.connect in a unit test"):
        client.connect(("127.0.0.1", 9))
    checked("socket.connect")
    with socket.socket() as server, pytest.raises(Forbidden):
        server.bind(("127.0.0.1", 0))
    checked("socket.bind")


def test_a_process_is_refused() -> None:
    with pytest.raises(Forbidden):
        subprocess.run([sys.executable, "-c", "pass"], check=False)
    checked("subprocess.Popen")


async def test_a_sleep_is_refused_and_giving_way_is_not() -> None:
    with pytest.raises(Forbidden):
        time.sleep(0.001)  # noqa: ASYNC251 - refused
    checked("time.sleep")
    with pytest.raises(Forbidden):
        await asyncio.sleep(0.001)
    checked("asyncio.sleep")
    await asyncio.sleep(0)


def test_a_sleep_on_another_thread_is_seen() -> None:
    def sleep() -> None:
        with pytest.raises(Forbidden):
            time.sleep(0.001)

    thread = threading.Thread(target=sleep)
    thread.start()
    thread.join()
    checked("time.sleep")


@in_virtual_time
async def test_virtual_time_passes_without_waiting() -> None:
    began = time.perf_counter()
    await asyncio.sleep(3_600.0)
    assert time.perf_counter() - began < 60
