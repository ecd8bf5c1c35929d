"""Every public function that has parameters says what they are, what it returns and what it raises."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from places import ROOT
from sources import modules, tree_of

#: What Textual, logging or the standard library call by name: the contract is theirs.
_HOOK_PREFIXES = ("on_", "action_", "watch_", "validate_", "compute_", "key_")
_HOOKS = ("check_action", "compose", "render", "render_line", "render_lines", "emit", "format", "filter")

_Function = ast.FunctionDef | ast.AsyncFunctionDef


def _decorators(node: _Function) -> list[str]:
    return [ast.unparse(decorator) for decorator in node.decorator_list]


def _functions(body: list[ast.stmt]) -> Iterator[_Function]:
    """Public functions of a module and public methods of its public classes."""
    for node in body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from _functions(node.body)
        elif isinstance(node, _Function) and not node.name.startswith("_"):
            yield node


def _exempt(node: _Function) -> bool:
    """Whether somebody else's contract documents it: an override, a command's help, a framework's hook."""
    decorators = " ".join(_decorators(node))
    return (
        (ast.get_docstring(node) or "").startswith(
            "See :meth:`"
        )  # it implements a protocol, documented there
        or node.name.startswith(_HOOK_PREFIXES)
        or node.name in _HOOKS
        or "override" in decorators
        or "overload" in decorators
        or ".command" in decorators
        or ".callback" in decorators
        or ".setter" in decorators
        or "@on(" in f"@{decorators}"
        or "Exit codes: " in (ast.get_docstring(node) or "")
    )


def _parameters(node: _Function) -> list[str]:
    given = node.args
    names = [argument.arg for argument in given.posonlyargs + given.args + given.kwonlyargs]
    names += [argument.arg for argument in (given.vararg, given.kwarg) if argument is not None]
    return [name for name in names if name not in ("self", "cls")]


def _raises(node: _Function) -> bool:
    """Whether its own body raises something new for the caller."""
    todo: list[ast.AST] = list(node.body)
    while todo:
        at = todo.pop()
        if isinstance(at, ast.Raise) and at.exc is not None:
            return True
        if isinstance(at, ast.Try) and at.handlers:  # what its body raises is handled here
            todo += [*at.handlers, *at.orelse, *at.finalbody]
        elif not isinstance(at, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
            todo += ast.iter_child_nodes(at)
    return False


def _lacking(node: _Function) -> list[str]:
    """What its docstring lacks."""
    names = _parameters(node)
    if not names or _exempt(node):
        return []
    text = ast.get_docstring(node) or ""
    lacking = []
    sections = {line.strip() for line in text.splitlines()}
    if "Args:" not in sections:
        lacking.append("Args")
    else:
        described = text.split("Args:", 1)[1]
        lacking += [name for name in names if f"{name}:" not in described and f"{name} (" not in described]
    returns = ast.unparse(node.returns) if node.returns is not None else "None"
    if returns not in ("None", "NoReturn", "Never") and not sections & {"Returns:", "Yields:"}:
        lacking.append("Returns")
    if _raises(node) and "Raises:" not in sections:
        lacking.append("Raises")
    return lacking


def test_public_functions_document_parameters_results_and_errors() -> None:
    faults = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name} lacks {', '.join(lacking)}"
        for path in modules()
        for node in _functions(tree_of(path).body)
        if (lacking := _lacking(node))
    ]
    assert not faults, "\n" + "\n".join(faults)
