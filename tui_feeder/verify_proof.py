"""Checks signed days of candles against the exchange's own files. Standard library only; see docs/proof.md.

python3 verify_proof.py FOLDER [--day 2026-02-01] [--symbol BTCUSDT] [--archive FOLDER_OR_URL] [--key key.pub]
python3 verify_proof.py BTCUSDT.json    one leaf with its inclusion path and head (feeder-tui proof show)
``ssh-keygen -Y verify`` checks the signatures, where it is there; all the rest is recomputed here.
"""

import argparse
import functools
import hashlib
import http.client
import io
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple
from urllib import parse, request

_ALONE = "no file to compare"
_SOURCES = ("archive", "rest", "stream")
_FIELDS = "state open high low close volume quote_volume trades taker_buy_volume taker_buy_quote_volume"
_NUMBER = r"-?(0|[1-9]\d*)(\.\d+)?([eE][-+]?\d+)?"
_CANDLE = re.compile(rf"\d{{13}}(\d{{3}})?(,[ \t]*{_NUMBER}[ \t]*){{11}}".encode())
_REST = re.compile(r"[num],{9}|[pq](,-?\d+(\.\d+)?){9}", re.ASCII)
# Bytes that are read at most of a file: it may come from anybody.
HEAD, LEAVES, LEAF, SIGNATURE, KEYS, SINGLE = 16 << 20, 256 << 20, 1 << 20, 1 << 16, 1 << 20, 32 << 20
ZIP, UNPACKED, CHECKSUM = 32 << 20, 64 << 20, 1 << 12
_SILENCE, _PATIENCE = 60, 600  # seconds without an answer, and of a whole download

# --- what files and texts there are -----------------------------------------------------------------


def read_file(path: Path, most: int) -> bytes:
    """Reads a file that anybody may have made.

    Args:
        path: of a file; a link to one is followed.
        most: bytes that it may have.

    Returns:
        All of its bytes.

    Raises:
        ValueError: it cannot be read, is no regular file, or has more; the message names it.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise ValueError(f"{path.name} is no regular file")
        with path.open("rb") as opened:
            content = opened.read(most + 1)
    except OSError as error:
        raise ValueError(f"{path.name} cannot be read: {error.strerror or error}") from error
    if len(content) > most:
        raise ValueError(f"{path.name} has more than the {most} bytes that are read")
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


def _whole(least: int, most: int = (1 << 53) - 1) -> _Form:
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
    number = re.fullmatch(_NUMBER, value, re.ASCII) if type(value) is str else None
    return number is not None and 0 < float(number[0]) < float("inf")


_ANY, _HASH = _text("a text", ".*"), _text("64 hex digits in small letters", "[0-9a-f]{64}")
_DAY = _calendar("a day such as 2026-02-01", lambda text: date.fromisoformat(text).isoformat())
_MOMENT = _calendar(
    "a time such as 2026-02-02T08:41:07Z", lambda text: f"{datetime.fromisoformat(text[:19]).isoformat()}Z"
)
_NAME = _text("a name of at most 64 characters without blanks and slashes", r"(?!\.\.?$)[^\0- /\\\x7f]{1,64}")
_ONE = _Form("1, the version that this program reads", lambda value: type(value) is int and value == 1)
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
    "other": [(_whole(0, 1439), _MINUTES, _ANY)],
    "contract_size": _Form("a decimal number above 0 as text", _is_size),
}, frozenset({"other", "contract_size"}), may_have_more=True)  # fmt: skip
_HEAD = _Object({
    "version": _ONE, "feeder": _ANY, "number": _whole(1), "day": _DAY, "time": _MOMENT,
    "leaves": _whole(1), "root": _HASH, "previous": _HASH,
    "replaces": [_Object({"leaf": _HASH, "name": _ANY, "reason": _ANY})],
})  # fmt: skip
_SIDE = _text("left or right", "left|right")
_SINGLE = _Object({"head": _ANY, "signature": _ANY, "leaf": _ANY, "key": _ANY, "path": [(_SIDE, _HASH)]})


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
    if len(raw) > LEAF:
        raise ValueError(f"it has more than the {LEAF} bytes that are read of a leaf")
    leaf = _canonical(raw, _LEAF)
    if ("contract_size" in leaf) != (leaf["market"] == "coinm"):
        raise ValueError("field contract_size is there in each leaf of coinm, and in no other")
    minutes, there = sum(leaf["counts"].values()), sum(leaf["counts"].get(state, 0) for state in "pq")
    if minutes != 1440 or sum(leaf["sources"]["minutes"].values()) != there:
        raise ValueError("field counts has not 1440 minutes, or field sources.minutes not those of p and q")
    if leaf.get("other") == [] or (leaf["sources"]["archive"] is None and "other" in leaf):
        raise ValueError("field other is left out where there is no file, or no run")
    return leaf


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


# --- what a zip has, and the minutes that follow ----------------------------------------------------


class _NotFollowed(request.HTTPRedirectHandler):
    """Where an address leads to another one the answer would be somebody else's."""

    def http_error_302(self, req: Any, fp: Any, code: int, msg: str, headers: Any) -> Any:  # noqa: ANN401
        raise ValueError(
            f"{req.full_url} leads to {headers.get('Location')}, which is not followed: see --archive"
        )

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302


@functools.lru_cache(4)
def _read(url: str, most: int) -> bytes:
    """A file of the archive, of at most so many bytes."""
    if url.startswith("file:"):
        return read_file(Path(request.url2pathname(parse.urlsplit(url).path)), most)
    content, until = bytearray(), time.monotonic() + _PATIENCE
    try:
        with request.build_opener(_NotFollowed).open(url, timeout=_SILENCE) as answer:
            while part := answer.read1(1 << 16):
                content += part
                if len(content) > most:
                    raise ValueError(f"{url} has more than the {most} bytes that are read")
                if time.monotonic() > until:
                    raise ValueError(f"{url} has not come within {_PATIENCE} s")
            if answer.length:
                raise ValueError(f"{url} ended {answer.length} bytes before its end")
    except (OSError, http.client.HTTPException) as error:
        raise ValueError(f"{url} cannot be read: {str(error) or repr(error)}") from error
    return bytes(content)


@functools.lru_cache(1)
def _rows(zipped: bytes) -> list[bytes]:
    """The lines of the file of a zip."""
    try:
        with zipfile.ZipFile(io.BytesIO(zipped)) as archive:
            if len(members := archive.infolist()) != 1:
                raise ValueError(f"the zip has {len(members)} files, not one")
            if members[0].compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise ValueError("the zip's file is neither stored nor deflated")
            with archive.open(members[0]) as opened:
                text = opened.read(UNPACKED + 1)
    except Exception as error:  # of whatever a damaged zip leads the module to
        raise ValueError(
            str(error) if type(error) is ValueError else f"the zip cannot be unpacked: {error!r}"
        ) from error
    if len(text) > UNPACKED:
        raise ValueError(f"the zip unpacks to more than the {UNPACKED} bytes that are read")
    return text.replace(b"\r", b"").split(b"\n")


def _rest(*numbers: float) -> str:
    """What a line has after its time: numbers as shortest decimals, without exponent and sign of a zero."""
    texts = [format(Decimal(repr(number + 0.0)), "f") for number in numbers]
    texts = [text.rstrip("0").rstrip(".") if "." in text else text for text in texts]
    return ",".join(["p" if numbers[6] else "q", *texts])  # the seventh is that of trades


def _lines(zipped: bytes, leaf: dict[str, Any]) -> tuple[list[bytes], int]:
    """The canonical lines of a leaf's day, and how many of them the leaf has otherwise than the zip."""
    midnight = int(datetime.fromisoformat(leaf["day"] + "T00:00:00+00:00").timestamp()) * 1000
    first, after = b"%013d" % midnight, b"%013d" % (midnight + 86_400_000)
    lines, last = [f"{i // 60:02}{i % 60:02},m,,,,,,,,," for i in range(1440)], 0
    least = 1 if leaf["market"] == "spot" else 59_999
    for row in (row.split(b",") for row in _rows(zipped) if first <= row < after and _CANDLE.fullmatch(row)):
        start, (o, h, low, c, v, end, q, n, tb, tq, ignored) = int(row[0][:13]), map(float, row[1:])
        end = end // 1000 if 1e14 <= end < 1e300 else end  # from µs
        if leaf["market"] == "coinm":  # contracts and base coins become base coins and quote asset
            v, q, tb, tq = q, v * (size := float(leaf["contract_size"])), tq, tb * size
        values = (o, h, low, c, v, q, n, tb, tq)
        finite = all(value - value == 0 for value in (*values, end, ignored))
        if finite and least <= end - start <= 59_999 and start % 60_000 == n % 1 == 0 and abs(n) < 1 << 53:
            at = (start - midnight) // 60_000
            lines[at] = f"{lines[at][:4]},{_rest(*values)}"
    in_zip = list(lines)
    for start, end, rest in leaf.get("other", []):
        fits = _REST.fullmatch(rest) and last <= start < end <= 1440
        if fits and rest[0] in "pq":
            numbers = [float(number) for number in rest[2:].split(",")]
            fits = numbers[6] % 1 == 0 and rest == _rest(*numbers)
        if not fits:
            raise ValueError(
                f"field other has {start}, {end}, {rest[:160]}: no run of a line, or not after the last"
            )
        lines[start:end], last = [f"{line[:4]},{rest}" for line in lines[start:end]], end
    return [line.encode() for line in lines], sum(map(str.__ne__, lines, in_zip))


def _differing(lines: list[bytes], locator: str) -> str:
    """Names the minutes and fields whose digests (four hex digits each) are not those of the locator."""
    columns = list(zip(*(line.split(b",") for line in lines), strict=True))[1:]
    parts = [lines[60 * h : 60 * h + 60] for h in range(24)] + [lines[m::60] for m in range(60)]
    digests = [_sha256(b"\n".join(part) + b"\n")[:4] for part in [*parts, *columns]]
    odd = [i for i, digest in enumerate(digests) if digest != locator[4 * i : 4 * i + 4]]
    times = [f"{h:02}:{m - 24:02}" for h in odd if h < 24 for m in odd if 24 <= m < 84]
    more = f" and at most {len(times) - 8} others" if len(times) > 8 else ""
    fields = [name for i, name in enumerate(_FIELDS.split()) if 84 + i in odd]
    return f"minute {', '.join(times[:8])}{more}, field {', '.join(fields)}" if odd else ""


def _leaf_faults(leaf: dict[str, Any], base: str) -> tuple[list[str], str]:
    """What of a leaf does not agree with the zip and its CHECKSUM, and what does."""
    if (archive := leaf["sources"]["archive"]) is None:
        return [], _ALONE
    name, month = parse.quote(leaf["symbol"], safe=""), "/monthly/" in archive["path"]
    folder = {"usdm": "futures/um", "coinm": "futures/cm", "spot": "spot"}[leaf["market"]]
    folder += "/monthly/klines" if month else "/daily/klines"
    path = f"/data/{folder}/{name}/1m/{name}-1m-{leaf['day'][: 7 if month else 10]}.zip"
    stated = archive["checksum"].lower().split() or [archive["sha256"]]
    fits = {
        "field sources.archive.path is not that of this symbol and day": archive["path"] == path,
    }
    faults, but = [], ""
    try:
        digest = _sha256(zipped := _read(base + path, ZIP))
        fits[f"field sources.archive.sha256 is not that of the zip, {digest}"] = archive["sha256"] == digest
        fits["field sources.archive.checksum has another SHA-256"] = stated[0] == archive["sha256"]
        lines, otherwise = _lines(zipped, leaf)
        where, states = _differing(lines, leaf["locator"]), [line[5:6].decode() for line in lines]
        fits |= {
            f"leaf and zip differ: {where}": not where,
            "field canonical is not the SHA-256 of its minutes": _sha256(b"\n".join([*lines, b""]))
            == leaf["canonical"],
            "field counts is not that of its minutes": {s: states.count(s) for s in states} == leaf["counts"],
        }
        but = f", but for {otherwise} that the leaf has otherwise" * bool(otherwise)
    except ValueError as error:
        faults.append(f"its zip cannot be used: {error}")
    try:
        checksum = _read(base + path + ".CHECKSUM", CHECKSUM).lower().split()[:1]
        if not faults:
            fits["the zip's SHA-256 is not the one in the CHECKSUM beside it"] = checksum == [digest.encode()]
    except ValueError as error:
        faults.append(f"its CHECKSUM cannot be used: {error}")
    return [x for x in fits if not fits[x]] + faults, f"its 1,440 minutes are those of {path}{but}"


# --- signatures and the chain -----------------------------------------------------------------------


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _root(hashes: list[str]) -> str:
    """The Merkle tree hash of RFC 6962, 2.1, of the hashes of leaves."""
    if len(hashes) < 2:
        return "".join(hashes)
    half = 1 << (len(hashes) - 1).bit_length() - 1
    return _sha256(b"\1" + bytes.fromhex(_root(hashes[:half]) + _root(hashes[half:])))


def _signature_faults(head: bytes, signature: bytes, key: str) -> list[str]:
    """Why ``ssh-keygen`` does not accept a signature; empty where it does, or is not there."""
    if not shutil.which("ssh-keygen"):
        return []
    command = ["ssh-keygen", "-Y", "verify", "-I", "feeder-tui", "-n", "feeder-tui-proof", "-s", "sig"]
    try:
        with tempfile.TemporaryDirectory() as scratch:
            Path(scratch, "signers").write_text(
                f"feeder-tui {key}" if key.startswith("ssh-") else key, "utf-8"
            )
            Path(scratch, "sig").write_bytes(signature)
            done = subprocess.run([*command, "-f", "signers"], cwd=scratch, input=head, capture_output=True)
    except OSError as error:
        return [f"signature: ssh-keygen cannot be used: {error}"]
    # It gives no reason where the signature is good, but of a key that is not among the signers.
    why = "; ".join(done.stderr.decode(errors="replace").split("\n")).strip("; \r")
    return [f"signature: {why or 'it is of another key than the one given'}"] * bool(done.returncode)


class _Chain(NamedTuple):
    """What is wrong, the hashes of heads, and the last leaf of each symbol and day, by name and day."""

    wrong: list[str]
    hashes: list[str]
    leaves: dict[str, bytes]


def _read_part(file: Path, most: int, faults: list[str]) -> bytes | None:
    """The bytes of a file; None with one fault more where there are none."""
    try:
        return read_file(file, most)
    except ValueError as error:
        faults.append(str(error))
        return None


def _place(leaf: dict[str, Any]) -> str:
    return f"{leaf['market']}/{leaf['symbol']} {leaf['day']}"


def _head(home: Path, faults: list[str]) -> tuple[bytes | None, dict[str, Any]]:
    """Bytes and fields of a head; without fields where it has a fault."""
    raw = _read_part(home / "head.json", HEAD, faults)
    try:
        return raw, {} if raw is None else parse_head(raw)
    except ValueError as error:
        faults.append(f"head.json: {error}")
        return raw, {}


def _leaves(home: Path, faults: list[str]) -> list[tuple[str, bytes, dict[str, Any]]] | None:
    """Hash, bytes and fields of the leaves of a head, without fields where a leaf has a fault; or None."""
    found = []
    try:
        lines = split_leaves(read_file(home / "leaves.txt", LEAVES))
    except ValueError as error:
        faults.append(str(error))
        return None
    for number, (stated, raw) in enumerate(lines, 1):
        leaf, named = dict[str, Any](), re.search(rb'"symbol":"([^"\\]{1,64})"', raw)
        try:
            leaf = parse_leaf(raw)
        except ValueError as error:
            faults.append(f"leaves.txt, line {number}: {error}")
        if (now := _sha256(b"\0" + raw)) != stated:
            name = named[1].decode(errors="replace") if named else f"line {number}"
            faults.append(f"the leaf of {name} is not the one that was signed")
        found.append((now, raw, leaf))
    return found


def _order_faults(
    head: dict[str, Any], leaves: list[tuple[str, dict[str, Any]]], last: dict[str, tuple[str, int]]
) -> list[str]:
    """Why leaves, with name and day, are not those that may follow the ones before them in the chain."""
    faults, corrected, names = list[str](), list[tuple[str, str]](), [name for name, _ in leaves]
    for name, leaf in leaves:
        before, revision = last.get(name, ("", 0))
        corrected += [(before, name)] * bool(before)
        if leaf["revision"] != revision + 1:
            faults.append(f"field revision of the leaf of {name} is {leaf['revision']}, not {revision + 1}")
    replaces = sorted((item["leaf"], f"{item['name']} {head['day']}") for item in head["replaces"])
    if replaces != sorted(corrected):
        faults.append(f"field replaces does not fit: {str(head['replaces'])[:400]}")
    if names != sorted(set(names)):
        faults.append("leaves.txt is not sorted by market/SYMBOL, each once")
    return faults


def _chain(folder: Path, key: str) -> _Chain:
    """Checks all heads in their order."""
    chain, number, previous, time_before = _Chain([], [], {}), 0, "0" * 64, ""
    last = dict[str, tuple[str, int]]()  # hash and revision, by name and day
    try:
        named = [re.fullmatch(r"(\d{6,})-\d{4}-\d\d-\d\d", name, re.ASCII) for name in os.listdir(folder)]
    except OSError as error:
        raise ValueError(f"it cannot be read: {error.strerror}") from error
    for at, name in sorted((int(match[1]), match[0]) for match in named if match):
        faults = list[str]()
        if at > number + 1:
            more = f"s {number + 1:06} to {at - 1:06} are" if at > number + 2 else f" {number + 1:06} is"
            chain.wrong.append(f"head{more} missing")
        raw, head = _head(folder / name, faults)
        signature = _read_part(folder / name / "head.json.sig", SIGNATURE, faults)
        lines = _leaves(folder / name, faults)
        leaves = lines or []
        hashes = [now for now, _, _ in leaves]
        if raw is not None and signature is not None:
            faults += _signature_faults(raw, signature, key)
        if head:
            days = {head["day"], *(leaf["day"] for _, _, leaf in leaves if leaf)}
            fits = {
                "number": f"{head['number']:06}" == name[:-11] and at > number,
                "day": days == {name[-10:]},
                "time": time_before <= head["time"] > head["day"] + "T24",
                "previous": previous in ("", head["previous"]),
                "leaves": lines is None or head["leaves"] == len(leaves),
                "root": lines is None or head["root"] == _root(hashes),
            }
            faults += [f"field {field} does not fit: {head[field]}" for field in fits if not fits[field]]
            time_before = head["time"]
            if lines is not None:
                faults += _order_faults(head, [(_place(leaf), leaf) for _, _, leaf in leaves if leaf], last)
        for now, content, leaf in leaves:
            if leaf:
                chain.leaves[_place(leaf)] = content
                last[_place(leaf)] = now, leaf["revision"]
        number, previous = at, "" if raw is None else _sha256(raw)
        chain.hashes.extend([previous] * (raw is not None))
        chain.wrong.extend(f"head {name}: {fault}" for fault in faults)
    return chain


def _single(raw: bytes, key: str | None) -> _Chain:
    """Checks a leaf with its inclusion path and head."""
    _check(proof := _loads(raw), _SINGLE, "")
    head_raw, leaf_raw = proof["head"].encode(), proof["leaf"].encode()
    head, leaf, node = parse_head(head_raw), parse_leaf(leaf_raw), _sha256(b"\0" + leaf_raw)
    for side, other in proof["path"]:
        node = _sha256(b"\1" + bytes.fromhex(other + node if side == "left" else node + other))
    wrong = _signature_faults(
        head_raw, proof["signature"].encode(), key or _public(proof["key"], "field key")
    )
    if (node, leaf["day"]) != (head["root"], head["day"]):
        wrong.append("the inclusion path does not lead from the leaf to the root of the head of its day")
    if head["time"] <= head["day"] + "T24":
        wrong.append(f"field time does not fit: {head['time']}")
    return _Chain(wrong, [_sha256(head_raw)], {_place(leaf): leaf_raw})


# --- the command line -------------------------------------------------------------------------------


def _public(text: str, place: str) -> str:
    """The text of a public key, or of ``allowed_signers``."""
    if not re.search(r"(^|\s)ssh-ed25519 AAAA", text):
        raise ValueError(f"{place} has no public key of the kind ssh-ed25519")
    return text


def _key_of(file: Path) -> str:
    try:
        return _public(read_file(file, KEYS).decode(), str(file))
    except UnicodeDecodeError as error:
        raise ValueError(f"{file} is no public key: {error.reason}") from error


def _shown(text: str) -> str:
    """A text that moves no cursor and begins no line, whoever wrote it; the terminal's coding has it."""
    coding = getattr(sys.stdout, "encoding", None) or "ascii"
    harmless = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
    return harmless.encode(coding, "backslashreplace").decode(coding)


def _base(archive: str) -> str:
    """The address of an archive."""
    if "://" not in archive and archive:
        return Path(archive).absolute().as_uri().rstrip("/")
    if not re.match("https?://[^/]|file:///", archive):
        raise ValueError(f"--archive {archive!r} is no directory, http:// or https:// address")
    return archive.rstrip("/")


def main(arguments: list[str] | None = None) -> int:
    """Checks what the command line names.

    Args:
        arguments: of the command line; None for those of the process.

    Returns:
        0 where all of it holds, 1 where not.

    Raises:
        SystemExit: nothing can be checked; its text names why.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    for name in ("proof", "--day", "--symbol", "--key", "--known", "--archive"):
        parser.add_argument(name, type=Path if name == "proof" else str)
    given = parser.parse_args(arguments)
    try:
        base = _base("https://data.binance.vision" if given.archive is None else given.archive)
        key = None if given.key is None else _key_of(Path(given.key))
        if given.proof.is_dir():
            chain = _chain(given.proof, key or _key_of(given.proof / "allowed_signers"))
        else:
            chain = _single(read_file(given.proof, SINGLE), key)
    except (ValueError, OSError) as error:
        sys.exit(_shown(f"{given.proof} cannot be checked: {error}"))
    wrong, alone = chain.wrong, 0
    if given.known not in [None, *chain.hashes]:
        wrong.append(f"head {given.known} is missing: heads were taken away or changed since it was seen")
    for fault in wrong:
        print(_shown(fault))
    chosen = 0
    for place, raw in sorted(chain.leaves.items()):
        name, _, day = place.rpartition(" ")
        if given.day in (None, day) and given.symbol in (None, name, name.partition("/")[2]):
            faults, text = _leaf_faults(parse_leaf(raw), base)
            print(_shown(f"{place}: {'; '.join(faults) or text}"), flush=True)
            wrong.extend(faults)
            chosen, alone = chosen + 1, alone + (text == _ALONE)
    checked = "signatures," if shutil.which("ssh-keygen") else "(no ssh-keygen: no signatures),"
    more, newest = f", {alone} without a file" * bool(alone), (chain.hashes or ["none"])[-1]
    print(f"DOES NOT HOLD, {len(wrong)} faults" if wrong else "holds" if chosen else "no leaf", end=": ")
    print(f"{checked} {len(chain.hashes)} heads, {chosen} leaves{more}; last head {newest}")
    return 1 if wrong or not chosen else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # whoever reads the lines has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(1)
