"""The user's own keys: ``keys.toml`` in the configuration directory, over the bindings there are.

::

    [keys]
    "overview.up" = "k,up"
    "app.quit" = "Q"
"""

from __future__ import annotations

import tomllib
import unicodedata
from collections.abc import Mapping
from pathlib import Path

from tui_feeder.spelling import closest

FILE_NAME = "keys.toml"

#: On a terminal these are Enter, Backspace, Tab, a line feed, and the stop of the job.
_TAKEN = frozenset(f"ctrl+{letter}" for letter in "mhijz")


#: Names of an earlier release, which still work.
_RENAMED = {"app.seen": "app.alerts"}


def read_keymap(path: Path, known: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """Reads the user's keys.

    Args:
        path: of the file; one that is not there has no keys.
        known: keys of every binding by its id, such as ``app.quit``.

    Returns:
        Valid keys by binding id, and the errors in the file.
    """
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8")).get("keys", {})
    except FileNotFoundError:
        return {}, []
    except (OSError, ValueError) as fault:
        return {}, [str(fault)]
    if not isinstance(found, dict):
        return {}, ["[keys] must be a table"]
    faults: list[str] = []
    wanted: dict[str, str] = {}
    for name, keys in found.items():
        if name in _RENAMED:
            faults.append(f"{name} is called {_RENAMED[name]} now")
            name = _RENAMED[name]
        if name not in known:
            near = closest(name, known)
            faults.append(f"unknown {name!r}" + (f" ({near}?)" if near else ""))
        elif not isinstance(keys, str) or not keys.strip():
            faults.append(f'{name}: keys are a text such as "k,up"')
        elif taken := split_keys(keys) & _TAKEN:
            faults.append(f"{name}: terminals use {min(taken)} otherwise")
        else:
            wanted[name] = ",".join(sorted(split_keys(keys)))
    everything = {**known, **wanted}
    for name in list(wanted):
        other = next((o for o in everything if o != name and _clash(name, o, everything)), None)
        if other is not None:
            faults.append(f"{name}: {wanted.pop(name)} is {other}'s")
            everything[name] = known[name]
    return wanted, faults


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
        return unicodedata.name(key).lower().replace("-", "_").replace(" ", "_")
    return key
