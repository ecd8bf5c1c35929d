"""Reads the configuration from file, environment and flags; checks each value and reports all problems."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from tui_feeder.configuration import files, rules
from tui_feeder.configuration.keys import (
    Branch,
    KeyName,
    allowed_names,
    build,
    dotted,
    kind_at,
    leaf_names,
    likely_name,
    names_in,
    section_name_fault,
)
from tui_feeder.configuration.lines import KeyPath, locate
from tui_feeder.configuration.problems import ConfigError, Problem
from tui_feeder.configuration.sections import Config
from tui_feeder.configuration.values import (
    Kind,
    UnfitError,
    allowed,
    convert,
    from_text,
    is_secret,
    key_of,
    writing_hint,
)
from tui_feeder.safe_text import MASK, printable, show
from tui_feeder.spelling import closest

PREFIX = "FEEDER_"
_NO_LINES: Mapping[KeyPath, int] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class LoadedConfig:
    """A configuration that holds, where each value is from, and what its author should know.

    ``origins`` maps every dotted key to ``default``, ``file PATH:LINE``, ``environment FEEDER_X`` or
    ``flag --x``.
    """

    config: Config
    origins: Mapping[str, str]
    warnings: tuple[Problem, ...]
    path: Path | None = None  # of the file that was read

    @property
    def files(self) -> list[str]:
        """The files that values come from, sorted."""
        found = {place.rpartition(":")[0] for place in self.origins.values() if place.startswith("file ")}
        return sorted(place.removeprefix("file ") for place in found)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a value was stated; of two values the one with the higher ``rank`` holds."""

    rank: int
    file: str
    line: int | None = None

    @property
    def origin(self) -> str:
        return self.file if self.line is None else f"file {self.file}:{self.line}"


def load(
    path: Path | None,
    *,
    environ: Mapping[str, str],
    flags: Mapping[str, object] = MappingProxyType({}),
) -> LoadedConfig:
    """The configuration of a file, overridden by environment variables, overridden by flags.

    Args:
        path: the file; None for no file at all.
        environ: variables ``FEEDER_SECTION__KEY``; others are left alone.
        flags: dotted keys with Python values; None for a flag that was not given.

    Returns:
        The configuration, with origins and warnings.

    Raises:
        ConfigError: with every problem of all three.
    """
    reading = _Reading()
    if path is not None:
        reading.take_file(path)
    reading.take_environment(environ)
    reading.take_flags(flags)
    return reading.finish()


def variable_of(key: KeyName) -> str:
    """The environment variable that sets a key.

    Args:
        key: its names.

    Returns:
        Its name, as ``FEEDER_KAFKA__ACKS``.
    """
    return PREFIX + "__".join(key).upper()


class _Reading:
    """One pass over file, environment and flags."""

    def __init__(self) -> None:
        self._problems: list[Problem] = []
        self._warnings: list[Problem] = []
        self._values: dict[KeyName, object] = {}
        self._places: dict[KeyName, _Place] = {}
        self._wrong: set[KeyName] = set()
        self._path: Path | None = None

    def take_file(self, path: Path) -> None:
        self._path = path
        try:
            text = files.text_of(path)
            document = files.parse(text, path)
        except ConfigError as error:
            self._problems.extend(error.problems)
            return
        self._take_section((), document, str(path), locate(text))

    def _take_section(
        self, above: KeyName, section: Mapping[str, object], file: str, lines: Mapping[KeyPath, int]
    ) -> None:
        for name, raw in section.items():
            key = (*above, name)
            place, kind = _Place(1, file, lines.get(key)), kind_at(key)
            if rules.replacement(dotted(key)) is not None:
                self._take_replaced(key, raw, file, lines)
            elif not isinstance(kind, Branch):
                self._take(key, kind, raw, place, lines)
            elif not isinstance(raw, dict):
                allowed = f"[{dotted(key)}] with keys below it"
                self._problem(key, place, "is one value, not a section", allowed)
            elif fault := section_name_fault(key):
                self._problem(key, place, *fault)
            else:
                self._take_section(key, raw, file, lines)

    def _take_replaced(self, key: KeyName, raw: object, file: str, lines: Mapping[KeyPath, int]) -> None:
        waiting = [(key, raw)]
        while waiting:
            key, raw = waiting.pop()
            if isinstance(raw, dict) and raw:
                waiting += (((*key, name), below) for name, below in reversed(raw.items()))
            else:
                self._replaced(key, _Place(1, file, lines.get(key)))

    def _replaced(self, key: KeyName, place: _Place) -> None:
        hint = rules.replacement(dotted(key))
        message = "is a key of the older program and has no effect here"
        self._warnings.append(Problem(place.file, dotted(key), place.line, None, message, hint=hint))

    def take_environment(self, environ: Mapping[str, str]) -> None:
        for variable in sorted(environ):
            if not variable.startswith(PREFIX) or variable == files.FILE_VARIABLE:
                continue
            key = _key_of_variable(variable)
            place, kind = _Place(2, f"environment {printable(variable)}"), kind_at(key)
            if rules.replacement(dotted(key)) is not None:
                self._replaced(key, place)
            elif kind is None or isinstance(kind, Branch):
                near = [*leaf_names(), *((*key[:-1], name) for name in names_in(key[:-1]))]
                meant = closest(variable, map(variable_of, near))
                allowed = f"{PREFIX}SECTION__KEY with the keys of {files.FILE_NAME}"
                hint = f"did you mean {meant}?" if meant else "unset it, or see: feeder-tui config show"
                self._problem(None, place, "names no key", allowed, hint)
            elif fault := section_name_fault(key[:-1]):
                self._problem(key, place, *fault)
            else:
                self._take(key, kind, environ[variable], place)

    def take_flags(self, flags: Mapping[str, object]) -> None:
        for name, given in flags.items():
            if given is None:
                continue
            key = tuple(name.split("."))
            kind = kind_at(key)
            stated = None if kind is None or isinstance(kind, Branch) else key_of(kind).flag
            flag = stated or f"--{key[-1].replace('_', '-')}"
            self._take(key, kind, given, _Place(3, f"flag {flag}"))

    def _take(
        self,
        key: KeyName,
        kind: Kind,
        raw: object,
        place: _Place,
        lines: Mapping[KeyPath, int] = _NO_LINES,
    ) -> None:
        """Check one value; the text of a variable or flag is read as what it states."""
        if kind is None or isinstance(kind, Branch):
            section = dotted(key[:-1])
            message = f"is not a key of [{section}]" if section else "is not a section"
            self._problem(key, place, message, allowed_names(key[:-1]), likely_name(key))
            return
        if place.rank > 1 and isinstance(raw, str):
            raw = from_text(kind, raw)
        self._places[key] = place
        try:
            self._values[key] = convert(kind, raw)
        except UnfitError as fault:
            line = place.line if fault.index is None else lines.get((*key, fault.index), place.line)
            hint = fault.hint
            if hint is None and fault.form and place.rank == 1:
                hint = writing_hint(kind, raw)
            value = MASK if is_secret(kind) else show(fault.value)
            self._problem(key, place, fault.message, allowed(kind), hint, value, line)
            self._wrong.add(key)

    def _problem(
        self,
        key: KeyName | None,
        place: _Place,
        message: str,
        allowed: str | None = None,
        hint: str | None = None,
        value: str | None = None,
        line: int | None = None,
    ) -> None:
        name = None if key is None else dotted(key)
        self._problems.append(Problem(place.file, name, line or place.line, value, message, allowed, hint))

    def finish(self) -> LoadedConfig:
        """Reads secrets from their files, checks keys against each other, and gives the result."""
        values = {key: value for key, value in self._values.items() if key not in self._wrong}
        self._read_secret_files(values)
        self._imply(values)
        config = build(Config, values)
        self._report(rules.contradictions(config), self._problems)
        if self._problems:
            raise ConfigError(self._problems)
        self._report(rules.doubts(config), self._warnings)
        origins = {dotted(key): "default" for key in leaf_names()}
        origins.update((dotted(key), place.origin) for key, place in self._places.items())
        return LoadedConfig(config, MappingProxyType(origins), tuple(self._warnings), self._path)

    def _imply(self, values: dict[KeyName, object]) -> None:
        """Sets keys that another one, stated in their place, would mean nothing without."""
        for key in [key for key in values if key[-1] in rules.IMPLIED]:
            name, value = rules.IMPLIED[key[-1]]
            implied = (*key[:-1], name)
            if implied not in self._places:
                values[implied] = value
                self._places[implied] = self._places[key]

    def _report(self, findings: list[rules.Finding], into: list[Problem]) -> None:
        """Adds each finding at the first of its keys that was set; wrong keys are reported already."""
        for finding in findings:
            keys = [tuple(name.split(".")) for name in finding.keys]
            if self._wrong.intersection(keys):
                continue
            key = next((key for key in keys if key in self._places), keys[0])
            place = self._places.get(key, _Place(0, "default"))
            into.append(
                Problem(
                    place.file, dotted(key), place.line, finding.value, finding.message, hint=finding.hint
                )
            )

    def _read_secret_files(self, values: dict[KeyName, object]) -> None:
        """Reads the file that a key beside a secret names; a secret stated at a higher rank holds."""
        for key in leaf_names():
            file_key = (*key[:-1], f"{key[-1]}_file")
            path = values.get(file_key)
            if not isinstance(path, Path) or not is_secret(kind_at(key)) or key in self._wrong:
                continue
            stated, by_file = self._places.get(key), self._places[file_key]
            if stated is not None and stated.rank == by_file.rank:
                message = f"and {dotted(file_key)} are both given"
                self._problem(key, stated, message, hint="keep one of the two")
                self._wrong.add(key)
            elif stated is None or stated.rank < by_file.rank:
                self._places[key] = by_file
                try:
                    values[key] = files.secret_in(path)
                except (OSError, ValueError) as error:
                    reason = error.strerror if isinstance(error, OSError) else str(error)
                    allowed = "a readable file with one line: the secret"
                    self._problem(file_key, by_file, f"can't be read: {reason}", allowed, value=show(path))
                    self._wrong.update((key, file_key))


def _key_of_variable(variable: str) -> KeyName:
    """The key that an environment variable names; the name of a symbol or rule keeps its letters."""
    key: KeyName = ()
    for part in variable.removeprefix(PREFIX).split("__"):
        node = kind_at(key)
        key = (*key, part if isinstance(node, Branch) and node.named else part.lower())
    return key
