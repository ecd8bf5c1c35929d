"""Days, minutes, incidents and signed days over HTTP: what the API gives is what the store knows."""

from __future__ import annotations

from pathlib import Path

import pytest
from feed import NOON, configured, until
from msgspec.structs import replace
from proof_from_document import leaf_of
from serving import SYMBOLS, exchange_at, serving

from tui_feeder.configuration.sections import Proof
from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS, Source
from tui_feeder.engine.core.coverage import span
from tui_feeder.engine.proof.folder import ProofFolder, ProofWriter

BTC = "BTCUSDT"
TODAY = NOON // DAY_MS * DAY_MS


async def test_days_incidents_and_a_minute_are_those_of_the_store(tmp_path: Path) -> None:
    async with exchange_at(NOON) as exchange, serving(configured(exchange, SYMBOLS), tmp_path) as feeder:
        await feeder.until_ready(True)
        store = feeder.engine.engine.store
        await until(lambda: store.present(BTC).end >= NOON)
        at = TODAY + 60 * MINUTE_MS
        wrong = store.read(BTC, at, at + MINUTE_MS).copy()
        before = int(wrong["trades"][0])
        wrong["trades"] += 7
        store.put(BTC, wrong, Source.ARCHIVE_MONTH, certify=span(at, at + MINUTE_MS)).result()
        days = await feeder.get(f"/api/v1/coverage?symbol={BTC}&start={TODAY - 2 * DAY_MS}&end={TODAY}")
        assert [(day["date"], day["present"], day["state"]) for day in days["days"]] == [
            ("2026-03-08", 1440, "certified"), ("2026-03-09", 1440, "certified"),
        ]  # fmt: skip
        assert (days["total"], days["next_offset"]) == (2, None)
        totals = await feeder.get(f"/api/v1/coverage?start={TODAY - 2 * DAY_MS}&end={TODAY}&limit=1")
        assert [(one["symbol"], one["present"]) for one in totals["symbols"]] == [(BTC, 2880)]
        assert totals["next_offset"] == 1
        minute = await feeder.get(f"/api/v1/minute?symbol={BTC}&time={at + 5_000}")
        assert (minute["open_time"], minute["state"], minute["certified"]) == (at, "present", True)
        assert [value["trades"] for value in minute["values"]] == [before, before + 7]
        assert minute["values"][0]["until"] is not None
        assert (minute["values"][1]["source"], minute["values"][1]["until"]) == ("archive_month", None)
        found = await feeder.get(f"/api/v1/incidents?symbol={BTC}&start={TODAY}")
        assert {"correction"} <= {one["kind"] for one in found["incidents"]}
        assert any(one["start"] <= at < one["end"] for one in found["incidents"])
        every = await feeder.get("/api/v1/incidents?limit=1")
        assert every["total"] >= 1


REFUSED = [
    ("coverage?symbol=NOPE", 404), ("coverage?start=5&end=4", 400), ("coverage?start=0&end=90000000000", 400),
    ("minute?symbol=BTCUSDT", 400), ("minute?symbol=BTCUSDT&time=noon", 400), ("minute?time=5", 400),
    ("incidents?kind=gap", 400), ("proof?symbol=BTCUSDT", 400), ("proof?day=2026-03-09", 404),
    ("proof?day=../../etc&symbol=BTCUSDT", 404),
]  # fmt: skip


async def test_what_makes_no_sense_is_refused_and_signed_days_are_those_of_the_folder(tmp_path: Path) -> None:
    async with exchange_at(NOON) as exchange:
        proof = replace(Proof(), folder=tmp_path / "signed")
        config = replace(configured(exchange, [BTC]), proof=proof)
        async with serving(config, tmp_path / "store") as feeder:
            await feeder.until_ready(True)
            for question, status in REFUSED:
                await feeder.get(f"/api/v1/{question}", status)
            assert (await feeder.get("/api/v1/proof"))["heads"] == []
            signing = pytest.importorskip("tui_feeder.engine.proof.signing")
            pytest.importorskip("cryptography", reason="needs the extra proof")
            writer = ProofWriter(proof.folder, signing.make_key(tmp_path / "key"))
            leaf = leaf_of(BTC, "2026-03-09")
            writer.append("2026-03-09", {"usdm/BTCUSDT": leaf}, "2026-03-10T01:00:00Z")
            writer.close()
            (head,) = (await feeder.get("/api/v1/proof"))["heads"]
            assert head["day"] == "2026-03-09"
            (shown,) = (await feeder.get("/api/v1/proof?day=2026-03-09"))["leaves"]
            assert shown["counts"] == {"m": 1_440}
            alone = await feeder.get(f"/api/v1/proof?day=2026-03-09&symbol={BTC}")
            assert alone == ProofFolder(proof.folder).leaf_file("2026-03-09", "usdm/BTCUSDT")
            assert alone["leaf"] == leaf.decode()
