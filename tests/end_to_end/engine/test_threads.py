"""Threads beside the engine: what ends or fails on one is noticed, and what several use stays whole."""

from __future__ import annotations

import contextlib
import logging
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from fake_monitor import FakeMonitor
from feed import until
from holding import BTC, ETH, exchange_of, feed_of
from msgspec.structs import replace

from tui_feeder.attach.client import AttachedMonitor
from tui_feeder.attach.server import AttachServer
from tui_feeder.config import Config
from tui_feeder.engine import snapshots
from tui_feeder.engine.core.candle import MINUTE_MS, ROW, Source
from tui_feeder.engine.core.journal import Journal
from tui_feeder.engine.derived.chart_window import Windows
from tui_feeder.engine.engine import Engine
from tui_feeder.engine.sinks import Sink
from tui_feeder.engine.storage.lock import StoreError
from tui_feeder.engine.storage.store import Store
from tui_feeder.engine.storage.store_write import Write
from tui_feeder.engine.thread import EngineThread
from tui_feeder.logs import configure_logging
from tui_feeder.monitor import Snapshot

T0 = 1_773_100_800_000
UNREACHABLE = replace(Config(), exchange=replace(Config().exchange, rest_url="http://127.0.0.1:9"))


def eventually(what: Callable[[], object], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.01)


class CannotBeMadeError(Exception):
    """What no code here expects."""


def test_an_engine_that_cannot_be_made_says_why_and_leaves_nothing_open(tmp_path: Path) -> None:
    store = Store(tmp_path / "store", exchange="x")
    ended = threading.Event()
    closed: list[float] = []

    class Watched:
        name = "watched"

        def start(self, journal: Journal) -> None:
            raise AssertionError("no engine began it")

        def publish(self, symbol: str, timestamp: int, message: bytes) -> None:
            raise AssertionError("no engine")

        def status(self) -> str:
            return "ok"

        def close(self, timeout: float) -> None:
            closed.append(timeout)

    def make(config: Config, store: Store, sinks: Sequence[Sink]) -> Engine:
        raise CannotBeMadeError("of a kind nobody foresaw")

    raised: list[Exception] = []

    def begin() -> None:
        try:
            EngineThread(Config(), store, [Watched()], on_end=ended.set, make=make)
        except CannotBeMadeError as error:
            raised.append(error)

    beginning = threading.Thread(target=begin, daemon=True)
    beginning.start()
    beginning.join(20)
    assert not beginning.is_alive(), "the start hangs"
    assert [str(error) for error in raised] == ["of a kind nobody foresaw"]
    assert ended.is_set()
    assert len(closed) == 1
    with pytest.raises(StoreError, match="closed"):
        store.symbols()
    Store(tmp_path / "store", exchange="x").close()  # its lock is free again


def test_a_snapshot_that_cannot_be_built_is_logged_shown_as_stale_and_followed_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    failing = threading.Event()
    take = snapshots.take

    def taken(engine: Engine, sequence: int) -> Snapshot:
        if failing.is_set():
            raise KeyError("a symbol that was dropped")
        return take(engine, sequence)

    monkeypatch.setattr(snapshots, "take", taken)
    thread = EngineThread(UNREACHABLE, Store(tmp_path / "store", exchange="x"), [], on_end=lambda: None)
    try:
        monitor = thread.monitor
        eventually(lambda: monitor.snapshot().sequence > 1)
        before = monitor.snapshot()
        assert before.state == "starting"
        failing.set()
        eventually(lambda: monitor.snapshot().state == "stale")
        seen = monitor.snapshot()
        eventually(lambda: monitor.snapshot().sequence > seen.sequence + 3)  # it goes on trying
        later = monitor.snapshot()
        assert later.exchange_time > before.exchange_time  # what is shown grows old visibly
        text = "snapshots failed: KeyError('a symbol that was dropped')"
        assert any(text in event.text for event in later.events)
        records = [one for one in caplog.records if "could not be built" in one.message]
        assert len(records) == 1  # once, not ten times a second
        assert records[0].exc_info
        failing.clear()
        eventually(lambda: monitor.snapshot().state == "starting")
        assert monitor.snapshot().counters["snapshots_failed"] >= 3
        assert thread.running
    finally:
        thread.request_stop()
        assert thread.join(20)


@pytest.fixture
def _switching() -> Iterator[None]:
    """Threads take turns so often that what they share must really be guarded."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("_switching")
def test_chart_windows_are_shared_by_threads(tmp_path: Path) -> None:
    rows = np.zeros(60, dtype=ROW)
    rows["open_time"] = T0 + np.arange(60) * MINUTE_MS
    for name in ("open", "high", "low", "close"):
        rows[name] = 100.0
    rows["volume"], rows["quote_volume"], rows["trades"] = 10.0, 1_000.0, 5
    symbols = [f"S{number}" for number in range(12)]
    with contextlib.closing(Store(tmp_path / "store", exchange="x")) as store:
        for symbol in symbols:
            store.put(symbol, rows, Source.REST).result()
        windows, end = Windows(store, (21,)), T0 + 60 * MINUTE_MS
        read = windows._read(symbols[0], 60, T0, end)  # all are alike: what is shared is met far more often
        windows._read = lambda *_: read
        wrong: Counter[str] = Counter()

        def look(first: int) -> None:
            for step in range(20_000):
                symbol = symbols[(first + 5 * step) % len(symbols)]
                try:
                    bars, lines = windows.bars(symbol, 60, 20, end, end)
                    if not np.array_equal(bars, rows[-20:]) or len(lines[0]) != 20:
                        wrong["other bars"] += 1
                except Exception as error:
                    wrong[repr(error)] += 1

        threads = [threading.Thread(target=look, args=(first,)) for first in range(4)]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
        assert not wrong


@pytest.mark.usefixtures("_switching")
def test_a_journal_is_written_and_read_by_many_threads() -> None:
    journal = Journal(lambda: T0)
    logging.getLogger("tui_feeder.engine").setLevel(logging.CRITICAL)
    broken: list[Exception] = []

    def write() -> None:
        try:
            for _ in range(2_000):
                journal.count("counted")
                journal.fault("a fault", "text")
                journal.note("info", "a line")
        except Exception as error:
            broken.append(error)

    def read() -> None:
        try:
            while any(one.is_alive() for one in writers):
                assert all(event.at == T0 for event in journal.recent())
                journal.counted()
        except Exception as error:
            broken.append(error)

    writers = [threading.Thread(target=write) for _ in range(4)]
    reader = threading.Thread(target=read)
    try:
        for one in (*writers, reader):
            one.start()
        for one in (*writers, reader):
            one.join()
    finally:
        logging.getLogger("tui_feeder.engine").setLevel(logging.NOTSET)
    assert not broken
    assert journal.counted() == {"counted": 8_000, "a fault": 8_000}
    assert len([event for event in journal.recent() if "a fault" in event.text]) <= 1  # said once a minute


def test_an_outbox_is_opened_while_a_write_fails(tmp_path: Path) -> None:
    """The writer aborts once no reader is inside; opening a database must not wait for it in there."""
    store = Store(tmp_path / "store", exchange="x")
    inside, continue_with = threading.Event(), threading.Event()

    def failing(write: Write) -> None:
        inside.set()
        assert continue_with.wait(20)
        raise ValueError("a job that fails")

    try:
        job = store._submit(failing)
        assert inside.wait(20)
        opening = threading.Thread(target=lambda: store.open_outbox(["kafka"], 8), daemon=True)
        opening.start()
        deadline = time.monotonic() + 1.0
        while opening.is_alive() and time.monotonic() < deadline:  # it is under way now, wherever it waits
            time.sleep(0.01)
        continue_with.set()
        with pytest.raises(ValueError, match="a job that fails"):
            job.result(20)
        opening.join(20)
        assert not opening.is_alive()
        assert store.send("data", "BTCUSDT", T0, b"{}").result(20)
        assert [one.payload for one in store.outboxes["data"].read_after(0, 100)] == [b"{}"]
    finally:
        if not opening.is_alive():
            store.close()


def test_a_thread_that_ends_by_an_exception_is_in_the_log_and_not_on_the_terminal(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    root = logging.getLogger()
    handlers, level, hook = root.handlers[:], root.level, threading.excepthook
    try:
        configure_logging(Config(), tmp_path / "feeder.log")

        def fail() -> None:
            raise CannotBeMadeError("on a thread")

        thread = threading.Thread(target=fail, name="a part")
        thread.start()
        thread.join()
    finally:
        threading.excepthook = hook
        for handler in root.handlers:
            handler.close()
        root.handlers[:] = handlers
        root.setLevel(level)
    text = (tmp_path / "feeder.log").read_text()
    assert "the thread a part failed" in text
    assert "CannotBeMadeError: on a thread" in text
    assert capfd.readouterr().err == ""


class Odd:
    """What a monitor must not give: a client can't read it."""

    def tobytes(self) -> bytes:
        return b"no bars"


def odd_bars(symbol: str, timeframe: int, count: int, end: int | None = None) -> Odd:
    if symbol == "RAISES":
        raise ValueError("a damaged block")
    return Odd()


def test_an_answer_that_cannot_be_read_is_one_answer_less_and_the_screen_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    monitor = FakeMonitor(20)
    monitor.bars = odd_bars
    with (
        contextlib.closing(AttachServer(monitor, tmp_path / "feeder.sock", "a feeder")),
        contextlib.closing(AttachedMonitor(tmp_path / "feeder.sock")) as attached,
    ):
        for symbol in (monitor.snapshot().symbols[0].symbol, "RAISES"):
            attached.bars(symbol, 300, 100)
        wanted = ("an answer to bars could not be read", "a question of a client could not be answered: bars")
        eventually(lambda: {one.message for one in caplog.records} >= set(wanted))
        at = attached.snapshot().sequence
        eventually(lambda: attached.snapshot().sequence > at)
        assert attached.snapshot().state == monitor.snapshot().state
        assert len(attached.bars(monitor.snapshot().symbols[0].symbol, 300, 100)) == 0


async def test_a_socket_whose_subscriptions_fail_is_begun_again(tmp_path: Path) -> None:
    async with exchange_of([BTC, ETH]) as exchange, feed_of(exchange, tmp_path) as feed:
        await feed.minutes(1)
        (socket,) = feed.engine.streams.sockets
        before = socket.reconnects
        socket._orders.put_nowait(("SUBSCRIBE", [7]))
        await until(lambda: socket.reconnects > before and socket.state == "live")
        await feed.minutes(1)
        await feed.holds()


def test_what_waits_is_looked_at_while_a_write_fails(tmp_path: Path) -> None:
    store = Store(tmp_path / "store", exchange="x")
    store.open_outbox(["kafka"], 8)
    assert store.send("data", "BTCUSDT", T0, b"{}").result(20)
    inside, continue_with = threading.Event(), threading.Event()

    def failing(write: Write) -> None:
        inside.set()
        assert continue_with.wait(20)
        raise ValueError("a job that fails")

    job = store._submit(failing)
    assert inside.wait(20)
    found: list[str] = []
    looking = threading.Thread(
        target=lambda: found.extend(one.topic for one in store.backlogs()), daemon=True
    )
    looking.start()
    looking.join(20)  # it needs nothing of the writer's
    assert not looking.is_alive()
    continue_with.set()
    with pytest.raises(ValueError, match="a job that fails"):
        job.result(20)
    assert found == ["data"]
    store.close()
