"""Records of the store that are damaged: each costs what it held, is named once, and ends no engine."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

import lmdb
import msgspec
import numpy as np
import pandas as pd
import pytest
from commanding import command, command_at
from damaging import flipped
from feed import until
from holding import BTC, ETH, exchange_of, feed_of
from hypothesis import given, settings
from hypothesis import strategies as st
from store_child import FIRST, candle_of
from virtual_time import in_virtual_time

from tui_feeder.config import ConfigError, load
from tui_feeder.engine.analytics.profile.settings import ProfileSettings
from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS, Source, to_rows
from tui_feeder.engine.core.clock import ExchangeClock
from tui_feeder.engine.core.coverage import Coverage, span
from tui_feeder.engine.derived.inputs import inputs_of, revisions_of
from tui_feeder.engine.derived.revisions import Revisions
from tui_feeder.engine.derived.stored_profiles import build_days, read_profiles
from tui_feeder.engine.exchanges.binance.ban import known_ban
from tui_feeder.engine.storage.store import FileRecord, Store, StoreError
from tui_feeder.engine.storage.symbol_state import (
    NAMES,
    STORED_AS,
    Unavailable,
    intervals,
    number,
    state_of,
    stored_size,
)
from tui_feeder.time_format import format_day, parse_timeframe

MINUTES = span(FIRST, FIRST + 30 * MINUTE_MS)
#: The field of a state that is stored under a name, where they differ.
FIELD_OF = {stored: field for field, stored in STORED_AS.items()}
COVERAGES = (b"present", b"certified", b"outages", b"overruled", b"altered", b"untold", b"mistold", b"early")


def sound() -> dict[bytes, bytes | None]:
    """The parts of a state as a store keeps them."""
    raw: dict[bytes, bytes | None] = dict.fromkeys(NAMES)
    raw |= dict.fromkeys(COVERAGES, intervals(MINUTES))
    raw |= {b"edition": number(7), b"listed": number(FIRST)}
    raw |= {b"contract_size": stored_size(10.0), b"delivery": number(MINUTES.end)}
    raw[b"watermark"] = number(MINUTES.end - MINUTE_MS)
    raw[b"unavailable"] = msgspec.json.encode([Unavailable(FIRST, FIRST + MINUTE_MS, "away", 4, FIRST)])
    assert raw.keys() == set(NAMES)
    return raw


@given(st.sampled_from(NAMES), st.binary(max_size=40))
@settings(max_examples=300, deadline=None)
def test_one_damaged_part_of_a_state_costs_no_other(name: bytes, damage: bytes) -> None:
    told: list[str] = []
    good = state_of(sound(), set(), lambda what, _: told.append(what), lambda: MINUTES)
    assert told == []
    state = state_of(sound() | {name: damage}, set(), lambda what, _: told.append(what), lambda: MINUTES)
    assert set(told) <= {name.decode()}
    for part in NAMES:
        if part not in (name, b"watermark"):  # how late that can be follows from what is there
            field = FIELD_OF.get(part, part.decode())
            assert getattr(state, field) == getattr(good, field)
    assert 0 <= state.edition + 1 < 1 << 63  # it can be raised and kept
    if name == b"present" and told:
        assert state.present == MINUTES


def test_of_ranges_that_are_unavailable_the_odd_one_alone_is_left_out() -> None:
    kept = [
        Unavailable(FIRST + n * DAY_MS, FIRST + n * DAY_MS + MINUTE_MS, "away", 4, FIRST) for n in range(3)
    ]
    entries = [msgspec.to_builtins(one) for one in kept]
    for odd in (None, {}, [], {**entries[1], "start": "x"}, {**entries[1], "end": FIRST}, "text"):
        told: list[str] = []
        raw = sound() | {b"unavailable": json.dumps([entries[0], odd, entries[2]]).encode()}
        state = state_of(raw, set(), lambda what, _, told=told: told.append(what), lambda: MINUTES)
        assert state.unavailable == (kept[0], kept[2])
        assert told == ["unavailable"]


@contextlib.contextmanager
def laid_open(path: Path) -> Iterator[lmdb.Environment]:
    env = lmdb.open(str(path), max_dbs=16)
    yield env
    env.close()


def test_what_is_stored_is_found_again_where_the_record_of_it_is_damaged(tmp_path: Path) -> None:
    with contextlib.closing(Store(tmp_path, exchange="x")) as store:
        rows = to_rows([candle_of(at, Source.REST) for at in range(FIRST, FIRST + 2 * DAY_MS, MINUTE_MS)])
        kept = np.delete(rows, np.s_[100:200])
        store.put(BTC, kept, Source.REST).result()
        store.append(BTC, candle_of(FIRST + 2 * DAY_MS, Source.STREAM), Source.STREAM).result()
        wanted = store.present(BTC)
    with laid_open(tmp_path) as env, env.begin(write=True, db=env.open_db(b"state")) as txn:
        assert txn.put(BTC.encode() + b"\0present", b"\x01\x02\x03")
        assert txn.put(b"\xff\xfe\0present", b"")  # a name that is none
    with contextlib.closing(Store(tmp_path, exchange="x")) as store:
        assert store.present(BTC) == wanted
        assert wanted.minutes == 2 * 1_440 - 100 + 1
        assert store.symbols() == [BTC]
        assert list(store.unusable_records) == ["BTCUSDT: present", "the name b'\\xff\\xfe'"]


@pytest.mark.parametrize(
    "damage", [b"", b"{}", b"\xff\xfe\x00", b"[[[", b"null", b'{"until":"x"}', b"\x93\x01"]
)
def test_damaged_notes_count_as_absent(tmp_path: Path, damage: bytes) -> None:
    with contextlib.closing(Store(tmp_path, exchange="x")) as store:
        rows = to_rows([candle_of(at, Source.REST) for at in range(FIRST, FIRST + 10 * MINUTE_MS, MINUTE_MS)])
        store.put(BTC, rows, Source.REST).result()
        for note in ("ban", f"basis {BTC}", f"revisions {BTC}"):
            store.put_note(note, damage).result()
        assert known_ban(store, "ban", ExchangeClock()) == 0
        assert inputs_of(store, BTC).tick_size is None
        revisions = revisions_of(store, BTC)
        assert revisions is not None
        assert revisions.since == FIRST
        # Whatever its number was, the next one is higher, and can be kept.
        assert revisions.of(FIRST + MINUTE_MS) >= 100
        revisions.correct(span(FIRST, FIRST + MINUTE_MS))
        assert Revisions.decode(revisions.encode()).of(FIRST) == revisions.of(FIRST) == 101
        assert set(store.unusable_records) == {"the note of a ban", f"basis {BTC}", f"revisions {BTC}"}


@pytest.mark.parametrize("seconds", [10 * 86_400, -10 * 86_400, 10**15])
def test_a_ban_that_no_exchange_gives_is_not_believed(tmp_path: Path, seconds: int) -> None:
    clock = ExchangeClock()
    now = clock.now()
    with contextlib.closing(Store(tmp_path, exchange="x")) as store:
        note = {"until": now + seconds * 1000, "learnt": now, "learnt_here": int(clock.wall() * 1000)}
        store.put_note("ban", json.dumps(note).encode()).result()
        assert known_ban(store, "ban", clock) <= clock.now()


def test_a_damaged_message_holds_up_none_behind_it(tmp_path: Path) -> None:
    with contextlib.closing(Store(tmp_path, exchange="x")) as store:
        store.open_outbox(["kafka"], 8)
        for place in range(5):
            store.send("data", BTC, FIRST + place, b"{}").result()
    with laid_open(tmp_path) as env, env.begin(write=True, db=env.open_db(b"outbox")) as txn:
        assert txn.put((2).to_bytes(8, "big"), b"\x01")
        assert txn.put((4).to_bytes(8, "big"), bytes(16) + b"\x00\x02" + b"\xff\xff{}")
    with contextlib.closing(Store(tmp_path, exchange="x")) as store:
        outbox = store.open_outbox(["kafka"], 8)
        assert outbox.status("kafka").depth == 5
        assert [one.number for one in outbox.read_after(0, 1 << 20)] == [1, 3, 5]
        outbox.acknowledge("kafka", 1).result()
        assert outbox.status("kafka").age < 3_600
        outbox.acknowledge("kafka", 5).result()
        assert outbox.status("kafka").depth == 0


@pytest.mark.parametrize(("of_key", "at"), [(False, 0), (False, 7), (False, 8), (False, 11), (True, 9)])
def test_a_damaged_cursor_loses_no_message_that_waits(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, of_key: bool, at: int
) -> None:
    with contextlib.closing(Store(tmp_path, exchange="x")) as store:
        outbox = store.open_outbox(["kafka", "file"], 8)
        for place in range(9):
            store.send("data", BTC, FIRST + place, b"{}").result()
        outbox.acknowledge("kafka", 5).result()
        outbox.acknowledge("file", 3).result()
    with laid_open(tmp_path) as env, env.begin(write=True, db=env.open_db(b"meta")) as txn:
        key, value = b"outbox\0kafka", bytes(txn.get(b"outbox\0kafka"))
        txn.delete(key)
        txn.put(flipped(key, at, 7) if of_key else key, value if of_key else flipped(value, at, 7))
    with contextlib.closing(Store(tmp_path, read_only=True)) as store:
        assert [one.messages for one in store.backlogs()] == [6, 6]
    with contextlib.closing(Store(tmp_path, exchange="x")) as store:
        outbox = store.open_outbox(["kafka", "file"], 8)
        assert outbox.cursors == {"kafka": 3, "file": 3}
        assert [one.number for one in outbox.read_after(3, 1 << 20)] == [4, 5, 6, 7, 8, 9]
        store.send("data", BTC, FIRST, b"{}").result()
        assert outbox.read_after(9, 1 << 20)[0].number == 10
    assert "is damaged: all that is still there is sent again" in caplog.text
    caplog.clear()
    with contextlib.closing(Store(tmp_path, exchange="x")) as store:
        assert store.open_outbox(["kafka", "file"], 8).cursors == {"kafka": 3, "file": 3}
    assert "damaged" not in caplog.text


def test_a_cursor_of_before_they_had_a_checksum_is_taken(tmp_path: Path) -> None:
    with contextlib.closing(Store(tmp_path, exchange="x")) as store:
        store.open_outbox(["kafka"], 8)
        for place in range(9):
            store.send("data", BTC, FIRST + place, b"{}").result()
    with laid_open(tmp_path) as env, env.begin(write=True, db=env.open_db(b"meta")) as txn:
        txn.put(b"outbox\0kafka", (5).to_bytes(8, "big"))
    with contextlib.closing(Store(tmp_path, exchange="x")) as store:
        assert store.open_outbox(["kafka"], 8).cursors == {"kafka": 5}


def test_a_damaged_profile_is_named_counts_as_missing_and_is_built_anew(tmp_path: Path) -> None:
    day = FIRST // DAY_MS * DAY_MS
    with contextlib.closing(Store(tmp_path, exchange="x")) as store:
        rows = to_rows([candle_of(at, Source.REST) for at in range(FIRST, FIRST + 10 * MINUTE_MS, MINUTE_MS)])
        store.put(BTC, rows, Source.REST).result()
        assert build_days(store, BTC, ProfileSettings(), [day], again=False).built == 1
        (made,) = read_profiles(store, BTC, day, day + DAY_MS)
    with laid_open(tmp_path) as env, env.begin(write=True, db=env.open_db(b"profiles")) as txn:
        ((key, value),) = [(bytes(key), bytes(value)) for key, value in txn.cursor()]
        txn.put(key, flipped(value, len(value) // 2))
    with contextlib.closing(Store(tmp_path, exchange="x")) as store:
        assert read_profiles(store, BTC, day, day + DAY_MS) == []
        (named,) = store.unusable_records
        assert named == f"{BTC}: the volume profile of {format_day(day)}"
        assert build_days(store, BTC, ProfileSettings(), [day], again=False).built == 1
        (again,) = read_profiles(store, BTC, day, day + DAY_MS)
        assert (again.poc, again.vah, again.candles) == (made.poc, made.vah, made.candles)
        assert build_days(store, BTC, ProfileSettings(), [day], again=False).kept == 1


@pytest.mark.parametrize("bit", range(8))
@pytest.mark.parametrize("name", [b"format", b"exchange"])
def test_a_store_whose_own_record_is_damaged_opens_or_says_what_to_do(
    tmp_path: Path, name: bytes, bit: int
) -> None:
    with contextlib.closing(Store(tmp_path, exchange="x")) as store:
        store.put(BTC, to_rows([candle_of(FIRST, Source.REST)]), Source.REST).result()
    with laid_open(tmp_path) as env, env.begin(write=True, db=env.open_db(b"meta")) as txn:
        txn.put(name, flipped(bytes(txn.get(name)), 0, bit))
    try:
        store = Store(tmp_path, exchange="x")
    except StoreError as error:
        text = str(error)
        assert text.isprintable()
        assert "another --storage" in text or "another directory with --storage" in text
        return
    with contextlib.closing(store):  # of an earlier format: brought up to date, with nothing changed
        assert name == b"format"
        assert len(store.read(BTC, 0, 1 << 60)) == 1
        assert not store.damaged_records()


@in_virtual_time
async def test_an_engine_goes_on_with_a_store_of_which_every_small_record_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "store"
    async with exchange_of([BTC, ETH]) as exchange:
        async with feed_of(exchange, path) as feed:
            await feed.minutes(2)
        told = len(feed.sink.messages[BTC])
        with laid_open(path) as env:
            state, meta = env.open_db(b"state"), env.open_db(b"meta")
            with env.begin(write=True) as txn:
                names = [bytes(key) for key, _ in txn.cursor(state) if bytes(key).startswith(b"BTCUSDT\0")]
                for key in names:
                    txn.put(key, b"\xfe\x00\x01", db=state)
                notes = [bytes(key) for key, _ in txn.cursor(meta) if bytes(key).startswith(b"note\0")]
                for key in [*notes, b"note\0ban"]:
                    txn.put(key, b"\xc1\x00", db=meta)
            assert len(names) >= 4
            assert notes
        async with feed_of(exchange, path, sink=feed.sink) as again:
            await until(lambda: len(again.sink.messages[BTC]) >= told + 3)
            await until(lambda: {one.phase for one in again.engine.tracked.values()} == {"live"})
            assert again.counted("unusable_records") >= 4
            assert again.counted("pipeline_crashes") == 0
            present = again.engine.store.present(BTC)
            assert not present.missing(present.start, present.end)


@in_virtual_time
async def test_a_run_removes_damaged_records_that_nobody_asks_for(tmp_path: Path) -> None:
    path = tmp_path / "store"
    async with exchange_of([BTC, ETH]) as exchange:
        async with feed_of(exchange, path) as feed:
            feed.engine.store.set_file("data/an/archive.zip", FileRecord("etag", "sha", 3, 4)).result(10)
        with laid_open(path) as env:
            files = env.open_db(b"files")
            with env.begin(write=True) as txn:
                assert txn.put(b"data/an/archive.zip", b"\xfe\x00\x01\x02\x03", db=files)
        with contextlib.closing(Store(path, read_only=True)) as store:
            assert store.damaged_records() == ["files data/an/archive.zip"]
        async with feed_of(exchange, path, sink=feed.sink) as again:
            await until(lambda: not again.engine.store.damaged_records())
            await until(lambda: again.said("removed and made anew: files data/an/archive.zip"))


async def test_doctor_names_damaged_records(tmp_path: Path) -> None:
    path = tmp_path / "store"
    with contextlib.closing(Store(path, exchange="a simulated exchange")) as store:
        store.append(BTC, candle_of(FIRST, Source.REST), Source.REST).result()
    with laid_open(path) as env, env.begin(write=True, db=env.open_db(b"state")) as txn:
        txn.put(BTC.encode() + b"\0certified", b"\x01")
    async with exchange_of([BTC], rate=1.0) as exchange:
        done = await command_at(exchange, "doctor", "--symbols", BTC, "--storage", path, cwd=tmp_path)
    assert "1 damaged records are not used: BTCUSDT: certified" in " ".join(done.out.split())


@pytest.mark.parametrize("key", ["fixed_price_increment", "min_price_increment", "max_price_increment"])
@pytest.mark.parametrize("value", ["1e-300", "5e-324", "0", "-1", "nan", "inf", "1e300"])
def test_increments_of_no_sense_are_refused(tmp_path: Path, key: str, value: str) -> None:
    file = tmp_path / "config.toml"
    file.write_text(f"[volume_profile]\n{key} = {value}\n")
    with pytest.raises(ConfigError, match=key):
        load(file, environ={})


@pytest.mark.parametrize(
    "line",
    [
        "[exchange]\nclock_rate = 1e-300", "[exchange]\nrequest_timeout_seconds = 1e-300",
        "[exchange]\narchive_concurrency = 1000000", "[volume_profile]\ntarget_price_levels = 1000000",
        "[volume_profile]\nvalue_area_percentage = 1e-300", "[database]\nmax_connections = 1000000",
        "[service]\nlog_keep = 1000000", "[service]\nshutdown_timeout_seconds = 1e-300",
        "[application]\nrecovery_deadline_seconds = 1e-300",
    ],
)  # fmt: skip
def test_numbers_that_no_program_can_work_with_are_refused(tmp_path: Path, line: str) -> None:
    file = tmp_path / "config.toml"
    file.write_text(line + "\n")
    with pytest.raises(ConfigError, match=line.partition("\n")[2].partition(" ")[0]):
        load(file, environ={})


def test_config_check_says_which_increment_is_too_small(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("[volume_profile]\nfixed_price_increment = 1e-300\n")
    done = command("config", "check", "--config", "config.toml", cwd=tmp_path)
    assert done.code == 2
    assert "fixed_price_increment" in done.err + done.out
    assert "1e-12 to 1000000000" in done.err + done.out


@pytest.mark.parametrize(
    "value", [300, 300.0, "5m", "300", np.int64(300), np.float32(300), np.uint16(300), pd.Series([300])[0]]
)
def test_a_timeframe_is_a_number_of_any_type(value: float) -> None:
    assert parse_timeframe(value) == 300


@pytest.mark.parametrize(
    "value", [300.5, float("nan"), float("inf"), True, None, [], 0, -300, 2**80, "abc", b"5m"]
)
def test_what_is_no_timeframe_is_said_to_be_none(value: object) -> None:
    with pytest.raises(ValueError, match="is not a timeframe"):
        parse_timeframe(value)


def test_the_coverage_of_a_state_is_kept_as_it_was() -> None:
    for one in (
        MINUTES,
        Coverage([(FIRST, FIRST + MINUTE_MS), (FIRST + DAY_MS, FIRST + DAY_MS + MINUTE_MS)]),
    ):
        state = state_of(
            sound() | {b"present": intervals(one)}, set(), lambda *_: pytest.fail("odd"), lambda: MINUTES
        )
        assert state.present == one
