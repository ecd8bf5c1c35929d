"""A feeder's outbox and one sink in a process that can be killed; run with a directory, where to, symbols.

Where to: a folder for files, which rotate at 1 MB, or the servers of a Kafka.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from msgspec.structs import replace
from sinking import Queue
from store_child import say
from stores import minute

from tui_feeder.config import File, Kafka
from tui_feeder.engine.core.candle import MINUTE_MS
from tui_feeder.engine.core.journal import Journal
from tui_feeder.engine.sinks import Sink


def sink_to(where: str, queue: Queue) -> Sink:
    if where.startswith("/"):
        from tui_feeder.engine.sinks.file import FileSink

        return FileSink(replace(File(), path=Path(where), rotate_mb=1), queue.outbox)
    from tui_feeder.engine.sinks.kafka import KafkaSink

    return KafkaSink(replace(Kafka(), bootstrap_servers=(where,)), queue.outbox)


async def main(path: Path, where: str, symbols: int) -> None:
    """Publish minute after minute for ever; every committed message is told."""
    queue = Queue(path, "file" if where.startswith("/") else "kafka")
    marks = [queue.store.watermark(f"S{n}USDT") for n in range(symbols)]
    done = min(0 if at is None else (at - minute(0)) // MINUTE_MS + 1 for at in marks)
    sink = sink_to(where, queue)
    sink.start(Journal(lambda: 0))
    queue.made = [("", 0, 0)] * (done * symbols)
    say("ready")
    while True:
        before = len(queue.made)
        await queue.fill(symbols, symbols)
        for symbol, timestamp, _ in queue.made[before:]:
            say("made", symbol, timestamp)
        await asyncio.sleep(0.005)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
