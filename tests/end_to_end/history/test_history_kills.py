"""kill -9 at random moments of a backfill. ``KILLS=50`` in the environment makes it fifty."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from examples import examples
from history_parts import FEBRUARY, NOON
from places import SUPPORT

from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS
from tui_feeder.engine.core.coverage import Coverage, span
from tui_feeder.engine.storage.store import Store
from tui_feeder.simulator.launch import launch_blocking

CHILD = SUPPORT / "history_child.py"
KILLS = int(os.environ.get("KILLS", examples(6, least=4)))
SYMBOLS = ["BTCUSDT", "LTCUSDT", "AVAXUSDT", "币安人生USDT"]
#: Part of January by days, February as a file, March by days and today by REST.
START, END = FEBRUARY[0] - 3 * DAY_MS, NOON - 60 * MINUTE_MS


def check_whole(store: Store, symbol: str) -> int:
    """Coverage and rows are of one piece, and nothing is certified that is absent; minutes certified."""
    rows = store.read(symbol, 0, 1 << 62)
    present, certified = store.present(symbol), store.certified(symbol)
    assert Coverage.of_times(rows["open_time"]) == present
    assert not certified.subtract(present), "certified but absent"
    return certified.minutes


@pytest.mark.timeout(60 + 10 * KILLS)
def test_killed_at_random_moments_a_backfill_ends_as_if_it_never_was(tmp_path: Path) -> None:
    draw = random.Random(20_261_122 + KILLS)
    held: list[int] = []
    with launch_blocking(start_ms=NOON, symbols=SYMBOLS) as exchange:

        def start(path: Path, symbols: list[str]) -> subprocess.Popen[str]:
            urls = (exchange.urls.rest_url, exchange.urls.archive_url)
            bounds = (str(START), str(END))
            return subprocess.Popen(
                [sys.executable, str(CHILD), str(path), *urls, *bounds, *symbols],
                stdout=subprocess.PIPE, text=True,
            )  # fmt: skip

        symbols = SYMBOLS[:3]  # the newcomer has not all of it
        undisturbed = start(tmp_path / "undisturbed", symbols)
        began = time.monotonic()
        told, _ = undisturbed.communicate(timeout=60)
        assert told.split() == ["begun", "complete"]
        longest = time.monotonic() - began

        killed, through = tmp_path / "killed", []
        for number in range(KILLS):
            if number and held[-1] == len(symbols) * span(START, END).minutes:
                through.append(killed)
                killed = tmp_path / f"killed {number}"  # it was through: another one from nothing
            process = start(killed, symbols)
            assert process.stdout is not None
            assert process.stdout.readline() == "begun\n"
            timer = threading.Timer(draw.uniform(0.0, 0.35 * longest), process.kill)
            timer.start()
            process.wait(60)
            timer.cancel()
            store = Store(killed, exchange="a test")
            held.append(sum(check_whole(store, symbol) for symbol in symbols))
            store.close()
        last = start(killed, symbols)
        assert last.communicate(timeout=60)[0].split() == ["begun", "complete"]

    wanted = Store(tmp_path / "undisturbed", read_only=True)
    for path in (*through, killed):
        found = Store(path, read_only=True)
        for symbol in symbols:
            assert found.present(symbol) == found.certified(symbol) == span(START, END)
            assert wanted.present(symbol) == wanted.certified(symbol) == span(START, END)
            both = (store.read_sourced(symbol, START, END) for store in (found, wanted))
            for left, right in zip(*both, strict=True):
                np.testing.assert_array_equal(left, right)
        found.close()
    wanted.close()
    partial = sum(0 < count < len(symbols) * span(START, END).minutes for count in held)
    print(
        f"{KILLS} kills: {partial} in the middle, {len(through)} after the end, certified after each: {held}"
    )
    assert partial >= KILLS // 4, held
