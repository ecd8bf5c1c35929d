"""Plain terms in all that is read: help, screens, messages, log lines, documents, docstrings and comments.

The words are the left column of the project's word list: house slang, and verbs of speech for programs.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterable, Iterator
from pathlib import Path

import click
import pytest
from command_line import GROUP
from places import ROOT
from sources import modules, nodes_of, text_of

#: Never in a text, docstring or comment, each with what to write instead.
SLANG = {
    r"the door": "ingest",
    r"desk": "ingest",
    r"lanes?": "queue",
    r"roster": "tracked symbols",
    r"br(?:ing|ings|ought|inging) up": "start, upgrade",
    r"basis|footings?": "inputs, provenance",
    r"kept numbers": "checkpoint",
    r"untold": "unpublished",
    r"mistold": "stale-published",
    r"overrul(?:es?|ed|ing)": "archive-rejected",
    r"daybook": "day blocks",
    r"sealed": "checksummed",
    r"reels?": "symbol replay",
    r"ink": "palette",
    r"live_area|spread_rows": "incremental value area, uniform rows",
    r"told|tell|tells|telling|say|says|saying|said": "report, log, publish, show",
    r"stop(?:s|ped|ping)? in order": "shut down cleanly",
    r"least level": "minimum log level",
    r"spare the line": "low-bandwidth mode",
    r"nobody (?:listens|answers)": "connection refused",
    r"(?:its|their) turn": "queued",
    r"(?:goes|go|gone|went) on without \d+ minutes?": "skipped missing minutes",
    r"takes no more": "disk full",
    r"worth a word": "open gaps",
    r"as seen": "acknowledge",
    r"colou?rs are never alone": "colour is never the only cue",
    r"look(?:s|ing|ed)? in": "attach, client",
    r"of one piece": "consistent, complete",
    r"hears? of|heard of": "is notified of",
    r"speaks? (?:of|for)": "is about",
    r"last words?": "final message",
    r"good-bye": "close",
    r"house|strangers?": "package, reader",
}
FORBIDDEN = re.compile(rf"\b(?:{'|'.join(SLANG)})\b", re.IGNORECASE)

#: Keys of records on disk, which keep the names of the first formats.
RECORDS = ("basis ",)
#: The trader's word: what a future costs over the same pair in spot, as field, column, and line of the chart.
TRADING = (
    "basis",
    "BASIS",
    "Basis, the future over spot",
    "chart.basis",
    "Show or hide the basis of the future over spot",
    "a basis needs both markets: follow the future and its pair in spot",
    "future / spot - 1 of the same bar, in basis points (bp); b hides it",
)
#: Old names of modules that are still understood, and names in code: those of records on disk stay.
NAMES = re.compile(r"tui_feeder\.[a-z_.]+|`[^`]+`")


def documents() -> Iterator[Path]:
    """What is read beside the program."""
    yield ROOT / "README.md"
    yield ROOT / "CHANGELOG.md"
    yield ROOT / "config.toml.example"
    yield from sorted((ROOT / "docs").glob("*.md"))
    yield from sorted((ROOT / "docs").glob("*.service"))


def literals(path: Path) -> Iterator[tuple[int, str]]:
    """Every string of a module but its docstrings, with its line."""
    docstrings = set()
    for node in nodes_of(path):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                docstrings.add(id(first.value))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.lineno, node.value


def remarks(source: str) -> Iterator[tuple[int, str]]:
    """Every comment and line of a docstring of a module, with its line."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string
    lines = source.splitlines()
    for node in ast.walk(ast.parse(source)):  # docstrings of attributes too
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            for number in range(node.lineno, (node.end_lineno or node.lineno) + 1):
                yield number, lines[number - 1]


def slang(text: str) -> str | None:
    """The first forbidden word of a text, if any."""
    found = FORBIDDEN.search(NAMES.sub("", text))
    return found[0] if found else None


def help_texts() -> dict[str, str]:
    """The help of every command, its options included, by the words of the command."""
    waiting: list[tuple[str, click.Command]] = [("feeder-tui", GROUP)]
    found = {}
    while waiting:
        words, command = waiting.pop()
        found[words] = command.get_help(click.Context(command, info_name=words))
        below = command.commands if isinstance(command, click.Group) else {}
        waiting += [(f"{words} {name}", child) for name, child in below.items()]
    return found


@pytest.mark.parametrize("text", ["it tells you", "stopped in order", "The Desk", "Wait: its turn comes"])
def test_slang_is_found(text: str) -> None:
    assert slang(text)


@pytest.mark.parametrize("text", ["in order of time", "a linked list", "retell", "logged", "indesk"])
def test_other_words_are_not(text: str) -> None:
    assert slang(text) is None


def faults(path: Path, texts: Iterable[tuple[int, str]]) -> list[str]:
    """Where a file has a forbidden word, the word, and its text."""
    return [
        f"{path.relative_to(ROOT)}:{line} {found}: {text}" for line, text in texts if (found := slang(text))
    ]


def test_help_is_in_plain_terms() -> None:
    found = {words: word for words, text in help_texts().items() if (word := slang(text))}
    assert not found


def test_texts_of_the_program_are_in_plain_terms() -> None:
    known = frozenset(RECORDS + TRADING)
    found = [
        fault
        for path in modules()
        for fault in faults(path, ((line, text) for line, text in literals(path) if text not in known))
    ]
    assert not found, "\n".join(found)


def test_docstrings_and_comments_are_in_plain_terms() -> None:
    found = []
    for path in modules():
        # The trader's basis cannot be distinguished by a pattern from the other meaning.
        source = re.sub("basis", "", text_of(path), flags=re.IGNORECASE)
        if FORBIDDEN.search(source):  # somewhere: comments are only found by a slow division into tokens
            found += faults(path, remarks(source))
    assert not found, "\n".join(found)


def test_slang_in_a_docstring_or_comment_is_found() -> None:
    source = 'def f():\n    """It tells all."""\n    return 1  # in its turn\n\nX = 1\n"""Of the lane."""\n'
    assert [(line, slang(text)) for line, text in sorted(remarks(source))] == [
        (2, "tells"), (3, "its turn"), (6, "lane"),
    ]  # fmt: skip


def test_documents_are_in_plain_terms() -> None:
    found = [
        fault for path in documents() for fault in faults(path, enumerate(path.read_text().splitlines(), 1))
    ]
    assert not found, "\n".join(found)
