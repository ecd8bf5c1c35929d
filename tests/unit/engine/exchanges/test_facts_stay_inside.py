"""Only engine/exchanges/ knows Binance: its addresses, paths, payload keys, weights and page sizes."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from sources import PACKAGE, modules, nodes_of, text_of

from tui_feeder.engine.exchanges.binance.rest_limits import FUTURES_LIMITS, SPOT_LIMITS

#: What may know them: the adapters; the embedded exchange, which reads them independently; and the gateway,
#: which answers clients as that exchange does and asks nobody.
_MAY_KNOW = ("engine/exchanges/", "simulator/", "service/gateway/")
#: The default addresses are settings, which the configuration states below the engine.
_STATES_ADDRESSES = "configuration/sections/exchange.py"
_FACTS = {
    "address": r"binance\.(com|vision)\b",
    "path": r"\b[fd]api/|\bapi/v3\b|market/stream|/klines\b|futures/(um|cm)|data/spot|\.CHECKSUM",
    "stream": r"@kline|@aggTrade|\bkline_\d|fstream|dstream",
    "payload key": r"\b(openTime|closeTime|serverTime|startTime|endTime|rateLimits|rateLimitType|filterType|"
    r"tickSize|contractType|contractStatus|onboardDate|exchangeInfo|eventTime|takerBuy\w+|quoteAsset|"
    r"X-MBX[\w-]*|intervalNum)\b",
    "payload value": r"""["'](TRADING|PENDING_TRADING|PRE_TRADING|SETTLING|PERPETUAL|TRADIFI_PERPETUAL|"""
    r"""PRICE_FILTER|REQUEST_WEIGHT|SUBSCRIBE|UNSUBSCRIBE)["']""",
    "interval": r"""["'](1m|3m|5m|15m|30m|1h|2h|4h|6h|8h|12h|1d)["']\s*:\s*\d|\d\s*:\s*["']1m["']""",
}
#: Page sizes and weights a minute of its markets.
_SIZES = {499, 500, 1_000, 1_500, 2_400, 6_000}
_SIZE_NAME = re.compile(r"page|limit|weight", re.IGNORECASE)


def _is_settings(path: Path) -> bool:
    return path.relative_to(PACKAGE).as_posix() == _STATES_ADDRESSES


def _outside() -> Iterator[Path]:
    for path in modules():
        # What checks signed days stands alone: it reads Binance's files, and imports nothing that knows them.
        if not path.relative_to(PACKAGE).as_posix().startswith((*_MAY_KNOW, "verify_proof.py")):
            yield path


def _code(path: Path) -> str:
    """The text without its docstrings and comments: there an example may name a symbol's address."""
    lines = text_of(path).splitlines()
    for node in nodes_of(path):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            for number in range(node.lineno - 1, node.end_lineno or node.lineno):
                lines[number] = ""
    return "\n".join(re.sub(r"(^|\s)#.*", "", line) for line in lines)


def _named_sizes(nodes: Iterable[ast.AST]) -> Iterator[tuple[int, str]]:
    """Whole numbers that are bound to a name which says that they are a page size, a limit or a weight."""
    for node in nodes:
        bound: list[tuple[str, ast.expr | None]] = []
        if isinstance(node, ast.Assign):
            bound = [(ast.unparse(target), node.value) for target in node.targets]
        elif isinstance(node, ast.AnnAssign):
            bound = [(ast.unparse(node.target), node.value)]
        elif isinstance(node, ast.keyword):
            bound = [(node.arg or "", node.value)]
        elif isinstance(node, ast.arguments):
            named = [*node.posonlyargs, *node.args]
            bound = [(a.arg, v) for a, v in zip(named[::-1], node.defaults[::-1], strict=False)]
            bound += [(a.arg, v) for a, v in zip(node.kwonlyargs, node.kw_defaults, strict=True)]
        for name, value in bound:
            for part in ast.walk(value) if value is not None else ():
                if isinstance(part, ast.Constant) and part.value in _SIZES and _SIZE_NAME.search(name):
                    yield part.lineno, f"{name} = {part.value}"


def test_no_file_outside_names_an_address_a_path_or_a_payload_key() -> None:
    found = [
        f"{path.relative_to(PACKAGE)}:{number}: {kind}: {line.strip()}"
        for path in _outside()
        if any(re.search(pattern, text_of(path)) for pattern in _FACTS.values())
        for number, line in enumerate(_code(path).splitlines(), 1)
        for kind, pattern in _FACTS.items()
        if re.search(pattern, line) and not (kind in ("address", "stream") and _is_settings(path))
    ]
    assert not found, "\n".join(found)


def test_the_sizes_looked_for_are_those_of_the_markets() -> None:
    for limits in (FUTURES_LIMITS, SPOT_LIMITS):
        assert {limits.page_candles, limits.weight_limit} <= _SIZES


def test_no_file_outside_has_a_page_size_or_a_weight() -> None:
    found = [
        f"{path.relative_to(PACKAGE)}:{number}: {what}"
        for path in _outside()
        for number, what in _named_sizes(nodes_of(path))
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("kind", "line"),
    [
        ("address", 'rest_url: HttpUrl = "https://fapi.binance.com"'),
        ("path", 'url = f"{stream_url}/market/stream"'),
        ("path", 'path = "/fapi/v1/time"'),
        ("stream", 'name = f"{symbol}@kline_1m"'),
        ("payload key", 'tick = entry["tickSize"]'),
        ("payload value", 'traded = info.status == "TRADING"'),
        ("interval", '_INTERVALS = {60: "1m", 180: "3m"}'),
    ],
)
def test_what_leaked_before_would_be_found(kind: str, line: str) -> None:
    assert re.search(_FACTS[kind], line)


@pytest.mark.parametrize(
    "line", ["PAGE_MINUTES = 499", "def ask(limit: int = 1_500): ...", "get(weight=2400)"]
)
def test_page_sizes_and_weights_that_leaked_before_would_be_found(line: str) -> None:
    assert list(_named_sizes(ast.walk(ast.parse(line))))
