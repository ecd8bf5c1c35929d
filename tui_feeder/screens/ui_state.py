"""What the screen remembers from one run to the next: selection, order, timeframe, theme, screen."""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tui_feeder.atomic_write import atomic_write

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class UiState:
    """The choices of a user; None where none was made."""

    screen: str | None = None
    symbol: str | None = None
    timeframe: int | None = None  # seconds
    sort: str | None = None  # the order, as in watchlists: "24h,-name"
    theme: str | None = None


_TYPES = {"screen": str, "symbol": str, "timeframe": int, "sort": str, "theme": str}


def read_ui_state(path: Path) -> UiState:
    """Reads the UI state of an earlier run; of a damaged file what can be used.

    Args:
        path: of the file.

    Returns:
        The state.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return UiState()
    except (OSError, ValueError) as fault:
        log.warning("the saved choices of the screen cannot be read and are not used: %s: %s", path, fault)
        return UiState()
    if not isinstance(found, dict):
        return UiState()
    usable: dict[str, Any] = {k: v for k, v in found.items() if k in _TYPES and type(v) is _TYPES[k]}
    return UiState(**usable)


def write_ui_state(path: Path, state: UiState) -> None:
    """Writes the UI state, whole or not at all; an error is only logged.

    Args:
        path: of the file.
        state: the state.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with atomic_write(path, 0o600) as file:
            file.write(json.dumps(asdict(state)).encode())
    except OSError as fault:
        log.warning("the choices of the screen cannot be saved: %s", fault)
