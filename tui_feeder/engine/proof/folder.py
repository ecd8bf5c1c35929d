"""The folder of signed days: a subfolder a head, append-only, ready to be published as it is.

``000001-2026-02-01/`` has ``head.json``, ``head.json.sig`` and ``leaves.txt``: a line a leaf, its hash first.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from tui_feeder.atomic_write import sync_directory
from tui_feeder.engine.proof.leaf import canonical_json
from tui_feeder.engine.proof.merkle import leaf_hash, path_of, root_of
from tui_feeder.engine.proof.reading import check_signature, parse_head, parse_leaf, read_file, split_leaves
from tui_feeder.engine.proof.signing import KeyFileError, Signer
from tui_feeder.errors import StorageError
from tui_feeder.safe_text import printable
from tui_feeder.version import __version__

_FORMAT = 1
_HEAD, _SIGNATURE, _LEAVES, _SIGNERS = "head.json", "head.json.sig", "leaves.txt", "allowed_signers"
_VERIFIER = "verify_proof.py"
_NAME = re.compile(r"(\d{6,})-(\d{4}-\d\d-\d\d)", re.ASCII)
_FIRST = "0" * 64  # in the place of the hash of the head before the first


class ProofFolderError(StorageError):
    """The folder of signed days cannot be used; the message has the reason."""


class HeadPlace(NamedTuple):
    """A head in the folder."""

    number: int
    day: str  # such as 2026-02-01
    path: Path

    def read(self) -> tuple[bytes, dict[str, Any]]:
        """The head's bytes, and what they mean."""
        with _readable(self.path / _HEAD):
            raw = read_file(self.path / _HEAD)
            return raw, parse_head(raw)

    def described(self) -> dict[str, Any]:
        """The head's fields, and ``hash``, the SHA-256 of its bytes."""
        raw, head = self.read()
        return {**head, "hash": sha256(raw).hexdigest()}

    def signature(self) -> str:
        """The armored signature of the head."""
        with _readable(self.path / _SIGNATURE):
            return read_file(self.path / _SIGNATURE).decode()

    def leaves(self, of: str = "") -> list[SignedLeaf]:
        """Reads its leaves in their order.

        Args:
            of: ``market/SYMBOL``, whose only; empty for all.

        Returns:
            Those that there are.

        Raises:
            ProofFolderError: they cannot be read.
        """
        return list(self.each_leaf(of))

    def each_leaf(self, of: str = "") -> Iterator[SignedLeaf]:
        """Reads its leaves in their order, each when it is asked for: about 0.1 ms.

        Args:
            of: ``market/SYMBOL``, whose only; empty for all.

        Returns:
            Those that there are.

        Raises:
            ProofFolderError: they cannot be read.
        """
        symbol = f'"symbol":{canonical_json(of.partition("/")[2]).decode()}'.encode() if of else b""
        with _readable(self.path / _LEAVES):
            for number, line in enumerate(split_leaves(read_file(self.path / _LEAVES)), 1):
                if symbol in line[1]:
                    leaf = _signed_leaf(number, *line)
                    if of in ("", leaf.name):
                        yield leaf

    def refused(self) -> Iterator[str]:
        """Names what of its files is not as docs/proof.md has it: file, line, field and value."""
        lines: list[tuple[str, bytes]] = []
        for file, parse in ((_HEAD, parse_head), (_SIGNATURE, check_signature), (_LEAVES, None)):
            try:
                raw = read_file(self.path / file)
                lines = [] if parse else split_leaves(raw)
            except ValueError as error:
                yield f"head {self.path.name}: {error}"
            else:
                if parse and (why := _refusal(parse, raw)):
                    yield f"head {self.path.name}: {file}: {why}"
        for number, (_, leaf) in enumerate(lines, 1):
            if why := _refusal(parse_leaf, leaf):
                yield f"head {self.path.name}: {_LEAVES}, line {number}: {why}"


def _refusal(parse: Callable[[bytes], object], raw: bytes) -> str:
    """Why bytes are not what they should be; empty where they are."""
    try:
        parse(raw)
    except ValueError as error:
        return str(error)
    return ""


class SignedLeaf(NamedTuple):
    """A leaf of a head."""

    name: str  # ``market/SYMBOL``
    hash: str  # hex
    raw: bytes
    fields: dict[str, Any]  # as docs/proof.md has them

    @property
    def revision(self) -> int:
        """1, and more for each correction."""
        revision: int = self.fields["revision"]
        return revision


def leaf_name(symbol: str) -> str:
    """Names the leaves of a symbol.

    Args:
        symbol: such as ``BTCUSDT``, ``spot:BTCUSDT`` or ``usdm/BTCUSDT``.

    Returns:
        ``market/SYMBOL``.
    """
    market, mark, bare = symbol.rpartition(":")
    return f"{market}/{bare}" if mark else symbol if "/" in symbol else f"usdm/{symbol}"


class Replaced(NamedTuple):
    """A leaf that a correction replaces."""

    leaf: str  # its hash, hex
    name: str
    reason: str


@contextlib.contextmanager
def _readable(file: Path) -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        text = f"the signed day {file} cannot be read ({printable(str(error))}): "
        text += "put it back from a copy that was published"
        raise ProofFolderError(text) from error


def _signed_leaf(number: int, stated: str, raw: bytes) -> SignedLeaf:
    """A line of leaves; ValueError if it is none."""
    try:
        fields = parse_leaf(raw)
    except ValueError as error:
        raise ValueError(f"line {number}: {error}") from error
    if stated != leaf_hash(raw).hex():
        raise ValueError(f"line {number}: its hash is not that of its leaf")
    return SignedLeaf(f"{fields['market']}/{fields['symbol']}", stated, raw, fields)


class ProofFolder:
    """Reads signed days. May be used from any thread.

    Args:
        path: of the folder; one that is not there has none.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def heads(self) -> list[HeadPlace]:
        """The heads in their order.

        Raises:
            ProofFolderError: the folder cannot be read.
        """
        try:
            names = os.listdir(self.path) if self.path.exists() else []
        except OSError as error:
            text = f"the folder of signed days {self.path} cannot be read: {error.strerror}"
            raise ProofFolderError(text) from error
        matched = [(match, self.path / name) for name in names if (match := _NAME.fullmatch(name))]
        return sorted(HeadPlace(int(match[1]), match[2], path) for match, path in matched)

    def leaves_of(self, day: str) -> Iterator[SignedLeaf]:
        """Reads the leaves of a day, each when it is asked for.

        Args:
            day: such as ``2026-02-01``.

        Returns:
            All revisions; of a name the last one is the one that holds.

        Raises:
            ProofFolderError: a head cannot be read.
        """
        return (leaf for head in self.heads() if head.day == day for leaf in head.each_leaf())

    def of_day(self, day: str) -> dict[str, SignedLeaf]:
        """Reads the leaves of a day.

        Args:
            day: such as ``2026-02-01``.

        Returns:
            By name, of each the last revision.

        Raises:
            ProofFolderError: a head cannot be read.
        """
        return {leaf.name: leaf for leaf in self.leaves_of(day)}

    def last_leaf(self, day: str, name: str) -> SignedLeaf | None:
        """Reads the leaf of a symbol's day.

        Args:
            day: such as ``2026-02-01``.
            name: ``market/SYMBOL``.

        Returns:
            The last revision; None where the symbol's day is not signed.

        Raises:
            ProofFolderError: a head cannot be read.
        """
        heads = [head for head in self.heads() if head.day == day]
        return next((leaf for head in reversed(heads) for leaf in head.leaves(name)), None)

    def leaf_file(self, day: str, name: str) -> dict[str, object] | None:
        """Makes the last leaf of a symbol's day a file of its own, with its path to the head.

        Args:
            day: such as ``2026-02-01``.
            name: ``market/SYMBOL``.

        Returns:
            Head, signature, public key, leaf and path, as ``verify_proof.py`` reads them; None where the
            symbol's day is not signed.

        Raises:
            ProofFolderError: a head cannot be read.
        """
        for place in reversed([head for head in self.heads() if head.day == day]):
            leaves = place.leaves()
            names = [leaf.name for leaf in leaves]
            if name in names:
                at = names.index(name)
                path = path_of([leaf_hash(leaf.raw) for leaf in leaves], at)
                return {
                    "head": place.read()[0].decode(),
                    "signature": place.signature(),
                    "key": self.public_key(),
                    "leaf": leaves[at].raw.decode(),
                    "path": [[side, other.hex()] for side, other in path],
                }
        return None

    def public_key(self) -> str:
        """The line of ``allowed_signers``.

        Raises:
            ProofFolderError: it cannot be read.
        """
        with _readable(self.path / _SIGNERS):
            return read_file(self.path / _SIGNERS).decode()


class ProofWriter(ProofFolder):
    """Appends signed days; one writer at a time, which :meth:`close` ends.

    Args:
        path: of the folder; made when absent.
        signer: whose key the heads of the folder are signed with.

    Raises:
        ProofFolderError: it cannot be written, or another process writes to it.
        KeyFileError: its heads are of another key.
    """

    def __init__(self, path: Path, signer: Signer) -> None:
        super().__init__(path)
        self._signer = signer
        try:
            path.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(path / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise self._unwritable(error) from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._prepare()
        except BlockingIOError as error:
            self.close()
            text = f"another feeder or command signs days in {path}: wait for its end"
            raise ProofFolderError(text) from error
        except OSError as error:
            self.close()
            raise self._unwritable(error) from error
        except (KeyFileError, ProofFolderError):
            self.close()
            raise

    def close(self) -> None:
        """Let others write. A second call does nothing."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _unwritable(self, error: OSError) -> ProofFolderError:
        return ProofFolderError(
            f"the folder of signed days {self.path} cannot be written: {error.strerror or error}"
        )

    def _prepare(self) -> None:
        for left in self.path.glob(".*.part"):  # of a process that was killed
            shutil.rmtree(left, ignore_errors=True)
        signers = self.path / _SIGNERS
        if not signers.exists():
            signers.write_text(self._signer.allowed_signer)
        elif self._signer.public_key not in self.public_key():
            raise KeyFileError(
                f"the days in {self.path} are signed with another key than proof.key_file "
                f"({self._signer.fingerprint}): use that key, or another folder; to change the key, add this "
                f"line to {signers}: {self._signer.allowed_signer.strip()}"
            )
        # So that the folder is all that a reader needs; the same file is in the package.
        verifier = Path(__file__).parents[2] / _VERIFIER
        content, target = verifier.read_bytes(), self.path / _VERIFIER
        if not target.exists() or target.read_bytes() != content:
            target.write_bytes(content)

    def append(
        self, day: str, leaves: Mapping[str, bytes], time: str, replaces: Sequence[Replaced] = ()
    ) -> HeadPlace:
        """Signs leaves of a day as the next head.

        Args:
            day: such as ``2026-02-01``.
            leaves: by name, not empty.
            time: of signing, such as ``2026-02-02T08:41:07Z``; not before that of the last head.
            replaces: the leaves that the given ones correct.

        Returns:
            The new head.

        Raises:
            ProofFolderError: it cannot be written, or the head before it cannot be read.
        """
        number, previous = 1, _FIRST
        if heads := self.heads():
            raw, before = heads[-1].read()
            number, previous = heads[-1].number + 1, sha256(raw).hexdigest()
            time = max(time, before["time"])
        ordered = [leaves[name] for name in sorted(leaves)]
        hashes = [leaf_hash(leaf) for leaf in ordered]
        head = canonical_json(
            {
                "version": _FORMAT,
                "feeder": __version__,
                "number": number,
                "day": day,
                "time": time,
                "leaves": len(ordered),
                "root": root_of(hashes).hex(),
                "previous": previous,
                "replaces": [item._asdict() for item in replaces],
            }
        )
        lines = [b"%b %b\n" % (at.hex().encode(), leaf) for at, leaf in zip(hashes, ordered, strict=True)]
        place = HeadPlace(number, day, self.path / f"{number:06}-{day}")
        try:
            self._write(
                place.path,
                {_HEAD: head, _SIGNATURE: self._signer.sign(head), _LEAVES: b"".join(lines)},
            )
        except OSError as error:
            raise self._unwritable(error) from error
        return place

    def _write(self, home: Path, files: Mapping[str, bytes]) -> None:
        """The folder of a head, whole or not at all."""
        scratch = home.with_name(f".{home.name}.part")
        try:
            scratch.mkdir()
            for name, content in files.items():
                with (scratch / name).open("wb") as target:
                    target.write(content)
                    target.flush()
                    os.fsync(target.fileno())
            sync_directory(scratch)
            scratch.rename(home)
            sync_directory(self.path)
        except OSError:
            shutil.rmtree(scratch, ignore_errors=True)
            raise
