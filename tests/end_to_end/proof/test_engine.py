"""A running engine signs its days: live minutes once their archive is there, corrections, wrong keys."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from feed import NOON, configured, exchange_at, feeding, until
from msgspec.structs import replace
from virtual_time import in_virtual_time

from tui_feeder.config import Config, Proof
from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS, Source
from tui_feeder.engine.core.coverage import span
from tui_feeder.engine.proof.folder import ProofFolder
from tui_feeder.engine.proof.signing import KeyFileError, make_key
from tui_feeder.simulator.exchange import Exchange

SYMBOLS = ["BTCUSDT", "币安人生USDT"]
TODAY = NOON - NOON % DAY_MS
LATE = TODAY + DAY_MS - 8 * MINUTE_MS
MORNING = TODAY + DAY_MS + 530 * MINUTE_MS  # 08:50, after the archive's files


def signing(exchange: Exchange, tmp_path: Path) -> Config:
    key = tmp_path / "key"
    if not key.exists():
        make_key(key)
    proof = Proof(enabled=True, folder=tmp_path / "proof", key_file=key)
    return replace(configured(exchange, SYMBOLS), proof=proof)


@in_virtual_time
async def test_live_minutes_are_signed_once_their_archive_is_compared(tmp_path: Path) -> None:
    folder = ProofFolder(tmp_path / "proof")
    async with exchange_at(LATE, SYMBOLS) as exchange:
        config = signing(exchange, tmp_path)
        async with feeding(config, tmp_path / "store") as (engine, sink):
            await until(lambda: engine.clock.now() > TODAY + DAY_MS + 3 * MINUTE_MS)
            # Its file is not there yet; those of the days before are.
            await until(lambda: len(folder.heads()) >= 2, 120)
            assert "2026-03-10" not in {head.day for head in folder.heads()}
            live = [len(sink.minutes(symbol)) for symbol in SYMBOLS]
    assert min(live) > 5

    async with exchange_at(MORNING, SYMBOLS, 1.0) as exchange:
        config = signing(exchange, tmp_path)
        async with feeding(config, tmp_path / "store") as (engine, _):
            await until(lambda: folder.heads()[-1].day == "2026-03-10", 120)
            head = folder.heads()[-1]
            leaves = head.leaves()
            assert [leaf.name for leaf in leaves] == ["usdm/BTCUSDT", "usdm/币安人生USDT"]
            for leaf in leaves:
                sources = json.loads(leaf.raw)["sources"]
                assert sources["archive"]["path"].endswith("-1m-2026-03-10.zip")
                assert sources["archive"]["checksum"].startswith(sources["archive"]["sha256"] + "  ")
                assert sources["archive"]["etag"]
                assert sources["archive"]["last_modified"] == "Wed, 11 Mar 2026 08:35:00 GMT"
            signed = "2026-03-10 signed: 2 symbols"
            await until(lambda: any(signed in event.text for event in engine.journal.events))

            # A minute of a signed day is shown to have been another.
            at = TODAY + 77 * MINUTE_MS
            rows = engine.store.read("BTCUSDT", at, at + MINUTE_MS).copy()
            rows["trades"] += 1
            minute = span(at, at + MINUTE_MS)
            engine.store.put("BTCUSDT", rows, Source.REST, reject_archives=minute).result()
            await until(lambda: len(folder.heads()) > head.number, 120)
            correction = folder.heads()[-1]
            _, fields = correction.read()
            assert fields["day"] == "2026-03-10"
            assert fields["replaces"] == [
                {
                    "leaf": leaves[0].hash,
                    "name": "usdm/BTCUSDT",
                    "reason": "stored values were replaced: minute 01:17, field trades",
                }
            ]
            await until(lambda: engine.journal.counters["leaves_signed"] >= 3)
            assert engine.supervisor.states["proof"] == "running"


@in_virtual_time
async def test_a_key_that_does_not_fit_ends_the_start(tmp_path: Path) -> None:
    async with exchange_at(NOON, SYMBOLS) as exchange:
        config = signing(exchange, tmp_path)
        other = replace(config.proof, key_file=tmp_path / "absent")
        with pytest.raises(KeyFileError, match="cannot be read"):
            async with feeding(replace(config, proof=other), tmp_path / "store") as (engine, _):
                await until(lambda: engine.state == "failed")
