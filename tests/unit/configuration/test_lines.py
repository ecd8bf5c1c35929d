from __future__ import annotations

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui_feeder.configuration.lines import KeyPath, locate


def test_sections_keys_and_elements_have_their_lines() -> None:
    text = """# a comment with a [section] and a = 1

top = 1
[a]   # [b]
x = "# no comment" # a comment
  y = 'C:\\new\\'

[ a . "b c" ]
"quoted.key" = true
list = [ # one
  "x", # two ] ,

  "y",
  ["z"],
]
'single' = {inner = 1, "other" = [1,
2]}
[d.e]
f.g = 2024-01-01 07:00:00Z
f.h = -inf
"""
    lines = locate(text)
    assert tomllib.loads(text)["a"]["b c"]["single"] == {"inner": 1, "other": [1, 2]}
    assert lines == {
        ("top",): 3,
        ("a",): 4,
        ("a", "x"): 5,
        ("a", "y"): 6,
        ("a", "b c"): 8,
        ("a", "b c", "quoted.key"): 9,
        ("a", "b c", "list"): 10,
        ("a", "b c", "list", 0): 11,
        ("a", "b c", "list", 1): 13,
        ("a", "b c", "list", 2): 14,
        ("a", "b c", "list", 2, 0): 14,
        ("a", "b c", "single"): 16,
        ("a", "b c", "single", "inner"): 16,
        ("a", "b c", "single", "other"): 16,
        ("a", "b c", "single", "other", 0): 16,
        ("a", "b c", "single", "other", 1): 17,
        ("d",): 18,
        ("d", "e"): 18,
        ("d", "e", "f"): 19,
        ("d", "e", "f", "g"): 19,
        ("d", "e", "f", "h"): 20,
    }


@pytest.mark.parametrize(
    "string",
    [
        '"""one\n[not.a.section]\nnot_a_key = 1\n"""',
        "'''one\n[not.a.section] # \"\n'''",
        '"""ends in quotes"""""',
        "'''ends in quotes'''''",
        '"""\\""" is inside\n\\\\"""',
        '"""joined \\\n   line"""',
        '""""""',
        "''''''",
        '"with \\" and \\\\"',
        "'\\'",
        '"""a "" b\n" c"""',
    ],
)
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_a_string_of_any_kind_is_stepped_over(string: str, newline: str) -> None:
    text = f"first = {string}\n\nsecond = [{string}, 2]\nthird = 3\n".replace("\n", newline)
    tomllib.loads(text)
    height = string.count("\n")
    lines = locate(text)
    assert (lines["first",], lines["second",], lines["second", 1]) == (1, 3 + height, 3 + 2 * height)
    assert lines["third",] == 4 + 2 * height
    assert {path[0] for path in lines} == {"first", "second", "third"}


def test_lists_of_tables_are_counted() -> None:
    text = "[[server]]\nname = 1\n[[server]]\nname = 2\n[server.door]\nopen = true\n[[server.key]]\nx = 1\n"
    lines = locate(text)
    assert (lines["server", 0, "name"], lines["server", 1, "name"]) == (2, 4)
    assert (lines["server", 1, "door", "open"], lines["server", 1, "key", 0, "x"]) == (6, 8)


def test_a_section_after_its_subsection_has_its_own_line() -> None:
    assert locate("[a.b]\nx = 1\n[a]\ny = 1\n")["a",] == 3


def test_a_file_without_a_final_newline_is_whole() -> None:
    assert locate("[a]\nx = 1")["a", "x"] == 2
    assert locate("") == {}


def test_very_deep_names_cost_little() -> None:
    lines = locate(f"{'.'.join(['a'] * 2_000)} = 1\nb = 2\n")
    assert len(lines) < 50
    assert lines["b",] == 2


VALUES = [
    "1",
    "-0.5e3 # note ]",
    "true",
    '"text # [x]"',
    "'''a\nb = 2\n[c]\n'''",
    '"""\n\\"""\n\n"""',
    "[\n  1, # one\n\n  2,\n]",
    '[["a", "b"], []]',
    "{ p = 1, q.r = [1, 2], 's t' = {} }",
    "2024-02-29T23:59:59+01:00",
    "[{a = 1},\n {b = 2}]",
]
NAMES = ["plain", "under_score", "1234", '"quoted"', '"with \\" and # and ]"', "'l i t [x]'", '"\\u5e01安"']
FILLERS = ["", "# comment [x]\n", "\n\n", "  \t\n"]


@st.composite
def documents(draw: st.DrawFn) -> tuple[str, dict[KeyPath, int]]:
    """A TOML text, and the line of each key as it was counted while writing."""
    text = ""
    expected: dict[KeyPath, int] = {}

    def plain(name: str) -> str:
        return next(iter(tomllib.loads(f"{name} = 1")))

    def write_keys(above: KeyPath, count: int) -> None:
        nonlocal text
        for name in draw(st.permutations(NAMES))[:count]:
            text += draw(st.sampled_from(FILLERS)) + draw(st.sampled_from(["", "  "]))
            expected[*above, plain(name)] = text.count("\n") + 1
            text += f"{name}{draw(st.sampled_from([' = ', '=']))}{draw(st.sampled_from(VALUES))}\n"

    write_keys((), draw(st.integers(0, 3)))
    for number in range(draw(st.integers(0, 4))):
        inner = draw(st.sampled_from(NAMES))
        text += draw(st.sampled_from(FILLERS))
        section = (f"section{number}", plain(inner))
        expected[section] = text.count("\n") + 1
        text += f"[ section{number} . {inner} ] # [x]\n"
        write_keys(section, draw(st.integers(0, 3)))
    return text, expected


def paths_of(value: object, above: KeyPath = ()) -> set[KeyPath]:
    found: set[KeyPath] = set()
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, below in items:
        found |= {(*above, name)} | paths_of(below, (*above, name))
    return found


@given(documents())
def test_every_key_of_any_document_is_found_on_its_line(document: tuple[str, dict[KeyPath, int]]) -> None:
    text, expected = document
    lines = locate(text)
    assert {path: lines[path] for path in expected} == expected
    assert set(lines) == paths_of(tomllib.loads(text))
