"""What the screen remembers from one run to the next: selection, order, timeframe, theme, screen."""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tui_feeder.whole_file import whole_file

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Kept:
    """The choices of a user; None where none was made."""

    screen: str | None = None
    symbol: str | None = None
    timeframe: int | None = None  # seconds
    sort_key: str | None = None
    ascending: bool | None = None
    theme: str | None = None


_TYPES = {"screen": str, "symbol": str, "timeframe": int, "sort_key": str, "ascending": bool, "theme": str}


def read_kept(path: Path) -> Kept:
    """What an earlier run kept; of a file that is damaged or of another version, what can be used."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Kept()
    except (OSError, ValueError) as fault:
        log.warning("what the screen remembered cannot be read, it begins anew: %s: %s", path, fault)
        return Kept()
    if not isinstance(found, dict):
        return Kept()
    usable: dict[str, Any] = {k: v for k, v in found.items() if k in _TYPES and type(v) is _TYPES[k]}
    return Kept(**usable)


def write_kept(path: Path, kept: Kept) -> None:
    """Put ``kept`` in the place of what was there, whole or not at all. A fault is only logged."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with whole_file(path, 0o600) as file:
            file.write(json.dumps(asdict(kept)).encode())
    except OSError as fault:
        log.warning("what the screen should remember cannot be written: %s", fault)
