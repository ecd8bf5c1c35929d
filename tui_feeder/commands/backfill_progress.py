"""How a backfill shows that it moves: live bars on a terminal, else a line every few seconds."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from tui_feeder.commands.backfill_jobs import Job
from tui_feeder.commands.tables import amount, lasting, plural, size

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

_LINE_SECONDS = 3.0
_BAR_SECONDS = 0.15


class Figures:
    """The whole of a backfill as of now."""

    def __init__(self, jobs: Sequence[Job], pausing: str | None) -> None:
        views = [job.tracker.view(pausing) for job in jobs if job.tracker is not None]
        under_way = [job.tracker.view(pausing) for job in jobs if job.under_way and job.tracker is not None]
        #: Why nothing moves, where nothing does.
        self.note = under_way[0].note if under_way and all(view.note for view in under_way) else ""
        self.rows = sum(view.rows_done for view in views)
        self.total = sum(view.rows_total for view in views)
        self.bytes = sum(view.bytes_done for view in views)
        self.files = sum(view.files_done for view in views)
        self.ended = sum(job.ended for job in jobs)
        self.symbols = len(jobs)

    def eta(self, elapsed: float) -> float | None:
        """Seconds left, about: of the rows known, and of the symbols that have not begun."""
        if not self.rows or elapsed < 1 or self.note:
            return None
        left = elapsed * (self.total - self.rows) / self.rows
        return left if self.ended == 0 else max(left, elapsed * (self.symbols - self.ended) / self.ended / 4)


class Display(Protocol):
    """What shows the progress."""

    def start(self, jobs: Sequence[Job]) -> None:
        """Begin to show."""

    async def run(self) -> None:
        """Show until cancelled."""

    def say(self, text: str) -> None:
        """A line of its own."""

    def stop(self) -> None:
        """Leave the terminal as it was."""


def display(pausing: Callable[[], str | None]) -> Display:
    """Bars where stderr is a terminal, else lines.

    Args:
        pausing: tells why the store takes nothing, where it does not.
    """
    return Bars(pausing) if sys.stderr.isatty() else Lines(pausing)


class Lines:
    """A line on stderr every few seconds."""

    def __init__(self, pausing: Callable[[], str | None]) -> None:
        self._pausing = pausing
        self._jobs: Sequence[Job] = ()
        self._began = time.monotonic()

    def start(self, jobs: Sequence[Job]) -> None:
        """Begin to show."""
        self._jobs, self._began = jobs, time.monotonic()

    async def run(self) -> None:
        """Show until cancelled."""
        while True:
            await asyncio.sleep(_LINE_SECONDS)
            self.say(self.line())

    def say(self, text: str) -> None:
        """A line of its own."""
        sys.stderr.write(text + "\n")
        sys.stderr.flush()

    def stop(self) -> None:
        """Nothing is left to undo."""

    def line(self) -> str:
        """Where the backfill is."""
        now, elapsed = Figures(self._jobs, self._pausing()), time.monotonic() - self._began
        eta = now.eta(elapsed)
        return (
            f"backfill: {now.ended} of {now.symbols} symbols, "
            f"{amount(now.rows)} of {amount(now.total)} minutes, "
            f"{amount(round(now.rows / max(elapsed, 0.01)))}/s, {size(now.bytes)}, "
            f"{plural(now.files, 'file')}"
            + (f", {lasting(eta)} left" if eta is not None else "")
            + (f"; {now.note}" if now.note else "")
        )


class Bars:
    """A bar for each symbol under way and one for all of them, by rich."""

    def __init__(self, pausing: Callable[[], str | None]) -> None:
        self._pausing = pausing
        self._jobs: Sequence[Job] = ()
        self._began = time.monotonic()
        self._rich: RichProgress | None = None
        self._bars: dict[str, TaskID] = {}

    def start(self, jobs: Sequence[Job]) -> None:
        """Begin to show."""
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        self._jobs, self._began = jobs, time.monotonic()
        self._rich = Progress(
            TextColumn("{task.description}"),
            # Short enough that the ^C a terminal writes behind the last bar starts no new line.
            BarColumn(bar_width=14),
            TextColumn("{task.percentage:>3.0f} %"),
            TextColumn("{task.fields[rate]:>11}"),
            TextColumn("{task.fields[size]:>7}"),
            TextColumn("{task.fields[files]:>9}"),
            TextColumn("{task.fields[left]:>8}"),
            console=Console(stderr=True),
            auto_refresh=False,
            transient=True,
        )
        self._rich.start()

    async def run(self) -> None:
        """Show until cancelled."""
        while True:
            self._show()
            await asyncio.sleep(_BAR_SECONDS)

    def say(self, text: str) -> None:
        """A line of its own, above the bars."""
        assert self._rich is not None
        self._rich.console.print(text, markup=False, highlight=False)

    def stop(self) -> None:
        """Remove the bars; the table that follows says what they came to."""
        if self._rich is not None:
            self._rich.stop()

    def _show(self) -> None:
        assert self._rich is not None
        now = time.monotonic()
        for job in self._jobs:
            bar = self._bars.get(job.symbol)
            if job.under_way and job.tracker is not None:
                view = job.tracker.view(self._pausing())
                self._set(
                    job.symbol, view.rows_done, view.rows_total, view.bytes_done, view.files_done,
                    now - job.tracker.started, view.eta_seconds,
                )  # fmt: skip
            elif bar is not None:
                self._rich.remove_task(self._bars.pop(job.symbol))
        if len(self._jobs) > 1:
            all_of, elapsed = Figures(self._jobs, self._pausing()), now - self._began
            self._set(
                f"{all_of.ended} of {all_of.symbols} done", all_of.rows, all_of.total, all_of.bytes,
                all_of.files, elapsed, all_of.eta(elapsed), key="",
            )  # fmt: skip
        self._rich.refresh()

    def _set(
        self, name: str, rows: int, total: int, got: int, files: int, elapsed: float, eta: float | None,
        key: str | None = None,
    ) -> None:  # fmt: skip
        assert self._rich is not None
        key = name if key is None else key
        if key not in self._bars:
            self._bars[key] = self._rich.add_task(name, rate="", size="", files="", left="")
        self._rich.update(
            self._bars[key],
            description=name,
            completed=rows,
            total=total,
            rate=f"{amount(round(rows / max(elapsed, 0.05)))}/s",
            size=size(got),
            files=plural(files, "file"),
            left=lasting(eta) if eta is not None else "",
        )
