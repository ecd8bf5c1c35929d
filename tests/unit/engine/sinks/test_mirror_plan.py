from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from store_child import rows_of
from stores import minute

from tui_feeder.config import Config
from tui_feeder.engine.analytics.aggregate import aggregate
from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS, Source
from tui_feeder.engine.core.coverage import EMPTY, Coverage
from tui_feeder.engine.sinks.mirror_plan import bars_of, next_piece
from tui_feeder.engine.sinks.postgres import PostgresSink
from tui_feeder.engine.storage.store import Store

SPAN = 3 * 1440


@settings(max_examples=examples(60), deadline=None)
@given(
    timeframe=st.sampled_from((60, 300, 3600, 14_400, 86_400)),
    arrivals=st.lists(
        st.lists(st.tuples(st.integers(0, SPAN), st.integers(1, 700)), max_size=4), min_size=1, max_size=4
    ),
)
def test_whatever_order_minutes_come_in_the_mirror_ends_equal(
    timeframe: int, arrivals: list[list[tuple[int, int]]]
) -> None:
    whole = rows_of(minute(0), minute(SPAN + 700), Source.REST)
    present = mirrored = EMPTY
    table: dict[int, tuple[object, ...]] = {}
    for arrival in arrivals:
        for start, length in arrival:
            present = present.union(Coverage([(minute(start), minute(start + length))]))
        kept = np.array([at in present for at in whole["open_time"].tolist()], dtype=bool)
        stored = whole[kept]
        todo = present.subtract(mirrored)
        while (piece := next_piece(present, todo, timeframe)) is not None:
            inside = (stored["open_time"] >= piece.start) & (stored["open_time"] < piece.end)
            for bar in bars_of(stored[inside], piece, timeframe).rows.tolist():
                table[bar[0]] = bar
            assert piece.minutes  # it goes on, always
            mirrored, todo = mirrored.union(piece.minutes), todo.subtract(piece.minutes)
        assert list(map(table.get, sorted(table))) == aggregate(stored, timeframe).rows.tolist()


def test_nothing_is_written_of_a_candle_in_progress() -> None:
    present = Coverage([(minute(0), minute(59))])
    assert next_piece(present, present, 3600) is None
    present = present.union(Coverage([(minute(59), minute(60))]))
    piece = next_piece(present, present, 3600)
    assert piece is not None
    assert (piece.start, piece.end) == (minute(0), minute(60))


def test_pieces_of_a_long_history_never_share_a_candle() -> None:
    start = 17 * MINUTE_MS
    present = Coverage([(minute(0) + start, minute(60 * 1440))])
    todo, ends = present, []
    while (piece := next_piece(present, todo, 14_400)) is not None:
        ends.append((piece.start, piece.end))
        todo = todo.subtract(piece.minutes)
    assert len(ends) > 5
    assert all(a[1] == b[0] for a, b in pairwise(ends))


def test_a_damaged_day_of_one_symbol_stops_no_other_day(tmp_path: Path) -> None:
    store = Store(tmp_path, exchange="a test")
    for symbol in ("AAA", "BBB"):
        store.put(symbol, rows_of(minute(0), minute(3 * 1440), Source.REST), Source.REST).result()
    day = minute(1440) // DAY_MS * DAY_MS

    def hurt(write: Any) -> None:  # noqa: ANN401
        days = store._environment.days.database
        key = b"AAA\0" + (day // DAY_MS).to_bytes(4, "big")
        block = bytearray(write.txn.get(key, db=days))
        block[-1] ^= 1
        write.txn.put(key, bytes(block), db=days)

    store._submit(hurt).result()
    parts = [part for parts in PostgresSink(Config(), store)._batches(["AAA", "BBB"], {}) for part in parts]
    made = {
        symbol: [part.minutes for part in parts if (part.symbol, part.timeframe) == (symbol, 60)]
        for symbol in ("AAA", "BBB")
    }
    assert sum(one.minutes for one in made["BBB"]) == 3 * 1440
    assert sum(one.minutes for one in made["AAA"]) == 2 * 1440
    assert not any(one.clip(day, day + DAY_MS) for one in made["AAA"])
    store.close()
