"""The errors that the program knows, in one tree, and the exit code of each kind.

Modules derive their own errors from the kinds here. The text of each names what failed, with its value and
place, and what to do; the command line prints it as it is. Everything else that is raised is a defect of the
program and is reported as an internal error.
"""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """How the program ended, for the shell."""

    OK = 0  # done, or shut down cleanly
    FAILED = 1  # could not run, or not continue
    BAD_INPUT = 2  # wrong configuration or command line
    INCOMPLETE = 3  # something is missing, or a feeder is not live
    DIFFERENCES = 4  # something is wrong with what was checked, or stored days are damaged
    INTERRUPTED = 130  # SIGINT
    BROKEN_PIPE = 141  # the reader of standard output has closed it


class FeederError(Exception):
    """A failure whose text is for the user: what failed, and what to do."""

    exit_code = ExitCode.FAILED

    def report(self) -> str:
        """The lines for standard error."""
        return f"feeder-tui: {self}"


class InputError(FeederError):
    """The configuration or the command line cannot be used as it is."""

    exit_code = ExitCode.BAD_INPUT


class UsageError(InputError):
    """The command line asks for something that makes no sense."""


class HostError(FeederError):
    """This machine does not give what is needed: a folder, a file, a port, a socket."""


class StorageError(FeederError):
    """The candle store, or a copy of it, cannot be used."""


class ExchangeFailure(FeederError):
    """The exchange, or the way to it, cannot be used."""


class SinkFailure(FeederError):
    """A destination of messages or candles cannot be used."""


class RunFailure(FeederError):
    """The feeder, or the connection to a running one, cannot start or go on."""
