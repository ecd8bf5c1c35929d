"""The protocol of the socket: frames of MessagePack behind a length, snapshots as differences.

A client opens with :class:`Hello` and gets :class:`Welcome` or :class:`Refusal`. From then on it asks, each
question with a number of its own, and gets one answer to each in the order they are ready. The newest
snapshot is sent when the client pulls it, as the difference to the one it got before: nothing is sent
that was not asked for, so a client that stops reading is not written to.

What a feeder sends after its welcome is compressed: the bodies of its frames are one deflate stream, flushed
at the end of each, so that names and numbers sent before cost next to nothing. Hello, welcome and the refusal
of a client are not, so that two incompatible versions can report that they are.
"""

from __future__ import annotations

import asyncio
import struct
from dataclasses import fields, replace
from functools import cache
from operator import attrgetter
from typing import Any, NamedTuple, get_type_hints

import msgspec
from isal import isal_zlib

from tui_feeder.errors import RunFailure
from tui_feeder.monitor import (
    ConfiguredValue,
    Event,
    FormingView,
    GapView,
    IndicatorView,
    Progress,
    Snapshot,
    StreamView,
    SymbolView,
    TimeframeView,
)

#: Raised whenever either side would misunderstand the other.
PROTOCOL = 17
#: Bytes of a question; of an answer.
MAX_QUESTION, MAX_ANSWER = 64 * 1024, 16 * 1024 * 1024
_LENGTH = struct.Struct("!I")
#: Of deflate; the slow levels save a tenth more and cost four times as much.
_LEVEL = 1


class WireError(RunFailure):
    """The other side sent what cannot be understood."""


class Hello(msgspec.Struct, frozen=True, tag="hello"):
    """The first frame of a client."""

    protocol: int
    version: str  # of the program


class Welcome(msgspec.Struct, frozen=True, tag="welcome"):
    """The answer to a client that is understood."""

    version: str
    pid: int
    title: str  # of the feeder, for people
    configuration: tuple[ConfiguredValue, ...] = ()  # of the feeder, secrets masked


class Refusal(msgspec.Struct, frozen=True, tag="refusal"):
    """Why a client is not served, or a question not answered."""

    text: str
    id: int = 0  # of the question; 0: the connection ends


class Question(msgspec.Struct, frozen=True, tag="ask"):
    """Something a :class:`~tui_feeder.monitor.Monitor` can be asked, by the method's name."""

    id: int
    what: str
    args: tuple[str | int | None, ...] = ()


class Answer(msgspec.Struct, frozen=True, tag="answer"):
    """What a question came to."""

    id: int
    value: Any = None


class Difference(msgspec.Struct, frozen=True, array_like=True, omit_defaults=True):
    """What has changed from a snapshot to a later one; field names are those of the views.

    Of a row of as many views as before only those that changed are sent, by their place; of a minute in
    progress, which changes most, the values without their names.
    """

    age: float  # seconds since the snapshot was taken
    head: dict[str, Any] = {}  # of the snapshot itself
    names: tuple[str, ...] | None = None  # of the symbols, where they or their order changed
    symbols: dict[str, dict[str, Any]] = {}  # by symbol: changed fields
    events: tuple[Event, ...] = ()  # added at the end
    dropped: int = 0  # events taken away at the front
    counters: dict[str, int] = {}
    whole_counters: bool = False  # those not named are gone


ClientMessage = Hello | Question
ServerMessage = Welcome | Refusal | Answer

encode = msgspec.msgpack.Encoder().encode
_DECODE_CLIENT: msgspec.msgpack.Decoder[ClientMessage] = msgspec.msgpack.Decoder(ClientMessage)
_DECODE_SERVER: msgspec.msgpack.Decoder[ServerMessage] = msgspec.msgpack.Decoder(ServerMessage)


def decode_client_message(data: bytes) -> ClientMessage:
    """Decodes a client's frame.

    Args:
        data: body of the frame.

    Returns:
        The message.

    Raises:
        WireError: it is none.
    """
    try:
        return _DECODE_CLIENT.decode(data)
    except msgspec.DecodeError as error:
        raise WireError(str(error)) from error


def decode_server_message(data: bytes) -> ServerMessage:
    """Decodes a server's frame.

    Args:
        data: body of the frame.

    Returns:
        The message.

    Raises:
        WireError: it is none.
    """
    try:
        return _DECODE_SERVER.decode(data)
    except msgspec.DecodeError as error:
        raise WireError(str(error)) from error


async def read_frame(reader: asyncio.StreamReader, limit: int) -> bytes:
    """Reads the next frame.

    Args:
        reader: the connection.
        limit: bytes of a frame at most.

    Returns:
        Its body.

    Raises:
        WireError: it is longer than ``limit`` bytes.
        EOFError: the other side has closed.
    """
    (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
    if length > limit:
        raise WireError(f"a frame of {length} bytes, at most {limit} are taken")
    return await reader.readexactly(length)


def encode_frame(message: msgspec.Struct) -> bytes:
    """Encodes a message with its length in front.

    Args:
        message: the message.

    Returns:
        The frame.
    """
    body = encode(message)
    return _LENGTH.pack(len(body)) + body


class Compressor:
    """A feeder's frames to one client, packed in the order they are made."""

    def __init__(self) -> None:
        self._stream = isal_zlib.compressobj(_LEVEL)

    def encode_frame(self, message: msgspec.Struct) -> bytes:
        """Encodes and compresses a message, with its length in front.

        Args:
            message: the message.

        Returns:
            The frame.
        """
        body = self._stream.compress(encode(message)) + self._stream.flush(isal_zlib.Z_SYNC_FLUSH)
        return _LENGTH.pack(len(body)) + body


class Decompressor:
    """The other end of a :class:`Compressor`.

    Args:
        limit: bytes of an unpacked body, at most.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._stream = isal_zlib.decompressobj()

    def body(self, data: bytes) -> bytes:
        """Decompresses the next frame.

        Args:
            data: compressed body.

        Returns:
            The body.

        Raises:
            WireError: it is none, or too long.
        """
        try:
            body: bytes = self._stream.decompress(data, self._limit + 1)
        except isal_zlib.IsalError as error:  # type: ignore[misc]  # its stub declares an instance
            raise WireError(f"a frame that is not packed: {error}") from error
        if self._stream.eof:
            raise WireError("a frame that is not packed: the stream ends in it")
        if len(body) > self._limit:
            raise WireError(f"a frame of more than is taken: at most {self._limit} bytes")
        return body


#: Fields that hold a view, or a row of views.
_VIEWS: dict[str, type] = {
    "forming": FormingView,
    "progress": Progress,
    "timeframes": TimeframeView,
    "indicators": IndicatorView,
    "streams": StreamView,
    "gaps": GapView,
}
#: Those of them that hold one.
_SINGLE = ("forming", "progress")


def _plain_fields(kind: type) -> tuple[str, ...]:
    """The fields of a view that are sent as such; the others have their own place in a difference."""
    own = ("symbols", "events", "counters", "taken_at") if kind is Snapshot else ()
    return tuple(field.name for field in fields(kind) if field.name not in own)


_NAMES = {kind: _plain_fields(kind) for kind in (Snapshot, SymbolView, *_VIEWS.values())}
_VALUES = {kind: attrgetter(*names) for kind, names in _NAMES.items()}


@cache
def _types(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


class FlatSnapshot(NamedTuple):
    """A snapshot with the fields of its symbols laid out, to be compared with several others."""

    snapshot: Snapshot
    symbols: dict[str, tuple[Any, ...]]  # in their order


def flatten(snapshot: Snapshot) -> FlatSnapshot:
    """Prepares a snapshot for :func:`difference`.

    Args:
        snapshot: the snapshot.

    Returns:
        Its flat form.
    """
    values = _VALUES[SymbolView]
    return FlatSnapshot(snapshot, {view.symbol: values(view) for view in snapshot.symbols})


def _changed(before: object | None, after: object) -> dict[str, Any]:
    """The fields in which a view differs from an earlier one; all of them where there was none."""
    kind = type(after)
    values = _VALUES[kind]
    return _changed_values(_NAMES[kind], None if before is None else values(before), values(after))


def _changed_values(
    names: tuple[str, ...], old: tuple[Any, ...] | None, new: tuple[Any, ...]
) -> dict[str, Any]:
    """The fields of these names that differ; all of them where there were none."""
    if old is None:
        return dict(zip(names, new, strict=True))
    changed: dict[str, Any] = {}
    if old != new:
        for name, was, value in zip(names, old, new, strict=True):
            if was is not value and was != value:
                changed[name] = _changed_elements(was, value) if name in _VIEWS else value
    return changed


def _changed_elements(was: Any, value: Any) -> Any:  # noqa: ANN401
    """A view as its values in their order; of a row of as many views as before, what has changed in it."""
    if value is None:
        return None
    if not isinstance(value, tuple):
        return _VALUES[type(value)](value)
    if len(was) != len(value):
        return value
    pairs = enumerate(zip(was, value, strict=True))
    return {place: _changed(old, new) for place, (old, new) in pairs if old is not new and old != new}


def _events_since(before: tuple[Event, ...], after: tuple[Event, ...]) -> tuple[int, tuple[Event, ...]]:
    """How many of the old events are gone from the front, and which new ones came behind."""
    for dropped in range(len(before)):
        kept = before[dropped:]
        if len(kept) <= len(after) and after[: len(kept)] == kept:
            return dropped, after[len(kept) :]
    return len(before), after


def difference(before: FlatSnapshot | None, after: FlatSnapshot, age: float) -> Difference:
    """Computes what turns ``before`` into ``after``.

    Args:
        before: what the other side has; None if nothing.
        after: what it is to have.
        age: seconds since ``after`` was taken; monotonic clocks do not travel.

    Returns:
        The change.
    """
    if before is after:
        return Difference(age)
    newest, known = after
    previous = None if before is None else before.snapshot
    had = {} if before is None else before.symbols
    counters = dict(newest.counters)
    whole = previous is None or not previous.counters.keys() <= counters.keys()
    if previous is not None and not whole:
        counters = {name: n for name, n in counters.items() if previous.counters.get(name) != n}
    names = _NAMES[SymbolView]
    symbols: dict[str, dict[str, Any]] = {}
    for symbol, values in known.items():
        if changed := _changed_values(names, had.get(symbol), values):
            symbols[symbol] = changed
    dropped, events = _events_since(() if previous is None else previous.events, newest.events)
    return Difference(
        age,
        _changed(previous, newest),
        None if previous is not None and tuple(had) == tuple(known) else tuple(known),
        symbols,
        events,
        dropped,
        counters,
        whole,
    )


def apply(before: Snapshot | None, change: Difference, now: float) -> Snapshot:
    """Applies a change to a snapshot.

    Args:
        before: what :func:`difference` was given.
        change: what it gave.
        now: time.monotonic() of this process.

    Returns:
        The new snapshot.

    Raises:
        WireError: the two do not fit.
    """
    known: dict[str, SymbolView] = {} if before is None else {view.symbol: view for view in before.symbols}
    try:
        for name, changed in change.symbols.items():
            known[name] = _updated_view(SymbolView, known.get(name), changed)
        names = known if change.names is None else change.names
        values = _decoded_fields(Snapshot, before, change.head)
        values["symbols"] = tuple(known[name] for name in names)
        old = () if before is None else before.events[change.dropped :]
        values["events"] = (*old, *change.events)
        earlier = {} if before is None or change.whole_counters else before.counters
        values["counters"] = {**earlier, **change.counters}
        values["taken_at"] = now - change.age
        return Snapshot(**values) if before is None else replace(before, **values)
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise WireError(f"a snapshot that does not follow from the one before: {error!r}") from error


def _updated_view(kind: type, before: object | None, changed: dict[str, Any]) -> Any:  # noqa: ANN401
    """The view of a kind that the fields of :func:`_changed` lead to."""
    fresh = _decoded_fields(kind, before, changed)
    if before is None:
        return kind(**fresh)
    return kind(*map(fresh.pop, _NAMES[kind], _VALUES[kind](before)))


def _decoded_fields(kind: type, before: object | None, changed: dict[str, Any]) -> dict[str, Any]:
    """The fields of :func:`_changed` as values of the view."""
    types, fresh = _types(kind), {}
    for name, value in changed.items():
        if name in _SINGLE and isinstance(value, list):
            whole = dict(zip(_NAMES[_VIEWS[name]], value, strict=True))
            fresh[name] = msgspec.convert(whole, types[name])
        elif name in _VIEWS and name not in _SINGLE and isinstance(value, dict):
            row = list(getattr(before, name))
            for place, change in value.items():
                row[place] = _updated_view(_VIEWS[name], row[place], change)
            fresh[name] = tuple(row)
        else:
            fresh[name] = msgspec.convert(value, types[name])
    return fresh
