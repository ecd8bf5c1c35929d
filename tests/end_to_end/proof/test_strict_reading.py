"""Whatever is in the files that a verifier reads, one message names it; nothing can be read in two ways."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shutil
from calendar import monthrange
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import proof_from_document as document
import pytest
from hypothesis import given
from hypothesis import strategies as st
from proof_vectors import DAY, FIRST_HASH, HEADS, SECOND_HEAD, SECOND_LEAF, SYMBOL, VectorFolder

from tui_feeder import verify_proof
from tui_feeder.commands import proof_run
from tui_feeder.config import load
from tui_feeder.engine.proof.reading import parse_head, parse_leaf
from tui_feeder.engine.storage.store import Store
from tui_feeder.errors import FeederError

SECOND = f"head {HEADS[1][0]}: "
LEAF, HEAD = SECOND_LEAF.encode(), SECOND_HEAD.encode()


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> VectorFolder:
    """For tests that write all that they read."""
    return VectorFolder(tmp_path_factory.mktemp("vectors"))


@pytest.fixture
def days(tmp_path: Path) -> VectorFolder:
    return VectorFolder(tmp_path)


def verify(path: Path, archive: str | Path, *more: str, signed: bool = False) -> tuple[int, str]:
    """Exit code, and all that was printed; anything but these is a fault of the verifier.

    Only where signatures matter a program checks them, which takes its time.
    """
    verify_proof._read.cache_clear()
    code: object = None
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.ExitStack() as patched:
        if not signed:
            patched.enter_context(mock.patch.object(shutil, "which", return_value=None))
        try:
            code = verify_proof.main([str(path), "--archive", str(archive), *more])
        except SystemExit as end:
            code = end.code
    if isinstance(code, int):
        return code, out.getvalue()
    assert isinstance(code, str)
    assert "\n" not in code
    return 1, out.getvalue() + code


def in_feeder(days: VectorFolder, store: Path) -> str:
    """What ``feeder-tui proof verify`` prints, or the message of its error."""
    flags = {"application.storage_path": str(store), "proof.folder": str(days.proof)}
    config = load(None, environ={}, flags=flags).config
    verify_proof._read.cache_clear()
    unsigned = mock.patch.object(shutil, "which", return_value=None)
    with contextlib.redirect_stdout(io.StringIO()) as out, unsigned:
        try:
            proof_run.verify(config, proof_run.Chosen(None, None, str(days.archive), None, None))
        except (FeederError, SystemExit) as end:
            return out.getvalue() + str(end)
    return out.getvalue()


def test_the_vectors_hold(days: VectorFolder) -> None:
    code, text = verify(days.proof, days.archive)
    assert code == 0, text
    single = days.proof / "single.json"
    single.write_text(json.dumps(days.single()))
    assert verify(single, days.archive)[0] == 0


# --- one form of the bytes -----------------------------------------------------------------------


def again(raw: bytes, *, indent: int | None = None, ascii_only: bool = False, order: int = 1) -> bytes:
    """The same object, written in another way."""
    content = dict(list(json.loads(raw).items())[::order])
    separators = (", ", ": ") if indent is None and order == 1 and not ascii_only else (",", ":")
    return json.dumps(content, indent=indent, ensure_ascii=ascii_only, separators=separators).encode()


def replacing(old: str, new: str) -> Callable[[bytes], bytes]:
    def change(raw: bytes) -> bytes:
        assert old.encode() in raw, old
        return raw.replace(old.encode(), new.encode(), 1)

    return change


#: Ways to write a leaf and a head that a lax reader takes for the same, and what is named.
OTHERWISE: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "blanks": (again, "not in the one form of its bytes .*, from byte"),
    "lines": (lambda raw: again(raw, indent=1), "not in the one form|it does not begin with a hash"),
    "another order of keys": (lambda raw: again(raw, order=-1), "not in the one form"),
    "a key twice": (replacing('{"', '{"version":1,"'), "field version is there twice"),
    "a key of an object within twice": (
        replacing('"feeder":"1.0"', '"feeder":"1.0","further":{"a":1,"a":1}'), "field a is there twice",
    ),
    "a newline at the end": (lambda raw: raw + b"\n", "not in the one form|does not begin with a hash"),
    "a carriage return at the end": (lambda raw: raw + b"\r", "not in the one form"),
    "a blank at the beginning": (lambda raw: b" " + raw, "not in the one form"),
    "a byte order mark": (lambda raw: b"\xef\xbb\xbf" + raw, "it is no JSON"),
    "UTF-16": (lambda raw: raw.decode().encode("utf-16"), "it is no UTF-8|no newline|does not begin"),
    "an escape that is not needed": (replacing("2026", "\\u0032026"), "not in the one form"),
    "an escaped slash": (replacing('"1.0"', '"1\\/0"'), "not in the one form"),
    "an escape in capitals": (replacing('"1.0"', '"\\u001F"'), "not in the one form"),
    "half of a pair": (replacing('"1.0"', '"\\ud800"'), "half of a surrogate pair"),
    "a decimal": (replacing('"version":1', '"version":1.0'), "1.0 is no whole number|field version is 1.0"),
    "an exponent": (replacing('"version":1', '"version":1e0'), "1e0 is no whole number|not in the one form"),
    "true": (replacing('"version":1', '"version":true'), "field version is true, not 1"),
    "null": (replacing('"feeder":"1.0"', '"feeder":null'), "field feeder is null, not a text"),
    "NaN": (replacing('"version":1', '"version":NaN'), "field version is NaN|NaN is no whole number"),
    "infinity": (replacing('"version":1', '"version":-Infinity'), "Infinity"),
    "minus zero": (replacing('"version":1', '"version":-0'), "not in the one form"),
    "a zero before a number": (replacing('"version":1', '"version":01'), "it is no JSON"),
    "a number of 5,000 digits": (replacing('"version":1', f'"version":{"1" * 5000}'), "4300 digits"),
    "a number of 4,000 digits": (
        replacing('"version":1', f'"version":{"1" * 4000}'), "field version is 1{80}",
    ),
    "a text for a number": (replacing('"version":1', '"version":"1"'), 'field version is "1", not 1'),
    "a comment": (lambda raw: raw + b"//", "it is no JSON"),
    "a list": (lambda raw: b"[" + raw + b"]", "it is no object"),
    "a comma too many": (lambda raw: raw[:-1] + b",}", "it is no JSON"),
    "nothing": (lambda _: b"", "it is no JSON"),
    "a NUL": (lambda raw: raw + b"\0", "it is no JSON"),
    "half of it": (lambda raw: raw[: len(raw) // 2], "it is no JSON"),
    "lists in lists": (replacing('"1.0"', "[" * 100_000 + "]" * 100_000), "nested too deeply"),
}  # fmt: skip
#: What is in the one form, but no field of a leaf or head.
PLAIN = ("a text for a number", "a number of 4,000 digits")
#: What proves nothing otherwise: whether it is in its form, ``feeder-tui proof verify`` tells.
ONLY_FORM = (
    "null", "lists in lists", "a decimal", "true", "a key of an object within twice", "-",
)  # fmt: skip


def accepted(parse: Callable[[bytes], object], raw: bytes) -> bool:
    """Whether a reader takes some bytes."""
    try:
        parse(raw)
    except (ValueError, RecursionError, TypeError, KeyError):  # the last two where it is no such object
        return False
    return True


def judged_alike(raw: bytes) -> None:
    """The verifier, which leaves the form of fields to the program, takes whatever the program does."""
    taken = accepted(parse_leaf, raw) or accepted(parse_head, raw)
    assert accepted(verify_proof._parse, raw) >= taken


def refused_by_place(days: VectorFolder, way: str) -> None:
    """``verify_proof.py`` names head, file and line, or a field."""
    code, text = verify(days.proof, days.archive)
    assert code == 1, way
    place = r"(head\.json|leaves\.txt(, line \d)?) (cannot be used: |is not )|field \w+ does not fit: "
    leaf = f"usdm/{SYMBOL} {DAY}: (field |leaf, zip or CHECKSUM cannot be used: )"
    assert re.search(f"^({SECOND}({place})|{leaf})", text, re.MULTILINE), text


@pytest.mark.parametrize("way", OTHERWISE)
def test_a_leaf_written_otherwise_is_refused(way: str, kept: VectorFolder) -> None:
    change, named = OTHERWISE[way]
    with contextlib.nullcontext() if way in PLAIN else pytest.raises((ValueError, RecursionError)):
        document.one_form(change(LEAF))
    judged_alike(change(LEAF))
    kept.sign_leaf(change(LEAF))
    text = in_feeder(kept, kept.proof / "no store")
    assert re.search(f"^{SECOND}leaves.txt, line \\d: .*({named})", text, re.MULTILINE), text
    if way not in ONLY_FORM:
        refused_by_place(kept, way)


@pytest.mark.parametrize("way", OTHERWISE)
def test_a_head_written_otherwise_is_refused(way: str, kept: VectorFolder) -> None:
    change, named = OTHERWISE[way]
    with contextlib.nullcontext() if way in PLAIN else pytest.raises((ValueError, RecursionError)):
        document.one_form(change(HEAD))
    judged_alike(change(HEAD))
    kept.sign_head(change(HEAD))
    text = in_feeder(kept, kept.proof / "no store")
    assert re.search(f"^{SECOND}head.json: .*({named})", text, re.MULTILINE), text
    if way not in ONLY_FORM:
        refused_by_place(kept, way)


def test_bytes_that_are_no_text_are_named(kept: VectorFolder) -> None:
    kept.sign_leaf(LEAF.replace(b"1.0", b"\xff"))
    assert f"{SECOND}leaves.txt, line 1: it is no UTF-8" in in_feeder(kept, kept.proof / "no store")
    kept.sign_head(HEAD.replace(b"1.0", b"\xff"))
    assert f"{SECOND}head.json: it is no UTF-8" in in_feeder(kept, kept.proof / "no store")


def test_names_in_other_letters_and_further_fields_are_taken() -> None:
    leaf = document.canonical_json(
        {**json.loads(LEAF), "币": {"é": [1, -2, "\x1f\x7f"]}, "symbol": "币安USDT"}
    )
    assert parse_leaf(leaf)["币"] == {"é": [1, -2, "\x1f\x7f"]}
    assert document.one_form(leaf)["symbol"] == "币安USDT"


@pytest.mark.parametrize("value", [None, True, False, 1.5, [None], {"a": {"b": [1, 1e300]}}])
def test_further_fields_are_of_texts_and_whole_numbers(value: object) -> None:
    leaf = document.canonical_json({**json.loads(LEAF), "sources.archive": value})
    with pytest.raises(ValueError, match=r"field sources\.archive.* neither a text nor a whole number"):
        parse_leaf(leaf)
    with pytest.raises(ValueError, match="document"):
        document.one_form(leaf)


#: What a field may not be, and what is named then. Places as in messages.
WRONG: tuple[tuple[str, object, str], ...] = (
    ("market", "futures", "usdm, spot or coinm"),
    ("market", "coinm", "field contract_size is there in each leaf of coinm"),
    ("contract_size", "100", "field contract_size is there in each leaf of coinm"),
    ("symbol", "", "a name of at most 64"),
    ("symbol", "../../etc", "a name of at most 64"),
    ("symbol", "..", "a name of at most 64"),
    ("symbol", "A B", "a name of at most 64"),
    ("symbol", "A\nB", "a name of at most 64"),
    ("symbol", "A" * 65, "a name of at most 64"),
    ("day", "2026-02-30", "a day such as"),
    ("day", "20260201", "a day such as"),
    ("day", "-001-01-01", "a day such as"),
    ("day", "1969-12-31", "a day such as"),
    ("day", "9999-12-31", "a day such as"),
    ("day", -1, "field day is -1, not a day"),
    ("revision", 0, "a whole number from 1"),
    ("revision", 10**30, "a whole number from 1"),
    ("canonical", "AB" * 32, "64 hex digits in small letters"),
    ("canonical", "ab" * 31, "64 hex digits in small letters"),
    ("locator", "ab" * 187, "376 hex digits"),
    ("counts", {"p": 1440, "q": 0}, r"field counts\.q is 0"),
    ("counts", {"p": 1441}, r"field counts\.p is 1441"),
    ("counts", {"x": 1440}, r"field counts\.x is one that there is not"),
    ("counts", {"p": 1439}, "field counts has not 1440 minutes"),
    ("counts", [], "field counts is no object"),
    ("sources.minutes", {"archive": 1}, "sources.minutes not those of p and q"),
    ("sources.minutes", {"gateway": 2}, r"field sources\.minutes\.gateway is one that there is not"),
    ("sources.rest", [[1, 2]], r"field sources\.rest\[0\] has 2 values, not 3"),
    ("sources.rest", [[1, 2, "now"]], r"field sources\.rest\[0\]\[2\] is \"now\", not a time"),
    ("sources.rest", {}, r"field sources\.rest is no list"),
    ("sources.archive", None, "field other is left out where there is no file"),
    ("sources.archive.read", "2026-02-02T08:40:59+00:00", "a time such as"),
    ("sources.archive.sha256", 5, r"field sources\.archive\.sha256 is 5, not 64"),
    ("sources.further", 1, r"field sources\.further is one that there is not"),
    ("other", [], "field other is left out where"),
    ("other", [[-1, 2, "m"]], r"field other\[0\]\[0\] is -1"),
    ("other", [5], r"field other\[0\] is no list"),
    ("other", [[0, 2, "x,,,,,,,,,"]], r"field other\[0\]\[2\] is .*the text of a canonical line"),
    ("other", [[0, 2, "m,,,,,,,,"]], r"field other\[0\]\[2\] is .*the text of a canonical line"),
    ("other", [[0, 2, "p,1,1,1,1,1,1,1.5,1,1"]], r"field other\[0\]\[2\] is .*of a canonical line"),
    ("other", [[5, 5, "m,,,,,,,,,"]], "fields other and sources.rest have a run"),
    ("other", [[0, 5, "m,,,,,,,,,"], [4, 6, "n,,,,,,,,,"]], "fields other and sources.rest have a run"),
    ("sources.rest", [[2, 1, "2026-02-02T08:40:59Z"]], "fields other and sources.rest have a run"),
    ("sources.rest", [[1, 2, "2026-02-30T08:40:59Z"]], r"field sources\.rest\[0\]\[2\] is .*not a time"),
    ("sources.archive.read", "2026-02-02T24:00:00Z", "a time such as"),
    ("sources.archive.checksum", "0" * 64, r"field sources\.archive\.checksum has another SHA-256"),
    ("sources.archive.etag", 5, r"field sources\.archive\.etag is 5, not a text"),
    ("feeder", 5, "field feeder is 5, not a text"),
    ("revision", 10**15, "a whole number from 1"),
    ("locator", "AB" * 188, "376 hex digits"),
    ("day", "2100-02-29", "a day such as"),
    ("day", "2027-02-29", "a day such as"),
)  # fmt: skip


def changed(raw: bytes, place: str, value: object) -> bytes:
    content = json.loads(raw)
    *outer, last = place.split(".")
    inner = content
    for name in outer:
        inner = inner[name]
    inner[last] = value
    return document.canonical_json(content)


@pytest.mark.parametrize(("place", "value", "named"), WRONG)
def test_a_field_of_a_leaf_that_is_wrong_is_named(place: str, value: object, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        parse_leaf(changed(LEAF, place, value))


COIN = {**json.loads(LEAF), "market": "coinm"}


@pytest.mark.parametrize(
    ("size", "taken"),
    [("100", True), ("1e-3", True), ("0", False), ("-1", False), ("1e999", False), ("1e-999", False),
     ("+1", False), ("01", False), (".5", False), ("", False), (None, False), (100, False)],
)  # fmt: skip
def test_what_a_contract_is_worth_is_judged(size: object, taken: bool) -> None:
    raw = document.canonical_json({**COIN, "contract_size": size})
    assert accepted(parse_leaf, raw) == taken


@pytest.mark.parametrize(
    "symbol",
    ["A", "币安", 'A"B', '"', "." * 3, "A" * 64, "\u3000", ".", "..", "a/b", "\\", "\x7f", "\n", "A" * 65],
)
def test_names_are_judged(symbol: str) -> None:
    raw = document.canonical_json({**json.loads(LEAF), "symbol": symbol})
    taken = symbol not in (".", "..", "a/b", "\\", "\x7f", "\n", "A" * 65)
    assert accepted(parse_leaf, raw) == taken


def test_every_day_that_there_is_is_taken_and_no_other() -> None:
    for year in (1969, 1970, 1999, 2000, 2024, 2026, 2100, 2199, 2200):
        for month in range(14):
            for day in range(33):
                text = f"{year}-{month:02}-{day:02}"
                there = 1970 <= year < 2200 and 0 < month < 13 and 0 < day <= monthrange(year, month)[1]
                leaf = LEAF.replace(b'"day":"2026-02-01"', f'"day":"{text}"'.encode())
                assert accepted(parse_leaf, leaf) == there, text


@pytest.mark.parametrize(
    "place", [*json.loads(LEAF), *(f"sources.{name}" for name in json.loads(LEAF)["sources"])]
)
def test_a_field_of_a_leaf_that_is_missing_is_named(place: str, days: VectorFolder) -> None:
    content = json.loads(LEAF)
    *outer, last = place.split(".")
    del (content[outer[0]] if outer else content)[last]
    if place == "other":
        return  # which may be
    days.sign_leaf(document.canonical_json(content))
    if place not in ("feeder", "sources.minutes", "sources.rest"):  # which prove nothing
        refused_by_place(days, "missing")
    assert f"{SECOND}leaves.txt, line 1: field {place} is missing\n" in in_feeder(
        days, days.proof / "no store"
    )


@pytest.mark.parametrize("place", json.loads(HEAD))
def test_a_field_of_a_head_that_is_missing_is_named(place: str, days: VectorFolder) -> None:
    content = json.loads(HEAD)
    del content[place]
    days.sign_head(document.canonical_json(content))
    if place != "feeder":  # which proves nothing
        refused_by_place(days, "missing")
    assert f"{SECOND}head.json: field {place} is missing\n" in in_feeder(days, days.proof / "no store")


def test_lines_of_leaves_have_one_form(days: VectorFolder) -> None:
    file = days.proof / HEADS[1][0] / "leaves.txt"
    content = file.read_bytes()
    for other, named in (
        (content[:-1], "leaves.txt, line 1: no newline ends it"),
        (content + b"\n", "leaves.txt, line 2: it does not begin with a hash and a blank"),
        (content.replace(b"\n", b"\r\n"), "leaves.txt, line 1: it is not in the one form"),
        (content.replace(b" ", b"\t", 1), "leaves.txt, line 1: it does not begin with a hash and a blank"),
        (content[:64].upper() + content[64:], "leaves.txt, line 1: it does not begin with a hash"),
        (b"", "field leaves does not fit: 1"),
    ):
        file.write_bytes(other)
        refused_by_place(days, named)
        if other:
            assert SECOND + named in in_feeder(days, days.proof / "no store")


# --- files that are none -------------------------------------------------------------------------

FILES = ("head.json", "head.json.sig", "leaves.txt", "allowed_signers", "zip", "CHECKSUM", "single.json")


def file_of(days: VectorFolder, name: str) -> Path:
    if name == "single.json":
        (single := days.proof / name).write_text(json.dumps(days.single()))
        return single
    of_head = days.proof / HEADS[1][0] / name
    return {"allowed_signers": days.proof / name, "zip": days.zip, "CHECKSUM": days.checksum}.get(
        name, of_head
    )


#: What may stand in the place of a file.
INSTEAD: dict[str, Callable[[Path], object]] = {
    "nothing": lambda _: None,
    "a directory": Path.mkdir,
    "a pipe": os.mkfifo,
    "a link to nothing": lambda file: file.symlink_to("nothing"),
    "a link to itself": lambda file: file.symlink_to(file),
    "an endless device": lambda file: file.symlink_to("/dev/zero"),
    "an empty file": Path.touch,
    "a NUL": lambda file: file.write_bytes(b"\0"),
    "no UTF-8": lambda file: file.write_bytes(b"\xff\xfe\xfa" * 50),
    "a file of holes": lambda file: (file.touch(), os.truncate(file, 1 << 40)),
    "a file nobody can read": lambda file: file.symlink_to("/proc/self/mem"),  # root neither, at its begin
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("instead", INSTEAD)
def test_what_stands_in_the_place_of_a_file_is_named(
    instead: str, name: str, days: VectorFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    (file := file_of(days, name)).unlink()
    INSTEAD[instead](file)
    if instead == "a pipe" and name in ("head.json", "head.json.sig", "leaves.txt", "allowed_signers"):
        assert f"{name} is no regular file" in in_feeder(days, days.proof / "no store")
    signed = name in ("head.json.sig", "allowed_signers")
    monkeypatch.setattr(verify_proof, "MOST", 4 << 20)  # of what has no end; 64 MiB take seconds
    code, text = verify(file if name == "single.json" else days.proof, days.archive, signed=signed)
    absent = name in ("zip", "CHECKSUM") and (not file.is_file() or instead == "a file nobody can read")
    assert code == (3 if absent else 1)
    place = {"zip": "usdm/AUSDT 2026-02-01: .*zip", "CHECKSUM": "usdm/AUSDT 2026-02-01: .*CHECKSUM"}.get(
        name, re.escape(name)
    )
    if name == "head.json.sig" and file.is_file():
        place = f"{SECOND}(head.json.sig|signature)"
    if name == "allowed_signers" and file.is_file():
        place = "(no public key .* is in|Input/output error.*) .*/allowed_signers|there are more than"
    if name == "leaves.txt" and instead == "an empty file":
        place = f"{SECOND}field leaves does not fit"
    assert re.search(place, text), text
    if name not in ("single.json", "zip", "CHECKSUM", "allowed_signers"):
        assert in_feeder(days, days.proof / "no store")


@pytest.mark.parametrize("after", [b"\n", b"x", bytes(100_000)])
def test_what_follows_a_signature_is_refused(after: bytes, days: VectorFolder) -> None:
    file = days.proof / HEADS[1][0] / "head.json.sig"
    file.write_bytes(file.read_bytes() + after)
    assert f"{SECOND}head.json.sig: it is not the lines from BEGIN" in in_feeder(days, days.proof / "none")


@pytest.mark.parametrize("name", ["leaves.txt", "head.json", "head.json.sig"])
def test_what_is_too_large_is_refused_in_a_short_line(name: str, days: VectorFolder) -> None:
    os.truncate(days.proof / HEADS[1][0] / name, verify_proof.MOST + 1)
    code, text = verify(days.proof, days.archive)
    assert code == 1
    assert f"{SECOND}{name} cannot be used: ValueError('there are more than 67108864 bytes: file:" in text
    assert len(text) < 2_000


def test_bytes_that_are_no_text_are_not_printed_back(days: VectorFolder) -> None:
    (days.proof / HEADS[1][0] / "leaves.txt").write_bytes(b"0" * 64 + b" " + b"\xff" * 1_000_000 + b"\n")
    assert len(verify(days.proof, days.archive)[1]) < 2_000


@pytest.mark.parametrize(("raw", "field"), [(HEAD, "day"), (LEAF, "symbol")])
def test_long_texts_are_not_printed_back(raw: bytes, field: str, days: VectorFolder) -> None:
    long = changed(raw, field, "x" * 1_000_000)
    (days.sign_head if raw is HEAD else days.sign_leaf)(long)
    code, text = verify(days.proof, days.archive)
    assert code == 1
    assert len(text) < 10_000


def test_heads_after_one_that_cannot_be_read_are_not_accused(days: VectorFolder) -> None:
    (days.proof / HEADS[0][0] / "head.json").write_bytes(b"[]")
    code, text = verify(days.proof, days.archive)
    assert code == 1
    assert re.findall("^head [^:]*: ", text, re.MULTILINE) == [f"head {HEADS[0][0]}: "]


def test_a_key_that_is_not_there_is_named_by_the_command_too(days: VectorFolder) -> None:
    (days.proof / "allowed_signers").write_bytes(b"")
    assert f"is in {days.proof}/allowed_signers" in in_feeder(days, days.proof / "no store")


def test_a_link_to_a_file_is_followed(days: VectorFolder) -> None:
    for name in FILES[:-1]:
        file = file_of(days, name)
        file.rename(moved := file.with_name(f"moved-{file.name}"))
        file.symlink_to(moved)
    assert verify(days.proof, days.archive)[0] == 0


@pytest.mark.parametrize(
    "name", ["000003-2026-02-02", "000003-0000-00-00", "000003-9999-99-99", f"{'9' * 200}-2026-02-02"]
)
def test_a_file_with_the_name_of_a_head_is_named(name: str, days: VectorFolder) -> None:
    (days.proof / name).touch()
    code, text = verify(days.proof, days.archive)
    assert code == 1
    assert f"head {name}: head.json cannot be used: " in text
    assert name in in_feeder(days, days.proof / "no store")


def test_two_heads_of_a_number_are_named(days: VectorFolder) -> None:
    shutil.copytree(days.proof / HEADS[1][0], days.proof / "000002-2026-02-02")
    code, text = verify(days.proof, days.archive)
    assert code == 1
    assert "head 000002-2026-02-02: field number does not fit: 2" in text


def test_nothing_that_others_wrote_moves_the_cursor_or_begins_a_line(days: VectorFolder) -> None:
    spoof = "\nholds: signatures, 2 heads, 2 leaves\x1b[2K\u202e"
    days.sign_head(document.canonical_json({**json.loads(HEAD), "replaces": [
        {"leaf": FIRST_HASH, "name": f"usdm/{spoof}", "reason": spoof},
    ], spoof: 1}))  # fmt: skip
    _, text = verify(days.proof, days.archive)
    assert "\nholds" not in text
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "\\nholds: signatures" in text


# --- anything ------------------------------------------------------------------------------------

VALUES = st.sampled_from(
    [None, True, 0, -1, 1, 2, 1440, 1441, 10**30, 1.0, float("nan"), float("inf"), "", "x", "\0", "币",
     "\ud800", "nan", "-0", "2026-02-30",
     "9999-12-31", "2026-02-01T00:00:00Z", "0" * 64, "f" * 376, [], {}, [[]],
     [[0, 1]],
     [[0, 1440, "p,1"]], {"p": 1440}, {"": None}]
)  # fmt: skip


def places_of(value: object, place: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """All places in an object."""
    if place:
        yield place
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places_of(inner, (*place, key))


def mutations(raw: str) -> st.SearchStrategy[bytes]:
    """An object with some of its fields changed, added or taken away."""
    known = list(places_of(json.loads(raw)))

    def apply(steps: list[tuple[tuple[str | int, ...], str, Any]]) -> bytes:
        content = json.loads(raw)
        for place, what, value in steps:
            inner: Any = content
            with contextlib.suppress(LookupError, TypeError, AttributeError):  # gone with an earlier step
                for key in place[:-1]:
                    inner = inner[key]
                if what == "delete":
                    del inner[place[-1]]
                elif what == "replace":
                    inner[place[-1]] = value
                elif isinstance(inner, dict):
                    inner[f"{place[-1]}{what}"] = value
                else:
                    inner.append(value)
        text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return text.encode("utf-8", "surrogatepass")

    step = st.tuples(st.sampled_from(known), st.sampled_from(["delete", "replace", "replace", "x"]), VALUES)
    return st.lists(step, min_size=1, max_size=3).map(apply)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("store") / "store"
    Store(path, exchange="a test").close()
    return path


def judged(days: VectorFolder, store: Path) -> None:
    """Nothing is raised; what does not hold has a line that names a head, a field or a file."""
    code, text = verify(days.proof, days.archive)
    *lines, last = text.splitlines()
    assert last.startswith("holds: " if code == 0 else "DOES NOT HOLD, "), text
    named = re.compile(r"head \d{6}-|.*: (field |leaf and zip |leaf, zip or CHECKSUM )")
    assert code == 0 or any(named.match(line) for line in lines), text
    by_feeder = in_feeder(days, store)
    assert "internal" not in by_feeder
    assert ("DOES NOT HOLD" in by_feeder) >= (code != 0), by_feeder


@given(raw=mutations(SECOND_LEAF))
def test_any_leaf_is_read_or_named(raw: bytes, kept: VectorFolder, store: Path) -> None:
    judged_alike(raw)
    kept.sign_leaf(raw)
    judged(kept, store)


@given(raw=mutations(SECOND_HEAD))
def test_any_head_is_read_or_named(raw: bytes, kept: VectorFolder, store: Path) -> None:
    judged_alike(raw)
    kept.sign_head(raw)
    judged(kept, store)


@given(name=st.sampled_from(FILES), at=st.floats(0, 1), cut=st.booleans(), put=st.binary(max_size=20))
def test_any_bytes_are_read_or_named(
    name: str, at: float, cut: bool, put: bytes, kept: VectorFolder, store: Path
) -> None:
    kept.sign_leaf(LEAF)
    kept.sign_head(HEAD)
    file = file_of(kept, name)
    content = file.read_bytes()
    place = int(at * len(content))
    file.write_bytes(content[:place] + put + (b"" if cut else content[place + len(put) :]))
    try:
        code, _ = verify(file if name == "single.json" else kept.proof, kept.archive)
        assert code in (0, 1)
        assert "internal" not in in_feeder(kept, store)
    finally:
        file.write_bytes(content)


SINGLE = {"head": SECOND_HEAD, "signature": "", "leaf": SECOND_LEAF, "key": "", "path": [["left", "0" * 64]]}


@given(proof=mutations(json.dumps(SINGLE)))
def test_any_single_leaf_is_read_or_named(proof: bytes, kept: VectorFolder) -> None:
    (file := kept.proof / "single.json").write_bytes(proof)
    code, text = verify(file, kept.archive)
    if code == 0:
        assert not json.loads(proof)["path"]  # as it is alone below its head
    else:
        assert re.search("cannot be used: |DOES NOT HOLD|no leaf: ", text), text
