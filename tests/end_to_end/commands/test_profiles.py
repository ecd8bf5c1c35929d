from __future__ import annotations

import json
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from commanding import command
from feed import NOON, Collected, configured, feeding, until
from msgspec import structs
from samples import MIDNIGHT, real_month, walk
from virtual_time import in_virtual_time

from tui_feeder.config import AssetOverrides, Config, Reprocessing, VolumeProfile
from tui_feeder.engine.analytics.profile.day_profile import DayProfile, profile_of
from tui_feeder.engine.analytics.profile.settings import ProfileSettings
from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS, ROW, Rows, Source, to_candles
from tui_feeder.engine.derived.count_minute import count_minute
from tui_feeder.engine.derived.day_ranges import ranges_before
from tui_feeder.engine.derived.inputs import load_pipeline
from tui_feeder.engine.derived.revisions import Revisions
from tui_feeder.engine.derived.settings import profile_settings
from tui_feeder.engine.derived.stored_profiles import (
    Built,
    DayRanges,
    build_days,
    day_profile,
    days_wanted,
    decode,
    encode,
    read_profiles,
    stamp_of,
)
from tui_feeder.engine.storage.store import Store
from tui_feeder.simulator.clock import clock_for
from tui_feeder.simulator.exchange import Exchange
from tui_feeder.simulator.synthetic import synthetic_market

SETTINGS = ProfileSettings(price_increment_mode="Fixed", fixed_price_increment=0.05)
AUTO = ProfileSettings()
DAYS = [MIDNIGHT + n * DAY_MS for n in range(4)]


def day(rows: Rows, n: int) -> Rows:
    return rows[n * 1_440 : (n + 1) * 1_440]


def kept(path: Path, rows: Rows, symbol: str = "AUSDT") -> Store:
    store = Store(path, exchange="test")
    store.put(symbol, rows, Source.ARCHIVE_DAY).result()
    return store


def same(one: DayProfile | None, other: DayProfile | None) -> bool:
    assert one is not None
    assert other is not None
    return one.weights.tobytes() == other.weights.tobytes() and all(
        getattr(one, name) == getattr(other, name)
        for name in DayProfile.__struct_fields__
        if name != "weights"
    )


# --- what is kept --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "settings",
    [
        ProfileSettings(price_increment_mode="Fixed", fixed_price_increment=0.001),
        ProfileSettings(calculation_mode="TPO", volume_distribution_mode="UniformOHLC"),
        ProfileSettings(price_increment_mode="Adaptive"),
    ],
)
def test_a_profile_is_read_back_as_it_was_with_its_rows(settings: ProfileSettings) -> None:
    rows = day(real_month("AVAXUSDT-1m-2026-02"), 3)
    made = profile_of(rows, settings)
    block = encode(made)
    assert same(decode(block), made)
    assert len(block) < 30_000


def test_a_day_without_a_trade_is_kept_as_one_without_a_profile(tmp_path: Path) -> None:
    rows = walk(1_440)
    for name in (ROW.names or ())[5:]:
        rows[name] = 0
    for name in ("open", "high", "low"):
        rows[name] = rows["close"]
    store = kept(tmp_path, rows)
    assert build_days(store, "AUSDT", SETTINGS, DAYS[:1], again=False) == Built(1, 0, 0)
    assert build_days(store, "AUSDT", SETTINGS, DAYS[:1], again=False) == Built(0, 1, 0)
    assert read_profiles(store, "AUSDT", 0, DAYS[3]) == []
    store.close()


def test_past_days_are_read_in_bulk_ascending_whole_days_only(tmp_path: Path) -> None:
    rows = walk(4 * 1_440)
    store = kept(tmp_path, rows)
    build_days(store, "AUSDT", SETTINGS, DAYS, again=False)
    store.close()
    store = Store(tmp_path, read_only=True)
    found = read_profiles(store, "AUSDT", DAYS[0] + MINUTE_MS, DAYS[3] + 5 * MINUTE_MS)
    assert [profile.day for profile in found] == DAYS[1:3]
    assert same(found[0], profile_of(day(rows, 1), SETTINGS))
    assert read_profiles(store, "BUSDT", 0, DAYS[3]) == []
    store.close()


# --- which days are built ------------------------------------------------------------------------


def test_modes_name_their_days() -> None:
    assert days_wanted("today_only", DAYS[3], 2) == DAYS[3:]
    for mode in ("missing_days_only", "reprocess_whole_history"):
        assert days_wanted(mode, DAYS[3], 2) == DAYS[1:]


def test_only_days_whose_candles_or_settings_have_changed_are_built(tmp_path: Path) -> None:
    rows = walk(3 * 1_440)
    store = kept(tmp_path, np.delete(rows, 1_500))
    assert build_days(store, "AUSDT", SETTINGS, DAYS, again=False) == Built(3, 0, 1)
    assert build_days(store, "AUSDT", SETTINGS, DAYS, again=False) == Built(0, 3, 1)
    store.put("AUSDT", rows[1_500:1_501], Source.REST).result()  # a missing minute is found
    assert build_days(store, "AUSDT", SETTINGS, DAYS, again=False) == Built(1, 2, 1)
    better = rows[:1].copy()
    better["volume"] += 1
    store.put("AUSDT", better, Source.ARCHIVE_MONTH).result()  # a minute is corrected
    assert build_days(store, "AUSDT", SETTINGS, DAYS, again=False) == Built(1, 2, 1)
    assert same(read_profiles(store, "AUSDT", DAYS[1], DAYS[2])[0], profile_of(day(rows, 1), SETTINGS))
    other = replace(SETTINGS, value_area_percentage=68.0)
    assert build_days(store, "AUSDT", other, DAYS, again=False) == Built(3, 0, 1)
    assert build_days(store, "AUSDT", other, DAYS, again=True) == Built(3, 0, 1)
    store.close()


def test_how_often_values_are_published_does_not_make_another_profile() -> None:
    rows = walk(10)
    seldom = replace(SETTINGS, update_frequency="Batched", batch_size=7)
    assert stamp_of(rows, SETTINGS) == stamp_of(rows, seldom)
    assert stamp_of(rows, SETTINGS) != stamp_of(rows[:9], SETTINGS)


# --- the command ---------------------------------------------------------------------------------


def test_rebuild_builds_what_the_mode_says(tmp_path: Path) -> None:
    store = kept(tmp_path / "store", walk(3 * 1_440))
    store.put("BUSDT", walk(60, start=DAYS[2]), Source.REST).result()
    store.close()

    def rebuilt(*arguments: str, **env: str) -> dict[str, tuple[int, int]]:
        done = command(
            "profiles", "rebuild", "--storage", tmp_path / "store", "--json", *arguments, cwd=tmp_path, **env
        )
        assert done.code == 0, done.err
        return {one["symbol"]: (one["built"], one["kept"]) for one in json.loads(done.out)["symbols"]}

    assert rebuilt("--mode", "today_only") == {"AUSDT": (1, 0), "BUSDT": (1, 0)}
    assert rebuilt() == {"AUSDT": (2, 1), "BUSDT": (0, 1)}
    assert rebuilt("--symbols", "A*", "--mode", "reprocess_whole_history") == {"AUSDT": (3, 0)}
    assert rebuilt("--mode", "reprocess_whole_history", FEEDER_VOLUME_PROFILE__HISTORICAL_DAYS="1") == {
        "AUSDT": (2, 0),
        "BUSDT": (1, 0),
    }
    table = command("profiles", "rebuild", "--storage", tmp_path / "store", cwd=tmp_path)
    assert "0 days built" in table.out
    store = Store(tmp_path / "store", read_only=True)
    assert len(read_profiles(store, "AUSDT", 0, DAYS[3])) == 3
    store.close()


def test_rebuild_refuses_while_an_engine_holds_the_store(tmp_path: Path) -> None:
    store = kept(tmp_path / "store", walk(60))
    done = command("profiles", "rebuild", "--storage", tmp_path / "store", cwd=tmp_path)
    store.close()
    assert done.code == 1
    assert "pid" in done.err


def test_rebuild_makes_no_store_where_there_is_none(tmp_path: Path) -> None:
    done = command("profiles", "rebuild", "--storage", tmp_path / "nothing", cwd=tmp_path)
    assert done.code == 1
    assert not (tmp_path / "nothing").exists()


# --- while the engine runs -----------------------------------------------------------------------


def with_profile(config: Config, **changes: object) -> Config:
    return structs.replace(config, volume_profile=structs.replace(config.volume_profile, **changes))


@in_virtual_time
async def test_days_are_built_at_the_start_and_when_they_end(tmp_path: Path) -> None:
    midnight = NOON + DAY_MS // 2
    market = synthetic_market(["BTCUSDT", "ETHUSDT"], as_of_ms=NOON)
    async with Exchange(market, clock_for(market, start_ms=midnight - 150_000, rate=60.0)) as exchange:
        off = VolumeProfile(asset_overrides={"ETHUSDT": AssetOverrides(enabled=False)}).asset_overrides
        config = with_profile(
            configured(exchange, ["BTCUSDT", "ETHUSDT"], days=3), historical_days=2, asset_overrides=off
        )
        async with feeding(config, tmp_path) as (engine, sink):
            last = midnight - 2 * DAY_MS
            await until(lambda: len(read_profiles(engine.store, "BTCUSDT", 0, midnight)) == 3)
            assert len(read_profiles(engine.store, "BTCUSDT", last, midnight)) == 2
            await until(lambda: midnight in sink.minutes("BTCUSDT"))

            def whole() -> bool:
                stored = read_profiles(engine.store, "BTCUSDT", midnight - DAY_MS, midnight)
                return stored[0].candles == 1_440

            await until(whole)
            made = read_profiles(engine.store, "BTCUSDT", midnight - DAY_MS, midnight)[0]
            assert engine.tracked["BTCUSDT"].info is not None
            settings = profile_settings(config, "BTCUSDT", engine.tracked["BTCUSDT"].info.tick_size)
            assert settings is not None
            assert same(made, day_profile(engine.store, "BTCUSDT", settings, midnight - DAY_MS))
            published = sink.messages["BTCUSDT"][sink.minutes("BTCUSDT").index(midnight - MINUTE_MS)]
            assert published["volume_profile"]["poc"] == made.poc
            assert read_profiles(engine.store, "ETHUSDT", 0, midnight) == []
            await until(lambda: engine.journal.counters["profile_days_built"] >= 4)

        # The next start finds them; told to, it builds them all again.
        for mode, more in (("missing_days_only", range(0, 2)), ("reprocess_whole_history", range(3, 4))):
            config = with_profile(config, reprocessing=Reprocessing(mode=mode))
            second = Collected()
            async with feeding(config, tmp_path, second) as (engine, _):
                await until(lambda sink=second: sink.minutes("BTCUSDT"))
                await until(lambda engine=engine: "profile_days_built" in engine.journal.counters)
                assert engine.journal.counters["profile_days_built"] in more


# --- the increment rests on the days before ------------------------------------------------------


def test_a_day_is_the_same_however_it_is_made(tmp_path: Path) -> None:
    """The message at its end, the stored profile, a rebuild, and the profile of a screen: one thing."""
    rows = walk(10 * 1_440, seed=5, price=0.0152, tick="0.00001")
    config = Config()
    with closing(kept(tmp_path, rows)) as store:
        last = MIDNIGHT + 9 * DAY_MS
        pipeline = load_pipeline(store, config, "AUSDT", MIDNIGHT + 8 * DAY_MS)
        messages = {}
        for one in to_candles(rows[8 * 1_440 :]):
            messages[one.open_time // DAY_MS * DAY_MS] = count_minute(store, pipeline, one).profile
        build_days(store, "AUSDT", AUTO, [MIDNIGHT + n * DAY_MS for n in range(10)], again=False)
        stored = {one.day: one for one in read_profiles(store, "AUSDT", MIDNIGHT, last + DAY_MS)}
        for day in (last - DAY_MS, last):
            shown = day_profile(store, "AUSDT", AUTO, day)
            assert same(shown, stored[day])
            told = messages[day]
            assert told is not None
            assert all(getattr(told, name) == getattr(shown, name) for name in told.__struct_fields__)
            again = load_pipeline(store, config, "AUSDT", day + DAY_MS).profile_now()
            assert same(again, shown)


def test_a_repair_that_moves_the_median_of_a_later_day_has_it_built_again(tmp_path: Path) -> None:
    rows = walk(3 * 1_440 + 360, seed=5)  # the last day has most of its hours left
    days = [MIDNIGHT + n * DAY_MS for n in range(4)]
    with closing(kept(tmp_path, rows)) as store:
        ranges = DayRanges(store)
        assert build_days(store, "AUSDT", AUTO, days, again=False) == Built(4, 0, 0)
        for day in days:
            assert ranges.before("AUSDT", day) == ranges_before(store, "AUSDT", day)
        assert build_days(store, "AUSDT", AUTO, days, again=False) == Built(0, 4, 0)
        before = {one.day: one for one in read_profiles(store, "AUSDT", MIDNIGHT, days[3] + DAY_MS)}
        wild = rows[[0, 1_440]].copy()
        wild["high"] *= 40  # the ranges of days 0 and 1, and with them the median before day 3
        store.put("AUSDT", wild, Source.ARCHIVE_MONTH).result()
        built = build_days(store, "AUSDT", AUTO, days, again=False)
        assert built.built >= 3
        after = {one.day: one for one in read_profiles(store, "AUSDT", MIDNIGHT, days[3] + DAY_MS)}
        assert after[days[3]].increment > 10 * before[days[3]].increment
        for day in days:
            assert ranges.before("AUSDT", day) == ranges_before(store, "AUSDT", day)
            assert same(after[day], day_profile(store, "AUSDT", AUTO, day, ranges=ranges))
            assert same(after[day], load_pipeline(store, Config(), "AUSDT", day + DAY_MS).profile_now())


def test_days_before_a_hole_that_ends_the_history_count_for_the_increment_everywhere(tmp_path: Path) -> None:
    """The pipeline's history begins behind a hole of more than a day; the days before it still count."""
    rows = walk(8 * 1_440, seed=5)
    calm = walk(8 * 1_440, seed=6)[6 * 1_440 :]
    parts = np.concatenate((rows[: 3 * 1_440], calm))  # days 0, 1, 2, then 6 and 7
    with closing(kept(tmp_path, parts)) as store:
        store.put_note("revisions AUSDT", Revisions(MIDNIGHT + 6 * DAY_MS).encode()).result()
        for day in (MIDNIGHT + 6 * DAY_MS, MIDNIGHT + 7 * DAY_MS):
            for end in (day + 5 * MINUTE_MS, day + DAY_MS):
                loaded = load_pipeline(store, Config(), "AUSDT", end)
                assert same(loaded.profile_now(), day_profile(store, "AUSDT", AUTO, day, end))
        fresh = load_pipeline(store, Config(), "AUSDT", MIDNIGHT + 6 * DAY_MS)  # nothing of its history yet
        for one in to_candles(calm[:900]):
            fresh.update(one)
        assert same(
            fresh.profile_now(),
            day_profile(store, "AUSDT", AUTO, MIDNIGHT + 6 * DAY_MS, MIDNIGHT + 6 * DAY_MS + 900 * MINUTE_MS),
        )
