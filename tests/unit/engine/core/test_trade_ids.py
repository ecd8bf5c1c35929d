"""Trade ids of live minutes: what they prove of the ends of minutes, whatever the order of frames."""

from __future__ import annotations

import pytest
from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from tui_feeder.engine.core.candle import MINUTE_MS
from tui_feeder.engine.core.trade_ids import QUIET, Link, TradeIdChain, TradeIds, trade_ids

JOINED, BROKEN, UNKNOWN = Link.JOINED, Link.BROKEN, Link.UNKNOWN


def at(minute: int) -> int:
    return 1_773_144_000_000 + minute * MINUTE_MS


@pytest.mark.parametrize(
    ("first", "last", "trades", "found"),
    [
        (5, 9, 5, TradeIds(5, 9)),
        (0, 0, 1, TradeIds(0, 0)),
        (5, 9, 4, TradeIds(5, 9)),  # an id between is hidden
        (-1, -1, 0, QUIET),
        (5, 9, 6, None),  # more trades than ids
        (9, 5, 1, None),
        (-1, -1, 3, None),  # a source that states none
        (5, 9, 0, None),
        (5, 1 << 53, 1, None),
    ],
)
def test_ids_that_make_no_sense_are_none(first: int, last: int, trades: int, found: TradeIds | None) -> None:
    assert trade_ids(first, last, trades) == found


def test_neighbours_that_join_are_proved_by_the_first_frame_of_the_next_minute() -> None:
    chain = TradeIdChain()
    assert chain.closed(at(0), TradeIds(1, 10)) == []
    assert chain.forming(at(1), TradeIds(11, 11)) == [(at(0), JOINED)]
    assert chain.forming(at(1), TradeIds(11, 15)) == []  # judged once
    assert chain.closed(at(1), TradeIds(11, 20)) == []
    assert chain.closed(at(2), TradeIds(21, 30)) == [(at(1), JOINED)]  # no forming frame came


def test_a_closing_frame_that_was_not_the_last_state_is_found() -> None:
    chain = TradeIdChain()
    chain.closed(at(0), TradeIds(1, 10))
    assert chain.forming(at(1), TradeIds(13, 13)) == [(at(0), BROKEN)]
    # Also where the close comes after the next minute has begun.
    chain.forming(at(2), TradeIds(21, 21))
    assert chain.closed(at(1), TradeIds(13, 18)) == [(at(1), BROKEN)]
    assert chain.closed(at(2), TradeIds(21, 25)) == []


def test_a_first_trade_that_changes_is_judged_again() -> None:
    chain = TradeIdChain()
    chain.closed(at(0), TradeIds(1, 10))
    assert chain.forming(at(1), TradeIds(11, 12)) == [(at(0), JOINED)]
    assert chain.closed(at(1), TradeIds(12, 20)) == [(at(0), BROKEN)]


def test_quiet_minutes_keep_the_chain_where_they_are_pushed() -> None:
    chain = TradeIdChain()
    chain.closed(at(0), TradeIds(1, 10))
    assert chain.forming(at(1), QUIET) == []
    assert chain.closed(at(1), QUIET) == []
    assert chain.closed(at(2), TradeIds(11, 12)) == [(at(0), JOINED), (at(1), JOINED)]
    assert chain.closed(at(5), QUIET) == [(at(2), UNKNOWN)]  # of minutes 3 and 4 nothing is known
    assert chain.closed(at(6), TradeIds(40, 41)) == [(at(5), UNKNOWN)]


def test_a_break_behind_quiet_minutes_doubts_the_last_traded_minute_too() -> None:
    chain = TradeIdChain()
    chain.closed(at(0), TradeIds(1, 10))
    chain.closed(at(1), QUIET)
    chain.closed(at(2), QUIET)
    # The trade 11 is of any of the three: each of their closing frames may have come too early.
    assert chain.forming(at(3), TradeIds(12, 12)) == [(at(0), BROKEN), (at(1), BROKEN), (at(2), BROKEN)]
    assert chain.closed(at(3), TradeIds(12, 15)) == []
    assert chain.closed(at(4), TradeIds(16, 16)) == [(at(3), JOINED)]


def test_minutes_that_were_not_seen_prove_nothing_and_break_nothing() -> None:
    chain = TradeIdChain()
    chain.closed(at(0), TradeIds(1, 10))
    assert chain.forming(at(3), TradeIds(50, 51)) == []
    assert chain.closed(at(3), TradeIds(50, 60)) == [(at(0), UNKNOWN)]
    # Where nothing was traded in them the ids say so.
    assert chain.closed(at(6), TradeIds(61, 62)) == [(at(3), JOINED)]


def test_frames_that_come_again_or_late_change_nothing() -> None:
    chain = TradeIdChain()
    chain.closed(at(1), TradeIds(11, 20))
    assert chain.closed(at(1), TradeIds(11, 18)) == []
    assert chain.closed(at(0), TradeIds(1, 9)) == [(at(0), UNKNOWN)]  # late, and judged by nothing
    assert chain.closed(at(2), TradeIds(21, 22)) == [(at(1), JOINED)]


def test_what_nothing_judges_in_time_is_given_up_once() -> None:
    chain = TradeIdChain()
    assert chain.overdue(at(9), at(9)) == []
    chain.closed(at(0), TradeIds(1, 10))
    assert chain.overdue(at(0), at(-9)) == []
    assert chain.overdue(at(1), at(-8)) == [(at(0), UNKNOWN)]
    assert chain.overdue(at(2), at(-7)) == []
    # Where frames go on to come, but no trade does, longer is waited; then for all of them.
    for minute in range(3, 12):
        chain.closed(at(minute), QUIET if minute > 3 else TradeIds(20, 30))
        assert chain.overdue(at(minute), at(minute - 9)) == []
    assert chain.overdue(at(12), at(4)) == [(at(minute), UNKNOWN) for minute in range(3, 12)]
    chain.closed(at(12), QUIET)
    assert chain.overdue(at(13) - 1, at(4)) == []
    assert chain.forming(at(13), TradeIds(31, 31)) == [(at(12), JOINED)]
    assert chain.overdue(at(13), at(13)) == []


@given(st.lists(st.integers(0, 2), min_size=2, max_size=30), st.data())
@settings(max_examples=examples(300))
def test_every_closed_minute_is_judged_or_given_up(counts: list[int], data: st.DataObject) -> None:
    """And none whose closing frame lacked trades is ever proved."""
    chain, following = TradeIdChain(), 100
    closed, hasty, known = set[int](), set[int](), dict[int, Link]()
    for minute, trades in enumerate(counts):
        fault = data.draw(st.sampled_from(["", "", "hasty", "lost"]))
        lacking = 1 if fault == "hasty" and trades else 0
        last = following + trades - 1 - lacking
        ids = TradeIds(following, last) if trades - lacking else QUIET
        following += trades
        if fault != "lost":
            closed.add(at(minute))
            hasty |= {at(minute)} if lacking else set()
            known.update(chain.closed(at(minute), ids))
        known.update(chain.overdue(at(minute), at(minute - 3)))
    known.update(chain.overdue(at(99), at(99)))
    assert known.keys() == closed
    assert not {minute for minute in hasty if known[minute] is JOINED}


@given(
    st.lists(st.integers(0, 4), min_size=2, max_size=30),
    st.lists(st.integers(0, 3), max_size=12),
    st.randoms(use_true_random=False),
)
@settings(max_examples=examples(300))
def test_a_stream_that_loses_doubles_and_delays_frames_never_breaks(
    counts: list[int], lost: list[int], dice: st.DrawFn
) -> None:
    frames: list[tuple[int, TradeIds, bool]] = []
    following = 100
    for minute, trades in enumerate(counts):
        ids = TradeIds(following, following + trades - 1) if trades else QUIET
        following += trades
        if trades:
            frames.append((minute, TradeIds(ids.first, ids.first), False))
        if trades or minute % 2:  # one market pushes them, another does not
            frames.append((minute, ids, True))
    for gone in lost:
        if frames:
            frames.pop(gone * 7 % len(frames))
    for place in range(len(frames) - 1):
        if dice.random() < 0.2:
            frames[place], frames[place + 1] = frames[place + 1], frames[place]
        if dice.random() < 0.2:
            frames.insert(place, frames[place])
    chain = TradeIdChain()
    for minute, ids, closed in frames:
        judged = chain.closed(at(minute), ids) if closed else chain.forming(at(minute), ids)
        assert BROKEN not in [link for _, link in judged]
