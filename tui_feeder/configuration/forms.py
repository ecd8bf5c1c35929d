"""Forms of values that keys have: addresses, symbols, timeframes, names."""

from __future__ import annotations

import re
from typing import Annotated, Literal, TypeAlias

from tui_feeder.addresses import ProxyAddress, is_url
from tui_feeder.configuration.values import Rule, between
from tui_feeder.safe_text import to_toml
from tui_feeder.spelling import did_you_mean
from tui_feeder.time_format import time_zone

#: Markets that a symbol may name before a colon. The first is that of a symbol that names none.
MARKETS = ("usdm", "spot", "coinm")
#: Those whose trades are not read.
MARKETS_WITHOUT_TRADES = ("coinm",)
_PREFIX = f"(?:(?:{'|'.join(MARKETS)}):)?"
_SYMBOL = re.compile(_PREFIX + r"[^\s,;:\"'`\\/#=.a-z\x00-\x1f\x7f]{1,64}")
_CLOCK = r"(?:[01]\d|2[0-3]):[0-5]\d"
_SESSION = re.compile(rf"(?!UTC )\S.{{0,23}} {_CLOCK}-(?:{_CLOCK}|24:00)")


def _matches(allowed: str, pattern: str) -> Rule:
    whole = re.compile(pattern)
    return Rule(allowed, lambda text: whole.fullmatch(text) is not None)


def _url(*schemes: str) -> Rule:
    form = f' with an address of the form "{schemes[-1]}://host" or "{schemes[0]}://host:port"'
    return Rule(form, lambda text: is_url(text, schemes), tidy=lambda text: text.rstrip("/"))


def _is_one_line(text: str) -> bool:
    return text.strip() == text and text != "" and text.isprintable()


def _first_repeated(values: tuple[object, ...]) -> str | None:
    repeated = next((value for n, value in enumerate(values) if value in values[:n]), None)
    return None if repeated is None else f"{to_toml(repeated)} is there twice: take one out"


def _is_symbol(text: str) -> bool:
    return _SYMBOL.fullmatch(text) is not None and text.isprintable()


def _symbol_in_capitals(text: str) -> str | None:
    market, mark, name = text.strip().rpartition(":")
    capitals = market.lower() + mark + name.upper()
    if _SYMBOL.fullmatch(capitals):
        return did_you_mean(capitals)
    if mark and market.lower() in MARKETS:
        return f"behind {market.lower()}: stands a symbol of that market, without blanks"
    return f"a market is one of {', '.join(MARKETS)}" if mark else None


def _is_pattern(text: str) -> bool:
    return text.rpartition(":")[2].upper() == "ALL" or bool(set("*?[]!") & set(text))


def _name_of_symbol(text: str) -> str | None:
    return (
        "write each symbol by its name: patterns and ALL have no meaning here"
        if _is_pattern(text)
        else (_symbol_in_capitals(text))
    )


def without_usual_market(text: str) -> str:
    """Gives a symbol in its one form: that of the usual market names none.

    Args:
        text: a symbol or pattern, such as ``usdm:BTCUSDT``.

    Returns:
        ``BTCUSDT``.
    """
    return text.removeprefix(f"{MARKETS[0]}:")


def _is_time_zone(text: str) -> bool:
    try:
        time_zone(text)
    except ValueError:
        return False
    return True


_SOME = Rule(", at least one", lambda values: len(values) > 0)
_UNIQUE = Rule(", each once", lambda values: len(set(values)) == len(values), remedy=_first_repeated)

Seconds: TypeAlias = Annotated[float, between(0.001, 86_400)]
Line: TypeAlias = Annotated[str, Rule(", one line, not empty", _is_one_line)]
TimeZoneName: TypeAlias = Annotated[
    str,
    Rule(
        ' that is "UTC", "local" or a name as "Europe/Berlin" (a small system may lack the package tzdata)',
        _is_time_zone,
    ),
]
Arguments: TypeAlias = Annotated[tuple[Line, ...], Rule("", lambda values: len(values) <= 64)]
HttpUrl: TypeAlias = Annotated[str, _url("http", "https")]
WebSocketUrl: TypeAlias = Annotated[str, _url("ws", "wss")]
ProxyRoute: TypeAlias = ProxyAddress | Literal["none"]
"""A proxy, or that there is none."""
Symbol: TypeAlias = Annotated[
    str,
    Rule(
        ' like "BTCUSDT", "spot:BTCUSDT", "ALL", or a pattern like "*USDT"',
        _is_symbol,
        remedy=_symbol_in_capitals,
        tidy=without_usual_market,
    ),
]
Symbols: TypeAlias = Annotated[tuple[Symbol, ...], _SOME, _UNIQUE]
Timeframe: TypeAlias = Annotated[
    int,
    Rule(
        ": multiples of 60 seconds that divide a day",
        lambda s: 0 < s <= 86_400 and s % 60 == 0 and 86_400 % s == 0,
    ),
]
Timeframes: TypeAlias = Annotated[tuple[Timeframe, ...], _SOME, _UNIQUE]
EmaPeriods: TypeAlias = Annotated[tuple[Annotated[int, between(1, 10_000)], ...], _SOME, _UNIQUE]
SymbolName: TypeAlias = Annotated[
    str,
    Rule(
        ' like "BTCUSDT" or "spot:BTCUSDT"',
        lambda text: _is_symbol(text) and not _is_pattern(text),
        remedy=_name_of_symbol,
        tidy=without_usual_market,
        message="is not the name of a symbol",
    ),
]
SymbolNames: TypeAlias = Annotated[tuple[SymbolName, ...], _UNIQUE]
RuleName: TypeAlias = Annotated[
    str,
    Rule(
        " of at most 64 letters, digits, dashes and underscores",
        lambda text: re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,63}", text) is not None,
        message="is no name of a rule",
    ),
]
Session: TypeAlias = Annotated[
    str,
    Rule(
        ' of the form "London 08:00-16:30": a name other than UTC of at most 24 characters, hours in UTC',
        lambda text: _SESSION.fullmatch(text) is not None and _is_one_line(text),
        message="is no session",
    ),
]
Sessions: TypeAlias = Annotated[
    tuple[Session, ...],
    Rule(", each name once", lambda texts: len({text[:-12] for text in texts}) == len(texts)),
    Rule("at most 16", lambda texts: len(texts) <= 16),
]
TopicPrefix: TypeAlias = Annotated[
    str, _matches(" of at most 200 letters, digits, dots, underscores and dashes", r"[A-Za-z0-9._-]{0,200}")
]
_Port = r"0{0,4}([1-9]\d{0,3}|[1-5]\d{4}|6[0-4]\d{3}|65[0-4]\d\d|655[0-2]\d|6553[0-5])"
_Server: TypeAlias = Annotated[
    str, _matches(' of the form "host:port"', rf"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):{_Port}")
]
Servers: TypeAlias = Annotated[tuple[_Server, ...], _SOME, _UNIQUE]
_HostName: TypeAlias = Annotated[
    str,
    _matches(
        ' with the name of a host, as "feeder" or "feeder.example", or "*.example" for all below it',
        r"(?i:(\*\.)?[a-z0-9_][a-z0-9_-]{0,62}(\.[a-z0-9_][a-z0-9_-]{0,62})*\.?)",
    ),
]
HostNames: TypeAlias = Annotated[tuple[_HostName, ...], _UNIQUE]
_LoggerLevel: TypeAlias = Annotated[
    str,
    _matches(
        ' of the form "module=level", as "tui_feeder.engine.exchanges=debug"',
        r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*=(debug|info|warning|error)",
    ),
]
LogLevels: TypeAlias = Annotated[tuple[_LoggerLevel, ...], _UNIQUE]
