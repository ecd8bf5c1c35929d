"""The terminal: what it can show, what is written to it, and giving it back in order.

The one place that touches Textual's private parts (its output queue and driver).
POSIX only, as the signals are.
"""

from __future__ import annotations

import codecs
import locale
import logging
import os
import select
import signal
import termios
import time
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import Empty
from typing import IO, TYPE_CHECKING, Any, TypeVar

from rich.console import Console
from textual._compositor import Compositor, CompositorUpdate
from textual.app import App
from textual.driver import Driver
from textual.drivers.linux_driver import LinuxDriver
from textual.geometry import Region, Size
from textual.screen import Screen
from textual.strip import Strip
from textual.widget import Widget

from tui_feeder.output_minimizer import OutputMinimizer

if TYPE_CHECKING:
    import asyncio

log = logging.getLogger(__name__)
Result = TypeVar("Result")

#: Frames waiting to be written beyond which the terminal is not reading and a tick is skipped.
BACKLOG_LIMIT = 3

_COLOR_SYSTEMS = {"truecolor": "truecolor", "256": "256", "16": "standard"}


#: What the full set of symbols needs, and few codecs have.
_SYMBOLS = "▲▸●─│┊░▇┤┈█▀╽╵▏•⣿…"


def terminal_codec(environ: Mapping[str, str] | None = None) -> str:
    """Finds the codec of the terminal from the locale.

    Args:
        environ: of a program; None for this one's as it was started. Python sets ``LC_CTYPE`` to UTF-8 for
            itself where the locale is C, which does not depend on the terminal.

    Returns:
        Its name; ASCII where the locale names none.
    """
    if environ is None:
        environ = dict(os.environ)
        with suppress(OSError):
            stated = Path("/proc/self/environ").read_bytes().split(b"\0")
            if not any(entry.startswith(b"LC_CTYPE=") for entry in stated):
                environ.pop("LC_CTYPE", None)
    stated_codec = environ.get("PYTHONIOENCODING", "").partition(":")[0]
    if stated_codec or environ.get("PYTHONUTF8") == "1":
        return stated_codec or "utf-8"
    name = next((value for key in ("LC_ALL", "LC_CTYPE", "LANG") if (value := environ.get(key))), "C")
    codeset = name.partition("@")[0].partition(".")[2] or locale.normalize(name).partition(".")[2] or name
    try:
        return codecs.lookup(codeset).name
    except (LookupError, ValueError):
        return "ascii"


def _shows_symbols(codec: str) -> bool:
    try:
        return bool(_SYMBOLS.encode(codec))
    except (UnicodeError, LookupError):
        return False


def detect_symbol_set(environ: Mapping[str, str] = os.environ, codec: str | None = None) -> str:
    """Chooses the symbols to draw with.

    Args:
        environ: the environment.
        codec: of the terminal; None to find it.

    Returns:
        ``braille``, or ``ascii`` where the terminal's codec or font lacks symbols.
    """
    shown = _shows_symbols(terminal_codec() if codec is None else codec)
    return "braille" if shown and environ.get("TERM") != "linux" else "ascii"


def _open_terminal() -> IO[str]:
    """The terminal that the user looks at, to draw on: what stderr is sent to is no matter.

    Text is in the locale's codec where that has the symbols, else in UTF-8: then they were asked for.
    """
    descriptor = None
    for number in filter(os.isatty, (1, 0)):
        try:  # reopened: a process that shares the descriptor may have made it non-blocking
            descriptor = os.open(os.ttyname(number), os.O_WRONLY | os.O_NOCTTY | os.O_CLOEXEC)
        except OSError:  # its device is not to be seen from here, as in a container
            descriptor = os.dup(number)
        break
    if descriptor is None:
        descriptor = os.open("/dev/tty", os.O_WRONLY | os.O_CLOEXEC)
    codec = terminal_codec()
    encoding = codec if _shows_symbols(codec) else "utf-8"
    return open(descriptor, "w", encoding=encoding, errors="replace", newline="")


def color_system(colors: str, environ: Mapping[str, str] = os.environ) -> str | None:
    """Chooses Rich's colour system.

    Args:
        colors: ``auto``, ``truecolor``, ``256``, ``16`` or ``none``.
        environ: where ``NO_COLOR``, ``COLORTERM`` and ``TERM`` are read; the first wins over ``auto`` only.

    Returns:
        Its name; None for no colour at all.

    Raises:
        ValueError: ``colors`` is none of these.
    """
    if colors == "none":
        return None
    if colors in _COLOR_SYSTEMS:
        return _COLOR_SYSTEMS[colors]
    if colors != "auto":
        raise ValueError(f"unknown colors {colors!r}; there are: auto, {', '.join(_COLOR_SYSTEMS)}, none")
    if environ.get("NO_COLOR") or environ.get("TERM") == "dumb":
        return None
    if environ.get("COLORTERM", "").lower() in ("truecolor", "24bit"):
        return "truecolor"
    return "256" if "256color" in environ.get("TERM", "") else "standard"


def write_backlog(app: App[Any]) -> int:
    """Counts writes that wait for the terminal to read.

    Args:
        app: the app.

    Returns:
        Their number; 0 without a terminal.
    """
    thread = getattr(app._driver, "_writer_thread", None)
    return thread._queue.qsize() if thread is not None else 0


def hung_up(app: App[Any]) -> bool:
    """Checks whether the other end of the terminal is gone, where Textual's input thread would spin.

    Args:
        app: the app.

    Returns:
        True if it is gone.
    """
    driver = app._driver
    if not isinstance(driver, TerminalDriver):
        return False
    poll = select.poll()
    poll.register(driver.fileno, 0)
    return driver.output.lost or any(event & (select.POLLHUP | select.POLLERR) for _, event in poll.poll(0))


def lost_writes(app: App[Any]) -> bool:
    """Checks whether writes were dropped since the last call, so that the screen must be redrawn.

    Args:
        app: the app.

    Returns:
        True if any were.
    """
    driver = app._driver
    if not isinstance(driver, TerminalDriver) or not driver.dropped:
        return False
    driver.dropped = False
    return True


def missed_resize(app: App[Any]) -> Size | None:
    """Finds the size that a page in a browser has, where the app has been given an earlier one since.

    Textual's driver gives the app the size of the page as it was opened after one that has come meanwhile,
    as where the page got its fonts while the process started.

    Args:
        app: the app.

    Returns:
        Columns and rows; None where the app knows them, and in a terminal.
    """
    driver = app._driver
    if driver is None or not driver.is_web or driver._size is None or driver._size == app.size:
        return None
    return Size(*driver._size)


@contextmanager
def signals(
    loop: asyncio.AbstractEventLoop, numbers: list[int], received: Callable[[int], None]
) -> Iterator[None]:
    """Handles signals on the loop inside the context; does nothing off the main thread.

    Args:
        loop: the loop.
        numbers: the signals.
        received: called with the number of a signal.

    Yields:
        Nothing; handlers are restored at the end.
    """
    before: dict[int, Any] = {}
    try:
        for number in numbers:
            handler = signal.getsignal(number)
            loop.add_signal_handler(number, received, number)
            before[number] = handler
    except (ValueError, RuntimeError):
        pass
    try:
        yield
    finally:
        for number, handler in before.items():
            loop.remove_signal_handler(number)
            with suppress(TypeError, ValueError):
                signal.signal(number, handler)


#: How long leaving waits for a write to end in a terminal that does not read.
_LET_GO_SECONDS = 3.0
#: Between two looks at whether that write, which fills the terminal's buffer again and again, has ended.
_FLUSH_SECONDS = 0.005
#: How long it waits for one that reads.
_DRAIN_SECONDS = 0.25


class Output:
    """The stream of the terminal. Where it is gone, writes vanish and :attr:`lost` is set."""

    def __init__(self, stream: IO[str], minimizer: OutputMinimizer) -> None:
        self.lost = False
        self.flushed = 0  # texts that are with the terminal
        self._written = 0
        self._stream = stream
        self._minimizer = minimizer

    def write(self, text: str) -> None:
        """Writes what Textual's output thread took from its queue.

        Args:
            text: text with escape sequences.
        """
        self._guarded(self._stream.write, self._minimizer.rewrite(text))
        self._written += 1

    def flush(self) -> None:
        """Hand everything written to the terminal."""
        self._guarded(self._stream.flush)
        self.flushed = self._written

    def fileno(self) -> int:
        """The descriptor of the stream."""
        return self._stream.fileno()

    def close(self) -> None:
        """Give the descriptor back."""
        self._guarded(self._stream.close)

    def _guarded(self, call: Callable[..., Any], *arguments: str) -> None:
        if self.lost:
            return
        try:
            call(*arguments)
        except (OSError, ValueError):
            self.lost = True


class PieceUpdate(CompositorUpdate):
    """Pieces of lines, each with its place.

    Args:
        pieces: column, row and strip of each.
    """

    def __init__(self, pieces: Sequence[tuple[int, int, Strip]]) -> None:
        self.pieces = pieces

    def render_segments(self, console: Console) -> str:
        """Writes what a terminal needs to show the pieces.

        Args:
            console: whose colours are used.

        Returns:
            Text with escape sequences.
        """
        return "".join(
            [f"\x1b[{row + 1};{column + 1}H{strip.render(console)}" for column, row, strip in self.pieces]
        )


class PanelCompositor(Compositor):
    """Textual's compositor, whose work in a frame follows the cells that change.

    Textual goes through every line of every widget between the first and the last change, and again through
    all edges on a changed line: with the columns of a table that is a third of the CPU of a frame. It also
    sends a line from the left edge of a widget on; here it begins with the first cell that changes.
    """

    _owned: tuple[list[list[int]], list[dict[int, Widget]]] | None = None

    def _owners(self) -> list[dict[int, Widget]]:
        """Line by line the widget that is seen from each edge on; found once for a layout."""
        cuts = self.cuts
        if self._owned is None or self._owned[0] is not cuts:
            lines: list[dict[int, Widget]] = [{} for _ in cuts]
            for widget, (region, clip) in self.visible_widgets.items():  # what lies above comes first
                shown = region.intersection(clip)
                for y in shown.line_range:
                    edges = cuts[y]
                    for edge in edges[bisect_left(edges, shown.x) : bisect_left(edges, shown.right)]:
                        lines[y].setdefault(edge, widget)
            self._owned = cuts, lines
        return self._owned[1]

    def render_partial_update(self) -> PieceUpdate | None:  # type: ignore[override]
        """Renders what has changed since the last update.

        Returns:
            The pieces; None where nothing has changed.
        """
        regions = self._dirty_regions.copy()
        self._dirty_regions.clear()
        if not regions:
            return None
        cuts, owners = self.cuts, self._owners()
        pieces: list[tuple[int, int, Strip]] = []
        for y, begin, end in self._regions_to_spans(regions):
            edges, owned = cuts[y], owners[y]
            for at in range(bisect_right(edges, begin) - 1, bisect_left(edges, end)):
                widget = owned.get(edges[at])
                if widget is None:
                    continue
                x, top = self.visible_widgets[widget][0].offset
                left, right = max(edges[at], begin), min(edges[at + 1], end)
                crop = Region(left - x, y - top, right - left, 1)
                pieces.append((left, y, widget.render_lines(crop)[0]))
        return PieceUpdate(pieces)


def compose_panels(screen: Screen[Any]) -> None:
    """Gives a screen the compositor for panels.

    Args:
        screen: that is not shown yet.
    """
    screen._compositor = PanelCompositor()


def repaint_together(screen: Screen[Any], changes: Mapping[Widget, Sequence[Region]]) -> None:
    """Has what changed drawn with the next frame, by one message to the screen.

    By itself each widget wakes its own queue, and sends the screen a message from there: of a table with a
    widget a column that is a sixth of the CPU of a frame.

    Args:
        screen: with the compositor of :func:`compose_panels`.
        changes: of each widget the regions that changed, from its own corner.
    """
    compositor, first = screen._compositor, True
    for widget, regions in changes.items():
        if first:
            widget.refresh(*regions)
            first = False
        elif (
            place := compositor.visible_widgets.get(widget)
        ) is not None:  # else all of it is drawn once it is
            region, clip = place
            moved = (clip.intersection(changed.translate(region.offset)) for changed in regions)
            compositor._dirty_regions.update(filter(None, moved))


class CrashLoggingApp(App[Result]):
    """An app whose crash goes to the log with its traceback, and prints nothing to the terminal."""

    failure: Exception | None = None  # the first unhandled exception

    def _handle_exception(self, error: Exception) -> None:
        if self.failure is None:
            self.failure = error
        log.error("the screen failed: %r", error, exc_info=error)
        super()._handle_exception(error)

    def _fatal_error(self) -> None:
        self._close_messages_no_wait()

    def _print_error_renderables(self) -> None:
        self._exit_renderables.clear()


def driver_type() -> type[Driver] | None:
    """The driver of a terminal; None, Textual's own choice, where the app is shown in a browser."""
    return None if "TEXTUAL_DRIVER" in os.environ else TerminalDriver


class TerminalDriver(LinuxDriver):
    """Textual's driver, thrifty, and able to let go of a terminal that does not read.

    Of the mouse it asks for buttons, drags and the wheel. Textual asks for every movement, too: over ssh
    each is a message, and nothing on these screens follows a mouse whose buttons are up.
    """

    def __init__(
        self, app: App[Any], *, debug: bool = False, mouse: bool = True, size: tuple[int, int] | None = None
    ) -> None:
        super().__init__(app, debug=debug, mouse=mouse, size=size)
        self.output = Output(_open_terminal(), OutputMinimizer(getattr(app, "colored", True)))
        self._file = self.output  # type: ignore[assignment]
        self._sent = 0  # texts given to the output thread
        self.dropped = False  # a write was lost: the screen must be redrawn

    def _get_terminal_size(self) -> tuple[int, int]:
        """Columns and rows of the terminal that is drawn on; Textual asks stdout, which may be a pipe."""
        try:
            return os.get_terminal_size(self.output.fileno())
        except (OSError, ValueError):
            return super()._get_terminal_size()

    def _enable_mouse_support(self) -> None:
        if self._mouse:
            self.write("\x1b[?1002h\x1b[?1006h")

    def _disable_mouse_support(self) -> None:
        if self._mouse:
            self.write("\x1b[?1002l\x1b[?1006l")

    def _enable_mouse_pixels(self) -> None:
        """Cells are all that is needed."""

    def write(self, data: str) -> None:
        """Queues a write; a full queue drops it rather than block the keyboard and the signals.

        Args:
            data: text with escape sequences.
        """
        thread = self._writer_thread
        if thread is None:
            return
        if thread._queue.full():
            self.dropped = True
            return
        self._sent += 1
        thread.write(data)

    def stop_application_mode(self) -> None:
        """Restore the terminal, also one that has stopped reading."""
        if not self._written(_DRAIN_SECONDS):
            self._let_go()
        super().stop_application_mode()
        if not self._written(_DRAIN_SECONDS):  # what restores it found the terminal's buffer full
            self._let_go()
            super().stop_application_mode()

    def _let_go(self) -> None:
        """Throw away all that waits to be written, and what the terminal has not read of it."""
        if (thread := self._writer_thread) is not None:
            with suppress(Empty):
                while True:
                    thread._queue.get_nowait()
                    self._sent -= 1
            self._flush_until_idle()
            self.write("\x18")  # ends a sequence that the flush cut in two

    def _flush_until_idle(self) -> None:
        """Throw away what the terminal does not read, until the thread is out of its last write.

        A long write fills the terminal's buffer again and again: what restores the terminal must not be
        queued behind it, or it is lost when the process ends.
        """
        deadline = time.monotonic() + _LET_GO_SECONDS
        with suppress(termios.error):
            self._flush()
            while not self._written(_FLUSH_SECONDS) and time.monotonic() < deadline:
                self._flush()

    def _flush(self) -> None:
        """Empty the terminal's buffer, and wake the write that waits for room: the flush alone does not."""
        termios.tcflush(self.fileno, termios.TCOFLUSH)
        termios.tcflow(self.fileno, termios.TCOOFF)
        termios.tcflow(self.fileno, termios.TCOON)

    def _written(self, seconds: float) -> bool:
        """Whether all there is to write gets to the terminal within a time."""
        deadline = time.monotonic() + seconds
        while self.output.flushed < self._sent and time.monotonic() < deadline:
            time.sleep(min(0.01, seconds))
        return self.output.flushed >= self._sent

    def close(self) -> None:
        """End the output thread; one stuck in a write is left behind (it is a daemon)."""
        thread = self._writer_thread
        if thread is None:
            return
        if thread.is_alive() and not thread._queue.full():
            thread._queue.put_nowait(None)
        thread.join(2.0)
        if not thread.is_alive():
            self.output.close()
