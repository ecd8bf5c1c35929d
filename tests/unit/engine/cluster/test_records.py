"""What a new owner reads of what was published: equal to what the messages themselves say."""

from __future__ import annotations

import zlib

from hypothesis import given
from hypothesis import strategies as st

from tui_feeder.engine.cluster.records import (
    POSITION_KEY,
    PartitionState,
    Position,
    Progress,
    Published,
    checkpoint_key,
    encode,
    symbol_key,
)
from tui_feeder.engine.derived.revisions import Revisions

FIRST = 1_728_000_000_000
MINUTE = 60_000


def payload(minute: int, revision: int) -> bytes:
    return f"{minute} {revision}".encode()


@given(st.lists(st.lists(st.tuples(st.integers(0, 40), st.integers(1, 5)), max_size=4), max_size=8))
def test_revisions_follow_from_the_messages_alone(runs: list[list[tuple[int, int]]]) -> None:
    """A live minute, then corrections of stretches: each minute's highest revision, whatever is cut where."""
    published, newest = Published(), dict[int, int]()
    for at in range(20):
        published.message(FIRST + at * MINUTE, 0, payload(at, 0))
        newest[at] = 0
    for run in runs:
        for start, length in run:
            for at in range(start, min(start + length, 20)):
                newest[at] += 1
                published.message(FIRST + at * MINUTE, newest[at], payload(at, newest[at]))
        published = Published(published.progress())  # as if another worker had gone on
    progress = published.progress()
    revisions = Revisions.decode(progress.revisions)
    assert {at: revisions.of(FIRST + at * MINUTE) for at in newest} == newest
    assert progress.watermark == FIRST + 19 * MINUTE
    assert progress.check == zlib.crc32(payload(19, newest[19]))
    assert progress.counted == ((FIRST, FIRST + 20 * MINUTE),)


def test_minutes_up_to_a_checkpoint_are_no_longer_mentioned() -> None:
    published = Published()
    for at in (0, 1, 2, 4, 5):
        published.message(FIRST + at * MINUTE, 0, b"")
    published.checkpoint(FIRST + MINUTE)
    assert published.progress().counted == (
        (FIRST + 2 * MINUTE, FIRST + 3 * MINUTE),
        (FIRST + 4 * MINUTE, FIRST + 6 * MINUTE),
    )


def test_what_begins_earlier_than_the_first_message_is_kept() -> None:
    published = Published()
    published.message(FIRST + 5 * MINUTE, 0, b"")
    published.begins(FIRST)
    assert Revisions.decode(published.progress().revisions).since == FIRST


def test_a_checkpoint_fits_once_the_alerts_that_its_rules_have_found_are_published() -> None:
    published, check = Published(), zlib.crc32(payload(5, 0))
    assert published.fits(FIRST, check, {}) is None
    published.message(FIRST, 0, payload(5, 0))
    assert published.fits(FIRST, check, {}) is True
    assert published.fits(FIRST, 1, {}) is False
    end = FIRST + MINUTE - 1
    assert published.fits(FIRST, check, {"up": end}) is None
    published.message(FIRST + MINUTE, 0, payload(6, 0))
    assert published.fits(FIRST, check, {"up": end}) is None
    published.alert("up", end)
    assert published.fits(FIRST, check, {"up": end}) is True


def test_the_last_alert_of_a_rule_is_kept() -> None:
    published = Published()
    published.alert("up", FIRST)
    published.alert("up", FIRST - MINUTE)
    published.alert("down", FIRST + MINUTE)
    assert published.progress().alerted == {"up": FIRST, "down": FIRST + MINUTE}


def test_a_partition_is_read_record_by_record() -> None:
    position = Position("store", "a", 3, {"data": 12, "alerts": 4}, FIRST)
    first, second = (Progress(FIRST + at * MINUTE, 7, b"{}", (), {}) for at in (0, 1))
    state = PartitionState.of([
        (symbol_key("BTCUSDT"), encode(first)),
        (checkpoint_key("BTCUSDT"), b"whatever"),
        (symbol_key("GONEUSDT"), encode(first)),
        (POSITION_KEY, encode(position)),
        (symbol_key("BTCUSDT"), encode(second)),
        (symbol_key("GONEUSDT"), None),
    ])  # fmt: skip
    assert (state.position, state.progress) == (position, {"BTCUSDT": second})
    assert state.checkpoints == {"BTCUSDT": b"whatever"}
    assert not state.refused


def test_a_damaged_record_is_named_and_the_one_before_it_does_not_hold() -> None:
    good = encode(Progress(FIRST, 7, b"{}", (), {}))
    state = PartitionState.of([(b"BTCUSDT", good), (b"BTCUSDT", good[:-1] + b"\0")])
    assert "damaged" in state.refused["BTCUSDT"]
    assert state.progress == {}
    state.take(b"BTCUSDT", good)
    assert state.progress
    assert not state.refused
