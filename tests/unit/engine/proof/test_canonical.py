"""Canonical bytes: the vectors of docs/proof.md, shortest decimals, states, and where days differ."""

from __future__ import annotations

from decimal import Decimal
from hashlib import sha256
from itertools import product

import numpy as np
import proof_from_document
import pytest
from examples import examples, some_of
from hypothesis import given, settings
from hypothesis import strategies as st
from places import DOCS
from samples import MIDNIGHT, walk

from tui_feeder.engine.core.candle import MINUTE_MS, ROW, Rows
from tui_feeder.engine.core.coverage import Coverage, span
from tui_feeder.engine.proof.canonical import (
    FIELDS,
    canonical_bytes,
    canonical_lines,
    differing_places,
    locator,
    state_counts,
)

FEBRUARY = 1_769_904_000_000


def rows_of(*minutes: tuple[float, ...]) -> Rows:
    return np.array(list(minutes), dtype=ROW)


def vector() -> list[bytes]:
    """The day of docs/proof.md."""
    return canonical_lines(
        FEBRUARY,
        rows_of(
            (FEBRUARY, 10.113, 10.13, 10.109, 10.128, 38521, 389800.331, 1077, 28754, 290983.007),
            (FEBRUARY + MINUTE_MS, 0.0000152, 0.0000152, 0.0000152, 0.0000152, 0, 0, 0, 0, 0),
        ),
    )


def test_the_vector_of_the_documents() -> None:
    text = (DOCS / "proof.md").read_text()
    lines = vector()
    assert b"\n".join(lines[:3]).decode() in text
    content = canonical_bytes(lines)
    assert f"They are {len(content):,} bytes" in text
    assert sha256(content).hexdigest() in text
    assert f"\n{locator(lines)}\n" in text


@settings(max_examples=examples(400), deadline=None)
@given(st.lists(st.floats(0, 1e18) | st.floats(0, 1e-4), min_size=9, max_size=9))
def test_numbers_are_the_shortest_decimals_of_their_doubles(values: list[float]) -> None:
    values[6] = float(int(values[6]) % (1 << 50))
    (line, *_) = canonical_lines(MIDNIGHT, rows_of((MIDNIGHT, *values)))
    texts = line.decode().split(",")[2:]
    assert [float(text) for text in texts] == values
    for text, value in zip(texts, values, strict=True):
        plain = format(Decimal(repr(value)), "f")
        assert text == (plain.rstrip("0").rstrip(".") if "." in plain else plain)


def test_a_negative_zero_has_no_sign() -> None:
    (line, *_) = canonical_lines(MIDNIGHT, rows_of((MIDNIGHT, 1.0, 1.0, 1.0, 1.0, -0.0, 0, 0, -0.0, 0)))
    assert line == b"0000,q,1,1,1,1,0,0,0,0,0"


def test_every_minute_has_a_state() -> None:
    rows = walk(1_440)
    rows = np.delete(rows, [5, 6, 700, 1_439])
    none, unavailable = span(MIDNIGHT - MINUTE_MS, MIDNIGHT + 6 * MINUTE_MS), one_minute(700)
    lines = canonical_lines(MIDNIGHT, rows, (("u", unavailable), ("n", none)))
    assert len(lines) == 1_440
    assert [line[:4].decode() for line in lines] == [f"{at // 60:02}{at % 60:02}" for at in range(1_440)]
    assert lines[5] == b"0005,n,,,,,,,,,"  # what is stored is there, whatever else is known of it
    assert lines[6] == b"0006,m,,,,,,,,,"
    assert lines[700] == b"1140,u,,,,,,,,,"
    assert lines[1_439] == b"2359,m,,,,,,,,,"
    quiet = int((rows["trades"] == 0).sum())
    assert state_counts(lines) == {"m": 2, "n": 1, "p": 1_436 - quiet, "q": quiet, "u": 1}


def one_minute(minute: int) -> Coverage:
    return span(MIDNIGHT + minute * MINUTE_MS, MIDNIGHT + (minute + 1) * MINUTE_MS)


def test_the_locator_is_that_of_another_implementation() -> None:
    lines = canonical_lines(MIDNIGHT, walk(1_300, seed=3))
    assert locator(lines) == proof_from_document.locator([line.decode()[5:] for line in lines])


@pytest.mark.parametrize(
    ("field", "minute"), some_of(tuple(product(FIELDS[1:], (0, 59, 60, 671, 1_439))), every=4)
)
def test_one_changed_number_is_named_with_its_minute_and_field(field: str, minute: int) -> None:
    rows = walk(1_440)
    before = locator(canonical_lines(MIDNIGHT, rows))
    rows[field][minute] += 1
    changed = canonical_lines(MIDNIGHT, rows)
    places = differing_places(changed, before)
    assert places.startswith(f"minute {minute // 60:02}:{minute % 60:02}, field ")
    assert field in places.partition("field ")[2].split(", ")


def test_equal_days_differ_nowhere() -> None:
    lines = canonical_lines(MIDNIGHT, walk(1_440))
    assert differing_places(lines, locator(lines)) == ""
