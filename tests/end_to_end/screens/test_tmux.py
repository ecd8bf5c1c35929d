"""End to end: the command in tmux, against the embedded exchange, as a user sees it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tmux import Window

pytestmark = pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")


def test_a_demo_is_shown_broken_healed_and_left(tmp_path: Path) -> None:
    one = Window(tmp_path, "--demo", "--demo-speed", "20", "--symbols", "BTCUSDT,ETHUSDT")
    try:
        shown = one.wait_for("● LIVE 2 sym", "▸ BTCUSDT", "BTCUSDT 1h", "ws 1/1")
        assert all(len(line.rstrip()) <= 80 for line in shown.splitlines())
        one.press("Down", "2")
        one.wait_for("ETHUSDT 1h", " O ", "vol ", "in pr")
        one.press("Left", "Left", "PPage")
        one.wait_for("up to 20")
        one.press("3")
        one.wait_for("the value area", "today", "POC")
        one.press("F")
        one.wait_for("Faults", "mute ETHUSDT", "h  end all faults")
        one.press("1")
        one.press("4")
        one.wait_for("ws 0/1!", "unreach", "▸ ")
        one.press("5")
        one.wait_for("(ws) 0 of 1 live", "Archives and history")
        one.press("F")
        one.wait_for("end all faults")
        one.press("h")
        one.wait_for("healed: 1 fault ended")
        one.press("4")
        one.wait_for("ws 1/1", "gaps 0", seconds=60)
        one.press("6")
        one.wait_for("BTCUSDT", gone="unreachable: none")
        one.press("q")
        one.wait_for("Quit?", "live candles of 2 symbols", "candles of this demo")
        one.press("q")
        one.wait_for("shut down cleanly; log in", "code 0")
        kept = json.loads((tmp_path / "state" / "feeder-tui" / "screen.json").read_text())
        assert (kept["screen"], kept["symbol"]) == ("log", "ETHUSDT")
    finally:
        one.close()


def test_the_screen_is_drawn_on_the_terminal_and_what_is_told_goes_to_stderr(tmp_path: Path) -> None:
    """In a locale without UTF-8, where tmux shows an underscore for all that is not ASCII."""
    demo = ("--demo", "--demo-speed", "20", "--symbols", "BTCUSDT", "2>", "err.log")
    one = Window(tmp_path, *demo, lang="C")
    try:
        shown = one.wait_for("* LIVE 1 sym", "> BTCUSDT", "ws 1/1")
        assert "__" not in shown
        assert (tmp_path / "err.log").read_bytes() == b""
        one.press("q")
        one.wait_for("Quit?")
        one.press("q")
        one.wait_for("code 0")
        told = (tmp_path / "err.log").read_text()
        assert told.startswith("feeder-tui: shut down cleanly; log in ")
        assert "\x1b" not in told
    finally:
        one.close()


CRASH = """
from tui_feeder.cli import main
from tui_feeder.screens.overview import OverviewScreen

OverviewScreen.action_zoom = lambda self, step: 1 / 0
main()
"""


def log_of(folder: Path) -> str:
    return (folder / "state" / "feeder-tui" / "feeder-tui.log").read_text()


def eventually(happened: Callable[[], bool], seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.1)


def test_what_becomes_of_the_feeder_without_its_screen(tmp_path: Path) -> None:
    demo = ("--demo", "--demo-speed", "20", "--symbols", "BTCUSDT")
    folders = [tmp_path / name for name in ("stop", "continue", "hangup")]
    for folder in folders:
        folder.mkdir()
        (folder / "crash.py").write_text(CRASH)
    stop, on, away = windows = [
        Window(folders[0], *demo, program="crash.py"),
        Window(folders[1], *demo, "--on-ui-crash", "continue", program="crash.py"),
        Window(folders[2], *demo, "--on-hangup", "continue", "--run-for", "600"),
    ]
    child = 0
    try:
        for one in windows:
            one.wait_for("LIVE 1 sym")
        pane = away.tmux("list-panes", "-F", "#{pane_pid}").strip()
        listed = subprocess.run(
            ["ps", "-o", "pid=,args=", "--ppid", pane], capture_output=True, text=True, check=True
        )
        (child,) = [int(line.split()[0]) for line in listed.stdout.splitlines() if "tui_feeder" in line]
        away.close()
        for one in (stop, on):
            one.press("+")
        shown = stop.wait_for("the screen failed (ZeroDivisionError)", "shut down cleanly", "log", "code 1")
        assert "Traceback" not in shown
        on.wait_for("the screen failed; the feeder goes on without it")
        on.press("C-c")
        assert "Traceback" not in on.wait_for("shut down cleanly", "code 0")
        for folder in folders[:2]:
            assert "ZeroDivisionError" in log_of(folder)
            assert "Traceback" in log_of(folder)
        eventually(lambda: "the terminal is gone: the feeder goes on" in log_of(folders[2]))
        size = len(log_of(folders[2]))
        eventually(lambda: " closed: 1 of 1 symbols" in log_of(folders[2])[size:])
        os.kill(child, signal.SIGTERM)
        eventually(lambda: not Path(f"/proc/{child}").exists())
        child = 0
        assert "shut down cleanly" in log_of(folders[2])
    finally:
        if child:
            os.kill(child, signal.SIGKILL)
        for one in windows:
            one.close()
