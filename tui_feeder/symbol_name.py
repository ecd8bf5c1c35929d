"""Names of symbols, ``[market:]SYMBOL``, and the patterns that match them within a market. Pure."""

from __future__ import annotations

import fnmatch

_MARK = ":"


def market_of(name: str) -> str:
    """The market that a symbol or pattern names.

    Args:
        name: such as ``BTCUSDT``, ``spot:BTCUSDT`` or ``spot:*USDT``.

    Returns:
        What stands before the colon; "" where there is none.
    """
    market, mark, _ = name.partition(_MARK)
    return market if mark else ""


def is_pattern(name: str) -> bool:
    """Checks whether a name of the configuration or command line can stand for several symbols.

    Args:
        name: a name or pattern.

    Returns:
        True for ``ALL``, also of a market, and for names with ``*`` or ``?``.
    """
    return name.rpartition(_MARK)[2] == "ALL" or "*" in name or "?" in name


def matches(name: str, symbol: str) -> bool:
    """Checks whether a name or pattern takes in a symbol; a pattern does so within its market alone.

    Args:
        name: a name, ``ALL``, or a pattern with ``*`` and ``?`` as in file names.
        symbol: whose.

    Returns:
        True if it does.
    """
    if market_of(name) != market_of(symbol):
        return False
    wanted, bare = name.rpartition(_MARK)[2], symbol.rpartition(_MARK)[2]
    return wanted == "ALL" or fnmatch.fnmatchcase(bare, wanted)
