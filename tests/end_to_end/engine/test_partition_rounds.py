"""When days and months are written as Parquet files while a feeder runs."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest
from holding import BTC
from samples import walk

from tui_feeder.engine.core.archive_file import FileKind
from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS, Source
from tui_feeder.engine.core.journal import Journal
from tui_feeder.engine.partitions import writer as partition_writer
from tui_feeder.engine.partitions.writer import PartitionWriter
from tui_feeder.engine.storage.store import Store

pytest.importorskip("pyarrow", reason="needs the extra parquet")

DAY = 1_773_100_800_000  # 2026-03-10T00:00:00Z
ROUND_SECONDS = 60.0  # between two looks at what is over


def test_what_is_over_is_written_a_day_and_a_month_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    april = DAY + 22 * DAY_MS
    store = Store(tmp_path / "store", exchange="test")
    store.put(BTC, walk(2 * 1_440, start=DAY), Source.ARCHIVE_DAY).result()

    async def written(kind: FileKind, now: int) -> list[str]:
        clock, folder, round_over = (
            SimpleNamespace(now=lambda: now),
            tmp_path / f"{kind.name}-{now}",
            asyncio.Event(),
        )

        def heartbeat(waits: float = 0.0, works: float = 0.0) -> None:
            if waits == ROUND_SECONDS:
                round_over.set()

        monkeypatch.setattr(partition_writer, "heartbeat", heartbeat)
        with ThreadPoolExecutor(1) as workers:
            writer = PartitionWriter(folder, store, clock, Journal(clock.now), workers, lambda: [BTC], kind)
            running = asyncio.create_task(writer.run())
            async with asyncio.timeout(20):
                await round_over.wait()
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
        return sorted(path.name for path in folder.glob("market=*/*/*/*"))

    # Whole days an hour after their end, and a month that lacks its beginning a week after its own.
    assert asyncio.run(written(FileKind.DAY, DAY + DAY_MS + 60 * MINUTE_MS - 1)) == []
    assert asyncio.run(written(FileKind.DAY, DAY + DAY_MS + 60 * MINUTE_MS)) == ["date=2026-03-10.parquet"]
    assert asyncio.run(written(FileKind.MONTH, april + 7 * DAY_MS - 1)) == []
    assert asyncio.run(written(FileKind.MONTH, april + 7 * DAY_MS)) == ["month=2026-03.parquet"]
    assert asyncio.run(written(FileKind.MONTH, april + 70 * DAY_MS)) == []
    store.close()
