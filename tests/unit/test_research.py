from __future__ import annotations

import contextlib
import pickle
import re
import sys
import threading
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from places import DOCS
from samples import MIDNIGHT, walk

from tui_feeder import CandleStore, open_store, to_pandas, to_polars
from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS, ROW, Rows, Source, to_candles
from tui_feeder.engine.core.coverage import Coverage, span
from tui_feeder.engine.storage.lock import StoreError
from tui_feeder.engine.storage.store import Store
from tui_feeder.time_format import format_minute, parse_time, parse_timeframe

MINUTES = 20 * 1440 + 100


@pytest.fixture(scope="module")
def rows() -> Rows:
    return np.delete(walk(MINUTES, seed=9), [4000, 4001])


@pytest.fixture(scope="module")
def path(rows: Rows, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("research")
    store = Store(path, exchange="a simulated exchange")
    store.put("BTCUSDT", rows, Source.REST, certify=span(MIDNIGHT, MIDNIGHT + DAY_MS)).result()
    store.close()
    return path


def test_minutes_come_back_as_they_were_stored(path: Path, rows: Rows) -> None:
    with open_store(path) as store:
        assert store.symbols() == ["BTCUSDT"]
        assert store.exchange == "a simulated exchange"
        assert store.range("BTCUSDT") == (MIDNIGHT, MIDNIGHT + MINUTES * MINUTE_MS)
        assert store.range("ETHUSDT") is None
        assert store.coverage("BTCUSDT") == Coverage.of_times(rows["open_time"])
        assert store.certified("BTCUSDT") == span(MIDNIGHT, MIDNIGHT + DAY_MS)
        candles = store.candles("BTCUSDT")
        assert candles.dtype.names == (
            "open_time", "close_time", "open", "high", "low", "close", "volume", "quote_volume",
            "trades", "taker_buy_volume", "taker_buy_quote_volume",
        )  # fmt: skip
        for name in ROW.names or ():
            assert np.array_equal(candles[name], rows[name])
        assert np.array_equal(candles["close_time"], rows["open_time"] + 59_999)


def bars_by_hand(rows: Rows, minutes: int) -> dict[int, tuple[float, ...]]:
    """Whole bars, one candle after the other."""
    buckets: dict[int, list[tuple[float, ...]]] = {}
    for candle in to_candles(rows):
        buckets.setdefault(candle.open_time // (minutes * MINUTE_MS), []).append(candle.as_tuple())
    return {
        bucket * minutes * MINUTE_MS: (
            parts[0][1], max(p[2] for p in parts), min(p[3] for p in parts), parts[-1][4],
            sum(p[5] for p in parts), sum(p[7] for p in parts),
        )
        for bucket, parts in buckets.items()
        if len(parts) == minutes
    }  # fmt: skip


@pytest.mark.parametrize(("timeframe", "minutes"), [("5m", 5), ("4h", 240), (86_400, 1440)])
def test_bars_are_those_counted_by_hand(path: Path, rows: Rows, timeframe: str | int, minutes: int) -> None:
    wanted = bars_by_hand(rows, minutes)
    with open_store(path) as store:
        bars = store.candles("BTCUSDT", timeframe)
    assert bars["open_time"].tolist() == list(wanted)
    assert (bars["close_time"] - bars["open_time"] == minutes * MINUTE_MS - 1).all()
    for bar, by_hand in zip(bars, wanted.values(), strict=True):
        assert tuple(bar[n] for n in ("open", "high", "low", "close")) == by_hand[:4]
        assert bar["volume"] == pytest.approx(by_hand[4], rel=1e-12)
        assert bar["trades"] == by_hand[5]


def test_the_same_range_can_be_said_in_every_way(path: Path) -> None:
    start, end = MIDNIGHT + 2 * DAY_MS, MIDNIGHT + 3 * DAY_MS
    ways = [
        ("2026-01-03", "2026-01-04"),
        ("2026-01-03T00:00:00Z", "2026-01-04 01:00:00+01:00"),
        (start, end),
        (np.int64(start), np.int64(end)),
        (datetime(2026, 1, 3), datetime(2026, 1, 4, tzinfo=UTC)),
        (datetime(2026, 1, 3, 2, tzinfo=timezone(timedelta(hours=2))), end),
    ]
    with open_store(path) as store:
        for low, high in ways:
            times = store.candles("BTCUSDT", start=low, end=high)["open_time"]
            assert (times[0], times[-1]) == (start, end - MINUTE_MS)


def test_a_bar_that_the_range_cuts_is_not_in_it(path: Path) -> None:
    with open_store(path) as store:
        for partial in (False, True):
            bars = store.candles(
                "BTCUSDT", "1h", "2026-01-01T00:30:00Z", "2026-01-01T03:59:00Z", include_partial=partial
            )
            assert ((bars["open_time"] - MIDNIGHT) // 3_600_000).tolist() == [1, 2]
        whole = store.candles("BTCUSDT", "1h")
        every = store.candles("BTCUSDT", "1h", include_partial=True)
    lacking = np.setdiff1d(every["open_time"], whole["open_time"])
    assert ((lacking - MIDNIGHT) // 3_600_000).tolist() == [66, 481]


def test_chunks_are_the_candles_a_piece_at_a_time(path: Path) -> None:
    with open_store(path) as store:
        parts = list(store.chunks("BTCUSDT", "4h", include_partial=True))
        assert len(parts) == 3
        together = np.concatenate(parts)
        assert np.array_equal(together, store.candles("BTCUSDT", "4h", include_partial=True))


def test_what_makes_no_sense_is_said(path: Path, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="holds no store"):
        open_store(tmp_path)
    with open_store(path) as store:
        with pytest.raises(KeyError, match="it holds BTCUSDT"):
            store.candles("ETHUSDT")
        with pytest.raises(ValueError, match="'7m' is not a timeframe"):
            store.candles("BTCUSDT", "7m")
        with pytest.raises(ValueError, match="'soon' is not a time"):
            store.candles("BTCUSDT", start="soon")
        with pytest.raises(ValueError, match=r"ends .* before it starts"):
            store.candles("BTCUSDT", start="2026-01-02", end="2026-01-01")
        with pytest.raises(TypeError, match="a time must be text"):
            store.candles("BTCUSDT", start=1.5)
        with pytest.raises(TypeError, match="call open_store in the process"):
            pickle.dumps(store)
        assert not len(store.candles("BTCUSDT", end="2020-01-01"))
    with pytest.raises(StoreError, match="is closed"):
        store.symbols()


def test_it_can_be_opened_twice_and_from_threads(path: Path, rows: Rows) -> None:
    first, second = open_store(path), CandleStore(str(path))
    found: list[int] = []

    def read() -> None:
        with open_store(path) as store:
            found.extend(len(store.candles("BTCUSDT")) for _ in range(3))

    threads = [threading.Thread(target=read) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert found == [len(rows)] * 24
    first.close()
    first.close()
    assert len(second.candles("BTCUSDT", "1d")) == 19
    second.close()


def test_pandas_frames_have_utc_times(path: Path, rows: Rows) -> None:
    pd = pytest.importorskip("pandas")
    with open_store(path) as store:
        frame = to_pandas(store.candles("BTCUSDT"))
    assert frame.index.name == "open_time"
    assert frame.index[0] == pd.Timestamp("2026-01-01T00:00:00Z")
    assert frame["close_time"].iloc[0] == pd.Timestamp("2026-01-01T00:00:59.999Z")
    assert np.array_equal(frame["quote_volume"].to_numpy(), rows["quote_volume"])


def test_polars_frames_have_utc_times(path: Path, rows: Rows) -> None:
    pytest.importorskip("polars")
    with open_store(path) as store:
        frame = to_polars(store.candles("BTCUSDT"))
    assert frame["open_time"][0] == datetime(2026, 1, 1, tzinfo=UTC)
    assert np.array_equal(frame["trades"].to_numpy(), rows["trades"])


@pytest.mark.parametrize(("name", "make"), [("pandas", to_pandas), ("polars", to_polars)])
def test_a_frame_library_that_is_absent_is_named(
    path: Path, monkeypatch: pytest.MonkeyPatch, name: str, make: object
) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    assert callable(make)
    with open_store(path) as store, pytest.raises(ImportError, match=f"pip install {name}"):
        make(store.candles("BTCUSDT", "1d"))


def test_the_page_about_python_says_what_works(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("pandas")
    page = (DOCS / "python.md").read_text()
    store = Store(tmp_path / "lmdb_data", exchange="a simulated exchange")
    for symbol in ("BTCUSDT", "ETHUSDT"):
        store.put(symbol, np.delete(walk(40 * 1440), [5, 6]), Source.REST).result()
    store.close()
    snippets = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    with contextlib.chdir(tmp_path):
        for snippet in snippets:
            exec(snippet, {"open_store": open_store})
    printed = capsys.readouterr().out
    assert printed.startswith("['BTCUSDT', 'ETHUSDT']\n185 ")
    other = Store(tmp_path / "other" / "lmdb_data", exchange="a simulated exchange")
    other.put("BTCUSDT", walk(60, start=MIDNIGHT + 200 * DAY_MS), Source.REST).result()
    other.close()
    with contextlib.chdir(tmp_path / "other"):  # a store without the month of the example
        exec(snippets[0], {})
    assert capsys.readouterr().out == "['BTCUSDT']\n"
    assert f"BTCUSDT {MIDNIGHT + 5 * MINUTE_MS} {MIDNIGHT + 7 * MINUTE_MS} missing 2 minutes" in printed


DAY = MIDNIGHT + 19 * DAY_MS  # 2026-01-20


@pytest.mark.parametrize(
    "said",
    [
        "2026-01-20", "2026-01-20T00:00:00Z", "2026-01-20T02:00+02:00", "2026-01-20 00:00", DAY,
        np.int64(DAY),
        date(2026, 1, 20), datetime(2026, 1, 20), datetime(2026, 1, 20, tzinfo=UTC),
        datetime(2026, 1, 20, 3, tzinfo=timezone(timedelta(hours=3))),
        np.datetime64("2026-01-20"), np.datetime64("2026-01-20T00:00:00.000000000"), np.datetime64(DAY, "ms"),
        pd.Timestamp("2026-01-20"), pd.Timestamp("2026-01-20 09:00", tz="Asia/Tokyo"),
        pd.DatetimeIndex(["2026-01-20"])[0],
    ],
)  # fmt: skip
def test_every_way_to_say_a_moment_means_the_same(path: Path, said: Any) -> None:  # noqa: ANN401
    with open_store(path) as store:
        after = store.candles("BTCUSDT", start=said)
        assert after["open_time"][0] == DAY
        before = store.candles("BTCUSDT", end=said)
        assert before["open_time"][-1] == DAY - MINUTE_MS


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (
            DAY // 1000,
            f"{DAY // 1000} is not a time in ms since the epoch; it looks like seconds: write {DAY}",
        ),
        (DAY * 1000, f"it looks like microseconds: write {DAY}"),
        (np.int64(DAY * 1_000_000), f"it looks like nanoseconds: write {DAY}"),
        (1, "1 is not a time in ms since the epoch"),
        (-DAY, "is not a time in ms since the epoch"),
        (10**40, "is not a time in ms since the epoch"),
        ("", "'' is not a time"),
        ("  ", "'  ' is not a time"),
        ("NaT", "'NaT' is not a time"),
        (pd.NaT, "NaT is not a time"),
        (np.datetime64("NaT"), "NaT is not a time"),
        (float("nan"), "nan is not a time"),
        (np.float64("nan"), "nan is not a time"),
        (datetime(1, 1, 1), "lies outside the years 1970 to 2199"),
        ("9999-12-31", "lies outside the years 1970 to 2199"),
        (np.datetime64("2500-01-01"), "lies outside the years 1970 to 2199"),
        (float(DAY), TypeError),
        (True, TypeError),
        (b"2026-01-20", TypeError),
        ([DAY], TypeError),
    ],
)
def test_what_is_no_moment_is_an_error_and_says_what_may_be_meant(path: Path, said: Any, words: Any) -> None:  # noqa: ANN401
    with open_store(path) as store:
        for key in ("start", "end"):
            if words is TypeError:
                with pytest.raises(TypeError, match="a time must be text, a date, a datetime or ms since"):
                    store.candles("BTCUSDT", **{key: said})
            else:
                with pytest.raises(ValueError, match=re.escape(words)):
                    store.candles("BTCUSDT", **{key: said})


@given(
    st.datetimes(datetime(1990, 1, 1), datetime(2199, 12, 31), timezones=st.just(UTC)).map(
        lambda at: at.replace(microsecond=at.microsecond // 1000 * 1000)
    )
)
def test_a_moment_survives_every_form(at: datetime) -> None:
    ms = round((at - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(milliseconds=1))
    forms = (
        at, at.replace(tzinfo=None), at.isoformat(), ms, np.int64(ms), np.datetime64(ms, "ms"),
        pd.Timestamp(at),
    )  # fmt: skip
    assert {parse_time(form) for form in forms} == {ms}


def test_a_home_is_found(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(path.parent))
    with open_store(f"~/{path.name}") as store:
        assert store.symbols() == ["BTCUSDT"]
    with pytest.raises(StoreError, match="names a home directory that is not known"):
        open_store("~nobody-of-that-name/store")


def test_times_and_timeframes_are_read_strictly() -> None:
    assert parse_time("2026-01-01T00:00:00.250Z") == MIDNIGHT + 250
    assert parse_time("2026-01-01") == MIDNIGHT == parse_time(format_minute(MIDNIGHT))
    for wrong in ("20260101", "2026-W01-1", "2026-02-30", "2026-01-01T25:00:00Z", "now", ""):
        with pytest.raises(ValueError, match="is not a time"):
            parse_time(wrong)
    assert [parse_timeframe(t) for t in ("1m", "15m", "4h", "1d", "300", 60)] == [
        60, 900, 14_400, 86_400, 300, 60,
    ]  # fmt: skip
    for odd in ("0m", "7m", "2d", "1w", "90", "", 59, -60):
        with pytest.raises(ValueError, match="is not a timeframe"):
            parse_timeframe(odd)
