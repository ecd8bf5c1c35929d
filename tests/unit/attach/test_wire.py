"""What is sent of a snapshot leads to the same snapshot at the other end, and is little."""

from __future__ import annotations

import random
import zlib
from dataclasses import astuple, replace

import msgspec
import pytest
from examples import examples
from fake_monitor import NOON, FakeMonitor
from hypothesis import given, settings
from hypothesis import strategies as st

from tui_feeder.attach.wire import (
    Answer,
    Compressor,
    Decompressor,
    Difference,
    WireError,
    apply,
    decode_server_message,
    difference,
    encode,
    flatten,
)
from tui_feeder.monitor import (
    AlertView,
    Event,
    FormingView,
    GapView,
    IndicatorView,
    Progress,
    RulesView,
    RuleView,
    Snapshot,
    StreamMinute,
    StreamView,
    SymbolState,
    SymbolView,
    TimeframeView,
    TradesView,
)

NAMES = ("BTCUSDT", "ETHUSDT", "币安人生USDT", "XUSDT")
number = st.none() | st.floats(allow_nan=False, allow_infinity=False)
# Of few values, so that much stays as it was from one snapshot to the next.
price = st.sampled_from([0.5, 0.25, 60_000.1])
count = st.integers(0, 1 << 60)
moment = st.sampled_from([0, 60_000, NOON])
text = st.text(max_size=8)

views = st.builds(
    SymbolView,
    symbol=st.sampled_from(NAMES),
    state=st.sampled_from(SymbolState),
    reason=text,
    price_decimals=st.integers(0, 8),
    price=number,
    change_1m=number,
    timeframes=st.lists(
        st.builds(TimeframeView, st.sampled_from([60, 300]), st.none() | moment, number,
                  st.sampled_from([None, "Buy", "Sell"]), st.tuples(number, number), st.booleans(),
                  st.integers(0, 9), st.integers(0, 9), st.none() | moment), max_size=3).map(tuple),
    last_closed=st.none() | count,
    messages=count,
    high_24h=number,
    low_24h=number,
    relative_volume=number,
    progress=st.none() | st.builds(Progress, count, count, count, count, count, text, number),
    day_closes=st.lists(price, max_size=3).map(tuple),
    forming=st.none() | st.builds(FormingView, moment, price, price, price, price, price),
)  # fmt: skip
events = st.builds(Event, count, st.sampled_from(["info", "error"]), st.none() | text, text)
values = text | count | st.floats(0, 1e6) | st.lists(text | count, max_size=2).map(tuple)
rules = st.builds(
    RuleView,
    text,
    st.dictionaries(st.sampled_from(["kind", "price", "symbols"]), values),
    st.sampled_from(["configuration", "store"]),
    text,
)
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
    indicators=st.just((IndicatorView("ema", "EMA", 21, "quote asset", True),)),
    symbols=st.lists(views, unique_by=lambda view: view.symbol).map(tuple),
    stream_minutes=st.lists(st.builds(StreamMinute, st.floats(0, 1e4), number), max_size=2).map(tuple),
    streams=st.lists(st.builds(StreamView, text, text, count, st.none() | count, st.floats(0, 1e4),
                               number, count, text), max_size=2).map(tuple),
    trades=st.none() | st.builds(
        TradesView, text, text, count, st.lists(text, max_size=2).map(tuple), st.none() | count, count, count,
        st.lists(st.builds(StreamView, text, text, count, st.none() | count, st.floats(0, 1e4), number, count,
                           text, count), max_size=2).map(tuple)),
    gaps=st.lists(st.builds(GapView, text, count, count, count, text, count, text, text,
                            st.none() | count), max_size=2).map(tuple),
    events=st.lists(events, max_size=6).map(tuple),
    parts=st.dictionaries(text, text, max_size=3),
    counters=st.dictionaries(st.sampled_from(["a", "b", "c", "d"]), count),
    sinks=st.dictionaries(text, text, max_size=2),
    not_ready=text,
    alerts=st.lists(st.builds(AlertView, count, count, text, text, st.none() | text, text),
                    max_size=2).map(tuple),
    alert_rules=st.builds(RulesView, st.lists(rules, max_size=2).map(tuple), text, text),
)  # fmt: skip


def over_the_wire(change: Difference) -> Difference:
    return msgspec.convert(msgspec.msgpack.decode(encode(change)), Difference)


def between(before: Snapshot | None, after: Snapshot, age: float = 0.0) -> Difference:
    return difference(None if before is None else flatten(before), flatten(after), age)


@given(st.lists(snapshots, min_size=1, max_size=5))
@settings(max_examples=examples(200, share=25), deadline=None)
def test_any_row_of_snapshots_arrives_as_it_was_taken(taken: list[Snapshot]) -> None:
    told: Snapshot | None = None
    there: Snapshot | None = None
    for one in taken:
        there = apply(there, over_the_wire(between(told, one, 0.25)), 1000.0)
        told = one
        assert there == replace(one, taken_at=999.75)


@given(st.lists(events, min_size=1, max_size=20, unique_by=lambda e: (e.at, e.text)), st.data())
@settings(max_examples=examples(100), deadline=None)
def test_of_the_log_only_what_is_new_is_sent(lines: list[Event], data: st.DataObject) -> None:
    first = data.draw(st.integers(0, len(lines)))
    gone = data.draw(st.integers(0, first))
    base = FakeMonitor(1).snapshot()
    before = replace(base, events=tuple(lines[:first]))
    after = replace(base, events=tuple(lines[gone:]), sequence=base.sequence + 1)
    change = between(before, after)
    assert apply(before, over_the_wire(change), 0.0).events == after.events
    if gone < first:
        assert change.events == tuple(lines[first:])


def test_a_price_that_moves_costs_a_few_dozen_bytes_and_an_unchanged_snapshot_next_to_none() -> None:
    monitor = FakeMonitor(200)
    before = monitor.snapshot()
    whole = len(encode(between(None, before)))
    same = flatten(before)
    assert len(encode(difference(same, same, 0.0))) < 20
    monitor.change("BTCUSDT", price=60_124.5, last_frame=NOON)
    after = replace(monitor.snapshot(), taken_at=before.taken_at)
    assert len(encode(between(before, after))) < 100
    assert whole > 40_000


def test_of_a_minute_that_goes_on_a_bar_that_closed_and_a_busy_socket_only_the_change_is_sent() -> None:
    monitor = FakeMonitor(2)
    before = monitor.snapshot()
    view = before.symbols[0]
    assert view.forming is not None
    forming = replace(view.forming, close=60_124.5, volume=2.5)
    monitor.change(
        "BTCUSDT",
        forming=forming,
        timeframes=(replace(view.timeframes[0], close=60_124.5), *view.timeframes[1:]),
    )
    after = monitor.snapshot()
    after = replace(
        after, streams=(before.streams[0], replace(before.streams[1], last_frame=NOON)), sequence=1
    )
    change = over_the_wire(between(before, after))
    assert change.symbols == {
        "BTCUSDT": {"forming": list(astuple(forming)), "timeframes": {0: {"close": 60_124.5}}}
    }
    assert change.head == {"streams": {1: {"last_frame": NOON}}}
    assert replace(apply(before, change, 0.0), taken_at=after.taken_at) == after


def test_fifty_symbols_that_all_move_cost_a_look_less_than_fifty_bytes_each() -> None:
    monitor, chance = FakeMonitor(50), random.Random(3)
    compressor, told, sizes = Compressor(), None, []
    for look in range(40):
        for name, view in monitor.views.items():
            assert view.forming is not None
            close = round(view.forming.close * (1 + chance.gauss(0, 2e-5)), view.price_decimals)
            monitor.change(
                name, price=close, last_frame=NOON + look * 250 + chance.randrange(250),
                change_1m=chance.gauss(0, 0.2), change_24h=chance.gauss(0, 3),
                forming=replace(view.forming, close=close, volume=view.forming.volume + chance.random()),
            )  # fmt: skip
        newest = monitor.snapshot()
        sizes.append(len(compressor.encode_frame(Answer(look, between(told, newest, chance.random())))))
        told = newest
    assert sum(sizes[1:]) < 39 * 50 * 50


@given(st.lists(st.binary(max_size=3_000) | st.integers(0, 20_000).map(bytes), max_size=8))
def test_answers_arrive_through_the_packing_as_they_were(values: list[bytes]) -> None:
    compressor, decompressor = Compressor(), Decompressor(64 * 1024)
    for n, value in enumerate(values):
        frame = compressor.encode_frame(Answer(n, value))
        assert int.from_bytes(frame[:4], "big") == len(frame) - 4
        told = decode_server_message(decompressor.body(frame[4:]))
        assert isinstance(told, Answer)
        assert (told.id, told.value) == (n, value)


@pytest.mark.parametrize("after", [0, 3], ids=["first", "later"])
def test_a_small_frame_that_unpacks_to_more_than_is_taken_is_refused(after: int) -> None:
    compressor, decompressor = Compressor(), Decompressor(1 << 20)
    for n in range(after):
        decompressor.body(compressor.encode_frame(Answer(n, bytes(500_000)))[4:])
    bomb = compressor.encode_frame(Answer(9, bytes(32 << 20)))[4:]
    assert len(bomb) < 4 << 20
    with pytest.raises(WireError, match="at most 1048576 bytes"):
        decompressor.body(bomb)


def test_what_was_not_packed_or_lacks_its_end_is_told_apart() -> None:
    with pytest.raises(WireError, match="packed"):
        Decompressor(1 << 20).body(b"\xff\xff\xff\xff")
    whole = Compressor().encode_frame(Answer(1, "a few words that are long enough to be cut"))[4:]
    with pytest.raises(WireError):
        decode_server_message(Decompressor(1 << 20).body(whole[:12]))
    ended = zlib.compress(encode(Answer(1)))
    with pytest.raises(WireError, match="packed"):
        Decompressor(1 << 20).body(ended + ended)


def test_a_difference_to_something_else_is_told_apart_from_a_snapshot() -> None:
    with pytest.raises(WireError, match="does not follow"):
        apply(None, Difference(0.0, {"sequence": 3}), 0.0)
    base = FakeMonitor(1).snapshot()
    for head, symbols in (
        ({"sequence": "three"}, {}),
        ({"color": 3}, {}),
        ({"streams": {7: {"state": "live"}}}, {}),
        ({"streams": {0: 3}}, {}),
        ({"streams": {"0": {}}}, {}),
        ({"gaps": 3}, {}),
        ({}, {"BTCUSDT": {"forming": {"closed": 3.0}}}),
        ({}, {"BTCUSDT": {"forming": [0, 1.0, 1.0, 1.0, "high", 1.0]}}),
        ({}, {"BTCUSDT": {"forming": [0, 1.0, 1.0, 1.0, 1.0]}}),
        ({}, {"BTCUSDT": {"forming": [0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]}}),
        ({}, {"BTCUSDT": {"timeframes": {0: {"values": 3}}}}),
        ({}, {"BTCUSDT": {"progress": {"rows_done": 3}}}),
        ({}, {"NEWUSDT": {"price": 3.0}}),
    ):
        with pytest.raises(WireError, match="does not follow"):
            apply(base, Difference(0.0, head, symbols=symbols), 0.0)
    with pytest.raises(WireError, match="does not follow"):
        apply(base, Difference(0.0, {}, ("NOSUCHUSDT",)), 0.0)
