"""Finding and reading the files of the configuration."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

from tui_feeder.configuration.problems import ConfigError, Problem
from tui_feeder.paths import FolderError, check_owner, config_folder, expand_user
from tui_feeder.safe_text import Secret

FILE_NAME = "config.toml"
MAX_FILE_BYTES = 1 << 20
MAX_SECRET_BYTES = 1 << 16
#: Names the configuration file, so it is no key.
FILE_VARIABLE = "FEEDER_CONFIG"
_TOML_PLACE = re.compile(r"(.*) \(at (?:line (\d+), column (\d+)|end of document)\)", re.DOTALL)


def find_config(environ: Mapping[str, str], cwd: Path) -> Path | None:
    """The file to load when none is named on the command line.

    Args:
        environ: ``FEEDER_CONFIG`` names one; else there may be one in ``XDG_CONFIG_HOME``.
        cwd: where a ``config.toml`` has precedence over that of the user.

    Returns:
        Its path; None where there is none.

    Raises:
        ConfigError: The one in ``cwd`` was put there by another user; it may name programs to run.
    """
    if named := environ.get(FILE_VARIABLE):
        try:
            return expand_user(named)
        except FolderError as error:
            _fail(Path(named), f"is named by {FILE_VARIABLE}: {error}", None)
    users = config_folder(environ)
    candidates = (cwd / FILE_NAME, *((users / FILE_NAME,) if users is not None else ()))
    try:
        check_owner(candidates[0])
    except FolderError as error:
        _fail(
            candidates[0], f"is not read by itself: {error}", "to read it all the same, name it with --config"
        )
    return next((candidate for candidate in candidates if os.path.lexists(candidate)), None)


def _fail(
    path: Path, message: str, hint: str | None, line: int | None = None, column: int | None = None
) -> NoReturn:
    raise ConfigError([Problem(str(path), None, line, None, message, hint=hint, column=column)])


def text_of(path: Path) -> str:
    """The text of a configuration file.

    Args:
        path: of the file.

    Returns:
        Its text, without a byte order mark.

    Raises:
        ConfigError: It is missing, unreadable, a directory, too large, or not UTF-8.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        _fail(path, "does not exist", "write one with: feeder-tui config init")
    except IsADirectoryError:
        _fail(path, "is a directory", f"name the file in it: {path / FILE_NAME}")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        _fail(
            path, f"can't be read: {reason}", "check its owner and mode, or name another file with --config"
        )
    if len(content) > MAX_FILE_BYTES:
        _fail(path, f"is larger than {MAX_FILE_BYTES} bytes", "is this the file that was meant?")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        _fail(path, "is not UTF-8 text", "save it as UTF-8", line)


def parse(text: str, path: Path) -> dict[str, object]:
    """Parse the text of a configuration file.

    Args:
        text: TOML.
        path: of the file, for the message.

    Returns:
        Nested dicts.

    Raises:
        ConfigError: It is not TOML; with line and column.
    """
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        match = _TOML_PLACE.fullmatch(str(error))
        if match is None:
            _fail(path, f"is not TOML: {error}", None)
        line = int(match[2]) if match[2] else text.count("\n") + 1
        column = int(match[3]) if match[3] else None
        _fail(path, f"is not TOML: {match[1]}", None, line, column)
    except (ValueError, RecursionError):
        _fail(path, "is not TOML that can be read: a number too long or lists too deep", None)


def secret_in(path: Path) -> Secret:
    """Read the secret in a file of its own.

    Args:
        path: of the file.

    Returns:
        Its text, without the line's end.

    Raises:
        OSError: The file can't be read.
        ValueError: It is empty, too large, or not UTF-8.
    """
    with path.open("rb") as file:
        content = file.read(MAX_SECRET_BYTES + 1)
    if len(content) > MAX_SECRET_BYTES:
        raise ValueError(f"it is larger than {MAX_SECRET_BYTES} bytes")
    try:
        text = content.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8 text") from None
    if not text:
        raise ValueError("it is empty")
    return Secret(text)
