"""Signing begins nothing while others have to compute in time."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from samples import MIDNIGHT, walk

from tui_feeder.engine.core.candle import DAY_MS, Source
from tui_feeder.engine.exchanges.binance.usdm import USDM
from tui_feeder.engine.proof.day_signer import DaySigner
from tui_feeder.engine.proof.folder import ProofWriter
from tui_feeder.engine.proof.signing import make_key
from tui_feeder.engine.storage.store import Store

RUSH_SECONDS = 0.4


async def compared(_symbol: str, _day: int) -> None:
    """There is no archive file; so late a day is signed without."""


async def test_nothing_is_begun_while_others_are_busy(tmp_path: Path) -> None:
    symbols = [f"C{number}USDT" for number in range(3)]
    store, over = Store(tmp_path / "store", exchange="a test"), list[float]()
    writer = ProofWriter(tmp_path / "proof", make_key(tmp_path / "key"))
    for symbol in symbols:
        store.put(symbol, walk(1_440), Source.REST).result()
    began = time.monotonic()
    with ThreadPoolExecutor(1) as workers:
        signer = DaySigner(
            store, lambda _: USDM.facts, lambda: MIDNIGHT + 9 * DAY_MS, writer, workers, compared,
            concurrency=1, busy=lambda: began + RUSH_SECONDS - time.monotonic(),
            on_symbol=lambda: over.append(time.monotonic() - began),
        )  # fmt: skip
        await signer.sign(MIDNIGHT, symbols, together=False)
    writer.close()
    store.close()
    assert len(over) == len(symbols)
    assert min(over) >= RUSH_SECONDS
