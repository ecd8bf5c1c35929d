"""How a backfill shows that it moves: live bars on a terminal, else a line every few seconds."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from tui_feeder.commands.backfill_jobs import Job
from tui_feeder.commands.formatting import format_bytes, format_count, format_duration, plural
from tui_feeder.engine.acquisition.history_progress import WholeHistory

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

_LINE_SECONDS = 3.0
_BAR_SECONDS = 0.15


class Totals:
    """The whole of a backfill, from look to look."""

    def __init__(self, jobs: Sequence[Job]) -> None:
        self._jobs = jobs
        self.whole = WholeHistory()
        self.rows = self.bytes = self.files = self.ended = 0
        self.symbols = len(jobs)

    def update(self, pausing: str | None) -> None:
        """Updates the totals from the jobs.

        Args:
            pausing: why the store accepts no writes; None if it does.
        """
        known = [(job.tracker, job.ended) for job in self._jobs if job.tracker is not None]
        unknown = sum(job.tracker is None and not job.ended for job in self._jobs)
        self.whole.update(known, unknown, pausing)
        self.rows = sum(tracker.rows_done for tracker, _ in known)
        self.bytes = sum(tracker.bytes_done for tracker, _ in known)
        self.files = sum(tracker.files_done for tracker, _ in known)
        self.ended = sum(job.ended for job in self._jobs)


class Display(Protocol):
    """What shows the progress."""

    def start(self, jobs: Sequence[Job]) -> None:
        """Starts to show progress.

        Args:
            jobs: one a symbol.
        """

    async def run(self) -> None:
        """Show until cancelled."""

    def print_line(self, text: str) -> None:
        """Prints a line without disturbing the progress.

        Args:
            text: the line.
        """

    def stop(self) -> None:
        """Leave the terminal as it was."""


def display(pausing: Callable[[], str | None]) -> Display:
    """Chooses bars if stderr is a terminal, else lines.

    Args:
        pausing: gives the reason why writes to the store are paused; None where they are not.

    Returns:
        The display.
    """
    return Bars(pausing) if sys.stderr.isatty() else Lines(pausing)


class Lines:
    """A line on stderr every few seconds."""

    def __init__(self, pausing: Callable[[], str | None]) -> None:
        self._pausing = pausing
        self._jobs: Sequence[Job] = ()
        self._totals = Totals(())
        self._began = time.monotonic()

    def start(self, jobs: Sequence[Job]) -> None:
        """See :meth:`Display.start`."""
        self._jobs, self._began, self._totals = jobs, time.monotonic(), Totals(jobs)

    async def run(self) -> None:
        """Show until cancelled."""
        while True:
            await asyncio.sleep(_LINE_SECONDS)
            self.print_line(self.line())

    def print_line(self, text: str) -> None:
        """See :meth:`Display.print_line`."""
        sys.stderr.write(text + "\n")
        sys.stderr.flush()

    def stop(self) -> None:
        """Nothing is left to undo."""

    def line(self) -> str:
        """Where the backfill is."""
        now, elapsed = self._totals, time.monotonic() - self._began
        now.update(self._pausing())
        whole, eta = now.whole, now.whole.eta_seconds
        return (
            f"backfill: {now.ended} of {now.symbols} symbols, "
            f"{whole.fraction:.0%} of {format_count(whole.total)} minutes, "
            f"{format_count(round(now.rows / max(elapsed, 0.01)))}/s, {format_bytes(now.bytes)}, "
            f"{plural(now.files, 'file')}"
            + (f", {format_duration(eta)} left" if eta is not None else "")
            + (f"; {whole.note}" if whole.note else "")
        )


class Bars:
    """A bar for each symbol under way and one for all of them, by rich."""

    def __init__(self, pausing: Callable[[], str | None]) -> None:
        self._pausing = pausing
        self._jobs: Sequence[Job] = ()
        self._totals = Totals(())
        self._began = time.monotonic()
        self._rich: RichProgress | None = None
        self._bars: dict[str, TaskID] = {}

    def start(self, jobs: Sequence[Job]) -> None:
        """See :meth:`Display.start`."""
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        self._jobs, self._began, self._totals = jobs, time.monotonic(), Totals(jobs)
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

    def print_line(self, text: str) -> None:
        """See :meth:`Display.print_line`; above the bars."""
        assert self._rich is not None
        self._rich.console.print(text, markup=False, highlight=False)

    def stop(self) -> None:
        """Remove the bars; the table that follows has the result."""
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
            all_of, elapsed = self._totals, now - self._began
            all_of.update(self._pausing())
            whole = all_of.whole
            self._set(
                f"{all_of.ended} of {all_of.symbols} done", all_of.rows, whole.total, all_of.bytes,
                all_of.files, elapsed, whole.eta_seconds, key="", completed=whole.fraction * whole.total,
            )  # fmt: skip
        self._rich.refresh()

    def _set(
        self, name: str, rows: int, total: int, got: int, files: int, elapsed: float, eta: float | None,
        key: str | None = None, completed: float | None = None,
    ) -> None:  # fmt: skip
        assert self._rich is not None
        key = name if key is None else key
        if key not in self._bars:
            self._bars[key] = self._rich.add_task(name, rate="", size="", files="", left="")
        self._rich.update(
            self._bars[key],
            description=name,
            completed=rows if completed is None else completed,
            total=total,
            rate=f"{format_count(round(rows / max(elapsed, 0.05)))}/s",
            size=format_bytes(got),
            files=plural(files, "file"),
            left=format_duration(eta) if eta is not None else "",
        )
