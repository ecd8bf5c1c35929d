"""The program's modules, for tests that read them: each is read, parsed and walked once in a process."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

from places import ROOT

PACKAGE = ROOT / "tui_feeder"


@cache
def modules() -> tuple[Path, ...]:
    """Every module of the program, sorted."""
    return tuple(sorted(PACKAGE.rglob("*.py")))


@cache
def text_of(path: Path) -> str:
    """The source of a module."""
    return path.read_text()


@cache
def tree_of(path: Path) -> ast.Module:
    """A module parsed; the tests share it and change nothing."""
    return ast.parse(text_of(path))


@cache
def nodes_of(path: Path) -> tuple[ast.AST, ...]:
    """The nodes of a module in the order of ``ast.walk``: a parent before its children."""
    return tuple(ast.walk(tree_of(path)))
