"""Mutation testing: one operator, constant, condition or call of a module is changed, and its tests are run.

    python -m tests.support.mutation tui_feeder/engine/core/coverage.py [TESTS ...]

Without TESTS the module's own: ``tests/unit/.../test_NAME.py``, else the folder of that place. They are
collected once. Then each mutant has a fork of the process, in which the code of one function is replaced in
place, and runs those tests that reach the changed lines, until one fails. Examples of Hypothesis are the same
in each run, and time is that of the processor, so a verdict does not depend on how busy the machine is.

Mutated is what stands in functions and methods, defaults of parameters included. Left alone is what a module
computes on import, and annotations, docstrings, ``assert``, ``raise``, ``strict=True`` and ``__repr__``.

A mutant of which no test can tell is listed with the reason in ``tests/data/equivalent_mutants.txt`` and does
not count; one that is listed and fails a test is an error.
"""

from __future__ import annotations

import argparse
import ast
import gc
import os
import pickle
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FrameType, FunctionType
from typing import Any, TypeAlias

import pytest
from hypothesis import Phase, settings

ROOT = Path(__file__).resolve().parents[2]
EQUIVALENT = ROOT / "tests" / "data" / "equivalent_mutants.txt"
TraceFunction: TypeAlias = Callable[[FrameType, str, object], Any]
_SEPARATOR = " | "
_SURVIVED, _KILLED, _BROKEN = range(3)

_COMPARED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
_COMPUTED: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Div,
    ast.Mod: ast.FloorDiv, ast.Pow: ast.Mult, ast.LShift: ast.RShift, ast.RShift: ast.LShift,
    ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd, ast.BitXor: ast.BitAnd,
}  # fmt: skip
_CALLED = {
    "min": "max", "max": "min", "any": "all", "all": "any", "minimum": "maximum", "maximum": "minimum",
    "argmax": "argmin", "bisect_left": "bisect_right", "bisect_right": "bisect_left", "ceil": "floor",
}  # fmt: skip
_WORDS = {"left": "right", "right": "left"}


@dataclass(frozen=True)
class Mutant:
    """A function with one change."""

    function: str  # qualified name
    line: int
    lines: frozenset[int]  # those of the statement that is changed
    change: str  # before -> after
    tree: ast.AST  # of the whole module


@dataclass(frozen=True)
class Ran:
    """What a test did on the unchanged module."""

    item: int
    seconds: float  # of a processor
    lines: frozenset[int]


def changes(node: ast.AST) -> Iterator[ast.AST]:
    """What may stand in the place of an expression or a statement."""
    match node:
        case ast.Compare():
            for i, operator in enumerate(node.ops):
                compared = deepcopy(node)
                compared.ops[i] = _COMPARED[type(operator)]()
                yield compared
        case ast.BinOp() if type(node.op) in _COMPUTED:
            yield ast.BinOp(node.left, _COMPUTED[type(node.op)](), node.right)
        case ast.AugAssign() if type(node.op) in _COMPUTED:
            yield ast.AugAssign(node.target, _COMPUTED[type(node.op)](), node.value)
            yield ast.Pass()
        case ast.BoolOp():
            yield ast.BoolOp(ast.Or() if isinstance(node.op, ast.And) else ast.And(), node.values)
        case ast.UnaryOp(operand=ast.expr()):
            yield node.operand
        case ast.Constant(value=bool() as value):
            yield ast.Constant(not value)
        case ast.Constant(value=(int() | float()) as value):
            yield ast.Constant(value + 1)
        case ast.Constant(value=str() as value):
            yield ast.Constant(_WORDS.get(value, f"XX{value}"))
        case ast.Call():
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in _CALLED:
                changed = deepcopy(node)
                if isinstance(changed.func, ast.Attribute):
                    changed.func.attr = _CALLED[name]
                elif isinstance(changed.func, ast.Name):
                    changed.func.id = _CALLED[name]
                yield changed
            for i, keyword in enumerate(node.keywords):
                if keyword.arg not in (None, "strict", "dtype"):
                    yield ast.Call(node.func, node.args, node.keywords[:i] + node.keywords[i + 1 :])
        case ast.Expr(value=ast.Call()):
            yield ast.Pass()
        case ast.Return(value=ast.expr()) if not _is_none(node.value):
            yield ast.Return(ast.Constant(None))
        case ast.Break():
            yield ast.Continue()
        case ast.Continue():
            yield ast.Break()


def _is_none(node: ast.AST | None) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def conditions(node: ast.AST) -> Iterator[tuple[ast.expr, list[bool]]]:
    """Conditions of a node, and what each of them may be always."""
    match node:
        case ast.If() | ast.IfExp():
            yield node.test, [True, False]
        case ast.While() if not isinstance(node.test, ast.Constant):
            yield node.test, [False]
        case ast.comprehension():
            for test in node.ifs:
                yield test, [True, False]


def mutants(source: str) -> Iterator[Mutant]:
    """Every mutant of a module, in the order of its text."""
    tree = ast.parse(source)

    def function(node: ast.AST, prefix: str) -> Iterator[Mutant]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.ClassDef):
                yield from function(child, f"{prefix}{child.name}.")
            elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef) and child.name != "__repr__":
                defaults = [value for value in (*child.args.defaults, *child.args.kw_defaults) if value]
                for value in defaults:
                    yield from expression(value, child, prefix + child.name, child)
                for statement in child.body:
                    yield from statements(statement, prefix + child.name, child)
            elif isinstance(child, ast.If):
                yield from function(child, prefix)

    def statements(node: ast.stmt, name: str, owner: ast.AST) -> Iterator[Mutant]:
        if isinstance(node, ast.Assert | ast.Raise | ast.Import | ast.ImportFrom):
            return
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            return
        yield from replaced(node, node, name)
        for field, value in ast.iter_fields(node):
            if field in ("annotation", "returns", "type_comment", "decorator_list"):
                continue
            for part in value if isinstance(value, list) else [value]:
                if isinstance(part, ast.stmt):
                    yield from statements(part, name, owner)
                elif isinstance(part, ast.ExceptHandler | ast.match_case):
                    for inner in part.body:
                        yield from statements(inner, name, owner)
                elif isinstance(part, ast.AST):
                    yield from expression(part, node, name, owner)

    def expression(node: ast.AST, statement: ast.stmt, name: str, owner: ast.AST) -> Iterator[Mutant]:
        if isinstance(node, ast.JoinedStr) or (isinstance(node, ast.keyword) and node.arg == "strict"):
            return
        yield from replaced(node, statement, name)
        for child in ast.iter_child_nodes(node):
            yield from expression(child, statement, name, owner)

    def replaced(node: ast.AST, statement: ast.stmt, name: str) -> Iterator[Mutant]:
        for test, values in conditions(node):
            for value in values:
                yield made(test, ast.Constant(value), statement, name)
        for other in changes(node):
            yield made(node, other, statement, name)

    def made(node: ast.AST, other: ast.AST, statement: ast.stmt, name: str) -> Mutant:
        mutated = _Replace(node, other).visit(tree)
        body: list[ast.stmt] = getattr(statement, "body", [])
        last = body[0].lineno - 1 if body else statement.end_lineno or 0
        lines = frozenset(range(statement.lineno, max(last, statement.lineno) + 1))
        before, after = ast.unparse(node), ast.unparse(ast.fix_missing_locations(other))
        around = _headline(statement)
        change = f"{before} -> {after}" if around == before else f"{around} : {before} -> {after}"
        return Mutant(name, getattr(node, "lineno", statement.lineno), lines, change, mutated)

    yield from function(tree, "")


def _headline(statement: ast.stmt) -> str:
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
        return f"def {statement.name}({ast.unparse(statement.args)})"
    return ast.unparse(statement).partition("\n")[0]


class _Replace(ast.NodeTransformer):
    """A copy of the tree along the way to one node, which is replaced."""

    def __init__(self, node: ast.AST, other: ast.AST) -> None:
        self.node, self.other = node, ast.copy_location(other, node) if hasattr(node, "lineno") else other

    def visit(self, node: ast.AST) -> ast.AST:
        if node is self.node:
            return self.other
        return self.generic_visit(node)

    def generic_visit(self, node: ast.AST) -> ast.AST:
        new: dict[str, Any] = {}
        for field, value in ast.iter_fields(node):
            if isinstance(value, list):
                parts = [self.visit(part) if isinstance(part, ast.AST) else part for part in value]
                if any(a is not b for a, b in zip(parts, value, strict=True)):
                    new[field] = parts
            elif isinstance(value, ast.AST) and (changed := self.visit(value)) is not value:
                new[field] = changed
        if not new:
            return node
        made = type(node)(**{**dict(ast.iter_fields(node)), **new})
        return ast.copy_location(made, node) if hasattr(node, "lineno") else made


def codes(code: CodeType) -> Iterator[CodeType]:
    """The code of every function and method below a module's."""
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from codes(constant)


def functions_of(path: Path) -> dict[str, list[FunctionType]]:
    """The living functions of a module, by qualified name."""
    gc.unfreeze()
    found: dict[str, list[FunctionType]] = {}
    for each in gc.get_objects():
        if isinstance(each, FunctionType) and each.__code__.co_filename == str(path):
            found.setdefault(each.__code__.co_qualname, []).append(each)
    return found


class Mutating:
    """A pytest plugin that runs mutants in the place of the tests."""

    def __init__(self, path: Path, processes: int, budget: float, show: list[str]) -> None:
        self.path, self.processes, self.budget, self.show = path, processes, budget, show
        self.failed = False

    @pytest.hookimpl(trylast=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        settings.register_profile(
            "mutation",
            settings.get_profile("feeder"),
            derandomize=True,
            database=None,
            phases=(Phase.explicit, Phase.generate),
        )
        settings.load_profile("mutation")

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        self.items = session.items
        if session.testsfailed:
            raise pytest.UsageError("the tests cannot be collected")
        runs = self.unchanged()
        source = self.path.read_text()
        self.functions = functions_of(self.path)
        place = self.path.relative_to(ROOT).as_posix()
        excused = excuses(place)
        counts = dict.fromkeys(("killed", "survived", "equivalent"), 0)
        began = time.monotonic()
        verdicts = self.verdicts([each for each in mutants(source) if self.shown(each)], runs)
        seen: dict[str, int] = {}
        for mutant, survived, how in verdicts:
            name = f"{mutant.function}: {mutant.change}"
            seen[name] = seen.get(name, 0) + 1
            if seen[name] > 1:
                name += f" ({seen[name]})"
            if not survived:
                counts["killed"] += 1
                if name in excused:
                    self.failed = True
                    print(f"{place}:{mutant.line}: listed as equivalent, but killed: {name}")
            elif name in excused:
                counts["equivalent"] += 1
            else:
                counts["survived"] += 1
                print(f"{place}:{mutant.line}: survived{how}: {name}", flush=True)
        total = counts["killed"] + counts["survived"]
        share = 100 * counts["killed"] / total if total else 100.0
        print(
            f"{place}: {total + counts['equivalent']} mutants, {counts['equivalent']} of them equivalent; "
            f"of {total} others {counts['killed']} killed, {share:.1f} % ({time.monotonic() - began:.0f} s)"
        )
        return True

    def shown(self, mutant: Mutant) -> bool:
        """Whether a mutant is asked for."""
        name = f"{mutant.function}: {mutant.change}"
        return not self.show or any(text in name for text in self.show)

    def unchanged(self) -> list[Ran]:
        """Run every test once in a fork, so that nothing it leaves behind is in the mutants'."""
        reader, writer = os.pipe()
        pid = os.fork()
        if not pid:
            os.close(reader)
            _silent()
            found: list[Ran] = []
            for at, item in enumerate(self.items):
                lines: set[int] = set()
                began = time.process_time()
                passed = self.passes(item, _tracer(str(self.path), lines))
                if not passed:
                    found = []
                    with os.fdopen(writer, "wb") as file:
                        pickle.dump(item.nodeid, file)
                    os._exit(1)
                found.append(Ran(at, time.process_time() - began, frozenset(lines)))
            with os.fdopen(writer, "wb") as file:
                pickle.dump(found, file)
            os._exit(0)
        os.close(writer)
        with os.fdopen(reader, "rb") as file:
            answer = pickle.load(file)
        os.waitpid(pid, 0)
        if isinstance(answer, str):
            raise pytest.UsageError(f"{answer} fails on the unchanged module")
        runs = sorted((run for run in answer if run.lines), key=lambda run: run.seconds)
        total = sum(run.seconds for run in runs)
        print(f"\n{len(runs)} of {len(answer)} tests reach the module, in {total:.1f} s", flush=True)
        return runs

    def passes(self, item: pytest.Item, trace: TraceFunction | None = None) -> bool:
        """Run one test."""
        if trace:
            sys.settrace(trace)
        try:
            reports = _run(item)
        finally:
            sys.settrace(None)
        return not any(report.failed for report in reports)

    def verdicts(self, found: list[Mutant], runs: list[Ran]) -> Iterator[tuple[Mutant, bool, str]]:
        """Each mutant, whether it survived, and what is to be said of that."""
        running: dict[int, int] = {}
        ended: dict[int, tuple[bool, str]] = {}
        given = told = 0
        while told < len(found):
            while given < len(found) and len(running) < self.processes:
                mutant = found[given]
                reaching = [run for run in runs if run.lines & mutant.lines]
                if reaching:
                    running[self.fork(mutant, reaching)] = given
                else:
                    ended[given] = (True, " (no test comes here)")
                given += 1
            if running:
                pid, status = os.wait()
                at = running.pop(pid)
                if os.WIFEXITED(status) and os.WEXITSTATUS(status) == _BROKEN:
                    raise pytest.UsageError(f"cannot be tried: {found[at].function}: {found[at].change}")
                ended[at] = (os.WIFEXITED(status) and os.WEXITSTATUS(status) == _SURVIVED, "")
            while told in ended:
                yield (found[told], *ended.pop(told))
                told += 1

    def fork(self, mutant: Mutant, runs: list[Ran]) -> int:
        """Start the tests on a mutant."""
        sys.stdout.flush()
        pid = os.fork()
        if pid:
            return pid
        status = _BROKEN
        try:
            _silent()
            pages = int(Path("/proc/self/statm").read_text().split()[0])
            most = pages * resource.getpagesize() + (1 << 30)
            resource.setrlimit(resource.RLIMIT_AS, (most, most))
            self.put(mutant)
            status = _KILLED
            # An endless loop ends the process, and one that takes all memory fails: faults like others.
            signal.signal(signal.SIGPROF, signal.SIG_DFL)
            for run in runs:
                signal.setitimer(signal.ITIMER_PROF, 1 + self.budget * run.seconds)
                if not self.passes(self.items[run.item]):
                    break
            else:
                status = _SURVIVED
        finally:
            os._exit(status)

    def put(self, mutant: Mutant) -> None:
        """Replace the function's code by the mutant's."""
        assert isinstance(mutant.tree, ast.Module)
        code = compile(ast.fix_missing_locations(mutant.tree), str(self.path), "exec", dont_inherit=True)
        made = next(each for each in codes(code) if each.co_qualname == mutant.function)
        for function in self.functions[mutant.function]:
            function.__code__ = made
            self.put_defaults(function, mutant)

    def put_defaults(self, function: FunctionType, mutant: Mutant) -> None:
        parts = mutant.function.split(".")
        node: Any = mutant.tree
        for part in parts:
            found = (each for each in ast.walk(node) if isinstance(each, ast.FunctionDef | ast.ClassDef))
            node = next(each for each in found if each.name == part)

        def value(default: ast.expr) -> object:
            return eval(compile(ast.Expression(default), str(self.path), "eval"), function.__globals__)

        if function.__defaults__ and node.args.defaults:
            function.__defaults__ = tuple(value(each) for each in node.args.defaults)
        if function.__kwdefaults__:
            names = [argument.arg for argument in node.args.kwonlyargs]
            function.__kwdefaults__ = {
                name: value(each) for name, each in zip(names, node.args.kw_defaults, strict=True) if each
            }


def _run(item: pytest.Item) -> list[pytest.TestReport]:
    from _pytest.runner import runtestprotocol

    return runtestprotocol(item, log=False, nextitem=None)


def _tracer(path: str, lines: set[int]) -> TraceFunction:
    def local(frame: FrameType, event: str, argument: object) -> TraceFunction:
        lines.add(frame.f_lineno)
        return local

    def trace(frame: FrameType, event: str, argument: object) -> TraceFunction | None:
        return local(frame, event, argument) if frame.f_code.co_filename == path else None

    return trace


def _silent() -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)


def excuses(place: str) -> set[str]:
    """Mutants of a module that are equivalent to it."""
    if not EQUIVALENT.exists():
        return set()
    lines = [line for line in EQUIVALENT.read_text().splitlines() if line and not line.startswith("#")]
    parts = [line.split(_SEPARATOR) for line in lines]
    return {_SEPARATOR.join(each[1:-1]) for each in parts if each[0] == place}


def tests_of(path: Path) -> list[str]:
    """The tests of a module."""
    folder = ROOT / "tests" / "unit" / path.parent.relative_to(ROOT / "tui_feeder")
    own = folder / f"test_{path.stem}.py"
    return [str(own if own.exists() else folder)]


def main() -> int:
    parser = argparse.ArgumentParser(description="mutation testing of a module")
    parser.add_argument("module", type=Path)
    parser.add_argument("tests", nargs="*")
    parser.add_argument("--processes", type=int, default=1, help="mutants at a time")
    parser.add_argument(
        "--budget", type=float, default=5.0, help="how many times as long as usual a test may take"
    )
    parser.add_argument("--show", action="append", default=[], help="only mutants with this text")
    parser.add_argument("--thorough", action="store_true", help="all examples of the tests")
    chosen = parser.parse_args()
    path = chosen.module.resolve()
    plugin = Mutating(path, chosen.processes, chosen.budget, chosen.show)
    options = ["-q", "-s", "-p", "no:cacheprovider", "-p", "no:timeout", "-W", "ignore", "--tb=no"]
    options += ["--thorough"] if chosen.thorough else []
    code = pytest.main([*options, *(chosen.tests or tests_of(path))], plugins=[plugin])
    return int(code) if code not in (0, 5) else int(plugin.failed)


if __name__ == "__main__":
    sys.exit(main())
