from __future__ import annotations

import json
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from commanding import COMMAND, Done, command, environment
from examples import examples
from msgspec import structs
from preloaded import PreloadedPopen
from samples import KLINES, MIDNIGHT, walk

from tui_feeder.commands.replay_run import throttle
from tui_feeder.config import Config
from tui_feeder.engine.analytics.message import Message, encode
from tui_feeder.engine.analytics.settings import PipelineSettings
from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS, Rows, Source
from tui_feeder.engine.core.coverage import Coverage
from tui_feeder.engine.derived.inputs import (
    Seed,
    SymbolInputs,
    history_start,
    inputs_of,
    load_pipeline,
    put_inputs,
)
from tui_feeder.engine.derived.replay import replay
from tui_feeder.engine.storage.store import Store

SETTINGS = {
    "FEEDER_VOLUME_PROFILE__TARGET_PRICE_LEVELS": "120",
    "FEEDER_TECHNICAL_ANALYSIS__MIN_HISTORY_DAYS": "20",
}


def stored(path: Path, **symbols: Rows) -> None:
    store = Store(path, exchange="test")
    for symbol, rows in symbols.items():
        store.put(symbol, rows, Source.ARCHIVE_DAY).result()
    store.close()


def replayed(path: Path, *symbols: str, start: int, end: int) -> list[Message]:
    store = Store(path, read_only=True)
    try:
        return list(replay(store, Config(), symbols, start, end))
    finally:
        store.close()


def lines(done: Done) -> list[bytes]:
    assert done.code == 0, done.err
    return [line.encode() for line in done.out.splitlines()]


# --- live and replay -----------------------------------------------------------------------------


def test_live_messages_of_a_demo_on_real_candles_are_byte_equal_to_their_replay(tmp_path: Path) -> None:
    if not KLINES.is_dir():
        pytest.skip("the real candles are not in ../shared/data/klines")
    symbols = ",".join(("FILUSDT", "AVAXUSDT", "NEARUSDT")[: examples(3, least=2)])
    sent: list[bytes] = []
    log = tmp_path / "log"
    with PreloadedPopen(
        [*COMMAND, "--demo", "--demo-data", str(KLINES), "--symbols", symbols, "--demo-speed", "120",
         "--storage", str(tmp_path / "store"), "--output", "jsonl"],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log.open("w"), cwd=tmp_path,
        env=environment(**SETTINGS),
    ) as live:  # fmt: skip
        assert live.stdout is not None
        for line in live.stdout:
            sent.append(line.rstrip(b"\n"))
            if len(sent) == 30:
                live.terminate()  # once: a second time stops it at once
    assert live.returncode == 0, log.read_text()
    assert len(sent) >= 30
    made: dict[bytes, list[bytes]] = {}
    for line in lines(command("replay", "--storage", tmp_path / "store", cwd=tmp_path, **SETTINGS)):
        made.setdefault(_name(line), []).append(line)
    assert {_name(line) for line in sent} == {name.encode() for name in symbols.split(",")}
    for name, whole in made.items():
        own = [line for line in sent if _name(line) == name]
        at = whole.index(own[0])
        assert whole[at : at + len(own)] == own
        # A replay that begins in the middle knows what was before.
        stamp = json.loads(own[1])["timestamp"] + 1 - MINUTE_MS
        some = command(
            "replay", "--storage", tmp_path / "store", "--symbols", name.decode(),
            "--from", str(np.datetime_as_string(np.datetime64(stamp, "ms"), unit="s")) + "Z",
            cwd=tmp_path, **SETTINGS,
        )  # fmt: skip
        assert lines(some)[: len(own) - 1] == own[1:]
        assert "ema89_4h" in json.loads(own[0])


def _name(line: bytes) -> bytes:
    return str(json.loads(line)["symbol"]).encode()


def test_replay_works_while_an_engine_holds_the_store(tmp_path: Path) -> None:
    writer = Store(tmp_path / "store", exchange="test")
    writer.put("AUSDT", walk(300), Source.REST).result()
    done = command("replay", "--storage", tmp_path / "store", cwd=tmp_path)
    writer.close()
    assert len(lines(done)) == 300


# --- order and range -----------------------------------------------------------------------------


def test_messages_come_by_minute_and_then_in_the_order_asked_for(tmp_path: Path) -> None:
    late = walk(400, seed=2, start=MIDNIGHT + 1_300 * MINUTE_MS)
    stored(tmp_path, AUSDT=walk(3_000), BUSDT=late)
    end = MIDNIGHT + 3_000 * MINUTE_MS
    made = replayed(tmp_path, "BUSDT", "AUSDT", start=MIDNIGHT, end=end)
    stamps = [(m.timestamp, m.symbol == "AUSDT") for m in made]
    assert stamps == sorted(stamps)
    assert len(made) == 3_400
    for symbol in ("AUSDT", "BUSDT"):  # none disturbs another
        alone = replayed(tmp_path, symbol, start=MIDNIGHT, end=end)
        assert [encode(m) for m in made if m.symbol == symbol] == [encode(m) for m in alone]


@pytest.mark.parametrize("hole", [600, 3_200])
def test_a_part_of_a_replay_equals_that_part_of_the_whole(tmp_path: Path, hole: int) -> None:
    rows = walk(9_000)
    rows = np.delete(rows, slice(2_000, 2_000 + hole))
    stored(tmp_path, AUSDT=rows)
    whole = replayed(tmp_path, "AUSDT", start=MIDNIGHT, end=MIDNIGHT + 9_000 * MINUTE_MS)
    for first in (1_999, 2_000, 2_300, 2_600, 5_761, 6_100):
        low = MIDNIGHT + first * MINUTE_MS
        part = replayed(tmp_path, "AUSDT", start=low, end=low + 700 * MINUTE_MS)
        expected = [m for m in whole if low < m.timestamp < low + 700 * MINUTE_MS]
        assert [encode(m) for m in part] == [encode(m) for m in expected]


def test_quantiles_slide_through_a_replay_longer_than_their_window(tmp_path: Path) -> None:
    window = examples(60, least=8)  # days
    config = structs.replace(
        Config(), technical_analysis=structs.replace(Config().technical_analysis, volume_lookback_days=window)
    )
    rows = walk((window + 5) * 1_440)
    stored(tmp_path, AUSDT=rows)
    end = MIDNIGHT + len(rows) * MINUTE_MS
    store = Store(tmp_path, read_only=True)
    *_, last = replay(store, config, ["AUSDT"], end - (window + 2) * DAY_MS, end)
    fresh = load_pipeline(store, config, "AUSDT", end).message()
    store.close()
    assert fresh is not None
    assert encode(last) == encode(fresh)
    assert last.quantiles is not None
    exact = np.quantile(rows["volume"][-window * 1_440 :], (0.25, 0.5, 0.75, 0.9))
    assert last.quantiles["volume"] == pytest.approx(exact, rel=5e-3)


# --- pace ----------------------------------------------------------------------------------------


def test_speed_keeps_the_time_between_minutes(tmp_path: Path) -> None:
    stored(tmp_path, AUSDT=walk(5), BUSDT=walk(5))
    messages = replayed(tmp_path, "AUSDT", "BUSDT", start=MIDNIGHT, end=MIDNIGHT + DAY_MS)
    clock = [100.0]

    def sleep(seconds: float) -> None:
        clock[0] += seconds

    seen = []
    for _ in throttle(messages, 30.0, lambda: clock[0], sleep):
        seen.append(clock[0])
        clock[0] += 0.125  # a slow reader must not stretch the whole
    assert seen == [100, 100.125, 102, 102.125, 104, 104.125, 106, 106.125, 108, 108.125]


def test_a_reader_that_leaves_ends_the_replay_quietly(tmp_path: Path) -> None:
    stored(tmp_path, AUSDT=walk(4_000))
    shell = f"{sys.executable} -m tui_feeder replay --storage {tmp_path} | head -n 2"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", shell],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, env=os.environ, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (141, "")
    assert len(done.stdout.splitlines()) == 2


# --- what makes no sense -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("--symbols", "AUSD"), "did you mean AUSDT"),
        (("--from", "2026-01-05"), "2026-01-01T00:00Z to 2026-01-01T05:00Z"),
        (("--from", "yesterday"), "--from"),
    ],
)
def test_requests_that_make_no_sense_say_what_is_there(
    tmp_path: Path, arguments: tuple[str, ...], text: str
) -> None:
    stored(tmp_path / "store", AUSDT=walk(300))
    done = command("replay", "--storage", tmp_path / "store", *arguments, cwd=tmp_path)
    assert done.code == 2
    assert text in done.err
    assert done.out == ""


# --- the history that numbers rest on ------------------------------------------------------------

HOUR = 60 * MINUTE_MS
ANALYSIS = PipelineSettings((60, 3600), (21,), "closes_vs_ema", 10, None)


@pytest.mark.parametrize(
    ("ranges", "start"),
    [
        ([], 100 * DAY_MS),
        ([(60, 100)], 60 * DAY_MS),
        ([(60, 80), (81, 100)], 60 * DAY_MS),  # a hole of a day belongs to the history
        ([(60, 80), (82, 100)], 82 * DAY_MS),  # a longer one ends it
        ([(60, 80), (90, 95)], 90 * DAY_MS),  # whatever lies between its end and now
        ([(101, 105)], 101 * DAY_MS),
        ([(2, 110)], 59 * DAY_MS),  # 46 * 21 hours
    ],
)
def test_a_history_goes_back_to_where_older_candles_say_nothing(
    ranges: list[tuple[int, int]], start: int
) -> None:
    present = Coverage((a * DAY_MS, b * DAY_MS) for a, b in ranges)
    assert history_start(present, 100 * DAY_MS, ANALYSIS) == start


def test_seeds_lead_up_to_a_history_or_are_not_used() -> None:
    bars = np.array([(i * HOUR, 1.0 + i) for i in range(10)], dtype=[("open_time", "<i8"), ("close", "<f8")])
    inputs = SymbolInputs(seeds={3600: Seed(10 * HOUR, bars.tobytes())})
    assert inputs.seeds_before(10 * HOUR)[3600]["close"].tolist() == bars["close"].tolist()
    assert inputs.seeds_before(10 * HOUR + 59 * MINUTE_MS)[3600]["open_time"][-1] == 9 * HOUR
    assert inputs.seeds_before(7 * HOUR)[3600]["open_time"].tolist() == bars["open_time"][:7].tolist()
    assert inputs.seeds_before(11 * HOUR) == {}


def test_what_numbers_rest_on_is_kept_for_each_symbol(tmp_path: Path) -> None:
    inputs = SymbolInputs(0.001, {14400: Seed(5, b"0123456789abcdef")})
    store = Store(tmp_path, exchange="test")
    put_inputs(store, "币安人生USDT", inputs).result()
    store.close()
    store = Store(tmp_path, read_only=True)
    assert inputs_of(store, "币安人生USDT") == inputs
    assert inputs_of(store, "BTCUSDT") == SymbolInputs()
    store.close()


def test_messages_of_consecutive_minutes_are_a_minute_apart(tmp_path: Path) -> None:
    stored(tmp_path, AUSDT=walk(50))
    made = replayed(tmp_path, "AUSDT", start=MIDNIGHT, end=MIDNIGHT + DAY_MS)
    assert {b.timestamp - a.timestamp for a, b in pairwise(made)} == {MINUTE_MS}
