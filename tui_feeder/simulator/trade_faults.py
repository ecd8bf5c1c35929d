"""Aggregate trades that are missing, cut, at the wrong side of a minute, or no trades."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from tui_feeder.simulator import noise
from tui_feeder.simulator.archive_faults import Reshaping
from tui_feeder.simulator.fault_kinds import Value
from tui_feeder.simulator.faults import Faults
from tui_feeder.simulator.market import MINUTE
from tui_feeder.simulator.trades import AggTrades

#: Faults of the rows themselves, in the order in which they are applied.
OF_ROWS = ("zero-trade", "insurance-fills", "straddling-trades", "missing-trades")


def wrongs(faults: Faults, symbol: str, place: str, *, count: bool = True) -> tuple[Reshaping, ...]:
    """Lists what the active faults do to rows.

    Args:
        faults: the active faults.
        symbol: the symbol the rows belong to.
        place: where they are shown: "stream", "rest", or "archive" and the path of a file.
        count: whether to count each one as a strike.

    Returns:
        The changes, in the order in which they are applied.
    """
    if not faults:
        return ()
    ask = faults.strike if count else faults.find
    return tuple(
        Reshaping(name, tuple(fault.parameters.items()))
        for name in OF_ROWS
        if (fault := ask(name, symbol, place)) is not None
    )


def changed(rows: AggTrades, wanted: tuple[Reshaping, ...]) -> AggTrades:
    """Applies faults to rows.

    Which rows they strike follows from ids and minutes, so all places that show them agree.

    Args:
        rows: the right rows of whole minutes, in order.
        wanted: the changes to apply.

    Returns:
        The rows to show.
    """
    for name, parameters in wanted:
        if not len(rows.ids):
            return rows
        given = dict(parameters)
        if name == "zero-trade":
            rows = _with_zero_trades(rows, given)
        elif name == "insurance-fills":
            rows = _without_fills(rows, float(given["share"]))
        elif name == "straddling-trades":
            rows = _straddling(rows, round(float(given["ms"])))
        else:
            rows = rows.where(_dice(rows, name) >= float(given["share"]))
    return rows


def _dice(rows: AggTrades, name: str) -> NDArray[np.float64]:
    return noise.uniform(noise.key_of(name), rows.ids)


def _with_zero_trades(rows: AggTrades, given: Mapping[str, Value]) -> AggTrades:
    """Uses an id in each of the chosen minutes for no trade: two rows of one price and side become one."""
    minutes = rows.times // MINUTE
    pair = (rows.prices[1:] == rows.prices[:-1]) & (rows.makers[1:] == rows.makers[:-1])
    pair &= (minutes[1:] == minutes[:-1]) & (minutes[1:] % max(round(float(given["every"])), 1) == 0)
    places = np.flatnonzero(pair)
    places = places[np.unique(minutes[places], return_index=True)[1]]
    made = AggTrades._make(column.copy() for column in rows)
    for column in (made.quantities, made.without_rpi):
        column[places + 1] += column[places]
    made.firsts[places + 1] = made.firsts[places]
    for column in (made.prices, made.quantities, made.without_rpi, made.firsts, made.lasts):
        column[places] = 0
    if given["shown"]:
        return made
    kept = np.ones(len(made.ids), np.bool_)
    kept[places] = False
    return made.where(kept)


def _without_fills(rows: AggTrades, share: float) -> AggTrades:
    """Leaves out the fills of the insurance fund and of deleveraging: of rows struck half is left."""
    struck = (_dice(rows, "insurance-fills") < share) & (rows.lasts > rows.firsts)
    quantities = np.where(struck, np.maximum(rows.quantities // 2, 1), rows.quantities)
    return rows._replace(
        quantities=quantities,
        lasts=np.where(struck, rows.firsts + (rows.lasts - rows.firsts) // 2, rows.lasts),
        without_rpi=np.minimum(rows.without_rpi, quantities),
    )


def _straddling(rows: AggTrades, late: int) -> AggTrades:
    """Gives the last trade of each minute, which its candle counts, a time in the next one."""
    minutes = rows.times // MINUTE
    last = np.append(minutes[1:] != minutes[:-1], True)
    return rows._replace(times=np.where(last, (minutes + 1) * MINUTE + late, rows.times))
