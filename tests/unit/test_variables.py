"""No variable of the program is called ``one``: a name says what it holds."""

from __future__ import annotations

import ast

from places import ROOT
from sources import modules, nodes_of


def test_no_variable_is_called_one() -> None:
    found = []
    for path in modules():
        for node in nodes_of(path):
            name = node.arg if isinstance(node, ast.arg) else getattr(node, "id", None)
            stored = isinstance(node, ast.arg) or isinstance(getattr(node, "ctx", None), ast.Store)
            if stored and name in ("one", "ones"):
                found.append(f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}")
    assert found == []
