"""Files the program writes for itself keep links and modes too: what the screen remembers, logs, messages."""

from __future__ import annotations

import logging
import os
import stat
from pathlib import Path

import pytest
from msgspec.structs import replace

from tui_feeder.atomic_write import atomic_write
from tui_feeder.config import Config
from tui_feeder.logs import configure_logging
from tui_feeder.screens.export import write
from tui_feeder.screens.ui_state import UiState, read_ui_state, write_ui_state


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_what_the_screen_remembers_is_private_and_a_link_stays_one(tmp_path: Path) -> None:
    file, link = tmp_path / "kept" / "screen.json", tmp_path / "screen.json"
    write_ui_state(file, UiState(screen="chart"))
    assert mode(file) == 0o600
    link.symlink_to(file)
    file.chmod(0o640)
    write_ui_state(link, UiState(screen="log"))
    assert link.is_symlink()
    assert (read_ui_state(file), mode(file)) == (UiState(screen="log"), 0o640)
    assert [path.name for path in file.parent.iterdir()] == ["screen.json"]


def test_what_fails_leaves_what_was_there_and_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("before")

    def fail() -> None:
        with atomic_write(file) as target:
            target.write(b"half")
            raise OSError("full")

    with pytest.raises(OSError, match="full"):
        fail()
    assert file.read_text() == "before"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_new_file_has_the_mode_the_umask_leaves(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        with atomic_write(tmp_path / "one") as target:
            target.write(b"x")
        with atomic_write(tmp_path / "two", 0o600) as target:
            target.write(b"x")
        assert [mode(write(tmp_path, "three", "x")), mode(tmp_path / "one"), mode(tmp_path / "two")] == [
            0o640, 0o640, 0o600,
        ]  # fmt: skip
    finally:
        os.umask(before)


def test_a_log_behind_a_link_is_rotated_beside_itself_and_keeps_its_mode(tmp_path: Path) -> None:
    (tmp_path / "var").mkdir()
    file, link = tmp_path / "var" / "feeder.log", tmp_path / "feeder.log"
    file.touch()
    file.chmod(0o640)
    link.symlink_to(file)
    config = Config()
    config = replace(config, service=replace(config.service, log_rotate_mb=1, log_keep=2))
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    try:
        configure_logging(config, link)
        for _ in range(12):
            logging.getLogger("test").warning("x" * 100_000)
    finally:
        for handler in root.handlers:
            handler.close()
        root.handlers[:] = before
        root.setLevel(level)
    assert link.is_symlink()
    assert sorted(path.name for path in (tmp_path / "var").iterdir()) == ["feeder.log", "feeder.log.1"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["feeder.log", "var"]
    assert [mode(path) for path in (file, tmp_path / "var" / "feeder.log.1")] == [0o640, 0o640]
    assert 0 < file.stat().st_size < 1_000_000


def test_a_log_to_what_is_no_file_is_written_there(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    try:
        configure_logging(Config(), pipe)
        logging.getLogger("test").warning("one line")
        assert os.read(reader, 1000).endswith(b"one line\n")
    finally:
        for handler in root.handlers:
            handler.close()
        root.handlers[:] = before
        root.setLevel(level)
        os.close(reader)
    assert stat.S_ISFIFO(pipe.lstat().st_mode)
