"""An empty path on the command line is refused: it would stand for the current directory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from command_line import GROUP, called

_METAVARS = ("DIR", "FILE", "FOLDER", "PATH")


def _calls(words: tuple[str, ...], command: Any) -> Iterator[tuple[str, ...]]:  # noqa: ANN401 - typer has its own click
    """A call with an empty value of each path that the command and those below it take."""
    for parameter in command.params:
        if parameter.metavar in _METAVARS:
            option = parameter.opts[:1] if parameter.param_type_name == "option" else []
            yield (*words, *option, "")
    for name, below in getattr(command, "commands", {}).items():
        yield from _calls((*words, name), below)


@pytest.mark.parametrize("call", list(_calls((), GROUP)), ids=" ".join)
def test_an_empty_path_is_refused(
    call: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = called(*call)
    assert done.exit_code == 2
    assert "the path is empty" in done.output
    assert list(tmp_path.iterdir()) == []
