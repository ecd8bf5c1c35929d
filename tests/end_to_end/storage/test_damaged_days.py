"""A damaged stored day is a missing day: read again, nothing wrong shown, what was published kept right."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest
from commanding import command
from damaging import damage_day, damage_open
from examples import some_of
from feed import Collected, configured, feeding, until
from history_parts import TODAY, assert_whole
from holding import BTC, ETH, Feed, exchange_of, without
from samples import MIDNIGHT, walk
from virtual_time import in_virtual_time

from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS, Source
from tui_feeder.engine.core.coverage import Coverage, span
from tui_feeder.engine.storage.store import Store
from tui_feeder.time_format import format_day

YESTERDAY = TODAY - DAY_MS


def stored(path: Path) -> Store:
    store = Store(path, exchange="a simulated exchange")
    store.put(
        BTC, walk(3 * 1440, seed=4), Source.ARCHIVE_DAY, certify=span(0, MIDNIGHT + 9 * DAY_MS)
    ).result()
    store.set_watermark(BTC, MIDNIGHT + 3 * DAY_MS - MINUTE_MS).result()
    store.close()
    return Store(path)


@pytest.mark.parametrize("same", [True, False])
def test_a_damaged_day_is_given_back_and_owes_revisions_only_if_its_values_differ(
    tmp_path: Path, same: bool
) -> None:
    stored(tmp_path).close()
    day, rows = MIDNIGHT + DAY_MS, walk(3 * 1440, seed=4)
    damage_day(tmp_path, BTC, day)
    store = Store(tmp_path)
    edition = store.edition(BTC)
    np.testing.assert_array_equal(store.read(BTC, 0, 1 << 62), np.delete(rows, slice(1440, 2880)))
    store.flushed().result()
    lost = span(day, day + DAY_MS)
    assert store.present(BTC) == store.certified(BTC) == Coverage.of_times(rows["open_time"]).subtract(lost)
    assert (store.lost_published(BTC), store.edition(BTC)) == (lost, edition + 1)
    store.close()

    again = Store(tmp_path)  # the evidence is kept over a restart
    back = rows[1440:2880].copy()
    if not same:
        back["quote_volume"][7] += 1.0
    for page in (back[:499], back[499:998]):  # as REST gives them
        written = again.put(BTC, page, Source.REST).result()
        assert (written.added, written.restored) == (499, 0)
        assert not again.stale_published(BTC)
    written = again.put(BTC, back[998:], Source.REST).result()
    assert (written.added, written.restored) == (442, 1440 if same else 0)
    assert again.stale_published(BTC) == (Coverage() if same else lost)
    assert not again.unpublished(BTC)  # they had their messages
    assert not again.lost_published(BTC)
    assert not again.damaged(BTC)
    assert again.altered(BTC) == lost  # a mirror looks at them again
    again.close()


@pytest.mark.parametrize(
    ("day", "watermark"),
    some_of([(MIDNIGHT + n * DAY_MS, watermark) for watermark in (True, False) for n in range(3)], every=5),
)
def test_a_command_that_writes_leaves_the_mark_of_damage_until_the_day_is_read_again(
    tmp_path: Path, day: int, watermark: bool
) -> None:
    """Of the first, a middle and the last day, of minutes that had messages and of those that had none."""
    rows, path = walk(3 * 1440, seed=4), tmp_path / "store"
    store = Store(path, exchange="a simulated exchange")
    store.put(BTC, rows, Source.ARCHIVE_DAY, certify=span(0, MIDNIGHT + 9 * DAY_MS)).result()
    if watermark:
        store.set_watermark(BTC, MIDNIGHT + 3 * DAY_MS - MINUTE_MS).result()
    store.close()
    damage_day(path, BTC, day)
    said = f"{BTC}: 1 stored day damaged and left out: {format_day(day)}"
    for _ in range(2):
        done = command("profiles", "rebuild", "--storage", path, cwd=tmp_path)
        assert (done.code, said in done.err) == (4, True), done.out + done.err
    for arguments in (
        ("export", "--symbol", BTC, "--storage", path), ("info", "--storage", path),
        ("replay", "--symbols", BTC, "--storage", path),
    ):  # fmt: skip
        done = command(*arguments, cwd=tmp_path)
        assert (done.code, said in done.err) == (4, True), done.out[-500:] + done.err
    done = command("verify", "--offline", "--storage", path, cwd=tmp_path)
    assert (done.code, "the stored day is damaged" in done.out) == (4, True), done.out
    done = command("gaps", "--symbols", BTC, "--storage", path, cwd=tmp_path)
    assert "damaged: stored and not readable" in done.out
    done = command("backup", tmp_path / "copy", "--storage", path, cwd=tmp_path)
    assert (done.code, f"damaged days: {format_day(day)}" in done.err) == (1, True), done.err
    assert not (tmp_path / "copy").exists()
    elsewhere = MIDNIGHT + DAY_MS if day == MIDNIGHT else MIDNIGHT
    span_of = (f"--from={format_day(elsewhere)}", f"--to={format_day(elsewhere + DAY_MS)}")
    done = command("export", "--symbol", BTC, *span_of, "--storage", path, cwd=tmp_path)
    assert (done.code, len(done.out.splitlines())) == (0, 1441), done.err

    store = Store(path)
    assert store.damaged_missing(BTC) == span(day, day + DAY_MS)
    store.put(BTC, rows[rows["open_time"] // DAY_MS * DAY_MS == day], Source.REST).result()
    assert not store.damaged_missing(BTC)
    assert not store.damaged_days()
    store.close()
    done = command("verify", "--offline", "--storage", path, cwd=tmp_path)
    assert done.code == 0, done.out
    done = command("export", "--symbol", BTC, "--storage", path, cwd=tmp_path)
    assert (done.code, len(done.out.splitlines())) == (0, 1 + 3 * 1440), done.err


def test_a_symbol_of_which_all_was_damaged_is_named(tmp_path: Path) -> None:
    path = tmp_path / "store"
    store = Store(path, exchange="a simulated exchange")
    store.put(BTC, walk(1440, seed=4), Source.ARCHIVE_DAY).result()
    store.close()
    damage_day(path, BTC, MIDNIGHT)
    assert command("profiles", "rebuild", "--storage", path, cwd=tmp_path).code == 4
    done = command("verify", "--offline", "--storage", path, cwd=tmp_path)
    assert (done.code, "the stored day is damaged" in done.out) == (4, True), done.out


def test_writing_into_a_damaged_day_claims_no_minute_that_is_not_there(tmp_path: Path) -> None:
    stored(tmp_path).close()
    day, rows = MIDNIGHT + DAY_MS, walk(3 * 1440, seed=4)
    damage_day(tmp_path, BTC, day)
    store = Store(tmp_path)
    store.put(BTC, rows[1500:1600], Source.ARCHIVE_MONTH).result()
    whole = Coverage.of_times(np.delete(rows, np.r_[1440:1500, 1600:2880])["open_time"])
    assert store.present(BTC) == whole == Coverage.of_times(store.read(BTC, 0, 1 << 62)["open_time"])
    assert not store.certified(BTC).subtract(whole)
    store.close()


@in_virtual_time
async def test_a_start_reads_a_damaged_day_again_and_what_was_published_stands(tmp_path: Path) -> None:
    sink = Collected()
    async with exchange_of([BTC]) as exchange:
        config = configured(exchange, [BTC])
        async with feeding(config, tmp_path, sink):
            await until(lambda: len(sink.minutes(BTC)) >= 2)
        damage_day(tmp_path, BTC, YESTERDAY)
        store = Store(tmp_path)
        store.put_checkpoint(BTC, b"").result()  # so that they are made from all candles
        store.close()
        async with feeding(config, tmp_path, sink) as (engine, _):
            feed = Feed(engine, sink, exchange, config)
            await feed.minutes(2)
            await feed.holds()
            assert_whole(engine.store, exchange, BTC, YESTERDAY, TODAY)
            assert feed.counted("pipeline_crashes") == 0
            assert feed.counted("damaged_days") == 1
            assert feed.said("the stored day 2026-03-09 is damaged", "1,440 minutes count as missing")
    revised = [(m["timestamp"], m["revision"]) for m in sink.messages[BTC] if m["revision"]]
    assert not revised, (revised, [e.text for e in engine.journal.events])


@in_virtual_time
async def test_a_day_that_is_damaged_while_the_engine_runs_is_noticed_and_read_again(tmp_path: Path) -> None:
    sink = Collected()
    async with exchange_of([BTC, ETH]) as exchange:
        config = configured(exchange, [BTC, ETH])
        async with feeding(config, tmp_path, sink) as (engine, _):
            feed = Feed(engine, sink, exchange, config)
            await feed.minutes(2)
            exchange.faults.switch_on("rest-5xx", target="klines")
            exchange.faults.switch_on("missing-file")
            damage_open(engine.store, BTC, YESTERDAY)
            await asyncio.to_thread(engine.store.check, BTC, YESTERDAY, TODAY)
            await until(lambda: feed.said("the stored day 2026-03-09 is damaged"))
            assert engine.store.damaged_days() == {BTC: (YESTERDAY,)}
            await until(lambda: [g.reason for g in feed.snapshot().gaps] == ["the stored day was damaged"])
            exchange.faults.switch_off()
            engine.recovery.retry(BTC)
            await until(lambda: not engine.store.damaged_days())
            await feed.minutes(2)
            await feed.holds()
            assert_whole(engine.store, exchange, BTC, YESTERDAY, TODAY)
    revised = [(m["timestamp"], m["revision"]) for m in sink.messages[BTC] if m["revision"]]
    assert not revised, (revised, [e.text for e in engine.journal.events])


@in_virtual_time
async def test_other_values_than_those_that_were_damaged_are_revised(tmp_path: Path) -> None:
    sink = Collected()
    async with exchange_of([BTC]) as exchange:
        config = configured(exchange, [BTC])
        async with feeding(config, tmp_path, sink) as (engine, _):
            await until(lambda: len(sink.minutes(BTC)) >= 2)
            rows = engine.store.read(BTC, YESTERDAY, TODAY)
        other = rows.copy()
        other["close"][-1] = other["low"][-1]
        store = Store(tmp_path)
        store.put(BTC, other, Source.ARCHIVE_MONTH).result()
        store.close()
        async with feeding(config, tmp_path, sink):  # what is published rests on them
            count = len(sink.messages[BTC])
            await until(lambda: len(sink.messages[BTC]) > count + 4)
        before = max(message["revision"] for message in sink.messages[BTC])
        damage_day(tmp_path, BTC, YESTERDAY)
        async with feeding(config, tmp_path, sink) as (engine, _):
            feed = Feed(engine, sink, exchange, config)
            await asyncio.to_thread(engine.store.check, BTC, YESTERDAY, TODAY)
            await until(lambda: not engine.store.damaged_days() and not engine.store.stale_published(BTC))
            await feed.minutes(2)
            await feed.holds()
            assert_whole(engine.store, exchange, BTC, YESTERDAY, TODAY)
    assert max(message["revision"] for message in sink.messages[BTC]) > before


@in_virtual_time
async def test_a_damaged_day_that_cannot_be_had_at_the_start_is_counted_when_it_comes(tmp_path: Path) -> None:
    sink = Collected()
    async with exchange_of([BTC]) as exchange:
        config = configured(exchange, [BTC])
        async with feeding(config, tmp_path, sink):
            await until(lambda: len(sink.minutes(BTC)) >= 2)
        damage_day(tmp_path, BTC, YESTERDAY)
        store = Store(tmp_path)
        store.put_checkpoint(BTC, b"").result()
        store.close()
        lacking = True
        async with feeding(config, tmp_path, sink) as (engine, _):
            without(engine.exchange, BTC, span(YESTERDAY, TODAY), lambda: lacking)
            exchange.faults.switch_on("missing-file")
            feed = Feed(engine, sink, exchange, config)
            await feed.minutes(3)
            assert engine.store.present(BTC).missing(YESTERDAY, TODAY).minutes == 1440
            lacking = False
            exchange.faults.switch_off()
            engine.recovery.retry(BTC)
            await until(lambda: not engine.store.present(BTC).missing(YESTERDAY, TODAY))
            await feed.holds()
            assert_whole(engine.store, exchange, BTC, YESTERDAY, TODAY)
