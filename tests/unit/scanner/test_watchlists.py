from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from tui_feeder.scanner.watchlists import (
    MAX_FILE_BYTES,
    MAX_FILTER,
    MAX_NAME,
    MAX_NOTE,
    MAX_WATCHLISTS,
    UserLists,
    Watchlist,
    WatchlistError,
    change_lists,
    read_lists,
)

BY_HAND = """\
# mine
pins = ["BTCUSDT"]  # always on top

[watchlists.breakouts]
# what moves
filter = "24h>3 vol>100M"
sort = ["relvol", "-name"]

[notes]
BTCUSDT = "range 58k to 62k"  # since Monday
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "watchlists.toml"


def test_a_file_that_is_not_there_is_empty_and_is_made_for_its_user_alone(path: Path) -> None:
    assert read_lists(path) == UserLists()
    saved = change_lists(path, lambda lists: lists.with_watchlist("majors", Watchlist("vol>1B", ("24h",))))
    assert read_lists(path) == saved == UserLists({"majors": Watchlist("vol>1B", ("24h",))})
    assert path.stat().st_mode & 0o777 == 0o600
    assert tomllib.loads(path.read_text())["watchlists"]["majors"] == {"filter": "vol>1B", "sort": ["24h"]}


def test_what_was_written_by_hand_is_read_and_its_comments_stay(path: Path) -> None:
    path.parent.mkdir()
    path.write_text(BY_HAND)
    lists = read_lists(path)
    assert lists.watchlists == {"breakouts": Watchlist("24h>3 vol>100M", ("relvol", "-name"))}
    assert lists.pins == ("BTCUSDT",)
    assert lists.notes == {"BTCUSDT": "range 58k to 62k"}
    change_lists(path, lambda lists: lists.with_note("ETHUSDT", "merge").toggled_pin("SOLUSDT"))
    change_lists(path, lambda lists: lists.with_watchlist("new", Watchlist("align=5")))
    text = path.read_text()
    for comment in ("# mine", "# always on top", "# what moves", "# since Monday"):
        assert comment in text
    again = read_lists(path)
    assert again.pins == ("BTCUSDT", "SOLUSDT")
    assert again.notes == {"BTCUSDT": "range 58k to 62k", "ETHUSDT": "merge"}
    assert set(again.watchlists) == {"breakouts", "new"}


def test_two_screens_of_one_user_do_not_undo_each_other(path: Path) -> None:
    change_lists(path, lambda lists: lists.toggled_pin("BTCUSDT"))
    change_lists(path, lambda lists: lists.with_note("ETHUSDT", "x"))  # of a screen that knew no pin
    assert read_lists(path).pins == ("BTCUSDT",)


def test_pins_notes_and_watchlists_are_taken_away_again(path: Path) -> None:
    change_lists(path, lambda lists: lists.toggled_pin("A").toggled_pin("B").with_note("A", " two\n words "))
    lists = change_lists(path, lambda lists: lists.with_watchlist("w", Watchlist("btc")))
    assert lists.notes == {"A": "two words"}
    lists = change_lists(path, lambda lists: lists.toggled_pin("A").with_note("A", "").without_watchlist("w"))
    assert read_lists(path) == lists == UserLists(pins=("B",))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("pins = \n", "watchlists.toml: .*line 1.*correct it or delete the file"),
        ("[watchlist.a]\nfilter='x'", "unknown key watchlist; there are pins, watchlists, notes"),
        ("pins = 'BTCUSDT'", "pins must be a list of at most"),
        ("pins = [1]", 'pins must be a text in quotes, such as "vol>100M", not 1'),
        ("watchlists = 3", "watchlists must be at most"),
        ("[watchlists.a]\nfilter = 3", "watchlists.a.filter must be a text in quotes"),
        ("[watchlists.a]\nfiltre = ''", "watchlists.a must be a table with filter and sort"),
        ("[watchlists.a]\nsort = ['a','b','c']", "watchlists.a.sort must be a list of at most 2"),
        (f"[watchlists.a]\nfilter = '{'x' * (MAX_FILTER + 1)}'", "has 401 characters; at most 400"),
        ('[notes]\nA = "two\\nlines"', "notes.A must be one line"),
        ("[notes]\nA = ['x']", "notes.A must be a text in quotes"),
        ('[watchlists.""]\nfilter=""', "a name has 1 to 40 characters"),
    ],
)
def test_a_faulty_file_is_named_with_its_place_and_left_as_it_is(path: Path, text: str, says: str) -> None:
    path.parent.mkdir()
    path.write_text(text)
    with pytest.raises(WatchlistError, match=says):
        read_lists(path)
    with pytest.raises(WatchlistError, match=says):
        change_lists(path, lambda lists: lists.toggled_pin("A"))
    assert path.read_text() == text


def test_sizes_are_bounded(path: Path) -> None:
    full = UserLists({f"w{i}": Watchlist("btc") for i in range(MAX_WATCHLISTS)})
    with pytest.raises(WatchlistError, match="200 watchlists already: delete one first"):
        full.with_watchlist("another", Watchlist(""))
    assert full.with_watchlist("w3", Watchlist("eth")).watchlists["w3"].filter == "eth"
    with pytest.raises(WatchlistError, match="at most 200"):
        UserLists().with_note("A", "x" * (MAX_NOTE + 1))
    with pytest.raises(WatchlistError, match="1 to 40 characters"):
        UserLists().with_watchlist("n" * (MAX_NAME + 1), Watchlist(""))
    pinned = UserLists(pins=tuple(f"S{i}" for i in range(1_000)))
    with pytest.raises(WatchlistError, match="unpin one first"):
        pinned.toggled_pin("A")
    path.parent.mkdir()
    path.write_bytes(b"#" * (MAX_FILE_BYTES + 1))
    with pytest.raises(WatchlistError, match="more than 1000000 bytes"):
        read_lists(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(WatchlistError, match=r"watchlists\.toml: .*utf-8"):
        read_lists(path)


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WatchlistError, match=r"watchlists\.toml cannot be (read|written)"):
        change_lists(tmp_path / "file" / "watchlists.toml", lambda lists: lists.toggled_pin("A"))


printable = st.characters(exclude_categories=("C", "Z")) | st.just(" ")
names = st.text(printable, min_size=1, max_size=MAX_NAME).filter(str.strip)
line = st.text(printable, max_size=30)
symbols = st.text("ABC0币.-_ ", min_size=1, max_size=8).filter(str.strip)
steps = st.one_of(
    st.builds(lambda s: lambda lists: lists.toggled_pin(s), symbols),
    st.builds(lambda s, t: lambda lists: lists.with_note(s, t), symbols, line),
    st.builds(lambda n, f, s: lambda lists: lists.with_watchlist(n, Watchlist(f, tuple(s))), names, line,
              st.lists(st.sampled_from(["24h", "-vol"]), max_size=2)),
    st.builds(lambda n: lambda lists: lists.without_watchlist(n), names),
)  # fmt: skip


@given(st.lists(steps, max_size=8), st.booleans())
@settings(max_examples=examples(60), deadline=None)
def test_any_changes_are_read_back_as_they_were_made(
    tmp_path_factory: pytest.TempPathFactory,
    changes: list,
    by_hand: bool,
) -> None:
    path = tmp_path_factory.mktemp("lists") / "watchlists.toml"
    if by_hand:
        path.write_text(BY_HAND)
    expected = read_lists(path)
    for change in changes:
        expected = change(expected)
        assert change_lists(path, change) == expected
        assert read_lists(path) == expected
