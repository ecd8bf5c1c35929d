"""Trades that come one by one as columns of whole numbers."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from tui_feeder.engine.core.trades import MOST_PLACES, of_rows

decimals = st.builds(
    lambda units, places: Decimal(units).scaleb(-places), st.integers(0, 10**14), st.integers(0, MOST_PLACES)
).filter(lambda value: value < 10**7)


@given(st.lists(st.tuples(decimals, decimals), min_size=1, max_size=20), st.integers(0, 4), st.integers(0, 4))
def test_decimals_come_back_as_they_were_sent(
    pairs: list[tuple[Decimal, Decimal]], price_places: int, quantity_places: int
) -> None:
    rows = [(n, float(str(p)), float(str(q)), 1, 5, False) for n, (p, q) in enumerate(pairs)]
    made, refused = of_rows(rows, (price_places, quantity_places))
    assert refused == 0
    assert (made.price_places >= price_places, made.quantity_places >= quantity_places) == (True, True)
    for price, quantity, (p, q) in zip(made.prices.tolist(), made.quantities.tolist(), pairs, strict=True):
        assert Decimal(price).scaleb(-made.price_places) == p
        assert Decimal(quantity).scaleb(-made.quantity_places) == q


def test_what_can_be_no_trade_is_left_out() -> None:
    good = (3, 0.5, 2.0, 4, 1_000, True)
    bad = [
        (-1, 0.5, 1.0, 1, 5, False), (4, -0.5, 1.0, 1, 5, False), (5, float("nan"), 1.0, 1, 5, False),
        (6, 0.5, float("inf"), 1, 5, False), (7, 0.123456789, 1.0, 1, 5, False), (8, 0.5, 1.0, 1, -5, False),
        (1 << 60, 0.5, 1.0, 1, 5, False), (9, 0.5, 1.0, -1, 5, False),
    ]  # fmt: skip
    made, refused = of_rows([*bad, good])
    assert refused == len(bad)
    assert (made.ids.tolist(), made.counts.tolist(), made.times.tolist(), made.sold.tolist()) == (
        [3], [4], [1_000], [True],
    )  # fmt: skip
    assert made.prices[0] == 5 * 10 ** (made.price_places - 1)
    nothing, refused = of_rows(bad)
    assert (len(nothing), refused) == (0, len(bad))
