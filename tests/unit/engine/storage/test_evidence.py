"""Evidence of live minutes in the store: trade ids, what became of messages, values that were replaced."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from examples import examples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS, Candle, Source, to_rows
from tui_feeder.engine.core.coverage import span
from tui_feeder.engine.core.trade_ids import QUIET, TradeIds
from tui_feeder.engine.storage.live_agreement import LiveAgreement, Publication, decode_day, encode_day
from tui_feeder.engine.storage.replaced_values import MOST_VALUES
from tui_feeder.engine.storage.store import Store
from tui_feeder.engine.storage.trade_id_hours import decode_hour, encode_hour

BTC = "BTCUSDT"
DAY = 1_773_100_800_000  # 2026-03-10T00:00:00Z


def minute(number: int) -> int:
    return DAY + number * MINUTE_MS


def candle(number: int, volume: float = 2.0) -> Candle:
    return Candle(minute(number), 1.0, 1.0, 1.0, 1.0, volume, volume, 1, 0.0, 0.0)


class Clock:
    """Exchange time that a test sets."""

    def __init__(self) -> None:
        self.ms = DAY

    def __call__(self) -> int:
        return self.ms


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> Iterator[Store]:
    opened = Store(tmp_path / "store", exchange="test")
    opened.now = clock
    yield opened
    opened.close()


def publish(store: Store, clock: Clock, number: int, *, after_ms: int = 500, volume: float = 2.0) -> None:
    clock.ms = minute(number + 1) + after_ms
    store.append(BTC, candle(number, volume), Source.STREAM, payload=b"{}").result()


some_ids = st.one_of(
    st.just(QUIET),
    st.tuples(st.integers(0, 1 << 52), st.integers(0, 1 << 20)).map(lambda n: TradeIds(n[0], n[0] + n[1])),
)


@given(st.dictionaries(st.integers(0, 59), some_ids))
@settings(max_examples=examples(300))
def test_the_ids_of_an_hour_come_back(minutes: dict[int, TradeIds]) -> None:
    assert decode_hour(encode_hour(minutes)) == dict(sorted(minutes.items()))


@given(st.binary(max_size=40))
@settings(max_examples=examples(300))
def test_bytes_that_are_no_ids_are_refused_or_read(record: bytes) -> None:
    try:
        found = decode_hour(record)
    except ValueError:
        return
    assert all(0 <= minute < 60 for minute in found)


def test_live_minutes_that_join_take_less_than_six_bytes_each() -> None:
    dice = np.random.default_rng(7)
    following, minutes = 8_149_080_393, {}
    for number in range(60):
        trades = int(dice.integers(1, 60_000))
        minutes[number] = TradeIds(following, following + trades - 1)
        following += trades
    assert len(encode_hour(minutes)) <= 5 * 60


def test_ids_are_kept_for_ten_days(store: Store) -> None:
    for day in (0, 1, 11, 12):
        store.put_trade_ids([(BTC, DAY + day * DAY_MS, TradeIds(day, day))]).result()
    kept = store.trade_ids(BTC, DAY, DAY + 30 * DAY_MS)
    assert [(at - DAY) // DAY_MS for at in kept] == [11, 12]
    assert store.trade_ids("ETHUSDT", DAY, DAY + 30 * DAY_MS) == {}


@given(st.lists(st.sampled_from(list(Publication)), min_size=1_440, max_size=1_440))
@settings(max_examples=examples(20))
def test_the_states_of_a_day_come_back(states: list[Publication]) -> None:
    record = encode_day(bytearray(states))
    assert decode_day(record) == bytearray(states)
    assert len(record) < 600


@pytest.mark.parametrize("record", [b"", b"\xff", encode_day(bytearray(3)), encode_day(bytearray(5_000))])
def test_a_record_that_is_no_day_is_refused(record: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        decode_day(record)


def test_a_day_counts_what_stood_was_corrected_and_came_late(store: Store, clock: Clock) -> None:
    for number in range(5):
        publish(store, clock, number)
    publish(store, clock, 5, after_ms=61_000)
    assert store.live_agreement(BTC, DAY) == LiveAgreement(live=5, stood=5, late=1)
    store.put(BTC, to_rows([candle(1), candle(2, 3.0), candle(5, 4.0)]), Source.REST).result()
    assert store.live_agreement(BTC, DAY) == LiveAgreement(live=5, stood=4, corrected=1, late=1)
    # Once more, and back: it did not stand.
    store.put(BTC, to_rows([candle(2)]), Source.REST).result()
    assert store.live_agreement(BTC, DAY) == LiveAgreement(live=5, stood=4, corrected=1, late=1)
    assert store.publications(BTC, DAY)[:7] == bytes((1, 1, 2, 1, 1, 3, 0))


def test_what_was_published_with_values_that_a_better_source_had_already_is_corrected(
    store: Store, clock: Clock
) -> None:
    publish(store, clock, 0)
    store.put(BTC, to_rows([candle(1, 9.0)]), Source.REST).result()
    publish(store, clock, 1)
    assert store.live_agreement(BTC, DAY) == LiveAgreement(live=2, stood=1, corrected=1)
    (published,) = store.replaced_values(BTC, minute(1))
    assert (published.candle.volume, published.source, published.replaced_by) == (
        2.0,
        Source.STREAM,
        Source.REST,
    )


def test_a_message_made_of_a_value_that_was_replaced_meanwhile_is_corrected(
    store: Store, clock: Clock
) -> None:
    publish(store, clock, 0)
    store.put(BTC, to_rows([candle(1), candle(2)]), Source.STREAM).result()
    edition = store.edition(BTC)
    store.put(BTC, to_rows([candle(1, 7.0)]), Source.REST).result()
    clock.ms = minute(3)
    for number in (1, 2):
        made_of = candle(number)
        store.set_watermark(BTC, made_of.open_time, b"{}", (), edition, made_of, Source.STREAM).result()
    assert store.publications(BTC, DAY)[:3] == bytes((1, 2, 1))


def test_a_minute_that_was_skipped_comes_late(store: Store, clock: Clock) -> None:
    publish(store, clock, 0)
    publish(store, clock, 2)
    store.put(BTC, to_rows([candle(1)]), Source.REST).result()
    assert store.unpublished(BTC) == span(minute(1), minute(2))
    clock.ms = minute(2) + 70_000
    store.revise(BTC, [(minute(n), b"{}", ()) for n in (1, 2)], "note", b"").result()
    assert store.publications(BTC, DAY)[:3] == bytes((1, 3, 1))


def test_without_a_clock_nothing_is_said_of_publication(store: Store, clock: Clock) -> None:
    store.now = None
    publish(store, clock, 0)
    assert store.live_agreement(BTC, DAY) == LiveAgreement()


def test_breaks_are_exact_once_they_are_certified(store: Store, clock: Clock) -> None:
    first = 1
    for number in range(4):
        publish(store, clock, number)
        store.put_trade_ids([(BTC, minute(number), TradeIds(first, first + 9))]).result()
        first += 10 if number != 1 else 12
    assert store.live_agreement(BTC, DAY)[4:] == (2, 0, 1)
    clock.ms = minute(20)
    store.put(BTC, to_rows([candle(1, 3.0)]), Source.REST, certify=span(minute(1), minute(2))).result()
    assert store.live_agreement(BTC, DAY)[4:] == (2, 1, 0)


def test_the_end_of_a_day_is_proved_by_the_first_trade_of_the_next(store: Store) -> None:
    for number, ids in ((1_439, TradeIds(1, 5)), (1_440, TradeIds(6, 6)), (1_441, TradeIds(9, 9))):
        store.put_trade_ids([(BTC, minute(number), ids)]).result()
    assert store.live_agreement(BTC, DAY).joined == 1
    assert store.live_agreement(BTC, DAY + DAY_MS)[4:] == (0, 0, 1)


def test_every_value_of_a_minute_is_kept_and_bounded(store: Store, clock: Clock) -> None:
    publish(store, clock, 0)
    for number in range(1, 4):
        clock.ms = minute(10 + number)
        source = (Source.REST, Source.ARCHIVE_DAY, Source.ARCHIVE_MONTH)[number - 1]
        store.put(BTC, to_rows([candle(0, 2.0 + number)]), source).result()
    values = store.replaced_values(BTC, minute(0))
    assert [(v.candle.volume, v.source, v.replaced_by, v.replaced_at) for v in values] == [
        (2.0, 2, 3, minute(11)), (3.0, 3, 4, minute(12)), (4.0, 4, 5, minute(13)),
    ]  # fmt: skip
    for number in range(20):
        store.put(BTC, to_rows([candle(0, 10.0 + number)]), Source.ARCHIVE_MONTH).result()
    values = store.replaced_values(BTC, minute(0))
    assert len(values) == MOST_VALUES
    assert (values[0].candle.volume, values[-1].candle.volume) == (2.0, 28.0)


def test_of_many_replaced_minutes_the_newest_are_kept(store: Store) -> None:
    for day in range(6):
        rows = np.concatenate([to_rows([candle(day * 1_440 + n)]) for n in range(490)])
        store.put(BTC, rows, Source.STREAM).result()
        rows["volume"] = rows["quote_volume"] = 3.0
        store.put(BTC, rows, Source.REST).result()
    assert store.replaced_values(BTC, minute(0)) == ()
    assert len(store.replaced_values(BTC, minute(5 * 1_440 + 489))) == 1


def test_a_leaf_has_what_was_published_and_judged_and_nothing_where_nothing_was() -> None:
    assert LiveAgreement().leaf_fields() == {}
    assert LiveAgreement(late=2).leaf_fields() == {
        "live": {"published": 0, "stood": 0, "corrected": 0, "late": 2}
    }
    assert LiveAgreement(5, 4, 1, 0, 3, 1, 0).leaf_fields() == {
        "live": {"published": 5, "stood": 4, "corrected": 1, "late": 0},
        "chain": {"joined": 3, "exact": 1, "unproved": 0},
    }


@given(st.lists(st.tuples(st.integers(0, 130), some_ids), max_size=25))
@settings(max_examples=examples(60), suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_ids_come_back_in_whatever_order_they_are_put(
    tmp_path_factory: pytest.TempPathFactory, puts: list[tuple[int, TradeIds]]
) -> None:
    store = Store(tmp_path_factory.mktemp("ids"), exchange="test")
    try:
        for number, ids in puts:
            store.put_trade_ids([(BTC, minute(number), ids)]).result()
        kept = {minute(number): ids for number, ids in puts}
        assert store.trade_ids(BTC, DAY, DAY + DAY_MS) == dict(sorted(kept.items()))
    finally:
        store.close()
