from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import tomllib
import urllib.request
from pathlib import Path

import pytest
from commanding import command

from tui_feeder.simulator.launch import ExchangeStartError, launch_blocking
from tui_feeder.simulator.synthetic import DEFAULT_SYMBOLS, synthetic_market

NOON = 1_773_144_000_000  # 2026-03-10T12:00:00Z


def gone(pid: int, within: float = 30.0) -> bool:
    """Whether a process that is not our child ends in time; a zombie has ended."""
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state == "Z":
            return True
        time.sleep(0.05)
    return False


def test_a_child_serves_says_what_it_is_and_stops_when_told() -> None:
    with launch_blocking(symbols=["BTCUSDT", "币安人生USDT"], speed=60, start_ms=NOON) as child:
        assert child.symbols == ("BTCUSDT", "币安人生USDT")
        assert (child.clock_start, child.rate, child.notes) == (NOON, 60.0, ())
        with urllib.request.urlopen(f"{child.urls.rest_url}/fapi/v1/time") as answer:
            assert answer.status == 200
        os.kill(child.pid, signal.SIGINT)  # as Ctrl-C in a terminal would, were the child in its session
        with urllib.request.urlopen(f"{child.urls.rest_url}/fapi/v1/ping") as answer:
            assert answer.read() == b"{}"
        assert child.complaint() == ""
    assert not child.running
    child.stop()


def test_the_child_has_a_session_of_its_own() -> None:
    with launch_blocking(symbols=["BTCUSDT"]) as child:
        assert os.getsid(child.pid) == child.pid != os.getsid(0)


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs /proc to look at a process that is not a child")
def test_the_child_ends_when_its_parent_is_killed() -> None:
    program = (
        "import time\n"
        "from tui_feeder.simulator.launch import launch_blocking\n"
        "child = launch_blocking(symbols=['BTCUSDT'])\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    os.kill(pid, 0)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    assert gone(pid)


def test_why_a_child_can_not_start_is_said_in_one_message(tmp_path: Path) -> None:
    with pytest.raises(ExchangeStartError, match="there is no folder"):
        launch_blocking(data=tmp_path / "none")
    with pytest.raises(ExchangeStartError, match="'BTC': a name must end in USDT or USDC"):
        launch_blocking(symbols=["BTC"])
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(ExchangeStartError, match=r"port \d+ of 127\.0\.0\.1 is in use"):
            launch_blocking(symbols=["BTCUSDT"], port=taken.getsockname()[1])


def test_alone_it_prints_a_section_for_the_configuration_and_ends_with_0_on_a_signal() -> None:
    command = [sys.executable, "-m", "tui_feeder.simulator", "--symbols", "BTCUSDT", "--speed", "60"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    printed = ""
    while "CLOCK_RATE" not in printed:
        line = process.stdout.readline()
        assert line, printed
        printed += line
    section = tomllib.loads(printed)["exchange"]
    assert sorted(section) == ["archive_url", "clock_rate", "rest_url", "stream_url"]
    assert section["clock_rate"] == 60.0
    assert f'FEEDER_EXCHANGE__REST_URL="{section["rest_url"]}"' in printed
    with urllib.request.urlopen(f"{section['rest_url']}/fapi/v1/ping") as answer:
        assert answer.status == 200
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
    process.stdout.close()


def test_starting_a_child_loads_neither_the_exchange_nor_the_engine() -> None:
    program = "import sys, tui_feeder.simulator.launch; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout.split()
    assert "tui_feeder.simulator.launch" in loaded
    assert not {"aiohttp", "numpy", "tui_feeder.simulator.exchange", "tui_feeder.engine"} & set(loaded)


@pytest.mark.parametrize(
    ("asked", "listed"),
    [
        ("ALL", DEFAULT_SYMBOLS),
        ("*USDT", DEFAULT_SYMBOLS),
        ("BTC*,ETHUSDT,NEWUSDT", ("BTCUSDT", "ETHUSDT", "NEWUSDT")),
        ("ETHUSDT,ALL", ("ETHUSDT", *(one for one in DEFAULT_SYMBOLS if one != "ETHUSDT"))),
    ],
)
def test_patterns_and_all_are_of_the_coins_there_are(asked: str, listed: tuple[str, ...]) -> None:
    assert synthetic_market(asked.split(",")).symbols == listed


def test_a_pattern_that_nothing_matches_is_refused_with_what_there_is(tmp_path: Path) -> None:
    for words in (("simulate",), ("--demo", "--no-ui", "--run-for", "1")):
        done = command(*words, "--symbols", "X?Y*", cwd=tmp_path)
        assert done.code in (1, 2)
        assert "no symbol matches X?Y*: there are BTCUSDT" in done.err
        assert done.out == ""
