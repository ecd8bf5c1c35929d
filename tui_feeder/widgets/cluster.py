"""Painter of a cluster as one of its workers sees it. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from tui_feeder.monitor import ClusterView, ReceiverView
from tui_feeder.time_format import format_second
from tui_feeder.widgets import cells
from tui_feeder.widgets.palette import Palette, Part, Role
from tui_feeder.widgets.progress_bars import bar_text
from tui_feeder.widgets.sources import receiver_lines, rule

_BAR = 16  # cells
_LABEL = 16
_TAKEOVERS_SHOWN = 10


def cluster_lines(
    found: ClusterView | None, receivers: Mapping[str, ReceiverView], width: int, palette: Palette
) -> list[list[Part]]:
    """Writes the lines of the screen.

    Args:
        found: the cluster; None for a feeder by itself.
        receivers: of this worker's alerts, by name.
        width: cells there are.
        palette: styles and symbols.

    Returns:
        The lines from the top.
    """
    if found is None:
        return [
            [("  This feeder works by itself: all symbols are its own.", Role.TEXT)],
            [("  cluster.enabled = true makes it a worker of a cluster; see docs/cluster.md", Role.MUTED)],
        ]
    return [
        *_this_worker(found, width, palette),
        *receiver_lines(receivers, _LABEL, palette),
        *_workers(found, width, palette),
        *_takeovers(found, width, palette),
        *_partitions(found, width, palette),
    ]


def _this_worker(found: ClusterView, width: int, palette: Palette) -> list[list[Part]]:
    if found.heartbeat_age is None:
        beat, beat_role = "the group has not answered yet", Role.WARN
    elif found.holds:
        beat, beat_role = f"{found.heartbeat_age:.1f} s ago", Role.OK
    else:
        beat, beat_role = f"none for {found.heartbeat_age:.0f} s: nothing is published", Role.ERROR
    behind = found.assigned - len(found.owned)
    given = f"{found.assigned} of {found.partitions} partitions"
    lines: list[list[Part]] = [
        rule("This worker", f"{found.name}, group {found.group}", width, palette),
        [(cells.fit("  heartbeat", _LABEL), Role.TEXT), (beat, beat_role)],
        [
            (cells.fit("  given", _LABEL), Role.TEXT), (given, Role.STRONG),
            (f", {behind} are being taken over" if behind > 0 else ", all published in",
             Role.WARN if behind > 0 else Role.MUTED),
        ],
        [
            (cells.fit("  requests", _LABEL), Role.TEXT),
            (f"one of {found.sharing} that share the exchange's request limit" if found.sharing > 1
             else "the exchange's request limit is its own", Role.MUTED),
        ],
    ]  # fmt: skip
    if found.inherited:
        text = f"{found.inherited:,} minutes of symbols that were taken over are still to be read"
        lines.append([(cells.fit("  history", _LABEL), Role.TEXT), (text, Role.ACCENT)])
    if found.fenced:
        text = f"{found.fenced:,} by the broker: another worker had the partition"
        lines.append([(cells.fit("  writes refused", _LABEL), Role.TEXT), (text, Role.WARN)])
    if found.topics_wrong:
        lines.append([(cells.fit("  topics", _LABEL), Role.TEXT), (found.topics_wrong, Role.ERROR)])
    if found.other_lists:
        text = f"other ones are configured in {', '.join(found.other_lists)}: give all the same"
        lines.append([(cells.fit("  symbols", _LABEL), Role.TEXT), (text, Role.WARN)])
    if found.differing:
        text = f"{found.differing:,} symbols whose numbers were others than those published before"
        lines.append([(cells.fit("  differing", _LABEL), Role.TEXT), (text, Role.WARN)])
    return lines


def _workers(found: ClusterView, width: int, palette: Palette) -> list[list[Part]]:
    name_width = max([12, *(min(32, len(worker.name)) for worker in found.workers)]) + 2
    lines = [rule("Workers", f"{len(found.workers)} in the group", width, palette)]
    if not found.workers:
        return [*lines, [("  not known yet: the broker has not described the group", Role.MUTED)]]
    lines.append([
        (cells.fit("  WORKER", name_width + 2), Role.MUTED),
        (cells.fit("PARTITIONS", _BAR + 6), Role.MUTED), ("SYMBOLS  ADDRESS", Role.MUTED),
    ])  # fmt: skip
    for worker in found.workers:
        share = worker.partitions / found.partitions
        lines.append([
            (cells.fit(f"  {worker.name}", name_width + 2), Role.STRONG if worker.here else Role.TEXT),
            (bar_text(share, _BAR, palette.glyphs), Role.ACCENT),
            (cells.fit(str(worker.partitions), 4, right=True) + "  ", Role.TEXT),
            (cells.fit(str(worker.symbols), 7, right=True), Role.TEXT),
            (f"  {worker.address or 'no address'}", Role.MUTED),
            ("  this one" if worker.here else "", Role.OK),
        ])  # fmt: skip
    return lines


def _takeovers(found: ClusterView, width: int, palette: Palette) -> list[list[Part]]:
    lines = [rule("Takeovers", f"{len(found.takeovers)} by this worker", width, palette)]
    if not found.takeovers:
        return [*lines, [("  none yet", Role.MUTED)]]
    lines.append([("  AT (UTC)              PARTITION  SECONDS  BEFORE", Role.MUTED)])
    for takeover in reversed(found.takeovers[-_TAKEOVERS_SHOWN:]):
        lines.append([
            (f"  {format_second(takeover.at)}", Role.TEXT),
            (cells.fit(str(takeover.partition), 11, right=True), Role.TEXT),
            (cells.fit(f"{takeover.seconds:.1f}", 9, right=True), Role.STRONG),
            (f"  {takeover.former or 'nobody'}", Role.MUTED),
        ])  # fmt: skip
    return lines


def _partitions(found: ClusterView, width: int, palette: Palette) -> list[list[Part]]:
    with_symbols = sum(partition.symbols > 0 for partition in found.owned)
    note = f"{len(found.owned)}, {with_symbols} of them with symbols"
    lines = [rule("Partitions of this worker", note, width, palette)]
    if not found.owned:
        return [*lines, [("  none", Role.MUTED)]]
    lines.append([("  PARTITION  EPOCH  SYMBOLS  TRANSACTIONS", Role.MUTED)])
    for partition in found.owned:
        lines.append([
            (cells.fit(str(partition.partition), 11, right=True), Role.TEXT),
            (cells.fit(str(partition.epoch), 7, right=True), Role.MUTED),
            (cells.fit(str(partition.symbols), 9, right=True), Role.TEXT),
            (cells.fit(f"{partition.published:,}", 14, right=True), Role.MUTED),
        ])  # fmt: skip
    return lines
