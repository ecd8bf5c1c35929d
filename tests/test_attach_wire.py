"""Snapshots as differences: what the other side puts together is what was taken."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest
from fake_monitor import NOON, FakeMonitor
from hypothesis import given, settings
from hypothesis import strategies as st

from tui_feeder.attach.wire import Difference, WireError, apply, difference, encode
from tui_feeder.monitor import Event, GapView, Progress, Snapshot, StreamView, SymbolState, SymbolView

NAMES = ("BTCUSDT", "ETHUSDT", "币安人生USDT", "XUSDT")
number = st.none() | st.floats(allow_nan=False, allow_infinity=False)
count = st.integers(0, 1 << 60)
text = st.text(max_size=8)

views = st.builds(
    SymbolView,
    symbol=st.sampled_from(NAMES),
    state=st.sampled_from(SymbolState),
    reason=text,
    price_decimals=st.integers(0, 8),
    price=number,
    change_1m=number,
    last_closed=st.none() | count,
    messages=count,
    progress=st.none() | st.builds(Progress, count, count, count, count, count, text, number),
)
events = st.builds(Event, count, st.sampled_from(["info", "error"]), st.none() | text, text)
snapshots = st.builds(
    Snapshot,
    sequence=count,
    exchange_time=count,
    clock_rate=st.just(1.0),
    clock_offset_ms=st.floats(-1e6, 1e6),
    taken_at=st.floats(0, 1e6),
    state=st.sampled_from(["live", "backfill", "degraded"]),
    exchange=text,
    timeframes=st.just((60, 300)),
    ema_periods=st.just((21, 89)),
    symbols=st.lists(views, unique_by=lambda view: view.symbol).map(tuple),
    streams=st.lists(st.builds(StreamView, text, text, count, st.none() | count, st.floats(0, 1e4),
                               number, count, text), max_size=2).map(tuple),
    gaps=st.lists(st.builds(GapView, text, count, count, count, text, count, text, text,
                            st.none() | count), max_size=2).map(tuple),
    events=st.lists(events, max_size=6).map(tuple),
    parts=st.dictionaries(text, text, max_size=3),
    counters=st.dictionaries(st.sampled_from(["a", "b", "c", "d"]), count),
    sinks=st.dictionaries(text, text, max_size=2),
)  # fmt: skip


def over_the_wire(change: Difference) -> Difference:
    return msgspec.convert(msgspec.msgpack.decode(encode(change)), Difference)


@given(st.lists(snapshots, min_size=1, max_size=5))
@settings(max_examples=200, deadline=None)
def test_any_row_of_snapshots_arrives_as_it_was_taken(taken: list[Snapshot]) -> None:
    told: Snapshot | None = None
    there: Snapshot | None = None
    for one in taken:
        there = apply(there, over_the_wire(difference(told, one, 0.25)), 1000.0)
        told = one
        assert there == replace(one, taken_at=999.75)


@given(st.lists(events, min_size=1, max_size=20, unique_by=lambda e: (e.at, e.text)), st.data())
@settings(max_examples=100, deadline=None)
def test_of_the_log_only_what_is_new_is_sent(lines: list[Event], data: st.DataObject) -> None:
    first = data.draw(st.integers(0, len(lines)))
    gone = data.draw(st.integers(0, first))
    base = FakeMonitor(1).snapshot()
    before = replace(base, events=tuple(lines[:first]))
    after = replace(base, events=tuple(lines[gone:]), sequence=base.sequence + 1)
    change = difference(before, after, 0.0)
    assert apply(before, over_the_wire(change), 0.0).events == after.events
    if gone < first:
        assert change.events == tuple(lines[first:])


def test_a_price_that_moves_costs_a_few_dozen_bytes_and_an_unchanged_snapshot_next_to_none() -> None:
    monitor = FakeMonitor(600)
    before = monitor.snapshot()
    whole = len(encode(difference(None, before, 0.0)))
    assert len(encode(difference(before, before, 0.0))) < 20
    monitor.change("BTCUSDT", price=60_124.5, last_frame=NOON)
    after = replace(monitor.snapshot(), taken_at=before.taken_at)
    assert len(encode(difference(before, after, 0.0))) < 100
    assert whole > 100_000


def test_a_difference_to_something_else_is_told_apart_from_a_snapshot() -> None:
    with pytest.raises(WireError, match="does not follow"):
        apply(None, Difference(0.0, {"sequence": 3}), 0.0)
    with pytest.raises(WireError, match="does not follow"):
        apply(FakeMonitor(1).snapshot(), Difference(0.0, {"sequence": "three"}), 0.0)
    with pytest.raises(WireError, match="does not follow"):
        apply(FakeMonitor(1).snapshot(), Difference(0.0, {}, ("NOSUCHUSDT",)), 0.0)
