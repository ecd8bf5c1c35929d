"""``feeder-tui config init`` as a user runs it."""

from __future__ import annotations

from pathlib import Path

from commanding import command


def test_a_file_that_is_there_is_left_alone_unless_forced(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text("mine")
    done = command("config", "init", path, cwd=tmp_path)
    message = f"feeder-tui: {path} is there already and was left as it is: to replace it, add --force\n"
    assert (done.code, done.err) == (2, message)
    assert path.read_text() == "mine"
