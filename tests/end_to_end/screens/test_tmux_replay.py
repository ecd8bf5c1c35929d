"""End to end: ``replay --ui`` in tmux, while this process holds the store as an engine does."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from commanding import command
from samples import MIDNIGHT, walk
from tmux import Window

from tui_feeder.engine.core.candle import Source
from tui_feeder.engine.storage.store import Store

pytestmark = pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")


def moment_of(screen: str) -> str:
    found = re.search(r"REPLAY (?:paused )?(\S+ \S+) ", screen)
    assert found is not None, screen
    return found[1]


def test_stored_candles_are_played_stopped_and_gone_through(tmp_path: Path) -> None:
    writer = Store(tmp_path / "store", exchange="test")
    writer.put("AUSDT", walk(5 * 1_440), Source.REST).result()
    writer.put("BUSDT", walk(5 * 1_440, seed=2), Source.REST).result()
    one = Window(tmp_path, "replay", "--ui", "--storage", "store", "--from", "2026-01-03", "--speed", "600")
    try:
        one.wait_for("● REPLAY 2026-01-03 0", "600x", "2 sym", "▸ AUSDT", "Space play")
        assert all(len(line.rstrip()) <= 80 for line in one.screen().splitlines())
        one.press("Space")
        stood = one.wait_for("REPLAY paused 2026-01-03")
        writer.put("AUSDT", walk(60, start=MIDNIGHT + 5 * 86_400_000), Source.REST).result()
        one.press(">", "Down")
        one.wait_for("REPLAY paused 2026-01-04", "▸ BUSDT")
        one.press(".", "<", ",")
        assert moment_of(one.wait_for("REPLAY paused 2026-01-03")) == moment_of(stood)
        one.press("<", "<")  # not before --from
        one.wait_for("REPLAY paused 2026-01-03 00:00")
        one.press("(", "Space")
        one.wait_for("● REPLAY 2026-01-03 0", "300x")
        one.press("2")
        one.wait_for("BUSDT 1h", "VAH")
        one.press("q")
        one.wait_for("code 0")
    finally:
        one.close()
        writer.close()


def test_a_replay_without_a_terminal_or_candles_says_what_to_do(tmp_path: Path) -> None:
    without = command("replay", "--ui", "--storage", tmp_path / "store", cwd=tmp_path)
    assert without.code == 2
    assert "--ui needs a terminal" in without.err
    one = Window(tmp_path, "replay", "--ui", "--storage", "nowhere")
    try:
        assert "Traceback" not in one.wait_for("nowhere", "code 1")
    finally:
        one.close()
