"""The market map's tiles: what they show, that no colour is needed to read them, and how the arrows move."""

from __future__ import annotations

from dataclasses import replace

import pytest
from examples import examples
from fake_monitor import FakeMonitor, with_troubles
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from screens import THEME, palette_of, text_of

from tui_feeder.monitor import SymbolState, SymbolView
from tui_feeder.widgets.color_themes.themes import load_theme, theme_names
from tui_feeder.widgets.market_map import ColorBy, MarketMap, selected_parts, tile_value
from tui_feeder.widgets.palette import GLYPHS, Palette
from tui_feeder.widgets.tile_styles import Direction, Tint, contrast, tile_style

GLYPH = GLYPHS["braille"]


def view_of(name: str, **fields: object) -> SymbolView:
    known: dict[str, object] = {"state": SymbolState.LIVE, "reason": "", "price_decimals": 2, **fields}
    return SymbolView(name, **known)


@pytest.mark.parametrize(
    ("change", "text", "sign", "tint"),
    [
        (None, "–", "?", Tint(Direction.UNKNOWN)), (0.1, "+0.1", "■", Tint(Direction.EVEN)),
        (-0.03, "+0.0", "■", Tint(Direction.EVEN)),
        (-0.25, "-0.2", "▼", Tint(Direction.FALL, 1)), (2.0, "+2.0", "▲", Tint(Direction.RISE, 2)),
        (-7.5, "-7.5", "▼", Tint(Direction.FALL, 3)), (312.4, "+312", "▲", Tint(Direction.RISE, 3)),
    ],
)  # fmt: skip
def test_change_has_sign_and_strength(change: float | None, text: str, sign: str, tint: Tint) -> None:
    value = tile_value(view_of("BTCUSDT", change_24h=change), ColorBy.CHANGE, GLYPH)
    assert (value.text, value.sign, value.tint) == (text, sign, tint)


def test_freshness_names_the_state() -> None:
    states = {state: tile_value(view_of("A", state=state), ColorBy.FRESHNESS, GLYPH) for state in SymbolState}
    assert states[SymbolState.LIVE].tint.direction is Direction.GOOD
    assert states[SymbolState.LATE].text == "late!"
    assert states[SymbolState.STALE].tint == Tint(Direction.BAD, 3)
    assert states[SymbolState.DELISTED].tint.direction is Direction.UNKNOWN


def test_alignment_counts_trends() -> None:
    view = FakeMonitor(1).views["BTCUSDT"]
    every = tuple(frame.timeframe for frame in view.timeframes)
    assert len(every) == 5
    value = tile_value(view, ColorBy.TRENDS, GLYPH)
    buys = sum(frame.trend == "Buy" for frame in view.timeframes)
    sells = sum(frame.trend == "Sell" for frame in view.timeframes)
    assert value.text == (f"{buys - sells:+d}" if buys != sells else "0")


@pytest.mark.parametrize("colors", [True, False])
@pytest.mark.parametrize("glyphs", ["braille", "block", "ascii"])
@given(st.integers(30, 210), st.integers(2, 60), st.integers(0, 60), st.sampled_from(ColorBy))
@settings(deadline=None, max_examples=examples(25))
def test_rows_are_exactly_as_wide_as_the_map(
    glyphs: str, colors: bool, width: int, height: int, count: int, color_by: ColorBy
) -> None:
    views = list(MONITOR.views.values())[:count]
    palette = palette_of(glyphs, colors)
    shown = MarketMap()
    shown.arrange(views, width, height, 0)
    strips = shown.paint(views, "SOLUSDT", color_by, palette)
    assert len(strips) == height
    for strip in strips if views else ():
        assert strip.cell_length == cell_len(strip.text) == width
        assert glyphs != "ascii" or strip.text.isascii()
    assert shown.shown == min(count, width * height)


MONITOR = with_troubles(FakeMonitor(60))


@given(st.integers(30, 200), st.integers(4, 60), st.integers(1, 60), st.data())
@settings(deadline=None, max_examples=examples(40))
def test_arrows_move_to_the_tile_beside_and_back(
    width: int, height: int, count: int, data: st.DataObject
) -> None:
    views = list(MONITOR.views.values())[:count]
    shown = MarketMap()
    shown.arrange(views, width, height, 0)
    at: str | None = data.draw(st.sampled_from(shown.symbols))
    ways = st.sampled_from([(1, 0), (-1, 0), (0, 1), (0, -1)])
    for across, down in data.draw(st.lists(ways, max_size=6)):
        before, at = at, shown.neighbour(at, across, down)
        assert at is not None
        assert before is not None
        there, here = shown.region_of(at), shown.region_of(before)
        assert there is not None
        assert here is not None
        if at == before:  # at the edge of the map
            edges = (here.right == width, here.x == 0, here.bottom == height, here.y == 0)
            assert edges[(0 if across > 0 else 1) if across else 2 if down > 0 else 3]
        elif across:
            assert there.x == here.right if across > 0 else there.right == here.x
            assert there.y < here.bottom
            assert here.y < there.bottom
        else:
            assert there.y == here.bottom if down > 0 else there.bottom == here.y
            assert there.x < here.right
            assert here.x < there.right
        x, y = there.x + there.width // 2, there.y + there.height // 2
        assert shown.symbol_at(x, y) == at
    assert shown.by_size(None, 0) == shown.symbols[0]
    assert shown.by_size(shown.symbols[0], 1000) == shown.symbols[-1]


def test_tiles_keep_their_places_while_volumes_move() -> None:
    views = [view_of("AUSDT", volume_24h=10.0), view_of("BUSDT", volume_24h=9.0)]
    shown = MarketMap()
    shown.arrange(views, 80, 20, 0)
    before = shown.region_of("AUSDT")
    moved = [view_of("AUSDT", volume_24h=9.0), view_of("BUSDT", volume_24h=10.0)]
    shown.arrange(moved, 80, 20, 60_000)
    assert shown.region_of("AUSDT") == before
    shown.arrange(moved, 80, 20, 300_000)
    assert shown.symbols == ["BUSDT", "AUSDT"]


def test_names_lose_the_quote_asset_only_where_they_stay_different() -> None:
    views = [view_of(name, change_24h=1.0, volume_24h=1.0) for name in ("BTCUSDT", "BTCUSDC", "ETHUSDT")]
    shown = MarketMap()
    shown.arrange(views, 60, 6, 0)
    text = "\n".join(text_of(shown.paint(views, None, ColorBy.CHANGE, palette_of("braille"))))
    assert "BTCUSDT" in text
    assert "BTCUSDC" in text
    assert "ETH" in text
    assert "ETHUSDT" not in text


def tile_of(name: str, change: float | None, glyphs: str, color_by: ColorBy = ColorBy.CHANGE) -> list[str]:
    """The rows of a tile of 24 by 6 cells without colours, the line to its neighbours apart."""
    view = view_of(name, change_24h=change, volume_24h=1.0)
    shown = MarketMap()
    shown.arrange([view], 24, 6, 0)
    rows = text_of(shown.paint([view], None, color_by, palette_of(glyphs, colors=False)))
    return [row[1:] for row in rows[:-1]]


@pytest.mark.parametrize(("glyphs", "rises", "falls"), [("braille", "╱", "╲"), ("ascii", "/", "\\")])
def test_without_colours_the_slope_of_lines_is_the_direction_and_their_closeness_the_strength(
    glyphs: str, rises: str, falls: str
) -> None:
    for sign, other, way in ((rises, falls, 1), (falls, rises, -1)):
        counts = []
        for change in (0.5, 3.0, 9.0):
            rows = tile_of("BTCUSDT", way * change, glyphs)
            assert f"{way * change:+.1f}" in rows[1]
            assert other not in "".join(rows)
            counts.append("".join(rows).count(sign))
        assert 0 < counts[0] * 1.5 < counts[1] < counts[2] / 1.5
    rows = tile_of("BTCUSDT", 3.0, glyphs)
    places = [[x for x, sign in enumerate(row) if sign == rises] for row in rows[3:]]
    assert places[1][0] == (places[0][0] - 1) % 4  # each line goes on a cell further to the left
    for change in (None, 0.1):
        assert not {rises, falls}.intersection("".join(tile_of("BTCUSDT", change, glyphs)))


def test_without_colours_a_stale_tile_is_shaded_and_a_live_one_is_not() -> None:
    views = [view_of("AUSDT", volume_24h=1.0), view_of("BUSDT", volume_24h=1.0, state=SymbolState.STALE)]
    shown = MarketMap()
    shown.arrange(views, 60, 6, 0)
    rows = text_of(shown.paint(views, None, ColorBy.FRESHNESS, palette_of("braille", colors=False)))
    regions = [shown.region_of(view.symbol) for view in views]
    live, stale = ("".join(row[r.x : r.right] for row in rows[r.y : r.bottom]) for r in regions if r)
    assert "▓" not in live
    assert "▓" in stale


@pytest.mark.parametrize("count", [20, 30, 40])
def test_one_symbol_that_trades_most_leaves_the_others_room_to_be_read(count: int) -> None:
    views = [
        view_of(f"COIN{place}USDT", change_24h=1.5, volume_24h=2e10 / (place + 1) ** 1.5)
        for place in range(count)
    ]
    shown = MarketMap()
    shown.arrange(views, 120, 36, 0)
    rows = text_of(shown.paint(views, None, ColorBy.CHANGE, palette_of("ascii")))
    largest = shown.region_of("COIN0USDT")
    assert largest is not None
    assert largest.area < 120 * 36 / 3
    for place, view in enumerate(views):
        region = shown.region_of(view.symbol)
        assert region is not None
        text = "".join(row[region.x : region.right] for row in rows[region.y : region.bottom])
        assert f"COIN{place} " in text
        assert "+1.5" in text


@pytest.mark.parametrize("theme", theme_names())
def test_text_on_a_tile_can_be_read_in_every_theme(theme: str) -> None:
    known = load_theme(theme)
    palette = Palette(known.styles, known.background, GLYPH, colors=True)
    grounds = set()
    for direction in Direction:
        for level in range(4):
            style = tile_style(palette, Tint(direction, level)).text
            if style.bgcolor is None or style.bgcolor.triplet is None or style.color is None:
                assert style.color is not None or style.reverse or not level
                continue
            assert style.color.triplet is not None
            assert contrast(style.color.triplet, style.bgcolor.triplet) >= 4.0, (direction, level)
            grounds.add((direction, style.bgcolor.name))
    assert theme == "ansi-16" or len(grounds) >= 4 * len(Direction) - 2


def test_sixteen_colours_are_not_mixed() -> None:
    palette = Palette(THEME.styles, THEME.background, GLYPH, colors=True, mixes_colors=False)
    weak, strong = (tile_style(palette, Tint(Direction.RISE, level)).text for level in (1, 2))
    assert not weak.reverse
    assert strong.reverse


def rows_of_tile(view: SymbolView, width: int, height: int, color_by: ColorBy = ColorBy.CHANGE) -> list[str]:
    """The rows of the only tile of a map."""
    shown = MarketMap()
    shown.arrange([view], width, height, 0)
    rows = text_of(shown.paint([view], None, color_by, palette_of("braille")))
    return [row[1:].rstrip() for row in rows]


def test_a_large_tile_shows_price_volume_trends_levels_range_and_the_closes_of_the_day() -> None:
    view = replace(FakeMonitor(1).views["BTCUSDT"], relative_volume=3.4, volume_24h=402e6)
    rows = rows_of_tile(view, 40, 18)
    trends = [text for text in rows if "1h" in text]
    assert rows[0] == "BTC"
    assert rows[2] == "60123.40"
    assert rows[3] == "vol 402M  RVOL 3.4"
    assert [part[:-1] for part in trends[0].split()[:5]] == ["1m", "5m", "15m", "1h", "4h"]
    assert any(text.startswith("POC +") and "VA " in text for text in rows)
    assert any(text.startswith("24h ") and " to " in text for text in rows)
    drawn = rows[rows.index("") + 1 : -1]
    assert len(drawn) >= 6
    assert all(max(len(text) for text in drawn) == 38 for _ in drawn)
    assert {len(text.replace(" ", "")) for text in drawn[-1:]} == {
        38
    }  # a bar in every cell of the lowest row


def test_a_tile_leaves_out_what_does_not_fit_and_cuts_nothing() -> None:
    view = replace(FakeMonitor(1).views["BTCUSDT"], relative_volume=3.4, volume_24h=402e6)
    whole = {text for text in rows_of_tile(view, 60, 30) if text}
    for width in range(11, 40):
        for height in range(4, 16):
            rows = rows_of_tile(view, width, height)
            assert "60123.40" in rows or height == 4, (width, height, rows)
            assert not any("…" in text for text in rows), (width, height, rows)
            assert any(text.startswith("vol 402M") for text in rows) or height < 6, rows
    assert "vol 402M  RVOL 3.4" in whole


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        (SymbolState.STALE, "no frame since 14:00:02"),
        (SymbolState.LATE, "the minute 14:01 has not closed yet"),
    ],
)
def test_a_large_tile_names_what_is_wrong_before_all_else(state: SymbolState, reason: str) -> None:
    view = replace(FakeMonitor(1).views["BTCUSDT"], state=state, reason=reason)
    assert rows_of_tile(view, 60, 18)[2] == f"{state.value}: {reason}"
    assert rows_of_tile(view, 14, 18)[2] == state.value


def test_a_tile_coloured_by_something_else_has_the_change_as_well() -> None:
    view = replace(FakeMonitor(1).views["BTCUSDT"], change_24h=1.53)
    assert not any(text == "24h +1.53%" for text in rows_of_tile(view, 40, 18))
    for color_by in (ColorBy.TRENDS, ColorBy.FRESHNESS):
        assert "24h +1.53%" in rows_of_tile(view, 40, 18, color_by)


def test_the_line_on_a_symbol_names_what_is_wrong_with_it_first() -> None:
    view = view_of("BTCUSDT", state=SymbolState.STALE, reason="no frame since 14:00:02", price=1.0)
    groups = ["".join(text for text, _ in group) for group in selected_parts(view, GLYPH)]
    assert groups[0].startswith("BTCUSDT 1.00")
    assert groups[1] == "stale: no frame since 14:00:02"
