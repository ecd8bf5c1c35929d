"""A monitor of a feeder in another process.

The calls of a screen hardly wait for the other process: what is at hand is handed out. Only what is new, or
has changed since (a minute has closed), is asked for, and a moment is given to its answer, so that a chart
neither flashes empty nor stays a minute behind; an answer that takes longer is there at the next look.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from tui_feeder.attach.sockets import NO_FEEDER, SocketError, check_peer
from tui_feeder.attach.wire import (
    MAX_ANSWER,
    PROTOCOL,
    Answer,
    Decompressor,
    Difference,
    Hello,
    Question,
    Refusal,
    Welcome,
    WireError,
    apply,
    decode_server_message,
    encode_frame,
    read_frame,
)
from tui_feeder.day_evidence import DayView, MinuteView
from tui_feeder.errors import RunFailure
from tui_feeder.late_answers import Answering, LateAnswers
from tui_feeder.monitor import (
    ROW,
    AnchoredLine,
    Event,
    FootprintView,
    LevelLines,
    MinuteState,
    NakedPoc,
    ProfileView,
    RangeView,
    Rows,
    RuleView,
    Snapshot,
    Spans,
    SymbolNumbers,
    unmade_footprint,
)
from tui_feeder.version import __version__

log = logging.getLogger(__name__)

_CONNECT_SECONDS, _ANSWER_SECONDS = 5.0, 10.0
_PULL_SECONDS = 0.1  # at least, between two snapshots
_FIRST_ANSWER_SECONDS = 0.05  # a first question waits so long for its answer
_WAITS = (0.2, 0.5, 1.0, 2.0, 5.0)  # between tries to find a feeder again
_KEPT = 256  # answers
_STATES = tuple(MinuteState)
_NOT_CONNECTED = "the feeder does not answer"


_NO_ROWS = np.empty(0, dtype=ROW)
_T = TypeVar("_T")


class AttachError(RunFailure):
    """A feeder cannot be attached to."""


def _refusal(error: BaseException) -> str:
    """Why there is no connection, and what to do."""
    if isinstance(error, PermissionError):
        return "permission denied: only its own user (sudo -u USER) and the administrator may attach"
    if isinstance(error, ConnectionError | FileNotFoundError | NotADirectoryError | EOFError):
        return NO_FEEDER
    return str(error) or "no answer in time"


def describe_feeder(path: Path) -> str:
    """Names a feeder for people who have more than one.

    Args:
        path: of its socket.

    Returns:
        The socket, and whose candles the feeder has in which store, where it answers.
    """
    try:
        with contextlib.closing(AttachedMonitor(path)) as monitor:
            return f"{path}: {monitor.welcome.title}"
    except (AttachError, OSError) as error:
        return f"{path}: {error}"


class AttachedMonitor:
    """The :class:`~tui_feeder.monitor.Monitor` of the feeder that listens at a socket.

    Where the connection is lost it reconnects until :meth:`close` is called; until then the last snapshot
    stays, its state ``lost``.

    Args:
        path: of the socket.

    Raises:
        AttachError: the connection is refused, or the other end is no feeder of this version.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.welcome: Welcome
        self.received = 0  # bytes
        self._newest: Snapshot
        self._base: Snapshot | None = None  # what the feeder believes us to have
        self._requested = asyncio.Event()  # since the last snapshot was asked for
        self._answers = LateAnswers(_KEPT)
        self._number = 0
        self._waiting: dict[int, Callable[[Any], None]] = {}
        self._changes: set[Future[str]] = set()  # whose answers are awaited
        self._writer: asyncio.StreamWriter | None = None
        self._failed: Exception | None = None
        self._loop = asyncio.new_event_loop()
        self._stopping = asyncio.Event()
        self._first = threading.Event()
        self._thread = threading.Thread(target=self._run, name="attached", daemon=True)
        self._thread.start()
        self._first.wait()
        if self._failed is not None:
            raise AttachError(str(self._failed)) from self._failed

    def close(self) -> None:
        """Let the feeder go; it does not notice."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(_CONNECT_SECONDS)

    # --- what a screen asks ----------------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        """The newest snapshot; of a lost feeder the last one, its clock going on so that ages grow."""
        with contextlib.suppress(RuntimeError):  # it was closed
            self._loop.call_soon_threadsafe(self._requested.set)
        now, newest = time.monotonic(), self._answers.marked(self._newest)
        if newest.state != "lost":
            return newest
        passed = (now - newest.taken_at) * newest.clock_rate * 1000
        return replace(newest, exchange_time=newest.exchange_time + round(passed), taken_at=now)

    def bars(self, symbol: str, timeframe: int, count: int, end: int | None = None) -> Rows:
        """See :meth:`tui_feeder.monitor.Monitor.bars`."""
        stamp = self._state_of(symbol)
        return self._ask("bars", symbol, timeframe, count, end, stamp=stamp, read=_rows, none=_NO_ROWS)

    def ema_lines(
        self, symbol: str, timeframe: int, count: int, end: int | None = None
    ) -> tuple[NDArray[np.float64], ...]:
        """See :meth:`tui_feeder.monitor.Monitor.ema_lines`."""
        stamp, none = self._state_of(symbol), (np.empty(0),) * len(self._newest.ema_periods)
        return self._ask("ema_lines", symbol, timeframe, count, end, stamp=stamp, read=_lines, none=none)

    def open_bar(self, symbol: str, timeframe: int) -> Rows:
        """See :meth:`tui_feeder.monitor.Monitor.open_bar`."""
        stamp = self._state_of(symbol)
        return self._ask("open_bar", symbol, timeframe, stamp=stamp, read=_rows, none=_NO_ROWS)

    def profile(
        self, symbol: str, day: int | None = None, patience: float | None = None
    ) -> ProfileView | None:
        """See :meth:`tui_feeder.monitor.Monitor.profile`."""
        return self._ask("profile", symbol, day, stamp=self._state_of(symbol), read=_profile, none=None)

    def range_profile(self, symbol: str, spans: Spans, patience: float | None = None) -> RangeView | None:
        """See :meth:`tui_feeder.monitor.Monitor.range_profile`."""
        bounds = [bound for span in spans for bound in span]
        stamp = self._state_of(symbol)
        return self._ask("range_profile", symbol, *bounds, stamp=stamp, read=_range, none=None)

    def footprint(
        self,
        symbol: str,
        timeframe: int,
        count: int,
        levels: int,
        end: int | None = None,
        patience: float | None = None,
    ) -> FootprintView | None:
        """See :meth:`tui_feeder.monitor.Monitor.footprint`."""
        asked = symbol, timeframe, count, levels, end
        stamp, unmade = self._state_of(symbol), unmade_footprint(symbol)
        return self._ask("footprint", *asked, stamp=stamp, read=_footprint, none=None, unmade=unmade)

    def naked_pocs(self, symbol: str, patience: float | None = None) -> tuple[NakedPoc, ...]:
        """See :meth:`tui_feeder.monitor.Monitor.naked_pocs`."""
        nothing: tuple[NakedPoc, ...] = ()
        return self._ask("naked_pocs", symbol, stamp=self._state_of(symbol), read=_naked, none=nothing)

    def developing(
        self, symbol: str, day: int, every: int, patience: float | None = None
    ) -> LevelLines | None:
        """See :meth:`tui_feeder.monitor.Monitor.developing`."""
        stamp = self._state_of(symbol)
        return self._ask("developing", symbol, day, every, stamp=stamp, read=_level_lines, none=None)

    def anchored(self, symbol: str, anchor: int, timeframe: int, end: int | None = None) -> AnchoredLine:
        """See :meth:`tui_feeder.monitor.Monitor.anchored`."""
        stamp, nothing = self._state_of(symbol), AnchoredLine((), (), ())
        return self._ask(
            "anchored", symbol, anchor, timeframe, end, stamp=stamp, read=_anchored, none=nothing
        )

    def coverage(self, symbol: str, start: int, end: int, cells: int) -> tuple[MinuteState, ...]:
        """See :meth:`tui_feeder.monitor.Monitor.coverage`."""
        stamp, none = (self._state_of(symbol), self._newest.gaps), (MinuteState.OUTSIDE,) * cells
        return self._ask("coverage", symbol, start, end, cells, stamp=stamp, read=_states, none=none)

    def sources(self, symbol: str, start: int, end: int) -> Mapping[str, int]:
        """See :meth:`tui_feeder.monitor.Monitor.sources`."""
        nothing: dict[str, int] = {}
        stamp = self._state_of(symbol)
        return self._ask("sources", symbol, start, end, stamp=stamp, read=dict, none=nothing)

    def days(self, symbol: str, start: int, end: int) -> tuple[DayView, ...]:
        """See :meth:`tui_feeder.monitor.Monitor.days`."""
        nothing: tuple[DayView, ...] = ()
        stamp = self._state_of(symbol)
        return self._ask("days", symbol, start, end, stamp=stamp, read=_days, none=nothing)

    def minute(self, symbol: str, open_time: int) -> MinuteView | None:
        """See :meth:`tui_feeder.monitor.Monitor.minute`."""
        return self._ask("minute", symbol, open_time, stamp=self._state_of(symbol), read=_minute, none=None)

    def digests(self, symbol: str, day: int) -> Mapping[str, str]:
        """See :meth:`tui_feeder.monitor.Monitor.digests`."""
        nothing: dict[str, str] = {}
        return self._ask("digests", symbol, day, stamp=self._state_of(symbol), read=dict, none=nothing)

    def noted_minutes(self, symbol: str, day: int) -> tuple[int, ...]:
        """See :meth:`tui_feeder.monitor.Monitor.noted_minutes`."""
        nothing: tuple[int, ...] = ()
        stamp = self._state_of(symbol)
        return self._ask("noted_minutes", symbol, day, stamp=stamp, read=tuple, none=nothing)

    def numbers(self, symbol: str) -> SymbolNumbers | None:
        """See :meth:`tui_feeder.monitor.Monitor.numbers`."""
        return self._ask("numbers", symbol, stamp=self._state_of(symbol), read=_numbers, none=None)

    def listed(self) -> tuple[str, ...]:
        """See :meth:`tui_feeder.monitor.Monitor.listed`."""
        nothing: tuple[str, ...] = ()
        return self._ask("listed", stamp=len(self._newest.symbols), read=tuple, none=nothing)

    def retry_gaps(self, symbol: str | None = None) -> None:
        """See :meth:`tui_feeder.monitor.Monitor.retry_gaps`."""
        self._send_command("retry_gaps", symbol)

    def acknowledge(self, number: int | None = None) -> None:
        """See :meth:`tui_feeder.monitor.Monitor.acknowledge`."""
        self._send_command("acknowledge", number)

    def save_rule(self, rule: RuleView, replaces: str = "") -> Future[str]:
        """See :meth:`tui_feeder.monitor.Monitor.save_rule`."""
        return self._change("save_rule", _encoded(rule), replaces)

    def delete_rule(self, rule: RuleView) -> Future[str]:
        """See :meth:`tui_feeder.monitor.Monitor.delete_rule`."""
        return self._change("delete_rule", _encoded(rule))

    def add_symbol(self, symbol: str) -> None:
        """See :meth:`tui_feeder.monitor.Monitor.add_symbol`."""
        self._send_command("add_symbol", symbol)

    def drop_symbol(self, symbol: str) -> None:
        """See :meth:`tui_feeder.monitor.Monitor.drop_symbol`."""
        self._send_command("drop_symbol", symbol)

    def _state_of(self, symbol: str) -> object:
        """What answers about the minutes of a symbol depend on."""
        found = (view for view in self._newest.symbols if view.symbol == symbol)
        return next(((view.last_closed, view.stored) for view in found), None)

    def _send_command(self, what: str, *args: str | int | None) -> None:
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._send, what, args, lambda _: None)

    def _change(self, what: str, *args: str) -> Future[str]:
        """A change whose end is awaited: "" or what is wrong."""
        result: Future[str] = Future()

        def send() -> None:
            if self._writer is None:
                result.set_result(_NOT_CONNECTED)
                return
            self._changes.add(result)
            self._send(what, args, answered)

        def answered(value: Any) -> None:  # noqa: ANN401
            self._changes.discard(result)
            result.set_result(value if isinstance(value, str) else "the feeder refused it")

        try:
            self._loop.call_soon_threadsafe(send)
        except RuntimeError:  # it was closed
            result.set_result(_NOT_CONNECTED)
        return result

    def _ask(
        self,
        what: str,
        *args: str | int | None,
        stamp: object,
        read: Callable[[Any], _T],
        none: _T,
        unmade: _T | None = None,
    ) -> _T:
        """The answer at hand; a newer one is asked for where ``stamp`` has changed.

        Until the first has come it is ``unmade``, where there is such a thing, else ``none``.
        """

        def begin(answering: Answering[_T]) -> None:
            def answered(value: Any) -> None:  # noqa: ANN401
                try:
                    answering.give(none if value is None else read(value))
                except Exception:  # of a feeder that is not like this program: this answer alone is missing
                    log.exception("an answer to %s could not be read", what)
                    answering.keep()

            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._send, what, args, answered)

        symbol = args[0] if args and isinstance(args[0], str) else None
        wait = None if self._writer is None else _FIRST_ANSWER_SECONDS
        first = none if unmade is None else unmade
        return self._answers.ask((what, *args), symbol, stamp, begin, first, wait)

    # --- the other side --------------------------------------------------------------------------

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._main())

    async def _main(self) -> None:
        attached = asyncio.create_task(self._keep_connected())
        stopping = asyncio.create_task(self._stopping.wait())
        await asyncio.wait((attached, stopping), return_when=asyncio.FIRST_COMPLETED)
        for task in (attached, stopping):
            task.cancel()
        await asyncio.gather(attached, stopping, return_exceptions=True)

    async def _keep_connected(self) -> None:
        tries = 0
        while True:
            try:
                async with asyncio.timeout(_CONNECT_SECONDS):
                    reader, writer = await asyncio.open_unix_connection(str(self.path))
                    check_peer(writer.get_extra_info("socket"))
                    writer.write(encode_frame(Hello(PROTOCOL, __version__)))
                    message = decode_server_message(await self._read(reader))
                    if isinstance(message, Refusal):
                        raise WireError(message.text)
                    if not isinstance(message, Welcome):
                        raise WireError("what listens there is not a feeder")
                self._answers.forget()  # nothing is under way
                self.welcome, self._writer, self._base = message, writer, None
                tries = 0
                async with asyncio.TaskGroup() as both:
                    both.create_task(self._pull())
                    both.create_task(self._listen(reader))
            except* (OSError, EOFError, WireError, TimeoutError, SocketError) as group:
                self._handle_lost_connection(group.exceptions[0])
            except* (
                Exception
            ) as group:  # an answer that no code here expects: the screen must not stand still
                log.exception("what the feeder answered could not be used")
                self._handle_lost_connection(
                    WireError(f"an answer could not be used: {group.exceptions[0]!r}")
                )
            if not self._first.is_set():
                self._first.set()
                return
            await asyncio.sleep(_WAITS[min(tries, len(_WAITS) - 1)])
            tries += 1

    def _handle_lost_connection(self, error: BaseException) -> None:
        """The connection is lost: reported once on the screen; pending requests are dropped."""
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        if self._writer is not None:
            self._writer.close()
        self._writer = None
        self._waiting.clear()
        while self._changes:
            self._changes.pop().set_result("the connection was lost: whether it was done is not known")
        if not self._first.is_set():
            self._failed = AttachError(f"{self.path}: {_refusal(error)}")
        elif self._newest.state != "lost":
            text = "the feeder does not answer; reconnecting"
            event = Event(self._newest.exchange_time, "error", None, text)
            self._newest = replace(
                self._newest,
                state="lost",
                sequence=self._newest.sequence + 1,
                events=(*self._newest.events, event),
            )

    async def _pull(self) -> None:
        """Fetch a snapshot for each look, so that it is there at the next: a slow screen costs little."""
        while True:
            self._requested.clear()
            there = asyncio.Event()

            def received(value: Any, there: asyncio.Event = there) -> None:  # noqa: ANN401
                self._apply_difference(value)
                there.set()

            self._send("snapshot", (), received)
            async with asyncio.timeout(_ANSWER_SECONDS):
                await there.wait()
            self._first.set()
            await asyncio.sleep(_PULL_SECONDS)
            await self._requested.wait()

    def _apply_difference(self, value: Any) -> None:  # noqa: ANN401
        try:
            change = msgspec.convert(value, Difference)
        except msgspec.ValidationError as error:
            raise WireError(f"no snapshot: {error}") from error
        self._base = apply(self._base, change, time.monotonic())
        self._newest = self._base

    def _send(self, what: str, args: tuple[str | int | None, ...], answered: Callable[[Any], None]) -> None:
        if self._writer is None:
            return
        self._number += 1
        self._waiting[self._number] = answered
        self._writer.write(encode_frame(Question(self._number, what, args)))

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        decompressor = Decompressor(MAX_ANSWER)
        while True:
            message = decode_server_message(decompressor.body(await self._read(reader)))
            if isinstance(message, Refusal) and not message.id:
                raise WireError(message.text)
            if isinstance(message, Answer | Refusal):
                answered = self._waiting.pop(message.id, None)
                if answered is not None:
                    answered(message.value if isinstance(message, Answer) else None)

    async def _read(self, reader: asyncio.StreamReader) -> bytes:
        data = await read_frame(reader, MAX_ANSWER)
        self.received += len(data)
        return data


def _encoded(rule: RuleView) -> str:
    return msgspec.json.encode(rule).decode()


def _rows(value: bytes) -> Rows:
    return np.frombuffer(value, dtype=ROW)


def _lines(value: list[bytes]) -> tuple[NDArray[np.float64], ...]:
    return tuple(np.frombuffer(line, dtype=np.float64) for line in value)


def _profile(value: object) -> ProfileView | None:
    return msgspec.convert(value, ProfileView)


def _range(value: object) -> RangeView | None:
    return msgspec.convert(value, RangeView | None)


def _footprint(value: object) -> FootprintView | None:
    return msgspec.convert(value, FootprintView | None)


def _naked(value: object) -> tuple[NakedPoc, ...]:
    return msgspec.convert(value, tuple[NakedPoc, ...])


def _level_lines(value: object) -> LevelLines | None:
    return msgspec.convert(value, LevelLines | None)


def _anchored(value: object) -> AnchoredLine:
    return msgspec.convert(value, AnchoredLine)


def _days(value: object) -> tuple[DayView, ...]:
    return msgspec.convert(value, tuple[DayView, ...])


def _minute(value: object) -> MinuteView | None:
    return msgspec.convert(value, MinuteView)


def _numbers(value: object) -> SymbolNumbers | None:
    return msgspec.convert(value, SymbolNumbers)


def _states(value: bytes) -> tuple[MinuteState, ...]:
    return tuple(_STATES[number] for number in value)
