"""What a probe concludes from frames, by the captures of the testnets."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import cast

import pytest
from places import SHARED_DATA

from tui_feeder.engine.exchanges.binance.market_type import Market
from tui_feeder.engine.exchanges.binance.probes import Prober
from tui_feeder.engine.exchanges.binance.rest_client import RestClient
from tui_feeder.engine.exchanges.binance.spot import SPOT
from tui_feeder.engine.exchanges.binance.usdm import USDM

TESTNET = SHARED_DATA / "captures/testnet-2026-08"


class Replayed(Prober):
    """A prober that is sent the lines of a capture."""

    lines: Sequence[bytes] = ()

    async def _messages(self, path: str, streams: Sequence[str]) -> AsyncIterator[bytes]:
        for line in self.lines:
            yield line


@pytest.mark.skipif(not TESTNET.is_dir(), reason="the captures are not in ../shared/data")
@pytest.mark.parametrize(
    ("market", "folder", "frames"),
    [(USDM, "binance-futures-testnet", 132), (SPOT, "binance-spot-testnet", 34)],
)
async def test_the_seams_of_captured_minutes_are_counted(market: Market, folder: str, frames: int) -> None:
    prober = Replayed(market, cast("RestClient", None), "wss://nowhere", None, lambda *_: None, 1.0)
    prober.lines = (TESTNET / folder / "btcusdt.jsonl").read_bytes().splitlines()
    probe = await prober._neighbours("BTCUSDT")
    assert probe.answer == (
        f"1 of 1 seams joined, n = L - f + 1 in 2 of 2 minutes, {frames} frames of BTCUSDT"
    )
    # Without the last frames of the first minute its end is not known, and the seam neither.
    prober.lines = [line for line in prober.lines if b'"x":true' not in line.replace(b" ", b"")]
    assert "0 of 0 seams joined" in (await prober._neighbours("BTCUSDT")).answer
