"""Reading the configuration: file, environment and flags, each value checked, every problem told at once."""

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
    default_of,
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
from tui_feeder.configuration.text import MASK, closest, printable, show
from tui_feeder.configuration.values import (
    Kind,
    UnfitError,
    allowed,
    convert,
    from_text,
    is_secret,
    writing_hint,
)

PREFIX = "FEEDER_"
_FLAG_NAMES = {
    "application.storage_path": "--storage",
    "ui.refresh_hz": "--hz",
    "ui.symbol_set": "--symbols-set",
}


@dataclass(frozen=True, slots=True)
class LoadedConfig:
    """A configuration that holds, where each value is from, and what its author should know.

    ``origins`` maps every dotted key to ``default``, ``file PATH:LINE``, ``environment FEEDER_X`` or
    ``flag --x``.
    """

    config: Config
    origins: Mapping[str, str]
    warnings: tuple[Problem, ...]


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
    """The configuration of the file at ``path``, overridden by ``environ``, overridden by ``flags``.

    Args:
        path: The file; None for no file at all.
        environ: Variables ``FEEDER_SECTION__KEY``; others are left alone.
        flags: Dotted keys with Python values; None for a flag that was not given.

    Raises:
        ConfigError: With every problem of all three.
    """
    reading = _Reading()
    if path is not None:
        reading.take_file(path)
    reading.take_environment(environ)
    reading.take_flags(flags)
    return reading.finish()


class _Reading:
    """One pass over file, environment and flags."""

    def __init__(self) -> None:
        self._problems: list[Problem] = []
        self._warnings: list[Problem] = []
        self._values: dict[KeyName, object] = {}
        self._places: dict[KeyName, _Place] = {}
        self._wrong: set[KeyName] = set()

    def take_file(self, path: Path) -> None:
        try:
            text = files.text_of(path)
            document = files.parse(text, path)
        except ConfigError as error:
            self._problems.extend(error.problems)
            return
        lines = locate(text)
        self._take_section((), document, str(path), lines)

    def _take_section(
        self,
        path: KeyName,
        section: Mapping[str, object],
        file: str,
        lines: Mapping[KeyPath, int],
    ) -> None:
        for name, raw in section.items():
            key = (*path, name)
            place = _Place(1, file, lines.get(key))
            if rules.replacement(dotted(key)) is not None:
                self._take_replaced(key, raw, file, lines)
                continue
            kind = kind_at(key)
            if kind is None:
                self._unknown(key, place)
            elif isinstance(kind, Branch):
                if not isinstance(raw, dict):
                    self._problem(
                        key, place, "is one value, not a section", f"[{dotted(key)}] with keys below it"
                    )
                elif fault := section_name_fault(key):
                    self._problem(key, place, *fault)
                else:
                    self._take_section(key, raw, file, lines)
            else:
                self._take_value(key, kind, raw, place, lines)

    def _take_replaced(self, key: KeyName, raw: object, file: str, lines: Mapping[KeyPath, int]) -> None:
        waiting: list[tuple[KeyName, object]] = [(key, raw)]
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
            place = _Place(2, f"environment {printable(variable)}")
            kind = kind_at(key)
            if rules.replacement(dotted(key)) is not None:
                self._replaced(key, place)
            elif kind is None or isinstance(kind, Branch):
                near = [*leaf_names(), *((*key[:-1], name) for name in names_in(key[:-1]))]
                meant = closest(variable, map(_variable_of_key, near))
                self._problem(
                    None,
                    place,
                    "names no key",
                    f"{PREFIX}SECTION__KEY with the keys of {files.FILE_NAME}",
                    f"did you mean {meant}?" if meant else "unset it, or see: feeder-tui config show",
                )
            elif fault := section_name_fault(key[:-1]):
                self._problem(key, place, *fault)
            else:
                self._take_value(key, kind, from_text(kind, environ[variable]), place)

    def take_flags(self, flags: Mapping[str, object]) -> None:
        for name, given in flags.items():
            if given is None:
                continue
            key = tuple(name.split("."))
            flag = _FLAG_NAMES.get(name, f"--{key[-1].replace('_', '-')}")
            place = _Place(3, f"flag {flag}")
            kind = kind_at(key)
            if kind is None or isinstance(kind, Branch):
                self._unknown(key, place)
            else:
                self._take_value(
                    key, kind, from_text(kind, given) if isinstance(given, str) else given, place
                )

    def _take_value(
        self,
        key: KeyName,
        kind: Kind,
        raw: object,
        place: _Place,
        lines: Mapping[KeyPath, int] = MappingProxyType({}),
    ) -> None:
        try:
            self._values[key] = convert(kind, raw)
        except UnfitError as fault:
            line = place.line if fault.index is None else lines.get((*key, fault.index), place.line)
            hint = fault.hint
            if hint is None and fault.form and place.rank == 1:
                hint = writing_hint(kind, raw)
            shown = MASK if is_secret(kind) else show(fault.value)
            self._problems.append(
                Problem(place.file, dotted(key), line, shown, fault.message, allowed(kind), hint)
            )
            self._wrong.add(key)
        self._places[key] = place

    def _unknown(self, key: KeyName, place: _Place) -> None:
        section = dotted(key[:-1])
        message = f"is not a key of [{section}]" if section else "is not a section"
        self._problem(key, place, message, allowed_names(key[:-1]), likely_name(key))

    def _problem(
        self, key: KeyName | None, place: _Place, message: str, allowed: str | None, hint: str | None = None
    ) -> None:
        name = None if key is None else dotted(key)
        self._problems.append(Problem(place.file, name, place.line, None, message, allowed, hint))

    def finish(self) -> LoadedConfig:
        """Reads secrets from their files, checks keys against each other, and gives the result."""
        values = {key: value for key, value in self._values.items() if key not in self._wrong}
        self._read_secret_files(values)
        self._imply(values)
        config = build(Config, values)
        self._check(rules.contradictions(config), self._problems)
        if self._problems:
            raise ConfigError(self._problems)
        self._check(rules.doubts(config), self._warnings)
        for name, message in rules.NOT_YET.items():
            key = tuple(name.split("."))
            if key in values and values[key] != default_of(key):
                shown = MASK if is_secret(kind_at(key)) else show(values[key])
                finding = rules.Finding((name,), f"is accepted, but {message}", value=shown)
                self._check([finding], self._warnings)
        origins = {dotted(key): "default" for key in leaf_names()}
        origins.update((dotted(key), place.origin) for key, place in self._places.items())
        return LoadedConfig(config, MappingProxyType(origins), tuple(self._warnings))

    def _imply(self, values: dict[KeyName, object]) -> None:
        """Sets keys that another one, stated in their place, would mean nothing without."""
        for key in [key for key in values if key[-1] in rules.IMPLIED]:
            name, value = rules.IMPLIED[key[-1]]
            implied = (*key[:-1], name)
            if implied not in self._places:
                values[implied] = value
                self._places[implied] = self._places[key]

    def _check(self, findings: list[rules.Finding], into: list[Problem]) -> None:
        """Adds each finding at the first of its keys that was set; wrong keys are told already."""
        for finding in findings:
            keys = [tuple(name.split(".")) for name in finding.keys]
            if self._wrong.intersection(keys):
                continue
            stated = next((key for key in keys if key in self._places), None)
            key = stated or keys[0]
            place = self._places.get(key, _Place(0, "default"))
            into.append(
                Problem(
                    place.file, dotted(key), place.line, finding.value, finding.message, hint=finding.hint
                )
            )

    def _read_secret_files(self, values: dict[KeyName, object]) -> None:
        for key in leaf_names():
            if not is_secret(kind_at(key)):
                continue
            file_key = (*key[:-1], f"{key[-1]}_file")
            path = values.get(file_key)
            if not isinstance(path, Path) or self._wrong.intersection((key, file_key)):
                continue
            stated, by_file = self._places.get(key), self._places[file_key]
            if stated is not None and stated.rank == by_file.rank:
                self._problem(
                    key, stated, f"and {dotted(file_key)} are both given", None, "keep one of the two"
                )
                self._wrong.add(key)
            elif stated is None or stated.rank < by_file.rank:
                try:
                    values[key] = files.secret_in(path)
                except (OSError, ValueError) as error:
                    reason = error.strerror if isinstance(error, OSError) else str(error)
                    shown = show(path)
                    self._problems.append(
                        Problem(
                            by_file.file,
                            dotted(file_key),
                            by_file.line,
                            shown,
                            f"can't be read: {reason}",
                            "a readable file with one line: the secret",
                        )
                    )
                    self._wrong.update((key, file_key))
                self._places[key] = by_file


def _key_of_variable(variable: str) -> KeyName:
    """The key that an environment variable names; the name of a symbol or rule keeps its letters."""
    key: KeyName = ()
    for part in variable.removeprefix(PREFIX).split("__"):
        node = kind_at(key)
        key = (*key, part if isinstance(node, Branch) and node.named else part.lower())
    return key


def _variable_of_key(key: KeyName) -> str:
    return PREFIX + "__".join(key).upper()
