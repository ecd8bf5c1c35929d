"""The folder of signed days: heads in a chain, corrections, other keys, damage, killed writers."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path

import proof_from_document
import pytest

from tui_feeder.engine.proof.folder import ProofFolder, ProofFolderError, ProofWriter, Replaced
from tui_feeder.engine.proof.signing import KeyFileError, Signer, make_key

TIME = "2026-02-02T08:41:07Z"


@pytest.fixture
def signer(tmp_path: Path) -> Signer:
    return make_key(tmp_path / "key")


def leaf(symbol: str, revision: int = 1, day: str = "2026-02-01") -> bytes:
    return proof_from_document.leaf_of(symbol, day, revision)


def test_heads_are_chained_and_their_leaves_sorted(tmp_path: Path, signer: Signer) -> None:
    writer = ProofWriter(tmp_path / "proof", signer)
    leaves = {f"usdm/{symbol}": leaf(symbol) for symbol in ("BTC", "ADA", "XRP")}
    first = writer.append("2026-02-01", leaves, TIME)
    second = writer.append("2026-02-02", {"usdm/ADA": leaf("ADA", day="2026-02-02")}, "2026-02-01T00:00:00Z")
    writer.close()

    assert [head.path.name for head in writer.heads()] == ["000001-2026-02-01", "000002-2026-02-02"]
    raw, head = first.read()
    assert raw == proof_from_document.canonical_json(head)
    assert head["previous"] == "0" * 64
    assert head["leaves"] == 3
    hashes = [proof_from_document.leaf_hash(leaf(x)) for x in ("ADA", "BTC", "XRP")]
    assert head["root"] == proof_from_document.merkle_root(hashes).hex()
    _, following = second.read()
    assert following["previous"] == sha256(raw).hexdigest()
    assert following["time"] == TIME  # never before that of the head before it
    assert [found.name for found in first.leaves()] == ["usdm/ADA", "usdm/BTC", "usdm/XRP"]
    lines = (first.path / "leaves.txt").read_bytes().splitlines()
    assert lines[0] == proof_from_document.leaf_hash(leaf("ADA")).hex().encode() + b" " + leaf("ADA")
    assert signer.public_key in (tmp_path / "proof" / "allowed_signers").read_text()
    assert (tmp_path / "proof" / "verify_proof.py").exists()


def test_of_a_corrected_leaf_the_last_revision_holds(tmp_path: Path, signer: Signer) -> None:
    writer = ProofWriter(tmp_path, signer)
    old = writer.append("2026-02-01", {"usdm/ADA": leaf("ADA"), "usdm/BTC": leaf("BTC")}, TIME)
    replaced = Replaced(old.leaves()[0].hash, "usdm/ADA", "minute 00:01, field close")
    new = writer.append("2026-02-01", {"usdm/ADA": leaf("ADA", 2)}, TIME, [replaced])
    found = writer.of_day("2026-02-01")
    assert {name: signed.revision for name, signed in found.items()} == {"usdm/ADA": 2, "usdm/BTC": 1}
    assert new.read()[1]["replaces"] == [replaced._asdict()]
    assert writer.of_day("2026-02-02") == {}


def test_a_folder_of_another_key_is_refused(tmp_path: Path, signer: Signer) -> None:
    folder = tmp_path / "proof"
    ProofWriter(folder, signer).close()
    other = make_key(tmp_path / "other")
    with pytest.raises(KeyFileError, match="signed with another key than") as found:
        ProofWriter(folder, other)
    with (folder / "allowed_signers").open("a") as signers:  # as the message advises
        signers.write(str(found.value).rpartition("allowed_signers: ")[2] + "\n")
    ProofWriter(folder, other).close()


def test_one_process_writes_at_a_time(tmp_path: Path, signer: Signer) -> None:
    writer = ProofWriter(tmp_path, signer)
    with pytest.raises(ProofFolderError, match="another feeder or command signs days"):
        ProofWriter(tmp_path, signer)
    writer.close()
    ProofWriter(tmp_path, signer).close()


def test_what_a_killed_writer_left_is_removed(tmp_path: Path, signer: Signer) -> None:
    left = tmp_path / ".000001-2026-02-01.part"
    left.mkdir(parents=True)
    (left / "head.json").write_text("{")
    writer = ProofWriter(tmp_path, signer)
    assert not left.exists()
    assert writer.append("2026-02-01", {"usdm/ADA": leaf("ADA")}, TIME).number == 1
    writer.close()


@pytest.mark.parametrize("content", [b"", b"[1]", b"{", b"\xff"])
def test_a_damaged_head_is_named_and_nothing_is_appended(
    tmp_path: Path, signer: Signer, content: bytes
) -> None:
    writer = ProofWriter(tmp_path, signer)
    head = writer.append("2026-02-01", {"usdm/ADA": leaf("ADA")}, TIME)
    (head.path / "head.json").write_bytes(content)
    with pytest.raises(ProofFolderError, match=r"000001-2026-02-01/head\.json cannot be read"):
        writer.append("2026-02-02", {"usdm/ADA": leaf("ADA")}, TIME)
    assert len(writer.heads()) == 1


def test_a_damaged_line_of_leaves_is_an_error(tmp_path: Path, signer: Signer) -> None:
    writer = ProofWriter(tmp_path, signer)
    head = writer.append("2026-02-01", {"usdm/ADA": leaf("ADA")}, TIME)
    for content in (b"x", b"0" * 64 + b" " + json.dumps([1]).encode()):
        (head.path / "leaves.txt").write_bytes(content)
        with pytest.raises(ProofFolderError, match="cannot be read"):
            writer.of_day("2026-02-01")


def test_a_folder_that_is_not_there_has_no_heads(tmp_path: Path) -> None:
    assert ProofFolder(tmp_path / "absent").heads() == []
    assert not (tmp_path / "absent").exists()
