"""The user's own keys: ``keys.toml`` in the configuration directory, over the bindings there are.

::

    [keys]
    "overview.up" = "k,up"
    "app.quit" = "Q"
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Mapping
from pathlib import Path

from textual.keys import KEY_NAME_REPLACEMENTS, Keys

from tui_feeder.configuration import files
from tui_feeder.configuration.lines import locate
from tui_feeder.configuration.problems import ConfigError
from tui_feeder.safe_text import show, to_toml
from tui_feeder.spelling import closest

FILE_NAME = "keys.toml"

#: On a terminal these are Enter, Backspace, Tab, a line feed, and the stop of the job.
_TAKEN = frozenset(f"ctrl+{letter}" for letter in "mhijz")


#: Names of an earlier release, which still work.
_RENAMED = {"app.seen": "app.alerts"}

_NAMED = {key.value.rpartition("+")[2] for key in Keys}
_MODIFIERS = ("ctrl", "shift", "alt")
#: Of names, what stands before their first dot.
_GROUPS = {
    "app": "Every screen; play, seek and speed in a replay",
    "overview": "Screen 1", "chart": "Screen 2", "profile": "Screen 3", "gaps": "Screen 4",
    "data": "Screen 4, the calendar",
    "sources": "Screen 5", "log": "Screen 6", "cluster": "Screen 7",
    "footprint": "Screen 8", "map": "Screen 0, the market map",
    "help": "The help",
}  # fmt: skip


def read_keymap(path: Path, known: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """Reads the user's keys.

    Args:
        path: of the file; one that is not there has no keys.
        known: keys of every binding by its id, such as ``app.quit``.

    Returns:
        Valid keys by binding id, and the errors in the file, each with its line.
    """
    try:
        text = files.text_of(path)
        document = files.parse(text, path)
    except ConfigError as error:
        missing = not os.path.lexists(path)
        return {}, [] if missing else [str(error.problems[0]).replace(str(path), path.name, 1)]
    lines = locate(text)
    faults: list[str] = []

    def fault(key: tuple[str, ...], message: str) -> None:
        line = lines.get(key)
        faults.append(f"{path.name}:{line}: {message}" if line else f"{path.name}: {message}")

    for name in document:
        if name != "keys":
            fault((name,), f"unknown {show(name)}: names of keys belong below [keys]")
    found = document.get("keys", {})
    if not isinstance(found, dict):
        fault(("keys",), "[keys] must be a table")
        return {}, faults
    wanted: dict[str, str] = {}
    for stated, keys in found.items():
        name, place = str(_RENAMED.get(stated, stated)), ("keys", stated)
        if name != stated:
            fault(place, f"{stated} is called {name} now")
        if isinstance(keys, dict):  # app.quit without quotes is a table
            for below in keys:
                fault((*place, below), f'write the name in quotes: "{name}.{below}"')
        elif name not in known:
            near = closest(name, known)
            hint = f"did you mean {near}?" if near else "feeder-tui keys lists all names"
            fault(place, f"unknown name {show(name)}; {hint}")
        elif not isinstance(keys, str) or not keys.strip():
            fault(place, f'{name}: keys are a text such as "k,up"')
        elif taken := split_keys(keys) & _TAKEN:
            fault(place, f"{name}: terminals use {min(taken)} otherwise")
        elif odd := sorted(key for key in split_keys(keys) if not _is_key(key)):
            fault(place, f'{name}: there is no key {show(odd[0])}; keys are such as "k", "K", "f5", "ctrl+k"')
        else:
            wanted[name] = ",".join(sorted(split_keys(keys)))
    everything = {**known, **wanted}
    for name in list(wanted):
        taken_by = next((o for o in everything if o != name and _clash(name, o, everything)), None)
        if taken_by is not None:
            fault(("keys", name), f"{name}: {wanted.pop(name)} is {taken_by}'s")
            everything[name] = known[name]
    return wanted, faults


def example(bindings: Mapping[str, tuple[str, str]], own: Mapping[str, str]) -> str:
    """Writes a ``keys.toml`` with every name: those changed as they are, the others as comments.

    Args:
        bindings: usual keys and what they do, by name.
        own: the user's keys by name.

    Returns:
        TOML.
    """
    width = max(map(len, bindings)) + 2
    lines = ["[keys]"]
    group = ""
    for name, (usual, tooltip) in bindings.items():
        if (now := name.partition(".")[0]) != group:
            group = now
            lines += ["", f"# {_GROUPS.get(group, group)}"]
        mark = "" if name in own else "# "
        quoted, keys = f'"{name}"', to_toml(_written(own.get(name, usual)))
        lines.append(f"{mark}{quoted:<{width}} = {keys:<16} # {tooltip}")
    return "\n".join(lines) + "\n"


def _written(keys: str) -> str:
    """Keys as people type them: signs in the place of their names, but for what separates keys."""
    return ",".join(_sign(key) for key in keys.split(","))


def _sign(key: str) -> str:
    return key if key == "comma" else _SIGNS.get(key, key)


def _is_key(key: str) -> bool:
    """Whether a terminal can have it: a letter, a sign, a named key, with ctrl and the like before it."""
    bare = key.rpartition("+")[2] or key
    if len(bare) == 1 or bare in _NAMED or bare in _SIGNS:
        return all(part in _MODIFIERS for part in key.split("+")[:-1])
    return False


def _clash(name: str, other: str, keys: Mapping[str, str]) -> bool:
    """Whether two bindings that can be in force together share a key."""
    groups = {name.partition(".")[0], other.partition(".")[0]}
    return (len(groups) == 1 or "app" in groups) and bool(split_keys(keys[name]) & split_keys(keys[other]))


def split_keys(keys: str) -> set[str]:
    """Splits a list of keys such as ``"k, ["``.

    Args:
        keys: keys separated by commas.

    Returns:
        Textual's names of the keys.
    """
    return {_name(key) for part in keys.split(",") if (key := part.strip())}


def _name(key: str) -> str:
    if len(key) == 1 and not key.isalnum():
        name = unicodedata.name(key, key).lower().replace("-", "_").replace(" ", "_")
        return KEY_NAME_REPLACEMENTS.get(name, name)
    return key


#: What people type for Textual's names of signs.
_SIGNS = {_name(sign): sign for sign in map(chr, range(33, 127)) if not sign.isalnum()}
