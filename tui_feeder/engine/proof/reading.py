"""Reads the files of signed days, and names what of them is not as docs/proof.md states.

``verify_proof.py`` stands alone, and checks what proves something; this checks the form of every field too,
and names the value and what it should be.
"""

from __future__ import annotations

import json
import re
import stat
from collections.abc import Callable
from datetime import date, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from tui_feeder.verify_proof import MOST

_SIGNATURE = re.compile(b"-----BEGIN SSH SIGNATURE-----\n([A-Za-z0-9+/=]+\n)+-----END SSH SIGNATURE-----\n")
_SOURCES = ("archive", "rest", "stream")
_DECIMAL = r"-?(0|[1-9]\d*)(\.\d+)?"


def read_file(path: Path) -> bytes:
    """Reads a file that anybody may have made.

    Args:
        path: of a file; a link to one is followed.

    Returns:
        All of its bytes.

    Raises:
        ValueError: it cannot be read, is no regular file, or has more; the message names it.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise ValueError(f"{path.name} is no regular file")
        with path.open("rb") as opened:
            content = opened.read(MOST + 1)
    except OSError as error:
        raise ValueError(f"{path.name} cannot be read: {error.strerror or error}") from error
    if len(content) > MOST:
        raise ValueError(f"{path.name} has more than the {MOST} bytes that are read")
    return content


class _Form(NamedTuple):
    """What the value of a field has to be."""

    what: str
    fits: Callable[[Any], object]


class _Object(NamedTuple):
    """An object's fields by their forms."""

    fields: dict[str, Any]
    optional: frozenset[str] = frozenset()
    may_have_more: bool = False
    may_be_null: bool = False


def _text(what: str, pattern: str) -> _Form:
    fits = re.compile(pattern, re.ASCII | re.DOTALL).fullmatch
    return _Form(what, lambda value: type(value) is str and fits(value))


def _whole(least: int, most: int = 10**15 - 1) -> _Form:
    text = f"a whole number from {least} to {most}"
    return _Form(text, lambda value: type(value) is int and least <= value <= most)


def _calendar(what: str, written: Callable[[str], str]) -> _Form:
    def fits(value: object) -> bool:
        try:
            return type(value) is str and "1970" <= value < "2200" and written(value) == value
        except ValueError:
            return False

    return _Form(what, fits)


def _is_size(value: object) -> bool:
    number = re.fullmatch(rf"{_DECIMAL}([eE][-+]?\d+)?", value, re.ASCII) if type(value) is str else None
    return number is not None and 0 < float(number[0]) < float("inf")


_ANY, _HASH = _text("a text", ".*"), _text("64 hex digits in small letters", "[0-9a-f]{64}")
_DAY = _calendar("a day such as 2026-02-01", lambda text: date.fromisoformat(text).isoformat())
_MOMENT = _calendar(
    "a time such as 2026-02-02T08:41:07Z", lambda text: f"{datetime.fromisoformat(text[:19]).isoformat()}Z"
)
_NAME = _text("a name of at most 64 characters without blanks and slashes", r"(?!\.\.?$)[^\0- /\\\x7f]{1,64}")
_ONE = _Form("1, the version that this program reads", lambda value: type(value) is int and value == 1)
_LINE = _text("the text of a canonical line", rf"[num],{{9}}|[pq](,{_DECIMAL}){{6}},-?\d+(,{_DECIMAL}){{2}}")
_MARKET, _MINUTES = _text("usdm, spot or coinm", "usdm|spot|coinm"), _whole(1, 1440)
_FILE = dict.fromkeys(("path", "checksum", "etag", "last_modified"), _ANY) | {
    "sha256": _HASH,
    "read": _MOMENT,
}
_LEAF = _Object({
    "version": _ONE, "feeder": _ANY, "market": _MARKET, "symbol": _NAME, "day": _DAY, "revision": _whole(1),
    "canonical": _HASH, "locator": _text("376 hex digits in small letters", "[0-9a-f]{376}"),
    "counts": _Object(dict.fromkeys("pqnum", _MINUTES), frozenset("pqnum")),
    "sources": _Object({
        "archive": _Object(_FILE, may_be_null=True),
        "minutes": _Object(dict.fromkeys(_SOURCES, _MINUTES), frozenset(_SOURCES)),
        "rest": [(_whole(0, 1439), _MINUTES, _MOMENT)],
    }),
    "other": [(_whole(0, 1439), _MINUTES, _LINE)],
    "contract_size": _Form("a decimal number above 0 as text", _is_size),
}, frozenset({"other", "contract_size"}), may_have_more=True)  # fmt: skip
_HEAD = _Object({
    "version": _ONE, "feeder": _ANY, "number": _whole(1), "day": _DAY, "time": _MOMENT,
    "leaves": _whole(1), "root": _HASH, "previous": _HASH,
    "replaces": [_Object({"leaf": _HASH, "name": _ANY, "reason": _ANY})],
})  # fmt: skip


def _check(value: Any, form: Any, place: str) -> None:  # noqa: ANN401 - of JSON, and see _LEAF
    """Raises ValueError where a field has not the form that it must have."""
    if isinstance(form, _Form):
        if not form.fits(value):
            shown = json.dumps(value, ensure_ascii=False)
            raise ValueError(f"field {place} is {shown[:80]}{'...' * (len(shown) > 80)}, not {form.what}")
    elif isinstance(form, _Object):
        if value is None and form.may_be_null:
            return
        if not isinstance(value, dict):
            raise ValueError(f"field {place} is no object" if place else "it is no object")
        at = f"{place}." if place else ""
        for name, inner in form.fields.items():
            if name in value:
                _check(value[name], inner, at + name)
            elif name not in form.optional:
                raise ValueError(f"field {at}{name} is missing")
        for name in value.keys() - form.fields.keys():
            if not form.may_have_more:
                raise ValueError(f"field {at}{name} is one that there is not")
            _check_plain(value[name], at + name)
    elif not isinstance(value, list):
        raise ValueError(f"field {place} is no list")
    elif isinstance(form, tuple) and len(value) != len(form):
        raise ValueError(f"field {place} has {len(value)} values, not {len(form)}")
    else:
        for i, inner in enumerate(value):
            _check(inner, form[i] if isinstance(form, tuple) else form[0], f"{place}[{i}]")


def _check_plain(value: Any, place: str) -> None:  # noqa: ANN401 - of JSON
    """Raises ValueError where a field is, or has, anything but texts and whole numbers."""
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            _check_plain(inner, f"{place}.{key}")
    elif type(value) not in (str, int):
        raise ValueError(f"field {place} is {json.dumps(value)}, neither a text nor a whole number")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON, each of whose keys is there once."""
    found = dict[str, Any]()
    for key, value in pairs:
        if key in found:
            raise ValueError(f"field {key} is there twice")
        found[key] = value
    return found


def _no_whole_number(text: str) -> None:
    raise ValueError(f"{text[:80]} is no whole number")


def _loads(raw: bytes) -> Any:  # noqa: ANN401 - of JSON
    """JSON of texts and whole numbers."""
    try:
        return json.loads(
            raw.decode(),
            object_pairs_hook=_once,
            parse_float=_no_whole_number,
            parse_constant=_no_whole_number,
        )
    except json.JSONDecodeError as error:
        raise ValueError(f"it is no JSON: {error}") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"it is no UTF-8: {error.reason} at byte {error.start}") from error
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def _canonical(raw: bytes, form: _Object) -> dict[str, Any]:
    """The object of a form that bytes are the one way to write."""
    try:
        content: dict[str, Any] = json.loads(raw)
        written = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
        if written == raw:
            _check(content, form, "")
            return content
    except UnicodeEncodeError as error:
        raise ValueError("it has half of a surrogate pair, which is no text") from error
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    except (json.JSONDecodeError, UnicodeDecodeError):
        written = b""
    _loads(raw)  # which may name what is wrong
    at = next((i for i, (a, b) in enumerate(zip(written, raw, strict=False)) if a != b), len(written))
    raise ValueError(f"it is not in the one form of its bytes (keys sorted, no blanks), from byte {at} on")


def parse_head(raw: bytes) -> dict[str, Any]:
    """Reads a head, of which there is one way to write it.

    Args:
        raw: bytes of ``head.json``.

    Returns:
        Its fields.

    Raises:
        ValueError: it is none; the message names the field or what is wrong.
    """
    return _canonical(raw, _HEAD)


def parse_leaf(raw: bytes) -> dict[str, Any]:
    """Reads a leaf, of which there is one way to write it.

    Args:
        raw: its bytes, without a newline.

    Returns:
        Its fields.

    Raises:
        ValueError: it is none; the message names the field or what is wrong.
    """
    leaf = _canonical(raw, _LEAF)
    if ("contract_size" in leaf) != (leaf["market"] == "coinm"):
        raise ValueError("field contract_size is there in each leaf of coinm, and in no other")
    minutes, there = sum(leaf["counts"].values()), sum(leaf["counts"].get(state, 0) for state in "pq")
    if minutes != 1440 or sum(leaf["sources"]["minutes"].values()) != there:
        raise ValueError("field counts has not 1440 minutes, or field sources.minutes not those of p and q")
    if leaf.get("other") == [] or (leaf["sources"]["archive"] is None and "other" in leaf):
        raise ValueError("field other is left out where there is no file, or no run")
    archive = leaf["sources"]["archive"] or {"checksum": "", "sha256": ""}
    if archive["checksum"].lower().split()[:1] not in ([], [archive["sha256"]]):
        raise ValueError("field sources.archive.checksum has another SHA-256 than sources.archive.sha256")
    other, rest = leaf.get("other", []), leaf["sources"]["rest"]
    if any(start >= end for start, end, _ in [*other, *rest]) or any(a[1] > b[0] for a, b in pairwise(other)):
        raise ValueError("fields other and sources.rest have a run that ends before it begins, or the next")
    return leaf


def check_signature(raw: bytes) -> None:
    """Checks the form of a signature, not whether it is one of a head.

    Args:
        raw: bytes of ``head.json.sig``.

    Raises:
        ValueError: it has not the form, or something before or after it.
    """
    if not _SIGNATURE.fullmatch(raw):
        raise ValueError(
            "it is not the lines from BEGIN to END SSH SIGNATURE, each with a newline, and nothing else"
        )


def split_leaves(text: bytes) -> list[tuple[str, bytes]]:
    """Splits the lines of leaves.

    Args:
        text: of ``leaves.txt``.

    Returns:
        Of each leaf the hash that the line states, and its bytes.

    Raises:
        ValueError: a line is none; the message has its number.
    """
    lines = text.split(b"\n")
    if lines.pop():
        raise ValueError(f"leaves.txt, line {len(lines) + 1}: no newline ends it")
    for number, line in enumerate(lines, 1):
        if not re.match(b"[0-9a-f]{64} ", line):
            raise ValueError(f"leaves.txt, line {number}: it does not begin with a hash and a blank")
    return [(line[:64].decode(), line[65:]) for line in lines]
