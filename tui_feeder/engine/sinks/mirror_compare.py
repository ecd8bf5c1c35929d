"""What ``sinks check`` and ``doctor`` find of the mirror: its database, and whether its tables are right."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from typing import Any

from tui_feeder.config import Config
from tui_feeder.engine.sinks import mirror_check, mirror_profiles, postgres_tables
from tui_feeder.engine.sinks.mirror_plan import mirrored_timeframes
from tui_feeder.engine.sinks.thread import SinkError
from tui_feeder.engine.storage.store import Store

#: Tables are compared with the store for so long at most.
_COMPARE_SECONDS = 20.0


async def check(config: Config, store: Store | None) -> list[str]:
    """Checks the database, and compares its newest days with the store.

    Args:
        config: the configuration.
        store: the store, open for reading; None where there is none.

    Returns:
        Lines for people.

    Raises:
        SinkError: it cannot be reached or used, or differs from the store.
    """
    compare = None if store is None else partial(_compare, config, store)
    return await postgres_tables.check_database(config.database, compare)


async def _compare(
    config: Config,
    store: Store,
    connection: Any,  # noqa: ANN401 - of asyncpg
    missing: Sequence[str],
) -> list[str]:
    """Whether the tables have what the store has, the newest days first, as far as the time goes.

    ``missing`` are tables, columns and indexes that a feeder would make: what is there is compared.
    """
    lacking = {name.partition(".")[0] for name in missing if "." in name}  # tables without a column
    if "feeder_mirror" in lacking.union(missing):
        return []  # nothing is claimed
    mirrored = await postgres_tables.mirrored(connection)
    days = mirror_check.mirrored_days(mirrored)
    timeframes, profiles = mirrored_timeframes(config), mirror_profiles.Profiles(config, store)
    ends = time.monotonic() + _COMPARE_SECONDS
    for count, day in enumerate(days):
        if time.monotonic() >= ends:
            return [f"compared with the store: the newest {count} of {len(days)} days, no difference"]
        found: list[object] = []
        if "candles_1m" not in missing:
            found += await mirror_check.differences(
                connection, store, mirrored, timeframes, day, digests="candles_1m" not in lacking
            )
        if "volume_profiles" not in lacking.union(missing):
            found += await profiles.differing(connection, day, mirror_check.level(store, mirrored, day))
        if found:
            more = f" (and {len(found) - 1} more of this day)" if len(found) > 1 else ""
            raise SinkError(f"{found[0]}{more}: a feeder that runs writes it again")
    return [f"compared with the store: {len(days)} days, no difference"] if days else []
