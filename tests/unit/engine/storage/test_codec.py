from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from row_strategies import DAY, day_rows, sources_of
from samples import TRIED_MONTHS, real_month

from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS, ROW, Rows
from tui_feeder.engine.storage.codec import BlockError, Sources, decode, encode

HEAD = struct.Struct("<BHHBI")  # version, rows, first minute, flags, crc32: written down once more


def same_bits(a: Rows, b: Rows) -> bool:
    return a.dtype == b.dtype and a.tobytes() == b.tobytes()


def flat(count: int = 3, first: int = 0) -> Rows:
    rows = np.zeros(count, dtype=ROW)
    rows["open_time"] = DAY + (first + np.arange(count)) * MINUTE_MS
    for name in ("open", "high", "low", "close"):
        rows[name] = 4.25
    return rows


def ones(rows: Rows) -> Sources:
    return np.ones(len(rows), dtype=np.uint8)


def sealed(version: int, count: int, first: int, flags: int, body: bytes) -> bytes:
    """A block whose head and checksum are right, whatever its body says."""
    return HEAD.pack(version, count, first, flags, zlib.crc32(body)) + body


@given(st.data(), day_rows())
def test_every_row_and_source_comes_back_bit_for_bit(data: st.DataObject, rows: Rows) -> None:
    sources = data.draw(sources_of(len(rows)))
    found, found_sources = decode(DAY, encode(rows, sources))
    assert same_bits(found, rows)
    assert found_sources.tolist() == sources.tolist()


@pytest.mark.parametrize(
    "odd", [-0.0, np.nan, np.inf, -np.inf, 5e-324, 1.7e308, 0.1 + 0.2, 1e-9 / 3, 2.0**60]
)
@pytest.mark.parametrize("name", ["open", "low", "volume", "taker_buy_quote_volume"])
def test_one_odd_float_among_decimals_comes_back_with_its_bits(odd: float, name: str) -> None:
    rows = flat(100)
    rows[name][57] = odd
    assert same_bits(decode(DAY, encode(rows, ones(rows)))[0], rows)


@pytest.mark.parametrize("count", [0, 1, -1, (1 << 62) - 1, 1 << 62, (1 << 63) - 1, -(1 << 63)])
def test_any_count_of_trades_comes_back(count: int) -> None:
    rows = flat()
    rows["trades"][1] = count
    assert same_bits(decode(DAY, encode(rows, ones(rows)))[0], rows)


@pytest.mark.parametrize("month", TRIED_MONTHS)
def test_real_days_come_back_bit_for_bit_in_fewer_than_45_bytes_a_candle(month: str) -> None:
    rows = real_month(month)
    size = 0
    for day in np.unique(rows["open_time"] // DAY_MS):
        part = rows[rows["open_time"] // DAY_MS == day]
        block = encode(part, ones(part))
        assert same_bits(decode(int(day) * DAY_MS, block)[0], part)
        size += len(block)
    assert size / len(rows) < 45


@given(st.data(), day_rows(12))
def test_a_block_cut_short_anywhere_is_refused(data: st.DataObject, rows: Rows) -> None:
    block = encode(rows, ones(rows))
    cut = block[: data.draw(st.integers(0, len(block) - 1))]
    with pytest.raises(BlockError):
        decode(DAY, cut)


@given(st.data(), day_rows(12))
def test_a_flipped_bit_after_the_head_is_refused(data: st.DataObject, rows: Rows) -> None:
    block = bytearray(encode(rows, ones(rows)))
    block[data.draw(st.integers(HEAD.size, len(block) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(BlockError):
        decode(DAY, bytes(block))


@given(st.binary(max_size=400))
def test_garbage_is_refused(garbage: bytes) -> None:
    with pytest.raises(BlockError):
        decode(DAY, garbage)


@given(
    st.integers(0, 65_535) | st.integers(0, 3),
    st.integers(0, 65_535) | st.integers(0, 3),
    st.integers(0, 255) | st.integers(0, 3),
    st.binary(max_size=200),
)
def test_garbage_under_a_right_head_is_refused_or_gives_rows_of_that_day(
    count: int, first: int, flags: int, body: bytes
) -> None:
    try:
        rows, sources = decode(DAY, sealed(1, count, first, flags, body))
    except BlockError:
        return
    assert len(rows) == len(sources) == count
    assert rows["open_time"].min() >= DAY
    assert rows["open_time"].max() < DAY + DAY_MS


def body_of(count: int, **change: bytes) -> bytes:
    """The body of ``count`` flat rows; ``change`` replaces its parts."""
    parts = {
        "sources": b"\x05",
        "open": bytes((0, 1)) + b"\x02" * count,
        "high": bytes((0, 0)),
        "low": bytes((0, 0)),
        "close": bytes((0, 0)),
        **{f"volume{n}": bytes((0, 0)) for n in range(4)},
        "trades": bytes((0, 0)),
    }
    return b"".join((parts | change).values())


def test_a_block_written_by_hand_from_the_documented_layout_is_read() -> None:
    rows, sources = decode(DAY, sealed(1, 2, 7, 0, body_of(2, volume0=bytes((2, 1, 50, 0)))))
    assert rows["open_time"].tolist() == [DAY + 7 * MINUTE_MS, DAY + 8 * MINUTE_MS]
    assert rows["close"].tolist() == [1.0, 2.0]  # each opens one above the close before it
    assert rows["volume"].tolist() == [0.25, 0.0]
    assert sources.tolist() == [5, 5]


marked = np.zeros(1440, dtype=np.uint8)
marked[[7, 9]] = 1
BITMAP = np.packbits(marked).tobytes()


@pytest.mark.parametrize(
    "block",
    [
        pytest.param(sealed(2, 2, 7, 0, body_of(2)), id="another version"),
        pytest.param(sealed(1, 0, 7, 0, body_of(0)), id="no rows"),
        pytest.param(sealed(1, 3, 7, 0, body_of(2)), id="more rows than values"),
        pytest.param(sealed(1, 1, 7, 0, body_of(2)), id="fewer rows than values"),
        pytest.param(sealed(1, 2, 1_439, 0, body_of(2)), id="rows beyond the day"),
        pytest.param(sealed(1, 2, 7, 4, body_of(2)), id="an unknown flag"),
        pytest.param(sealed(1, 3, 7, 1, BITMAP + body_of(3)), id="a bitmap with fewer minutes than rows"),
        pytest.param(sealed(1, 1, 7, 1, BITMAP + body_of(1)), id="a bitmap with more minutes than rows"),
        pytest.param(sealed(1, 2, 8, 1, BITMAP + body_of(2)), id="a bitmap that begins elsewhere"),
        pytest.param(sealed(1, 2, 7, 1, bytes(180) + body_of(2)), id="an empty bitmap"),
        pytest.param(sealed(1, 2, 7, 0, body_of(2, sources=b"\0")), id="source zero"),
        pytest.param(sealed(1, 2, 7, 2, body_of(2, sources=b"\5\0")), id="source zero of a row"),
        pytest.param(sealed(1, 2, 7, 0, body_of(2, high=bytes((0, 9)) + bytes(18))), id="nine bytes wide"),
        pytest.param(sealed(1, 2, 7, 0, body_of(2, volume0=bytes((11, 0)))), id="exponent beyond the table"),
        pytest.param(sealed(1, 2, 7, 0, body_of(2, volume0=bytes((255, 4)) + bytes(8))), id="narrow floats"),
        pytest.param(sealed(1, 2, 7, 0, body_of(2, high=bytes((1, 0)))), id="prices of two exponents"),
        pytest.param(sealed(1, 2, 7, 0, body_of(2, trades=bytes((1, 0)))), id="trades with decimals"),
        pytest.param(sealed(1, 2, 7, 0, body_of(2, trades=bytes((255, 8)) + bytes(16))), id="float trades"),
        pytest.param(sealed(1, 2, 7, 0, body_of(2) + b"\0"), id="a byte too many"),
    ],
)  # fmt: skip
def test_a_block_that_lies_is_refused(block: bytes) -> None:
    with pytest.raises(BlockError):
        decode(DAY, block)


def test_a_bitmap_marks_the_minutes() -> None:
    rows, _ = decode(DAY, sealed(1, 2, 7, 1, BITMAP + body_of(2)))
    assert rows["open_time"].tolist() == [DAY + 7 * MINUTE_MS, DAY + 9 * MINUTE_MS]


def test_rows_that_are_no_day_are_not_encoded() -> None:
    two_days = flat(2, first=1_439)
    double = flat(2)
    double["open_time"][1] = double["open_time"][0]
    between = flat(2)
    between["open_time"][1] += 1
    for bad in (flat(0), flat(3)[::-1], two_days, double, between):
        with pytest.raises(ValueError, match="block"):
            encode(bad, ones(bad))
    with pytest.raises(ValueError, match="one source a row"):
        encode(flat(3), np.ones(2, dtype=np.uint8))
    with pytest.raises(ValueError, match="one source a row"):
        encode(flat(3), np.zeros(3, dtype=np.uint8))
