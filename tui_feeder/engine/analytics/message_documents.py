"""What docs/message.md and docs/message.schema.json have of the indicators, made of their registry.

``python -m tui_feeder.engine.analytics.message_documents`` writes both; a test holds them equal
to the registry.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

from tui_feeder.engine.analytics.indicators import INDICATORS, IndicatorKind

#: How the names of fields end: the timeframe.
_TIMEFRAME = "_([0-9]+min|[0-9]+h|1d)$"


def with_schema(text: str, kinds: tuple[IndicatorKind, ...] = INDICATORS) -> str:
    """Puts the indicators into the schema of the message.

    Args:
        text: docs/message.schema.json, with the indicators of any registry.
        kinds: the registry.

    Returns:
        The same with those of ``kinds``: their fields, and which names ``warming`` may hold.
    """
    fields = "".join(f"    {json.dumps(_pattern(kind.name))}: {_object(kind)},\n" for kind in kinds)
    text = _replaced(text, r'(?<=    },\n)(?:    "\^[a-z]+\[0-9\]\+_.*?\n    },\n)+(?=    "\^trend_)', fields)
    names = "|".join(kind.name for kind in kinds)
    item = _pattern(names if len(kinds) == 1 else f"({names})")
    return _replaced(
        text, r'(?<="pattern": )"\^[^"\n]*\[0-9\]\+_\([^"\n]*"(?= \}\n    \}\n  \},\n  "patternProperties")',
        json.dumps(item),
    )  # fmt: skip


def with_rows(text: str, kinds: tuple[IndicatorKind, ...] = INDICATORS) -> str:
    """Puts the rows of the indicators into the table of the fields.

    Args:
        text: docs/message.md, with the rows of any registry.
        kinds: the registry.

    Returns:
        The same with a row for each of ``kinds``.
    """
    rows = "".join(_row(kind) for kind in kinds)
    return _replaced(text, r"(?<=\n)(?:\| `[a-z]+[0-9]+_1min` \|[^\n]*\n)+(?=\| `trend_1min`)", rows)


def _pattern(name: str) -> str:
    return f"^{name}[0-9]+{_TIMEFRAME}"


def _object(kind: IndicatorKind) -> str:
    stated: Mapping[str, object] = {"description": kind.description, **kind.schema}
    return json.dumps(stated, indent=2, ensure_ascii=False).replace("\n", "\n    ")


def _row(kind: IndicatorKind) -> str:
    field, value = kind.example
    cells = (f"`{field}`", str(kind.schema.get("type", "number")), kind.unit, kind.absent, f"`{value}`",
             kind.meaning)  # fmt: skip
    return f"| {' | '.join(cells)} |\n"


def _replaced(text: str, pattern: str, new: str) -> str:
    made, count = re.subn(pattern, lambda _: new, text, flags=re.DOTALL)
    if count != 1:
        raise ValueError(f"the place of the indicators is there {count} times, not once: {pattern}")
    return made


def main() -> None:
    """Write both documents into the checkout that this package lies in."""
    docs = Path(__file__).resolve().parents[3] / "docs"
    for name, made in (("message.schema.json", with_schema), ("message.md", with_rows)):
        path = docs / name
        path.write_text(made(path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
