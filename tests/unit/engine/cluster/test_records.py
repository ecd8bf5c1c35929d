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
from tui_feeder.engine.core.checksum import with_checksum
from tui_feeder.engine.derived.revisions import Revisions

FIRST = 1_728_000_000_000
MINUTE = 60_000
REVISIONS = Revisions(FIRST).encode()
GOOD = encode(Progress(FIRST, 7, REVISIONS, (), {}))
POSITION = Position("store", "a", 3, {"data": 12, "alerts": 4}, FIRST)
CHECKPOINT = with_checksum(b"feeder handover 1\0", b"whatever")


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
    first, second = (Progress(FIRST + at * MINUTE, 7, REVISIONS, (), {}) for at in (0, 1))
    state = PartitionState.of([
        (symbol_key("BTCUSDT"), encode(first)),
        (checkpoint_key("BTCUSDT"), CHECKPOINT),
        (symbol_key("GONEUSDT"), encode(first)),
        (POSITION_KEY, encode(POSITION)),
        (symbol_key("BTCUSDT"), encode(second)),
        (symbol_key("GONEUSDT"), None),
    ])  # fmt: skip
    assert (state.position, state.progress) == (POSITION, {"BTCUSDT": second})
    assert state.checkpoints == {"BTCUSDT": CHECKPOINT}
    assert not state.refused
    assert not state.newer


def test_a_damaged_record_is_named_and_the_one_before_it_does_not_hold() -> None:
    state = PartitionState.of([(b"BTCUSDT", GOOD), (b"ETHUSDT", GOOD), (b"BTCUSDT", GOOD[:-1] + b"\0")])
    assert "damaged" in state.refused["BTCUSDT"]
    assert state.progress.keys() == {"ETHUSDT"}
    assert not state.newer, "the partition's other symbols are worked on"
    state.take(b"BTCUSDT", GOOD)
    assert state.progress.keys() == {"BTCUSDT", "ETHUSDT"}
    assert not state.refused


def test_a_record_of_another_version_keeps_this_one_from_the_whole_partition() -> None:
    other = with_checksum(b"feeder cluster 7\0", b"anything")
    for key in (b"BTCUSDT", POSITION_KEY):
        state = PartitionState.of([(key, other)])
        assert "another version" in state.newer
        state.take(key, None)
        assert not state.newer


FOREIGN = [
    *((key, b'{"symbol": "BTCUSDT"}') for key in (b"BTCUSDT", b"NEWUSDT", POSITION_KEY, b"", b"x" * 300)),
    (checkpoint_key("BTCUSDT"), b""), (checkpoint_key("BTCUSDT"), b"1234feeder hando"),
    (b"\xff\xfe", b"1"), (b"\xff checkpoint", b"1"), (b"BTCUSDT", bytes(9 << 20)),
    (b"BTCUSDT", encode(POSITION)), (b"\x1b[2J", b"1"),
]  # fmt: skip


def test_records_that_no_feeder_has_written_change_nothing_and_are_counted() -> None:
    ours = [(b"BTCUSDT", GOOD), (POSITION_KEY, encode(POSITION)), (checkpoint_key("BTCUSDT"), CHECKPOINT)]
    state = PartitionState.of([*ours, *FOREIGN[:-2], FOREIGN[-1]])
    assert (state.position, state.progress.keys()) == (POSITION, {"BTCUSDT"})
    assert state.checkpoints == {"BTCUSDT": CHECKPOINT}
    assert not state.newer
    assert state.foreign == len(FOREIGN) - 1
    assert state.example.startswith("BTCUSDT: ")
    # What was published of this one is not known: its record may have been compacted away before.
    assert "no feeder" in state.refused["NEWUSDT"]
    assert "BTCUSDT" not in state.refused
    for key, _ in FOREIGN:
        state.take(key, None)
    assert not state.refused


def test_where_nothing_was_published_records_of_others_are_nothing() -> None:
    state = PartitionState.of(FOREIGN[:-2])
    assert (state.position, state.progress, state.checkpoints, state.refused) == (None, {}, {}, {})


def test_a_record_of_another_kind_under_a_key_is_refused() -> None:
    state = PartitionState.of([(b"BTCUSDT", GOOD), (b"BTCUSDT", encode(POSITION)), (POSITION_KEY, GOOD)])
    assert state.refused.keys() == {"BTCUSDT"}
    assert state.newer, "who publishes there is not known"


@given(st.lists(st.tuples(st.binary(max_size=20), st.none() | st.binary(max_size=60)), max_size=20))
def test_whatever_stands_in_the_topic_is_read(records: list[tuple[bytes, bytes | None]]) -> None:
    state = PartitionState.of(records)
    assert (state.progress, state.position, state.newer) == ({}, None, "")
    assert state.example.isprintable()
