"""Makes ``licences.md``, the licences of what is installed with the program: ``python docs/licences.py``.

It reads the metadata of the packages of the environment that it runs in, made by ``pip install
-c constraints.txt '.[parquet,proof,mcp,socks,browser]'``.
"""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

_ROOT = Path(__file__).resolve().parents[1]
PAGE = Path(__file__).with_name("licences.md")
EXTRAS = ("parquet", "proof", "mcp", "socks", "browser")
_HEAD = """\
# Licences

<!-- Made by `python docs/licences.py`. -->

feeder-tui is under the [MIT licence](../LICENSE). It contains no code of others; these packages are installed
with it, each under its own licence. The versions are those of `constraints.txt`, the licences what the
metadata of the packages states. `make release` writes the same as an SBOM (CycloneDX) beside the wheel.

| package | version | licence | of |
|---|---|---|---|
"""

#: Where the licence of that name begins.
_MIT = "Permission is hereby granted, free of charge, to any person obtaining a copy of this software"


class MissingPackageError(Exception):
    """A package that would have to be in the list is not installed."""


def page() -> str:
    """Make the text of the page.

    Returns:
        Markdown: a row for each package, those of the extras included.

    Raises:
        MissingPackageError: a package is not installed.
    """
    return _HEAD + "".join(f"| {row[0]} | {row[1]} | {row[2]} | {row[3]} |\n" for row in sorted(rows()))


def rows(*, skip_missing: bool = False) -> list[tuple[str, str, str, str]]:
    """Collect the packages that an installation with all extras has.

    Args:
        skip_missing: leave out a package that is not installed, with what only it needs.

    Returns:
        Name, version, licence, and the extra that it is for, or "" for every installation.

    Raises:
        MissingPackageError: a package is not installed, and ``skip_missing`` is not given.
    """
    project = tomllib.loads((_ROOT / "pyproject.toml").read_text())["project"]
    found: dict[str, tuple[str, str, str, str]] = {}
    seen: set[tuple[str, frozenset[str]]] = set()
    for extra in ("", *EXTRAS):
        wanted = project["optional-dependencies"][extra] if extra else project["dependencies"]
        waiting = [one for one in map(Requirement, wanted) if one.marker is None or one.marker.evaluate()]
        while waiting:
            requirement = waiting.pop()
            name = canonicalize_name(requirement.name)
            if (name, frozenset(requirement.extras)) in seen:
                continue
            seen.add((name, frozenset(requirement.extras)))
            try:
                package = distribution(name)
            except PackageNotFoundError:
                if skip_missing:
                    continue
                raise MissingPackageError(f"{name} is not installed: {__doc__}") from None
            found.setdefault(name, (str(name), package.version, _licence(package), extra))
            waiting += _needed(package, requirement.extras)
    return list(found.values())


def _needed(package: Distribution, extras: set[str]) -> list[Requirement]:
    """What a package needs here, with its extras."""
    found = [Requirement(text) for text in package.requires or ()]
    given = [{"extra": extra} for extra in ("", *extras)]
    return [one for one in found if one.marker is None or any(map(one.marker.evaluate, given))]


def _licence(package: Distribution) -> str:
    """What the metadata states: an SPDX expression where there is one."""
    metadata = package.metadata
    if expression := metadata.get("License-Expression"):
        return str(expression)
    stated = [
        line.rpartition(" :: ")[2]
        for line in metadata.get_all("Classifier") or ()
        if line.startswith("License ::") and not line.endswith("OSI Approved")
    ]
    text = (metadata.get("License") or "").strip().partition("\n")[0]
    return re.sub(r"[|<>]", " ", " or ".join(stated) or text) or _licence_of_file(package) or "not stated"


def _licence_of_file(package: Distribution) -> str:
    """What the text is that a package brings, where it states no licence."""
    for path in package.files or ():
        if path.name.startswith("LICEN") and _MIT in " ".join(path.read_text().split()):
            return "MIT, by its licence file"
    return ""


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
