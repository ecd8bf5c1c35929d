"""Whatever is changed in store, leaf, head, zip or signature is named, with day, minute and field."""

from __future__ import annotations

import hashlib
import io
import json
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import proof_from_document
import pytest
from damaging import damage_day
from examples import some_of
from signed_days import AVAX, FIL, SignedDays, correct_a_minute, sign_days

from tui_feeder import verify_proof
from tui_feeder.commands import proof_run
from tui_feeder.config import load
from tui_feeder.engine.core.candle import MINUTE_MS, Source
from tui_feeder.engine.proof.canonical import FIELDS
from tui_feeder.engine.proof.signing import Signer, make_key
from tui_feeder.engine.storage.store import Store
from tui_feeder.time_format import parse_time

DAY = "2026-02-02"
COLUMNS = dict(zip(FIELDS[1:], (1, 2, 3, 4, 5, 7, 8, 9, 10), strict=True))


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> SignedDays:
    """Four days of two symbols, and a correction as the fifth head."""
    home = tmp_path_factory.mktemp("signed")
    return sign_days(home, (AVAX, FIL), "2026-02-01", "2026-02-05", correct_a_minute)


@pytest.fixture
def days(untouched: SignedDays, tmp_path: Path) -> SignedDays:
    shutil.copytree(untouched.home, tmp_path / "copy", ignore=shutil.ignore_patterns("store"))
    return SignedDays(tmp_path / "copy")


#: Of a zip and a leaf: reading the same day anew, of which a test changed nothing, is most of the time.
_KNOWN: dict[tuple[bytes, str], tuple[list[str], int]] = {}


@pytest.fixture
def known_days(monkeypatch: pytest.MonkeyPatch) -> None:
    """Days that were read before, zip and leaf, are not read anew."""
    read = verify_proof._lines

    def lines(zipped: bytes, leaf: dict[str, Any]) -> tuple[list[str], int]:
        of = (zipped, json.dumps(leaf))
        if of not in _KNOWN:
            _KNOWN[of] = read(zipped, leaf)
        return _KNOWN[of]

    monkeypatch.setattr(verify_proof, "_lines", lines)


def verify(days: SignedDays, capsys: pytest.CaptureFixture[str], *more: str) -> tuple[int, str]:
    verify_proof._read.cache_clear()  # a folder may have the name of one that an earlier test had
    code = verify_proof.main([str(days.proof), "--archive", str(days.archive), *more])
    return code, capsys.readouterr().out


# --- what is changed -----------------------------------------------------------------------------


def replaced(file: Path, pattern: str, by: Callable[[re.Match[str]], str] | str, count: int = 1) -> None:
    """Changes one place of a text; it must be there."""
    text = file.read_bytes().decode()
    changed, found = re.subn(pattern, by, text, count=count)
    assert found == count, (file, pattern)
    assert changed != text
    file.write_bytes(changed.encode())


def other_digit(match: re.Match[str]) -> str:
    """The same text with its last digit changed."""
    text = match[0]
    digit = text[-1]
    return text[:-1] + ("7" if digit != "7" else "8")


def rezipped(days: SignedDays, change: Callable[[list[str]], list[str]], *, checksum: bool = False) -> None:
    """Changes the lines of AVAX's zip of the day; with its checksum like somebody who is careful."""
    file = days.zip_of(AVAX, DAY)
    with zipfile.ZipFile(file) as archive:
        name = archive.namelist()[0]
        lines = archive.read(name).decode().splitlines()
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, "\n".join([*change(lines), ""]))
    file.write_bytes(content.getvalue())
    if checksum:
        digest = hashlib.sha256(content.getvalue()).hexdigest()
        file.with_name(f"{file.name}.CHECKSUM").write_text(f"{digest}  {file.name}\n")


def digit_of(column: int, line: int = 192) -> Callable[[list[str]], list[str]]:
    """Changes the last digit but zeros of a value; line 192 is the minute 03:11, as the first is a header."""

    def change(lines: list[str]) -> list[str]:
        values = lines[line].split(",")
        digits = values[column].rstrip("0").rstrip(".") if "." in values[column] else values[column]
        values[column] = re.sub(r"\d$", lambda match: "7" if match[0] != "7" else "8", digits)
        return [*lines[:line], ",".join(values), *lines[line + 1 :]]

    return change


def without_trades(lines: list[str]) -> list[str]:
    values = lines[192].split(",")
    for column in (5, 7, 8, 9, 10):
        values[column] = "0"
    return [*lines[:192], ",".join(values), *lines[193:]]


def leaf_text(pattern: str, number: int = 2) -> Callable[[SignedDays], None]:
    """Changes a digit in AVAX's leaf of a head, which is the first one."""
    return lambda days: replaced(days.head(number) / "leaves.txt", pattern, other_digit)


def head_text(pattern: str, number: int = 2) -> Callable[[SignedDays], None]:
    return lambda days: replaced(days.head(number) / "head.json", pattern, other_digit)


def reordered_leaves(days: SignedDays) -> None:
    file = days.head(2) / "leaves.txt"
    file.write_bytes(b"".join(reversed(file.read_bytes().splitlines(keepends=True))))


def fewer_leaves(days: SignedDays) -> None:
    file = days.head(2) / "leaves.txt"
    file.write_bytes(file.read_bytes().splitlines(keepends=True)[0])


def doubled_leaf(days: SignedDays) -> None:
    file = days.head(2) / "leaves.txt"
    first, *rest = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join([first, first, *rest]))


def careful_forger(days: SignedDays) -> None:
    """Another digest in the leaf, and all hashes made again up to the head; the key is not the forger's."""
    home = days.head(3)
    replaced(home / "leaves.txt", r'"canonical":"\w*?\d', other_digit)
    leaves = [line[65:] for line in (home / "leaves.txt").read_bytes().splitlines()]
    hashes = [proof_from_document.leaf_hash(leaf).hex() for leaf in leaves]
    lines = [f"{at} ".encode() + leaf + b"\n" for at, leaf in zip(hashes, leaves, strict=True)]
    (home / "leaves.txt").write_bytes(b"".join(lines))
    root = verify_proof._root(hashes)
    replaced(home / "head.json", r'"root":"\w+"', f'"root":"{root}"')


def signed_by_another(days: SignedDays) -> None:
    other = make_key(days.home / "other")
    head = (days.head(3) / "head.json").read_bytes()
    (days.head(3) / "head.json.sig").write_bytes(other.sign(head))


def signature_of_another_head(days: SignedDays) -> None:
    shutil.copy(days.head(1) / "head.json.sig", days.head(3) / "head.json.sig")


def changed_signature(days: SignedDays) -> None:
    replaced(days.head(3) / "head.json.sig", r"\w(?=.{8,}\n-----END)", other_digit)


def exchanged_heads(days: SignedDays) -> None:
    second, third, aside = days.head(2), days.head(3), days.proof / "aside"
    names = second.name, third.name
    second.rename(aside)
    third.rename(days.proof / f"000002-{names[1][7:]}")
    aside.rename(days.proof / f"000003-{names[0][7:]}")


def no_json(days: SignedDays) -> None:
    (days.head(2) / "head.json").write_bytes(b"{")


def another_day(days: SignedDays) -> None:
    days.head(2).rename(days.proof / "000002-2026-02-03")


def zip_file(change: Callable[[Path], object]) -> Callable[[SignedDays], None]:
    def tamper(days: SignedDays) -> None:
        change(days.zip_of(AVAX, DAY))

    return tamper


def checksum_digit(days: SignedDays) -> None:
    file = days.zip_of(AVAX, DAY)
    replaced(file.with_name(f"{file.name}.CHECKSUM"), r"^\w{63}\d|^\w+?\d", other_digit)


Fields = dict[str, Any]


def signed_again(number: int, change: Callable[[Fields, list[Fields]], None]) -> Callable[[SignedDays], None]:
    """Has whoever owns the key sign other leaves, or another head, and all heads after it once more."""

    def tamper(days: SignedDays) -> None:
        signer, previous = Signer(days.key), "0" * 64
        for home in sorted(days.proof.glob("0*")):
            head = json.loads((home / "head.json").read_bytes())
            leaves = [json.loads(line[65:]) for line in (home / "leaves.txt").read_bytes().splitlines()]
            head["previous"] = previous
            if head["number"] == number:
                change(head, leaves)
            raws = [proof_from_document.canonical_json(leaf) for leaf in leaves]
            hashes = [proof_from_document.leaf_hash(raw) for raw in raws]
            head["root"] = proof_from_document.merkle_root(hashes).hex()
            lines = [f"{at.hex()} ".encode() + raw + b"\n" for at, raw in zip(hashes, raws, strict=True)]
            raw_head = proof_from_document.canonical_json(head)
            (home / "leaves.txt").write_bytes(b"".join(lines))
            (home / "head.json").write_bytes(raw_head)
            (home / "head.json.sig").write_bytes(signer.sign(raw_head))
            previous = hashlib.sha256(raw_head).hexdigest()

    return tamper


def first_once_more(head: Fields, leaves: list[Fields]) -> None:
    head["replaces"], leaves[0]["revision"] = [], 1


def unnamed(head: Fields, leaves: list[Fields]) -> None:
    head["replaces"] = []


def another_leaf_named(head: Fields, leaves: list[Fields]) -> None:
    head["replaces"][0]["leaf"] = head["previous"]


def another_symbol_named(head: Fields, leaves: list[Fields]) -> None:
    head["replaces"][0]["name"] = f"usdm/{FIL}"


def one_more_named(head: Fields, leaves: list[Fields]) -> None:
    head["replaces"] *= 2


def skipped_revision(head: Fields, leaves: list[Fields]) -> None:
    leaves[0]["revision"] = 3


def newer_version(head: Fields, leaves: list[Fields]) -> None:
    head["version"] = 2


def newer_leaf(head: Fields, leaves: list[Fields]) -> None:
    leaves[0]["version"] = 2


def unsorted(head: Fields, leaves: list[Fields]) -> None:
    leaves.reverse()


def twice(head: Fields, leaves: list[Fields]) -> None:
    leaves.append(leaves[-1])
    head["leaves"] += 1


def too_early(head: Fields, leaves: list[Fields]) -> None:
    head["time"] = f"{head['day']}T23:59:59Z"


def minute_otherwise(text: str) -> Callable[[Fields, list[Fields]], None]:
    def change(head: Fields, leaves: list[Fields]) -> None:
        leaves[0]["other"] = [[191, 192, text]]

    return change


def counts_nothing(head: Fields, leaves: list[Fields]) -> None:
    leaves[0]["counts"]["m"] = 0


def no_sources(head: Fields, leaves: list[Fields]) -> None:
    del leaves[0]["sources"]


@dataclass(frozen=True)
class Tampering:
    """What is changed, and what has to be named."""

    change: Callable[[SignedDays], None]
    named: tuple[str, ...]


FIFTH = "head 000005-2026-02-02: "
SYMBOL_DAY = f"usdm/{AVAX} {DAY}: "
THIRD_DAY = f"usdm/{AVAX} 2026-02-03: "
ZIP_AT = f"{SYMBOL_DAY}.*leaf and zip differ: minute 03:11, field "
SECOND = "head 000002-2026-02-02: "
THIRD = "head 000003-2026-02-03: "
UNREADABLE = SECOND + "leaves.txt, line 1 cannot be used: "
CHANGED_LEAF = SECOND + "leaves.txt, line 1 is not the leaf that was signed"

TAMPERINGS = {
    **{
        f"{field} of a minute in the zip": Tampering(
            partial(rezipped, change=digit_of(column)), (f"{ZIP_AT}{field}(;|$)",)
        )
        for field, column in COLUMNS.items()
    },
    "first minute in the zip": Tampering(
        lambda days: rezipped(days, digit_of(4, 1)), (f"{SYMBOL_DAY}.*minute 00:00, field close(;|$)",)
    ),
    "last minute in the zip": Tampering(
        lambda days: rezipped(days, digit_of(1, 1_440)), (f"{SYMBOL_DAY}.*minute 23:59, field open(;|$)",)
    ),
    "two minutes in the zip": Tampering(
        lambda days: rezipped(days, lambda lines: digit_of(2, 1_440)(digit_of(4)(lines))),
        (f"{SYMBOL_DAY}.*minute 03:11, 03:59, 23:11, 23:59, field high, close(;|$)",),
    ),
    "a line of the zip is gone": Tampering(
        lambda days: rezipped(days, lambda lines: lines[:192] + lines[193:]),
        (f"{ZIP_AT}state, open", "field counts is not that"),
    ),
    "a minute of the zip lost its trades": Tampering(
        lambda days: rezipped(days, without_trades), (f"{ZIP_AT}state, volume, quote_volume, trades",)
    ),
    "a line of the zip is twice there": Tampering(
        lambda days: rezipped(days, lambda lines: [*lines, digit_of(3)(lines)[192]]), (f"{ZIP_AT}low(;|$)",)
    ),
    "the zip with its checksum": Tampering(
        lambda days: rezipped(days, digit_of(5), checksum=True),
        (f"{SYMBOL_DAY}field sources.archive.sha256 is not", f"{ZIP_AT}volume(;|$)"),
    ),
    "the zip is packed again": Tampering(
        lambda days: rezipped(days, lambda lines: lines),
        (
            f"{SYMBOL_DAY}field sources.archive.sha256 is not",
            "not the one in the CHECKSUM beside it",
        ),
    ),
    "the zip is cut short": Tampering(
        zip_file(lambda file: file.write_bytes(file.read_bytes()[:-100])), (f"{SYMBOL_DAY}.*cannot be used",)
    ),
    "a digit of the CHECKSUM": Tampering(
        checksum_digit, (f"{SYMBOL_DAY}the zip's SHA-256 is not the one in the CHECKSUM beside it",)
    ),
    "canonical of the leaf": Tampering(
        leaf_text(r'"canonical":"\w*?\d'),
        (CHANGED_LEAF, SECOND + "field root does not fit"),
    ),
    "locator of the leaf": Tampering(leaf_text(r'"locator":"\w*?\d'), (CHANGED_LEAF,)),
    "counts of the leaf": Tampering(leaf_text(r'"p":\d+'), (CHANGED_LEAF,)),
    "day of the leaf": Tampering(
        leaf_text(rf'"day":"{DAY}(?=")'), (CHANGED_LEAF, SECOND + "leaves.txt, line 1, .* or of another day")
    ),
    "revision of the leaf": Tampering(
        leaf_text(r'"revision":\d'),
        (CHANGED_LEAF, SECOND + "field replaces does not fit"),
    ),
    "symbol of the leaf": Tampering(
        lambda days: replaced(days.head(2) / "leaves.txt", f'"symbol":"{AVAX}"', '"symbol":"AVAXUSDC"'),
        (CHANGED_LEAF,),
    ),
    "zip's SHA-256 in the leaf": Tampering(
        leaf_text(r'"sha256":"\w*?\d', 3),
        (
            f"usdm/{AVAX} 2026-02-03: field sources.archive.sha256 is not",
            THIRD + "leaves.txt, line 1 is not",
        ),
    ),
    "CHECKSUM line in the leaf": Tampering(
        leaf_text(r'"checksum":"\w*?\d', 3),
        (THIRD + "leaves.txt, line 1 is not",),
    ),
    "path of the zip in the leaf": Tampering(
        leaf_text(r'"path":"[^"]*-2026-02-\d\d', 3),
        (f"usdm/{AVAX} 2026-02-03: field sources.archive.path is not", THIRD + "leaves.txt, line 1 is not"),
    ),
    "the file of another symbol in the leaf": Tampering(
        lambda days: replaced(days.head(3) / "leaves.txt", f"1m/{AVAX}-1m", f"1m/{FIL}-1m"),
        (f"usdm/{AVAX} 2026-02-03: field sources.archive.path is not that of this symbol and day",),
    ),
    "a file of another host in the leaf": Tampering(
        lambda days: replaced(days.head(3) / "leaves.txt", '"path":"/data', '"path":"@example.org/data'),
        (f"usdm/{AVAX} 2026-02-03: field sources.archive.path is not that of this symbol and day",),
    ),
    "ETag in the leaf": Tampering(leaf_text(r'"etag":"[^,]*?\d'), (CHANGED_LEAF,)),
    "time of reading in the leaf": Tampering(leaf_text(r'"read":"[^"]*?\d(?=Z)'), (CHANGED_LEAF,)),
    "a minute that the leaf has otherwise": Tampering(
        leaf_text(r'"other":\[\[671,672,"p,[\d.]*\d', 5),
        (f"{SYMBOL_DAY}.*minute 11:11, field open(;|$)", FIFTH + "leaves.txt, line 1 is not"),
    ),
    "which minute the leaf has otherwise": Tampering(
        leaf_text(r'"other":\[\[671', 5), (FIFTH + "leaves.txt, line 1 is not", f"{SYMBOL_DAY}")
    ),
    "a leaf's hash": Tampering(leaf_text(r"^\w*?\d"), (CHANGED_LEAF,)),
    "leaves in another order": Tampering(reordered_leaves, (SECOND + "field root does not fit",)),
    "a leaf is gone": Tampering(
        fewer_leaves, (SECOND + "field leaves does not fit: 2", SECOND + "field root does not fit")
    ),
    "a leaf is twice there": Tampering(doubled_leaf, (SECOND + "field leaves does not fit: 2",)),
    "leaf and all hashes up to the head": Tampering(
        careful_forger,
        (
            THIRD + "signature: ",
            "head 000004-2026-02-04: field previous does not fit",
            f"usdm/{AVAX} 2026-02-03: field canonical is not the SHA-256",
        ),
    ),
    "number of a head": Tampering(head_text(r'"number":\d'), (SECOND + "field number does not fit: 7",)),
    "day of a head": Tampering(
        head_text(rf'"day":"{DAY}'), (SECOND + "signature: ", SECOND + "field day does not fit: 2026-02-07")
    ),
    "time of a head": Tampering(
        lambda days: replaced(days.head(2) / "head.json", r'"time":"2026', '"time":"2025'),
        (SECOND + "signature: ", SECOND + "field time does not fit: 2025"),
    ),
    "a digit of a head's time": Tampering(
        head_text(r'"time":"[^"]*\d(?=Z)'), (SECOND + "signature: ", THIRD + "field previous does not fit")
    ),
    "number of leaves of a head": Tampering(
        head_text(r'"leaves":\d'), (SECOND + "field leaves does not fit",)
    ),
    "root of a head": Tampering(head_text(r'"root":"\w*?\d'), (SECOND + "field root does not fit",)),
    "hash of the head before": Tampering(
        head_text(r'"previous":"\w*?\d', 3), (THIRD + "field previous does not fit",)
    ),
    "which leaf a correction replaces": Tampering(
        head_text(r'"leaf":"\w*?\d', 5), ("head 000005-2026-02-02: field replaces does not fit",)
    ),
    "reason of a correction": Tampering(
        head_text(r'"reason":"[^"]*?\d', 5), ("head 000005-2026-02-02: signature: ",)
    ),
    "version in a head": Tampering(
        head_text(r'"version":\d'), (SECOND + "head.json cannot be used: .*not of version 1",)
    ),
    "a head that is no JSON": Tampering(no_json, (SECOND + "head.json cannot be used",)),
    "a signature": Tampering(changed_signature, (THIRD + "signature: ",)),
    "signature of another head": Tampering(
        signature_of_another_head, (THIRD + "signature: .*incorrect signature",)
    ),
    "signature of another key": Tampering(signed_by_another, (THIRD + "signature: it is of another key",)),
    "a signature is gone": Tampering(
        lambda days: (days.head(3) / "head.json.sig").unlink(),
        (THIRD + "head.json.sig cannot be used: .*no such regular file",),
    ),
    "a head is gone": Tampering(
        lambda days: shutil.rmtree(days.head(2)),
        (THIRD + "heads 2 to 2 before it are missing$", THIRD + "field previous"),
    ),
    "the first head is gone": Tampering(
        lambda days: shutil.rmtree(days.head(1)),
        (SECOND + "heads 1 to 1 before it are missing$", SECOND + "field previous"),
    ),
    "three heads are gone": Tampering(
        lambda days: [shutil.rmtree(days.head(number)) for number in (2, 3, 4)],
        (FIFTH + "heads 2 to 4 before it are missing$", FIFTH + "field previous"),
    ),
    "two heads in each other's place": Tampering(
        exchanged_heads, ("head 000002-2026-02-03: field number does not fit: 3",)
    ),
    "a leaf is signed once more without a correction": Tampering(
        signed_again(5, first_once_more), (FIFTH + "field replaces does not fit",)
    ),
    "a correction that no head names": Tampering(
        signed_again(5, unnamed), (FIFTH + "field replaces does not fit",)
    ),
    "a correction that names another leaf": Tampering(
        signed_again(5, another_leaf_named), (FIFTH + "field replaces does not fit",)
    ),
    "a correction that names another symbol": Tampering(
        signed_again(5, another_symbol_named), (FIFTH + "field replaces does not fit",)
    ),
    "a correction that is named twice": Tampering(
        signed_again(5, one_more_named), (FIFTH + "field replaces does not fit",)
    ),
    "a revision was left out": Tampering(
        signed_again(5, skipped_revision), (FIFTH + "field replaces does not fit",)
    ),
    "a signed head of a later version": Tampering(
        signed_again(2, newer_version), (SECOND + "head.json cannot be used: .*not of version 1",)
    ),
    "a signed leaf of a later version": Tampering(
        signed_again(2, newer_leaf), (f"{UNREADABLE}.*not of version 1",)
    ),
    "leaves that were signed in another order": Tampering(
        signed_again(2, unsorted), (SECOND + f"leaves.txt, line 2, usdm/{AVAX} {DAY}, is not sorted",)
    ),
    "a leaf that was signed twice": Tampering(
        signed_again(2, twice),
        (SECOND + f"leaves.txt, line \\d, usdm/\\w+ {DAY}, is not sorted, or there twice",),
    ),
    "a day that was signed before its end": Tampering(
        signed_again(2, too_early), (SECOND + "field time does not fit",)
    ),
    "a signed state that there is not": Tampering(
        signed_again(3, minute_otherwise("x,1,1,1,1,1,1,1,1,1")), (f"{THIRD_DAY}.*field other has 191, x,1,",)
    ),
    "a signed number with zeros at its end": Tampering(
        signed_again(3, minute_otherwise("p,1,1,1,1,1,1,1,1,1.0")),
        (f"{THIRD_DAY}.*field other has 191, p,1,1,",),
    ),
    "a signed count of nothing": Tampering(
        signed_again(3, counts_nothing), (f"{THIRD_DAY}field counts is not that",)
    ),
    "a signed leaf without sources": Tampering(
        signed_again(3, no_sources),
        (f"{THIRD_DAY}leaf, zip or CHECKSUM cannot be used: KeyError\\('sources'\\)",),
    ),
    "the last head has no head.json": Tampering(
        lambda days: (days.head(5) / "head.json").unlink(),
        (FIFTH + "head.json cannot be used: .*no such regular file",),
    ),
    "a head under another number": Tampering(
        lambda days: days.head(5).rename(days.proof / "000006-2026-02-02"),
        ("head 000006-2026-02-02: field number does not fit: 5, not 6",),
    ),
    "a head under another day": Tampering(
        another_day,
        ("head 000002-2026-02-03: field day does not fit: 2026-02-02, not 2026-02-03",),
    ),
}


def test_untouched_days_hold(untouched: SignedDays, capsys: pytest.CaptureFixture[str]) -> None:
    code, text = verify(untouched, capsys, "--key", f"{untouched.key}.pub")
    assert code == 0, text
    *lines, last = text.splitlines()
    assert len(lines) == 8
    assert last.startswith("holds: signatures, 5 heads, 8 leaves, 0 without a file, 1 otherwise; last head ")
    (corrected,) = [line for line in lines if "but for" in line]
    assert corrected.startswith(SYMBOL_DAY)
    assert corrected.endswith(", but for 1 that the leaf has otherwise")


def test_there_are_enough_kinds() -> None:
    assert len(TAMPERINGS) >= 70


#: Kinds that are shown to the script beside the proof, by an interpreter with the standard library alone.
TO_THE_SCRIPT = some_of(tuple(TAMPERINGS), 6)


@pytest.mark.parametrize("kind", TAMPERINGS)
def test_it_is_named_to_a_stranger(
    kind: str, days: SignedDays, known_days: None, capsys: pytest.CaptureFixture[str]
) -> None:
    """The script is the module (test_verifier): here most kinds are shown to the module."""
    TAMPERINGS[kind].change(days)
    if kind in TO_THE_SCRIPT:
        script = str(days.proof / "verify_proof.py")
        command = [sys.executable, "-I", "-S", script, str(days.proof), "--archive", str(days.archive)]
        done = subprocess.run(command, capture_output=True, text=True, cwd=days.home)
        code, text, said = done.returncode, done.stdout, done.stderr
    else:
        verify_proof._read.cache_clear()
        code = verify_proof.main([str(days.proof), "--archive", str(days.archive)])
        text, said = capsys.readouterr()
    assert (code, said) == (1, "")
    for pattern in TAMPERINGS[kind].named:
        assert re.search(pattern, text, re.MULTILINE), (pattern, text)
    assert re.search(r"^DOES NOT HOLD, \d+ fault\(s\): ", text, re.MULTILINE)


def test_another_key_is_named_for_every_head(days: SignedDays, capsys: pytest.CaptureFixture[str]) -> None:
    make_key(days.home / "other")
    code, text = verify(days, capsys, "--key", str(days.home / "other.pub"))
    assert code == 1
    assert len(re.findall(r"^head 00000\d-\S+: signature: it is of another key", text, re.MULTILINE)) == 5


def test_newest_heads_that_were_taken_away_are_missed(
    days: SignedDays, capsys: pytest.CaptureFixture[str]
) -> None:
    known = hashlib.sha256((days.head(5) / "head.json").read_bytes()).hexdigest()
    assert verify(days, capsys, "--known", known)[0] == 0
    shutil.rmtree(days.head(5))
    assert verify(days, capsys)[0] == 0  # nothing shows it
    code, text = verify(days, capsys, "--known", known)
    assert code == 1
    assert f"head {known} is missing" in text


def test_what_is_no_head_is_no_matter(days: SignedDays, capsys: pytest.CaptureFixture[str]) -> None:
    for name in (
        ".000006-2026-02-05.part",
        "copies",
        "000002-copy-2026-02-06",
        "1abc-xxxx-yy-zz",
        "000006-2026-02-05.part",
    ):  # a writer was killed, for one
        shutil.copytree(days.head(1), days.proof / name)
    code, text = verify(days, capsys)
    assert code == 0, text
    assert "5 heads, 8 leaves, 0 without a file, 1 otherwise; last head" in text


def test_leaves_without_a_file_are_counted(days: SignedDays, capsys: pytest.CaptureFixture[str]) -> None:
    def alone(head: Fields, leaves: list[Fields]) -> None:
        leaves[1]["sources"]["archive"] = None

    signed_again(4, alone)(days)
    code, text = verify(days, capsys)
    assert code == 0, text
    assert f"usdm/{FIL} 2026-02-04: no file to compare\n" in text
    assert "holds: signatures, 5 heads, 8 leaves, 1 without a file, 1 otherwise; last head" in text


@pytest.mark.parametrize("options", [("--day", "2026-02-09"), ("--symbol", "X")])
def test_where_nothing_is_checked_nothing_holds(
    options: tuple[str, str], days: SignedDays, capsys: pytest.CaptureFixture[str]
) -> None:
    code, text = verify(days, capsys, *options)
    assert code == 1
    assert text.startswith("no leaf: signatures, 5 heads, 0 leaves, 0 without a file, 0 otherwise; last head")


def test_what_is_no_folder_of_signed_days_is_told(
    days: SignedDays, capsys: pytest.CaptureFixture[str]
) -> None:
    (single := days.home / "single.json").write_text("{")
    for path in (days.home / "absent", days.archive, single, days.key):
        with pytest.raises(SystemExit, match=f"{path} or its .* cannot be used: "):
            verify_proof.main([str(path)])
    for key in ("", str(days.home / "absent.pub")):  # never the folder's own instead
        with pytest.raises(SystemExit, match="--key cannot be used: "):
            verify(days, capsys, "--key", key)


def test_signatures_are_those_of_ssh_keygen(untouched: SignedDays) -> None:
    command = [
        "ssh-keygen", "-Y", "verify", "-f", str(untouched.proof / "allowed_signers"), "-I", "feeder-tui",
        "-n", "feeder-tui-proof", "-s",
    ]  # fmt: skip
    for number in range(1, 6):
        home = untouched.head(number)
        content = (home / "head.json").read_bytes()
        done = subprocess.run([*command, str(home / "head.json.sig")], input=content, capture_output=True)
        assert done.returncode == 0, done.stderr
        assert b'Good "feeder-tui-proof" signature for feeder-tui with ED25519 key' in done.stdout
    wrong_purpose = [part if part != "feeder-tui-proof" else "git" for part in command]
    done = subprocess.run([*wrong_purpose, str(home / "head.json.sig")], input=content, capture_output=True)
    assert done.returncode != 0


def test_the_files_key_is_one_that_ssh_keygen_reads(untouched: SignedDays) -> None:
    done = subprocess.run(["ssh-keygen", "-l", "-f", str(untouched.key)], capture_output=True, text=True)
    assert done.returncode == 0
    assert "(ED25519)" in done.stdout


# --- the store -----------------------------------------------------------------------------------


def test_a_damaged_day_of_the_store_is_no_day_that_is_not_stored(
    untouched: SignedDays, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(untouched.home, tmp_path / "copy")
    days = SignedDays(tmp_path / "copy")
    damage_day(days.store, AVAX, parse_time(DAY))
    flags = {"application.storage_path": str(days.store), "proof.folder": str(days.proof)}
    config = load(None, environ={}, flags=flags).config
    assert proof_run.verify(config, proof_run.Chosen(DAY, AVAX, str(days.archive), None, None)) == 4
    text = capsys.readouterr().out
    assert f"usdm/{AVAX} {DAY}: the stored day is damaged: its checksum differs\n" in text
    assert text.endswith("store: 0 symbol-days as signed, 1 symbol-day damaged\n")


@pytest.mark.parametrize("field", FIELDS[1:])
def test_a_changed_number_in_the_store_is_named(
    field: str, untouched: SignedDays, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(untouched.home, tmp_path / "copy")
    days = SignedDays(tmp_path / "copy")
    at = parse_time(DAY) + 191 * MINUTE_MS
    store = Store(days.store)
    rows = store.read(AVAX, at, at + MINUTE_MS).copy()
    rows[field] += 1 if field == "trades" else 0.001
    store.put(AVAX, rows, Source.ARCHIVE_MONTH).result()
    store.close()
    flags = {"application.storage_path": str(days.store), "proof.folder": str(days.proof)}
    config = load(None, environ={}, flags=flags).config
    chosen = proof_run.Chosen(DAY, AVAX, str(days.archive), None, None)
    assert proof_run.verify(config, chosen) == 4
    text = capsys.readouterr().out
    assert f"usdm/{AVAX} {DAY}: store and leaf differ: minute 03:11, field {field}\n" in text
    assert "store: 0 symbol-days as signed, 1 symbol-day not" in text


def test_a_leaf_by_itself_holds_and_names_what_changed(
    days: SignedDays, capsys: pytest.CaptureFixture[str]
) -> None:
    assert proof_run.show(days.proof, DAY, FIL, False) == 0
    single = days.home / "FIL.json"
    single.write_text(capsys.readouterr().out)
    options = [str(single), "--archive", str(days.archive), "--key", f"{days.key}.pub"]
    assert verify_proof.main(options) == 0
    assert verify_proof.main(options[:3]) == 0  # with the key that it brings along
    capsys.readouterr()
    content = json.loads(single.read_text())
    for name, old, fault in (("leaf", '"revision":', "inclusion path"), ("head", '"leaves":', "signature: ")):
        changed = {**content, name: content[name].replace(old, f"{old}1")}
        single.write_text(json.dumps(changed))
        verify_proof._read.cache_clear()
        assert verify_proof.main(options) == 1
        assert fault in capsys.readouterr().out
    (name, text), day = next(iter(content.items())), '"day":"2026-02-02"'
    assert name == "head"
    head = text.replace(day, '"day":"2026-02-01"').encode()
    signature = Signer(days.key).sign(head).decode()
    single.write_text(json.dumps({**content, "head": head.decode(), "signature": signature}))
    verify_proof._read.cache_clear()
    assert verify_proof.main(options) == 1
    assert "root of the head of its day" in capsys.readouterr().out
    content["path"][0][1] = content["path"][0][1][::-1]
    single.write_text(json.dumps(content))
    verify_proof._read.cache_clear()
    assert verify_proof.main(options) == 1
    assert "inclusion path does not lead from the leaf" in capsys.readouterr().out


def test_days_that_nobody_changed_are_as_stored(
    untouched: SignedDays, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = {"application.storage_path": str(untouched.store), "proof.folder": str(untouched.proof)}
    config = load(None, environ={}, flags=flags).config
    assert proof_run.verify(config, proof_run.Chosen(None, None, str(untouched.archive), None, None)) == 0
    assert "store: 8 symbol-days as signed\n" in capsys.readouterr().out
