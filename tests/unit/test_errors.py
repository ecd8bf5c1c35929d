"""Known errors are one tree, and each kind ends the program with its exit code."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

import tui_feeder
from tui_feeder.commands import failures
from tui_feeder.configuration.problems import ConfigError, Problem
from tui_feeder.engine.storage.lock import StoreError
from tui_feeder.errors import (
    ExitCode,
    FeederError,
    HostError,
    InputError,
    RunFailure,
    StorageError,
    UsageError,
)

ROOT = Path(__file__).resolve().parents[2]


def modules() -> Iterator[str]:
    """Every module of the program but its entry points and the simulator's own protocol."""
    for found in pkgutil.walk_packages(tui_feeder.__path__, "tui_feeder."):
        if not found.name.endswith("__main__") and found.name != "tui_feeder.simulator.rest":
            yield found.name


def exceptions(name: str) -> Iterator[type[Exception]]:
    """The exceptions that a module defines for others."""
    module = importlib.import_module(name)
    for value in vars(module).values():
        if not isinstance(value, type) or value.__module__ != name or value.__name__.startswith("_"):
            continue
        if issubclass(value, Exception) and not issubclass(value, Warning):
            yield value


def test_every_error_of_the_program_is_in_the_tree() -> None:
    found = [error for name in modules() for error in exceptions(name)]
    assert len(found) > 30
    assert [error.__qualname__ for error in found if not issubclass(error, FeederError)] == []


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (
            UsageError("--to is not after --from"),
            ExitCode.BAD_INPUT,
            "feeder-tui: --to is not after --from\n",
        ),
        (StoreError("lmdb_data: no store"), ExitCode.FAILED, "feeder-tui: lmdb_data: no store\n"),
        (HostError("port 1 is in use"), ExitCode.FAILED, "feeder-tui: port 1 is in use\n"),
        (
            ConfigError([Problem("c.toml", "ui.theme", 3, '"x"', "there is no such theme")]),
            ExitCode.BAD_INPUT,
            '1 problem in the configuration:\nc.toml:3: ui.theme = "x" there is no such theme\n',
        ),
        (
            PermissionError(13, "Permission denied", "/x"),
            ExitCode.FAILED,
            "feeder-tui: /x: Permission denied: check its owner and mode\n",
        ),
    ],
)
def test_a_failure_is_one_message_and_an_exit_code(
    error: Exception, code: int, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(typer.Exit) as end, failures.reported_failures():
        raise error
    assert end.value.exit_code == code
    assert capsys.readouterr() == ("", text)


def test_an_unknown_error_is_reported_as_internal(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as end, failures.reported_failures():
        raise ZeroDivisionError("x")
    assert end.value.exit_code == ExitCode.FAILED
    assert "internal error: ZeroDivisionError('x'); run again with --debug" in capsys.readouterr().err


def test_an_interrupt_has_its_own_exit_code() -> None:
    with pytest.raises(typer.Exit) as end, failures.reported_failures():
        raise KeyboardInterrupt
    assert end.value.exit_code == ExitCode.INTERRUPTED


@pytest.mark.parametrize("error", [RunFailure("x"), StorageError("x"), ZeroDivisionError("x")])
def test_debug_shows_where_a_failure_was_raised(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failures, "debugging", True)
    with pytest.raises(type(error)), failures.reported_failures():
        raise error


def test_debug_shows_no_traceback_of_wrong_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failures, "debugging", True)
    with pytest.raises(typer.Exit), failures.reported_failures():
        raise InputError("x")


def test_the_documents_list_every_exit_code() -> None:
    text = (ROOT / "docs" / "operating.md").read_text()
    table = text.partition("## Exit codes")[2].partition("## ")[0]
    assert [int(code) for code in re.findall(r"^\| (\d+) \|", table, re.M)] == sorted(ExitCode)
