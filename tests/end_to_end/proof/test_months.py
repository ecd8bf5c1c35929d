"""Months of real candles, signed from the simulator's archive, against an independent implementation."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import examples
import proof_reference
import pytest
from examples import some_of
from signed_days import AVAX, FIL, sign_days

from tui_feeder import verify_proof

#: Symbols and days. FILUSDT has an outage in October; beside others the simulator shows it later.
MONTHS = {
    "October of FILUSDT": ((FIL,), "2024-10-01", "2024-11-01"),
    "September of FILUSDT": ((FIL,), "2024-09-01", "2024-10-01"),
    "November of FILUSDT": ((FIL,), "2024-11-01", "2024-12-01"),
    "February of two symbols": ((AVAX, FIL), "2026-02-01", "2026-03-01"),
    "the others of February": (("DOTUSDT", "LINKUSDT", "LTCUSDT", "NEARUSDT"), "2026-02-01", "2026-03-01"),
}


@pytest.mark.parametrize("name", some_of(tuple(MONTHS)))
def test_leaves_are_those_of_an_independent_implementation(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    symbols, start, end = MONTHS[name]
    if not examples.thorough:
        start = f"{start[:8]}20"  # the outage is on the 28th
    days = sign_days(tmp_path, symbols, start, end)
    before, count, size = "0" * 64, 0, 0
    for home in sorted(days.proof.glob("0*")):
        raw = (home / "head.json").read_bytes()
        head = json.loads(raw)
        leaves = []
        for line in (home / "leaves.txt").read_bytes().splitlines():
            leaf = line[65:]
            fields = json.loads(leaf)
            archive = fields["sources"]["archive"]
            zipped = (days.archive / archive["path"].lstrip("/")).read_bytes()
            stated = (days.archive / f"{archive['path'].lstrip('/')}.CHECKSUM").read_text()
            mine = {
                **fields,
                **proof_reference.expected_fields(zipped, fields),
                "day": home.name[7:],
                "sources": {
                    **fields["sources"],
                    "archive": {
                        **archive,
                        "sha256": hashlib.sha256(zipped).hexdigest(),
                        "checksum": stated.rstrip("\n"),
                    },
                },
            }
            assert proof_reference.one_line(mine) == leaf
            assert line[:64].decode() == proof_reference.leaf_hash(leaf).hex()
            leaves.append(leaf)
            size += len(line)
        assert [json.loads(leaf)["symbol"] for leaf in leaves] == sorted(symbols)
        assert head["root"] == proof_reference.merkle_root(leaves).hex()
        assert (head["previous"], head["leaves"]) == (before, len(symbols))
        before = hashlib.sha256(raw).hexdigest()
        count += len(leaves)
    assert count == len(symbols) * len(list(days.proof.glob("0*"))) >= 9
    assert size / count <= 1_500  # bytes of a symbol-day
    assert verify_proof.main([str(days.proof), "--archive", str(days.archive)]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("holds: ")
