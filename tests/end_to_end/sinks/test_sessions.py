"""Sessions of a sink that hang: shown, cancelled, and left alone where they do not end."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from feed import until
from sinking import Queue, at_work

from tui_feeder.config import File
from tui_feeder.engine.sinks import lines, thread
from tui_feeder.engine.sinks.file import FileSink
from tui_feeder.engine.sinks.lines import LinesSink
from tui_feeder.engine.sinks.thread import SessionSink


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thread, "TICK", 0.02)
    monkeypatch.setattr(thread, "STALLED_SECONDS", 0.1)
    monkeypatch.setattr(thread, "_END_SECONDS", 0.2)


class Hanging(SessionSink):
    """Its first sessions hang: in an await, or with their whole loop."""

    name = "hanging"

    def __init__(self, first: int, *, with_loop: bool = False, patience: float = 0.4) -> None:
        super().__init__()
        self.replace_after_seconds = patience
        self.begun = self.cancelled = 0
        self.release = threading.Event()
        self.outlived = 0  # steps that an abandoned session could still take
        self._first = first
        self._with_loop = with_loop

    async def session(self) -> None:
        self.begun += 1
        hangs = self.begun <= self._first
        self.connected("there")
        if hangs:
            try:
                if self._with_loop:
                    self.release.wait()
                else:
                    await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.cancelled += 1
                raise
            self.progress()
            self.outlived += 1
        while not self.over(idle=True):
            self.progress()
            await self.woken(0.02)


@contextmanager
def released(sink: Hanging) -> Iterator[None]:
    try:
        yield
    finally:
        sink.release.set()


async def test_a_session_that_does_nothing_is_stalled_and_not_ok() -> None:
    sink = Hanging(1, patience=1e9)
    async with at_work(sink):
        await until(lambda: sink.status().startswith("stalled: nothing done for"))


async def test_a_session_that_hangs_is_cancelled_and_another_begun() -> None:
    sink = Hanging(1)
    async with at_work(sink) as journal:
        await until(lambda: sink.begun == 2 and sink.status() == "ok")
        assert sink.cancelled == 1
        await until(lambda: journal.counters["hanging_failures"] == 1)
        told = [event.text for event in journal.events if event.level == "error"]
        assert len(told) == 1
        assert "stalled: nothing done for" in told[0]
        assert "a new session is begun" in told[0]


async def test_a_session_that_does_not_end_is_left_alone_and_can_do_nothing_more() -> None:
    sink = Hanging(1, with_loop=True)
    with released(sink):
        async with at_work(sink) as journal:
            await until(lambda: sink.begun == 2 and sink.status() == "ok")
            assert any("the session does not end" in event.text for event in journal.events)
            (old,) = sink._hanging
            sink.release.set()
            await until(old.ended.is_set)
            assert sink.outlived == 0
            assert sink.status() == "ok"


async def test_sessions_that_hang_are_bounded_and_it_goes_on_when_one_ends() -> None:
    sink = Hanging(3, with_loop=True)
    with released(sink):
        async with at_work(sink):
            await until(lambda: sink.status() == "stalled: 3 sessions hang: start the feeder again")
            assert sink.begun == 3
            sink.release.set()
            await until(lambda: sink.begun == 4 and sink.status() == "ok")


async def test_a_disk_that_does_not_answer_is_stalled_and_gets_no_second_writer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = Queue(tmp_path / "store", "file")
    sink = FileSink(File(enabled=True, path=tmp_path / "out"), queue.outbox)
    answers = threading.Event()
    synced = []

    def sync(descriptor: int) -> None:
        answers.wait()
        synced.append(descriptor)

    monkeypatch.setattr("os.fdatasync", sync)
    async with at_work(sink):
        try:
            await queue.fill(3)
            await until(lambda: sink.status().startswith("stalled: nothing done for"))
            assert "3 messages wait" in sink.status()
        finally:
            answers.set()
        await until(lambda: sink.status() == "ok" and queue.depth("file") == 0)
    assert len(synced) == 1
    queue.store.close()


async def test_a_reader_that_does_not_read_is_stalled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "STALLED_SECONDS", 0.1)
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb", buffering=0) as reader, os.fdopen(writing, "wb") as stream:
        sink = LinesSink(stream, on_broken=lambda: None)
        async with at_work(sink):
            assert sink.status() == "ok"
            for _ in range(3):
                sink.publish("BTCUSDT", 0, b"x" * (1 << 20))  # more than a pipe holds
            await until(lambda: sink.status().startswith("stalled: the reader has taken nothing for"))

            def read_all() -> None:
                left = 3 * ((1 << 20) + 1)
                while left:
                    left -= len(reader.read(left))

            await asyncio.to_thread(read_all)
            await until(lambda: sink.status() == "ok")
