"""Makes ``performance.md`` of the figures in ``benchmarks/results.json``: ``python docs/performance.py``.

``make bench ARGS=--keep`` measures them; a test holds the page equal to what is made here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PAGE = Path(__file__).with_name("performance.md")
RESULTS = Path(__file__).resolve().parents[1] / "benchmarks" / "results.json"
#: Stage, benchmark, our figure, the limit measured in the same run, and their ratio; and what the limit is.
LIMITS = (
    ("history, one file", "history", "one symbol-month, zip to committed", "",
     "one symbol-month, ratio to read, hash, inflate", "reading the file, SHA256 and inflating alone"),
    ("history, eight files", "history", "eight months in parallel", "",
     "eight months, ratio to read, hash, inflate", "the same, one core"),
    ("frames of 600 symbols", "live", "600 symbols: CPU of one core",
     "websockets and msgspec alone, CPU of one core",
     "the engine / websockets and msgspec alone", "receiving and decoding alone; less is better"),
    ("messages to Kafka", "sinks", "outbox to Kafka, snappy", "aiokafka's batches alone",
     "outbox / aiokafka's batches", "the client alone, from memory"),
    ("candles to PostgreSQL", "sinks", "store to an empty PostgreSQL table", "COPY alone, no index",
     "store / COPY alone", "COPY of the same rows without an index"),
    ("screen", "ui", "40 symbols with chart and profile, 120x40: CPU of a core",
     "the same grid on DataTable, 120x40: CPU of a core", "CPU against DataTable's",
     "Textual's DataTable, the grid alone; less is better"),
    ("gateway, candles read", "gateway_streams", "catching up: bars", "catching up: the same as candles",
     "catching up: bars / the store's candles", "the store's own read"),
)  # fmt: skip
_HEAD = """\
# Performance

<!-- Made by `python docs/performance.py` from benchmarks/results.json. -->

What was measured, on which machine, and with which command. `make bench` runs all of it in one table;
`make bench ARGS="history numbers --keep"` puts figures into `benchmarks/results.json`, of which this page is
made. `make bench-check` compares ratios with `benchmarks/baseline.json` and reports what fell by more than a
fifth. Absolute figures are those of the machine that stands beside them, ratios of two figures of one run. A
load above its number of processors means that others computed too: what takes real time was then slower.
"""


def page(results: dict[str, Any]) -> str:
    """Make the text of the page.

    Args:
        results: by benchmark, as in ``benchmarks/results.json``.

    Returns:
        Markdown.
    """
    parts = [_HEAD]
    if limits := list(_limits(results)):
        parts.append("\n## Beside the limit\n\n| stage | ours | limit | ratio | the limit is | command |\n")
        parts += ["|---|---|---|---|---|---|\n", *limits]
    if peers := list(_peers(results)):
        parts.append(
            "\n## Beside other libraries\n\n"
            "Processor time of one core; versions are those of `benchmarks/peers.txt`, each is used as\n"
            "documented. *Times* is how many times as long as ours it takes: below 1 it is faster.\n"
            "What stands behind a name is what it does less, or otherwise.\n\n"
            "| task | who | rate | times | command |\n|---|---|---|---|---|\n"
        )
        parts += peers
    parts.append("\n## All figures\n")
    for name, result in results.items():
        parts.append(f"\n### {name}\n\n`{result['command']}`, {result['date']}, {result['machine']}")
        parts.append(f"; load {result['load']}.\n\n| figure | value | unit | bound |\n|---|---|---|---|\n")
        for figure, found in result["figures"].items():
            parts.append(
                f"| {figure.strip()} | {_number(found['value'])} | {found['unit']} | {_bound(found)} |\n"
            )
    return "".join(parts)


def _limits(results: dict[str, Any]) -> Iterator[str]:
    for stage, name, ours, limit, ratio, what in LIMITS:
        figures = results.get(name, {}).get("figures", {})
        if ratio not in figures:
            continue
        share = figures[ratio]["value"]
        own = _with_unit(figures[ours])
        most = figures[limit] if limit else {**figures[ours], "value": figures[ours]["value"] / share}
        cells = (stage, own, _with_unit(most), _number(share), what, f"`{results[name]['command']}`")
        yield f"| {' | '.join(cells)} |\n"


def _peers(results: dict[str, Any]) -> Iterator[str]:
    result = results.get("peers", {"figures": {}})
    figures = result["figures"]
    for name, found in figures.items():
        task, _, who = name.partition(": ")
        if who.endswith(" / ours"):
            continue
        times = figures.get(f"{name} / ours", {"value": 1.0})["value"]
        yield f"| {task} | {who} | {_with_unit(found)} | {_number(times)} | `{result['command']}` |\n"


def _with_unit(found: dict[str, Any]) -> str:
    return f"{_number(found['value'])} {found['unit']}"


def _bound(found: dict[str, Any]) -> str:
    """What the figure has to keep to, and whether it did."""
    for key, word in (("at_least", "at least"), ("at_most", "at most")):
        if found.get(key) is not None:
            return f"{word} {_number(found[key])}" + ("" if found["good"] else ", **missed**")
    return ""


def _number(value: float) -> str:
    """Three digits that count, thousands separated."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


if __name__ == "__main__":
    PAGE.write_text(page(json.loads(RESULTS.read_text())), encoding="utf-8")
