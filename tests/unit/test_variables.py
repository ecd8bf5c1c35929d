"""Names of the program state what they hold: none is ``one``, and none is house slang."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from places import ROOT
from sources import modules, nodes_of

#: Words of names that a colleague would not understand at once; tests/unit/test_words.py has the terms.
SLANG = frozenset(
    ("told", "tell", "tells", "telling", "say", "says", "saying", "said", "heard", "hear", "hears", "lane",
     "door", "desk", "roster", "daybook", "stranger", "obey", "untold", "mistold", "footing", "reel")
)  # fmt: skip


def _names(path: Path) -> Iterator[tuple[str, int]]:
    """Names of functions, classes, parameters, variables and attributes that a module makes, with lines."""
    for node in nodes_of(path):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name, node.lineno
        elif isinstance(node, ast.arg):
            yield node.arg, node.lineno
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id, node.lineno
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr, node.lineno


def _is_slang(name: str) -> bool:
    parts = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower().split("_")
    return name in ("one", "ones") or not SLANG.isdisjoint(parts)


def test_names_are_in_plain_terms() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line} {name}"
        for path in modules()
        for name, line in _names(path)
        if _is_slang(name)
    ]
    assert found == []


@pytest.mark.parametrize("name", ["one", "_told", "TellTale", "heard_at", "LANE"])
def test_slang_is_found_in_names(name: str) -> None:
    assert _is_slang(name)


@pytest.mark.parametrize("name", ["one_day", "essay", "planes", "doors_open_at", "hearing"])
def test_other_names_are_not_slang(name: str) -> None:
    assert not _is_slang(name)
