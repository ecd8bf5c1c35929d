"""Ladders of days in the store: kept so many days, read back exactly, and what is damaged counts as none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from trade_samples import APE_DAY, ape_candles, ape_ladder

from tui_feeder.engine.analytics.orderflow.packing import sums_of
from tui_feeder.engine.analytics.orderflow.reconcile import Known
from tui_feeder.engine.analytics.profile.settings import ProfileSettings
from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS, Source
from tui_feeder.engine.derived.stored_ladders import (
    FollowedSums,
    LadderOrigin,
    known_minutes,
    ladder_days,
    ladders_state,
    origins,
    put_ladder,
    put_minute,
    read_ladder,
    read_levels,
    stored_traded_profile,
    stored_volumes,
)
from tui_feeder.engine.storage.store import Store

ORIGIN = LadderOrigin("/data/a.zip", "00" * 32, True, 45_342)
SETTINGS = ProfileSettings(price_increment_mode="Fixed", fixed_price_increment=0.001)


def test_a_day_is_read_back_and_old_days_are_dropped(tmp_path: Path) -> None:
    store, ladder = Store(tmp_path, exchange="test"), ape_ladder()
    put_ladder(store, "APEUSDT", ladder, ORIGIN, APE_DAY).result()
    assert origins(store, "APEUSDT") == {APE_DAY: ORIGIN}
    kept = read_ladder(store, "APEUSDT", APE_DAY)
    assert kept is not None
    assert np.array_equal(kept.levels, ladder.levels)
    assert (origins(store, "X"), read_ladder(store, "X", APE_DAY)) == ({}, None)
    later = replace(ladder, day=APE_DAY + DAY_MS)
    put_ladder(store, "APEUSDT", later, ORIGIN, later.day).result()
    assert list(origins(store, "APEUSDT")) == [later.day]
    assert read_ladder(store, "APEUSDT", APE_DAY) is None
    assert read_ladder(store, "APEUSDT", later.day) is not None
    store.close()


def test_its_profile_is_that_of_its_candles_and_trades(tmp_path: Path) -> None:
    store, candles = Store(tmp_path, exchange="test"), ape_candles()
    assert stored_traded_profile(store, "APEUSDT", SETTINGS, APE_DAY) is None
    put_ladder(store, "APEUSDT", ape_ladder(), ORIGIN, APE_DAY).result()
    assert stored_traded_profile(store, "APEUSDT", SETTINGS, APE_DAY) is None, "there are no candles yet"
    store.put("APEUSDT", candles[300:], Source.ARCHIVE_DAY).result()
    late = stored_traded_profile(store, "APEUSDT", SETTINGS, APE_DAY)
    assert late is not None
    assert (late.exact_share, late.candles) == (1.0, 1_140), "ladders of minutes without a candle count not"
    store.put("APEUSDT", candles, Source.ARCHIVE_DAY).result()
    made = stored_traded_profile(store, "APEUSDT", SETTINGS, APE_DAY)
    assert made is not None
    assert (made.exact_share, made.candles) == (1.0, 1_440)
    found, known = known_minutes(store, "APEUSDT", ape_ladder())
    assert np.array_equal(found, candles)
    assert (known.known == Known.EXACT).all()
    morning = stored_traded_profile(store, "APEUSDT", SETTINGS, APE_DAY, APE_DAY + DAY_MS // 2)
    assert morning is not None
    assert (morning.exact_share, morning.candles) == (1.0, 720)
    assert morning.total_volume == pytest.approx(candles["volume"][:720].sum())
    store.close()


def test_parts_of_days_have_the_volume_of_their_own_minutes(tmp_path: Path) -> None:
    store, candles = Store(tmp_path, exchange="test"), ape_candles()
    after = candles[:60].copy()
    after["open_time"] += DAY_MS
    store.put("APEUSDT", np.concatenate((candles, after)), Source.ARCHIVE_DAY).result()
    put_ladder(store, "APEUSDT", ape_ladder(), ORIGIN, APE_DAY).result()
    state = ladders_state(store, "APEUSDT")
    parts = [candles[:600], np.concatenate((candles[1_200:], after))]
    first, second = stored_volumes(store, "APEUSDT", parts)
    share = candles["volume"][1_200:].sum() / parts[1]["volume"].sum()
    assert (first.exact_share, first.known_share) == (1.0, pytest.approx(1.0))
    assert (second.exact_share, second.known_share) == (pytest.approx(share), pytest.approx(share))
    placed = first.placed(SETTINGS, 0.001)
    assert placed is not None
    assert placed.bought is not None
    assert placed.weights.sum() == pytest.approx(candles["volume"][:600].sum())
    assert placed.bought.sum() == pytest.approx(candles["taker_buy_volume"][:600].sum())
    (none,) = stored_volumes(store, "APEUSDT", [candles[:0]])
    assert none.placed(SETTINGS, 0.001) is None
    put_ladder(store, "APEUSDT", ape_ladder(), LadderOrigin("", "", True, 1), APE_DAY).result()
    assert ladders_state(store, "APEUSDT") != state
    store.close()


def test_live_minutes_are_read_by_themselves_until_the_day_takes_their_place(tmp_path: Path) -> None:
    store, candles, ladder = Store(tmp_path, exchange="test"), ape_candles(), ape_ladder()
    store.put("APEUSDT", candles[:200], Source.STREAM).result()
    followed = FollowedSums(store)
    for count in (150, 151, 200):
        for minute in range(count):
            part = ladder.of_minutes(ladder.minutes["minute"] == minute)
            put_minute(store, "APEUSDT", APE_DAY + minute * MINUTE_MS, part)
        store.flushed().result()
        (sums,) = followed.of("APEUSDT", candles[:count])
        wanted = sums_of(ladder, candles["open_time"][:count])
        for name in ("prices", "volumes", "bought", "unit"):
            assert np.array_equal(getattr(sums, name), getattr(wanted, name)), name
        assert np.array_equal(sums.minutes.times, wanted.minutes.times)
    for low, high in ((100, 200), (150, 160)):  # more than are read one by one, and fewer
        (volume,) = stored_volumes(store, "APEUSDT", [candles[low:high]])
        assert (volume.exact_share, volume.known_share) == (1.0, pytest.approx(1.0))
    later = ladder.of_minutes(ladder.minutes["minute"] == 5)
    put_minute(store, "APEUSDT", APE_DAY + DAY_MS + 5 * MINUTE_MS, replace(later, day=APE_DAY + DAY_MS))
    put_ladder(store, "APEUSDT", ladder, ORIGIN, APE_DAY).result()
    assert list(store.notes("minute ladder APEUSDT ")) == [f"{APE_DAY + DAY_MS} 0005"]
    (sums,) = followed.of("APEUSDT", candles[:200])
    assert np.array_equal(sums.minutes.times, wanted.minutes.times)
    put_minute(store, "APEUSDT", APE_DAY + DAY_MS, replace(later, day=APE_DAY + DAY_MS)).result()
    store.put_note(f"minute ladder APEUSDT {APE_DAY + DAY_MS} 0007", b"no ladder").result()
    assert read_ladder(store, "APEUSDT", APE_DAY + DAY_MS) is not None
    assert any("0007" in line for line in map(str, store.unusable_records))
    store.close()


def test_levels_are_those_of_minutes_with_a_candle(tmp_path: Path) -> None:
    store, candles, ladder = Store(tmp_path, exchange="test"), ape_candles(), ape_ladder()
    assert not read_levels(store, "APEUSDT", APE_DAY, APE_DAY, APE_DAY + DAY_MS).ladders
    there = np.r_[0:100, 110:200]
    store.put("APEUSDT", candles[there], Source.STREAM).result()
    numbers = ladder.minutes["minute"]
    put_minute(store, "APEUSDT", APE_DAY + 3 * MINUTE_MS, ladder.of_minutes(numbers == 3)).result()
    assert ladder_days(store, "APEUSDT") == [APE_DAY], "live minutes are of a day too"
    few = read_levels(store, "APEUSDT", APE_DAY, APE_DAY, APE_DAY + 10 * MINUTE_MS)
    assert [len(part) for part in np.split(few.prices, few.begins[1:-1])] == [
        int((ladder.levels["minute"] == 3).sum()) if minute == 3 else 0 for minute in range(10)
    ]
    put_ladder(store, "APEUSDT", ladder, ORIGIN, APE_DAY).result()
    low, high = 90, 120
    found = read_levels(store, "APEUSDT", APE_DAY, APE_DAY + low * MINUTE_MS, APE_DAY + high * MINUTE_MS)
    assert found.ladders
    minutes = [minute for minute in range(low, high) if minute in there]
    assert found.times.tolist() == [APE_DAY + minute * MINUTE_MS for minute in minutes]
    assert (found.known == Known.EXACT).all()
    rows = found.rows()
    assert set(rows["known"]) == {"exact"}
    for minute, begin, end in zip(minutes, found.begins[:-1], found.begins[1:], strict=True):
        levels = ladder.levels[ladder.levels["minute"] == minute]
        assert np.array_equal(found.trades[begin:end], levels["trades"])
        assert np.array_equal(found.bought[begin:end], ladder.quantities(levels["bought"]))
        assert (rows["open_time"][begin:end] == APE_DAY + minute * MINUTE_MS).all()
    store.close()


def test_a_damaged_block_is_reported_and_counts_as_none(tmp_path: Path) -> None:
    store = Store(tmp_path, exchange="test")
    put_ladder(store, "APEUSDT", ape_ladder(), ORIGIN, APE_DAY).result()
    store.put_note(f"ladder APEUSDT {APE_DAY}", b"ladder 1\0 is not what this is").result()
    store.put_note("ladders APEUSDT", b"\xc1").result()
    assert read_ladder(store, "APEUSDT", APE_DAY) is None
    assert stored_traded_profile(store, "APEUSDT", SETTINGS, APE_DAY) is None
    assert origins(store, "APEUSDT") == {}
    assert len(store.unusable_records) == 2
    store.close()
