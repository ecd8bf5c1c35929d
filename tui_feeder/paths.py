"""Where the program's own files lie for its user, and what is done where the user has no home.

In a container the user may have neither ``HOME`` nor an entry in passwd, or a home that cannot be written.
"""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Mapping
from pathlib import Path

from tui_feeder.errors import HostError

_NAME = "feeder-tui"


class FolderError(HostError):
    """A folder cannot be used."""


def home_folder(environ: Mapping[str, str] = os.environ) -> Path | None:
    """Finds the user's home.

    Args:
        environ: the environment.

    Returns:
        Its absolute path; None if unknown.
    """
    stated = environ.get("HOME")
    try:
        found = Path(stated) if stated else Path("~").expanduser()
    except RuntimeError:
        return None
    return found if found.is_absolute() else None


def expand_user(text: str | os.PathLike[str]) -> Path:
    """Expands ``~``.

    Args:
        text: a path.

    Returns:
        The path.

    Raises:
        FolderError: the home is not known.
    """
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise FolderError(f"{text} names a home directory that is not known: name the whole path") from error


def config_folder(environ: Mapping[str, str] = os.environ) -> Path | None:
    """Finds the folder of the user's configuration, keys and themes.

    Args:
        environ: the environment.

    Returns:
        The folder; None without a home.
    """
    found = _xdg_folder("XDG_CONFIG_HOME", ".config", environ)
    return None if found is None else found / _NAME


def state_folder() -> Path:
    """Where the program keeps its log and what the screen remembers; it is there, and can be written.

    Raises:
        FolderError: neither the home nor the temporary folder has a place.
    """
    found = _xdg_folder("XDG_STATE_HOME", str(Path(".local") / "state"), os.environ)
    if found is not None and _writable(found / _NAME):
        return found / _NAME
    path = temporary_folder()
    make_private_folder(path)
    return path


def runtime_folder() -> Path:
    """Where the sockets of this user's feeders lie; it need not be there."""
    base = os.environ.get("XDG_RUNTIME_DIR", "")
    try:
        # After su it is still that of the user before: nothing of theirs is to be trusted, nor left there.
        mine = os.path.isabs(base) and os.path.isdir(base) and os.stat(base).st_uid == os.geteuid()
    except OSError:
        mine = False
    return Path(base) / _NAME if mine else temporary_folder()


def temporary_folder() -> Path:
    """This user's folder in the temporary one.

    Raises:
        FolderError: no temporary folder can be written.
    """
    try:
        return Path(tempfile.gettempdir()) / f"{_NAME}-{os.geteuid()}"
    except OSError as error:
        raise FolderError("no temporary folder can be written: name one in TMPDIR") from error


def make_private_folder(path: Path) -> None:
    """Creates a folder for its user alone.

    Args:
        path: the folder; one that exists is checked.

    Raises:
        FolderError: it belongs to another user, is open to others, or is not a folder.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = path.lstat()
    except OSError as error:
        raise FolderError(f"{path} cannot be made ({error.strerror}): name another place") from error
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
        raise FolderError(f"{path} must be a folder of this user alone: chmod 700, or name another place")


def check_private(path: Path) -> None:
    """Checks that no other user can have put anything into a folder, if it exists.

    Args:
        path: the folder.

    Raises:
        FolderError: it is another user's, others may write to it, or it is not a folder.
    """
    try:
        found = path.lstat()
    except FileNotFoundError:
        return
    except OSError as error:
        raise FolderError(f"{path} cannot be looked at ({error.strerror})") from error
    if not stat.S_ISDIR(found.st_mode):
        raise FolderError(f"{path} is not a folder")
    if found.st_uid != os.geteuid():
        raise FolderError(f"{path} belongs to another user (number {found.st_uid})")
    if found.st_mode & 0o022:
        raise FolderError(f"others may write to {path}: chmod 700")


def check_owner(path: Path) -> None:
    """Checks that another user did not put a file where we expect ours.

    That is possible in a folder everyone may write to, such as the temporary one.

    Args:
        path: the file; it need not exist.

    Raises:
        FolderError: it is another user's, and so is not used.
    """
    try:
        found, folder = path.lstat(), path.absolute().parent.stat()
    except OSError:
        return  # the error is reported where it is used
    if folder.st_mode & stat.S_IWOTH and found.st_uid not in (os.geteuid(), 0, folder.st_uid):
        raise FolderError(
            f"{path} belongs to another user (number {found.st_uid}) and lies in a folder that everyone may "
            "write to: name another place"
        )


def _xdg_folder(variable: str, below_home: str, environ: Mapping[str, str]) -> Path | None:
    """The folder that a variable names, else the usual one; a relative path is ignored, as XDG demands."""
    stated = environ.get(variable, "")
    if os.path.isabs(stated):
        return Path(stated)
    found = home_folder(environ)
    return None if found is None else found / below_home


def _writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError:
        return False
    return os.access(folder, os.W_OK | os.X_OK)
