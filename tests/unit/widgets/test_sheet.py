"""A text that is read on a sheet: broken between words, never cut, scrolled and copied."""

from __future__ import annotations

from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from screens import palette_of, text_of
from textual.geometry import Size

from tui_feeder.widgets.palette import Part, Role
from tui_feeder.widgets.sheet import Sheet, wrapped

letters = st.sampled_from("ab ;币1 ")
parts = st.lists(
    st.tuples(st.text(letters, max_size=30), st.sampled_from([Role.TEXT, Role.WARN])), max_size=5
)


@settings(max_examples=examples(200), deadline=None)
@given(parts, st.integers(8, 60), st.integers(0, 5))
def test_a_line_of_any_words_loses_none_and_fits(line: list[Part], width: int, indent: int) -> None:
    lines = wrapped(line, width, indent)
    shown = ["".join(text for text, _ in parts) for parts in lines]
    assert all(cell_len(text.rstrip()) <= width for text in shown)
    assert "".join("".join(shown).split()) == "".join("".join(text for text, _ in line).split())
    assert all(text.startswith(" " * indent) for text in shown[1:])


def test_words_are_not_torn_where_their_role_changes() -> None:
    lines = wrapped([("aaaa bbb", Role.WARN), ("; cc", Role.TEXT)], 8, 2)
    assert ["".join(text for text, _ in parts) for parts in lines] == ["aaaa ", "  bbb; ", "  cc"]


def test_it_scrolls_to_its_ends_copies_all_of_it_and_any_other_key_closes_it() -> None:
    copied: list[str] = []
    lines: list[list[Part]] = [[(f"line {number}", Role.TEXT)] for number in range(40)]
    sheet = Sheet("title", lambda: lines, copy=copied.append)
    region = sheet.region(Size(45, 20))
    assert (region.width, region.height) == (45, 19)

    def shown() -> str:
        return "\n".join(text_of(sheet.paint(region.width, region.height, palette_of("ascii"))))

    assert "1-17 of 40 lines" in shown()
    assert sheet.press("end", None) is True
    assert "line 39" in shown()
    assert sheet.press("pageup", None) is True
    assert "14-30 of 40 lines" in shown()
    assert sheet.press("home", None) is True
    assert "line 0 " in shown()
    assert sheet.press("y", "y") is True
    assert copied == ["\n".join(f"line {number}" for number in range(40))]
    assert sheet.press("escape", None) is False
