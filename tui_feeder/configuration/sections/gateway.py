"""``[gateway]``: the store served as an exchange."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from msgspec import Struct

from tui_feeder.configuration.forms import HostNames, Line
from tui_feeder.configuration.values import Key

ForwardName: TypeAlias = Literal[
    "depth", "premiumIndex", "fundingRate", "fundingInfo", "openInterest", "aggTrades", "trades",
    "bookTicker", "markPriceKlines", "indexPriceKlines", "premiumIndexKlines",
]  # fmt: skip


class Gateway(Struct, frozen=True):
    """The store as an exchange, for any Binance client; see docs/gateway.md."""

    enabled: Annotated[bool, Key("serve it, by a process of its own beside the feeder")] = False
    host: Annotated[Line, Key("address to listen on")] = "127.0.0.1"
    port: Annotated[int, Key("port of REST and streams; 0: any free one", 0, 65_535)] = 8090
    allowed_hosts: Annotated[
        HostNames, Key('host names to accept requests for: ["feeder", "*.cluster.local"]')
    ] = ()
    unfollowed: Annotated[
        Literal["refuse", "follow"],
        Key("a symbol that is asked for and not followed: follow brings it to live"),
    ] = "refuse"
    follow_at_most: Annotated[int, Key("symbols brought to live because they are asked for", 1, 100)] = 20
    forward: Annotated[
        tuple[ForwardName, ...], Key("public requests sent to the exchange, within the weight budget")
    ] = ("depth", "premiumIndex", "fundingRate", "openInterest", "aggTrades")
    forward_cache_ms: Annotated[int, Key("how long an answer serves equal requests", 0, 86_400_000)] = 1_000
    serve_unconfirmed: Annotated[
        bool, Key("also give minutes that the exchange may still correct, right after their end")
    ] = False
    client_requests_per_minute: Annotated[int, Key("of one address; 0: any number", 0, 2_147_483_647)] = (
        120_000
    )
    max_connections: Annotated[int, Key("at a time", 1, 1_000_000)] = 512
    cache_mb: Annotated[int, Key("of rendered candles", 1, 1_000_000)] = 64
