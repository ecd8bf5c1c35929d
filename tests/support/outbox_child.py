"""Another process that writes into an outbox and takes from it; run by test_outbox.py with a directory."""

from __future__ import annotations

import random
import sys
from pathlib import Path

from store_child import SYMBOLS, candle_of, say
from stores import minute

from tui_feeder.engine.core.candle import Source
from tui_feeder.engine.storage.store import Store


def main() -> None:
    """Every minute that is committed is told as ``made``, every acknowledgement, before it is asked for,
    as ``taken``.
    """
    store = Store(Path(sys.argv[1]), exchange="a test", map_size=1 << 16)
    outbox = store.open_outbox(["kafka"], 512)
    draw = random.Random(int(sys.argv[2]))
    say("ready")
    while True:
        waiting = []
        for symbol in SYMBOLS:
            made = store.watermark(symbol)
            n = 0 if made is None else (made - minute(0)) // 60_000 + 1
            payload = f"{symbol} {n}".encode() * draw.randrange(1, 200)
            candle = candle_of(minute(n), Source.STREAM)
            waiting.append((symbol, n, store.append(symbol, candle, Source.STREAM, payload=payload)))
        for symbol, n, future in waiting:
            future.result()
            say("made", symbol, n)
        if draw.random() < 0.3:
            for one in outbox.read_after(outbox.cursors["kafka"], 20_000):
                say("taken", one.symbol, (one.timestamp + 1 - minute(0)) // 60_000 - 1)
                outbox.acknowledge("kafka", one.number)


if __name__ == "__main__":
    main()
