"""The commands attach and status on a feeder that runs headless, as a user uses them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from places import ROOT
from preloaded import PreloadedPopen, run_process
from tmux import Window

COMMAND = [sys.executable, "-m", "tui_feeder"]


def environment(runtime: Path) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("FEEDER_")}
    return {**kept, "XDG_RUNTIME_DIR": str(runtime)}


@pytest.fixture
def runtime(short_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(short_path))
    return short_path


@pytest.fixture
def feeder(tmp_path: Path, runtime: Path) -> Iterator[subprocess.Popen[str]]:
    process = PreloadedPopen(
        [*COMMAND, "--demo", "--no-ui", "--demo-speed", "20", "--symbols", "BTCUSDT,ETHUSDT"],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=(tmp_path / "log").open("w"),
        text=True, cwd=tmp_path,
        env={**environment(runtime), "FEEDER_TECHNICAL_ANALYSIS__MIN_HISTORY_DAYS": "2"},
    )  # fmt: skip
    yield process
    process.terminate()
    process.wait(30)


def status(runtime: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run_process([*COMMAND, "status", *arguments], 30, text=True, env=environment(runtime))


def live(runtime: Path) -> subprocess.CompletedProcess[str]:
    deadline = time.monotonic() + 60
    while (told := status(runtime, "--json")).returncode:
        assert time.monotonic() < deadline, told.stderr + told.stdout
        time.sleep(0.2)
    return told


def test_status_is_for_scripts_and_people_and_says_when_nothing_runs(
    runtime: Path, feeder: subprocess.Popen[str]
) -> None:
    found = json.loads(live(runtime).stdout)
    assert found["pid"] == feeder.pid
    assert found["state"] == "live"
    assert [one["symbol"] for one in found["symbols"]] == ["BTCUSDT", "ETHUSDT"]
    assert all(one["price"] > 0 for one in found["symbols"])
    assert stat.S_IMODE(Path(found["socket"]).stat().st_mode) == 0o600
    shown = status(runtime)
    assert shown.returncode == 0
    assert "state     live, on embedded exchange x20" in shown.stdout
    assert "2: 2 live" in shown.stdout
    assert "\npart " not in shown.stdout, "what is done is no trouble"
    feeder.terminate()
    assert feeder.wait(30) == 0
    gone = status(runtime)
    assert (gone.returncode, gone.stdout) == (1, "")
    assert gone.stderr.startswith("feeder-tui: no feeder of this user runs")
    assert not list(runtime.rglob("*.sock"))


@pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")
def test_screens_attach_and_go_and_the_feeder_never_notices(
    tmp_path: Path, runtime: Path, feeder: subprocess.Popen[str]
) -> None:
    live(runtime)
    windows = [Window(tmp_path, "attach") for _ in range(3)]
    try:
        for one in windows:
            shown = one.wait_for("● LIVE 2 sym", "▸ BTCUSDT", "BTCUSDT 1h")
            assert "F fault" not in shown
        windows[0].press("2")
        windows[0].wait_for("vol ", " O ")
        windows[1].press("3")
        windows[1].wait_for("the value area", "POC")
        windows[2].press("q")
        windows[2].wait_for(f"detached; the feeder (pid {feeder.pid}) keeps running", "code 0")
        pane = windows[1].tmux("list-panes", "-F", "#{pane_pid}").strip()
        listed = subprocess.run(["pgrep", "-P", pane], capture_output=True, text=True, check=True)
        os.kill(int(listed.stdout.split()[0]), signal.SIGKILL)
        before = json.loads(status(runtime, "--json").stdout)["counters"]["messages"]
        deadline = time.monotonic() + 30
        while json.loads(status(runtime, "--json").stdout)["counters"]["messages"] < before + 4:
            assert time.monotonic() < deadline
            time.sleep(0.2)
        feeder.terminate()
        feeder.wait(30)
        windows[0].press("1")
        windows[0].wait_for("■ LOST", "the feeder does not answer; reconnecting")
        assert "Traceback" not in (tmp_path / "log").read_text()
    finally:
        for one in windows:
            one.close()


@pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")
def test_alerts_acknowledged_on_an_attached_screen_are_acknowledged_everywhere(
    tmp_path: Path, runtime: Path
) -> None:
    (tmp_path / "config.toml").write_text(
        "[application]\nsymbols = ['BTCUSDT']\n[technical_analysis]\nmin_history_days = 2\n"
        "[alerts]\ncooldown_seconds = 0\n[alerts.rules]\n"
        "little = { kind = 'volume_above', quantile = 'q25', hysteresis_percent = 0 }\n"
    )
    with (tmp_path / "log").open("w") as log:
        process = PreloadedPopen(
            [*COMMAND, "--demo", "--config", "config.toml", "--no-ui", "--demo-speed", "20"],
            stdin=subprocess.DEVNULL, stderr=log, text=True, cwd=tmp_path, env=environment(runtime),
        )  # fmt: skip

    def alerts() -> list[dict[str, Any]]:
        return list(json.loads(status(runtime, "--json").stdout)["alerts"])

    screens: list[Window] = []
    try:
        live(runtime)
        deadline = time.monotonic() + 60
        while not (found := alerts()):
            assert time.monotonic() < deadline, (tmp_path / "log").read_text()
            time.sleep(0.2)
        assert not any(one["acknowledged"] for one in found)
        screens.append(Window(tmp_path, "attach"))
        screens[0].wait_for("● LIVE 1 sym")
        screens[0].press("a")
        screens[0].wait_for("acknowledge all")
        screens[0].press("a")
        screens[0].wait_for("all alerts acknowledged")
        numbers = {one["number"] for one in found}
        deadline = time.monotonic() + 30
        while not all(one["acknowledged"] for one in alerts() if one["number"] in numbers):
            assert time.monotonic() < deadline
            time.sleep(0.2)
    finally:
        for one in screens:
            one.close()
        process.terminate()
        process.wait(30)


def test_without_a_terminal_attach_says_what_scripts_use(runtime: Path) -> None:
    done = run_process([*COMMAND, "attach"], 30, text=True, env=environment(runtime))
    assert done.returncode == 2
    assert "status --json" in done.stderr


@pytest.mark.parametrize(("named", "said"), [("/nowhere/feeder.sock", "service.socket"), ("off", "")])
def test_a_socket_that_was_named_and_cannot_be_had_stops_the_start(
    tmp_path: Path, runtime: Path, named: str, said: str
) -> None:
    (tmp_path / "config.toml").write_text(f'[service]\nsocket = "{named}"\n')
    done = run_process(
        [*COMMAND, "--demo", "--no-ui", "--run-for", "1", "--symbols", "BTCUSDT", "--config", "config.toml"],
        60, text=True, cwd=tmp_path, env=environment(runtime),
    )  # fmt: skip
    assert done.returncode == (1 if said else 0), done.stderr
    assert (f"feeder-tui: {said}" in done.stderr) == bool(said)
    assert not list(runtime.rglob("*.sock"))


def test_the_benchmark_of_attached_screens_measures_nothing_where_it_cannot_measure_all(
    tmp_path: Path,
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.attach", "--json"], capture_output=True, text=True, timeout=60,
        check=False, cwd=ROOT, env={**environment(tmp_path), "PATH": str(tmp_path)},
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    assert "not installed: tmux, chromium" in done.stderr
    assert "apt-get install tmux chromium" in done.stderr
