"""The vectors of docs/proof.md, and a folder of signed days made of them, with the archive beside it."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from pathlib import Path

import proof_from_document as document
from places import DOCS

from tui_feeder.engine.proof.signing import Signer, make_key

_TEXT = (DOCS / "proof.md").read_text().partition("## Test vectors")[2]
#: Of the section, what stands between fences: lines of a zip, canonical lines, and so on.
LINES, BEGIN, DIGEST, LOCATOR, COIN, ZIPPED, LEAF, HEAD, CORRECTION = re.findall(
    r"```\n(.*?)```", _TEXT, re.S
)
ZIP = base64.b64decode(ZIPPED)
(FIRST_LEAF, FIRST_HASH), (FIRST_HEAD, FIRST_DIGEST) = LEAF.splitlines(), HEAD.splitlines()
SECOND_LEAF, SECOND_HASH, SECOND_HEAD, SECOND_DIGEST = CORRECTION.splitlines()
DAY, SYMBOL = "2026-02-01", "AUSDT"
HEADS = [(f"000001-{DAY}", FIRST_HEAD, FIRST_LEAF), (f"000002-{DAY}", SECOND_HEAD, SECOND_LEAF)]


class VectorFolder:
    """``proof``, ``archive`` and ``key`` below a directory: the two heads of the document, signed."""

    def __init__(self, home: Path) -> None:
        self.proof, self.archive = home / "proof", home / "archive"
        self.signer: Signer = make_key(home / "key")
        self.proof.mkdir()
        (self.proof / "allowed_signers").write_text(self.signer.allowed_signer)
        for name, head, leaf in HEADS:
            self.write(name, head.encode(), document.leaves_text([leaf.encode()]))
        stated = json.loads(FIRST_LEAF)["sources"]["archive"]
        self.zip = self.archive / stated["path"].lstrip("/")
        self.checksum = self.zip.with_name(f"{self.zip.name}.CHECKSUM")
        self.zip.parent.mkdir(parents=True)
        self.zip.write_bytes(ZIP)
        self.checksum.write_text(f"{stated['checksum']}\n")

    def write(self, name: str, head: bytes, leaves: bytes) -> None:
        """The files of a head, signed."""
        home = self.proof / name
        home.mkdir(exist_ok=True)
        (home / "head.json").write_bytes(head)
        (home / "head.json.sig").write_bytes(self.signer.sign(head))
        (home / "leaves.txt").write_bytes(leaves)

    def sign_leaf(self, leaf: bytes) -> None:
        """Another leaf in the second head, whose root is that of it; whoever owns the key may do that."""
        hashed = document.leaf_hash(leaf).hex()
        head = document.canonical_json({**json.loads(SECOND_HEAD), "root": hashed})
        self.write(HEADS[1][0], head, hashed.encode() + b" " + leaf + b"\n")

    def sign_head(self, head: bytes) -> None:
        """Other bytes as the second head, over its leaf."""
        self.write(HEADS[1][0], head, document.leaves_text([SECOND_LEAF.encode()]))

    def single(self) -> dict[str, object]:
        """What ``feeder-tui proof show`` makes of the second leaf, which is alone below its head."""
        signature = self.signer.sign(SECOND_HEAD.encode()).decode()
        signers = self.signer.allowed_signer
        return {
            "head": SECOND_HEAD, "signature": signature, "key": signers, "leaf": SECOND_LEAF, "path": [],
        }  # fmt: skip

    def digest_of(self, number: int) -> str:
        """The hash of a head."""
        return hashlib.sha256((self.proof / HEADS[number - 1][0] / "head.json").read_bytes()).hexdigest()
