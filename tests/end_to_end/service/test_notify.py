"""A run under systemd: ready only when data flows, life told while the engine answers."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace
from places import DOCS
from preloaded import PreloadedPopen

from tui_feeder.config import Application, Config, Exchange, Service, TechnicalAnalysis
from tui_feeder.engine.core.candle import MINUTE_MS
from tui_feeder.engine.storage.store import Store
from tui_feeder.engine.thread import EngineThread
from tui_feeder.service.notify import systemd_notifications
from tui_feeder.simulator.launch import ChildExchange, launch_blocking

SYMBOLS = ["BTCUSDT", "ETHUSDT"]


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


@contextlib.contextmanager
def started(
    systemd: Systemd, folder: Path, exchange: ChildExchange, more: str = ""
) -> Iterator[subprocess.Popen[bytes]]:
    """The whole program as systemd would start it; its log is ``log`` in the folder."""
    (folder / "config.toml").write_text(
        f"[application]\nsymbols = {SYMBOLS}\n"
        'storage_path = "store"\nhealth_server_port = 0\n'
        "[technical_analysis]\nmin_history_days = 2\n"
        f'[exchange]\nrest_url = "{exchange.urls.rest_url}"\nstream_url = "{exchange.urls.stream_url}"\n'
        f'archive_url = "{exchange.urls.archive_url}"\nclock_rate = {exchange.rate}\n{more}'
    )
    kept = {k: v for k, v in os.environ.items() if not k.startswith("FEEDER_")}
    with (folder / "log").open("a") as log:
        process = PreloadedPopen(
            [sys.executable, "-m", "tui_feeder", "--no-ui"],
            stdin=subprocess.DEVNULL,
            stderr=log,
            cwd=folder,
            env={
                **kept,
                "NOTIFY_SOCKET": str(systemd.path),
                "WATCHDOG_USEC": "6000000",
            },
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def test_ready_is_told_with_the_first_data_and_not_before(tmp_path: Path, systemd: Systemd) -> None:
    with launch_blocking(symbols=SYMBOLS, speed=20) as exchange:
        exchange.fault("ack-without-data")
        with started(systemd, tmp_path, exchange) as process:
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


def time_of(exchange: ChildExchange) -> int:
    with urllib.request.urlopen(f"{exchange.urls.rest_url}/fapi/v1/time", timeout=10) as answer:
        return int(json.load(answer)["serverTime"])


def ends(folder: Path) -> dict[str, int]:
    """The end of what is stored of each symbol; there is no hole before it."""
    store = Store(folder / "store", read_only=True)
    found = {}
    for symbol in SYMBOLS:
        present = store.present(symbol)
        assert not present.missing(present.start, present.end)
        found[symbol] = present.end
    store.close()
    return found


def what_waits(folder: Path) -> list[bytes]:
    """The messages that the files have not got yet: the next start would write them."""
    store = Store(folder / "store")
    outbox = store.open_outbox(["file", "kafka"], 512)
    found = [one.payload for one in outbox.read_after(outbox.cursors["file"], 1 << 40)]
    store.close()
    return found


def test_stopped_it_drains_in_time_and_started_again_it_tells_each_minute_between_once(
    tmp_path: Path, systemd: Systemd
) -> None:
    with launch_blocking(symbols=SYMBOLS, speed=60) as exchange, socket.socket() as broker:
        broker.bind(("127.0.0.1", 0))
        broker.listen()  # and never answers: no stop may wait for it longer than it is allowed to
        more = (
            '[file]\nenabled = true\npath = "out"\n[service]\nshutdown_timeout_seconds = 4\n'
            f'[kafka]\nenabled = true\nbootstrap_servers = ["127.0.0.1:{broker.getsockname()[1]}"]\n'
        )
        reached: list[dict[str, int]] = []
        for run in (1, 2):
            systemd.said.clear()
            with started(systemd, tmp_path, exchange, more) as process:
                systemd.hear_of("READY=1")
                systemd.hear(5.0)
                assert systemd.count("WATCHDOG=1") >= 2
                process.send_signal(signal.SIGTERM)
                systemd.hear_of("STOPPING=1")
                assert process.wait(60) == 0, "1 would say that it took longer than the time set"
            assert systemd.said[-2][1] == "STOPPING=1", "nothing is said after it but what it does"
            reached.append(ends(tmp_path))
            while run == 1 and time_of(exchange) < max(reached[0].values()) + 6 * MINUTE_MS:
                time.sleep(0.2)
    assert (tmp_path / "log").read_text().count("shut down cleanly") == 2
    lines = [line for one in sorted((tmp_path / "out").iterdir()) for line in one.read_bytes().splitlines()]
    lines += what_waits(tmp_path)
    for symbol in SYMBOLS:
        told = [one for line in lines if (one := json.loads(line))["symbol"] == symbol]
        minutes = [one["timestamp"] + 1 - MINUTE_MS for one in told if one["revision"] == 0]
        assert minutes == list(range(minutes[0], reached[1][symbol], MINUTE_MS)), "each once, none left out"
        assert minutes[0] < reached[0][symbol] < reached[1][symbol] - 6 * MINUTE_MS


@pytest.mark.parametrize("name", ["feeder-tui.service", "feeder-tui@.service"])
def test_the_unit_is_one_systemd_takes_and_leaves_a_stop_its_time(name: str, tmp_path: Path) -> None:
    unit = (DOCS / name).read_text()
    values = dict(line.split("=", 1) for line in unit.splitlines() if "=" in line and line[0] != "#")
    assert values["Type"] == "notify"
    assert (
        float(values["TimeoutStopSec"]) > Service().shutdown_timeout_seconds + 5
    )  # the program's own patience
    assert values["ExecReload"].startswith("/bin/kill -HUP")
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    checked = tmp_path / name
    checked.write_text(unit.replace("/usr/local/bin/feeder-tui", "/bin/true"))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(checked)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


def test_without_systemd_nothing_is_sent_and_a_wrong_address_harms_nobody(tmp_path: Path) -> None:
    engine = None
    for environ in ({}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "relative"}):
        with systemd_notifications(engine, Service(), environ):  # it must not even be looked at
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
        with systemd_notifications(thread, config.service, environ):
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
