"""feeder-tui: Binance USD-M futures candles, complete, correct and live, on one terminal.

For research: ``from tui_feeder import open_store`` (see docs/python.md). Importing this package
alone loads nothing else; the names below are loaded when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tui_feeder.version import __version__

if TYPE_CHECKING:
    from tui_feeder.following import FollowError, follow, follow_sync
    from tui_feeder.research import CandleStore, open_store, to_pandas, to_polars

_FOLLOWING = ("FollowError", "follow", "follow_sync")
__all__ = [
    "CandleStore", "FollowError", "__version__", "follow", "follow_sync", "open_store", "to_pandas",
    "to_polars",
]  # fmt: skip


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever the name stands for
    if name in _FOLLOWING:
        from tui_feeder import following

        return getattr(following, name)
    if name in __all__:
        from tui_feeder import research

        return getattr(research, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
