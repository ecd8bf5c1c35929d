"""A run under systemd: ready only when data flows, life told while the engine answers."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tui_feeder.config import Application, Config, Exchange, Service, TechnicalAnalysis
from tui_feeder.engine.live import EngineThread
from tui_feeder.engine.store import Store
from tui_feeder.service.notify import notifying
from tui_feeder.simulator.launch import launch_blocking


class Systemd:
    """The socket systemd listens at, and what was said there."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.said: list[tuple[float, str]] = []
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))

    def hear(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            self.socket.settimeout(left)
            try:
                told = self.socket.recv(4096).decode()
            except TimeoutError:
                return
            self.said += [(time.monotonic(), line) for line in told.splitlines()]

    def hear_of(self, line: str, seconds: float = 60.0) -> float:
        deadline = time.monotonic() + seconds
        while not any(told == line for _, told in self.said):
            assert time.monotonic() < deadline, f"no {line} in {self.said}"
            self.hear(0.2)
        return next(at for at, told in self.said if told == line)

    def count(self, line: str) -> int:
        return sum(told == line for _, told in self.said)


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[Systemd]:
    one = Systemd(tmp_path / "notify")
    yield one
    one.socket.close()


def test_ready_is_told_with_the_first_data_and_not_before(tmp_path: Path, systemd: Systemd) -> None:
    with launch_blocking(symbols=["BTCUSDT", "ETHUSDT"], speed=20) as exchange:
        exchange.fault("ack-without-data")
        (tmp_path / "config.toml").write_text(
            "[application]\n"
            'symbols = ["BTCUSDT", "ETHUSDT"]\nstorage_path = "store"\nhealth_server_port = 0\n'
            "[technical_analysis]\nmin_history_days = 2\n"
            f'[exchange]\nrest_url = "{exchange.urls.rest_url}"\nstream_url = "{exchange.urls.stream_url}"\n'
            f'archive_url = "{exchange.urls.archive_url}"\nclock_rate = 20\n'
        )
        kept = {k: v for k, v in os.environ.items() if not k.startswith("FEEDER_")}
        process = subprocess.Popen(
            [sys.executable, "-m", "tui_feeder", "--no-ui"],
            stdin=subprocess.DEVNULL,
            stderr=(tmp_path / "log").open("w"),
            cwd=tmp_path,
            env={
                **kept,
                "NOTIFY_SOCKET": str(systemd.path),
                "WATCHDOG_USEC": "6000000",
                "PYTHONPATH": str(Path(__file__).resolve().parent.parent),
            },
        )
        try:
            deadline = time.monotonic() + 60
            while not any("streams: market-1 delivers nothing" in line for _, line in systemd.said):
                assert time.monotonic() < deadline, systemd.said
                systemd.hear(0.3)
            systemd.hear(2.0)
            assert systemd.count("READY=1") == 0
            assert systemd.count("WATCHDOG=1") >= 2  # it lives, although it is not ready
            exchange.heal()
            ready = systemd.hear_of("READY=1")
            kicks = systemd.count("WATCHDOG=1")
            systemd.hear(4.0)
            assert systemd.count("WATCHDOG=1") >= kicks + 2
            process.send_signal(signal.SIGTERM)
            assert systemd.hear_of("STOPPING=1") > ready
            assert process.wait(30) == 0
            assert systemd.count("READY=1") == 1
        finally:
            process.kill()
            process.wait()


def test_without_systemd_nothing_is_sent_and_a_wrong_address_harms_nobody(tmp_path: Path) -> None:
    engine = None
    for environ in ({}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "relative"}):
        with notifying(engine, Service(), environ):  # type: ignore[arg-type]  # it must not even be looked at
            pass


def test_an_engine_whose_loop_hangs_gives_no_sign_of_life(tmp_path: Path, systemd: Systemd) -> None:
    with launch_blocking(symbols=["BTCUSDT"], speed=20) as exchange:
        config = Config(
            application=replace(Application(), symbols=("BTCUSDT",)),
            technical_analysis=replace(TechnicalAnalysis(), min_history_days=2),
            exchange=replace(
                Exchange(),
                rest_url=exchange.urls.rest_url,
                stream_url=exchange.urls.stream_url,
                archive_url=exchange.urls.archive_url,
                clock_rate=20.0,
            ),
        )
        thread = EngineThread(config, Store(tmp_path / "store", exchange="x"), [], on_end=lambda: None)
        environ = {"NOTIFY_SOCKET": str(systemd.path), "WATCHDOG_USEC": "1500000"}
        with notifying(thread, config.service, environ):
            systemd.hear_of("READY=1")
            thread.call(lambda: time.sleep(6.0))
            systemd.hear(1.0)  # what was under way
            kicks = systemd.count("WATCHDOG=1")
            systemd.hear(3.5)
            assert systemd.count("WATCHDOG=1") == kicks
            assert any("did not answer" in line for _, line in systemd.said)
            deadline = time.monotonic() + 30
            while systemd.count("WATCHDOG=1") < kicks + 2:
                assert time.monotonic() < deadline
                systemd.hear(0.2)
        thread.request_stop()
        assert thread.join(30)
