"""Another process that uses a store; run by test_store.py with a command and a directory."""

from __future__ import annotations

import os
import random
import resource
import sys
import time
from pathlib import Path

import numpy as np

from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS, ROW, Candle, Rows, Source
from tui_feeder.engine.core.coverage import span
from tui_feeder.engine.storage.store import Store, StoreError

FIRST = 20_000 * DAY_MS
SYMBOLS = ("ADAUSDT", "BTCUSDT", "币安人生USDT")


def candle_of(open_time: int, source: Source) -> Candle:
    """The one candle that a minute and a source can have: a torn row would show."""
    n = open_time // MINUTE_MS
    price = 100 + n % 977 / 100 + source / 10_000
    return Candle(open_time, price, price + 1, price - 1, price, 2.0, 2 * price, n % 31 + 1, 1.0, price)


def rows_of(start: int, end: int, source: Source) -> Rows:
    candles = [candle_of(at, source).as_tuple() for at in range(start, end, MINUTE_MS)]
    return np.array(candles, dtype=ROW)


def say(*words: object) -> None:
    """One line to the parent in one write: it is there whole, or not at all."""
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


def write_for_ever(path: Path, seed: int) -> None:
    """Append and put at random; every acknowledged write is told to the parent."""
    draw = random.Random(seed)
    store = Store(path, exchange="a test", map_size=1 << 16)
    say("ready")
    while True:
        waiting = []
        for symbol in draw.sample(SYMBOLS, 2):
            present = store.present(symbol)
            end = present.end if present else FIRST
            if draw.random() < 0.6:
                at = end + draw.choice((0, 0, 0, 0, 1, 400)) * MINUTE_MS
                source = draw.choice((Source.STREAM, Source.REST))
                waiting.append(
                    (symbol, at, at + MINUTE_MS, source, store.append(symbol, candle_of(at, source), source))
                )
            else:
                start = max(FIRST, end + draw.randrange(-3_000, 200) * MINUTE_MS)
                stop = start + draw.randrange(1, 2_000) * MINUTE_MS
                asked = span(start, stop + MINUTE_MS)  # one minute more than the source has
                source = draw.choice((Source.REST, Source.ARCHIVE_DAY, Source.ARCHIVE_MONTH))
                future = store.put(symbol, rows_of(start, stop, source), source, certify=asked)
                waiting.append((symbol, start, stop, source, future))
        for symbol, start, stop, source, future in waiting:
            future.result()
            say(symbol, start, stop, int(source))


def fill_the_disk(path: Path) -> None:
    """Write with a bound on the size of files, then without: nothing may be lost, nothing may fail."""
    store = Store(path, exchange="a test")
    store.put("BTCUSDT", rows_of(FIRST, FIRST + DAY_MS, Source.REST), Source.REST).result()
    most = (path / "data.mdb").stat().st_size
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, hard))
    futures = [
        store.put("BTCUSDT", rows_of(FIRST + n * DAY_MS, FIRST + (n + 1) * DAY_MS, Source.REST), Source.REST)
        for n in range(1, 9)
    ]
    while store.pausing is None and not all(future.done() for future in futures):
        time.sleep(0.01)
    say("pausing", store.pausing)
    say("stored meanwhile", store.present("BTCUSDT").minutes, len(store.read("BTCUSDT", 0, 1 << 62)))
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    added = sum(future.result(timeout=60).added for future in futures)
    say("added", added, store.pausing)
    resource.setrlimit(resource.RLIMIT_FSIZE, ((path / "data.mdb").stat().st_size, hard))
    more = store.put("ETHUSDT", rows_of(FIRST, FIRST + 9 * DAY_MS, Source.REST), Source.REST)
    while store.pausing is None and not more.done():
        time.sleep(0.01)
    store.close()
    say("closed on a full disk", type(more.exception()).__name__, more.exception())


def hold(path: Path) -> None:
    """Hold the store until the parent closes our input; write a day and grow the map on the way."""
    store = Store(path, exchange="a test", map_size=1 << 17)
    say("ready", os.getpid())
    for number, _ in enumerate(sys.stdin):
        start = FIRST + number * 10 * DAY_MS
        store.put("BTCUSDT", rows_of(start, start + 10 * DAY_MS, Source.REST), Source.REST).result()
        say("written", number)
    store.close()


def main() -> None:
    """``store_child.py write|disk|hold DIRECTORY [SEED]``."""
    command, path = sys.argv[1], Path(sys.argv[2])
    try:
        if command == "write":
            write_for_ever(path, int(sys.argv[3]))
        elif command == "disk":
            fill_the_disk(path)
        else:
            hold(path)
    except StoreError as error:
        say("refused", error)


if __name__ == "__main__":
    main()
