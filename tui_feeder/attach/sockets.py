"""Where the sockets of running feeders lie: one a process, in a folder only its user can enter."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Callable
from pathlib import Path

from tui_feeder.paths import (
    FolderError,
    check_owner,
    check_private,
    expand_user,
    make_private_folder,
    runtime_folder,
)

_ENDING = ".sock"


#: What is wrong where a socket is refused, and what to do.
NO_FEEDER = "connection refused: no feeder listens there: start one, or name another socket with --socket"


class SocketError(FolderError):
    """A socket cannot be used."""


def default_socket_path(pid: int) -> Path:
    """Gives the socket's path of a feeder unless service.socket states another.

    Args:
        pid: of the feeder's process.

    Returns:
        The path.
    """
    return runtime_folder() / f"{pid}{_ENDING}"


def peer_user(connected: socket.socket) -> int:
    """Gives the user of the other side, from the kernel.

    Args:
        connected: a connected Unix socket.

    Returns:
        User id.
    """
    credentials = connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return int(struct.unpack("3i", credentials)[1])


def check_peer(connected: socket.socket) -> None:
    """Checks that the listening feeder belongs to this user; root may attach to all.

    Args:
        connected: a connected Unix socket.

    Raises:
        SocketError: it is another user's, who may show what they like.
    """
    user = peer_user(connected)
    if user != os.geteuid() and os.geteuid() != 0:
        raise SocketError(
            f"this is the socket of another user (number {user}): it is not trusted; attach as that user"
        )


def is_listening(path: Path) -> bool:
    """Checks whether a process accepts connections.

    Args:
        path: of a Unix socket.

    Returns:
        True if it does.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(1.0)
        try:
            sock.connect(str(path))
        except OSError:
            return False
    return True


def require_feeder(path: Path) -> None:
    """Checks that a feeder listens at a socket.

    Args:
        path: of the socket.

    Raises:
        SocketError: none does.
    """
    if not is_listening(path):
        raise SocketError(f"{path}: {NO_FEEDER}")


def running_sockets() -> list[Path]:
    """The sockets of this user's running feeders, the newest last; those of ended ones are deleted.

    Raises:
        SocketError: the folder they lie in is not this user's alone.
    """
    found = []
    try:
        check_private(runtime_folder())
    except FolderError as error:
        raise SocketError(f"{error}: no feeder is looked for there; name its socket with --socket") from error
    for path in runtime_folder().glob(f"*{_ENDING}"):
        if path.lstat().st_uid != os.geteuid():
            continue
        if is_listening(path):
            found.append(path)
        else:
            path.unlink(missing_ok=True)
    return sorted(found, key=lambda path: path.stat().st_mtime)


def choose_socket(asked: Path | None, describe: Callable[[Path], str] = str) -> Path:
    """Chooses the socket to attach to.

    Args:
        asked: by the command line; None for the only feeder that runs.
        describe: how each is named where there is more than one.

    Returns:
        Its path.

    Raises:
        SocketError: there is none, or more than one to choose from.
    """
    if asked is not None:
        try:
            return expand_user(asked)  # the shell leaves --socket=~/x alone
        except FolderError as error:
            raise SocketError(str(error)) from error
    found = running_sockets()
    if not found:
        raise SocketError(
            f"no feeder of this user runs (searched in {runtime_folder()}): start one with feeder-tui or "
            "feeder-tui --no-ui, or name its socket with --socket"
        )
    if len(found) > 1:
        names = "; ".join(map(describe, found))
        raise SocketError(f"{len(found)} feeders run: choose one with --socket ({names})")
    return found[0]


def bind_socket(path: Path) -> socket.socket:
    """Binds and listens, mode 0600.

    Args:
        path: of the Unix socket.

    Returns:
        The listening socket.

    Raises:
        SocketError: another feeder listens there already, or it cannot be made.
    """
    if path.parent == runtime_folder():
        try:
            make_private_folder(path.parent)
        except FolderError as error:
            raise SocketError(str(error)) from error
    try:
        check_owner(path)
    except FolderError as error:
        raise SocketError(str(error)) from error
    if len(os.fsencode(path)) > 100:
        raise SocketError(f"{path} is too long for a socket (100 bytes at most): name another")
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if path.is_socket():
            if is_listening(path):
                raise SocketError(f"another feeder listens at {path}: name another socket")
            path.unlink(missing_ok=True)
        before = os.umask(0o177)
        try:
            sock.bind(str(path))
        finally:
            os.umask(before)
        sock.listen(16)
    except OSError as error:
        sock.close()
        raise SocketError(f"{path} cannot be listened at ({error.strerror}): name another socket") from error
    except SocketError:
        sock.close()
        raise
    return sock
