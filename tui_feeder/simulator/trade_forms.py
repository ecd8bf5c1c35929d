"""Aggregate trades as REST, stream and archive print them."""

from __future__ import annotations

from collections.abc import Sequence

from tui_feeder.simulator import digits
from tui_feeder.simulator.dialect import USDM, Dialect
from tui_feeder.simulator.market import Instrument, decimal
from tui_feeder.simulator.trades import AggTrades

#: First line of a file, where files have one.
HEADER = b"agg_trade_id,price,quantity,first_trade_id,last_trade_id,transact_time,is_buyer_maker\n"
_MARKS = (b"", *(b",",) * 6, b"\n")


def _decimals(instrument: Instrument) -> tuple[int, int]:
    """Decimals that the symbol's prices and quantities are printed with."""
    more = instrument.printed_decimals
    return max(instrument.price_decimals, more), max(instrument.quantity_decimals, more)


def archive_lines(
    rows: AggTrades, instrument: Instrument, dialect: Dialect, *, microseconds: bool = False
) -> bytes:
    """Formats lines of an archive file.

    Args:
        rows: in order.
        instrument: the symbol's decimals.
        dialect: whose files have an eighth column on spot.
        microseconds: the unit of times, instead of ms.

    Returns:
        CSV lines without a header.
    """
    if not len(rows.ids):
        return b""
    price, quantity = _decimals(instrument)
    columns = [
        rows.ids,
        rows.prices * 10 ** (price - instrument.price_decimals),
        rows.quantities * 10 ** (quantity - instrument.quantity_decimals),
        rows.firsts,
        rows.lasts,
        rows.times * (1_000 if microseconds else 1),
        rows.makers.astype(rows.ids.dtype),
    ]
    text = digits.table(columns, [0, price, quantity, 0, 0, 0, 0], _MARKS, bare_zero=True)
    if dialect.name == USDM.name:
        return text.replace(b",1\n", b",true\n").replace(b",0\n", b",false\n")
    return text.replace(b",1\n", b",True,True\n").replace(b",0\n", b",False,True\n")


def entries(rows: AggTrades, instrument: Instrument, dialect: Dialect) -> Sequence[str]:
    """Formats the members that REST rows and frames have alike, from ``"a"`` on, without braces.

    Args:
        rows: in order.
        instrument: the symbol's decimals.
        dialect: futures print the quantity without RPI orders, spot whether the price was the best.

    Returns:
        A JSON text for each row.
    """
    price, quantity = _decimals(instrument)
    by_price = 10 ** (price - instrument.price_decimals)
    by_quantity = 10 ** (quantity - instrument.quantity_decimals)
    futures = dialect.name == USDM.name
    made = []
    for number, at, amount, first, last, time, maker, plain in zip(
        *(column.tolist() for column in rows), strict=True
    ):
        extra = f',"nq":"{decimal(plain * by_quantity, quantity)}"' if futures else ""
        end = "" if futures else ',"M":true'
        made.append(
            f'"a":{number},"p":"{decimal(at * by_price, price)}",'
            f'"q":"{decimal(amount * by_quantity, quantity)}"{extra},'
            f'"f":{first},"l":{last},"T":{time},"m":{"true" if maker else "false"}{end}'
        )
    return made


def rest_body(rows: AggTrades, instrument: Instrument, dialect: Dialect) -> bytes:
    """Formats the body of an aggTrades response.

    Args:
        rows: in order.
        instrument: the symbol's decimals.
        dialect: of the market.

    Returns:
        The JSON body.
    """
    return ("[" + ",".join(f"{{{entry}}}" for entry in entries(rows, instrument, dialect)) + "]").encode()
