"""What README and docs name exists: subcommands, options, files, targets of make, modules and extras."""

from __future__ import annotations

import importlib.util
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from tui_feeder.cli import app

_ROOT = Path(__file__).resolve().parents[2]
_FILES = [_ROOT / "README.md", *sorted((_ROOT / "docs").glob("*.md"))]
_COMMAND = typer.main.get_command(app)


def _lines(text: str) -> Iterator[str]:
    """Every command line of fenced blocks, and every inline code that begins with the program's name."""
    fenced = re.findall(r"^```(?:sh|bash)?\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    for block in fenced:
        yield from block.replace("\\\n", " ").splitlines()
    yield from re.findall(r"`(feeder-tui [^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S))


def _calls(text: str) -> Iterator[list[str]]:
    """Words after ``feeder-tui`` of each call."""
    for line in _lines(text):
        for part in re.split(r"[|;&>]|\$\(", line.split(" #")[0].replace("\\|", "|")):
            words = shlex.split(part.replace("'", "").replace('"', ""))
            if "feeder-tui" in words:
                yield words[words.index("feeder-tui") + 1 :]


def _subcommands(command: Any) -> dict[str, Any]:  # noqa: ANN401 - typer has its own copy of click's classes
    return getattr(command, "commands", {})


def _fault(words: list[str]) -> str:
    """What is wrong with a call; empty if nothing."""
    command = _COMMAND
    for word in words:
        if not word.startswith("-"):
            if word in _subcommands(command):
                command = _subcommands(command)[word]
            continue
        name = re.match(r"--?[a-z][a-z-]*", word)
        if name is None or word in ("-h", "--help"):
            continue
        known = {
            option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)
        }
        if name[0] not in known:
            return f"{name[0]} is no option of {command.name}"
    if _subcommands(command) and command is not _COMMAND:
        return f"{command.name} needs a subcommand"
    return ""


@pytest.mark.parametrize("path", _FILES, ids=lambda path: path.name)
def test_commands_of_the_documents_exist(path: Path) -> None:
    faults = [
        f"feeder-tui {' '.join(words)}: {fault}"
        for words in _calls(path.read_text())
        if (fault := _fault(words))
    ]
    assert not faults, "\n" + "\n".join(faults)


def test_the_check_finds_what_does_not_exist() -> None:
    assert list(_calls("```sh\nfeeder-tui gaps --nonsense 1 | cat\n```")) == [["gaps", "--nonsense", "1"]]
    assert _fault(["gaps", "--nonsense", "1"]) == "--nonsense is no option of gaps"
    assert _fault(["export", "--symbol", "BTCUSDT"]) == ""


@pytest.mark.parametrize("path", _FILES, ids=lambda path: path.name)
def test_links_of_the_documents_lead_somewhere(path: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", path.read_text())
    missing = [link for link in links if not re.match(r"https?:", link) and not (path.parent / link).exists()]
    assert not missing


@pytest.mark.parametrize("path", _FILES, ids=lambda path: path.name)
def test_targets_modules_and_extras_of_the_documents_exist(path: Path) -> None:
    text = path.read_text()
    targets = set(re.findall(r"^([a-z-]+(?: [a-z-]+)*):", (_ROOT / "Makefile").read_text(), re.M))
    known = {name for names in targets for name in names.split()}
    named = re.findall(r"(?:^|`)make ([a-z-]+)", text, re.M)
    assert set(named) <= known
    modules = re.findall(r"python -m ((?:tui_feeder|benchmarks)[a-z_.]*[a-z_])", text)
    assert [name for name in modules if importlib.util.find_spec(name) is None] == []
    project = tomllib.loads((_ROOT / "pyproject.toml").read_text())["project"]
    extras = re.findall(r"(?:feeder-tui|'\.)\[([a-z]+)\]", text)
    assert set(extras) <= set(project["optional-dependencies"])


def test_the_tutorial_installs_what_its_examples_import() -> None:
    """``pip install .`` brings neither pandas nor polars."""
    text = (_ROOT / "docs" / "tutorial.md").read_text()
    installed = re.search(r"`pip install \. ?([a-z ]*)`", text)
    assert installed is not None
    needed = {name for name in ("pandas", "polars") if f"to_{name}" in text}
    assert needed <= set(installed[1].split())
