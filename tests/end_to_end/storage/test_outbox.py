"""An outbox across processes: read beside its engine, killed while it is written."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from feed import NOON, configured, feeding, until
from outboxes import make, opened
from places import SUPPORT
from store_child import SYMBOLS
from stores import EVER, minute

from tui_feeder.engine.core.candle import MINUTE_MS
from tui_feeder.simulator.clock import clock_for
from tui_feeder.simulator.exchange import Exchange
from tui_feeder.simulator.synthetic import synthetic_market


def test_a_store_with_an_outbox_is_read_beside_its_engine(tmp_path: Path) -> None:
    store, _ = opened(tmp_path)
    make(store, 0, 5)
    code = "from tui_feeder.engine.storage.store import Store; import sys; from pathlib import Path;"
    code += "print(Store(Path(sys.argv[1]), read_only=True).present('BTCUSDT').minutes)"
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True)
    assert done.stdout.split() == ["5"], done.stderr
    store.close()


@pytest.mark.timeout(180)
def test_a_kill_at_any_write_neither_loses_nor_tears_a_message(tmp_path: Path) -> None:
    draw = random.Random(6)
    made: set[tuple[str, int]] = set()
    taken: set[tuple[str, int]] = set()
    for seed in range(12):
        process = subprocess.Popen(
            [sys.executable, str(SUPPORT / "outbox_child.py"), str(tmp_path), str(seed)],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        assert process.stdout.readline().split() == ["ready"]
        time.sleep(draw.uniform(0.05, 0.5))
        process.kill()
        for line in process.communicate()[0].splitlines():
            what, symbol, number = line.split()
            (made if what == "made" else taken).add((symbol, int(number)))
    store, outbox = opened(tmp_path)
    waiting = [
        (one.symbol, (one.timestamp + 1) // MINUTE_MS - 1, one.payload) for one in outbox.read_after(0, EVER)
    ]
    left = {(symbol, at - minute(0) // MINUTE_MS) for symbol, at, _ in waiting}
    assert len(made) > 300
    assert made <= left | taken
    for symbol in SYMBOLS:
        mine = [at - minute(0) // MINUTE_MS for name, at, _ in waiting if name == symbol]
        first = mine[0] if mine else 0  # all may be taken
        assert mine == list(range(first, first + len(mine)))  # in order, none twice, no hole
        newest = mine[-1] if mine else max(number for name, number in taken if name == symbol)
        watermark = store.watermark(symbol)
        assert watermark is not None
        assert newest == (watermark - minute(0)) // MINUTE_MS  # candle and message: both or neither
    for symbol, at, payload in waiting:
        once = f"{symbol} {at - minute(0) // MINUTE_MS}".encode()
        assert payload == once * (len(payload) // len(once))
    store.close()


async def test_the_engine_lets_every_message_wait_as_it_was_published(tmp_path: Path) -> None:
    market = synthetic_market(["BTCUSDT"], as_of_ms=NOON)
    async with (
        Exchange(market, clock_for(market, start_ms=NOON, rate=120.0)) as exchange,
        feeding(configured(exchange, ["BTCUSDT"]), tmp_path) as (engine, sink),
    ):
        outbox = engine.store.open_outbox(["kafka"], 512)
        await until(lambda: len(sink.minutes("BTCUSDT")) >= 4)
        await until(lambda: outbox.status("kafka").depth >= 4)
        first = outbox.read_after(0, EVER)[:4]
    published = sink.raw["BTCUSDT"]
    assert [one.payload for one in first] == published[: len(first)]
