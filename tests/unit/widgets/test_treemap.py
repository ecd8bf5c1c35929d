"""Tiles of the market map: they fill their area, none is lost, and their sizes follow the weights."""

from __future__ import annotations

import pytest
from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from textual.geometry import Region

from tui_feeder.widgets.treemap import narrowest, treemap

weights = st.lists(st.one_of(st.just(0.0), st.floats(1e-6, 1e12)), max_size=700).map(
    lambda values: sorted(values, reverse=True)
)


@given(weights, st.integers(1, 220), st.integers(1, 70))
@settings(deadline=None, max_examples=examples(300))
def test_tiles_fill_the_area_without_overlap(values: list[float], width: int, height: int) -> None:
    tiles = treemap(values, width, height)
    assert len(tiles) == min(len(values), width * height)
    if not tiles:
        return
    taken = bytearray(width * height)
    for tile in tiles:
        assert Region(0, 0, width, height).contains_region(tile)
        for y in range(tile.y, tile.bottom):
            for x in range(tile.x, tile.right):
                taken[y * width + x] += 1
    assert set(taken) == {1}
    assert min(tile.width for tile in tiles) >= narrowest(len(tiles), width, height)


def test_where_there_is_room_the_areas_follow_the_weights() -> None:
    values = [40.0, 25.0, 15.0, 10.0, 6.0, 4.0]
    tiles = treemap(values, 120, 40)
    for value, tile in zip(values, tiles, strict=True):
        assert tile.area / 4_800 == pytest.approx(value / 100, abs=0.02)


def test_a_dominant_weight_leaves_the_others_a_readable_size() -> None:
    tiles = treemap([1e12, *[1.0] * 599], 200, 57)
    assert tiles[0].area > 2_500
    assert min(tile.width for tile in tiles) == 11


def test_equal_weights_get_equal_tiles() -> None:
    assert {tile.area for tile in treemap([0.0] * 16, 64, 16)} == {64}
