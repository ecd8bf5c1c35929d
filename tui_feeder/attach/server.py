"""The feeder's end: answers attached clients, on a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import msgspec
from msgspec import structs

from tui_feeder.attach import gateway_questions
from tui_feeder.attach.gateway_questions import UnfitQuestionError
from tui_feeder.attach.sockets import bind_socket, peer_user
from tui_feeder.attach.wire import (
    MAX_QUESTION,
    PROTOCOL,
    Answer,
    Compressor,
    Difference,
    FlatSnapshot,
    Hello,
    Question,
    Refusal,
    Welcome,
    WireError,
    decode_client_message,
    difference,
    encode_frame,
    flatten,
    read_frame,
)
from tui_feeder.listener import Listener, most_connections
from tui_feeder.live_access import LiveAccess
from tui_feeder.monitor import DAY_MS, MINUTE_MS, ConfiguredValue, MinuteState, Monitor, RuleView
from tui_feeder.version import __version__

log = logging.getLogger(__name__)

_CLIENTS = 32
_CONNECTIONS = 48  # clients, and those that get a refusal because there are too many
#: A client that sends nothing for so long is disconnected; one that was stopped in its shell reconnects.
_HELLO_SECONDS, _STUCK_SECONDS, _SILENT_SECONDS = 5.0, 30.0, 600.0
_OLD_SECONDS, _FRESH_SECONDS, _POLL_SECONDS = 0.5, 1.0, 0.02
_MOST_DAYS = 31
_BARS, _CELLS, _NAME = 10_000, 2_000, 64
#: Of a composite profile.
_RANGES = 100
_STEPS = 16
_LONGEST_MS = 20 * 366 * 24 * 60 * MINUTE_MS
_STATES = {state: number for number, state in enumerate(MinuteState)}


class AttachServer:
    """Listens at a Unix socket (mode 0600) for clients of the same user.

    Args:
        monitor: of the engine; asked from the server's thread.
        path: of the socket.
        title: of the feeder, for people.
        live: what a gateway may ask; without it none can attach.
        configuration: every value in force, secrets masked, for the screens of clients.

    Raises:
        SocketError: the socket cannot be had.
    """

    def __init__(
        self,
        monitor: Monitor,
        path: Path,
        title: str,
        live: LiveAccess | None = None,
        configuration: Sequence[ConfiguredValue] = (),
    ) -> None:
        self.path = path
        self._clients: set[asyncio.StreamWriter] = set()
        self._newest: FlatSnapshot | None = None
        self._steps: dict[tuple[int | None, int], Difference] = {}  # by the numbers of both snapshots
        self._monitor = monitor
        self._live = live
        self._title = title
        self._configuration = tuple(configuration)
        self._socket = Listener(bind_socket(path), f"the socket {path}", most_connections(_CONNECTIONS))
        self._loop = asyncio.new_event_loop()
        self._stopping = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="attach", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Let every client go and take the socket away."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(5.0)
        self.path.unlink(missing_ok=True)

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
                runner.run(self._serve())
        except Exception:
            log.exception("clients can no longer attach: the socket's thread failed")

    async def _serve(self) -> None:
        server = await asyncio.start_unix_server(self._client, sock=self._socket)
        try:
            await self._stopping.wait()
        finally:
            server.close()  # waiting for it would, since Python 3.12, be waiting for every client
        while self._clients:  # also those that never read what waits for them
            for writer in self._clients:
                writer.transport.abort()
            await asyncio.sleep(_POLL_SECONDS)

    @property
    def clients(self) -> int:
        """How many are attached."""
        return len(self._clients)

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._clients.add(writer)
        try:
            with contextlib.suppress(EOFError, OSError, TimeoutError):
                await self._handshake(reader, writer)
                await self._answer_questions(reader, writer)
        except WireError as error:
            with contextlib.suppress(OSError, TimeoutError):
                await _send(writer, encode_frame(Refusal(str(error))))
        except Exception:
            log.exception("a client was disconnected")
        finally:
            self._clients.discard(writer)
            writer.close()

    async def _handshake(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if (user := peer_user(writer.get_extra_info("socket"))) not in (os.geteuid(), 0):
            log.warning("user %s was refused at %s", user, self.path)
            raise WireError("this feeder belongs to another user")
        if self.clients > _CLIENTS:
            raise WireError(f"{_CLIENTS} clients are attached already; detach one first")
        async with asyncio.timeout(_HELLO_SECONDS):
            first = decode_client_message(await read_frame(reader, MAX_QUESTION))
        if not isinstance(first, Hello):
            raise WireError("the first message must be hello")
        if first.protocol != PROTOCOL:
            raise WireError(
                f"this feeder is version {__version__} (protocol {PROTOCOL}), the client {first.version} "
                f"(protocol {first.protocol}): attach with the version that runs, or restart the feeder"
            )
        await _send(writer, encode_frame(Welcome(__version__, os.getpid(), self._title, self._configuration)))

    async def _answer_questions(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        compressor = Compressor()
        sent: FlatSnapshot | None = None
        while True:
            try:
                async with asyncio.timeout(_SILENT_SECONDS):
                    question = decode_client_message(await read_frame(reader, MAX_QUESTION))
                if not isinstance(question, Question):
                    raise WireError("a second hello")
            except WireError as error:
                await _send(writer, compressor.encode_frame(Refusal(str(error))))
                return
            answer: Answer | Refusal
            if question.what == "snapshot":
                newest = await self._newest_snapshot()
                answer = Answer(question.id, self._difference_since(sent, newest))
                sent = newest
            else:
                try:
                    answer = Answer(question.id, await self._answer(question))
                except (KeyError, TypeError, UnfitQuestionError) as error:
                    answer = Refusal(f"{question.what} cannot be answered: {error}", question.id)
                except Exception as error:  # the client would attach again, and ask it again
                    log.exception("a question of a client could not be answered: %s", question.what)
                    answer = Refusal(f"{question.what} failed: {error}", question.id)
            await _send(writer, compressor.encode_frame(answer))

    async def _answer(self, question: Question) -> Any:  # noqa: ANN401 - of any question
        if self._live is not None:
            if question.what == "minutes in progress":
                return gateway_questions.minutes_in_progress(self._live, question.args)
            if question.what == "feeder state":
                newest = await self._newest_snapshot()
                return gateway_questions.feeder_state(newest.snapshot, self._monitor.listed())
            if question.what == "forward":
                return await gateway_questions.forward(self._live, question.args)
            if question.what == "gateway figures":
                return gateway_questions.report(self._live, question.args)
        answer = _QUESTIONS[question.what](self._monitor, *question.args)
        return await asyncio.wrap_future(answer) if isinstance(answer, Future) else answer

    def _difference_since(self, sent: FlatSnapshot | None, newest: FlatSnapshot) -> Difference:
        """What leads a client to the newest snapshot; computed once for all that were sent the same before.

        Snapshots are taken ten times a second at most, so many clients cost hardly more than a few.
        """
        taken_at = newest.snapshot.taken_at
        numbers = (None if sent is None else sent.snapshot.sequence, newest.snapshot.sequence)
        if (step := self._steps.get(numbers)) is None:
            while len(self._steps) >= _STEPS:
                del self._steps[next(iter(self._steps))]
            step = self._steps[numbers] = difference(sent, newest, 0.0)
        return structs.replace(step, age=max(0.0, time.monotonic() - taken_at))

    async def _newest_snapshot(self) -> FlatSnapshot:
        """The newest snapshot; where none was asked for lately, the one that is taken now."""
        found = self._monitor.snapshot()
        deadline = time.monotonic() + _FRESH_SECONDS
        if time.monotonic() - found.taken_at > _OLD_SECONDS:
            old = found.sequence
            while found.sequence == old and time.monotonic() < deadline:
                await asyncio.sleep(_POLL_SECONDS)
                found = self._monitor.snapshot()
        if self._newest is None or self._newest.snapshot is not found:
            self._newest = flatten(found)
        return self._newest


async def _send(writer: asyncio.StreamWriter, frame: bytes) -> None:
    writer.write(frame)
    async with asyncio.timeout(_STUCK_SECONDS):
        await writer.drain()


def _name(value: object) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= _NAME:
        raise UnfitQuestionError("a symbol's name is expected")
    return value


def _number(value: object, low: int, high: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise UnfitQuestionError(f"a number from {low} to {high} is expected, not {value!r}")
    return value


def _instant(value: object) -> int:
    return _number(value, 0, 1 << 46)


def _window(
    symbol: object, timeframe: object, count: object, end: object
) -> tuple[str, int, int, int | None]:
    frame = _number(timeframe, 60, 86_400)
    if frame % 60 or 86_400 % frame:
        raise UnfitQuestionError(f"{frame} s is not a timeframe")
    return _name(symbol), frame, _number(count, 1, _BARS), None if end is None else _instant(end)


def _bars(monitor: Monitor, *args: object) -> bytes:
    return monitor.bars(*_window(*args)).tobytes()


def _ema_lines(monitor: Monitor, *args: object) -> list[bytes]:
    return [line.tobytes() for line in monitor.ema_lines(*_window(*args))]


def _open_bar(monitor: Monitor, symbol: object, timeframe: object) -> bytes:
    name, frame, _, _ = _window(symbol, timeframe, 1, None)
    return monitor.open_bar(name, frame).tobytes()


def _profile(monitor: Monitor, symbol: object, day: object) -> object:
    return monitor.profile(_name(symbol), None if day is None else _instant(day))


def _range_profile(monitor: Monitor, symbol: object, *bounds: object) -> object:
    found = [_instant(bound) for bound in bounds]
    spans = tuple(zip(found[::2], found[1::2], strict=False))
    if not 1 <= len(found) // 2 <= _RANGES or len(found) % 2 or any(end <= start for start, end in spans):
        raise UnfitQuestionError("starts and ends of ranges are expected")
    return monitor.range_profile(_name(symbol), spans)


def _footprint(
    monitor: Monitor, symbol: object, timeframe: object, count: object, levels: object, end: object
) -> object:
    name, frame, bars, until = _window(symbol, timeframe, count, end)
    return monitor.footprint(name, frame, min(bars, _RANGES), _number(levels, 2, 500), until)


def _developing(monitor: Monitor, symbol: object, day: object, every: object) -> object:
    return monitor.developing(_name(symbol), _instant(day), _number(every, 1, 1_440))


def _anchored(monitor: Monitor, symbol: object, anchor: object, timeframe: object, end: object) -> object:
    name, frame, _, until = _window(symbol, timeframe, 1, end)
    return monitor.anchored(name, _instant(anchor), frame, until)


def _span(start: object, end: object) -> tuple[int, int]:
    low, high = _instant(start), _instant(end)
    if low % MINUTE_MS or high % MINUTE_MS or not MINUTE_MS <= high - low <= _LONGEST_MS:
        raise UnfitQuestionError("whole minutes, at least one, are expected")
    return low, high


def _coverage(monitor: Monitor, symbol: object, start: object, end: object, cells: object) -> bytes:
    low, high = _span(start, end)
    parts = _number(cells, 1, min(_CELLS, (high - low) // MINUTE_MS))
    return bytes(_STATES[state] for state in monitor.coverage(_name(symbol), low, high, parts))


def _sources(monitor: Monitor, symbol: object, start: object, end: object) -> dict[str, int]:
    return dict(monitor.sources(_name(symbol), *_span(start, end)))


def _midnight(value: object) -> int:
    return _instant(value) // DAY_MS * DAY_MS


def _minute(monitor: Monitor, symbol: object, at: object) -> object:
    return monitor.minute(_name(symbol), _instant(at) // MINUTE_MS * MINUTE_MS)


def _days(monitor: Monitor, symbol: object, start: object, end: object) -> object:
    first, last = _midnight(start), _midnight(end)
    if not first < last <= first + _MOST_DAYS * DAY_MS:
        raise UnfitQuestionError(f"1 to {_MOST_DAYS} days are expected")
    return monitor.days(_name(symbol), first, last)


def _retry(monitor: Monitor, symbol: object) -> None:
    monitor.retry_gaps(None if symbol is None else _name(symbol))


def _acknowledge(monitor: Monitor, number: object) -> None:
    monitor.acknowledge(None if number is None else _number(number, 0, 1 << 46))


def _rule(value: object) -> RuleView:
    try:
        return msgspec.json.decode(str(value), type=RuleView)
    except msgspec.DecodeError as error:
        raise UnfitQuestionError(f"a rule of alerts is expected: {error}") from error


def _save_rule(monitor: Monitor, rule: object, replaces: object) -> Future[str]:
    return monitor.save_rule(_rule(rule), str(replaces))


#: What may be asked, by the monitor's own names: to look, try gaps again, acknowledge alerts, change their
#: rules, choose the symbols.
_QUESTIONS: dict[str, Callable[..., Any]] = {
    "bars": _bars,
    "ema_lines": _ema_lines,
    "open_bar": _open_bar,
    "profile": _profile,
    "range_profile": _range_profile,
    "naked_pocs": lambda monitor, symbol: monitor.naked_pocs(_name(symbol)),
    "footprint": _footprint,
    "developing": _developing,
    "anchored": _anchored,
    "coverage": _coverage,
    "sources": _sources,
    "days": _days,
    "minute": lambda monitor, symbol, at: monitor.minute(
        _name(symbol), _instant(at) // MINUTE_MS * MINUTE_MS
    ),
    "digests": lambda monitor, symbol, day: dict(monitor.digests(_name(symbol), _midnight(day))),
    "noted_minutes": lambda monitor, symbol, day: monitor.noted_minutes(_name(symbol), _midnight(day)),
    "numbers": lambda monitor, symbol: monitor.numbers(_name(symbol)),
    "listed": lambda monitor: monitor.listed(),
    "retry_gaps": _retry,
    "acknowledge": _acknowledge,
    "save_rule": _save_rule,
    "delete_rule": lambda monitor, rule: monitor.delete_rule(_rule(rule)),
    "add_symbol": lambda monitor, symbol: monitor.add_symbol(_name(symbol)),
    "drop_symbol": lambda monitor, symbol: monitor.drop_symbol(_name(symbol)),
}
