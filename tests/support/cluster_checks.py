"""What readers of a cluster must find: each message once, in order, equal to an undisturbed feeder's."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

MINUTE_MS = 60_000


class Record(NamedTuple):
    """A committed record of a topic."""

    arrived: float  # time.monotonic()
    timestamp: int  # of the record, ms
    payload: bytes


def key_of(message: Mapping[str, Any]) -> tuple[Any, ...]:
    """What a message is about: a minute, a bar, an alert."""
    if "rule" in message:
        return message["rule"], message["timestamp"]
    if "timeframe" in message:
        return message["timeframe"], message["open_time"]
    return (message["timestamp"],)


class Differing(AssertionError):
    """What the cluster has published differs from what the undisturbed feeder has."""


def check_each_once_and_in_order(records: Mapping[str, Sequence[Record]]) -> None:
    """Each (symbol, minute, revision) once, revisions ascending, first publications without a gap."""
    for symbol, found in records.items():
        revisions: dict[tuple[Any, ...], int] = {}
        minutes: list[int] = []
        for record in found:
            message = json.loads(record.payload)
            key, revision = key_of(message), message.get("revision", 0)
            assert revision > revisions.get(key, -1), f"{symbol}: {key} revision {revision} came again"
            if len(key) == 1 and key not in revisions:
                minutes.append(message["timestamp"])
            revisions[key] = revision
        gaps = [(a, b) for a, b in pairwise(minutes) if b - a != MINUTE_MS]
        assert not gaps, f"{symbol}: after {gaps[0][0]} came {gaps[0][1]}; {len(gaps)} such places"


def last_messages(
    records: Mapping[str, Sequence[Record]], spans: Mapping[str, tuple[int, int]]
) -> dict[tuple[Any, ...], bytes]:
    """Of each thing its last message, with revision 0: how often it was corrected may differ."""
    found = {}
    for symbol, (first, last) in spans.items():
        for record in records.get(symbol, ()):
            if first <= record.timestamp <= last:
                message = json.loads(record.payload)
                found[symbol, *key_of(message)] = json.dumps(message | {"revision": 0}).encode()
    return found


def check_equal(
    cluster: Mapping[str, Sequence[Record]],
    single: Mapping[str, Sequence[Record]],
    spans: Mapping[str, tuple[int, int]],
) -> int:
    """The cluster has what the undisturbed feeder has, equal to the byte.

    Args:
        cluster: by symbol what the cluster published.
        single: by symbol what the undisturbed feeder published.
        spans: by symbol the first and the last time (ms) that are compared.

    Returns:
        How many messages were compared.
    """
    ours, theirs = last_messages(cluster, spans), last_messages(single, spans)
    differing = sorted(
        (key for key in ours.keys() | theirs.keys() if ours.get(key) != theirs.get(key)), key=str
    )
    if differing:
        both = "\n".join(messages.get(differing[0], b"none").decode() for messages in (ours, theirs))
        raise Differing(f"{len(differing)} of {len(theirs)} differ, such as {differing[0]}:\n{both}")
    return len(theirs)
