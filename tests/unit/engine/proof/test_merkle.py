"""Merkle trees: the vectors of the Certificate Transparency project, and paths of every leaf."""

from __future__ import annotations

import re
from hashlib import sha256

import proof_from_document
import pytest
from places import DOCS

from tui_feeder.engine.proof.merkle import leaf_hash, path_of, root_of

#: The inputs of the reference implementation's tests, and the roots of the first one, two, ... of them.
INPUTS = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]  # fmt: skip
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


@pytest.mark.parametrize("count", range(1, 9))
def test_roots_are_those_of_the_reference_implementation(count: int) -> None:
    assert root_of([leaf_hash(leaf) for leaf in INPUTS[:count]]).hex() == ROOTS[count - 1]


def test_the_root_of_no_leaf_is_the_hash_of_nothing() -> None:
    assert root_of([]) == sha256(b"").digest()


@pytest.mark.parametrize("count", [1, 2, 3, 7, 8, 9, 33, 600])
def test_the_path_of_every_leaf_leads_to_the_root(count: int) -> None:
    leaves = [str(number).encode() for number in range(count)]
    hashes = [leaf_hash(leaf) for leaf in leaves]
    root = root_of(hashes)
    assert root == proof_from_document.merkle_root(hashes)
    for index, found in enumerate(hashes):
        path = path_of(hashes, index)
        assert len(path) <= (count - 1).bit_length()
        for side, other in path:
            pair = other + found if side == "left" else found + other
            found = sha256(b"\1" + pair).digest()
        assert found == root


def test_the_vectors_of_the_documents() -> None:
    text = (DOCS / "proof.md").read_text()
    hashes = [leaf_hash(leaf) for leaf in (b"{}", b"[]", b"0")]
    stated = re.findall(r"`([0-9a-f]{64})`", text)
    assert stated == [hashes[0].hex(), root_of(hashes).hex()]
