"""How a command ends that fails: one clear message on stderr and an exit code.

Imports nothing heavy: the command line loads it for ``--help``.
"""

from __future__ import annotations

import contextlib
import errno
import os
import resource
from collections.abc import Iterator

import typer

from tui_feeder.errors import ExitCode, FeederError, InputError
from tui_feeder.standard_streams import OutputError

#: Set in the environment, tracebacks are shown as with ``--debug``.
DEBUG_VARIABLE = "FEEDER_DEBUG"
#: Whether ``--debug`` was given.
debugging = False

#: Files, sockets and pipes that any command may have open, with some to spare.
_FILES = 64

#: What to do about what the system refuses.
_REMEDIES = {
    errno.ENOENT: "name one in a folder that is there",
    errno.ENOTDIR: "name one in a folder that is there",
    errno.EISDIR: "name a file",
    errno.ENAMETOOLONG: "name a shorter one",
    errno.EACCES: "check its owner and mode",
    errno.EPERM: "check its owner and mode",
    errno.EROFS: "name a place that can be written",
    errno.ENOSPC: "make room",
    errno.EDQUOT: "make room",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
    errno.ENFILE: "raise the system's limit of open files",
    errno.EFBIG: "raise the limit of a file's size (ulimit -f)",
    errno.ENOMEM: "give it more memory (ulimit -v, or the container's limit)",
    errno.EAGAIN: "raise the limit of processes and threads (ulimit -u)",
}


@contextlib.contextmanager
def reported_failures() -> Iterator[None]:
    """Turn what goes wrong inside into a message and an exit code; a traceback only with --debug.

    Raises:
        typer.Exit: the command has failed, which has been reported.
    """
    _require_open_files()
    try:
        yield
    except (typer.Exit, typer.Abort, OutputError):
        raise
    except KeyboardInterrupt:
        raise typer.Exit(ExitCode.INTERRUPTED) from None
    except Exception as error:
        raise typer.Exit(report_failure(error)) from None


def report_failure(error: Exception) -> ExitCode:
    """Reports a failure on stderr.

    Args:
        error: what was raised; raised again where tracebacks are wanted.

    Returns:
        The exit code.

    Raises:
        Exception: ``error`` itself, where tracebacks are wanted.
    """
    if isinstance(error, InputError):  # where it was raised is of no use to the author of the input
        traceback_wanted = False
    else:
        traceback_wanted = debugging or bool(os.environ.get(DEBUG_VARIABLE))
    if traceback_wanted:
        raise error
    if isinstance(error, FeederError):
        typer.echo(error.report(), err=True)
        return error.exit_code
    typer.echo(f"feeder-tui: {_reason(error)}", err=True)
    return ExitCode.FAILED


def describe_os_error(error: OSError) -> str:
    """What the system refused, and what to do where that is known.

    Args:
        error: of the system.

    Returns:
        One line, without the name of the file.
    """
    remedy = _REMEDIES.get(error.errno or 0)
    return (error.strerror or str(error)) + (f": {remedy}" if remedy else "")


def _reason(error: Exception) -> str:
    """One line of what went wrong outside of the program, and what to do."""
    if isinstance(error, OSError) and error.errno is not None:
        place = f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, str | bytes) else ""
        return place + describe_os_error(error)
    if isinstance(error, MemoryError) or "failed to map segment" in str(error):
        return f"out of memory: {_REMEDIES[errno.ENOMEM]}"
    if isinstance(error, RuntimeError) and "start new thread" in str(error):
        return f"no more threads: {_REMEDIES[errno.EAGAIN]}, or {_REMEDIES[errno.ENOMEM]}"
    if isinstance(error, RuntimeError) and "home directory" in str(error):
        return "this user has no home directory: set HOME to a folder that can be written"
    return f"internal error: {error!r}; run again with --debug to see where"


def _require_open_files() -> None:
    """Let the process open as many files as every command needs, or end: later the cause is hard to see.

    Raises:
        typer.Exit: the limit is too low, which has been reported.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= _FILES:
        return
    if hard == resource.RLIM_INFINITY or hard >= _FILES:
        resource.setrlimit(resource.RLIMIT_NOFILE, (_FILES, hard))
        return
    typer.echo(
        f"feeder-tui: the limit of open files is {hard}, {_FILES} are needed: raise it (ulimit -n)", err=True
    )
    raise typer.Exit(ExitCode.FAILED)
