"""Digests of a day for the screens: from the folders of signed days and of partitions, or none."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace
from proof_from_document import leaf_of

from tui_feeder.config import Config
from tui_feeder.configuration.sections import Parquet, Proof
from tui_feeder.engine.day_digests import digests_of
from tui_feeder.engine.partitions.writer import Manifest, Partition
from tui_feeder.engine.proof.folder import ProofWriter

DAY = 1_773_100_800_000  # 2026-03-10T00:00:00Z


def test_each_folder_gives_what_it_has(tmp_path: Path) -> None:
    pytest.importorskip("cryptography", reason="needs the extra proof")
    from tui_feeder.engine.proof.signing import make_key

    config = replace(
        Config(), proof=Proof(True, tmp_path / "proof"), parquet=Parquet(True, tmp_path / "partitions")
    )
    assert digests_of(config, "BTCUSDT", DAY) == {}
    partition = Partition("market=usdm/x.parquet", "cd" * 32, 5, {"present": 1_440}, 0)
    (tmp_path / "partitions/manifest").mkdir(parents=True)
    manifest = msgspec.json.encode(Manifest("2026-03-10", {"BTCUSDT": partition}))
    (tmp_path / "partitions/manifest/2026-03-10.json").write_bytes(manifest)
    leaf = leaf_of("BTCUSDT", "2026-03-10", zip_sha256="ef" * 32)
    writer = ProofWriter(tmp_path / "proof", make_key(tmp_path / "key"))
    writer.append("2026-03-10", {"usdm/BTCUSDT": leaf}, "2026-03-11T01:00:00Z")
    writer.close()
    found = digests_of(config, "BTCUSDT", DAY)
    assert list(found) == ["canonical bytes", "archive zip", "signed leaf", "partition"]
    assert (found["canonical bytes"], found["archive zip"], found["partition"]) == (
        json.loads(leaf)["canonical"],
        "ef" * 32,
        "cd" * 32,
    )
    assert digests_of(config, "ETHUSDT", DAY) == {}
    assert digests_of(Config(), "BTCUSDT", DAY) == {}
    (tmp_path / "proof/000001-2026-03-10/leaves.txt").write_bytes(b"{")
    assert list(digests_of(config, "BTCUSDT", DAY)) == ["partition"]
