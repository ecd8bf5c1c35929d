from __future__ import annotations

import asyncio
import gzip
import json
import random
import resource
import subprocess
import sys
import threading
import time
from pathlib import Path

import jsonschema
import pytest
from feed import NOON, configured, until
from msgspec.structs import replace
from places import DOCS, SUPPORT
from sinking import Queue, at_work

from tui_feeder.config import Config, File
from tui_feeder.engine.composition import configured_engine
from tui_feeder.engine.core.candle import MINUTE_MS
from tui_feeder.engine.sinks.configured import check_sinks, configured_sinks
from tui_feeder.engine.sinks.file import FileSink
from tui_feeder.engine.sinks.thread import SinkError
from tui_feeder.engine.storage.outbox_format import QueuedMessage
from tui_feeder.engine.storage.store import Store
from tui_feeder.simulator.clock import clock_for
from tui_feeder.simulator.exchange import Exchange
from tui_feeder.simulator.synthetic import synthetic_market

CHILD = SUPPORT / "publishing_child.py"
SCHEMAS = DOCS


def queue_in(tmp_path: Path) -> Queue:
    return Queue(tmp_path / "store", "file")


def to_files(tmp_path: Path, **more: object) -> File:
    return replace(File(), enabled=True, path=tmp_path / "out", **more)


def written(folder: Path, topic: str = "data") -> list[bytes]:
    """The lines of all files of a topic, in order, read without the sink's own code; each line is whole."""
    lines: list[bytes] = []
    for one in sorted(folder.glob(f"{topic}-*")):
        data = one.read_bytes()
        if one.suffix == ".gz":
            data = gzip.decompress(data)
        elif one.suffix == ".zst":
            arrow = pytest.importorskip("pyarrow", reason="an independent reader of zstd is not installed")
            data = arrow.CompressedInputStream(arrow.BufferReader(data), "zstd").read()
        assert not data or data.endswith(b"\n"), one
        lines += data.splitlines()
    return lines


def keys(lines: list[bytes]) -> list[tuple[str, int, int]]:
    messages = map(json.loads, lines)
    return [(one["symbol"], one["timestamp"], one["revision"]) for one in messages]


async def test_what_is_stored_between_the_last_look_and_the_end_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = queue_in(tmp_path)
    sink = FileSink(to_files(tmp_path), queue.outbox)
    looked, real = threading.Event(), queue.outbox.read_after
    ended = threading.Event()

    def after(taken: int, most: int) -> list[QueuedMessage]:
        found = real(taken, most)
        if not looked.is_set():
            looked.set()
            assert ended.wait(10)  # a minute is stored and the end comes; this look has missed both
        return found

    monkeypatch.setattr(queue.outbox, "read_after", after)
    async with at_work(sink):
        await asyncio.to_thread(looked.wait, 10)
        await queue.fill(1)
        sink._deadline = time.monotonic() + 10  # as close() sets it before the end
        sink._closing.set()
        ended.set()
    assert len(written(tmp_path / "out")) == 1


@pytest.mark.parametrize(("compression", "suffix"), [("none", ".jsonl"), ("gzip", ".gz"), ("zstd", ".zst")])
async def test_lines_are_what_was_published_whatever_the_rotation(
    tmp_path: Path, compression: str, suffix: str
) -> None:
    queue = queue_in(tmp_path)
    sink = FileSink(to_files(tmp_path, rotate_mb=1, compression=compression), queue.outbox)
    await queue.fill(2_000, size=600)  # what waited before the start
    async with at_work(sink) as journal:
        await until(lambda: queue.depth("file") == 0)
        for _ in range(4):
            await queue.fill(2_000, size=600)
            await until(lambda: queue.depth("file") == 0)
        assert sink.status() == "ok"
        assert journal.counters["file_messages"] == 10_000
        assert journal.counters["file_rotations"] >= 3
        folder = tmp_path / "out"
        await until(lambda: sum(one.suffix == suffix for one in folder.iterdir()) >= 3)
        await until(lambda: compression == "none" or len(list(folder.glob("*.jsonl"))) == 1)
    assert keys(written(folder)) == queue.made
    queue.store.close()


async def test_a_file_of_its_age_is_over_though_nothing_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = queue_in(tmp_path)
    await queue.fill(10)
    async with at_work(FileSink(to_files(tmp_path, rotate_minutes=60), queue.outbox)):
        await until(lambda: queue.depth("file") == 0)
        later = time.time() + 3_700
        monkeypatch.setattr("tui_feeder.engine.sinks.file.time.time", lambda: later)
        await until(lambda: len(list((tmp_path / "out").glob("*.gz"))) == 1)
        await queue.fill(10)
        await until(lambda: queue.depth("file") == 0)
    assert keys(written(tmp_path / "out")) == queue.made
    queue.store.close()


async def test_no_more_files_are_kept_than_asked_for(tmp_path: Path) -> None:
    queue = queue_in(tmp_path)
    async with at_work(FileSink(to_files(tmp_path, rotate_mb=1, keep=2), queue.outbox)) as journal:
        for _ in range(6):
            await queue.fill(2_000, size=600)
            await until(lambda: queue.depth("file") == 0)
        await until(lambda: journal.counters["file_rotations"] >= 4)
        await until(lambda: len(list((tmp_path / "out").iterdir())) == 3)
    left = keys(written(tmp_path / "out"))
    assert left == queue.made[-len(left) :]  # the oldest went
    assert 3_000 < len(left) < 12_000
    queue.store.close()


async def test_a_restart_goes_on_in_the_same_file(tmp_path: Path) -> None:
    made: list[tuple[str, int, int]] = []
    for _ in range(2):
        queue = queue_in(tmp_path)
        queue.made = made
        async with at_work(FileSink(to_files(tmp_path), queue.outbox)):
            await queue.fill(100)
            await until(lambda queue=queue: queue.depth("file") == 0)
        queue.store.close()
    assert len(list((tmp_path / "out").iterdir())) == 1
    assert keys(written(tmp_path / "out")) == made


async def test_what_a_kill_left_half_written_is_put_right(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    queue = queue_in(tmp_path)
    async with at_work(FileSink(to_files(tmp_path), queue.outbox)):
        await queue.fill(100)
        await until(lambda: queue.depth("file") == 0)
    (newest,) = folder.iterdir()
    older = folder / "data-20200101T000000000Z.jsonl"  # it was over, and half compressed
    older.write_bytes(b'{"symbol": "OLD", "timestamp": 1, "revision": 0}\n')
    (folder / f"{older.name}.gz.part").write_bytes(b"\x1f\x8b\x08")
    with newest.open("ab") as stream:
        stream.write(b'{"symbol": "S0USDT", "timest')
    async with at_work(FileSink(to_files(tmp_path), queue.outbox)) as journal:
        await queue.fill(100)
        await until(lambda: queue.depth("file") == 0)
        await until(lambda: (folder / f"{older.name}.gz").exists() and not older.exists())
        await until(lambda: any("half a line" in event.text for event in journal.events))
    assert keys(written(folder)) == [("OLD", 1, 0), *queue.made]
    assert not list(folder.glob("*.part"))
    queue.store.close()


@pytest.mark.timeout(180)
def test_kills_while_it_writes_and_rotates_lose_nothing(tmp_path: Path) -> None:
    draw = random.Random(23)
    folder = tmp_path / "out"
    made: list[tuple[str, int, int]] = []
    for _ in range(8):
        process = subprocess.Popen(
            [sys.executable, str(CHILD), str(tmp_path / "store"), str(folder), "40"],
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline().split() == ["ready"]
        time.sleep(draw.uniform(0.1, 1.0))
        process.kill()
        for line in process.communicate()[0].splitlines():
            _, symbol, timestamp = line.split()
            made.append((symbol, int(timestamp), 0))

    async def rest() -> None:
        queue = queue_in(tmp_path)
        async with at_work(FileSink(to_files(tmp_path, rotate_mb=1), queue.outbox)):
            await until(lambda: queue.depth("file") == 0, 60)
        queue.store.close()

    asyncio.run(rest())
    found = keys(written(folder))
    assert len(made) > 3_000
    assert set(made) <= set(found)
    duplicates = len(found) - len(set(found))
    print(f"{len(set(found))} messages, {duplicates} duplicates, {len(list(folder.iterdir()))} files")
    order: dict[str, list[int]] = {}
    for name, at, _ in dict.fromkeys(found):
        order.setdefault(name, []).append(at)
    for seen in order.values():
        assert seen == list(range(seen[0], seen[-1] + 1, MINUTE_MS))  # in order, no hole
    # Nothing comes twice but what was on the disk and not yet acknowledged, the latest of its time.
    assert duplicates < len(found) / 2
    assert not list(folder.glob("*.part"))


async def test_a_full_disk_holds_the_messages_until_there_is_room(tmp_path: Path) -> None:
    queue = queue_in(tmp_path)
    folder = tmp_path / "out"
    folder.mkdir()
    large = folder / "data-20200101T000000000Z.jsonl"
    with large.open("wb") as stream:
        stream.truncate((64 << 20) - 1)
        stream.seek(0, 2)
        stream.write(b"\n")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    sink = FileSink(to_files(tmp_path, rotate_minutes=0), queue.outbox)
    try:
        # As a disk that becomes full in the middle of a line.
        resource.setrlimit(resource.RLIMIT_FSIZE, ((64 << 20) + 1_000, hard))
        async with at_work(sink):
            await until(lambda: sink.status() == "ok")
            await queue.fill(100)
            await until(lambda: "has no room" in sink.status())
            assert "100 messages wait" in sink.status()
            assert large.stat().st_size == 64 << 20  # no part of a line is left
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
            await until(lambda: queue.depth("file") == 0, 60)
            await until(lambda: sink.status() == "ok")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert keys(large.read_bytes()[64 << 20 :].splitlines()) == queue.made
    queue.store.close()


async def test_a_file_that_was_moved_away_is_followed_by_another(tmp_path: Path) -> None:
    queue = queue_in(tmp_path)
    async with at_work(FileSink(to_files(tmp_path), queue.outbox)):
        await queue.fill(50)
        await until(lambda: queue.depth("file") == 0)
        (first,) = (tmp_path / "out").iterdir()
        first.rename(tmp_path / "moved")
        await queue.fill(50)
        await until(lambda: queue.depth("file") == 0)
    assert keys([*(tmp_path / "moved").read_bytes().splitlines(), *written(tmp_path / "out")]) == queue.made
    queue.store.close()


async def test_two_feeders_do_not_write_into_one_file(tmp_path: Path) -> None:
    queue, other = queue_in(tmp_path), Queue(tmp_path / "other", "file")
    await queue.fill(10)
    second = FileSink(to_files(tmp_path), other.outbox)
    async with at_work(FileSink(to_files(tmp_path), queue.outbox)):
        await until(lambda: queue.depth("file") == 0)
        async with at_work(second):
            await until(lambda: "another feeder writes" in second.status())
    queue.store.close()
    other.store.close()


async def test_a_folder_that_cannot_be_is_told(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("no folder")
    queue = queue_in(tmp_path)
    sink = FileSink(to_files(tmp_path), queue.outbox)
    async with at_work(sink):
        await until(lambda: str(tmp_path / "out") in sink.status())
    queue.store.close()
    found = await check_sinks(replace(Config(), file=to_files(tmp_path)))
    assert isinstance(found["file"], SinkError)


async def test_the_check_tells_and_changes_nothing(tmp_path: Path) -> None:
    config = replace(Config(), file=to_files(tmp_path, candles=True))
    found = await check_sinks(config)
    assert isinstance(found["file"], list)
    assert found["file"][0] == f"folder: {tmp_path / 'out'}, would be created"
    assert found["file"][2:] == ["data: 0 files, 0.0 MB", "candles: 0 files, 0.0 MB"]
    assert not (tmp_path / "out").exists()


async def test_the_engine_writes_messages_and_candles(tmp_path: Path) -> None:
    market = synthetic_market(["BTCUSDT"], as_of_ms=NOON)
    async with Exchange(market, clock_for(market, start_ms=NOON, rate=240.0)) as exchange:
        config = replace(configured(exchange, ["BTCUSDT"]), file=to_files(tmp_path, candles=True))
        store = await asyncio.to_thread(Store, tmp_path / "store", exchange="a simulated exchange")
        engine = configured_engine(config, store, configured_sinks(config, store))
        running = asyncio.create_task(engine.run())
        await until(lambda: engine.journal.counters["file_candles_messages"] >= 30, 60)
        engine.request_stop()
        await asyncio.wait_for(running, 30)
        made = engine.journal.counters["messages"]
    messages = [json.loads(line) for line in written(tmp_path / "out")]
    bars = [json.loads(line) for line in written(tmp_path / "out", "candles")]
    assert len(messages) == made
    schema = json.loads((SCHEMAS / "candle.schema.json").read_text())
    for bar in bars:
        jsonschema.validate(bar, schema)
        assert "minutes" in bar
    minutes = [bar for bar in bars if bar["timeframe"] == "1m"]
    assert [bar["close_time"] for bar in minutes] == [one["timestamp"] for one in messages]
    fives = [bar for bar in bars if bar["timeframe"] == "5m"]
    assert fives
    for five in fives[1:]:
        inside = [m for m in minutes if five["open_time"] <= m["open_time"] < five["close_time"]]
        assert len(inside) == five["minutes"] == 5
        assert (five["open"], five["close"]) == (inside[0]["open"], inside[-1]["close"])
        assert five["high"] == max(m["high"] for m in inside)
        assert five["volume"] == pytest.approx(sum(m["volume"] for m in inside), rel=1e-12)
    # A bar is published with the minute that completes it, before the next minute.
    order = [(bar["close_time"], bar["open_time"]) for bar in bars]
    assert [close for close, _ in order] == sorted(close for close, _ in order)
