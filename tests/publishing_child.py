"""A feeder's outbox and Kafka sink in a process that can be killed; run with a directory and the servers."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import replace
from pathlib import Path

from sinking import Queue
from store_child import say
from stores import minute

from tui_feeder.config import Kafka
from tui_feeder.engine.candle import MINUTE_MS
from tui_feeder.engine.journal import Journal
from tui_feeder.engine.sinks.kafka import KafkaSink


async def main(path: Path, servers: str, symbols: int) -> None:
    """Publish minute after minute for ever; every committed message is told."""
    queue = Queue(path)
    marks = [queue.store.watermark(f"S{n}USDT") for n in range(symbols)]
    done = min(0 if at is None else (at - minute(0)) // MINUTE_MS + 1 for at in marks)
    sink = KafkaSink(replace(Kafka(), bootstrap_servers=(servers,)), queue.outbox)
    sink.start(Journal(lambda: 0))
    queue.made = [("", 0, 0)] * (done * symbols)
    say("ready")
    while True:
        before = len(queue.made)
        await queue.fill(symbols, symbols)
        for symbol, timestamp, _ in queue.made[before:]:
            say("made", symbol, timestamp)
        sink.publish("", 0, b"")
        await asyncio.sleep(0.005)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
