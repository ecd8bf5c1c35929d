from __future__ import annotations

import contextlib
import csv
import io
import zipfile
from unittest import mock

import numpy as np
import pytest
from examples import some_of
from hypothesis import given
from hypothesis import strategies as st
from samples import KLINES, TRIED_MONTHS

from tui_feeder.engine.core.candle import MINUTE_MS, Rows
from tui_feeder.engine.exchanges.binance import kline_csv
from tui_feeder.engine.exchanges.binance.kline_csv import CsvError, in_order

SHORT = (
    b"open_time,open,high,low,close,volume,close_time,quote_volume,count,"
    b"taker_buy_volume,taker_buy_quote_volume,ignore\n"
)
LONG = (
    b"open_time,open,high,low,close,volume,close_time,quote_asset_volume,number_of_trades,"
    b"taker_buy_base_asset_volume,taker_buy_quote_asset_volume,ignore\n"
)
START = 1_651_795_200_000


def line(minute: int, close: str = "36505.20", scale: int = 1) -> bytes:
    opened = (START + minute * MINUTE_MS) * scale
    closed = (START + (minute + 1) * MINUTE_MS) * scale - 1
    prices = f"36533.70,36540.00,36501.00,{close}"
    return f"{opened},{prices},264.779,{closed},9670700.3,3057,71.011,2593768.8,0".encode()


def text(*lines: bytes) -> bytes:
    return b"\n".join(lines) + b"\n"


def parse(raw: bytes, interval_ms: int = MINUTE_MS) -> Rows:
    rows, refused = kline_csv.parse(raw, interval_ms)
    assert not refused
    return rows


def minutes(rows: Rows) -> list[int]:
    return [(int(time) - START) // MINUTE_MS for time in rows["open_time"]]


def by_csv_module(raw: bytes) -> list[tuple[float, ...]]:
    """The ten columns that are kept, by the standard library's reading of the same bytes."""
    found = []
    for record in csv.reader(io.StringIO(raw.decode(), newline="")):
        if record[0].isdigit():
            numbers = [float(field) for field in record]
            found.append((*numbers[:6], *numbers[7:11]))
    return found


def plain(rows: Rows) -> list[tuple[float, ...]]:
    return [tuple(float(value) for value in record) for record in rows.tolist()]


@pytest.mark.parametrize("month", some_of(TRIED_MONTHS, every=2))
def test_every_number_of_a_real_month_equals_the_csv_modules(month: str) -> None:
    with zipfile.ZipFile(KLINES / f"{month}.zip") as archive:
        raw = archive.read(archive.namelist()[0])
    assert plain(parse(raw)) == by_csv_module(raw)


def test_the_real_old_file_with_the_long_header_and_no_final_newline_is_read() -> None:
    path = KLINES / "BTCUSDT-1m-2022-05-06.head.csv"
    if not path.exists():
        pytest.skip("real market data is not here")
    raw = path.read_bytes()
    assert not raw.endswith(b"\n")
    rows = parse(raw)
    assert len(rows) == 10
    assert plain(rows) == by_csv_module(raw)


@pytest.mark.parametrize("header", [b"", SHORT, LONG], ids=["no header", "short header", "long header"])
@pytest.mark.parametrize("ending", [b"\n", b"\r\n"], ids=["LF", "CRLF"])
@pytest.mark.parametrize("final", [True, False], ids=["final newline", "no final newline"])
def test_every_layout_in_the_wild_gives_the_same_rows(header: bytes, ending: bytes, final: bool) -> None:
    raw = header + line(0) + b"\n" + line(1) + (b"\n" if final else b"")
    rows = parse(raw.replace(b"\n", ending))
    assert minutes(rows) == [0, 1]
    assert rows[0].tolist() == (
        START, 36533.7, 36540.0, 36501.0, 36505.2, 264.779, 9670700.3, 3057, 71.011, 2593768.8,
    )  # fmt: skip


@pytest.mark.parametrize("raw", [b"", b"\n", b"\n\n", SHORT, LONG.rstrip(b"\n"), SHORT + b"\n"])
def test_a_file_without_candles_has_no_rows(raw: bytes) -> None:
    assert len(parse(raw)) == 0


def test_microseconds_become_milliseconds_even_where_a_file_mixes_them() -> None:
    rows = parse(text(line(0), line(1, scale=1000), line(2, scale=1000)))
    assert minutes(rows) == [0, 1, 2]


def test_rows_are_put_in_order_and_the_last_of_a_minute_counts() -> None:
    rows = parse(text(line(2), line(0, "36501.5"), line(1), line(0, "36502.5"), line(2, "36503.5")))
    assert minutes(rows) == [2, 0, 1, 0, 2]
    ordered = in_order(rows)
    assert minutes(ordered) == [0, 1, 2]
    assert ordered["close"].tolist() == [36502.5, 36505.2, 36503.5]
    assert len(in_order(rows[:0])) == 0


def test_rows_in_order_are_left_as_they_are() -> None:
    rows = parse(text(line(0), line(1), line(5)))
    assert in_order(rows) is rows


@given(st.integers(1, 700), st.integers(0, 40), st.booleans())
def test_lines_cut_by_the_slices_lose_nothing(count: int, blanks: int, header: bool) -> None:
    # Rows of varying length, so that slice boundaries fall everywhere in a line.
    lines = [line(n, "36505." + "1" * (1 + (n * 7 + blanks) % 9)) for n in range(count)]
    raw = (LONG if header else b"") + text(*lines)
    rows = parse(raw)
    assert minutes(rows) == list(range(count))
    assert plain(rows) == by_csv_module(raw)


def short_of(n: int) -> bytes:
    return b",".join(line(0).split(b",")[:n])


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(text(short_of(11)), id="a short line"),
        pytest.param(text(line(0) + b",0"), id="a long line"),
        # In number the fields are right: they must not move from one line into the other.
        pytest.param(text(short_of(11), b"0," + line(1)), id="a short line before a long one"),
        pytest.param(text(line(0) + b",0", short_of(11)), id="a long line before a short one"),
        pytest.param(text(line(0), b"", line(1)), id="a blank line inside"),
        pytest.param(text(line(0).replace(b"264.779", b"much")), id="text for a number"),
        pytest.param(text(line(0).replace(b"264.779", b"")), id="an empty field"),
        pytest.param(text(line(0).replace(b"264.779", b"NaN")), id="NaN"),
        pytest.param(text(line(0).replace(b"264.779", b"1e999")), id="a number too large"),
        pytest.param(text(line(0).replace(b"264.779", b'"264.779"')), id="a quoted number"),
        pytest.param(text(line(0).replace(b"3057", b"3057.5")), id="half a trade"),
        pytest.param(text(line(0).replace(b"3057", b"1e30")), id="more trades than can be"),
        pytest.param(text(line(0).replace(b"1651795200000", b"-1651795200000")), id="a negative time"),
        pytest.param(text(line(0).replace(b"1651795200000", b"0")), id="time zero"),
        pytest.param(text(line(0, scale=1_000_000)), id="nanoseconds"),
        pytest.param(text(line(0).replace(b"1651795259999", b"1651795260000")), id="a wrong close time"),
        pytest.param(text(line(0).replace(b"1651795200000", b"1651795200000.5")), id="half a millisecond"),
        pytest.param(text(line(0), SHORT.strip()), id="a header at the end"),
        pytest.param(b"\xef\xbb\xbf" + text(line(0)), id="a byte order mark"),
        pytest.param(b"PK\x03\x04" + bytes(50), id="a zip"),
        pytest.param(b"Access denied", id="a refusal"),
        pytest.param(b"<html><body>Not found</body></html>", id="a page"),
        pytest.param(bytes(range(256)), id="bytes"),
    ],
)
def test_what_is_no_kline_csv_is_refused(raw: bytes) -> None:
    with pytest.raises(CsvError):
        parse(raw)


@pytest.mark.parametrize(
    ("bad", "stated", "reason"),
    [
        (line(700).replace(b"264.779", b"much"), 700, "JSON"),
        (line(700).replace(b"3057", b"3057.5"), 700, "count of trades"),
        (line(700).replace(b",9670700.3", b",1,9670700.3"), 700, "12 columns"),
        (
            b",".join([*line(700).split(b",")[:6], b"1651837200000", *line(700).split(b",")[7:]]),
            700,
            "not close",
        ),
        (line(700).replace(b"36533.70", b"null"), 700, "12 columns"),
        (b"rubbish", 700, "JSON"),  # the minute after the line before it
        (b"", 700, "12 columns"),
    ],
)
def test_a_line_that_is_no_candle_stands_aside_and_the_others_count(
    bad: bytes, stated: int, reason: str
) -> None:
    lines = [line(at) for at in range(1440)]
    lines[700] = bad
    rows, refused = kline_csv.parse(SHORT + text(*lines))
    assert minutes(rows) == [at for at in range(1440) if at != 700]
    assert plain(rows) == by_csv_module(text(*lines[:700], *lines[701:]))
    (one,) = refused
    assert (one.open_time, one.text) == (START + stated * MINUTE_MS, bad)
    assert reason in one.reason


def test_a_file_of_which_more_than_a_tenth_is_no_candle_is_refused() -> None:
    lines = [line(at) if at % 9 else line(at) + b",1" for at in range(1440)]
    with pytest.raises(CsvError, match="160 lines are no candles; the first: it has not 12 columns"):
        kline_csv.parse(text(*lines))
    with pytest.raises(CsvError, match="10001 lines"):
        kline_csv.parse(text(*[line(at) for at in range(200_000)], *[b"x"] * 10_001))


@given(st.binary(max_size=300))
def test_garbage_never_raises_anything_else(raw: bytes) -> None:
    with contextlib.suppress(CsvError):
        parse(raw)


@given(st.integers(0, 2), st.integers(0, 140), st.binary(min_size=1, max_size=3))
def test_a_damaged_line_is_refused_or_still_a_candle_of_a_minute(which: int, at: int, damage: bytes) -> None:
    lines = [line(0), line(1), line(2)]
    lines[which] = lines[which][:at] + damage + lines[which][at + len(damage) :]
    try:
        rows = parse(text(*lines))
    except CsvError:
        return
    assert (rows["open_time"] > 0).all()


def test_other_intervals_are_read_when_they_are_asked_for() -> None:
    hour = line(0).replace(b"1651795259999", b"1651798799999")
    assert minutes(parse(text(hour), 60 * MINUTE_MS)) == [0]
    with pytest.raises(CsvError, match="does not close 60000 ms after"):
        parse(text(hour))


def test_numbers_are_read_to_the_nearest_float() -> None:
    awkward = ["0.1", "0.30000000000000004", "123456789.123456789", "1e-8", "9007199254740993", "5e-324"]
    for number in awkward:
        rows = parse(text(line(0).replace(b"264.779", number.encode())))
        assert float(rows["volume"][0]) == float(number)
    assert np.float64("0.1") == parse(text(line(0, "0.1")))["close"][0]


def outcome(raw: bytes) -> tuple[list[tuple[float, ...]], list[tuple[int, bytes, str]]] | str:
    """What a text is read as."""
    try:
        rows, refused = kline_csv.parse(raw)
    except CsvError as error:
        return str(error)
    return plain(rows), [tuple(one) for one in refused]


ODD_FIELDS = (
    b"", b"null", b"true", b'"1"', b"[1]", b"[", b"]", b"{}", b"01", b"1.", b"-1", b"1e400", b"-1e308", b" 1",
    b"1,1", b"1\n", b"18446744073709551616", b"-1.7976931348623157e308", b"1.5", b"\xff", b"/",
)  # fmt: skip


@given(
    st.lists(
        st.tuples(
            st.integers(0, 11), st.sampled_from(ODD_FIELDS) | st.floats().map(lambda x: repr(x).encode())
        ),
        max_size=3,
    ),
    st.booleans(),
)
def test_both_readers_take_the_same_lines_for_candles(damages: list[tuple[int, bytes]], header: bool) -> None:
    """simdjson reads what is regular, msgspec the rest, and everything where simdjson is not there."""
    lines = [line(at).split(b",") for at in range(40)]
    for n, (column, field) in enumerate(damages):
        lines[7 * n + 3][column] = field
    raw = SHORT * header + text(*map(b",".join, lines))
    with_it = outcome(raw)
    with mock.patch.object(kline_csv, "_HAS_SIMDJSON", False):
        assert outcome(raw) == with_it


def test_simdjson_is_used_where_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("simdjson", reason="there is no wheel of simdjson for this Python")
    monkeypatch.setattr(kline_csv, "_table", lambda _: pytest.fail("msgspec was asked"))
    assert minutes(parse(text(line(0), line(1)))) == [0, 1]
