"""The basis of a future over the same pair in spot, as a field and as a column."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fake_monitor import FakeMonitor

from tui_feeder.scanner.fields import Subjects
from tui_feeder.widgets.overview_columns import ColumnNeeds, columns_for


def test_the_basis_is_in_basis_points_of_the_price_in_spot() -> None:
    snapshot = FakeMonitor(3).snapshot()
    future, other, spot = snapshot.symbols
    snapshot = replace(
        snapshot,
        symbols=(
            replace(future, symbol="BTCUSDT", price=100_250.0),
            replace(other, symbol="ETHUSDT"),
            replace(spot, symbol="spot:BTCUSDT", price=100_000.0),
        ),
    )
    subjects = Subjects(snapshot)
    assert subjects["BTCUSDT"].basis == pytest.approx(25.0)
    assert subjects["ETHUSDT"].basis is None
    assert subjects["spot:BTCUSDT"].basis is None


def test_its_column_is_there_where_a_pair_is_followed_in_both() -> None:
    for basis in (True, False):
        needs = ColumnNeeds((60, 300), (), 300, basis=basis)
        assert ("basis" in [column.key for column in columns_for(160, needs)]) == basis
        assert sum(column.width for column in columns_for(160, needs)) == 160
