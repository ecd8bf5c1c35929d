"""What differs between the markets the embedded exchange can be: USD-M futures, spot, COIN-M futures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

from tui_feeder.simulator.limits import WEIGHT_LIMIT, klines_weight
from tui_feeder.simulator.market import DAY


@dataclass(frozen=True)
class Dialect:
    """The interface of a market."""

    name: str
    section: str
    """Of the configuration that points at it."""
    rest: str
    """Path that requests begin with."""
    archive: str
    """Path that archive files begin with."""
    live: tuple[str, ...]
    """Paths before ``/stream`` and ``/ws`` on which klines are sent; on the others nothing is."""
    dead: tuple[str, ...] = ()
    most_rows: int = 1_500
    klines_weight: Callable[[int], int] = klines_weight
    """Request weight by the limit asked for."""
    listing_weight: int = 1
    weight_limit: int = WEIGHT_LIMIT
    """A minute."""
    newest_within: int | None = None
    """Where the newest rows of a window are answered, not its first: the longest window, ms."""
    cadence: int = 250
    """Exchange ms between pushes of a forming candle."""
    ping_every: float = 180.0
    """Real seconds between pings."""
    pong_within: float = 600.0
    """Real seconds without a pong until a connection is cut."""
    pong_echoes: bool = False
    """Whether only a pong with the payload of a ping counts."""
    most_messages: int = 10
    """Messages a second that a connection may send; pongs count."""
    pushes_untraded: bool = False
    """Whether a minute without a trade is pushed all the same."""
    omits_outages: bool = False
    """Whether minutes of an outage have no row at all, instead of a flat one."""
    header_since: date | None = None
    """First day of archive files with a header row; None: never."""
    microseconds_since: date | None = None
    """First day of archive files in microseconds."""
    trades: bool = False
    """Whether it shows aggregate trades."""
    trades_weight: int = 20
    """Request weight of aggTrades."""
    counts_contracts: bool = False
    """Whether volumes are contracts, and quote volumes base coins."""


_HEADER_SINCE = date(2022, 5, 1)

USDM = Dialect(
    "usdm", "exchange", "/fapi/v1", "/data/futures/um", ("/market",), ("/public", "/private", ""),
    header_since=_HEADER_SINCE, trades=True,
)  # fmt: skip
SPOT = Dialect(
    "spot",
    "exchange.spot",
    "/api/v3",
    "/data/spot",
    ("",),
    most_rows=1_000,
    klines_weight=lambda _limit: 2,
    listing_weight=20,
    weight_limit=6_000,
    cadence=2_000,
    ping_every=20.0,
    pong_within=60.0,
    pong_echoes=True,
    most_messages=5,
    pushes_untraded=True,
    omits_outages=True,
    microseconds_since=date(2025, 1, 1),
    trades=True,
    trades_weight=4,
)
COINM = Dialect(
    "coinm", "exchange.coinm", "/dapi/v1", "/data/futures/cm", ("",), ("/market", "/public", "/private"),
    newest_within=200 * DAY, header_since=_HEADER_SINCE, counts_contracts=True,
)  # fmt: skip
DIALECTS = {dialect.name: dialect for dialect in (USDM, SPOT, COINM)}
