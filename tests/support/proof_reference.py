"""Signed days as docs/proof.md describes them, written from that page alone: texts and decimals, no float."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import zipfile
from collections import Counter
from datetime import datetime, timedelta
from functools import cache
from typing import Any

COLUMNS = (1, 2, 3, 4, 5, 7, 8, 9, 10)


def shortest(text: str) -> str:
    """A decimal of at most 15 significant digits without what it does not need."""
    sign, text = ("-", text[1:]) if text.startswith("-") else ("", text)
    assert "e" not in text.lower(), text
    assert len(text.replace(".", "").strip("0")) <= 15, text
    whole, _, decimals = text.partition(".")
    whole, decimals = whole.lstrip("0") or "0", decimals.rstrip("0")
    shown = f"{whole}.{decimals}" if decimals else whole
    return shown if shown == "0" else sign + shown


@cache
def days_of_zip(zipped: bytes) -> dict[str, dict[str, str]]:
    """By day and minute the lines that the zip has; USD-M and spot."""
    member = zipfile.ZipFile(io.BytesIO(zipped))
    rows = csv.reader(io.StringIO(member.read(member.namelist()[0]).decode("utf-8")))
    found: dict[str, dict[str, str]] = {}
    for row in rows:
        if not row or not row[0][:1].isdigit():
            continue
        unit = {"microseconds": int(row[0])} if len(row[0]) == 16 else {"milliseconds": int(row[0])}
        day, _, time = (datetime(1970, 1, 1) + timedelta(**unit)).isoformat().partition("T")
        minute = time[:2] + time[3:5]
        numbers = [shortest(row[column]) for column in COLUMNS]
        found.setdefault(day, {})[minute] = ",".join([minute, "q" if numbers[6] == "0" else "p", *numbers])
    return found


def minutes_of_a_day() -> list[str]:
    return [f"{hour:02d}{minute:02d}" for hour in range(24) for minute in range(60)]


def canonical_text(zipped: bytes, leaf: dict[str, Any]) -> str:
    """The canonical bytes of a leaf's day as text."""
    there = days_of_zip(zipped).get(leaf["day"], {})
    lines = [there.get(minute, f"{minute},m,,,,,,,,,") for minute in minutes_of_a_day()]
    for first, end, rest in leaf.get("other", []):
        for at in range(first, end):
            lines[at] = f"{minutes_of_a_day()[at]},{rest}"
    return "".join(f"{line}\n" for line in lines)


def locator(text: str) -> str:
    """The 94 short digests of a day."""
    lines = text.splitlines()
    by_hour = ["".join(f"{line}\n" for line in lines if line[:2] == f"{hour:02d}") for hour in range(24)]
    by_minute = ["".join(f"{line}\n" for line in lines if line[2:4] == f"{m:02d}") for m in range(60)]
    by_field = ["".join(f"{line.split(',')[field]}\n" for line in lines) for field in range(1, 11)]
    return "".join(hashlib.sha256(part.encode()).hexdigest()[:4] for part in by_hour + by_minute + by_field)


def expected_fields(zipped: bytes, leaf: dict[str, Any]) -> dict[str, Any]:
    """What of a leaf follows from the zip, and from what the leaf has beside it."""
    text = canonical_text(zipped, leaf)
    return {
        "canonical": hashlib.sha256(text.encode()).hexdigest(),
        "locator": locator(text),
        "counts": dict(Counter(line.split(",")[1] for line in text.splitlines())),
    }


def leaf_hash(leaf: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + leaf).digest()


def merkle_root(leaves: list[bytes]) -> bytes:
    """By the recursion of RFC 6962, 2.1, from the leaves themselves."""
    if len(leaves) == 1:
        return leaf_hash(leaves[0])
    power = 1
    while power * 2 < len(leaves):
        power *= 2
    return hashlib.sha256(b"\x01" + merkle_root(leaves[:power]) + merkle_root(leaves[power:])).digest()


def one_line(fields: dict[str, Any]) -> bytes:
    """JSON with sorted keys and without blanks."""
    return json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode("utf-8")
