"""What is said over the socket: frames of MessagePack behind a length, snapshots as differences.

A client opens with :class:`Hello` and gets :class:`Welcome` or :class:`Refusal`. From then on it asks, each
question with a number of its own, and gets one answer to each in the order they are ready. The newest
snapshot is sent when the client pulls it, as the difference to the one it got before: nobody is sent what
he did not ask for, so a client that stops reading stops being written to.
"""

from __future__ import annotations

import asyncio
import struct
from dataclasses import fields, replace
from functools import cache
from typing import Any, get_type_hints

import msgspec

from tui_feeder.monitor import Event, Snapshot, SymbolView

#: Raised whenever either side would misunderstand the other.
PROTOCOL = 1
#: Bytes of a question; of an answer.
MAX_QUESTION, MAX_ANSWER = 64 * 1024, 16 * 1024 * 1024
_LENGTH = struct.Struct("!I")


class WireError(Exception):
    """The other side says what cannot be understood; the text says what."""


class Hello(msgspec.Struct, frozen=True, tag="hello"):
    """The first frame of a client."""

    protocol: int
    version: str  # of the program


class Welcome(msgspec.Struct, frozen=True, tag="welcome"):
    """The answer to a client that is understood."""

    version: str
    pid: int
    title: str  # of the feeder, for people


class Refusal(msgspec.Struct, frozen=True, tag="refusal"):
    """Why a client is not served, or a question not answered."""

    text: str
    id: int = 0  # of the question; 0: the connection ends


class Question(msgspec.Struct, frozen=True, tag="ask"):
    """Something a :class:`~tui_feeder.monitor.Monitor` can be asked or told, by the method's name."""

    id: int
    what: str
    args: tuple[str | int | None, ...] = ()


class Answer(msgspec.Struct, frozen=True, tag="answer"):
    """What a question came to."""

    id: int
    value: Any = None


class Difference(msgspec.Struct, frozen=True, array_like=True, omit_defaults=True):
    """What has changed from a snapshot to a later one; field names are those of the views."""

    age: float  # seconds since the snapshot was taken
    head: dict[str, Any] = {}  # of the snapshot itself
    names: tuple[str, ...] | None = None  # of the symbols, where they or their order changed
    symbols: dict[str, dict[str, Any]] = {}  # by symbol: changed fields
    events: tuple[Event, ...] = ()  # added at the end
    dropped: int = 0  # events taken away at the front
    counters: dict[str, int] = {}
    whole_counters: bool = False  # those not named are gone


Ask = Hello | Question
Told = Welcome | Refusal | Answer

encode = msgspec.msgpack.Encoder().encode
_DECODE_ASK: msgspec.msgpack.Decoder[Ask] = msgspec.msgpack.Decoder(Ask)
_DECODE_TOLD: msgspec.msgpack.Decoder[Told] = msgspec.msgpack.Decoder(Told)
#: Fields of a snapshot that have their own place in a difference.
_OWN_WAY = ("symbols", "events", "counters", "taken_at")


def decode_ask(data: bytes) -> Ask:
    """A client's frame.

    Raises:
        WireError: it is none.
    """
    try:
        return _DECODE_ASK.decode(data)
    except msgspec.DecodeError as error:
        raise WireError(str(error)) from error


def decode_told(data: bytes) -> Told:
    """A server's frame.

    Raises:
        WireError: it is none.
    """
    try:
        return _DECODE_TOLD.decode(data)
    except msgspec.DecodeError as error:
        raise WireError(str(error)) from error


async def read_frame(reader: asyncio.StreamReader, limit: int) -> bytes:
    """The next frame without its length.

    Raises:
        WireError: it is longer than ``limit`` bytes.
        EOFError: the other side has closed.
    """
    (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
    if length > limit:
        raise WireError(f"a frame of {length} bytes, at most {limit} are taken")
    return await reader.readexactly(length)


def framed(message: msgspec.Struct) -> bytes:
    """A message with its length before it."""
    body = encode(message)
    return _LENGTH.pack(len(body)) + body


@cache
def _types(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


#: The field names of either view.
_NAMES = {kind: tuple(field.name for field in fields(kind)) for kind in (Snapshot, SymbolView)}


def _changed(
    before: Snapshot | SymbolView | None, after: Snapshot | SymbolView, but: tuple[str, ...] = ()
) -> dict[str, Any]:
    """The fields in which a view differs from an earlier one; all of them where there was none."""
    changed = {}
    for name in _NAMES[type(after)]:
        value = getattr(after, name)
        if name not in but and (before is None or getattr(before, name) != value):
            changed[name] = value
    return changed


def _events_since(before: tuple[Event, ...], after: tuple[Event, ...]) -> tuple[int, tuple[Event, ...]]:
    """How many of the old events are gone from the front, and which new ones came behind."""
    for dropped in range(len(before)):
        kept = before[dropped:]
        if len(kept) <= len(after) and after[: len(kept)] == kept:
            return dropped, after[len(kept) :]
    return len(before), after


def difference(before: Snapshot | None, after: Snapshot, age: float) -> Difference:
    """What turns ``before`` into ``after``.

    Args:
        before: what the other side has; None if nothing.
        after: what it is to have.
        age: seconds since ``after`` was taken; monotonic clocks do not travel.
    """
    if before is after:
        return Difference(age)
    head = _changed(before, after, _OWN_WAY)
    counters = dict(after.counters)
    if before is not None and before.counters.keys() <= counters.keys():
        counters = {name: n for name, n in counters.items() if before.counters.get(name) != n}
        whole = False
    else:
        whole = True
    known = {} if before is None else {view.symbol: view for view in before.symbols}
    names = tuple(view.symbol for view in after.symbols)
    symbols = {view.symbol: _changed(known.get(view.symbol), view) for view in after.symbols}
    dropped, events = _events_since(() if before is None else before.events, after.events)
    return Difference(
        age,
        head,
        None if before is not None and names == tuple(known) else names,
        {name: changed for name, changed in symbols.items() if changed},
        events,
        dropped,
        counters,
        whole,
    )


def apply(before: Snapshot | None, change: Difference, now: float) -> Snapshot:
    """The snapshot that ``change`` leads to.

    Args:
        before: what :func:`difference` was given.
        change: what it gave.
        now: time.monotonic() of this process.

    Raises:
        WireError: the two do not fit.
    """
    types, kinds = _types(Snapshot), _types(SymbolView)
    known = {} if before is None else {view.symbol: view for view in before.symbols}
    try:
        for name, changed in change.symbols.items():
            fresh = {key: msgspec.convert(value, kinds[key]) for key, value in changed.items()}
            known[name] = replace(known[name], **fresh) if name in known else SymbolView(**fresh)
        names = known if change.names is None else change.names
        values = {key: msgspec.convert(value, types[key]) for key, value in change.head.items()}
        values["symbols"] = tuple(known[name] for name in names)
        old = () if before is None else before.events[change.dropped :]
        values["events"] = (*old, *change.events)
        earlier = {} if before is None or change.whole_counters else before.counters
        values["counters"] = {**earlier, **change.counters}
        values["taken_at"] = now - change.age
        return Snapshot(**values) if before is None else replace(before, **values)
    except (msgspec.ValidationError, KeyError, TypeError) as error:
        raise WireError(f"a snapshot that does not follow from the one before: {error!r}") from error
