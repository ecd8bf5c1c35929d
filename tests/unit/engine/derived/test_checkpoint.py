"""Numbers that go on from what an earlier run kept are those of a run that reads all candles."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from checkpoints import CONFIG, end_of, keep, made, message_bytes, same
from examples import examples, some_of
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from samples import MIDNIGHT, fil, walk

from tui_feeder.config import Config, VolumeProfile
from tui_feeder.engine.analytics.aggregate import aggregate
from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS, Rows, Source, to_candles
from tui_feeder.engine.core.checksum import with_checksum, without_checksum
from tui_feeder.engine.derived import checkpoint as kept_numbers
from tui_feeder.engine.derived.checkpoint import UnusableCheckpoint, decode, resume
from tui_feeder.engine.derived.count_minute import count_minute
from tui_feeder.engine.derived.inputs import (
    SEED,
    Seed,
    SymbolInputs,
    earliest_start,
    history_start,
    load_pipeline,
    put_inputs,
)
from tui_feeder.engine.derived.revisions import Revisions
from tui_feeder.engine.derived.settings import pipeline_settings
from tui_feeder.engine.storage.store import Store

OTHER = replace(
    CONFIG, volume_profile=VolumeProfile(value_area_calculation_mode="Greedy", fixed_price_increment=0.5)
)
LONG = 5_000


def store_at(path: Path, rows: Rows) -> Store:
    store = Store(path, exchange="test", map_size=1 << 24)
    if len(rows):
        store.put("XUSDT", rows, Source.STREAM).result()
    return store


# --- as good as made from all candles ------------------------------------------------------------


@given(st.data())
@settings(max_examples=examples(40), deadline=None)
def test_whatever_happens_to_the_store_kept_numbers_are_right_or_refused(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    rows = walk(
        4_000,
        seed=data.draw(st.integers(0, 5)),
        start=MIDNIGHT - data.draw(st.integers(0, 1_500)) * MINUTE_MS,
    )
    gone = np.random.default_rng(1).random(len(rows)) < 0.02
    have = data.draw(st.integers(1, 2_500))
    store = store_at(tmp_path_factory.mktemp("store"), rows[:have][~gone[:have]])
    config, live = CONFIG, None
    hurt, whole = False, store.checkpoint("XUSDT")
    for what in data.draw(
        st.lists(
            st.sampled_from(
                ("append", "append", "leap", "repair", "fill", "keep", "follow", "settings", "damage")
            ),
            max_size=12,
        )
    ):
        if what == "append" and have < len(rows):
            more = data.draw(st.sampled_from((1, 7, 200)))
            part = rows[have : have + more]
            have += more
            store.put("XUSDT", part[~gone[have - more : have]], Source.STREAM).result()
        elif what == "leap":
            have += data.draw(st.sampled_from((30, 1_500)))
        elif what == "repair":
            part = store.read("XUSDT", 0, 1 << 50)
            if not len(part):
                continue
            at = data.draw(st.integers(0, len(part) - 1))
            one = part[at : at + 1].copy()
            one["volume"] += data.draw(st.sampled_from((0.0, 5.0)))
            store.put("XUSDT", one, Source.REST).result()
        elif what == "fill":
            missing = np.flatnonzero(gone[: min(have, len(rows))])
            if len(missing):
                at = int(missing[data.draw(st.integers(0, len(missing) - 1))])
                gone[at] = False
                store.put("XUSDT", rows[at : at + 1], Source.REST).result()
        elif what == "keep":
            keep(store, config, end_of(store), None)
            hurt, whole = False, store.checkpoint("XUSDT")
        elif what == "follow":  # a live pipeline: loaded at some minute, then fed one by one
            end = end_of(store) - data.draw(st.integers(1, 300)) * MINUTE_MS
            live = made(store, config, end)
            for c in to_candles(store.read("XUSDT", max(end, 0), 1 << 50)):
                if live.last_open_time is None or c.open_time > live.last_open_time:
                    count_minute(store, live, c)
            keep(store, config, end_of(store), live)
            hurt, whole = False, store.checkpoint("XUSDT")
        elif what == "settings":
            config = OTHER if config is CONFIG else CONFIG
        elif block := store.checkpoint("XUSDT"):  # not one that was cut off at its beginning before
            spot = data.draw(st.integers(0, len(block) - 1))
            torn = block[:spot] + (
                b"" if data.draw(st.booleans()) else bytes([block[spot] ^ 1]) + block[spot + 1 :]
            )
            store.put_checkpoint("XUSDT", torn).result()
            hurt = torn != whole  # the same byte turned over twice is what it was
    end = end_of(store)
    try:
        found = resume(store, config, "XUSDT", end)
    except UnusableCheckpoint:
        found = None
    if found is not None:
        assert not hurt
        assert same(store, found[0], made(store, config, end))
    store.close()


def test_after_mere_appends_they_are_used_and_equal_to_the_last_bit(tmp_path: Path) -> None:
    rows = fil()[: 63 * 1_440 + 777]
    store = store_at(tmp_path, rows[:-1_500])
    config = Config()
    keep(store, config, end_of(store))
    store.put("XUSDT", rows[-1_500:-40], Source.STREAM).result()
    for c in to_candles(rows[-40:]):
        store.append("XUSDT", c, Source.STREAM).result()
    found = resume(store, config, "XUSDT", end_of(store))
    assert found is not None
    assert same(store, found[0], made(store, config, end_of(store)))
    store.close()


def test_a_whole_day_later_and_window_after_window_they_go_on_alike(tmp_path: Path) -> None:
    rows = walk(LONG, seed=3)
    store = store_at(tmp_path, rows[:2_000])
    keep(store, CONFIG, end_of(store))
    store.put("XUSDT", rows[2_000:], Source.STREAM).result()
    for at in (2_000, 2_001, 2_100, 3_500, LONG):
        end = int(rows["open_time"][at - 1]) + MINUTE_MS
        if at == 2_000:
            with pytest.raises(UnusableCheckpoint, match="later"):
                resume(store, CONFIG, "XUSDT", end - MINUTE_MS)
        found = resume(store, CONFIG, "XUSDT", end)
        assert found is not None
        assert message_bytes(found[0]) == message_bytes(made(store, CONFIG, end))
    store.close()


# --- refused -------------------------------------------------------------------------------------


def test_a_replaced_minute_refuses_them_and_the_same_values_from_a_better_source_do_not(
    tmp_path: Path,
) -> None:
    rows = walk(3_000)
    store = store_at(tmp_path, rows)
    keep(store, CONFIG, end_of(store))
    store.put("XUSDT", rows[100:2_000], Source.ARCHIVE_MONTH).result()
    assert resume(store, CONFIG, "XUSDT", end_of(store)) is not None
    wrong = rows[1_500:1_501].copy()
    wrong["close"] = wrong["high"]
    wrong["volume"] += 1
    store.append("XUSDT", to_candles(wrong)[0], Source.ARCHIVE_MONTH).result()
    with pytest.raises(UnusableCheckpoint, match="replaced"):
        resume(store, CONFIG, "XUSDT", end_of(store))
    store.close()


def test_a_minute_of_which_the_pipeline_counted_other_values_than_those_stored_refuses_them(
    tmp_path: Path,
) -> None:
    # REST stores a minute, the stream's frame of it is counted: what is stored wins, the numbers are wrong.
    rows = walk(1_000)
    store = store_at(tmp_path, rows[:999])
    live = made(store, CONFIG, end_of(store))
    edition = store.edition("XUSDT")
    store.put("XUSDT", rows[999:], Source.REST).result()
    other = rows[999:].copy()
    other["volume"] += 1
    count_minute(store, live, to_candles(other)[0])
    store.append("XUSDT", to_candles(other)[0], Source.STREAM).result()
    assert store.edition("XUSDT") > edition
    store.close()


def test_minutes_stored_inside_or_before_their_history_refuse_them(tmp_path: Path) -> None:
    rows = walk(3_000)
    for late in (slice(500, 501), slice(0, 10)):
        path = tmp_path / str(late.start)
        store = store_at(path, np.delete(rows, late))
        keep(store, CONFIG, end_of(store))
        assert resume(store, CONFIG, "XUSDT", end_of(store)) is not None
        store.put("XUSDT", rows[late], Source.REST).result()
        with pytest.raises(UnusableCheckpoint, match=r"stored since|begins elsewhere"):
            resume(store, CONFIG, "XUSDT", end_of(store))
        store.close()


def test_minutes_of_the_days_before_a_hole_that_ends_the_history_refuse_them(tmp_path: Path) -> None:
    """They are in no average, but the profile's increment rests on the range of their day."""
    early = walk(1_400, seed=7)  # a day, then a hole of more than one
    rows = np.concatenate((early, walk(1_000, seed=8, start=MIDNIGHT + 4 * DAY_MS)))
    late = slice(300, 400)
    rows["high"][late] *= 30
    store = store_at(tmp_path, np.delete(rows, late))
    # All that was published came after the hole, so it ends the history.
    store.put_note("revisions XUSDT", Revisions(MIDNIGHT + 4 * DAY_MS).encode()).result()
    end = end_of(store)
    keep(store, CONFIG, end)
    found = resume(store, CONFIG, "XUSDT", end)
    assert found is not None
    assert found[1].start == MIDNIGHT + 4 * DAY_MS
    before = found[0].profile_now()
    store.put("XUSDT", rows[late], Source.REST).result()
    with pytest.raises(UnusableCheckpoint, match="days before were stored since"):
        resume(store, CONFIG, "XUSDT", end)
    after = made(store, CONFIG, end).profile_now()
    assert before is not None
    assert after is not None
    assert after.increment > before.increment
    store.close()


def test_those_of_a_program_before_auto_increments_refuse_them(tmp_path: Path) -> None:
    store = store_at(tmp_path, walk(900))
    keep(store, CONFIG, end_of(store))
    block = store.checkpoint("XUSDT")
    assert block is not None
    body = without_checksum(kept_numbers._FORMAT, block)
    store.put_checkpoint("XUSDT", with_checksum(b"feeder numbers 1\0", body)).result()
    with pytest.raises(UnusableCheckpoint, match="format"):
        resume(store, CONFIG, "XUSDT", end_of(store))
    store.close()


def test_a_silence_of_more_than_a_day_before_all_that_was_published_refuses_them(tmp_path: Path) -> None:
    store = store_at(tmp_path, walk(900))
    keep(store, CONFIG, end_of(store))
    store.put("XUSDT", walk(50, start=MIDNIGHT + 3 * DAY_MS), Source.STREAM).result()
    found = resume(store, CONFIG, "XUSDT", end_of(store))
    assert found is not None  # numbers go on across it, and name what they lack
    assert message_bytes(found[0]) == message_bytes(load_pipeline(store, CONFIG, "XUSDT", end_of(store)))
    store.put_note("revisions XUSDT", Revisions(MIDNIGHT + 3 * DAY_MS).encode()).result()
    with pytest.raises(UnusableCheckpoint, match="begins elsewhere"):
        resume(store, CONFIG, "XUSDT", end_of(store))
    store.close()


def test_other_settings_another_tick_size_and_other_seeds_refuse_them(tmp_path: Path) -> None:
    rows = walk(3_000)
    store = store_at(tmp_path, rows)
    end = end_of(store)
    keep(store, CONFIG, end)
    analysis = CONFIG.technical_analysis
    for other in (
        OTHER,
        replace(CONFIG, technical_analysis=replace(analysis, ema_periods=(3, 9))),
        replace(CONFIG, technical_analysis=replace(analysis, trend_rule="ema_cross")),
    ):
        with pytest.raises(UnusableCheckpoint, match="other settings"):
            resume(store, other, "XUSDT", end)
    bars = aggregate(walk(600, start=MIDNIGHT - 600 * MINUTE_MS), 3600).rows
    seed = np.empty(len(bars), dtype=SEED)
    seed["open_time"], seed["close"] = bars["open_time"], bars["close"]
    for inputs in (SymbolInputs(tick_size=0.5), SymbolInputs(seeds={3600: Seed(MIDNIGHT, seed.tobytes())})):
        put_inputs(store, "XUSDT", inputs).result()
        with pytest.raises(UnusableCheckpoint, match="other settings"):
            resume(store, CONFIG, "XUSDT", end)
        keep(store, CONFIG, end)
        found = resume(store, CONFIG, "XUSDT", end)
        assert found is not None
        assert same(store, found[0], made(store, CONFIG, end))
    store.close()


def test_every_damaged_byte_and_every_torn_end_is_noticed(tmp_path: Path) -> None:
    store = store_at(tmp_path, walk(300))
    keep(store, CONFIG, end_of(store))
    block = store.checkpoint("XUSDT")
    assert block is not None
    for at in some_of(range(len(block)), every=7):  # seven is no length of a field
        for bad in (block[:at], block[:at] + bytes([block[at] ^ 0x40]) + block[at + 1 :]):
            with pytest.raises(UnusableCheckpoint, match=r"damaged|format"):
                decode(bad)
    store.put_checkpoint("XUSDT", block[:-1]).result()
    with pytest.raises(UnusableCheckpoint, match="damaged"):
        resume(store, CONFIG, "XUSDT", end_of(store))
    store.close()


def test_nothing_kept_is_no_fault(tmp_path: Path) -> None:
    store = store_at(tmp_path, walk(3))
    assert resume(store, CONFIG, "XUSDT", end_of(store)) is None
    store.close()


def test_history_that_ages_out_at_its_beginning_does_not_refuse_them(tmp_path: Path) -> None:
    chosen = pipeline_settings(CONFIG, "XUSDT", None)
    rows = walk(22 * 1_440)  # 46 bars of 1 h for each of the 8 of the longest EMA are 15 days
    store = store_at(tmp_path, rows[: 18 * 1_440])
    end = end_of(store)
    keep(store, CONFIG, end)
    store.put("XUSDT", rows[18 * 1_440 :], Source.STREAM).result()
    later = end_of(store)
    assert earliest_start(later, chosen) > history_start(store.present("XUSDT"), end, chosen)
    found = resume(store, CONFIG, "XUSDT", later)
    assert found is not None
    assert message_bytes(found[0]) == message_bytes(made(store, CONFIG, later))
    store.close()


# --- killed, stopped, started --------------------------------------------------------------------
