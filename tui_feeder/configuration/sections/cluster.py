"""``[cluster]``: many feeders that share the symbols."""

from __future__ import annotations

from typing import Annotated

from msgspec import Struct

from tui_feeder.configuration.forms import HttpUrl, Line
from tui_feeder.configuration.values import Key


class Cluster(Struct, frozen=True):
    """Many feeders share the symbols through Kafka, and one may die; see docs/cluster.md."""

    enabled: Annotated[bool, Key("work on a share of the symbols; needs [kafka]")] = False
    group: Annotated[Line, Key("consumer group of the workers that share the symbols")] = "feeder"
    partitions: Annotated[
        int, Key("partitions of every topic of the cluster; the same for all workers, for good", 1, 10_000)
    ] = 32
    name: Annotated[
        Line | None, Key("stable name of this worker; the host name where it is unset", example='"feeder-1"')
    ] = None
    weight_pool: Annotated[
        Line, Key("workers of one pool divide the exchange's request limit: one public address, one pool")
    ] = "default"
    address: Annotated[
        HttpUrl | None,
        Key("where others reach the HTTP service of this worker", example='"http://feeder-1:8000"'),
    ] = None
