"""What is wrong with a configuration, with the place, the value and the remedy."""

from __future__ import annotations

from dataclasses import dataclass

from tui_feeder.errors import InputError


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong (or, as a warning, something to know) about one key.

    ``file`` is the path of the file, ``environment FEEDER_X`` or ``flag --x``; ``value`` is TOML, cut where
    it is long, masked where it is secret, and left out for unknown keys, which may be misspelt secrets.
    """

    file: str
    key: str | None
    line: int | None
    value: str | None
    message: str
    allowed: str | None = None
    hint: str | None = None
    column: int | None = None

    def __str__(self) -> str:
        place = ":".join(str(part) for part in (self.file, self.line, self.column) if part is not None)
        subject = " = ".join(part for part in (self.key, self.value) if part is not None)
        lines = [f"{place}: {subject} {self.message}" if subject else f"{place}: {self.message}"]
        if self.hint:
            lines.append(f"    {self.hint}")
        if self.allowed:
            lines.append(f"    allowed: {self.allowed}")
        return "\n".join(lines)


class ConfigError(InputError):
    """The configuration can't be used; ``problems`` are all that is wrong with it."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__(problems)
        self.problems = tuple(problems)

    def __str__(self) -> str:
        count = len(self.problems)
        title = "1 problem" if count == 1 else f"{count} problems"
        return "\n".join([f"{title} in the configuration:", *map(str, self.problems)])

    def report(self) -> str:
        """Every problem with its place; no name of the program before them."""
        return str(self)


class InitError(InputError):
    """A new configuration file cannot be written; the message has the reason and the remedy."""
