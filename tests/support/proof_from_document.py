"""Signed days, written from docs/proof.md alone, by one who had not seen the program (standard library).

Units: `minute` is the minute of the UTC day, 0 to 1439; times of klines are ms, or µs where they have 16
digits; digests are lower-case hex in texts and 32 bytes in the tree.

What the document left open then and states now was guessed. Where the guess was another it was changed, which
is marked "Changed:"; the rest is as it was written.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

MINUTES = 1440
FIELDS = (
    "state",
    "open",
    "high",
    "low",
    "close",
    "volume",
    "quote_volume",
    "trades",
    "taker_buy_volume",
    "taker_buy_quote_volume",
)
COLUMNS = (1, 2, 3, 4, 5, 7, 8, 9, 10)  # of a line of the exchange, in the order of FIELDS[1:]
COINM_COLUMNS = (
    1,
    2,
    3,
    4,
    7,
    5,
    8,
    10,
    9,
)  # volumes in coin; 5 and 9 are contracts, times the contract's size
FOLDERS = {"usdm": "futures/um", "spot": "spot", "coinm": "futures/cm"}
EMPTY_REST = "m,,,,,,,,,"
NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?", re.ASCII)
HEAD_FOLDER = re.compile(r"(\d{6,})-(\d{4}-\d{2}-\d{2})", re.ASCII)

Number = str | int | float | Decimal


class Minute(NamedTuple):
    """One minute of a day: 0 to 1439, its state (p, q, n, u or m), its nine numbers in the order of
    `FIELDS[1:]` (none after n, u and m)."""

    minute: int
    state: str
    values: tuple[Number, ...] = ()


@dataclass
class LeafCheck:
    """What a leaf's recomputation gave. `differing` counts minutes of `other` that are not the zip's; `where`
    is what the locators name (hours, minutes of the hour, fields)."""

    canonical: bool
    counts: bool
    locator: bool
    archive: bool
    differing: int
    where: tuple[list[int], list[int], list[str]] = field(default_factory=lambda: ([], [], []))

    @property
    def holds(self) -> bool:
        """All of the leaf was found again. Changed: however many minutes differ from the zip's."""
        return self.canonical and self.counts and self.locator and self.archive


def to_double(value: Number) -> float:
    """The double of a number of the exchange. Anything but a finite decimal number is an error."""
    if isinstance(value, str) and not NUMBER.fullmatch(value):
        raise ValueError(f"not a number: {value!r}")
    number = float(value)
    if number - number != 0:
        raise ValueError(f"not finite: {value!r}")
    return number


def number_text(value: Number) -> str:
    """Shortest decimal of the same double: no exponent, no sign of a zero, no zeros at the end."""
    text = format(Decimal(repr(to_double(value))), "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def line_rest(state: str, values: Sequence[Number] = ()) -> str:
    """A line after "HHMM,", without its newline. `values` are ignored after n, u and m."""
    if state in ("n", "u", "m"):
        return state + "," * 9
    if state not in ("p", "q") or len(values) != 9:
        raise ValueError(f"state {state!r} with {len(values)} numbers")
    return ",".join([state, *map(number_text, values)])


def day_rests(rows: Iterable[Minute]) -> list[str]:
    """The 1,440 lines of a day without "HHMM," and newline; m without a row; of two rows the last counts."""
    rests = [EMPTY_REST] * MINUTES
    for row in rows:
        if not 0 <= row.minute < MINUTES:
            raise ValueError(f"minute {row.minute}")
        rests[row.minute] = line_rest(row.state, row.values)
    return rests


def day_lines(rests: Sequence[str]) -> list[str]:
    """The day's 1,440 lines with "HHMM," and newline."""
    if len(rests) != MINUTES:
        raise ValueError(f"{len(rests)} lines")
    return [f"{i // 60:02d}{i % 60:02d},{rest}\n" for i, rest in enumerate(rests)]


def canonical_bytes(rests: Sequence[str]) -> bytes:
    """Canonical bytes of a symbol's day."""
    return "".join(day_lines(rests)).encode()


def kline_minute(row: Sequence[Number], day: str, contract_size: str | None = None) -> Minute | None:
    """A kline of the exchange (columns as in its CSV) as a minute, p or q by its trades; None if it is of
    another day (of a monthly file). With `contract_size` it is one of COIN-M."""
    text = str(row[0])
    time_ms = int(text) // 1000 if len(text) == 16 else int(text)
    start_ms = int(datetime.combine(date.fromisoformat(day), datetime.min.time(), UTC).timestamp()) * 1000
    minute = (time_ms - start_ms) // 60_000
    if not 0 <= minute < MINUTES:
        return None
    if contract_size is None:
        values = [to_double(row[i]) for i in COLUMNS]
    else:
        values = [to_double(row[i]) for i in COINM_COLUMNS]
        for i in (5, 8):  # quote volume and taker buy quote volume
            values[i] *= to_double(contract_size)
    return Minute(minute, "p" if values[6] else "q", tuple(values))


def is_candle(columns: Sequence[str], spot: bool) -> bool:
    """Changed: whether a line counts; it was any that began with a digit."""
    if len(columns) != 12 or not re.fullmatch(r"\d{13}(\d{3})?", columns[0], re.ASCII):
        return False
    if not all(NUMBER.fullmatch(column) and abs(float(column)) < float("inf") for column in columns):
        return False
    start, end = int(columns[0][:13]), float(columns[6])
    end = end // 1000 if end >= 1e14 else end
    lasts = 1 <= end - start <= 59_999 if spot else end - start == 59_999
    return lasts and start % 60_000 == 0 and float(columns[8]).is_integer() and abs(float(columns[8])) < 2**53


def read_zip(data: bytes, day: str, contract_size: str | None = None, *, spot: bool = False) -> list[Minute]:
    """The minutes of one day (YYYY-MM-DD) in a daily or monthly klines zip, in the file's order.
    Changed: a file that is neither stored nor deflated is refused.
    Changed: lines that are no candles are left out; one that was too short was an error."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        names = [name for name in archive.namelist() if not name.endswith("/")]
        if len(names) != 1:
            raise ValueError(f"{len(names)} files in the zip")
        if archive.getinfo(names[0]).compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ValueError("neither stored nor deflated")
        text = archive.read(names[0]).decode("utf-8", "replace").replace("\r", "")
    rows = []
    midnight = int(datetime.combine(date.fromisoformat(day), datetime.min.time(), UTC).timestamp()) * 1000
    first, after = str(midnight), str(midnight + 86_400_000)
    for line in text.split("\n"):
        if not first <= line[:13] < after:
            continue  # Changed: lines of other days are not looked at, for speed
        columns = [column.strip(" \t") for column in line.split(",")]
        row = kline_minute(columns, day, contract_size) if is_candle(columns, spot) else None
        if row is not None:
            rows.append(row)
    return rows


def apply_other(rests: Sequence[str], other: Iterable[Sequence[Any]]) -> tuple[list[str], int]:
    """Lines with the runs of a leaf's `other` put in, and how many minutes these changed.
    A run is [first, end (exclusive), text], and the text is that of each of its minutes."""
    result = list(rests)
    for first, end, rest in other:
        if not (
            isinstance(rest, str)
            and 0 <= first < end <= MINUTES
            and rest.count(",") == 9
            and "\n" not in rest
        ):
            raise ValueError(f"run {first} to {end}")
        result[first:end] = [rest] * (end - first)
    return result, sum(a != b for a, b in zip(rests, result, strict=True))


def locator(rests: Sequence[str]) -> str:
    """94 digests of four hex digits: 24 hours, 60 minutes of all hours, 10 fields."""
    lines = day_lines(rests)
    parts = ["".join(lines[h * 60 : h * 60 + 60]) for h in range(24)]
    parts += ["".join(lines[m::60]) for m in range(60)]
    parts += [
        "".join(value + "\n" for value in column)
        for column in zip(*(r.split(",") for r in rests), strict=True)
    ]
    return "".join(hashlib.sha256(part.encode()).hexdigest()[:4] for part in parts)


def locate(first: str, second: str) -> tuple[list[int], list[int], list[str]]:
    """Hours, minutes of the hour and fields in which two locators differ."""
    places = [i for i in range(94) if first[4 * i : 4 * i + 4] != second[4 * i : 4 * i + 4]]
    return (
        [i for i in places if i < 24],
        [i - 24 for i in places if 24 <= i < 84],
        [FIELDS[i - 84] for i in places if i >= 84],
    )


def count_states(rests: Sequence[str]) -> dict[str, int]:
    """Minutes of each state that occurs."""
    states = [rest[0] for rest in rests]
    return {state: states.count(state) for state in sorted(set(states))}


def canonical_json(value: object) -> bytes:
    """JSON of leaves and heads. Letters beyond ASCII are not escaped, and no newline ends it."""
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode()


def one_form(raw: bytes) -> dict[str, Any]:
    """Changed: reads a leaf or head; ValueError where its bytes are not those that the document states."""
    body = json.loads(raw.decode())

    def plain(value: object, place: tuple[str, ...]) -> bool:
        if isinstance(value, dict):
            return all(plain(inner, (*place, key)) for key, inner in value.items())
        if isinstance(value, list):
            return all(plain(inner, (*place, "")) for inner in value)
        return type(value) in (str, int) or (value is None and place == ("sources", "archive"))

    if not isinstance(body, dict) or not plain(body, ()) or canonical_json(body) != raw:
        raise ValueError("it is not written as the document states")
    return body


def archive_path(market: str, symbol: str, day: str, monthly: bool = False) -> str:
    """Path of a symbol's zip below the archive's address, percent-encoded."""
    name, kind, span = quote(symbol, safe=""), "monthly" if monthly else "daily", day[:7] if monthly else day
    return f"/data/{FOLDERS[market]}/{kind}/klines/{name}/1m/{name}-1m-{span}.zip"


def make_leaf(
    feeder: str,
    market: str,
    symbol: str,
    day: str,
    rests: Sequence[str],
    sources: Mapping[str, Any],
    revision: int = 1,
    other: Sequence[Sequence[Any]] = (),
    contract_size: str | None = None,
    further: Mapping[str, Any] | None = None,
) -> bytes:
    """A leaf's bytes. `sources` has `archive`, `minutes` and `rest`; `further` what others know."""
    leaf: dict[str, Any] = {
        **(further or {}),
        "version": 1,
        "feeder": feeder,
        "market": market,
        "symbol": symbol,
        "day": day,
        "revision": revision,
        "canonical": hashlib.sha256(canonical_bytes(rests)).hexdigest(),
        "locator": locator(rests),
        "counts": count_states(rests),
        "sources": sources,
    }
    if other:
        leaf["other"] = other
    if contract_size is not None:
        leaf["contract_size"] = contract_size
    return canonical_json(leaf)


def leaf_of(symbol: str, day: str, revision: int = 1, zip_sha256: str = "") -> bytes:
    """Added: a leaf of a day all of whose minutes are missing; of the daily zip where that has a digest."""
    archive = {
        "path": archive_path("usdm", symbol, day), "sha256": zip_sha256, "checksum": "", "etag": "",
        "last_modified": "", "read": f"{day}T23:00:00Z",
    }  # fmt: skip
    sources = {"archive": archive if zip_sha256 else None, "minutes": {}, "rest": []}
    return make_leaf("1.0", "usdm", symbol, day, day_rests(()), sources, revision)


def check_leaf(leaf: bytes, zip_data: bytes | None) -> LeafCheck:
    """Recompute a leaf from itself and the zip of its path (None: it names none).
    Changed: without a file nothing is found again, and there is no `other`; that was to have all minutes."""
    body = json.loads(leaf)
    stated, rows = body["sources"]["archive"], list[Minute]()
    archive = (stated is None) == (zip_data is None)
    if stated is None:
        whole = sum(body["counts"].values()) == MINUTES
        return LeafCheck(True, whole, len(body["locator"]) == 376, archive and "other" not in body, 0)
    if zip_data is not None:
        digest = hashlib.sha256(zip_data).hexdigest()
        paths = [
            archive_path(body["market"], body["symbol"], body["day"], monthly) for monthly in (False, True)
        ]
        archive = (
            stated["path"] in paths
            and digest == stated["sha256"]
            and stated["checksum"].lower().split()[:1] in ([], [digest])  # Changed: these capitals, and none
        )
        size = body.get("contract_size")
        rows = read_zip(zip_data, body["day"], size, spot=body["market"] == "spot")
    rests, differing = apply_other(day_rests(rows), body.get("other", ()))
    found = locator(rests)
    return LeafCheck(
        hashlib.sha256(canonical_bytes(rests)).hexdigest() == body["canonical"],
        count_states(rests) == body["counts"],
        found == body["locator"],
        archive,
        differing,
        locate(found, body["locator"]),
    )


def leaf_hash(leaf: bytes) -> bytes:
    """RFC 6962 hash of a leaf's bytes (without a newline)."""
    return hashlib.sha256(b"\0" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """RFC 6962 hash of a node."""
    return hashlib.sha256(b"\1" + left + right).digest()


def merkle_root(hashes: Sequence[bytes]) -> bytes:
    """Root over hashes of leaves in their order; of none SHA-256 of nothing, as RFC 6962 has it."""
    if len(hashes) < 2:
        return hashes[0] if hashes else hashlib.sha256().digest()
    split = 1 << (len(hashes) - 1).bit_length() - 1
    return node_hash(merkle_root(hashes[:split]), merkle_root(hashes[split:]))


def root_from_path(leaf: bytes, path: Iterable[Sequence[str]]) -> bytes:
    """Root that a leaf's bytes and its path lead to."""
    node = leaf_hash(leaf)
    for side, other in path:
        if side not in ("left", "right"):
            raise ValueError(f"side {side!r}")
        node = (
            node_hash(bytes.fromhex(other), node) if side == "left" else node_hash(node, bytes.fromhex(other))
        )
    return node


def single_leaf_holds(document: bytes) -> bool:
    """Whether the leaf of a file of `proof show` is below its head's root and of its day; no signature."""
    parts = json.loads(document)
    head, leaf = json.loads(parts["head"]), parts["leaf"]
    return bool(
        root_from_path(leaf.encode(), parts["path"]).hex() == head["root"]
        and json.loads(leaf)["day"] == head["day"]
    )


def leaves_text(leaves: Iterable[bytes]) -> bytes:
    """`leaves.txt` of leaves, sorted by market/SYMBOL. Each line, the last too, ends with a newline."""
    bodies = [(json.loads(leaf), leaf) for leaf in leaves]
    bodies.sort(key=lambda pair: f"{pair[0]['market']}/{pair[0]['symbol']}".encode())
    return b"".join(leaf_hash(leaf).hex().encode() + b" " + leaf + b"\n" for _, leaf in bodies)


def read_leaves(text: bytes) -> list[tuple[str, bytes]]:
    """Stated hash (hex) and bytes of each leaf of a `leaves.txt`."""
    pairs = [line.partition(b" ") for line in text.split(b"\n") if line]
    return [(stated.decode(), leaf) for stated, _, leaf in pairs]


def make_head(
    feeder: str,
    number: int,
    day: str,
    time: str,
    leaves: bytes,
    previous: bytes | None = None,
    replaces: Sequence[Mapping[str, str]] = (),
) -> bytes:
    """`head.json` over a `leaves.txt`; `previous` is the `head.json` before it.
    Changed: `replaces` is a list, empty without corrections; it was one object, or not there."""
    hashes = [leaf_hash(leaf) for _, leaf in read_leaves(leaves)]
    head = {
        "version": 1,
        "feeder": feeder,
        "number": number,
        "day": day,
        "time": time,
        "leaves": len(hashes),
        "root": merkle_root(hashes).hex(),
        "previous": "0" * 64 if previous is None else hashlib.sha256(previous).hexdigest(),
    }
    return canonical_json({**head, "replaces": replaces})


def read_folder(folder: Path) -> list[tuple[str, bytes, bytes]]:
    """Name, `head.json` and `leaves.txt` of each head of a folder, by number."""
    found = sorted((int(m[1]), p) for p in folder.iterdir() if (m := HEAD_FOLDER.fullmatch(p.name)))
    return [(p.name, (p / "head.json").read_bytes(), (p / "leaves.txt").read_bytes()) for _, p in found]


def check_chain(heads: Iterable[tuple[str, bytes, bytes]], known: str | None = None) -> list[str]:
    """What does not hold of a folder's heads in their order (empty: all does). `known` is the SHA-256 (hex)
    of a head seen before; `name` is market/SYMBOL, and a day's leaf comes again only to correct its newest.
    Changed: a head may have corrections of several leaves, and first ones; it was to have one correction."""
    problems, previous, time = list[str](), "0" * 64, ""
    newest, digests = dict[tuple[str, str], tuple[str, int]](), set[str]()
    for number, (folder, head_bytes, leaves_bytes) in enumerate(heads, 1):
        head, leaves = json.loads(head_bytes), read_leaves(leaves_bytes)
        replaces = {item["name"]: item["leaf"] for item in head["replaces"]}
        bodies = [json.loads(leaf) for _, leaf in leaves]
        names = [f"{body['market']}/{body['symbol']}" for body in bodies]
        hashes = [leaf_hash(leaf) for _, leaf in leaves]
        claims = {
            "version": head["version"] == 1,
            "number": head["number"] == number,
            "previous": head["previous"] == previous,
            "folder's name": folder == f"{number:06d}-{head['day']}",
            "time": head["time"] >= time,
            "leaves": head["leaves"] == len(leaves) > 0,
            "root": merkle_root(hashes).hex() == head["root"],
            "hash of a leaf": [h.hex() for h in hashes] == [stated for stated, _ in leaves],
            "order": names == sorted(set(names), key=str.encode),
            "day": all(b["day"] == head["day"] for b in bodies),
            "replaces": set(replaces) <= set(names) and len(replaces) == len(head["replaces"]),
        }
        for name, body, own in zip(names, bodies, hashes, strict=True):
            old = newest.get((name, body["day"]), ("", 0))
            claims[f"revision of {name}"] = body["revision"] == old[1] + 1 and old[0] == replaces.get(
                name, ""
            )
            newest[name, body["day"]] = (own.hex(), body["revision"])
        problems += [f"{folder}: {claim}" for claim, holds in claims.items() if not holds]
        previous, time = hashlib.sha256(head_bytes).hexdigest(), head["time"]
        digests.add(previous)
    return problems if known is None or known in digests else [*problems, "the known head is not there"]
