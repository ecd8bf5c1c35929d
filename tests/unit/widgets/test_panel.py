from __future__ import annotations

import pytest
from rich.segment import Segment
from textual.strip import Strip

from tui_feeder.widgets.panel import JoinedStrips, difference


def strip(text: str) -> Strip:
    return Strip([Segment(text)], len(text))


def test_strips_are_joined_again_only_where_one_of_a_pair_is_another() -> None:
    joined = JoinedStrips()
    left, right = [strip("a"), strip("b")], [strip("1"), strip("2")]
    first = joined.join(left, right)
    assert [made.text for made in first] == ["a1", "b2"]
    left[1] = strip("c")
    second = joined.join(left, right)
    assert [made.text for made in second] == ["a1", "c2"]
    assert second[0] is first[0]
    longer = joined.join([*left, strip("d")], [*right, strip("3")])
    assert [made.text for made in longer] == ["a1", "c2", "d3"]
    assert longer[:2] == second
    assert [made.text for made in joined.join(left[:1], right[:1])] == ["a1"]
    with pytest.raises(ValueError, match=r"longer|shorter"):
        joined.join(left, right[:1])


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (["ab", "cd"], ["ab", "cd"], None),
        (["ab", "cd"], ["ab", "xy"], (2, 4)),
        (["ab", "cd"], ["xy", "cd"], (0, 2)),
        (["ab", "cd", "ef"], ["ab", "xy", "ef"], (2, 4)),
        (["ab", "ab", "x"], ["ab", "x", "ab"], (2, 5)),
        (["ab", "cd"], ["a", "b", "cd"], (0, 2)),
        (["币", "cd"], ["币", "xy"], (2, 4)),
        (["ab"], ["abc"], (0, 3)),
        (["abc"], ["ab"], (0, 3)),
    ],
)
def test_strips_differ_from_the_first_changed_piece_to_the_last(
    old: list[str], new: list[str], expected: tuple[int, int] | None
) -> None:
    before, after = (Strip([Segment(text) for text in texts]) for texts in (old, new))
    assert difference(before, after) == expected
